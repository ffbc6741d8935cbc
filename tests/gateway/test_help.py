"""`--help` teaches, and what is printed suits where it goes."""

import os
import pty
import re
import subprocess

import pytest
import typer

from gateway.cli.commands import Commands, app
from gateway.cli.commands.chain import ChainCommands
from gateway.cli.lazy import load

COMMANDS = [
    "demo",
    "audit",
    "balance",
    "statement",
    "plans",
    "agents",
    "invoices",
    "settle",
    "batches",
    "events",
    "explain",
    "export",
    "plot",
    "backup",
    "copy",
    "policies",
    "plugins",
    "simulate",
    "chain",
]


def test_the_help_names_every_command_and_the_bare_command_is_the_help(tollbook):
    page = tollbook("--help")
    assert page == tollbook()
    assert page.code == 0
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", page.out, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_examples_that_use_its_options(tollbook, command):
    page = tollbook(command, "--help")
    assert (page.code, page.err) == (0, "")
    examples, options = page.out.partition("Examples:")[2].split("Options:")
    assert f"tollbook {command}" in examples
    used = re.findall(r"(?<= )--[a-z-]+", "\n".join(re.findall(rf"tollbook {command}.*", examples)))
    assert set(used) <= set(re.findall(r"^  (?:-h, )?(--[a-z-]+)", options, re.MULTILINE))


def test_every_argument_and_option_says_what_it_is():
    assert list(typer.main.get_command(app).commands) == COMMANDS
    commands = {name: load(group.package, name) for group in (Commands, ChainCommands) for name in group.short_help_of}
    silent = [(name, each.name) for name, command in commands.items() for each in command.params if not each.help]
    assert silent == []


@pytest.mark.parametrize("group", [Commands, ChainCommands])
def test_the_help_of_a_command_begins_with_its_line_in_the_list(group):
    for name, short_help in group.short_help_of.items():
        assert load(group.package, name).help.startswith(short_help)


def test_the_version_is_the_distributions(tollbook):
    from importlib.metadata import version

    assert tollbook("--version").out == f"tollbook {version('tollbook')}\n"


@pytest.mark.parametrize(
    "words", [("balance",), ("statement", "--subscriber", "alice", "--plan", "pro"), ("events",), ("explain", "12")]
)
def test_piped_output_has_no_escapes_whatever_the_environment_wants(tollbook, told, monkeypatch, words):
    command, *rest = words
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    done = tollbook(command, told.log, *rest)
    assert done.code == 0
    assert "\x1b" not in done.out


def on_a_terminal(program, *words, **env):
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [program, *map(str, words)], stdout=follower, stderr=follower, env={**os.environ, "TERM": "xterm", **env}
    ) as running:
        os.close(follower)
        shown = b""
        try:
            while part := os.read(leader, 65536):
                shown += part
        except OSError:  # how Linux says that the other end is closed
            pass
    os.close(leader)
    assert running.returncode == 0
    return shown.decode()


def test_a_terminal_gets_a_table_and_no_colour_where_none_is_wanted(program, told):
    shown = on_a_terminal(program, "balance", told.log, COLUMNS="160")
    assert "─" in shown
    assert "100.00" in shown
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", on_a_terminal(program, "balance", told.log, NO_COLOR="1"))


def test_json_is_the_same_on_a_terminal(program, tollbook, told):
    shown = on_a_terminal(program, "balance", told.log, "--json")
    assert shown.replace("\r\n", "\n") == tollbook("balance", told.log, "--json").out
