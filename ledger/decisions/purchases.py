"""Decisions on sales, trials, gifts and withdrawals of lots."""

from __future__ import annotations

from dataclasses import dataclass

from ..accounts import Account, Lot
from ..amounts import MAX_CREDITS, SECOND
from ..catalogue import Plan
from ..commands import MAX_TIME, Give, Purchase, Terms, Withdraw, whole
from ..errors import PluginFailed, UnknownPlugin
from ..events import (
    Escrow,
    EscrowFunding,
    Funding,
    Kind,
    Purchased,
    Recorded,
    Share,
    Started,
    Withdrawn,
)
from ..expiry import refund
from ..holds import shares_meters
from ..plugins import chain_plugin
from ..refusals import Reason, Refusal
from ..settlement.netting import leaf_plan
from .consequences import Projection
from .context import Context, Decision, account_of, check_policy, no_longer_sold, plan_of, shown_with, take
from .windows import OPEN_CREDITS_LIMIT, last_end, open_credits


@dataclass(slots=True, frozen=True)
class _NewLot:
    """A lot as it is sold or given, before its start is known.

    `credits` are credits, `shares` the asset's smallest units by receiver, `seconds` the length of a window, and
    `expiry` UTC microseconds.
    """

    kind: Kind
    credits: int
    seconds: int
    priority: int
    asset: str
    shares: tuple[Share, ...] = ()
    funding: Funding = "none"
    payment: str = ""
    expiry: int | None = None
    asset_decimals: int | None = None


def purchase(context: Context, command: Purchase) -> Decision:
    """Sell the plan at its price, or on the terms of a sale that a chain has made. A trial is sold once a subscriber.

    A chain's sale is refused neither for a retired plan, nor a used trial, nor a frozen account, nor a policy that
    cannot be made: the chain has the money already.
    """
    plan = plan_of(context, command.plan)
    if isinstance(command.funding, EscrowFunding):
        _check_escrow(command, plan, command.funding.escrow)
    if command.terms is not None:
        return _add(context, command, plan, _lot_on_chain(command, plan, command.terms))
    if plan.retired:
        raise Refusal(Reason.plan_retired, detail=no_longer_sold(command.plan))
    terms = plan.terms
    account = context.books.find(command.subscriber, command.plan)
    if terms.trial and account is not None and account.tried:
        raise Refusal(Reason.trial_used)
    if account is not None and account.frozen:
        raise Refusal(Reason.frozen)
    check_policy(context, plan)
    new_lot = _NewLot(
        kind="trial" if terms.trial else "sale",
        credits=terms.credits,
        seconds=terms.seconds,
        priority=terms.priority,
        asset=terms.asset,
        shares=terms.price,
        funding=command.funding,
        payment=command.payment,
    )
    return _add(context, command, plan, new_lot)


def _check_escrow(command: Purchase, plan: Plan, escrow: Escrow) -> None:
    """Refuse a sale for a chain's money that the chain's leaves cannot name or its batches cannot pay: neither it nor
    anything else of its asset could be settled."""
    chain, terms = escrow.chain, command.terms
    asset = plan.terms.asset if terms is None else terms.asset
    shares = {share.receiver: share.amount for share in plan.terms.price} if terms is None else terms.shares
    try:
        plugin = chain_plugin(chain)
    except PluginFailed as error:
        raise Refusal(Reason.malformed, detail=str(error)) from error
    except UnknownPlugin:
        return
    try:
        plugin.check(command.subscriber, leaf_plan(plan))
        plugin.check_money(escrow.contract_ref, asset, shares)
    except ValueError as error:
        raise Refusal(Reason.malformed, detail=str(error)) from error


def _lot_on_chain(command: Purchase, plan: Plan, terms: Terms) -> _NewLot:
    return _NewLot(
        kind="sale",
        credits=terms.credits,
        seconds=terms.seconds,
        priority=plan.terms.priority,
        asset=terms.asset,
        shares=tuple(Share(receiver, amount) for receiver, amount in terms.shares.items()),
        funding=command.funding,
        payment=command.payment,
        asset_decimals=terms.asset_decimals,
    )


def give(context: Context, command: Give) -> Decision:
    """Add a gift: it has no cost and earns nothing. Credits give no access to a plan that sells only time."""
    plan = plan_of(context, command.plan)
    if command.credits and not plan.terms.grants_credits:
        raise Refusal(Reason.malformed, detail=f"the plan {command.plan!r} sells only time: give seconds, not credits")
    if plan.retired:
        raise Refusal(Reason.plan_retired, detail=no_longer_sold(command.plan))
    new_lot = _NewLot(
        kind="gift",
        credits=whole(command.credits),
        seconds=command.seconds,
        priority=plan.terms.priority if command.priority is None else command.priority,
        asset=plan.terms.asset,
        expiry=command.expiry,
    )
    return _add(context, command, plan, new_lot)


def _add(context: Context, command: Purchase | Give, plan: Plan, new: _NewLot) -> Decision:
    """Add a lot, and start it where its start is now. Its first purchase opens an account."""
    account, events = _account_for(context, command, plan)
    start, expiry = _interval(context, account, command, new)
    if open_credits(account) + new.credits > MAX_CREDITS:
        raise Refusal(Reason.overflow, detail=OPEN_CREDITS_LIMIT)
    if max(start, expiry or 0) > MAX_TIME:
        raise Refusal(Reason.overflow, detail="a lot must start and expire by the end of the year 9999")
    own: list[Recorded] = [_purchased(context, account, command, new, start, expiry)]
    # A lot's id is the sequence of its purchase, which follows the events that are due.
    lot_id = context.books.seq + len(events) + 1
    # After this point, the command must succeed.
    if start == context.at:
        own.append(started(account, lot_id, new.credits, context.at))
    if not (account.requests and shares_meters(plan, context.tariffs)):
        return Decision(events, own)
    projection = Projection(context, account, plan)
    for event in own:
        projection.add(event, lot_id)
    return Decision(events, projection.complete())


def _account_for(context: Context, command: Purchase | Give, plan: Plan) -> tuple[Account, list[Recorded]]:
    """Return the account as it is due, with the events that are due; a new account where there is none yet."""
    if context.books.find(command.subscriber, command.plan) is not None:
        return account_of(context, command.subscriber, plan)
    return Account(context.books.opened + 1, command.subscriber, command.plan), []


def _interval(context: Context, account: Account, command: Purchase | Give, new: _NewLot) -> tuple[int, int | None]:
    """Return the start and the expiry of a new lot (UTC microseconds). A window queues behind the last one that still
    gives access."""
    start, expiry = max(context.at, command.start or 0), new.expiry
    if new.seconds:
        start = max(start, last_end(account, context.at))
        expiry = expiry or start + new.seconds * SECOND
    if expiry is not None and expiry <= start:
        raise Refusal(Reason.malformed, detail="the expiry lies before the start")
    return start, expiry


def _purchased(
    context: Context, account: Account, command: Purchase | Give, new: _NewLot, start: int, expiry: int | None
) -> Purchased:
    return Purchased(
        account=account.number,
        subscriber=command.subscriber,
        plan=command.plan,
        kind=new.kind,
        credits=new.credits,
        seconds=new.seconds,
        asset=new.asset,
        cost=sum(share.amount for share in new.shares),
        shares=new.shares,
        funding=new.funding,
        payment=new.payment,
        start=None if start == context.at else start,
        expiry=expiry,
        priority=new.priority,
        earliest=command.start if command.start is not None and command.start > context.at else None,
        # The chain knows its own tokens: its word replaces a plan's, and is written where it is new.
        asset_decimals=None if context.books.assets.get(new.asset) == new.asset_decimals else new.asset_decimals,
    )


def started(account: Account, lot_id: int, credits: int, at: int) -> Started:
    """Start a lot, which first pays the account's debt."""
    paid = min(credits, account.debt)
    return Started(account=account.number, lot=lot_id, draws=((0, paid),) if paid else (), instant=at)


def withdraw(context: Context, command: Withdraw) -> Decision:
    """Withdraw unused credits with their unearned money.

    Held or owed credits stay. Windows end, and lots that have not started leave, only where no amount is given.
    """
    plan = plan_of(context, command.plan)
    account, events = account_of(context, command.subscriber, plan)
    lots = lots_named(account, command.lot)
    left = sum(lot.left for lot in lots)
    withdrawable = min(left, max(0, account.available))
    credits = withdrawable if command.credits is None else whole(command.credits)
    if credits > withdrawable:
        raise _nothing_left(account, plan, credits, withdrawable)
    draws = ((command.lot, credits),) if command.lot and credits else take(account, credits)
    money = {lot_id: amount for lot_id, part in draws if (amount := refund(account.lots[lot_id], part))}
    if command.credits is None:
        money |= {lot.id: lot.cost - lot.refunded for lot in lots if lot.waits}
        windows = [lot for lot in lots if lot.started and not lot.credits and lot.lives(context.at)]
        money |= {lot.id: lot.cost - lot.refunded - lot.earned(context.at) for lot in windows}
    if not draws and not money:
        raise _nothing_left(account, plan, 1, 0)
    withdrawn = Withdrawn(account=account.number, draws=draws, money=money, reason=command.reason)
    return Decision(events, [withdrawn])


def _nothing_left(account: Account, plan: Plan, needed: int, available: int) -> Refusal:
    """Return the refusal of a withdrawal; on a postpaid account with what to do instead, since its line is no lot that
    was bought."""
    facts: dict[str, int | str] = {"needed": needed, "available": available, **shown_with(plan)}
    if account.billing is not None:
        facts["detail"] = "a credit line is not withdrawn: `Reverse` what was paid too much, by its payment and amount"
    return Refusal(Reason.insufficient_credits, **facts)


def lots_named(account: Account, lot_id: int) -> list[Lot]:
    """Return the lot of that id, or all lots for id 0, except the credit line, which was not bought."""
    line = 0 if account.billing is None else account.billing.line
    if not lot_id:
        return [lot for lot in account.lots.values() if lot.id != line]
    if lot_id == line:
        raise Refusal(Reason.malformed, detail=f"lot {lot_id} is the credit line: it was not bought")
    if lot_id not in account.lots:
        raise Refusal(Reason.malformed, detail=f"the account has no lot {lot_id}")
    return [account.lots[lot_id]]
