"""The stored older keys: those that the log has up to their end, and no others, but for keys whose time was over."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.accounts import Account
from ledger.books import Books, KeyUse
from ledger.catalogue import Agent, Plan
from ledger.errors import Damaged
from ledger.events import AgentRegistered, Charged, PlanCreated, Purchased, Recorded, Released, Requested, Subscribed
from ledger.identity import key_use
from ledger.log import TEXT, Entry, KeysEnd
from ledger.log.bodies import UNREADABLE, decode

from ..findings import Findings
from ..rows import Source, Unreadable
from .snapshots import KIND

_REMEDY = "drop the tables `older_keys` and `older_keys_end`, they are made again"


class _OtherLog(Exception):
    """The end of the stored keys is that of another log."""


def judge(findings: Findings, log: Source) -> None:
    """Look for each key of the log among the stored ones, and count those. An end of another log is never believed."""
    end = log.keys_end()
    if end is None:
        return
    living, wrong = 0, list[tuple[int, int]]()
    try:
        for digest, (_, seq, until) in _uses(log, end):
            if until > end.at:
                living += 1
                found = _find(log, digest)
                if found != seq:
                    wrong.append((seq, found))
    except (_OtherLog, Unreadable, *UNREADABLE):
        return
    for seq, found in wrong:
        findings.add(KIND, seq, "key", seq, found, f"a stored key was lost or changed: {_REMEDY}")
    stored = log.living_keys()
    if not wrong and stored not in (None, living):
        findings.add(KIND, end.upto, "keys", living, stored, f"keys are stored that the log does not have: {_REMEDY}")


def _find(log: Source, digest: bytes) -> int:
    try:
        return log.find_key(digest)
    except Damaged:
        return 0


class _Names:
    """Names, plans and requests on which the scope of a key and its time depend, from the events up to now."""

    def __init__(self) -> None:
        self.books = Books()
        self._of_plan: dict[str, Account] = {}
        self._requests: dict[int, int] = {}

    def account(self, event: Recorded) -> int:
        """Return the account of an event; 0 for one of the catalogue and of settlements."""
        return getattr(event, "account", 0) or self._requests.get(getattr(event, "request", 0), 0)

    def note(self, seq: int, event: Recorded) -> None:
        """Take up an event."""
        match event:
            case PlanCreated():
                self.books.plans[event.plan] = Plan(event, (event.tariff,))
            case AgentRegistered():
                self.books.agents[event.agent] = Agent(event)
            case Purchased() | Subscribed():  # accounts of one plan share a placeholder: only the plan matters here
                shared = self._of_plan.setdefault(event.plan, Account(0, "", event.plan))
                self.books.accounts.setdefault(event.account, shared)
            case Requested():
                self._requests[seq] = event.account
            case Released() | Charged():
                self._requests.pop(event.request, None)


def _uses(log: Source, end: KeysEnd) -> Iterator[tuple[bytes, KeyUse]]:
    """Yield the uses of keys up to the end. Raises _OtherLog if the log has another hash there, or is shorter."""
    names = _Names()
    for row in log.rows():
        last = row.first_seq
        for last, event in enumerate(decode(TEXT, row.body or b""), row.first_seq):
            account = names.account(event)
            names.note(last, event)
            if event.key is not None and event.fingerprint is not None and last <= end.upto and isinstance(row.at, int):
                yield key_use(names.books, Entry(last, row.at, event), account)
        if last >= end.upto:
            if row.hash != end.hash:
                raise _OtherLog
            return
    raise _OtherLog
