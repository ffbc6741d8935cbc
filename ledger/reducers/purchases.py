"""Reducers of purchases, withdrawals and reversals: an account's lots."""

from __future__ import annotations

from ..accounts import (
    EMPTY,
    Account,
    Lot,
    Reversal,
    share_terms,
)
from ..catalogue import Plan
from ..events import (
    EscrowAsset,
    Purchased,
    Reinstated,
    Reversed,
    Started,
    Withdrawn,
)
from ..lots import (
    START,
    move_expiry,
    pay_debts,
    put,
    schedule,
    take,
    unfund,
    unschedule,
)
from ..settlement.netting import lots_in
from ..values import total
from .invoices import reduce_payment


def reduce_purchased(account: Account, plan: Plan, seq: int, at: int, event: Purchased) -> None:
    """Add a lot, which is due to start at its time."""
    start = at if event.start is None else event.start
    account.tried = account.tried or event.kind == "trial"
    account.lots[seq] = lot = Lot(
        id=seq,
        kind=event.kind,
        credits=event.credits,
        seconds=event.seconds,
        start=start,
        expiry=event.expiry,
        priority=event.priority,
        asset=event.asset,
        cost=event.cost,
        shares=event.shares,
        funding=event.funding,
        payment=event.payment,
    )
    share_terms(lot, plan)
    schedule(account, start, START, seq)


def reduce_started(account: Account, lot: Lot, event: Started) -> None:
    """Start a lot: its credits become available and pay debt."""
    unschedule(account, lot.start, START, lot.id)
    lot.started = True
    if lot.kind != "gift":
        account.purchases = [*account.purchases[-1:], (lot.start, lot.id)]
    put(account, lot, lot.credits - lot.withdrawn)
    pay_debts(account, ((lot.id, total(event.draws)),))


def reduce_withdrawn(account: Account, at: int, event: Withdrawn) -> None:
    """Withdraw credits and money from lots."""
    for lot_id, credits in event.draws:
        lot = account.lots[lot_id]
        take(account, lot, credits)
        lot.withdrawn += credits
    for lot_id, money in event.money.items():
        lot = account.lots[lot_id]
        lot.refunded += money
        if lot.escrow is not None:
            _keep_unpaid(account, unpaid_name(EscrowAsset(lot.escrow.contract_ref, lot.asset)), money)
        if not lot.started:
            if lot.refunded == lot.cost:
                _remove(account, lot)  # all of it is withdrawn before it started
        elif not lot.credits:
            lot.expiry = _ended(lot, at)
    if event.fact is not None:
        account.leaving = True
        escrow = EscrowAsset(event.fact.contract_ref, event.asset)
        _keep_unpaid(account, unpaid_name(escrow), -event.paid)
        for lot in lots_in(account, escrow):
            if lot.started:
                move_expiry(account, lot, _ended(lot, at))
                lot.exited = True


def unpaid_name(escrow: EscrowAsset) -> str:
    """Return the key in `Account.unpaid` of the money that left the account's lots and that this escrow still holds."""
    chain, contract = escrow.contract_ref.chain, escrow.contract_ref.contract
    return f"{len(chain)} {len(contract)} {chain} {contract} {escrow.asset}"


def _keep_unpaid(account: Account, escrow: str, change: int) -> None:
    """Add `change` to the money that left the account's lots and that a chain still holds."""
    rest = account.unpaid.get(escrow, 0) + change
    others = {key: money for key, money in account.unpaid.items() if key != escrow}
    account.unpaid = {**others, escrow: rest} if rest > 0 else others or EMPTY


def _ended(lot: Lot, at: int) -> int:
    """Return the expiry of a lot that ends at a time, unless it ended before."""
    return at if lot.expiry is None else min(lot.expiry, at)


def _remove(account: Account, lot: Lot) -> None:
    """Remove a lot that has not started."""
    unschedule(account, lot.start, START, lot.id)
    del account.lots[lot.id]


def reduce_reversed(account: Account, lot: Lot, at: int, event: Reversed) -> None:
    """Withdraw credits and money of a lot whose payment was void."""
    if lot.escrow is not None:
        # the chain never had the money, so none of it is owed to the subscriber
        _keep_unpaid(account, unpaid_name(EscrowAsset(lot.escrow.contract_ref, lot.asset)), -lot.refunded)
        if not lot.started:
            _remove(account, lot)
            return
    before, whole = lot.reversal or Reversal(0, 0, 0, whole=False), lot.refunded + event.money == lot.cost
    end = lot.expiry
    if event.expiry is not None:
        lot.expiry = event.expiry
    elif whole and lot.started and not lot.credits:
        lot.expiry = _ended(lot, at)
    time = before.time + (end - lot.expiry if end is not None and lot.expiry is not None else 0)
    lot.reversal = Reversal(before.credits + event.credits, before.money + event.money, time, whole)
    lot.refunded += event.money
    lot.withdrawn += event.credits
    if lot.pays:
        reduce_payment(account, lot, at, -event.money, -event.room)
    elif lot.started:
        unfund(account, lot, event.credits)
    elif whole:
        unschedule(account, lot.start, START, lot.id)


def reduce_reinstated(account: Account, lot: Lot, at: int, event: Reinstated) -> None:
    """Return to a lot the credits, money and time that its reversals had taken."""
    assert lot.reversal is not None
    if lot.expiry is not None:
        lot.expiry += lot.reversal.time
    waited = lot.waits
    lot.reversal = None
    lot.refunded -= event.money
    lot.withdrawn -= event.credits
    if lot.pays:
        reduce_payment(account, lot, at, event.money, event.room)
    elif lot.started:
        put(account, lot, event.credits)
    elif not waited:
        schedule(account, lot.start, START, lot.id)
