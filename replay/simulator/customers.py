"""Customers: random commands, small enough to collide, with edge cases where rules meet.

By default, half of the commands are requests, charges and releases; the rest are purchases, gifts, corrections,
reversals, changes of the catalogue, and what `payers.py` does about invoices. Amounts are a few units, or exactly an
account's remainder (or one more, one less), or near a number in the tariff, or near 2^63. Times are a few seconds
around now. References are to recent requests, charges and lots, seldom to unknown ones. One in four commands has a key;
one in eight repeats an earlier one, identically or with other content under the same key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from msgspec.structs import replace

from ledger.amounts import MAX_CREDITS, SECOND
from ledger.books import Books
from ledger.commands import (
    Adjust,
    Charge,
    Command,
    Extend,
    Freeze,
    Give,
    PayInvoice,
    Purchase,
    RegisterAgent,
    Reinstate,
    Release,
    RepricePlan,
    Request,
    RetirePlan,
    Reverse,
    Tick,
    Unfreeze,
    UpdateAgent,
    Withdraw,
)
from ledger.periods import period

from .payers import Payers, payment
from .plans import BUILT_IN
from .usages import Usages

WEIGHTS: dict[str, int] = {
    "request": 26,
    "charge_request": 24,
    "charge_directly": 14,
    "purchase": 12,
    "give": 8,
    "adjust_charge": 12,
    "adjust_period": 4,
    "release": 6,
    "extend": 4,
    "withdraw": 3,
    "reverse": 3,
    "reinstate": 2,
    "tick": 2,
    "catalogue": 2,
    "nonsense": 1,
    "freeze": 0,
    "unfreeze": 0,
}
"""The kinds of commands, with the relative frequency of each."""

_REMEMBERED = 30
_UNKNOWN = 10**9


class Customers:
    """Draws commands for the plans of a run; references are taken from the books of the whole log."""

    def __init__(
        self, random: Random, subscribers: Sequence[str], plans: Sequence[str], charges: Sequence[int], payers: Payers
    ) -> None:
        self._random = random
        self._subscribers, self._plans = subscribers, plans
        self._usages = Usages(random)
        self.repeatable: list[Command] = []
        self._charges, self._payers = charges, payers
        self._keys = 0
        weights = {kind: weight * random.choice((0, 1, 1, 2)) for kind, weight in WEIGHTS.items()}
        weights["freeze"] = weights["unfreeze"] = random.choice((0, 0, 1))
        weights |= payers.weights
        self._kinds = [kind for kind, weight in weights.items() for _ in range(weight)] or ["request"]
        self._may_reprice = random.randrange(2) == 0

    def draw(self, books: Books, now: int) -> Command:
        """Return the next command, or an earlier one again."""
        random = self._random
        if self.repeatable and random.randrange(8) == 0:
            return self._again(random.choice(self.repeatable))
        kind = random.choice(self._kinds)
        if kind in ("charge_request", "release", "extend") and not books.open and random.randrange(20):
            kind = "request"
        command = self._made(kind, books, now)
        if random.randrange(4) == 0:
            self._keys += 1
            issued = random.choice((None, None, now, now - random.randrange(100_000) * SECOND))
            command = replace(command, key=f"key {self._keys}", issued_at=issued)
        return command

    def _made(self, kind: str, books: Books, now: int) -> Command:
        if kind in self._payers.draws:
            return self._payers.draws[kind](books)
        make: Callable[[Books, int], Command] = getattr(self, f"_{kind}")
        return make(books, now)

    def any_plan(self) -> str:
        """Return a random plan of the run."""
        return self._random.choice(self._plans)

    def remember(self, command: Command) -> None:
        """Keep a command with a key or a payment, so that it may be repeated."""
        if command.key is not None or (isinstance(command, Purchase | PayInvoice) and command.payment):
            self.repeatable = [*self.repeatable[-_REMEMBERED:], command]

    def _again(self, command: Command) -> Command:
        if isinstance(command, Charge | Request) and self._random.randrange(5) == 0:
            return replace(command, labels={"again": "otherwise"})
        return command

    # -- requests and charges ------------------------------------------------------------------------------------------

    def _request(self, books: Books, now: int) -> Command:
        subscriber, plan = self._account()
        agent = self._random.choice(("",) * 8 + ("bot", "bot", "unknown"))
        return Request(
            subscriber=subscriber, plan=plan, agent=agent, estimate=self._usages.draw(books, subscriber, plan)
        )

    def _charge_request(self, books: Books, now: int) -> Command:
        request = self._open(books)
        account = books.accounts.get(books.open.get(request, 0))
        names = (account.subscriber, account.plan) if account else self._account()
        final = self._random.randrange(3) > 0
        return Charge(
            request=request, usage=self._usages.draw(books, *names), final=final, occurred_at=self._occurred(now)
        )

    def _charge_directly(self, books: Books, now: int) -> Command:
        subscriber, plan = self._account()
        usage = self._usages.draw(books, subscriber, plan)
        return Charge(subscriber=subscriber, plan=plan, usage=usage, occurred_at=self._occurred(now))

    def _release(self, books: Books, now: int) -> Command:
        return Release(request=self._open(books), reason=self._random.choice(("voided", "failed")))

    def _extend(self, books: Books, now: int) -> Command:
        return Extend(request=self._open(books), seconds=self._random.randint(0, 30))

    def _adjust_charge(self, books: Books, now: int) -> Command:
        charge = self._latest(self._charges)
        expiry = self._later(now) if self._random.randrange(4) == 0 else None
        if self._random.randrange(3) == 0:
            return Adjust(charge=charge, usage=self._delta(), expiry=expiry)
        return Adjust(charge=charge, credits=self._correction(), expiry=expiry, reason="refund")

    def _adjust_period(self, books: Books, now: int) -> Command:
        subscriber, plan = self._account()
        account, terms = books.find(subscriber, plan), books.plans.get(plan)
        name = "2020-01"
        if account is not None and account.purchases and terms is not None and self._random.randrange(8):
            name = period(terms.terms.period, account.purchases, now)
        if self._random.randrange(3) == 0:
            return Adjust(subscriber=subscriber, plan=plan, period=name, usage=self._delta())
        return Adjust(subscriber=subscriber, plan=plan, period=name, credits=self._correction())

    # -- purchases, gifts, and their reversal --------------------------------------------------------------------------

    def _purchase(self, books: Books, now: int) -> Command:
        subscriber, plan = self._account()
        paid = payment(self._random) if self._random.randrange(3) == 0 else ""
        start = self._later(now) if self._random.randrange(5) == 0 else None
        funding = self._random.choice(("none", "direct"))
        return Purchase(
            subscriber=subscriber,
            plan=plan,
            payment=paid,
            start=start,
            funding="direct" if funding == "direct" else "none",
        )

    def _give(self, books: Books, now: int) -> Command:
        subscriber, plan = self._account()
        random = self._random
        return Give(
            subscriber=subscriber,
            plan=plan,
            credits=random.choice((0, 1, 5, 12, 12, 30, MAX_CREDITS // 2)),
            seconds=random.choice((0, 0, 0, 20)),
            start=self._later(now) if random.randrange(4) == 0 else None,
            expiry=self._later(now) if random.randrange(3) == 0 else None,
            priority=random.choice((None, -1, 0, 1)),
        )

    def _withdraw(self, books: Books, now: int) -> Command:
        subscriber, plan = self._account()
        credits = self._random.choice((None, 0, 1, 7))
        return Withdraw(subscriber=subscriber, plan=plan, lot=self._lot(books, subscriber, plan), credits=credits)

    def _reverse(self, books: Books, now: int) -> Command:
        subscriber, plan = self._account()
        amount = self._random.choice((None, None, 1, 7, 300))
        if self._random.randrange(3) == 0:
            return Reverse(subscriber=subscriber, plan=plan, payment=payment(self._random), amount=amount)
        return Reverse(subscriber=subscriber, plan=plan, lot=self._lot(books, subscriber, plan), amount=amount)

    def _reinstate(self, books: Books, now: int) -> Command:
        """Reinstate a reversed lot, if there is one."""
        void = [
            (account, lot.id) for account in books.accounts.values() for lot in account.lots.values() if lot.reversal
        ]
        if void and self._random.randrange(8):
            account, lot = self._random.choice(void)
            return Reinstate(subscriber=account.subscriber, plan=account.plan, lot=lot)
        subscriber, plan = self._account()
        return Reinstate(subscriber=subscriber, plan=plan, lot=self._lot(books, subscriber, plan))

    def _freeze(self, books: Books, now: int) -> Command:
        subscriber, plan = self._account()
        return Freeze(subscriber=subscriber, plan=plan)

    def _unfreeze(self, books: Books, now: int) -> Command:
        frozen = [account for account in books.accounts.values() if account.frozen]
        if frozen and self._random.randrange(8):
            account = self._random.choice(frozen)
            return Unfreeze(subscriber=account.subscriber, plan=account.plan)
        subscriber, plan = self._account()
        return Unfreeze(subscriber=subscriber, plan=plan)

    # -- the catalogue, time, and invalid commands ---------------------------------------------------------------------

    def _catalogue(self, books: Books, now: int) -> Command:
        random = self._random
        plan = random.choice(self._plans)
        match random.randrange(6):
            case 0:
                return RegisterAgent(agent="bot", owner="acme", plans=tuple(self._plans[:2]))
            case 1:
                return UpdateAgent(agent="bot", plans=(plan,))
            case 2 if self._may_reprice:
                policy, parameters = random.choice(BUILT_IN)
                return RepricePlan(plan=plan, policy=policy, parameters=parameters)
            case 3 if random.randrange(4) == 0:
                return RetirePlan(plan=plan)
            case _:
                return RegisterAgent(agent=f"bot {len(books.agents)}", owner="acme", plans=(plan,))

    def _tick(self, books: Books, now: int) -> Command:
        return Tick()

    def _nonsense(self, books: Books, now: int) -> Command:
        subscriber, plan = self._account()
        return self._random.choice(
            (
                Purchase(subscriber=subscriber, plan="nowhere"),
                Request(subscriber="unknown", plan=plan),
                Give(subscriber=subscriber, plan=plan, credits=0),
                Charge(usage={"tokens": 1}),
                Charge(subscriber=subscriber, plan=plan, usage={"tokens": 1}, final=False),
                Adjust(charge=_UNKNOWN, credits=1),
                Adjust(charge=1, credits=1, usage={"tokens": 1}),
                Release(request=_UNKNOWN),
            )
        )

    # -- the parts of a command ----------------------------------------------------------------------------------------

    def _account(self) -> tuple[str, str]:
        return self._random.choice(self._subscribers), self._random.choice(self._plans)

    def _open(self, books: Books) -> int:
        """Return the sequence of a request: mostly an open one, else a late or an unknown one."""
        if books.open and self._random.randrange(20):
            still = [name for name, number in books.open.items() if name in books.accounts[number].requests]
            return self._latest(still if still and self._random.randrange(5) else list(books.open))
        return self._random.choice((1, books.seq, _UNKNOWN))

    def _latest(self, numbers: Sequence[int]) -> int:
        return numbers[-self._random.randint(1, min(4, len(numbers)))] if numbers else _UNKNOWN

    def _lot(self, books: Books, subscriber: str, plan: str) -> int:
        account = books.find(subscriber, plan)
        return self._latest(list(account.lots)) if account and account.lots and self._random.randrange(4) else 0

    def _delta(self) -> dict[str, int]:
        return {self._random.choice(("tokens", "calls")): self._random.choice((-6, -2, -1, 1, 5))}

    def _correction(self) -> int:
        return self._random.choice((-30, -9, -3, -1, 1, 3, 9))

    def _later(self, now: int) -> int:
        return now + self._random.choice((-5, 0, 1, 5, 20, 70)) * SECOND

    def _occurred(self, now: int) -> int | None:
        return self._random.choice((None, None, None, now, now - 90_000 * SECOND, now + 60 * SECOND))
