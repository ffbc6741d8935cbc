"""Prices and roots that an audit could not compute again, by the policy or the kind of chain that would be needed.

They are no findings: nothing speaks against them, and nothing proves them. So the verdict names them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from ledger.amounts import counted
from ledger.errors import LedgerError
from ledger.plugins import chains, policies
from ledger.plugins.discovery import described

BUILT_IN_POLICIES = frozenset({"complexity", "cost_plus", "graduated", "package", "per_credit", "time", "volume"})
BUILT_IN_CHAINS = frozenset({"eip155", "mock"})
"""Plugins that come with Tollbook, by name: a list, because it is needed where they cannot be loaded."""

Priced: TypeAlias = Literal["charges", "corrections", "holds"]
"""Events with a price, by how they are counted."""


class UnverifiedPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy, in the version that tariffs name, whose prices could not be computed again, and why.

    `charges`, `corrections` (by usage) and `holds` (of requests) count events. `installed` is False where no policy of
    that name could be loaded; else its version differs, or it fails. `built_in` policies come with Tollbook.
    """

    policy: str
    version: int
    charges: int = 0
    corrections: int = 0
    holds: int = 0
    installed: bool
    built_in: bool
    reason: str


class Unverified(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of what could not be verified.

    `charges` by `policies`, of which `by_policy` has more; `batches` whose roots no installed plugin can compute, and
    their `chains`; `facts` are purchases and exits on a chain of plans that the log lacks: they are not the log's.
    `built_in_missing` names plugins that come with Tollbook and that could not be loaded: it is not installed whole.
    """

    charges: int
    policies: tuple[str, ...]
    batches: int = 0
    chains: tuple[str, ...] = ()
    facts: int = 0
    prices: int = 0
    by_policy: tuple[UnverifiedPolicy, ...] = ()
    built_in_missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Count in words, such as `2,098 prices and 3 batch roots`; empty if all was verified."""
        holds = sum(each.holds for each in self.by_policy)
        found = [(self.prices, "price")] if self.prices else [(holds, "hold")]
        found.append((self.batches, "batch root"))
        return " and ".join(counted(number, name) for number, name in found if number)


def not_verified(gaps: Unverified) -> Iterator[str]:
    """Yield one sentence for each policy and kind of chain that could not verify something, with the reason."""
    for each in gaps.by_policy:
        found = ((each.charges, "charge"), (each.corrections, "correction"), (each.holds, "hold"))
        numbers = ", ".join(counted(number, name) for number, name in found if number)
        yield f"{numbers} by {each.policy!r}, version {each.version}: {each.reason}"
    if gaps.batches:
        yield f"the roots of {gaps.batches:,} batches, without a plugin for: {', '.join(gaps.chains)}"
    if gaps.facts:
        yield f"{gaps.facts:,} purchases or exits on the chain, of plans that the log lacks"
    if gaps.built_in_missing:
        yield f"Tollbook is not installed whole, since it brings: {', '.join(gaps.built_in_missing)}"


@dataclass(slots=True)
class Gap:
    """The events of one policy and version that could not be priced; `seq` is the first one's, and `reason` its."""

    seq: int
    reason: str
    charges: int = 0
    corrections: int = 0
    holds: int = 0


Gaps: TypeAlias = dict[tuple[str, int], Gap]
"""Gaps by policy and version."""


def reason_of(error: Exception) -> str:
    """Return why a policy computed no price, from what it raised."""
    return str(error) if isinstance(error, LedgerError) else described(error)


def count(gaps: Gaps, policy: tuple[str, int], seq: int, reason: str, priced: Priced) -> None:
    """Count one event whose price could not be computed again."""
    gap = gaps.setdefault(policy, Gap(seq, reason))
    setattr(gap, priced, getattr(gap, priced) + 1)


def add(gaps: Gaps, others: Mapping[tuple[str, int], Gap]) -> None:
    """Add the gaps that another part of the audit has counted."""
    for policy, other in others.items():
        gap = gaps.setdefault(policy, Gap(other.seq, other.reason))
        gap.charges, gap.corrections = gap.charges + other.charges, gap.corrections + other.corrections
        gap.holds += other.holds
        if other.seq < gap.seq:
            gap.seq, gap.reason = other.seq, other.reason


def unverified(gaps: Gaps, batches: Mapping[str, int]) -> Unverified:
    """Build the report's part. `batches` counts those whose roots could not be computed, by chain."""
    loaded = set(policies.names()) if gaps else set()
    by_policy = tuple(
        UnverifiedPolicy(
            policy=name,
            version=version,
            charges=gap.charges,
            corrections=gap.corrections,
            holds=gap.holds,
            installed=name in loaded,
            built_in=name in BUILT_IN_POLICIES,
            reason=gap.reason,
        )
        for (name, version), gap in sorted(gaps.items())
    )
    return Unverified(
        charges=sum(each.charges for each in by_policy),
        policies=tuple(sorted({each.policy for each in by_policy})),
        batches=sum(batches.values()),
        chains=tuple(sorted(batches)),
        prices=sum(each.charges + each.corrections for each in by_policy),
        by_policy=by_policy,
        built_in_missing=tuple(sorted(_missing(by_policy, batches))),
    )


def _missing(by_policy: Iterable[UnverifiedPolicy], batches: Iterable[str]) -> set[str]:
    kinds = {chain.partition(":")[0] for chain in batches} & BUILT_IN_CHAINS
    return {each.policy for each in by_policy if each.built_in and not each.installed} | (
        kinds - set(chains.names() if kinds else ())
    )
