"""The demo's story: customers buy and make requests, requests are charged, some charges corrected, earnings settled.

Time is the trace's, in slices. Each slice is one commit at its end, so a charge follows its request in a later commit,
as in a service that reports its usage every so often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count, islice
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
from replay.reports.exports import Progress
from replay.workload.traces import Row, Trace

from .escrow import Escrow, Order
from .shop import DAY, STARTER, TRIAL, Customer, Habit, Shop, agent_for
from .trace_clock import TraceClock, slice_length
from .usage import Estimator, Work, first_half, is_timed, known_after, labels, work_of

VOIDED, LOST, LATE = 0.005, 0.003, 0.002
"""Parts of the admitted requests that are cancelled, never charged, and charged after they expired."""

LONG = 12 * SECOND
"""A longer request is charged in two parts (microseconds)."""

CHARGES_PER_CORRECTION = 100
"""One charge of so many is corrected."""

CORRECTIONS_PER_LATE_ONE = 5
"""One correction of so many comes only after the next settlement, so that a later batch nets it."""

BATCHES = 10
"""The most settlements: at even times in the trace, and once after it."""

Then: TypeAlias = Callable[[Outcome], None]


class _Account(msgspec.Struct):
    """A customer on a plan; `buys` before its next request, and never again once it has `left`."""

    customer: Customer
    plan: CreatePlan
    buys: bool = True
    left: bool = False


class Story:
    """One run of the demo on an open ledger. `unread` counts units of usage that no rate read, by dimension."""

    def __init__(
        self, ledger: Ledger, escrow: Escrow, clock: TraceClock, trace: Trace, shop: Shop, random: Random
    ) -> None:
        self._ledger, self._escrow, self._clock, self._rows = ledger, escrow, clock, trace.rows
        self._shop, self._random = shop, random
        self._slice, self._timed = slice_length(trace), is_timed(trace)
        self._estimator = Estimator()
        self._accounts: dict[tuple[str, str], _Account] = {}
        self._later: list[tuple[int, int, Callable[[], None]]] = []
        self._commands: list[Command | Order] = []
        self._thens: list[Then | None] = []
        self._number = count()
        self._invoice = count(1)
        self._active: dict[tuple[str, str], _Account] = {}
        self._charges, self._corrected, self._corrections = 0, 0, 0
        self.unread: Counter[str] = Counter()
        first, last = self._rows[0].at, self._rows[-1].at
        self._settlement_interval = (last - first) // BATCHES
        self._settlements = [first + (last - first) * number // BATCHES for number in range(1, BATCHES)]

    def play(self, progress: Progress) -> None:
        """Run the story, from the creation of the plans to the last settlement, a day after the last request."""
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
        self._escrow.settle()

    # -- time ----------------------------------------------------------------------------------------------------------

    def _gather(self, done: int) -> int:
        """Collect the commands of this slice, in the order of their times; return how many rows are done after it."""
        end, rows, later = self._clock.now, self._rows, self._later
        while True:
            row = rows[done] if done < len(rows) and rows[done].at < end else None
            if later and later[0][0] < end and (row is None or later[0][0] <= row.at):
                heappop(later)[2]()
            elif row is not None:
                self._request(row)
                done += 1
            else:
                return done

    def _commit(self) -> None:
        commands, thens = self._commands, self._thens
        self._commands, self._thens = [], []
        for outcome, then in zip(self._ledger.execute_many(self._escrow.pay(commands)), thens, strict=True):
            if then is not None:
                then(outcome)
        self._buy_before_it_runs_out()

    def _do(self, command: Command | Order, then: Then | None = None) -> None:
        self._commands.append(command)
        self._thens.append(then)

    def _after(self, duration: int, act: Callable[[], None]) -> None:
        heappush(self._later, (self._clock.now + duration, next(self._number), act))

    # -- customers -----------------------------------------------------------------------------------------------------

    def _request(self, row: Row) -> None:
        account = self._account(row)
        if account.buys:
            self._buy(account)
        name, work = agent_for(row), work_of(row, self._timed)
        estimate = self._estimator.estimate(row.model, work.usage)
        request = Request(
            subscriber=account.customer.subscriber,
            plan=account.plan.plan,
            agent=name,
            method="POST",
            url=self._shop.agents[name].endpoints[0].url.replace(":action", "complete"),
            estimate=self._shop.priced.reported(account.plan.plan, row.model, estimate),
            labels=labels(row.model),
        )
        self._do(request, lambda outcome: self._answered(account, row, work, outcome))

    def _account(self, row: Row) -> _Account:
        customer = self._shop.customers[row.subscriber or ""]
        plan = row.plan or customer.plan
        key = (customer.subscriber, plan)
        if key not in self._accounts:
            self._accounts[key] = _Account(customer, self._shop.plans[plan])
        return self._accounts[key]

    def _buy(self, account: _Account) -> None:
        """Buy the plan again: on the chain if it has a price, else from the ledger alone."""
        account.buys = False
        subscriber, plan = account.customer.subscriber, account.plan
        if account.left:
            return
        if plan.price:
            self._do(Order(subscriber, plan), _granted)
        else:
            self._do(Purchase(subscriber=subscriber, plan=plan.plan, payment=f"invoice-{next(self._invoice):06}"))

    def _buy_before_it_runs_out(self) -> None:
        """Buy again for the accounts with requests in this slice and less than a quarter of the plan's credits."""
        active, self._active = self._active, {}
        for (subscriber, plan), account in active.items():
            balance = self._ledger.balance(subscriber, plan)
            if balance is not None and balance.available * 4 < int(account.plan.credits):
                self._after(0, lambda account=account: self._buy(account))  # type: ignore[misc]

    def _refused(self, account: _Account, reason: Reason) -> None:
        """Change from the trial to a plan, or buy the plan again; but wait for the end of a window that is used up."""
        if account.customer.habit is Habit.never or reason not in _OUT_OF_CREDITS:
            return
        if account.plan.trial:
            account.customer.plan = STARTER
        else:
            account.buys = reason is Reason.expired or not account.plan.seconds

    # -- settlement ----------------------------------------------------------------------------------------------------

    def _settle(self, done: int) -> None:
        """Settle when it is time; before the last time in the trace, a customer requests an exit."""
        due = [at for at in self._settlements if at <= self._clock.now]
        if not due:
            return
        del self._settlements[: len(due)]
        if not self._settlements and (account := self._account_to_exit(done)) is not None:
            account.left = True
            self._escrow.request_exit(account.customer.subscriber, account.plan)
        self._escrow.settle()

    def _account_to_exit(self, done: int) -> _Account | None:
        """Return the account with the fewest requests to come, of those with credits and without open requests."""
        requests = Counter(row.subscriber for row in islice(self._rows, done, None))
        able = [
            account
            for (subscriber, plan), account in self._accounts.items()
            if account.plan.price and not account.plan.seconds
            if (balance := self._ledger.balance(subscriber, plan)) is not None
            if balance.available > 0 and not balance.open_requests
        ]
        return min(able, key=lambda account: requests[account.customer.subscriber], default=None)

    # -- the service ---------------------------------------------------------------------------------------------------

    def _answered(self, account: _Account, row: Row, work: Work, outcome: Outcome) -> None:
        if isinstance(outcome, Refused):
            self._refused(account, outcome.reason)
            return
        if account.customer.habit is Habit.before_it_runs_out and not account.plan.seconds:
            self._active[account.customer.subscriber, account.plan.plan] = account
        request, duration, fate = outcome.seq, work.duration, self._random.random()
        plan, priced = account.plan.plan, self._shop.priced
        usage = priced.reported(plan, row.model, work.usage)
        if fate >= VOIDED + LOST:
            self.unread.update(priced.unread(plan, row.model, row.usage))
        if fate < VOIDED:
            self._after(duration // 2, lambda: self._do(Release(request=request)))
        elif fate < VOIDED + LOST:
            return
        elif fate < VOIDED + LOST + LATE:
            assert isinstance(outcome.event, Requested)
            overdue = outcome.event.deadline + 60 * SECOND - self._clock.now
            self._after(overdue, lambda: self._charge(row.model, work, request, usage))
        elif duration > LONG:
            self._after(duration // 2, lambda: self._charge_half(row.model, work, request, usage))
        else:
            self._after(duration, lambda: self._charge(row.model, work, request, usage))

    def _charge_half(self, model: str | None, work: Work, request: int, usage: dict[str, int]) -> None:
        half = first_half(usage)
        rest = {name: units - half[name] for name, units in usage.items()}
        self._do(Charge(request=request, usage=half, final=False), self._correct)
        self._after(work.duration - work.duration // 2, lambda: self._charge(model, work, request, rest))

    def _charge(self, model: str | None, work: Work, request: int, usage: dict[str, int]) -> None:
        self._estimator.learn(model, work.usage)
        self._do(Charge(request=request, usage=usage), lambda outcome: self._charged(request, outcome))

    def _charged(self, request: int, outcome: Outcome) -> None:
        if outcome.accepted:
            self._correct(outcome)
        else:  # its price is out of bounds, or its policy failed: its hold is released
            self._after(0, lambda: self._do(Release(request=request, reason="failed")))

    # -- corrections ---------------------------------------------------------------------------------------------------

    def _correct(self, outcome: Outcome) -> None:
        """Correct one charge of a hundred when its true cost is known: minutes later, or after a settlement."""
        if not isinstance(outcome, Answer) or not isinstance(outcome.event, Charged):
            return
        if self._charges % CHARGES_PER_CORRECTION == 0:
            self._corrected = self._charges + int(self._random.random() * CHARGES_PER_CORRECTION)
        if self._charges == self._corrected:
            correction = self._correction(outcome.seq, outcome.event)
            minutes = 60 * SECOND + int(self._random.random() * 540) * SECOND
            wait = self._settlement_interval if self._corrections % CORRECTIONS_PER_LATE_ONE == 0 else 0
            self._after(minutes + wait, lambda: self._do(correction))
            self._corrections += 1
        self._charges += 1

    def _correction(self, charge: int, event: Charged) -> Adjust:
        kind = int(self._random.random() * 3)
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
    """Raise where the ledger refused a purchase: the chain has the money already."""
    outcome.unwrap()


_OUT_OF_CREDITS = (Reason.expired, Reason.in_debt, Reason.insufficient_credits)
