"""Facts of a refusal that say how the command could pass: how many credits to buy, or how long to wait.

Invariant, property-tested: `top_up` is the fewest credits whose purchase now lets the same command pass, and
`retry_after_us` the least wait after which it passes if the account does not change otherwise. A fact is left out where
it would not help.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from ..accounts import Account
from ..amounts import MAX_CREDITS
from ..catalogue import Plan
from ..commands import MAX_TIME
from ..events import Kind, Purchased, Started
from ..expiry import due
from ..holds import cover_exposure, shares_meters
from ..lots import EXPIRY_OF_LOT
from ..periods import end_of
from ..rating import PolicyFailed, PriceTooLarge
from ..reducers import apply
from ..refusals import Reason, Refusal, Refused
from .context import Context, shown_with
from .windows import last_end, open_credits

_BUYABLE = (Reason.not_subscribed, Reason.expired, Reason.in_debt, Reason.insufficient_credits)
_PASSING = (*_BUYABLE, Reason.rate_limited, Reason.window_exhausted, Reason.too_many_open)
"""Reasons that credits or time may remove."""


A = TypeVar("A")


class Assessment(Generic[A]):
    """Assessment of a command on an account: now, with more credits, or later. `A` is its result if it passes."""

    def __init__(self, context: Context, plan: Plan) -> None:
        self.context, self.plan = context, plan

    def assess(self, account: Account, at: int) -> A:
        """Assess the command on the account as it is due at a time (UTC microseconds). Raises Refusal."""
        raise NotImplementedError

    def needed(self, account: Account, at: int) -> int:
        """Return the credits that must be available, apart from other reasons to refuse the command."""
        raise NotImplementedError

    def accepted(self, account: Account) -> A:
        """Assess the command now. Raises Refusal with its facts."""
        try:
            return self.assess(account, self.context.at)
        except Refusal as refusal:
            raise self.with_facts(refusal, account) from None

    def with_facts(self, refusal: Refusal, account: Account) -> Refusal:
        """Return the refusal with the facts of what would let the command pass."""
        refused = refusal.refused
        facts = dict(refused.facts)
        if refused.reason in _BUYABLE and (top_up := self._top_up(account)) is not None:
            facts |= {"top_up": top_up} | shown_with(self.plan)
        if refused.reason in _PASSING and (wait := self._wait(account)) is not None:
            facts["retry_after_us"] = wait
        return Refusal(refused.reason, **facts)

    def passes(self, account: Account, at: int) -> bool:
        """True if the command is not refused."""
        try:
            self.assess(account, at)
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
            bought = self._with(account, MAX_CREDITS)  # which may begin a period, and covers holds that are too small
            credits = max(1, self.needed(bought, at) + bought.held - account.held - account.available)
        except (Refusal, PolicyFailed, PriceTooLarge):
            return None
        # A command that costs nothing may need access alone, which 1 credit gives at any debt.
        for amount in sorted({1, credits}):
            fits = open_credits(account) + amount <= MAX_CREDITS
            if fits and self.passes(self._with(account, amount), at):
                return amount
        return None

    def _with(self, account: Account, credits: int) -> Account:
        """Return the account as if so many credits were bought now."""
        projected, plan, at = account.clone(), self.plan, self.context.at
        lot_id = self.context.books.seq + len(account.lots) + 1  # no lot has that id yet
        kind: Kind = "trial" if plan.terms.trial else "sale"
        number = max(1, account.number)
        bought = Purchased(account=number, subscriber=account.subscriber, plan=account.plan, kind=kind, credits=credits)
        paid = min(credits, account.debt)
        draws = ((0, paid),) if paid else ()
        apply(projected, plan, lot_id, at, bought)
        apply(projected, plan, lot_id, at, Started(account=number, lot=lot_id, draws=draws, instant=at))
        if shares_meters(plan, self.context.tariffs):
            for event in cover_exposure(projected, plan, at, self.context.tariffs):
                apply(projected, plan, 0, at, event)
        return projected

    # -- waiting -------------------------------------------------------------------------------------------------------

    def later(self, account: Account, at: int) -> list[int]:
        """Return instants after `at` at which the command may begin to pass, in no order."""
        instants = [instant for instant, family, _ in account.agenda if family != EXPIRY_OF_LOT]
        metering = self.plan.terms.period
        if (end := end_of(metering, at)) is not None:
            instants.append(end)  # a period begins; one period later, the present one is no longer kept
            if (following := end_of(metering, end)) is not None:
                instants.append(following)
        return instants

    def _wait(self, account: Account) -> int | None:
        """Return the least wait in microseconds after which the command passes; None if waiting does not help.

        Nothing improves between the instants, so it is the first of them at which the command passes.
        """
        at, projected = self.context.at, account
        for instant in sorted(set(self.later(account, at))):
            if at < instant <= MAX_TIME:
                projected, _ = due(projected, self.plan, instant, self.context.tariffs)
                if self.passes(projected, instant):
                    return instant - at
        return None


def with_clock_skew(refused: Refused, behind: int) -> Refused:
    """Return the refusal with its wait counted from the clock, where the clock is `behind` the log's head
    (microseconds)."""
    if not behind:
        return refused
    facts = {**refused.facts, "clock_behind_us": behind}
    wait = facts.get("retry_after_us")
    if isinstance(wait, int):
        facts["retry_after_us"] = wait + behind
    return msgspec.structs.replace(refused, facts=facts)
