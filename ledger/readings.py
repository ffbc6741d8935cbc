"""Readings: balances, lots, requests, earnings and batches computed from the books at one time, as plain values.

A reading applies the events that are due at its time without writing them. Times are UTC microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator

from .accounts import Account, Lot
from .books import Books
from .descriptions import Units
from .earnings import Earned as Earned
from .earnings import earned_of
from .events import ContractRef, EscrowAsset, PlanCreated, Recorded
from .expiry import due
from .invoice_readings import BillingReading, billing_of, invoices_of
from .invoice_readings import InvoiceReading as InvoiceReading
from .rounding import RoundingSum
from .settlement.netting import batch, leaf_plan
from .settlement.state import BatchReading as BatchReading
from .settlement.state import EscrowedLot as EscrowedLot
from .settlement.state import Settling, detached_copy
from .shown import Shown
from .tariffs import Tariffs


class Balance(Shown, frozen=True, kw_only=True):
    """An account's position, in credits of the plan's smallest unit.

    issued = available + held + spent + lapsed + withdrawn, debt counting against available; `shortfall` was used and
    not paid. `unpriced`: units by dimension that no rate read. `access_until` (UTC microseconds): the latest expiry of
    its lots; None if a lot never expires, or all have expired. `admits`: a request with the smallest hold (1 credit;
    none if only time is sold) would be admitted, limits aside.
    """

    credits_shown = "issued", "available", "held", "spent", "lapsed", "withdrawn", "debt", "shortfall"

    account: int
    subscriber: str
    plan: str
    decimals: int
    issued: int
    available: int
    held: int
    spent: int
    lapsed: int
    withdrawn: int
    debt: int
    shortfall: int
    open_requests: int
    access_until: int | None
    admits: bool
    unpriced: dict[str, int]
    billing: BillingReading | None = None


class LotReading(Shown, frozen=True, kw_only=True):
    """A lot at one time: its credits by state, and its money, with what it has earned in total and by receiver."""

    credits_shown = "credits", "left", "held", "spent", "lapsed", "withdrawn"
    money_shown = "cost", "refunded", "earned", "shares_earned"

    id: int
    kind: str
    decimals: int
    credits: int
    start: int
    expiry: int | None
    started: bool
    left: int
    held: int
    spent: int
    lapsed: int
    withdrawn: int
    asset: str
    asset_decimals: int
    cost: int
    refunded: int
    earned: int
    shares_earned: dict[str, int]


class RequestReading(Shown, frozen=True, kw_only=True):
    """An open request: its hold in credits, and its deadline (UTC microseconds)."""

    id: int
    at: int
    deadline: int
    agent: int
    hold: int
    estimate: dict[str, int]
    usage: dict[str, int]


class Reading:
    """Readings of the books at time `at` (UTC microseconds). The books must not change while this is used."""

    def __init__(self, books: Books, at: int, tariffs: Tariffs | None = None) -> None:
        self._books, self.at, self._tariffs = books, at, tariffs or Tariffs()

    def __repr__(self) -> str:
        return f"<Reading after sequence {self.seq}, at {self.at}: {self._books.opened} accounts>"

    def _repr_html_(self) -> str:
        return f"<code>{repr(self)[1:-1]}</code>"

    @property
    def seq(self) -> int:
        """The sequence of the last event in the books."""
        return self._books.seq

    def number(self, subscriber: str, plan: str) -> int | None:
        """Return the number of an account; None if there is none."""
        account = self._books.find(subscriber, plan)
        return None if account is None else account.number

    def balance(self, subscriber: str, plan: str) -> Balance | None:
        """Return the balance of one account; None if there is none."""
        account = self._books.find(subscriber, plan)
        return None if account is None else self._balance(account)

    def balances(self, subscriber: str | None = None, plan: str | None = None) -> list[Balance]:
        """Return the balances of all accounts, or of those of a subscriber or on a plan."""
        return [self._balance(account) for account in self._accounts(subscriber, plan)]

    def lots(self, subscriber: str, plan: str) -> list[LotReading]:
        """Return the lots of an account, oldest first."""
        account = self._books.find(subscriber, plan)
        return [] if account is None else [self._lot(lot, account.plan) for lot in self._due(account)[0].lots.values()]

    def requests(self, subscriber: str | None = None, plan: str | None = None) -> list[RequestReading]:
        """Return the open requests, in the order in which they were admitted."""
        requests = [
            RequestReading(
                id=request.id,
                at=request.at,
                deadline=request.deadline,
                agent=request.agent,
                hold=request.hold,
                estimate=request.estimate,
                usage=request.usage,
            )
            for account in self._accounts(subscriber, plan)
            for request in self._due(account)[0].requests.values()
        ]
        return sorted(requests, key=lambda request: request.id)

    def invoices(self, subscriber: str | None = None, plan: str | None = None) -> list[InvoiceReading]:
        """Return the invoices of postpaid accounts, by account, oldest first."""
        return [
            invoice
            for account in self._accounts(subscriber, plan)
            for invoice in invoices_of(self._due(account)[0], *self._terms(account))
        ]

    def earned(self) -> list[Earned]:
        """Return the money that was sold, earned and settled so far, by asset."""
        now = (self._due(account)[0] for account in self._accounts())
        return earned_of(now, self._books, self.at)

    def escrows(self) -> list[EscrowAsset]:
        """Return the escrows that have ever had something to settle, sorted."""
        escrows = {
            EscrowAsset(lot.escrow.contract_ref, lot.asset)
            for account in self._accounts()
            for lot in account.lots.values()
            if lot.escrow is not None
        }
        for settling in self._books.settlings.values():
            escrows |= {EscrowAsset(settling.contract_ref, asset) for asset in settling.leaves}
        return sorted(escrows)

    def escrowed(self, contract_ref: ContractRef) -> list[EscrowedLot]:
        """Return the lots whose money a contract holds, except reversed ones, in the order of the accounts."""
        return [
            EscrowedLot(
                id=lot.id,
                subscriber=account.subscriber,
                plan=account.plan,
                escrow=lot.escrow,
                asset=lot.asset,
                kept=lot.cost - lot.refunded,
            )
            for account in self._accounts()
            for lot in account.lots.values()
            if lot.escrow is not None and lot.escrow.contract_ref == contract_ref and not lot.reversed
        ]

    def settling(self, contract_ref: ContractRef) -> Settling:
        """Return the settlement state of a contract."""
        return detached_copy(self._books.settling(contract_ref))

    def batches(self, contract_ref: ContractRef, ledger: str) -> list[BatchReading]:
        """Return the open batches of a contract, in the order of their numbers; `ledger` is this ledger's id."""
        settling = self._books.settling(contract_ref)
        return [
            BatchReading(
                seq=opened.seq,
                batch=batch(settling, opened, ledger),
                root=opened.root,
                digest=opened.digest,
                state=opened.state,
                attempts=opened.attempts,
                transaction=opened.transaction,
                block=opened.block,
            )
            for _, opened in sorted(settling.open.items())
        ]

    def leaf_plan(self, name: str) -> str:
        """Return the name of a plan in leaves: its id on the chain if it has one, else its name."""
        plan = self._books.plans.get(name)
        return name if plan is None else leaf_plan(plan)

    def plan_on_chain(self, name: str) -> str | None:
        """Return the name of the plan with that id on a chain, or with that name; None if there is none."""
        return self._books.onchain.get(name) or (name if name in self._books.plans else None)

    def pending(self, subscriber: str, plan: str) -> list[Recorded]:
        """Return the events that are due on an account and not yet written."""
        account = self._books.find(subscriber, plan)
        return [] if account is None else self._due(account)[1]

    def units(self, subscriber: str, plan: str) -> Units:
        """Return how the amounts of an account are shown, the books' other assets included."""
        account, terms = self._books.find(subscriber, plan), self._books.plans[plan].terms
        lots = {} if account is None else {lot.id: lot.asset for lot in account.lots.values()}
        return Units(terms.decimals, terms.asset, self._books.assets, lots)

    def rounding(self) -> RoundingSum:
        """Return a sum of exact and charged prices for the events of accounts, which knows the books' plans."""
        return RoundingSum(self._books.plans)

    def _accounts(self, subscriber: str | None = None, plan: str | None = None) -> Iterator[Account]:
        if subscriber is not None and plan is not None:
            account = self._books.find(subscriber, plan)
            yield from () if account is None else (account,)
            return
        for account in self._books.accounts.values():
            if subscriber in (None, account.subscriber) and plan in (None, account.plan):
                yield account

    def _due(self, account: Account) -> tuple[Account, list[Recorded]]:
        return due(account, self._books.plans[account.plan], self.at, self._tariffs)

    def _terms(self, account: Account) -> tuple[PlanCreated, int]:
        terms = self._books.plans[account.plan].terms
        return terms, self._books.decimals(terms.asset)

    def _balance(self, account: Account) -> Balance:
        terms = self._books.plans[account.plan].terms
        now = self._due(account)[0]
        lots = [lot for lot in now.lots.values() if lot.started]
        living = [lot for lot in lots if lot.lives(self.at) and (terms.grants_credits or lot.expiry is not None)]
        ends = [lot.expiry for lot in now.lots.values() if lot.expiry is not None and lot.expiry > self.at]
        enough = not terms.grants_credits or now.available > 0
        stopped = terms.overdue == "stop" and now.billing is not None and now.billing.overdue
        return Balance(
            account=now.number,
            subscriber=now.subscriber,
            plan=now.plan,
            decimals=terms.decimals,
            issued=sum(lot.credits for lot in lots),
            available=now.available,
            held=now.held,
            spent=now.debt_spent + sum(lot.spent for lot in lots),
            lapsed=sum(lot.lapsed for lot in lots),
            withdrawn=sum(lot.withdrawn for lot in lots),
            debt=now.debt,
            shortfall=now.shortfall,
            open_requests=len(now.requests),
            access_until=None if not ends or any(lot.expiry is None for lot in living) else max(ends),
            admits=bool(living) and not now.frozen and not now.debt and not stopped and enough,
            unpriced={**now.unpriced},
            billing=billing_of(now, *self._terms(account)),
        )

    def _lot(self, lot: Lot, plan: str) -> LotReading:
        earned = lot.earned(self.at)
        return LotReading(
            id=lot.id,
            kind=lot.kind,
            decimals=self._books.plans[plan].terms.decimals,
            credits=lot.credits,
            start=lot.start,
            expiry=lot.expiry,
            started=lot.started,
            left=lot.left,
            held=lot.held,
            spent=lot.spent,
            lapsed=lot.lapsed,
            withdrawn=lot.withdrawn,
            asset=lot.asset,
            asset_decimals=self._books.decimals(lot.asset),
            cost=lot.cost,
            refunded=lot.refunded,
            earned=earned,
            shares_earned=lot.shares_earned(self.at),
        )
