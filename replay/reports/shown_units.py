"""Decimals for the amounts of any event of a log, by the books at its end."""

from __future__ import annotations

from ledger.books import Books
from ledger.events import Event
from ledger.readings import Reading
from ledger.statements import Units


class ShownUnits:
    """Units by event. An event that names no account is known by the lots that it draws on or pays from."""

    def __init__(self, books: Books) -> None:
        self._books, self._reading = books, Reading(books, books.at)
        self._by_lot: dict[int, int] = {}
        for number, account in books.accounts.items():
            self._by_lot.update(dict.fromkeys(account.lots, number))

    def of(self, event: Event) -> Units:
        """Return how an event's amounts are shown; those of an unknown account have no decimals."""
        number = self._books.account_of(event) or next(
            (self._by_lot[lot] for lot, _ in getattr(event, "repaid", ()) if lot in self._by_lot), 0
        )
        account = self._books.accounts.get(number)
        return Units() if account is None else self._reading.units(account.subscriber, account.plan)
