"""Totals of a log for the report, summed from the books that the audit has folded itself.

They are summed account by account, so that the parts of an audit add up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from ledger.events import EscrowAsset
from ledger.events import tag as tag_of

from .checks.case import Case
from .checks.settled import OwnAsset
from .totals import AssetTotal, PlanTotal, Totals


@dataclass(slots=True)
class Tally:
    """Sums of the accounts that were judged here: events by type, and by plan or asset what `Totals` has."""

    events: Counter[str] = field(default_factory=Counter)
    accounts: Counter[str] = field(default_factory=Counter)
    credits: Counter[str] = field(default_factory=Counter)
    spent: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    owed: Counter[str] = field(default_factory=Counter)
    sold: Counter[str] = field(default_factory=Counter)
    earned: Counter[str] = field(default_factory=Counter)
    direct: Counter[str] = field(default_factory=Counter)
    receivable: Counter[str] = field(default_factory=Counter)
    written_off: Counter[str] = field(default_factory=Counter)
    plans: dict[str, int] = field(default_factory=dict)
    assets: dict[str, int] = field(default_factory=dict)
    policies: set[tuple[str, int]] = field(default_factory=set)

    def add(self, other: Tally) -> None:
        """Add the sums of other accounts."""
        for name in _SUMS:
            getattr(self, name).update(getattr(other, name))
        self.plans |= other.plans
        self.assets |= other.assets
        self.policies |= other.policies


_SUMS = [each.name for each in fields(Tally) if each.default_factory is Counter]


def tally(case: Case) -> Tally:
    """Sum the accounts of the case, and the events that were folded in it."""
    sums = Tally(events=Counter({tag_of(event): number for event, number in case.types.items()}))
    for name, plan in case.books.plans.items():
        sums.plans[name] = plan.terms.decimals
        sums.policies |= {(tariff.policy, tariff.policy_version) for tariff in plan.tariffs}
    for account in case.accounts():
        sums.accounts[account.plan] += 1
        sums.owed[account.plan] += account.debt
        if account.billing is not None:
            asset = case.books.plans[account.plan].terms.asset
            sums.receivable[asset] += account.billing.owed
            sums.written_off[asset] += account.billing.written_off
            sums.assets[asset] = case.books.decimals(asset)
        for lot in account.lots.values():
            sums.credits[account.plan] += lot.credits
            sums.spent[account.plan] += lot.spent
            sums.left[account.plan] += lot.credits if lot.waits else lot.left
            if lot.cost:
                earned = lot.earned(case.at)
                sums.sold[lot.asset] += lot.cost - lot.refunded
                sums.earned[lot.asset] += earned
                sums.direct[lot.asset] += earned if lot.funding == "direct" else 0
                sums.assets[lot.asset] = case.books.decimals(lot.asset)
    return sums


def totals(sums: Tally, settled: Mapping[EscrowAsset, OwnAsset]) -> Totals:
    """Build the report's totals. `settled` has what batches settled, by contract and asset."""
    by_batches: Counter[str] = Counter()
    for escrow, own in settled.items():
        by_batches[escrow.asset] += sum(own.settled.values())
    policies: dict[str, tuple[int, ...]] = {}
    for policy, version in sorted(sums.policies):
        policies[policy] = (*policies.get(policy, ()), version)
    return Totals(
        events=dict(sorted(sums.events.items())),
        accounts=sums.accounts.total(),
        plans=tuple(
            PlanTotal(
                plan=plan,
                decimals=decimals,
                accounts=sums.accounts[plan],
                credits=sums.credits[plan],
                spent=sums.spent[plan],
                ended=sums.credits[plan] - sums.spent[plan] - sums.left[plan],
                left=sums.left[plan],
                owed=sums.owed[plan],
            )
            for plan, decimals in sorted(sums.plans.items())
        ),
        assets=tuple(
            AssetTotal(
                asset=asset,
                decimals=sums.assets.get(asset, 0),
                sold=sums.sold[asset],
                earned=sums.earned[asset],
                settled=sums.direct[asset] + by_batches[asset],
                receivable=sums.receivable[asset],
                written_off=sums.written_off[asset],
            )
            for asset in sorted({*sums.assets, *by_batches})
        ),
        policies=policies,
    )
