"""Conservation over all accounts: every unit sums to zero, and money paid is what lots cost less what left them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ledger.movements import CREDITS

from .case import Case


@dataclass(slots=True)
class Counted:
    """Sums over accounts and movements. Those of a part of the accounts add up to those of all.

    `units` are the sums of all legs, `legs` those of money by (leg, asset, receiver). `kept` is by asset what lots
    cost less what left them, `direct` the part of it that receivers had directly, and `directly` those receivers.
    `escrow` is True if there is any money in escrow, or a batch.
    """

    units: Counter[str] = field(default_factory=Counter)
    legs: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    direct: Counter[str] = field(default_factory=Counter)
    directly: set[tuple[str, str]] = field(default_factory=set)
    accounts: int = 0
    escrow: bool = False

    def add(self, other: Counted) -> None:
        """Add the sums of other accounts."""
        self.units.update(other.units)
        self.legs.update(other.legs)
        self.kept.update(other.kept)
        self.direct.update(other.direct)
        self.directly |= other.directly
        self.accounts += other.accounts
        self.escrow = self.escrow or other.escrow


def count(case: Case) -> Counted:
    """Count the accounts of the case, and its whole journal."""
    counted = Counted(escrow=bool(case.settled.lots or case.settled.contracts))
    for lots in filter(None, case.journal.lots.values()):
        counted.units[CREDITS] += sum(map(sum, lots.values()))
    for (asset, place, _, _, receiver), amount in case.journal.money.items():
        counted.units[asset] += amount
        counted.legs[place, asset, receiver] += amount
    for account in case.accounts():
        counted.accounts += 1
        for lot in account.lots.values():
            counted.kept[lot.asset] += lot.cost - lot.refunded
            if lot.funding == "direct":
                counted.direct[lot.asset] += lot.cost - lot.refunded
                counted.directly |= {(lot.asset, share.receiver) for share in lot.shares}
    return counted


def end(case: Case, counted: Counted) -> None:
    """Check that each unit sums to zero, and that payers paid what lots cost, less what left them."""
    checked = case.findings.checked
    for unit, amount in counted.units.items():
        checked["conservation"] += 1
        if amount:
            case.findings.add("conservation", None, "total", 0, amount, f"all legs of {unit} do not sum to zero")
    paid = {asset: -amount for (place, asset, _), amount in counted.legs.items() if place == "payer"}
    for asset in sorted({*counted.kept, *paid}):
        checked["books"] += 1
        sold, given = counted.kept[asset], paid.get(asset, 0)
        if sold != given:
            message = f"the money of {asset} differs from the sum of its movements"
            case.findings.add("books", None, "money", sold, given, message)
