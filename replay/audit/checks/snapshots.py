"""Snapshots: a cache of our version must be equal to the books that the log results in at its sequence."""

from __future__ import annotations

import msgspec

from ledger.books import Books
from ledger.log import Snapshot

from .case import Case

KIND = "snapshot"


def judge(case: Case, snapshot: Snapshot, hash_: bytes) -> None:
    """Compare a snapshot with the books at its sequence. One that is bound to another hash is never loaded."""
    if snapshot.hash != hash_ or case.passed_over:
        return
    case.findings.checked[KIND] += 1
    if snapshot.body != case.books.dump():
        field, message = _differs(case.books, snapshot.body)
        case.findings.add(KIND, snapshot.seq, field, None, None, message)


def _differs(books: Books, body: bytes) -> tuple[str, str]:
    try:
        cached = Books.load(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return "body", f"the snapshot holds no books: {error}"
    for number, account in books.accounts.items():
        if cached.accounts.get(number) != account:
            return f"accounts.{number}", f"account {number} is not equal to that folded from the log"
    return "body", "the books are not equal to those folded from the log"
