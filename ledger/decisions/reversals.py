"""Decisions on purchases whose payment was void: reversals, and reinstatements after a dispute was won."""

from __future__ import annotations

from ..accounts import Account, Lot
from ..amounts import MAX_CREDITS
from ..commands import Reinstate, Reverse, whole
from ..events import Reinstated, Reversed
from ..identity import payment_id_digest
from ..refusals import Reason, Refusal
from .consequences import Projection
from .context import Context, Decision, account_of, money_in, plan_of
from .invoices import room
from .purchases import lots_named, started
from .windows import OPEN_CREDITS_LIMIT, open_credits


def reverse(context: Context, command: Reverse) -> Decision:
    """Reverse all that is left of a payment, or a part of it with the same part of the lot's credits, rounded down."""
    plan = plan_of(context, command.plan)
    account, events = account_of(context, command.subscriber, plan)
    lot = _bought(context, account, command)
    if lot is None or lot.reversed:
        raise Refusal(Reason.malformed, detail="name a lot or a payment that has not been reversed")
    kept = lot.cost - lot.refunded
    amount = kept if command.amount is None else whole(command.amount)
    if amount > kept:
        left = money_in(context, lot.asset, kept)
        raise Refusal(Reason.malformed, detail=f"the amount is more than the payment has left to reverse: {left}")
    if amount < kept and lot.escrow is not None:
        raise Refusal(
            Reason.malformed, detail="a payment that a chain holds can only be reversed as a whole: give no amount"
        )
    credits = lot.left + lot.spent + lot.held if lot.started else lot.credits - lot.withdrawn
    expiry: int | None = None
    if amount < kept:
        credits = min(credits, (lot.credits - lot.withdrawn) * amount // kept)
        expiry = _shortened(lot, kept, amount, context.at)
    projection = Projection(context, account, plan)
    projection.add(
        Reversed(
            account=account.number,
            lot=lot.id,
            payment=lot.payment,
            credits=credits,
            money=amount,
            expiry=expiry,
            room=-room(account, plan, -amount) if lot.pays else 0,
        )
    )
    return Decision(events, projection.complete())


def _shortened(lot: Lot, kept: int, amount: int, at: int) -> int | None:
    """Return the earlier expiry of a window without credits after a part of its money was reversed, never in the
    past."""
    if lot.credits or lot.expiry is None:
        return None
    end = lot.start + (lot.expiry - lot.start) * (kept - amount) // kept
    return min(lot.expiry, max(at, end) if lot.started else end)


def reinstate(context: Context, command: Reinstate) -> Decision:
    """Give a lot back what its reversals took. A lot that would have started meanwhile starts now."""
    plan = plan_of(context, command.plan)
    account, events = account_of(context, command.subscriber, plan)
    lot = _bought(context, account, command)
    if lot is None or lot.reversal is None or lot.escrow is not None:
        raise Refusal(Reason.malformed, detail="name a lot or a payment that was reversed and that no chain holds")
    if open_credits(account) + lot.reversal.credits > MAX_CREDITS:
        raise Refusal(Reason.overflow, detail=OPEN_CREDITS_LIMIT)
    projection = Projection(context, account, plan)
    projection.add(
        Reinstated(
            account=account.number,
            lot=lot.id,
            payment=lot.payment,
            credits=lot.reversal.credits,
            money=lot.reversal.money,
            room=room(account, plan, lot.reversal.money) if lot.pays else 0,
        )
    )
    reinstated = projection.account.lots[lot.id]
    if reinstated.waits and reinstated.start <= context.at:
        projection.add(started(projection.account, lot.id, reinstated.credits - reinstated.withdrawn, context.at))
    return Decision(events, projection.complete([lot.id]))


def _bought(context: Context, account: Account, command: Reverse | Reinstate) -> Lot | None:
    """Return the lot that a command names, by its id or by its payment; None if it names neither."""
    lot_id = command.lot
    if not lot_id and command.payment:
        lot_id = context.books.payments.get(payment_id_digest(command.payment), (b"", 0))[1]
        if lot_id not in account.lots:
            raise Refusal(Reason.malformed, detail=f"the account has no payment {command.payment!r}")
    return lots_named(account, lot_id)[0] if lot_id else None
