"""The power goes while a process charges: all that was acknowledged before is on the disk, and nothing is half there."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import charging_writer
import pytest
from loop_images import Power, make, mounted, needs_loop_devices

from ledger import Ledger
from ledger.errors import LedgerError
from ledger.events import encode
from replay.audit import audit

CUTS = 25

pytestmark = [pytest.mark.sweep, needs_loop_devices]


class Writer:
    """The process that charges, and what it has said so far."""

    def __init__(self, log: Path, synchronous: str) -> None:
        command = [sys.executable, charging_writer.__file__, str(log), synchronous]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self._said, self._pipe = b"", self.process.stdout.fileno()
        os.set_blocking(self._pipe, False)

    def acknowledged(self) -> dict[int, bytes]:
        """The events of all charges that were acknowledged up to now, by their sequences."""
        while True:
            try:
                more = os.read(self._pipe, 1 << 16)
            except BlockingIOError:
                break
            assert more, "the process has ended"
            self._said += more
        lines = [line.split(b" ", 1) for line in self._said.split(b"\n")[:-1]]
        return {int(seq): event for seq, event in lines}

    def close(self) -> None:
        """End the process, and wait until its files are closed."""
        self.process.kill()
        self.process.communicate()


@contextmanager
def charging(image: Path, synchronous: str) -> Iterator[Writer]:
    """A writer that charges on the file system of an image, and has begun to."""
    make(image, megabytes=8, block=1024)  # small ones, so that a page may be there in part
    with mounted(image) as disk, closing(Writer(disk / "toll.db", synchronous)) as writer:
        while not writer.acknowledged():
            time.sleep(0.01)
        yield writer


def cuts(tmp_path: Path, seed: int, synchronous: str = "FULL") -> Iterator[tuple[dict[int, bytes], Path]]:
    """The power is cut at odd moments: what was acknowledged by then, and the log that is found afterwards."""
    moments = random.Random(seed)
    image, copy = tmp_path / "disk", tmp_path / "cut"
    with charging(image, synchronous) as writer:
        power = Power(image)
        for _ in range(CUTS):
            time.sleep(moments.random() / 25)
            acknowledged = writer.acknowledged()
            while not power.cut(copy):
                acknowledged = writer.acknowledged()
            writer.process.send_signal(signal.SIGSTOP)  # so that the log stays short
            with mounted(copy) as found:
                yield acknowledged, found / "toll.db"
            writer.process.send_signal(signal.SIGCONT)


def events(log: Path) -> dict[int, bytes]:
    with Ledger.open(log) as ledger:
        return {entry.seq: encode(entry.event) for entry in ledger.events()}


@pytest.mark.parametrize("seed", range(4))
def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    tried, charges = 0, 0
    for acknowledged, log in cuts(tmp_path, seed):
        assert audit(log).clean
        found = events(log)
        assert {seq: found.get(seq) for seq in acknowledged} == acknowledged
        assert len(found) <= len(acknowledged) + 4
        assert audit(log).clean
        tried, charges = tried + 1, len(acknowledged)
    assert tried == CUTS
    assert charges > 2 * CUTS


@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL"])
def test_a_log_that_is_not_synced_loses_what_was_acknowledged(
    tmp_path: Path, synchronous: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """So the test above could see a loss."""
    lost = 0
    for acknowledged, log in cuts(tmp_path, 0, synchronous):
        try:
            lost += not acknowledged.items() <= events(log).items()
        except LedgerError:
            lost += 1
    with capsys.disabled():
        print(f" {lost} of {CUTS} cuts lost something")
    assert lost
