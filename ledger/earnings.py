"""Money earned by all accounts, by asset."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from .accounts import Account
from .books import Books
from .shown import Shown


class Earned(Shown, frozen=True, kw_only=True):
    """The earnings of an asset's lots so far, in its smallest unit: in total, and by receiver. The receivers' parts may
    sum to less: the remainder of rounding down belongs to no receiver until a lot is used up.

    `asset_decimals` (0: none, or unknown) say how amounts are shown: 950 with 2 is 9.50.
    `settled` is the money that receivers have: confirmed payouts, and the earnings of directly funded lots.
    `outstanding` is earned − settled; `due` is the same by receiver, below 0 for a receiver that was overpaid.
    `receivable` is owed on invoices, and not earned before it is paid; `written_off` will not be paid.
    """

    money_shown = "sold", "earned", "settled", "outstanding", "receivers", "due", "receivable", "written_off"

    asset: str
    asset_decimals: int
    sold: int
    earned: int
    settled: int
    outstanding: int
    receivers: dict[str, int]
    due: dict[str, int]
    receivable: int = 0
    written_off: int = 0


def earned_of(accounts: Iterable[Account], books: Books, at: int) -> list[Earned]:
    """Return the money that accounts have earned at a time (UTC microseconds), at which they are due, by asset.

    `books` has their plans and the settlements.
    """
    sold, earned, settled = Counter[str](), Counter[str](), Counter[str]()
    shares: dict[str, Counter[str]] = defaultdict(Counter)
    paid: dict[str, Counter[str]] = defaultdict(Counter)
    owed, written_off = Counter[str](), Counter[str]()
    for now in accounts:
        if now.billing is not None:
            asset = books.plans[now.plan].terms.asset
            owed[asset] += now.billing.owed
            written_off[asset] += now.billing.written_off
        for lot in now.lots.values():
            if lot.cost:
                parts, whole = lot.shares_earned(at), lot.earned(at)
                sold[lot.asset] += lot.cost - lot.refunded
                earned[lot.asset] += whole
                shares[lot.asset].update(parts)
                if lot.funding == "direct":
                    settled[lot.asset] += whole
                    paid[lot.asset].update(parts)
    for settling in books.settlings.values():
        for asset, receivers in settling.settled.items():
            settled[asset] += sum(receivers.values())
            paid[asset].update(receivers)
    return [
        Earned(
            asset=asset,
            asset_decimals=books.decimals(asset),
            sold=sold[asset],
            earned=earned[asset],
            settled=settled[asset],
            outstanding=earned[asset] - settled[asset],
            receivers=dict(shares[asset]),
            due={name: shares[asset][name] - paid[asset][name] for name in {**shares[asset], **paid[asset]}},
            receivable=owed[asset],
            written_off=written_off[asset],
        )
        for asset in sorted({*earned, *settled, *owed})
    ]
