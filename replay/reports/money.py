"""Money as `settle` and `batches` answer it: what was earned, what came of it, and where the rest is outstanding."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ledger import Ledger
from ledger.books import Books
from ledger.readings import Earned, Reading

from .unsettled import UNFUNDED, ReadCommits, oldest_unsettled, outstanding_by_chain


class Receiver(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver's money in the asset's smallest unit: earned = settled + outstanding."""

    receiver: str
    earned: int
    settled: int
    outstanding: int


class Left(NamedTuple):
    """The remainder of rounding down what lots have earned: it belongs to no receiver until a lot is used up."""

    earned: int
    settled: int
    outstanding: int


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """An asset's money in its smallest unit: earned = settled + outstanding.

    outstanding = Σ outstanding_on (by chain) + unfunded, which was earned from purchases and paid invoices that no
    chain holds. `receivable` is owed on invoices, and part of none of these: it is earned when it is paid.
    """

    asset: str
    asset_decimals: int
    earned: int
    settled: int
    outstanding: int
    outstanding_on: dict[str, int]
    unfunded: int
    receivable: int
    oldest_unsettled: int | None
    receivers: list[Receiver]

    @property
    def is_due(self) -> bool:
        """True if a receiver is due anything, or owes it: no batch can pay the remainder of rounding alone."""
        return any(receiver.outstanding for receiver in self.receivers)

    @property
    def left_by_rounding(self) -> Left:
        """The asset's money less the receivers'."""
        names = ("earned", "settled", "outstanding")
        return Left(*(getattr(self, name) - sum(getattr(one, name) for one in self.receivers) for name in names))


def money_of(read: ReadCommits, books: Books) -> list[Money]:
    """Return by asset the money earned, settled and outstanding, and each receiver's part, as of the books."""
    oldest, places = oldest_unsettled(read, books), outstanding_by_chain(books)
    return [
        Money(
            asset=each.asset,
            asset_decimals=each.asset_decimals,
            earned=each.earned,
            settled=each.settled,
            outstanding=each.outstanding,
            outstanding_on={
                chain: amount for (asset, chain), amount in places.items() if asset == each.asset and chain != UNFUNDED
            },
            unfunded=places.get((each.asset, UNFUNDED), 0),
            receivable=each.receivable,
            oldest_unsettled=oldest.get(each.asset),
            receivers=[_receiver(each, name) for name in sorted(each.due)],
        )
        for each in Reading(books, books.at).earned()
    ]


def money_now(ledger: Ledger) -> tuple[list[Money], int]:
    """Return the money of an open ledger as `money_of` does, and the time of its last commit (UTC microseconds)."""
    books = Books.load(ledger.state())
    return money_of(ledger.commits, books), books.at


def _receiver(asset: Earned, name: str) -> Receiver:
    earned, outstanding = asset.receivers.get(name, 0), asset.due[name]
    return Receiver(receiver=name, earned=earned, settled=earned - outstanding, outstanding=outstanding)
