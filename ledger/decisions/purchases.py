"""What comes onto an account and leaves it: sales, trials, gifts, withdrawals, reversals, freezing."""

from __future__ import annotations

from ..accounts import Account, Lot
from ..amounts import MAX_CREDITS, SECOND, split
from ..catalogue import Plan
from ..commands import MAX_TIME, Exit, Freeze, Give, Purchase, Reinstate, Reverse, Terms, Unfreeze, Withdraw
from ..events import (
    Escrow,
    EscrowAsset,
    EscrowFunding,
    Frozen,
    Funding,
    Kind,
    Purchased,
    Recorded,
    Reinstated,
    Reversed,
    Share,
    Started,
    Unfrozen,
    Withdrawn,
)
from ..expiry import refund
from ..holds import shares_meters
from ..identity import payment_id_digest
from ..plugins import chain_plugin, chains
from ..reducers import unpaid_name
from ..refusals import Reason, Refusal
from ..settlement.netting import leaf_plan, lots_in
from .consequences import Ahead
from .context import Context, Decision, account_of, plan_of, take
from .windows import BEYOND, last_end, open_credits


def purchase(context: Context, command: Purchase) -> Decision:
    """A sale at the plan's price; of a trial, once a subscriber."""
    plan = plan_of(context, command.plan)
    if isinstance(command.funding, EscrowFunding):
        _check_escrow(command, plan, command.funding.escrow)
    if command.terms is not None:
        return _bought_on_chain(context, command, plan, command.terms)
    if plan.retired:
        raise Refusal(Reason.plan_retired, detail=command.plan)
    terms = plan.terms
    account = context.books.find(command.subscriber, command.plan)
    if terms.trial and account is not None and account.tried:
        raise Refusal(Reason.trial_used)
    if account is not None and account.frozen:
        raise Refusal(Reason.frozen)
    return _add(
        context,
        command,
        kind="trial" if terms.trial else "sale",
        credits=terms.credits,
        seconds=terms.seconds,
        priority=terms.priority,
        asset=terms.asset,
        shares=terms.price,
        funding=command.funding,
        payment=command.payment,
    )


def _check_escrow(command: Purchase, plan: Plan, escrow: Escrow) -> None:
    """Refuse to sell for a chain's money what that chain's leaves cannot name, or its batches not pay: it could never
    be settled, nor could anything else of its asset."""
    chain, terms = escrow.chain, command.terms
    if chain.partition(":")[0] not in chains.names():
        return
    asset = plan.terms.asset if terms is None else terms.asset
    shares = {share.receiver: share.amount for share in plan.terms.price} if terms is None else terms.shares
    plugin = chain_plugin(chain)
    try:
        plugin.check(command.subscriber, leaf_plan(plan))
        plugin.check_money(escrow.contract_ref, asset, shares)
    except ValueError as error:
        raise Refusal(Reason.malformed, detail=str(error)) from error


def _bought_on_chain(context: Context, command: Purchase, plan: Plan, terms: Terms) -> Decision:
    """The chain has the money already, so neither a retired plan, nor a trial, nor a frozen account refuses it."""
    return _add(
        context,
        command,
        kind="sale",
        credits=terms.credits,
        seconds=terms.seconds,
        priority=plan.terms.priority,
        asset=terms.asset,
        shares=tuple(Share(receiver, amount) for receiver, amount in terms.shares.items()),
        funding=command.funding,
        payment=command.payment,
    )


def give(context: Context, command: Give) -> Decision:
    """A gift has no cost and earns nothing. Credits give no access to a plan that sells only time."""
    plan = plan_of(context, command.plan)
    if command.credits and not plan.terms.grants_credits:
        raise Refusal(Reason.malformed, detail=f"the plan {command.plan!r} sells only time: give seconds, not credits")
    if plan.retired:
        raise Refusal(Reason.plan_retired, detail=command.plan)
    priority = plan.terms.priority if command.priority is None else command.priority
    return _add(
        context,
        command,
        kind="gift",
        credits=command.credits,
        seconds=command.seconds,
        priority=priority,
        asset=plan.terms.asset,
        expiry=command.expiry,
    )


def _add(
    context: Context,
    command: Purchase | Give,
    *,
    kind: Kind,
    credits: int,
    seconds: int,
    priority: int,
    asset: str,
    shares: tuple[Share, ...] = (),
    funding: Funding = "none",
    payment: str = "",
    expiry: int | None = None,
) -> Decision:
    """A new lot. A window queues behind the last one that still gives access."""
    plan = plan_of(context, command.plan)
    account, events = Account(context.books.opened + 1, command.subscriber, command.plan), list[Recorded]()
    if context.books.find(command.subscriber, command.plan) is not None:
        account, events = account_of(context, command.subscriber, plan)
    start = max(context.at, command.start or 0)
    if seconds:
        start = max(start, last_end(account, context.at))
        expiry = expiry or start + seconds * SECOND
    if expiry is not None and expiry <= start:
        raise Refusal(Reason.malformed, detail="the expiry lies before the start")
    if open_credits(account) + credits > MAX_CREDITS:
        raise Refusal(Reason.overflow, detail=BEYOND)
    if max(start, expiry or 0) > MAX_TIME:
        raise Refusal(Reason.overflow, detail="a lot starts and ends by the year 9999")
    # The lot's name is the sequence of its purchase, which is known once what is due stands before it.
    lot = context.books.seq + len(events) + 1
    own: list[Recorded] = [
        Purchased(
            account=account.number,
            subscriber=command.subscriber,
            plan=command.plan,
            kind=kind,
            credits=credits,
            seconds=seconds,
            asset=asset,
            cost=sum(share.amount for share in shares),
            shares=shares,
            funding=funding,
            payment=payment,
            start=None if start == context.at else start,
            expiry=expiry,
            priority=priority,
            earliest=command.start if command.start is not None and command.start > context.at else None,
        )
    ]
    if start == context.at:
        own.append(_begun(account, lot, credits, context.at))
    if not (account.requests and shares_meters(plan, context.tariffs)):
        return Decision(events, own)
    ahead = Ahead(context, account, plan)
    for event in own:
        ahead.add(event, lot)
    return Decision(events, ahead.close())


def _begun(account: Account, lot: int, credits: int, at: int) -> Started:
    """A lot that starts at once pays what is owed."""
    paid = min(credits, account.debt)
    return Started(account=account.number, lot=lot, draws=((0, paid),) if paid else (), instant=at)


def withdraw(context: Context, command: Withdraw) -> Decision:
    """Credits that are held or owed stay; windows end and lots that have not started leave only as a whole."""
    plan = plan_of(context, command.plan)
    account, events = account_of(context, command.subscriber, plan)
    lots = _lots(account, command.lot)
    left = sum(lot.left for lot in lots)
    most = min(left, max(0, account.available))
    credits = most if command.credits is None else command.credits
    if credits > most:
        raise Refusal(Reason.insufficient_credits, needed=credits, available=most)
    draws = ((command.lot, credits),) if command.lot and credits else take(account, credits)
    money = {name: amount for name, part in draws if (amount := refund(account.lots[name], part))}
    if command.credits is None:
        money |= {lot.id: lot.cost - lot.refunded for lot in lots if lot.waits}
        windows = [lot for lot in lots if lot.started and not lot.credits and lot.lives(context.at)]
        money |= {lot.id: lot.cost - lot.refunded - lot.earned(context.at) for lot in windows}
    if not draws and not money:
        raise Refusal(Reason.insufficient_credits, needed=1, available=0)
    withdrawn = Withdrawn(account=account.number, draws=draws, money=money, reason=command.reason)
    return Decision(events, [withdrawn])


def reverse(context: Context, command: Reverse) -> Decision:
    """The whole rest of a payment, or a part of it with as large a part of the lot's credits, rounded down."""
    plan = plan_of(context, command.plan)
    account, events = account_of(context, command.subscriber, plan)
    lot = _bought(context, account, command)
    if lot is None or lot.reversed:
        raise Refusal(Reason.malformed, detail="name a lot or a payment that was not reversed before")
    kept = lot.cost - lot.refunded
    amount = kept if command.amount is None else command.amount
    if amount > kept:
        raise Refusal(Reason.malformed, detail=f"the payment has {kept} left that may be reversed")
    if amount < kept and lot.escrow is not None:
        raise Refusal(Reason.malformed, detail="what a chain holds is reversed as a whole")
    credits = lot.left + lot.spent + lot.held if lot.started else lot.credits - lot.withdrawn
    expiry: int | None = None
    if amount < kept:
        credits = min(credits, (lot.credits - lot.withdrawn) * amount // kept)
        expiry = _shortened(lot, kept, amount, context.at)
    ahead = Ahead(context, account, plan)
    ahead.add(
        Reversed(account=account.number, lot=lot.id, payment=lot.payment, credits=credits, money=amount, expiry=expiry)
    )
    return Decision(events, ahead.close())


def _shortened(lot: Lot, kept: int, amount: int, at: int) -> int | None:
    """The end of a window without credits of whose money a part was void; it does not lie in the past."""
    if lot.credits or lot.expiry is None:
        return None
    end = lot.start + (lot.expiry - lot.start) * (kept - amount) // kept
    return min(lot.expiry, max(at, end) if lot.started else end)


def reinstate(context: Context, command: Reinstate) -> Decision:
    """The lot has again what its reversals took; one that would have started meanwhile starts now."""
    plan = plan_of(context, command.plan)
    account, events = account_of(context, command.subscriber, plan)
    lot = _bought(context, account, command)
    if lot is None or lot.reversal is None or lot.escrow is not None:
        raise Refusal(Reason.malformed, detail="name a lot or a payment that was reversed, and that no chain holds")
    if open_credits(account) + lot.reversal.credits > MAX_CREDITS:
        raise Refusal(Reason.overflow, detail=BEYOND)
    ahead = Ahead(context, account, plan)
    ahead.add(
        Reinstated(
            account=account.number,
            lot=lot.id,
            payment=lot.payment,
            credits=lot.reversal.credits,
            money=lot.reversal.money,
        )
    )
    again = ahead.account.lots[lot.id]
    if again.waits and again.start <= context.at:
        ahead.add(_begun(ahead.account, lot.id, again.credits - again.withdrawn, context.at))
    return Decision(events, ahead.close([lot.id]))


def _bought(context: Context, account: Account, command: Reverse | Reinstate) -> Lot | None:
    """The lot that a command names, by its sequence or by its payment."""
    name = command.lot
    if not name and command.payment:
        name = context.books.payments.get(payment_id_digest(command.payment), (b"", 0))[1]
        if name not in account.lots:
            raise Refusal(Reason.malformed, detail=f"the account has no payment {command.payment!r}")
    return _lots(account, name)[0] if name else None


def freeze(context: Context, command: Freeze) -> Decision:
    """Freezing a frozen account changes nothing more."""
    account, events = account_of(context, command.subscriber, plan_of(context, command.plan))
    return Decision(events, [Frozen(account=account.number, fact=command.fact)])


def unfreeze(context: Context, command: Unfreeze) -> Decision:
    """What a chain has asked for, the ledger does not undo."""
    account, events = account_of(context, command.subscriber, plan_of(context, command.plan))
    if account.leaving:
        raise Refusal(Reason.frozen, detail="a chain has asked for it: the subscriber leaves there")
    if not account.frozen:
        raise Refusal(Reason.malformed, detail="the account is not frozen")
    return Decision(events, [Unfrozen(account=account.number)])


def leave(context: Context, command: Exit) -> Decision:
    """All that is unused leaves; lots that have not started give their money first, since they can leave whole."""
    account, events = account_of(context, command.subscriber, plan_of(context, command.plan))
    fact = command.fact
    escrow = EscrowAsset(fact.contract_ref, command.asset)
    lots = list(lots_in(account, escrow))
    money = command.amount - min(command.amount, account.unpaid.get(unpaid_name(escrow), 0))
    if money > sum(lot.cost - lot.refunded for lot in lots):
        raise Refusal(Reason.malformed, detail="the chain paid more than it was ever paid for this account")
    withdrawn = Withdrawn(
        account=account.number,
        draws=tuple((lot.id, lot.left) for lot in lots if lot.left),
        money=_exit_money(lots, money, context.at),
        reason="exit",
        fact=fact,
        asset=command.asset,
        paid=command.amount,
    )
    return Decision(events, [withdrawn])


def _exit_money(lots: list[Lot], money: int, at: int) -> dict[int, int]:
    """What each lot gives: first those that have not started, then what the others have not earned, then the rest.

    A window that is not over ends with this, even where it gives nothing.
    """
    windows = [lot.id for lot in lots if not lot.credits and lot.lives(at)]
    parts = dict.fromkeys(windows, 0)
    rests = [
        {lot.id: lot.cost - lot.refunded for lot in lots if not lot.started},
        {lot.id: lot.cost - lot.refunded - lot.earned(at) for lot in lots if lot.started},
        {lot.id: lot.earned(at) for lot in lots if lot.started},
    ]
    for rest in rests:
        part = min(money, sum(rest.values()))
        money -= part
        if part:
            for name, amount in zip(rest, split(part, list(rest.values())), strict=True):
                parts[name] = parts.get(name, 0) + amount
    return {name: amount for name, amount in parts.items() if amount or name in windows}


def _lots(account: Account, name: int) -> list[Lot]:
    if not name:
        return list(account.lots.values())
    if name not in account.lots:
        raise Refusal(Reason.malformed, detail=f"the account has no lot {name}")
    return [account.lots[name]]
