"""Shells complete commands, options and values."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = """
source <(tollbook --show-completion)
complete -p tollbook > /dev/null || exit 1
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_tollbook_completion tollbook
printf '%s\\n' "${COMPREPLY[@]}"
"""

ASKED = [
    (("ba",), {"balance", "batches"}),
    (("chain", ""), {"up", "deploy", "status"}),
    pytest.param(("balance", "toll.db", "--su"), {"--subscriber"}, marks=pytest.mark.sweep),
    (("chain", "deploy", "--f"), {"--freeze-delay"}),
    (("demo", "--policy", "p"), {"package", "per_credit"}),
    pytest.param(("simulate", "--policy", "vol"), {"volume"}, marks=pytest.mark.sweep),
    (("events", "toll.db", "--type", "settlement_c"), {"settlement_committed", "settlement_confirmed"}),
    pytest.param(("export", "toll.db", "--to", ""), {"csv", "ndjson", "sqlite"}, marks=pytest.mark.sweep),
    (("--show"), {"--show-completion"}),
]


def path_with(program):
    return {**os.environ, "PATH": f"{Path(program).parent}:{os.environ['PATH']}"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(("words", "completed"), ASKED, ids=lambda value: value[0] if isinstance(value, tuple) else "")
def test_bash_completes(program, words, completed):
    words = [words] if isinstance(words, str) else words
    command = ["bash", "--norc", "-c", SCRIPT, "bash", "tollbook", *words]
    done = subprocess.run(command, env=path_with(program), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert completed <= set(done.stdout.split())
    assert all(word.startswith(words[-1]) for word in done.stdout.split())


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_zsh_and_fish_are_answered_in_their_own_ways(process, shell):
    asked = {"_TOLLBOOK_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "tollbook bal"}
    asked["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    done = process(env={**os.environ, **asked})
    assert (done.code, done.err) == (0, "")
    assert "balance" in done.out
    assert "Show account balances" in done.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_for_each_shell(program, tmp_path, shell):
    env = {**os.environ, "HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [program, "--install-completion", shell], env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("_TOLLBOOK_COMPLETE" in path.read_text() for path in files)


def test_asking_for_the_names_of_commands_imports_none_of_them(process):
    asked = {"_TOLLBOOK_COMPLETE": "complete_bash", "COMP_WORDS": "tollbook ", "COMP_CWORD": "1"}
    done = process(env={**os.environ, **asked, "PYTHONPROFILEIMPORTTIME": "1"})
    assert "balance" in done.out.split()
    assert "gateway.cli.commands" in done.err
    assert "ledger" not in {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
