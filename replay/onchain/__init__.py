"""A log against its chain, in both directions: batches, purchases, payouts and escrow.

    from replay import audit

    report = audit("toll.db", chains=[chain])

`compare` says which invariants hold between the two, `log_side` and `chain_side` read them. Both move while they are
read. The log is read before the chain and after it, so that what was there before is looked for on the chain, and what
the chain has is looked for in what the log came to. And what differs at one look counts only if it does so at the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from ledger.plugins import Chain, Store

from ..findings import Findings, Report, in_order
from .chain_side import ChainSide
from .compare import KINDS, Comparison, Difference, receivers
from .log_side import LogSide, read

__all__ = ["KINDS", "LogSide", "compared", "read"]


def compared(report: Report, where: str | Path | Store, chains: Sequence[Chain]) -> Report:
    """A report, and what differs between the log and these contracts beside it.

    A log that cannot be read to its end, which the report says, is not compared. Raises ChainUnavailable.
    """
    findings = Findings()
    log = read(where)
    for chain in chains:
        if log.whole:
            log = _compare(where, log, chain, findings)
    found = in_order([*report.findings, *findings.listed])
    return replace(
        report,
        verdict="findings" if found else "clean",
        checks=(*report.checks, *findings.checks(KINDS)),
        findings=found,
    )


def _compare(where: str | Path | Store, early: LogSide, chain: Chain, findings: Findings) -> LogSide:
    """Compare one contract; the log as it was read last."""
    side, place = ChainSide(chain), (chain.name, chain.contract)
    suspected: set[tuple[object, ...]] | None = None
    while True:
        known = early.contract(*place)
        look = side.look(receivers(known), known.batches)
        late = read(where, early)
        if not late.whole:
            return late
        comparison = Comparison(place, early, late, look)
        differences = list(comparison.differences())
        if suspected is not None or not differences:
            findings.checked.update(comparison.compared)
            for each in _both(differences, suspected or ()):
                findings.add(each.kind, each.seq, each.field, each.expected, each.found, each.message)
            return late
        suspected = {each.key for each in differences}
        early = late


def _both(differences: Iterable[Difference], suspected: Iterable[tuple[object, ...]]) -> Iterator[Difference]:
    known = set(suspected)
    return (each for each in differences if each.key in known)
