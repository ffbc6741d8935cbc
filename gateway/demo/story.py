"""The demo's story: customers buy, ask, are served and charged, charges are corrected, and what is earned is settled.

Time is the trace's. It passes in slices; what happens in one slice is one commit at its end, so a charge follows its
request in a later commit, as in a service that reports its usage every so often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import TypeAlias

import msgspec

from ledger import (
    Adjust,
    Answer,
    Charge,
    Command,
    CreatePlan,
    Ledger,
    Outcome,
    Purchase,
    Reason,
    Refused,
    Release,
    Request,
    RetirePlan,
    Tick,
)
from ledger.amounts import SECOND
from ledger.events import Charged, Requested
from replay.workload.moments import HOUR
from replay.workload.traces import Row, Trace

from .priced import labels
from .shop import DAY, STARTER, TRIAL, Customer, Habit, Shop, agent_for
from .till import Order, Till
from .work import Guess, first_half, known_after, work_of

VOIDED, LOST, LATE = 0.005, 0.003, 0.002
"""Parts of the admitted requests that are called off, that are never heard of again, and that report after expiring."""

LONG = 12 * SECOND
"""What takes longer than this is charged in two parts."""

MAX_SLICES = 400
"""Each slice is a commit, and each commit waits for the disk's sync, a few milliseconds on most: with more of them, the
demo would mostly wait."""

ONE_IN = 100
"""One charge of so many is corrected."""

LATER = 5
"""One correction of so many comes only after the next settlement, so that a later batch nets it."""

BATCHES = 10
"""What is earned is settled so often at most: at even times in the trace, and once more when all is over."""

Then: TypeAlias = Callable[[Outcome], None]
Progress: TypeAlias = Callable[[str, int, int], None]


class TraceClock:
    """The clock that the ledger is given: it stands where the story has come to, but never gives a microsecond twice,
    as no machine's clock does between two commits."""

    def __init__(self, now: int) -> None:
        self.now = self._last = now

    def __call__(self) -> int:  # noqa: D102 - a clock gives the time
        self._last = max(self.now, self._last + 1)
        return self._last


def slice_length(trace: Trace) -> int:
    """A part of the trace's span, from a second to an hour: in microseconds."""
    return min(max(SECOND, (trace.rows[-1].at - trace.rows[0].at) // MAX_SLICES), HOUR)


class _Account(msgspec.Struct):
    """A customer on a plan; `buys` before its next request, and never again once it has `left`."""

    customer: Customer
    plan: CreatePlan
    buys: bool = True
    left: bool = False


class Story:
    """One run of the demo on an open ledger. `unread` counts units of work that no rate read, by dimension."""

    def __init__(self, ledger: Ledger, till: Till, clock: TraceClock, trace: Trace, shop: Shop, rng: Random) -> None:
        self._ledger, self._till, self._clock, self._rows = ledger, till, clock, trace.rows
        self._shop, self._rng = shop, rng
        self._slice = slice_length(trace)
        self._guess = Guess()
        self._accounts: dict[tuple[str, str], _Account] = {}
        self._later: list[tuple[int, int, Callable[[], None]]] = []
        self._commands: list[Command | Order] = []
        self._thens: list[Then | None] = []
        self._number = count()
        self._invoice = count(1)
        self._asked: dict[tuple[str, str], _Account] = {}
        self._charges, self._corrected, self._corrections = 0, 0, 0
        self.unread: Counter[str] = Counter()
        first, last = self._rows[0].at, self._rows[-1].at
        self._between = (last - first) // BATCHES
        self._settlements = [first + (last - first) * number // BATCHES for number in range(1, BATCHES)]

    def play(self, progress: Progress) -> None:
        """All of it, from opening the shop to closing its books a day after the last request, with all settled."""
        for outcome in self._ledger.execute_many([*self._shop.plans.values(), *self._shop.agents.values()]):
            outcome.unwrap()
        done, start = 0, self._rows[0].at
        while done < len(self._rows) or self._later:
            first = min([*(row.at for row in self._rows[done : done + 1]), *(at for at, _, _ in self._later[:1])])
            self._clock.now = start + ((first - start) // self._slice + 1) * self._slice
            done = self._gather(done)
            self._commit()
            self._settle(done)
            progress("requests", done, len(self._rows))
        self._clock.now += DAY * SECOND
        self._ledger.execute_many([Tick(), RetirePlan(plan=TRIAL)])  # an event: refusals are written beside one
        self._till.settle()

    # -- time ----------------------------------------------------------------------------------------------------------

    def _gather(self, done: int) -> int:
        """The commands of this slice, in the order of their times; returns how many rows are done after it."""
        end, rows, later = self._clock.now, self._rows, self._later
        while True:
            row = rows[done] if done < len(rows) and rows[done].at < end else None
            if later and later[0][0] < end and (row is None or later[0][0] <= row.at):
                heappop(later)[2]()
            elif row is not None:
                self._ask(row)
                done += 1
            else:
                return done

    def _commit(self) -> None:
        commands, thens = self._commands, self._thens
        self._commands, self._thens = [], []
        for outcome, then in zip(self._ledger.execute_many(self._till.pay(commands)), thens, strict=True):
            if then is not None:
                then(outcome)
        self._buy_before_it_runs_out()

    def _do(self, command: Command | Order, then: Then | None = None) -> None:
        self._commands.append(command)
        self._thens.append(then)

    def _after(self, duration: int, act: Callable[[], None]) -> None:
        heappush(self._later, (self._clock.now + duration, next(self._number), act))

    # -- customers -----------------------------------------------------------------------------------------------------

    def _ask(self, row: Row) -> None:
        account = self._account(row)
        if account.buys:
            self._buy(account)
        name = agent_for(row)
        request = Request(
            subscriber=account.customer.subscriber,
            plan=account.plan.plan,
            agent=name,
            method="POST",
            url=self._shop.agents[name].endpoints[0].url.replace(":action", "complete"),
            estimate=self._shop.priced.given(account.plan.plan, row.model, self._guess.estimate(row)),
            labels=labels(row.model),
        )
        self._do(request, lambda outcome: self._answered(account, row, outcome))

    def _account(self, row: Row) -> _Account:
        customer = self._shop.customers[row.subscriber or ""]
        plan = row.plan or customer.plan
        place = (customer.subscriber, plan)
        if place not in self._accounts:
            self._accounts[place] = _Account(customer, self._shop.plans[plan])
        return self._accounts[place]

    def _buy(self, account: _Account) -> None:
        """A plan that costs nothing is bought from the shop, any other on the chain."""
        account.buys = False
        subscriber, plan = account.customer.subscriber, account.plan
        if account.left:
            return
        if plan.price:
            self._do(Order(subscriber, plan), _granted)
        else:
            self._do(Purchase(subscriber=subscriber, plan=plan.plan, payment=f"invoice-{next(self._invoice):06}"))

    def _buy_before_it_runs_out(self) -> None:
        """Of the accounts that asked in this slice, those with less than a quarter of a plan left buy it again."""
        asked, self._asked = self._asked, {}
        for (subscriber, plan), account in asked.items():
            balance = self._ledger.balance(subscriber, plan)
            if balance is not None and balance.available * 4 < account.plan.credits:
                self._after(0, lambda account=account: self._buy(account))  # type: ignore[misc]

    def _refused(self, account: _Account, reason: Reason) -> None:
        """A trial is followed by a plan, a window that is over by the next; a window that is used up is waited for."""
        if account.customer.habit is Habit.never or reason not in _SHORT:
            return
        if account.plan.trial:
            account.customer.plan = STARTER
        else:
            account.buys = reason is Reason.expired or not account.plan.seconds

    # -- settlement ----------------------------------------------------------------------------------------------------

    def _settle(self, done: int) -> None:
        """Settle when it is time; the last time in the trace somebody leaves."""
        due = [at for at in self._settlements if at <= self._clock.now]
        if not due:
            return
        del self._settlements[: len(due)]
        if not self._settlements and (account := self._leaver(done)) is not None:
            account.left = True
            self._till.leave(account.customer.subscriber, account.plan)
        self._till.settle()

    def _leaver(self, done: int) -> _Account | None:
        """Of those who have credits left and nothing under way, the one with the fewest requests in what is to come."""
        requests = Counter(row.subscriber for row in self._rows[done:])
        able = [
            account
            for (subscriber, plan), account in self._accounts.items()
            if account.plan.price and not account.plan.seconds
            if (balance := self._ledger.balance(subscriber, plan)) is not None
            if balance.available > 0 and not balance.open_requests
        ]
        return min(able, key=lambda account: requests[account.customer.subscriber], default=None)

    # -- the service ---------------------------------------------------------------------------------------------------

    def _answered(self, account: _Account, row: Row, outcome: Outcome) -> None:
        if isinstance(outcome, Refused):
            self._refused(account, outcome.reason)
            return
        if account.customer.habit is Habit.before_it_runs_out and not account.plan.seconds:
            self._asked[account.customer.subscriber, account.plan.plan] = account
        request, (work, duration), fate = outcome.seq, work_of(row), self._rng.random()
        plan = account.plan.plan
        usage = self._shop.priced.given(plan, row.model, work)
        if fate >= VOIDED + LOST:
            self.unread.update(self._shop.priced.unread(plan, row.model, row.usage))
        if fate < VOIDED:
            self._after(duration // 2, lambda: self._do(Release(request=request)))
        elif fate < VOIDED + LOST:
            return
        elif fate < VOIDED + LOST + LATE:
            assert isinstance(outcome.event, Requested)
            overdue = outcome.event.deadline + 60 * SECOND - self._clock.now
            self._after(overdue, lambda: self._charge(row, request, usage))
        elif duration > LONG:
            self._after(duration // 2, lambda: self._charge_half(row, request, usage, duration - duration // 2))
        else:
            self._after(duration, lambda: self._charge(row, request, usage))

    def _charge_half(self, row: Row, request: int, usage: dict[str, int], duration: int) -> None:
        half = first_half(usage)
        rest = {name: units - half[name] for name, units in usage.items()}
        self._do(Charge(request=request, usage=half, final=False), lambda outcome: self._correct(outcome))
        self._after(duration, lambda: self._charge(row, request, rest))

    def _charge(self, row: Row, request: int, usage: dict[str, int]) -> None:
        self._guess.learn(row, work_of(row).usage)
        self._do(Charge(request=request, usage=usage), lambda outcome: self._charged(request, outcome))

    def _charged(self, request: int, outcome: Outcome) -> None:
        if outcome.accepted:
            self._correct(outcome)
        else:  # its price passes all bounds, or its policy fails: what it holds goes back
            self._after(0, lambda: self._do(Release(request=request, reason="failed")))

    # -- corrections ---------------------------------------------------------------------------------------------------

    def _correct(self, outcome: Outcome) -> None:
        """One charge of a hundred is corrected when the true cost is known: minutes later, or after a settlement."""
        if not isinstance(outcome, Answer) or not isinstance(outcome.event, Charged):
            return
        if self._charges % ONE_IN == 0:
            self._corrected = self._charges + int(self._rng.random() * ONE_IN)
        if self._charges == self._corrected:
            correction = self._correction(outcome.seq, outcome.event)
            minutes = 60 * SECOND + int(self._rng.random() * 540) * SECOND
            wait = self._between if self._corrections % LATER == 0 else 0
            self._after(minutes + wait, lambda: self._do(correction))
            self._corrections += 1
        self._charges += 1

    def _correction(self, charge: int, event: Charged) -> Adjust:
        kind = int(self._rng.random() * 3)
        if kind == 0 and event.credits:
            credits = -(-event.credits // 2)
            return Adjust(charge=charge, credits=-credits, reason="refund", note="the answer broke off half-way")
        after = [name for name in event.usage if known_after(name)]
        dimension = max(after or event.usage, key=lambda name: (event.usage[name], name), default="calls")
        tenth = -(-event.usage.get(dimension, 0) // 10)
        if kind == 1 and tenth:
            return Adjust(charge=charge, usage={dimension: -tenth}, note="a part was counted twice")
        return Adjust(charge=charge, usage={dimension: max(1, tenth)}, reason="true_up", note="as the provider billed")


def _granted(outcome: Outcome) -> None:
    """The chain has the money already, so the ledger must have granted what was bought."""
    outcome.unwrap()


_SHORT = (Reason.expired, Reason.in_debt, Reason.insufficient_credits)
