"""How `tollbook` ends: in a process of its own, with real pipes and signals."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.smoke
def test_done_is_0_and_could_not_run_is_2(process, told, tmp_path):
    assert process("balance", told.log).code == 0
    assert process("balance", tmp_path / "none.db").code == 2


def test_interrupted_is_130_even_where_nobody_reads_on(start, program, long_log, patience):
    running = start(program, "events", long_log, "--json")
    running.stdout.readline()
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=patience) == 130
    assert running.stderr.read() == b""


INTERRUPTED = """
import signal, sys
from gateway.cli.main import main

def interrupt(event, arguments):
    if event == sys.argv[1] and str(arguments[0]).endswith(".part"):
        signal.raise_signal(signal.SIGINT)

sys.addaudithook(interrupt)
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("moment", ["open", "os.rename"])
def test_an_interrupted_export_leaves_no_file(start, told, tmp_path, patience, moment):
    """The interrupt comes just before the file beside the export is made, or is given its name."""
    words = ("export", told.log, "--to", "csv", "--out", tmp_path / "out.csv")
    running = start(sys.executable, "-c", INTERRUPTED, moment, *words)
    out, error = running.communicate(timeout=patience)
    assert (running.returncode, out, error) == (130, b"", b"tollbook: interrupted\n")
    assert list(tmp_path.iterdir()) == []


LOST = """
import signal, sys, time
from gateway.cli.main import main

class Finalized:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def interrupt(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".part"):
        Finalized()
        time.sleep(600)

sys.addaudithook(interrupt)
sys.exit(main(sys.argv[1:]))
"""


def test_an_interrupt_that_python_drops_is_repeated(start, told, tmp_path, patience):
    words = ("export", told.log, "--to", "csv", "--out", tmp_path / "out.csv")
    running = start(sys.executable, "-c", LOST, *words)
    out, error = running.communicate(timeout=patience)
    assert (running.returncode, out, error) == (130, b"", b"tollbook: interrupted\n")


@pytest.mark.parametrize(
    "words",
    [
        ("events",),
        pytest.param(("events", "--json"), marks=pytest.mark.sweep),
        pytest.param(("export", "--to", "csv", "--out", "-"), marks=pytest.mark.sweep),
    ],
)
def test_a_broken_pipe_is_141_and_silent(start, program, long_log, patience, words):
    command, *rest = words
    running = start(program, command, long_log, *rest)
    assert running.stdout.readline()
    running.stdout.close()
    running.stdout = None
    assert running.wait(timeout=patience) == 141
    assert running.stderr.read() == b""


STATEMENT = ("statement", "{log}", "--subscriber", "alice", "--plan", "pro")


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("audit", "{log}"),
        *(pytest.param((command, "{log}"), marks=pytest.mark.sweep, id=command) for command in ("balance", "batches")),
        pytest.param(STATEMENT, marks=pytest.mark.sweep, id="statement"),
        ("demo", "--db", ":memory:", "--requests", "20"),
        ("simulate", "--seed", "1", "--steps", "5"),
    ],
    ids=lambda words: words[0],
)
def test_every_command_is_141_and_silent_if_nobody_reads(program, told, words):
    reading, writing = os.pipe()
    os.close(reading)
    command = [program, *(word.format(log=told.log) for word in words)]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("imported", ["typer", "ledger.stores"])
def test_an_interrupt_while_modules_are_imported_is_130(start, told, patience, imported):
    running = start(sys.executable, "-c", IMPORTING, imported, "balance", told.log)
    out, error = running.communicate(timeout=patience)
    assert (running.returncode, out, error) == (130, b"", b"tollbook: interrupted\n")


IMPORTING = """
import signal, sys
from gateway.cli.main import main

class Lock:
    def __del__(self):  # as one of the interpreter's, in which it ignores what is raised
        signal.raise_signal(signal.SIGINT)

def interrupt(event, arguments):
    if event == "import" and arguments[0] == sys.argv[1]:
        Lock()

sys.addaudithook(interrupt)
sys.exit(main(sys.argv[2:]))
"""


def test_an_interrupted_audit_ends_its_processes(start, program, long_log, patience):
    running = start(program, "audit", long_log, "--processes", "2", start_new_session=True)
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    if not children.exists():
        pytest.skip("the processes of a process are found on Linux alone")
    while running.poll() is None and len(started := children.read_text().split()) < 2:
        pass
    if running.poll() is None:
        os.killpg(running.pid, signal.SIGINT)
        assert (running.wait(timeout=patience), running.stderr.read()) == (130, b"tollbook: interrupted\n")
        assert [pid for pid in started if Path(f"/proc/{pid}/exe").exists()] == []


def test_a_pipe_that_broke_before_the_first_byte_is_141_too(program, told):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([program, "balance", told.log], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_shell_sees_the_same(program, long_log):
    line = f"set -o pipefail; '{program}' events '{long_log}' | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (141, "", 1)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, which Linux has")
def test_a_full_disk_is_an_io_error(program, told):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([program, "balance", told.log], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"tollbook: error: ")
    assert done.stderr.count(b"\n") == 1


def test_closed_streams_are_no_reason_to_fail(program, told):
    done = subprocess.run(["bash", "-c", f"'{program}' balance '{told.log}' >&- 2>&-"], check=False)
    assert done.returncode == 0


def test_a_bad_answer_is_1(tollbook, shop, spoil):
    spoil(shop.log, '"usage":{"input_tokens":12345}', '"usage":{"input_tokens":22345}', mend=True)
    assert tollbook("explain", shop.log, shop.seq["direct"]).code == 1
    assert tollbook("audit", shop.log).code == 1
