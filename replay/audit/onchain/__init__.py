"""A log against its chain, in both directions: batches, purchases, payouts and escrow.

    from replay import audit

    report = audit("toll.db", chains=[chain])

`compare` has the invariants between the two, `log_side` and `chain_side` read them. Both move during the audit, and
neither can be stopped for it. Each is read twice, in the order log, chain, log, chain; a difference is reported only if
both readings show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from ledger.plugins import Chain, Store, contract_of

from ..findings import Check, Findings, Report, in_order, verdict
from .chain_side import ChainSide
from .compare import KINDS, Comparison, EarnedByBatch
from .log_side import LogSide, read, receivers

__all__ = ["KINDS", "EarnedByBatch", "LogSide", "compared", "read"]


def compared(
    report: Report, where: str | Path | Store, chains: Sequence[Chain], earned: EarnedByBatch | None = None
) -> Report:
    """A report, and what differs between the log and these contracts beside it. `earned` is what was earned by the log
    when its batches were opened: without it, escrow is not held to what is unspent.

    A log that cannot be read to its end, which the report says, is not compared. Raises ChainUnavailable.
    """
    findings, foreign = Findings(), 0
    log = read(where)
    for chain in chains:
        if log.readable:
            log, more = _compare(where, log, chain, (earned or {}).get(contract_of(chain), {}), findings)
            foreign += more
    found = in_order([*report.findings, *findings.listed])
    return replace(
        report,
        verdict=verdict(found, report.unverified),
        unverified=replace(report.unverified, facts=foreign),
        checks=(*(_counted(check, findings) for check in report.checks), *findings.checks(KINDS)),
        findings=found,
    )


def _counted(check: Check, findings: Findings) -> Check:
    """A check of the log with what was found of it on the chain."""
    more = findings.counts[check.name]
    return replace(check, findings=check.findings + more) if more else check


def _compare(
    where: str | Path | Store, log: LogSide, chain: Chain, earned: Mapping[str, int], findings: Findings
) -> tuple[LogSide, int]:
    """Compare one contract; the log as it was read last, and how many facts are of plans that it lacks."""
    side, contract_ref = ChainSide(chain), contract_of(chain)
    suspected: set[tuple[object, ...]] | None = None
    while True:
        known = log.contract(contract_ref)
        reading = side.read(receivers(known), known.batches)
        log = read(where, log)
        if not log.readable:
            return log, 0
        comparison = Comparison(contract_ref, log, reading, earned)
        differences = list(comparison.differences())
        if suspected is not None or not differences:
            findings.checked.update(comparison.compared)
            for each in differences:
                if each.key in (suspected or ()):
                    findings.add(each.kind, each.seq, each.field, each.expected, each.found, each.message)
            return log, comparison.foreign
        suspected = {each.key for each in differences}
