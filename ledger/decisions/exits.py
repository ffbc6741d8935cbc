"""Decisions on freezing accounts, and on exits of subscribers whose money a chain holds."""

from __future__ import annotations

from ..accounts import Lot
from ..amounts import split
from ..commands import Exit, Freeze, Unfreeze
from ..events import EscrowAsset, Frozen, Unfrozen, Withdrawn
from ..reducers import unpaid_name
from ..refusals import Reason, Refusal
from ..settlement.netting import lots_in
from .context import Context, Decision, account_of, plan_of


def freeze(context: Context, command: Freeze) -> Decision:
    """Freeze an account; freezing it again is allowed and changes nothing."""
    account, events = account_of(context, command.subscriber, plan_of(context, command.plan))
    return Decision(events, [Frozen(account=account.number, fact=command.fact)])


def unfreeze(context: Context, command: Unfreeze) -> Decision:
    """Unfreeze an account, unless its subscriber has asked a chain for an exit."""
    account, events = account_of(context, command.subscriber, plan_of(context, command.plan))
    if account.leaving:
        raise Refusal(Reason.frozen, detail="the subscriber has asked the chain for an exit: the account stays frozen")
    if not account.frozen:
        raise Refusal(Reason.malformed, detail="the account is not frozen")
    return Decision(events, [Unfrozen(account=account.number)])


def exit_escrow(context: Context, command: Exit) -> Decision:
    """Withdraw all unused credits of an escrow, with the money that its chain has paid out to the subscriber.

    Lots that have not started give their money first, since they leave as a whole.
    """
    account, events = account_of(context, command.subscriber, plan_of(context, command.plan))
    fact = command.fact
    escrow = EscrowAsset(fact.contract_ref, command.asset)
    lots = list(lots_in(account, escrow))
    money = command.amount - min(command.amount, account.unpaid.get(unpaid_name(escrow), 0))
    if money > sum(lot.cost - lot.refunded for lot in lots):
        raise Refusal(Reason.malformed, detail="the chain paid out more than was ever paid in for this account")
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
    """Return the money that each lot gives: first of lots that have not started, then the unearned money of the others,
    then the remainder.

    A window that is still open ends with this, even where it gives nothing.
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
            for lot_id, amount in zip(rest, split(part, list(rest.values())), strict=True):
                parts[lot_id] = parts.get(lot_id, 0) + amount
    return {lot_id: amount for lot_id, amount in parts.items() if amount or lot_id in windows}
