"""The power goes while a process charges: what was acknowledged before is on the disk, and nothing is half there."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

import charging_writer
import pytest
from injected_faults import needs_strace, strace
from loop_images import Power, make, mounted, needs_loop_devices

from ledger import Ledger
from ledger.errors import LedgerError
from ledger.events import encode
from replay.audit.run import audit

CUTS = 25

pytestmark = [pytest.mark.sweep, needs_loop_devices]


class Writer:
    """The process that charges, and what it has said so far."""

    def __init__(self, log: Path, synchronous: str = "FULL", under: Sequence[str] = ()) -> None:
        command = [*under, sys.executable, charging_writer.__file__, str(log), synchronous]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        assert self.process.stdout is not None
        self._said, self._pipe = b"", self.process.stdout.fileno()
        os.set_blocking(self._pipe, False)

    def acknowledged(self) -> dict[int, bytes]:
        """The events of all charges that were acknowledged up to now, by their sequences."""
        return {int(seq): event for seq, event in (line.split(b" ", 1) for line in self._lines())}

    def not_written(self) -> bytes:
        """Waits for the key of the charge that was said not to be written."""
        while True:
            for line in self._lines():
                if line.startswith(b"not written: "):
                    return line.removeprefix(b"not written: ")
            time.sleep(0.01)

    def _lines(self) -> list[bytes]:
        while True:
            try:
                more = os.read(self._pipe, 1 << 16)
            except BlockingIOError:
                return self._said.splitlines() if self._said.endswith(b"\n") else self._said.splitlines()[:-1]
            assert more, "the process has ended"
            self._said += more

    def close(self) -> None:
        """End the process, and what it runs under, and wait until its files are closed."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


@contextmanager
def charging(image: Path, synchronous: str) -> Iterator[Writer]:
    """A writer that charges on the file system of an image, and has begun to."""
    make(image, megabytes=8, block=1024)  # small ones, so that a page may be there in part
    with mounted(image) as disk, closing(Writer(disk / "toll.db", synchronous)) as writer:
        while not writer.acknowledged():
            time.sleep(0.01)
        yield writer


class Cut(NamedTuple):
    """What was acknowledged before the power was cut, and what soon after it; and the log that is found then."""

    before: dict[int, bytes]
    after: dict[int, bytes]
    log: Path


def cuts(tmp_path: Path, seed: int, synchronous: str = "FULL") -> Generator[Cut]:
    """The power is cut at odd moments."""
    moments = random.Random(seed)
    image, copy = tmp_path / "disk", tmp_path / "cut"
    with charging(image, synchronous) as writer:
        power = Power(image)
        for _ in range(CUTS):
            time.sleep(moments.random() / 25)
            for tries in count():
                if tries == 100:  # no copy is quick enough here while it charges
                    writer.process.send_signal(signal.SIGSTOP)
                acknowledged = writer.acknowledged()
                if power.cut(copy):
                    break
            later = writer.acknowledged()
            writer.process.send_signal(signal.SIGSTOP)  # so that the log stays short
            with mounted(copy) as found:
                yield Cut(acknowledged, later, found / "toll.db")
            writer.process.send_signal(signal.SIGCONT)


def events(log: Path) -> dict[int, bytes]:
    with Ledger.open(log) as ledger:
        return {entry.seq: encode(entry.event) for entry in ledger.events()}


@pytest.mark.parametrize("seed", range(4))
def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    tried = 0
    with closing(cuts(tmp_path, seed)) as all_cuts:
        for before, after, log in all_cuts:
            assert audit(log).clean
            found = events(log)
            assert {seq: found.get(seq) for seq in before} == before
            assert len(found) <= len(after) + 4  # the plan, the gift in two, and a charge under way
            assert audit(log).clean
            tried += 1
    assert tried == CUTS


@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL"])
def test_a_log_that_is_not_synced_loses_what_was_acknowledged(
    tmp_path: Path, synchronous: str, report: Callable[[str], None]
) -> None:
    """So the test above could see a loss."""
    lost = 0
    with closing(cuts(tmp_path, 0, synchronous)) as all_cuts:
        for before, _, log in all_cuts:
            try:
                lost += not before.items() <= events(log).items()
            except LedgerError:
                lost += 1
    report(f"{lost} of {CUTS} cuts lost something")
    assert lost


@needs_strace
@pytest.mark.parametrize("sync", [12, 13, 15, 16, 17, 28])
def test_what_was_said_not_to_be_written_is_not_there_after_a_power_cut(tmp_path: Path, sync: int) -> None:
    """Its sync failed, once: a later one may have brought it to the disk, where nobody must find it."""
    image, copy = tmp_path / "disk", tmp_path / "cut"
    make(image, megabytes=8, block=1024)
    with mounted(image) as disk:
        under = strace([disk / "toll.db-wal"], tmp_path / "trace", f"fdatasync:error=EIO:when={sync}")
        with closing(Writer(disk / "toll.db", under=under)) as writer:
            key = writer.not_written()
            while not Power(image).cut(copy):
                pass
            with mounted(copy) as found:
                left = events(found / "toll.db")
                assert audit(found / "toll.db").clean
    assert key not in b"".join(left.values())
    assert len(left) >= 3  # the plan and the gift
