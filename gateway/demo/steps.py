"""What to look at next: commands that work on the log of a demo, and show something there is to see."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from ledger.events import (
    Adjusted,
    Charged,
    EscrowFunding,
    Purchased,
    Recorded,
    SettlementConfirmed,
    SettlementOpened,
)
from ledger.log import entries
from ledger.plugins import stores

from .run import sweep
from .summary import Summary

_LATER = "pays what runs out between the trace's time and your clock's: the next entry of the log is of today"


def next_steps(summary: Summary) -> list[tuple[str, str]]:
    """Commands that work on this log, each with what it shows."""
    log = shlex.quote(summary.log)
    sql = "select seq, at, account, request, credits from events where type = 'charged' limit 5"
    steps = _about(log, example) if (example := _example(Path(summary.log))) else []
    if summary.batches:
        steps.append((f"tollbook batches {log}", "what was settled, batch by batch"))
    return [
        *steps,
        (f"tollbook balance {log}", "what every subscriber has left"),
        (f"tollbook audit {log}", "the same audit again, from the file alone"),
        (f'sqlite3 {log} "{sql}"', "charges in the log itself, with nothing of ours installed"),
        *([(f"tollbook settle {log}", _LATER)] if summary.batches and summary.onchain is None else []),
        *([("tollbook chain up", "a local EVM chain that stays, to sell and settle on")] if summary.onchain else []),
    ]


class _Example(NamedTuple):
    """A charge, who paid it, what its correction says, and the last confirmed batch with a leaf of it (0: none)."""

    charge: int
    subscriber: str
    plan: str
    correction: str
    batch: int


def _about(log: str, example: _Example) -> list[tuple[str, str]]:
    statement = f"tollbook statement {log} --subscriber {shlex.quote(example.subscriber)}"
    statement, why = f"{statement} --plan {shlex.quote(example.plan)}", "every movement of the account that paid it"
    if example.batch:
        statement += f" --proof {example.batch}"
        why += f", and the proof that batch {example.batch} counts it"
    return [
        (f"tollbook explain {log} {example.charge}", f"how this charge came about, and its {example.correction}"),
        (statement, why),
    ]


class _Scan:
    """What the example is chosen from, as the events tell it."""

    def __init__(self) -> None:
        self.accounts: dict[int, tuple[str, str]] = {}
        self.charges: dict[int, Charged] = {}
        self.corrections: dict[int, str] = {}
        self.confirmed = 0
        self._escrowed: set[int] = set()
        self._leaves: dict[int, frozenset[int]] = {}

    def take(self, seq: int, event: Recorded) -> None:
        match event:
            case Purchased():
                self.accounts.setdefault(event.account, (event.subscriber, event.plan))
                if isinstance(event.funding, EscrowFunding):
                    self._escrowed.add(event.account)
            case Charged():
                self.charges[seq] = event
            case Adjusted() if event.charge:
                words = event.reason.replace("_", "-")
                self.corrections.setdefault(event.charge, f"{words} ({event.note})" if event.note else words)
            case SettlementOpened():
                self._leaves[event.number] = frozenset(self._escrowed)
            case SettlementConfirmed():
                self.confirmed = event.number

    def is_proven(self, account: int) -> bool:
        """Whether the last confirmed batch has a leaf of the account."""
        return account in self._leaves.get(self.confirmed, frozenset())


def _example(path: Path) -> _Example | None:
    """A charge that was corrected, if there is one: of credits, of an account that was settled, of a short story."""
    scan = _Scan()
    store = stores.get("sqlite")(path, read_only=True)
    try:
        for entry in entries(store.read()):
            scan.take(entry.seq, entry.event)
    finally:
        store.close()
        sweep(path)
    length = Counter(charged.account for charged in scan.charges.values())

    def fitness(seq: int) -> tuple[bool, bool, int, int]:
        charged = scan.charges[seq]
        return not charged.credits, not scan.is_proven(charged.account), length[charged.account], seq

    if not scan.charges:
        return None
    charge = min(scan.corrections or scan.charges, key=fitness)
    account = scan.charges[charge].account
    batch = scan.confirmed if scan.is_proven(account) else 0
    return _Example(charge, *scan.accounts[account], scan.corrections.get(charge, "corrections"), batch)
