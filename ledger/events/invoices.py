"""Events of postpaid accounts: subscriptions, invoices, what is paid on them, and what is written off."""

from __future__ import annotations

from ..amounts import MAX_CREDITS, MAX_MONEY, check_credits, check_money
from ..values import Draws, Funding, Share, check, check_draws, check_repaid
from .event import Event


class Subscribed(Event, frozen=True, kw_only=True, tag="subscribed"):
    """A subscriber may use a postpaid plan, on a credit line; the lot of it has this event's sequence.

    Fields:
        account: Number of the account, from 1; the next one, or the subscriber's own on that plan.
        credits: Credits of the line.
        draws: Debt that it pays, `((0, credits),)`.
    """

    account: int
    subscriber: str
    plan: str
    credits: int
    draws: Draws = ()

    def __post_init__(self) -> None:
        check_credits(self.credits)
        check_draws(self.draws, sum(credits for _, credits in self.draws))
        check(self.account >= 1, "accounts are numbered from 1")
        check(self.credits >= 1, "a credit line has at least 1 credit")


class Invoiced(Event, frozen=True, kw_only=True, tag="invoiced"):
    """A metering period ended: the use of the credit line since the last invoice. The credits that were invoiced stay
    spent; only money is owed for them.

    Fields:
        period: Metering period that ended.
        credits: Credits used since the last invoice. Below 0, where more came back than was used, it is a credit note.
        money: Their price, in the asset's smallest unit, with the same sign.
        due: Due time of the money, in UTC microseconds.
    """

    account: int
    invoice: int
    period: str
    credits: int
    asset: str
    money: int
    due: int
    instant: int

    def __post_init__(self) -> None:
        check(type(self.credits) is int and abs(self.credits) <= MAX_CREDITS, "credits are a 64-bit whole number")
        check(type(self.money) is int and abs(self.money) <= MAX_MONEY, "money is a whole number")
        check(self.credits * self.money >= 0, "credits and their money have the same sign")
        check(self.invoice >= 1, "invoices are numbered from 1")


class InvoicePaid(Event, frozen=True, kw_only=True, tag="invoice_paid"):
    """An invoice, or a part of it, is paid. All of the money is earned. The payment is a lot without credits, of this
    event's sequence.

    Fields:
        money: Money that was paid, in the asset's smallest unit.
        shares: The same by receiver.
        funding: Holder of the money: "direct" the receivers; "none": it is due to them.
        room: Credits by which the credit line grows; they first pay the account's debt.
    """

    account: int
    invoice: int
    asset: str
    money: int
    shares: tuple[Share, ...]
    funding: Funding
    payment: str
    room: int = 0
    repaid: Draws = ()

    def __post_init__(self) -> None:
        check_money(self.money)
        check_credits(self.room)
        check_repaid(self.repaid)
        check(self.money > 0, "a payment is of at least 1")
        check(sum(share.amount for share in self.shares) == self.money, "the shares sum to the money")
        check(len({share.receiver for share in self.shares}) == len(self.shares), "each receiver has one share")


class WrittenOff(Event, frozen=True, kw_only=True, tag="written_off"):
    """Money of an invoice will not be paid.

    Fields:
        money: Money that is given up, in the asset's smallest unit.
        room: Credits by which the credit line grows; they first pay the account's debt.
    """

    account: int
    invoice: int
    money: int
    reason: str = ""
    room: int = 0
    repaid: Draws = ()

    def __post_init__(self) -> None:
        check_money(self.money)
        check_credits(self.room)
        check_repaid(self.repaid)
        check(self.money > 0, "at least 1 is written off")


class Overdue(Event, frozen=True, kw_only=True, tag="overdue"):
    """An invoice was not paid in full by its due time."""

    account: int
    invoice: int
    instant: int
