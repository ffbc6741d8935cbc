"""What a refusal says of the way out: what to buy, or how long to wait.

Law, held by a property test: `top_up` is the fewest credits whose purchase now lets the same command pass, and
`retry_after_us` the least wait after which it passes if nobody else acts. Neither is given where it would not.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

import msgspec

from ..accounts import Account
from ..amounts import MAX_CREDITS
from ..catalogue import Plan
from ..commands import MAX_TIME
from ..events import Kind, Purchased, Started
from ..expiry import due
from ..holds import covering, shares_meters
from ..lots import EXPIRY_OF_LOT
from ..rating import PolicyFailed, PriceTooLarge
from ..reducers import apply
from ..refusals import Reason, Refusal, Refused
from .context import Context
from .windows import last_end, open_credits

_BUYABLE = (Reason.not_subscribed, Reason.expired, Reason.in_debt, Reason.insufficient_credits)
_PASSING = (*_BUYABLE, Reason.rate_limited, Reason.window_exhausted, Reason.too_many_open)
"""Reasons that money or time may take away."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


J = TypeVar("J")


class Passing(Generic[J]):
    """A command that an account may be refused now, and could pass with more credits, or later."""

    def __init__(self, context: Context, plan: Plan) -> None:
        self.context, self.plan = context, plan

    def judge(self, account: Account, at: int) -> J:
        """What the command comes to on the account, as it is due at a time. Raises Refusal."""
        raise NotImplementedError

    def needed(self, account: Account, at: int) -> int:
        """The credits that must be available, whatever else would refuse it."""
        raise NotImplementedError

    def decided(self, account: Account) -> J:
        """What `judge` says now; a refusal with its facts."""
        try:
            return self.judge(account, self.context.at)
        except Refusal as refusal:
            raise self.explained(refusal, account) from None

    def explained(self, refusal: Refusal, account: Account) -> Refusal:
        """The refusal with what would let the command pass."""
        refused = refusal.refused
        facts = dict(refused.facts)
        if refused.reason in _BUYABLE and (top_up := self._top_up(account)) is not None:
            facts["top_up"] = top_up
        if refused.reason in _PASSING and (wait := self._wait(account)) is not None:
            facts["retry_after_us"] = wait
        return Refusal(refused.reason, **facts)

    def passes(self, account: Account, at: int) -> bool:
        """Whether the command is not refused."""
        try:
            self.judge(account, at)
        except (Refusal, PolicyFailed, PriceTooLarge):
            return False
        return True

    # -- buying --------------------------------------------------------------------------------------------------------

    def _top_up(self, account: Account) -> int | None:
        terms, at = self.plan.terms, self.context.at
        sold = terms.grants_credits and not self.plan.retired and not (terms.trial and account.tried)
        if not sold or (terms.seconds and last_end(account, at) > at):
            return None
        try:
            bought = self._with(account, MAX_CREDITS)  # which may begin a period, and covers what is held too little
            credits = max(1, self.needed(bought, at) + bought.held - account.held - account.available)
        except (Refusal, PolicyFailed, PriceTooLarge):
            return None
        # What costs nothing may need access alone, which 1 credit gives whatever is owed.
        for fewest in sorted({1, credits}):
            fits = open_credits(account) + fewest <= MAX_CREDITS
            if fits and self.passes(self._with(account, fewest), at):
                return fewest
        return None

    def _with(self, account: Account, credits: int) -> Account:
        """The account with so many credits that were bought just now."""
        ahead, plan, at = account.clone(), self.plan, self.context.at
        lot = self.context.books.seq + len(account.lots) + 1  # no lot has that name yet
        kind: Kind = "trial" if plan.terms.trial else "sale"
        number = max(1, account.number)
        bought = Purchased(account=number, subscriber=account.subscriber, plan=account.plan, kind=kind, credits=credits)
        paid = min(credits, account.debt)
        apply(ahead, plan, lot, at, bought)
        apply(ahead, plan, lot, at, Started(account=number, lot=lot, draws=((0, paid),) if paid else (), instant=at))
        if shares_meters(plan, self.context.tariffs):
            for event in covering(ahead, plan, at, self.context.tariffs):
                apply(ahead, plan, 0, at, event)
        return ahead

    # -- waiting -------------------------------------------------------------------------------------------------------

    def later(self, account: Account, at: int) -> list[int]:
        """Instants after `at` at which something may change for the better, in no order."""
        instants = [instant for instant, family, _ in account.agenda if family != EXPIRY_OF_LOT]
        metering = self.plan.terms.period
        if (end := _end_of_period(metering, at)) is not None:
            instants.append(end)  # here a period begins; after the next, that of now is no longer kept
            if (following := _end_of_period(metering, end)) is not None:
                instants.append(following)
        return instants

    def _wait(self, account: Account) -> int | None:
        """Between the instants nothing gets better, so the first of them at which the command passes is the least."""
        at, ahead = self.context.at, account
        for instant in sorted(set(self.later(account, at))):
            if at < instant <= MAX_TIME:
                ahead, _ = due(ahead, self.plan, instant, self.context.tariffs)
                if self.passes(ahead, instant):
                    return instant - at
        return None


def _end_of_period(metering: str, at: int) -> int | None:
    """When the calendar's period ends in which `at` lies; None for a period that no calendar ends."""
    if metering not in ("month", "day"):
        return None
    day = (_EPOCH + timedelta(microseconds=at)).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        following = (
            day + timedelta(days=1) if metering == "day" else (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        )
    except OverflowError:
        return None
    return (following - _EPOCH) // timedelta(microseconds=1)


def with_clock_skew(refused: Refused, behind: int) -> Refused:
    """The refusal as it is told where the clock is behind the log's head: waiting counts from the clock."""
    if not behind:
        return refused
    facts = {**refused.facts, "clock_behind_us": behind}
    wait = facts.get("retry_after_us")
    if isinstance(wait, int):
        facts["retry_after_us"] = wait + behind
    return msgspec.structs.replace(refused, facts=facts)
