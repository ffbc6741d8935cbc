"""An account as a command's events will leave it, and the events that follow from them in the same commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..accounts import Account
from ..billing import excess
from ..catalogue import Plan
from ..events import Adjusted, Charged, InvoicePaid, Recorded, Reinstated, Released, Reversed, WrittenOff
from ..expiry import lapse_returned, narrowed
from ..holds import cover_exposure, cover_own_exposure, shares_meters
from ..reducers import apply
from ..repayment import with_repayment
from .context import Context


class Projection:
    """An account as `events` leave it. It is copied when the first event is added; before, it is the books' own."""

    def __init__(self, context: Context, account: Account, plan: Plan) -> None:
        self.account, self.plan = account, plan
        self.events: list[Recorded] = []
        self._context, self._owned = context, False

    def add(self, event: Recorded, seq: int = 0) -> None:
        """Apply one more event, in which credits that return pay the account's debt first.

        `seq` is needed for an event whose sequence becomes the id of a lot or request.
        """
        at = self._context.at
        if isinstance(event, Adjusted | Charged | InvoicePaid | Reinstated | Released | Reversed | WrittenOff):
            event = with_repayment(self.account, self.plan, seq, at, at, event)
        if not self._owned:
            self.account, self._owned = self.account.clone(), True
        apply(self.account, self.plan, seq, at, event)
        self.events.append(event)

    def complete(self, returned: Iterable[int] = ()) -> list[Recorded]:
        """Return all events: those added, holds that must cover more now, lapses of what returned to expired lots, and
        what is withdrawn from a credit line beyond its limit.

        `returned` are the ids of the lots to which credits may have returned.
        """
        context = self._context
        if shares_meters(self.plan, context.tariffs):
            for held in cover_exposure(self.account, self.plan, context.at, context.tariffs):
                self.add(held)
        else:
            for request_id in [event.request for event in self.events if isinstance(event, Adjusted)]:
                for held in cover_own_exposure(self.account, self.plan, context.at, context.tariffs, request_id):
                    self.add(held)
        for lapsed in list(lapse_returned(self.account, self.plan, list(returned), context.at + 1, context.at)):
            self.add(lapsed)
        for withdrawn in list(narrowed(self.account, self.plan, None)):
            self.add(withdrawn)
        return self.events


def with_consequences(
    context: Context, account: Account, plan: Plan, event: Recorded, returned: Sequence[int]
) -> list[Recorded]:
    """Return an event with the events that follow from it. Most often there are none, which needs no copy of the
    account.

    `returned` are the ids of the lots to which credits may return.
    """
    if _has_no_consequences(context, account, plan, event, returned):
        return [event]
    projection = Projection(context, account, plan)
    projection.add(event)
    return projection.complete(returned)


def _has_no_consequences(
    context: Context, account: Account, plan: Plan, event: Recorded, returned: Sequence[int]
) -> bool:
    if account.debt or isinstance(event, Adjusted):
        return False
    for lot_id in returned:
        if lot_id and (expiry := account.lots[lot_id].expiry) is not None and expiry <= context.at:
            return False
    if account.billing is not None and excess(plan.terms, account):
        return False
    return not (account.requests and shares_meters(plan, context.tariffs))
