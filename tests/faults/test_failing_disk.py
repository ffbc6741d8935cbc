"""A disk that fails a sync or a write, or has no space: what is said is so, and the business goes on."""

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from injected_faults import FOLDER, SYNCS, Run, ended, finish, needs_strace, run, strace, traced
from loop_images import make, mounted, needs_loop_devices

from ledger import Charge, Ledger
from replay.audit.run import audit

FAILURES = {"NotWritten", "OutcomeUnknown", "LogError", "ChainUnavailable", "SendUnknown"}
"""What the script's caller may be told of a failing disk."""


def faults(points, error: str) -> list[str]:
    """The call fails at each of these points."""
    return [f"{point.call}:error={error}:when={point.time}" for point in points]


def failing(folder: Path, fault: str) -> Run:
    """The call fails, for once or for a while; the process goes on as the errors say."""
    ran = traced(folder, fault)
    assert ran.injected, fault
    assert ended(ran) or ran.failed
    assert set(ran.failed) <= FAILURES
    return ran


# -- syncs -------------------------------------------------------------------------------------------------------------


@needs_strace
def test_a_sync_that_fails_is_told_and_the_business_goes_on(uninterrupted, held_to):
    """As the log is made; as the first plans are appended; as a group is."""
    syncs = [point for point in uninterrupted.points if point.call in SYNCS and point.file == "toll.db-wal"]
    for _, ran in held_to(faults((syncs[0], syncs[2], syncs[7]), "EIO"), failing):
        assert ran.code == 0
        assert ran.failed in (["LogError"], ["NotWritten"])


@pytest.mark.sweep
@needs_strace
def test_any_sync_that_fails_is_told_or_does_no_harm(uninterrupted, held_to, report):
    told, ignored = Counter(), Counter()
    cases = faults([point for point in uninterrupted.points if point.call in SYNCS], "EIO")
    for _, ran in held_to(cases, failing):
        assert ran.code == 0
        [hit] = ran.injected
        (told if ran.failed else ignored)[hit.file] += 1
    report(f"{len(cases)} syncs failed; told: {dict(told)}; ignored: {dict(ignored)}")
    assert told.total() + ignored.total() == len(cases) > 50
    # What is ignored: the folder's sync; the syncs of a checkpoint as a file is closed or its mark is set, which leaves
    # the side file as it was; those of the index, a cache; and those of a new file's journal, which is still empty.
    checkpoints, indexes = 4, 3
    assert ignored["toll.db-wal"] == checkpoints + indexes
    assert told["toll.db-wal"] > 20
    assert set(ignored) <= {FOLDER, *(f"toll.db{side}" for side in ("", "-wal", ".mock", ".mock-wal", ".mock-journal"))}


@pytest.mark.sweep
@needs_strace
def test_where_every_sync_fails_from_some_time_on_nothing_more_is_acknowledged(uninterrupted, held_to):
    """Nor is the log ever taken for a copy without its write-ahead file: some cases begin where the mark is set."""
    syncs = [point for point in uninterrupted.points if point.call in SYNCS]
    cases = [f"{fault}+" for fault in faults(syncs[::4], "EIO")]
    failed = [ran.failed for _, ran in held_to(cases, failing)]
    assert {"OutcomeUnknown", "SendUnknown"} <= {name for names in failed for name in names}


@needs_strace
@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.sweep)])
def test_what_fails_as_the_mark_of_the_write_ahead_file_is_set_is_told_or_does_no_harm(uninterrupted, held_to, step):
    """Before the first commit: the mark is written, brought into the log's file, and taken away again. Where a sync of
    that fails, nobody knows what is on the disk, and no commit may stand behind it."""
    own = [point for point in uninterrupted.points if point.file in ("toll.db", "toll.db-wal")]
    syncs = [point for point in own if point.call in SYNCS]
    setting = own[own.index(syncs[2]) : own.index(syncs[7]) + 1]
    assert len(setting) > 8
    for fault, ran in held_to(faults(setting[::step], "EIO"), failing):
        assert ran.code == 0, fault
        assert set(ran.failed) <= {"LogError", "NotWritten"}, fault


READ_OVER = """
import os, sqlite3, sys
from ledger import Charge, CreatePlan, Give, Ledger
from ledger.errors import Closed, OutcomeUnknown

ledger = Ledger.open(sys.argv[1], clock=lambda: 1_700_000_000_000_000, lock_seconds=0.05)
ledger.execute_many(
    [CreatePlan(plan="pro", owner="acme", credits=1), Give(subscriber="alice", plan="pro", credits=9)]
)
reader = sqlite3.connect(sys.argv[1], isolation_level=None)
reader.execute("BEGIN")
reader.execute("SELECT count(*) FROM commits").fetchone()
try:
    ledger.execute(Charge(subscriber="alice", plan="pro", key="charge"))
    os.write(1, b"done")
except OutcomeUnknown:
    try:
        ledger.balances()
    except Closed:
        os.write(1, b"unknown, closed")
os._exit(0)
"""


@needs_strace
def test_an_append_that_a_reader_keeps_from_being_looked_into_is_unknown_and_the_ledger_stays_closed(tmp_path):
    """Its sync failed, and the side file cannot be emptied: what is not seen now may be found by whoever opens it."""
    trace = tmp_path / "trace"

    def said(log: Path, *faults: str) -> str:
        command = [*strace([log.with_name("toll.db-wal")], trace, *faults), sys.executable, "-c", READ_OVER, str(log)]
        log.parent.mkdir()
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert said(tmp_path / "whole" / "toll.db") == "done"
    last = trace.read_text().count(" fdatasync(")
    log = tmp_path / "failing" / "toll.db"
    assert said(log, f"fdatasync:error=EIO:when={last}") == "unknown, closed"
    with Ledger.open(log, clock=lambda: 1_700_000_000_000_000) as ledger:
        answer = ledger.execute(Charge(subscriber="alice", plan="pro", key="charge")).unwrap()
        assert [entry.seq for entry in ledger.events() if getattr(entry.event, "key", None) == "charge"] == [answer.seq]
    assert audit(log).clean


# -- writes ------------------------------------------------------------------------------------------------------------


def writes(uninterrupted, step: int):
    return [point for point in uninterrupted.points if point.call not in SYNCS][::step]


@needs_strace
def test_a_write_that_finds_no_space_is_told_and_the_business_goes_on(uninterrupted, held_to):
    _, one, another, *_ = writes(uninterrupted, 60)
    cases = [f"{fault}..{one.time + 2}" for fault in faults([one], "ENOSPC")] + faults([another], "EIO")
    assert [ran.code for _, ran in held_to(cases, failing)] == [0, 0]


@pytest.mark.sweep
@needs_strace
def test_any_write_that_fails_is_told_or_does_no_harm(uninterrupted, held_to, report):
    """Every third write, each time in another way."""
    points = writes(uninterrupted, 3)
    cases = [case for turn, error in enumerate(("EIO", "ENOSPC", "EROFS")) for case in faults(points[turn::3], error)]
    told = Counter()
    for _, ran in held_to(cases, failing):
        assert ran.code == 0
        told[", ".join(ran.failed) or "nothing"] += 1
    report(f"{len(cases)} writes failed; told: {dict(told)}")
    assert told["NotWritten"]


@pytest.mark.sweep
@needs_strace
def test_a_disk_without_space_for_a_while_loses_nothing(uninterrupted, held_to, report):
    windows = [
        f"{point.call}:error=ENOSPC:when={point.time}{until}"
        for point in writes(uninterrupted, 20)
        for until in (f"..{point.time + 4}", f"..{point.time + 60}", "+")
    ]
    codes = Counter(ran.code for _, ran in held_to(windows, failing))
    report(f"{len(windows)} windows: {codes[0]} outlived, {codes.total() - codes[0]} given up and finished later")
    assert len(codes) == 2


# -- quotas ------------------------------------------------------------------------------------------------------------


def limited(folder: Path, max_bytes: int) -> Run:
    ran = run(folder, str(max_bytes))
    assert ended(ran) or ran.failed
    return ran


def torn(folder: Path, max_bytes: int) -> Run:
    ran = run(folder, str(max_bytes), "mortal")
    assert ran.code in (0, -signal.SIGXFSZ)
    return ran


linux = pytest.mark.skipif(sys.platform != "linux", reason="needs a limit to the size of files, as Linux keeps it")


@linux
@pytest.mark.parametrize("kind", [limited, torn])
def test_a_quota_that_is_reached_loses_nothing(uninterrupted, held_to, kind):
    """The write that reaches it is done in part; then writes fail, or the process dies."""
    assert all(ran.code for _, ran in held_to([30_001], kind))


@pytest.mark.sweep
@linux
@pytest.mark.parametrize("kind", [limited, torn])
def test_a_quota_that_is_reached_at_any_time_loses_nothing(uninterrupted, held_to, kind, report):
    codes = Counter(ran.code for _, ran in held_to(range(1, 66_000, 3_001), kind))
    report(f"{codes.total()} quotas, {codes.total() - codes[0]} of them reached")
    assert codes.total() - codes[0] > 12


@needs_loop_devices
@pytest.mark.parametrize(
    "free",
    [100, *(pytest.param(free, marks=pytest.mark.sweep) for free in (0, 20, 40, 60, 80, 120, 150, 200))],
)
def test_a_disk_that_is_full_loses_nothing(uninterrupted, tmp_path, free):
    image = tmp_path / "disk"
    make(image, megabytes=16, block=4096)
    with mounted(image) as disk:
        (disk / "business").mkdir()
        fill(disk / "filler", leave=free)
        ran = run(disk / "business")
        assert not ended(ran)
        (disk / "filler").unlink()
        assert finish(disk / "business", ran).agree(uninterrupted.books)


def fill(file: Path, leave: int) -> None:
    """Take all the space there is, but so many kilobytes."""
    with file.open("wb", buffering=0) as filler, suppress(OSError):
        while filler.write(bytes(1024)):
            pass
    os.truncate(file, file.stat().st_size - 1024 * leave)


# -- what a dead process left -----------------------------------------------------------------------------------------

_LEFT = """
import os, sys
from ledger import CreatePlan, Ledger
os.chdir(sys.argv[1])
with Ledger.open("toll.db") as ledger:
    print(ledger.execute(CreatePlan(plan="pro", owner="acme", credits=1, key="once")).unwrap().repeated, flush=True)
    os._exit(0)  # neither closed nor checkpointed: the commit is in the write-ahead file
"""


@needs_strace
def test_what_a_dead_process_left_is_synced_before_it_is_answered_from(tmp_path):
    """It may have died between the write and the sync: a power cut after the answer would lose what was answered."""
    folder, trace = tmp_path / "business", tmp_path / "trace"
    folder.mkdir()
    command = [sys.executable, "-c", _LEFT, str(folder)]
    assert subprocess.check_output(command) == b"False\n"
    assert (folder / "toll.db-wal").stat().st_size
    assert subprocess.check_output([*strace([folder / "toll.db-wal"], trace), *command]) == b"True\n"
    assert [line.split("(")[0].split()[1] for line in trace.read_text().splitlines()] == ["fsync"]

    failing = [*strace([folder / "toll.db-wal"], trace, "fsync:error=EIO"), *command]
    ran = subprocess.run(failing, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "toll.db: its write-ahead file could not be synced: Input/output error" in ran.stderr
