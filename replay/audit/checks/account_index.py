"""The index of accounts: a part that a reader would load must have the events of each account, and no others."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.account_index import encode_part
from ledger.events import Charged, Recorded, Released, Requested
from ledger.log import TEXT, IndexPart
from ledger.log.bodies import UNREADABLE, decode

from ..findings import Findings
from ..rows import Source, Unreadable
from .snapshots import KIND


def judge(findings: Findings, log: Source) -> None:
    """Derive each part from the log again, and compare. One that is bound to another hash is never loaded."""
    parts = {part.upto: part for part in log.index()}
    after, seqs = 0, dict[int, list[int]]()
    requests: dict[int, int] = {}
    for last, hash_, numbered in _commits(log) if parts else ():
        for seq, event in numbered:
            if account := _account(seq, event, requests):
                seqs.setdefault(account, []).append(seq)
        part = parts.get(last)
        if part is not None and (part.after, part.hash) == (after, hash_):
            if part.body != encode_part(after, seqs):
                findings.add(KIND, last, "index", None, None, _message(part))
            after, seqs = last, {}


def _commits(log: Source) -> Iterator[tuple[int, bytes | None, list[tuple[int, Recorded]]]]:
    """The last sequence of each commit, its hash, and its events; up to the first that cannot be read."""
    try:
        for row in log.rows():
            numbered = list(enumerate(decode(TEXT, row.body or b""), row.first_seq))
            yield row.first_seq + len(numbered) - 1, row.hash, numbered
    except (Unreadable, *UNREADABLE):
        return


def _account(seq: int, event: Recorded, requests: dict[int, int]) -> int:
    if isinstance(event, Requested):
        requests[seq] = event.account
    elif isinstance(event, Released):
        return requests.pop(event.request, 0)
    elif isinstance(event, Charged) and event.final:
        requests.pop(event.request, None)
    return getattr(event, "account", 0)


def _message(part: IndexPart) -> str:
    return f"the index of accounts after {part.after} does not have the log's events: drop it, it is made again"
