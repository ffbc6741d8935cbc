"""A process that charges without end and says what was acknowledged: `python charging_writer.py LOG [SYNCHRONOUS]`.

It takes snapshots on its way, and opens the log again now and then, so that its side files come and go. Told that a
charge was not written, it says which, and waits.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count

from ledger import Charge, CreatePlan, Give, Ledger
from ledger.errors import NotWritten
from ledger.events import encode
from ledger.stores.sqlite import SQLiteStore

AT = 1_700_000_000_000_000


def opened(log: str, synchronous: str) -> Ledger:
    """The log, synced as a ledger does, or less."""
    store = SQLiteStore(log, id="toll")
    assert store._connection is not None
    store._connection.execute(f"PRAGMA synchronous = {synchronous}")
    return Ledger(store, clock=lambda: AT)


def charge(log: str, synchronous: str = "FULL") -> None:
    """A line for each charge: its sequence and its event, written once it was acknowledged."""
    with opened(log, synchronous) as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", credits=1, key="plan")).unwrap()
        ledger.execute(Give(subscriber="alice", plan="pro", credits=10**9, key="gift")).unwrap()
    numbers = count()
    while True:
        with opened(log, synchronous) as ledger:
            for number in range(60):
                charge = Charge(subscriber="alice", plan="pro", key=f"charge {next(numbers)}")
                try:
                    answer = ledger.execute(charge).unwrap()
                except NotWritten:
                    os.write(1, f"not written: {charge.key}\n".encode())
                    signal.pause()
                os.write(1, b"%d %s\n" % (answer.seq, encode(answer.event)))
                if number % 25 == 24:
                    ledger.snapshot()


if __name__ == "__main__":
    charge(*sys.argv[1:])
