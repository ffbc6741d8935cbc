"""Next steps: commands that work on the log of a demo, each with something to see."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import msgspec

from ledger.plugins import stores
from ledger.stores import MEMORY

from .summary import Summary

_LATER = "pays what expired between the trace's time and your clock's: the next entry of the log is of today"


def next_steps(summary: Summary) -> list[tuple[str, str]]:
    """Return commands that work on this log, each with what it shows; none for a log in memory, which is gone."""
    if summary.log == MEMORY:
        return []
    log = shlex.quote(summary.log)
    sql = "select seq, at, account, request, credits from events where type = 'charged' limit 5"
    steps = _about(log, example) if (example := _example(Path(summary.log))) else []
    if summary.batches:
        steps.append((f"tollbook batches {log}", "what was settled, batch by batch"))
    steps += [
        (f"tollbook balance {log}", "what every subscriber has left"),
        (f"tollbook audit {log}", "the same audit again, from the file alone"),
        (f'sqlite3 {log} "{sql}"', "charges in the log itself, with nothing of ours installed"),
    ]
    if summary.onchain is not None:
        steps.append(("tollbook chain up", "a local EVM chain that stays, to sell and settle on"))
    elif summary.batches:
        steps.append((f"tollbook settle {log}", _LATER))
    return steps


class _Example(NamedTuple):
    """A charge, its account, the words of its correction, and the last confirmed batch with a leaf of it (0: none)."""

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


class _Event(msgspec.Struct):
    """The fields of an event that the example is chosen by."""

    type: str
    account: int = 0
    subscriber: str = ""
    plan: str = ""
    cost: int = 0
    credits: int = 0
    charge: int = 0
    reason: str = ""
    note: str = ""
    number: int = 0


_events = msgspec.json.Decoder(list[_Event])


def _example(path: Path) -> _Example | None:
    """Choose a charge: corrected, of credits, of an account in the last confirmed batch, with few other charges."""
    accounts: dict[int, tuple[str, str]] = {}
    charges: dict[int, _Event] = {}
    corrections: dict[int, str] = {}
    escrowed: dict[int, int] = {}  # accounts, by the sequence of their first purchase with money
    opened: dict[int, int] = {}  # batches, by the sequence of their opening
    confirmed = 0
    store = stores.get("sqlite")(path, read_only=True)
    try:
        for commit in store.read():
            for seq, event in enumerate(_events.decode(commit.body), commit.first_seq):
                match event.type:
                    case "purchased":
                        accounts.setdefault(event.account, (event.subscriber, event.plan))
                        if event.cost:
                            escrowed.setdefault(event.account, seq)
                    case "charged":
                        charges[seq] = event
                    case "adjusted" if event.charge:
                        words = event.reason.replace("_", "-")
                        corrections.setdefault(event.charge, f"{words} ({event.note})" if event.note else words)
                    case "settlement_opened":
                        opened[event.number] = seq
                    case "settlement_confirmed":
                        confirmed = event.number
    finally:
        store.close()
    proven = {account for account, seq in escrowed.items() if seq < opened.get(confirmed, 0)}
    length = Counter(event.account for event in charges.values())

    def fitness(seq: int) -> tuple[bool, bool, int, int]:
        charged = charges[seq]
        return not charged.credits, charged.account not in proven, length[charged.account], seq

    if not charges:
        return None
    charge = min(corrections or charges, key=fitness)
    account = charges[charge].account
    batch = confirmed if account in proven else 0
    return _Example(charge, *accounts[account], corrections.get(charge, "corrections"), batch)
