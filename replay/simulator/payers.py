"""Payers: commands of postpaid plans, about invoices that exist and about some that do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from random import Random

from ledger.books import Books
from ledger.commands import Command, CreatePlan, PayInvoice, Purchase, Reverse, Subscribe, WriteOff

_WEIGHTS: dict[str, int] = {"subscribe": 3, "pay_invoice": 8, "reverse_payment": 3, "write_off": 2}
_PAYMENTS = 6


def payment(random: Random) -> str:
    """Return one of a few payment ids, of purchases and invoices alike, so that some are used again."""
    return f"payment {random.randrange(_PAYMENTS)}"


class Payers:
    """Draws subscriptions, payments of invoices (a part, the whole, too much), their reversals, and
    write-offs.

    `weights` are the kinds of commands with their relative frequency: none without a postpaid plan. `wait` is True for
    a run in which months pass.
    """

    def __init__(self, random: Random, subscribers: Sequence[str], plans: Sequence[CreatePlan]) -> None:
        self._random, self._subscribers = random, subscribers
        self._plans = [plan.plan for plan in plans]
        self._postpaid = [plan.plan for plan in plans if plan.billing == "postpaid"]
        self.weights = _WEIGHTS if self._postpaid else {}
        self.wait = bool(self._postpaid) and random.randrange(3) > 0
        self._payments = 0
        self.draws: dict[str, Callable[[Books], Command]] = {
            "subscribe": self._subscribe,
            "pay_invoice": self._pay_invoice,
            "reverse_payment": self._reverse_payment,
            "write_off": self._write_off,
        }

    def first(self) -> Iterator[Command]:
        """Yield the commands by which most subscribers begin to use most plans."""
        for subscriber, plan in product(self._subscribers, self._plans):
            if self._random.randrange(4) == 0:
                continue
            if plan in self._postpaid:
                yield Subscribe(subscriber=subscriber, plan=plan)
            else:
                yield Purchase(subscriber=subscriber, plan=plan, funding="direct")

    def _subscribe(self, books: Books) -> Command:
        plans = self._postpaid if self._random.randrange(8) else self._plans
        subscriber, plan = self._random.choice(self._subscribers), self._random.choice(plans)
        return Subscribe(subscriber=subscriber, plan=plan, credit_limit=self._random.choice((None, 3, 60)))

    def _pay_invoice(self, books: Books) -> Command:
        random = self._random
        subscriber, plan, number, owed = self._invoice(books)
        self._payments += 1
        return PayInvoice(
            subscriber=subscriber,
            plan=plan,
            invoice=number,
            payment=payment(random) if random.randrange(3) == 0 else f"invoice payment {self._payments}",
            amount=self._amount(owed),
            funding="direct" if random.randrange(2) else "none",
        )

    def _reverse_payment(self, books: Books) -> Command:
        """Return a reversal of a payment of an invoice, if there is one."""
        payments = [(account, lot) for account in books.accounts.values() for lot in account.lots.values() if lot.pays]
        if not payments:
            return self._pay_invoice(books)
        account, lot = self._random.choice(payments)
        amount = self._random.choice((None, 1, lot.cost // 2 or 1))
        return Reverse(subscriber=account.subscriber, plan=account.plan, lot=lot.id, amount=amount)

    def _write_off(self, books: Books) -> Command:
        subscriber, plan, number, owed = self._invoice(books)
        return WriteOff(subscriber=subscriber, plan=plan, invoice=number, amount=self._amount(owed), reason="goodwill")

    def _amount(self, owed: int) -> int | None:
        """Return all that is owed, a part of it, or one more."""
        amount = self._random.choice((None, None, 1, owed // 2, owed - 1, owed + 1))
        return None if amount is None else max(1, amount)

    def _invoice(self, books: Books) -> tuple[str, str, int, int]:
        """Return an account, the number of one of its invoices, mostly an owed one, and what is owed on it."""
        random = self._random
        billed = [
            (account.subscriber, account.plan, invoice.number, invoice.owed)
            for account in books.accounts.values()
            for invoice in (account.billing.invoices.values() if account.billing is not None else ())
        ]
        if not billed or random.randrange(12) == 0:
            return random.choice(self._subscribers), random.choice(self._plans), random.randint(1, 3), 10
        owing = [each for each in billed if each[-1]]
        return random.choice(owing if owing and random.randrange(8) else billed)
