"""An account as a command's events will leave it, and what follows from them in the same commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..accounts import Account
from ..catalogue import Plan
from ..events import Adjusted, Charged, Recorded, Reinstated, Released, Reversed
from ..expiry import lapses
from ..holds import covering, covering_own, shares_meters
from ..reducers import apply
from ..repayment import with_repayment
from .context import Context


class Ahead:
    """The account as `events` leave it. It is copied when the first event is added; before, it is the books' own."""

    def __init__(self, context: Context, account: Account, plan: Plan) -> None:
        self.account, self.plan = account, plan
        self.events: list[Recorded] = []
        self._context, self._owned = context, False

    def add(self, event: Recorded, seq: int = 0) -> None:
        """Let one more event happen; credits that return by it pay what is owed first.

        `seq` is needed of an event by whose sequence something is named later on.
        """
        at = self._context.at
        if isinstance(event, Adjusted | Charged | Reinstated | Released | Reversed):
            event = with_repayment(self.account, self.plan, seq, at, at, event)
        if not self._owned:
            self.account, self._owned = self.account.clone(), True
        apply(self.account, self.plan, seq, at, event)
        self.events.append(event)

    def close(self, returned: Iterable[int] = ()) -> list[Recorded]:
        """All events: those added, holds that must cover more now, and what lapses because it returned to lots that
        have expired."""
        context = self._context
        if shares_meters(self.plan, context.tariffs):
            for held in covering(self.account, self.plan, context.at, context.tariffs):
                self.add(held)
        else:
            for corrected in [event.request for event in self.events if isinstance(event, Adjusted)]:
                for held in covering_own(self.account, self.plan, context.at, context.tariffs, corrected):
                    self.add(held)
        for lapsed in list(lapses(self.account, self.plan, list(returned), context.at + 1, context.at)):
            self.add(lapsed)
        return self.events


def closed(context: Context, account: Account, plan: Plan, event: Recorded, returned: Sequence[int]) -> list[Recorded]:
    """An event with what follows from it. Most often nothing does, which is seen without a copy of the account.

    `returned` are the lots to which credits may return.
    """
    if _has_no_consequences(context, account, plan, event, returned):
        return [event]
    ahead = Ahead(context, account, plan)
    ahead.add(event)
    return ahead.close(returned)


def _has_no_consequences(
    context: Context, account: Account, plan: Plan, event: Recorded, returned: Sequence[int]
) -> bool:
    if account.debt or isinstance(event, Adjusted):
        return False
    for name in returned:
        if name and (expiry := account.lots[name].expiry) is not None and expiry <= context.at:
            return False
    return not (account.requests and shares_meters(plan, context.tariffs))
