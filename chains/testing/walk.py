"""The random steps of the differential test: the calls of a settlement contract by all roles, hostile calls included.

A step is an action and a seed. Its choices follow from both and from the reference contract's state, so any list of
steps can be taken, and a list that shows a difference can be shortened by leaving steps out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple, TypeAlias

from ledger.events import Leaf, Payout
from ledger.settlement.messages import Batch

from .harness import Harness
from .sides import Account, Draft, Pair, Side

_TERMS = ((900, 100, 100), (70, 7, 7))
"""The price of each plan by receiver, and its credits. The second one is sold in another asset."""

_MICROSECONDS_AHEAD = 10**6 * 10**9
_MAX_SUBSCRIBERS = 4
_PAIR = range(2)
"""The plans, and the receivers."""

Made: TypeAlias = tuple[Draft, Batch, Batch]
"""A draft, and the batch that it is on the reference and on the subject."""


class Step(NamedTuple):
    """An action of `Walk`, and the seed of its choices."""

    action: str
    seed: int


class Walk:
    """Takes steps on a pair of contracts. `narrative` describes them."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.subscribers = range(min(_MAX_SUBSCRIBERS, *(len(side.harness.subscribers) for side in pair.sides)))
        self.narrative: list[str] = []
        self.paid: dict[Account, int] = {}
        self.purchases: list[tuple[str, str]] = []
        self.leaving: list[int] = []
        self.made: list[Made] = []
        self.recorded: dict[int, Made] = {}

    def begin(self) -> None:
        """Buy both plans for all but the last subscriber."""
        for subscriber in self.subscribers[:-1]:
            for plan in _PAIR:
                self._buy((subscriber, plan))
        self.pair.pass_time()

    def take(self, step: Step) -> None:
        """Take a step. Raises Difference."""
        action: Callable[[Random], None] = getattr(self, step.action)
        action(Random(step.seed))

    def _narrate(self, step: str) -> None:
        self.narrative.append(step)

    # -- purchases -----------------------------------------------------------------------------------------------------

    def buy(self, random: Random) -> None:
        """Buy a plan for a subscriber, mostly the first plan."""
        self._buy((random.choice(self.subscribers), int(random.random() < 0.25)))

    def _buy(self, account: Account) -> None:
        first, second, credits = _TERMS[account[1]]
        ids: list[str] = []

        def act(side: Side) -> None:
            shares = dict(zip(side.harness.receivers, (first, second), strict=False))
            purchase = side.harness.purchase_elsewhere if account[1] else side.harness.purchase
            ids.append(purchase(side.chain, *side.account(account), shares, credits))

        self._narrate(f"subscriber {account[0]} buys plan {account[1]}")
        if self.pair.call(act):
            self.paid[account] = self.paid.get(account, 0) + first + second
            self.purchases.append((ids[0], ids[1]))

    def buy_again(self, random: Random) -> None:
        """Submit the order of an earlier purchase again."""
        number = random.randrange(len(self.purchases))
        ids = dict(zip(self.pair.sides, self.purchases[number], strict=True))
        self._narrate(f"the order of purchase {number} is submitted again")
        self.pair.call(lambda side: side.harness.purchase_again(side.chain, ids[side]))

    # -- batches -------------------------------------------------------------------------------------------------------

    def record(self, random: Random) -> None:
        """Record a batch with any counters and payouts; sometimes by a stranger, out of order, or with a wrong
        digest."""
        slip = random.choices(
            ("", "by a stranger", "with the next number", "with a number that is taken", "after no batch", "ahead"),
            (10, 1, 1, 1, 1, 5),
        )[0]
        last = max(self.recorded, default=0)
        number = last + 1
        if slip == "with the next number":
            number += 1
        elif slip == "with a number that is taken":
            number = max(last, 1)
        elsewhere = random.random() < 0.25
        draft = Draft(
            number=number,
            elsewhere=elsewhere,
            leaves=self._leaves(random, int(elsewhere)),
            payouts=self._payouts(random, elsewhere),
            ahead=_MICROSECONDS_AHEAD if slip == "ahead" else 0,
            previous=None if slip == "after no batch" else min(last, number - 1),
        )
        made: Made = (draft, self.pair.reference.batch(draft), self.pair.subject.batch(draft))
        stranger = slip == "by a stranger"
        self.made.append(made)
        self._narrate(f"batch {number} is recorded {slip}: {draft}")
        if self.pair.call(lambda side: side.harness.record(side.chain, self._of(side, made), stranger=stranger)):
            self.recorded[number] = made
            for side in self.pair.sides:
                side.recorded[number] = side.digest(self._of(side, made))

    def _leaves(self, random: Random, plan: int) -> tuple[tuple[Account, int, int], ...]:
        """Draw counters of some accounts, in percent of their purchases; sometimes also of the other plan, by
        mistake."""
        plans = (plan, 1 - plan) if random.random() < 0.15 else (plan,)
        leaves = []
        for account in [(subscriber, number) for subscriber in self.subscribers for number in plans]:
            paid = max(self.paid.get(account, 0), 10)
            charged = paid * random.choice((0, 10, 50, 100, 100, 130)) // 100 + random.choice((0, 0, 1))
            credited = paid * random.choice((0, 0, 0, 10, 150)) // 100
            leaves.append((account, charged, credited))
        dropped = random.randrange(2 * len(leaves))
        return tuple(leaf for number, leaf in enumerate(leaves) if number != dropped)

    def _payouts(self, random: Random, elsewhere: bool) -> tuple[tuple[int, int], ...]:
        """Draw payouts in percent of the escrow: below zero, none, or more than there is."""
        reference = self.pair.reference
        escrow = reference.chain.escrow(reference.asset(elsewhere))
        return tuple(
            (receiver, max(escrow, 20) * random.randint(-40, 60) // 100) for receiver in _PAIR if random.random() < 0.7
        )

    def _of(self, side: Side, made: Made) -> Batch:
        return made[1] if side is self.pair.reference else made[2]

    def _stage(self, number: int) -> str:
        return self.pair.reference.chain.find(number).stage

    def _open(self) -> list[Made]:
        return [made for number, made in sorted(self.recorded.items()) if self._stage(number) == "committed"]

    def execute(self, random: Random) -> None:
        """Execute a committed batch, mostly the next one after its window; sometimes any other batch again."""
        waiting = self._open()
        if not waiting or random.random() < 0.15:
            waiting = self.made
        if not waiting:
            return
        made = waiting[0] if random.random() < 0.7 else random.choice(waiting)
        if random.random() < 0.75:
            self._narrate("time passes")
            self.pair.pass_time()
        other = (0, 50) if random.random() < 0.1 else None
        self._narrate(f"batch {made[0].number} is executed" + (" with another payout" if other else ""))
        self.pair.call(lambda side: self._execute(side, self._of(side, made), other))

    @staticmethod
    def _execute(side: Side, batch: Batch, other: tuple[int, int] | None) -> None:
        more = (Payout(side.harness.receivers[other[0]], other[1]),) if other else ()
        side.harness.execute(side.chain, batch, (*batch.payouts, *more))

    def cancel(self, random: Random) -> None:
        """Cancel a committed batch, or any other number, by the guardian or a stranger."""
        numbers = [made[0].number for made in self._open()]
        if not numbers or random.random() < 0.2:
            numbers = [random.randint(1, len(self.recorded) + 1)]
        number, stranger = random.choice(numbers), random.random() < 0.2
        self._narrate(f"batch {number} is cancelled by " + ("a stranger" if stranger else "the guardian"))
        if stranger:
            self.pair.call(lambda side: side.harness.cancel_as_stranger(side.chain, number))
        else:
            self.pair.call(lambda side: side.harness.cancel(side.chain, number))

    def challenge(self, random: Random) -> None:
        """Challenge a committed batch, or any other, by one of its leaves, which may be forged."""
        batches = self._open() if random.random() < 0.85 else self.made
        if batches:
            made = random.choice(batches)
            account = random.choice(made[0].leaves)[0]
            forged = random.random() < 0.25
            self._narrate(f"batch {made[0].number} is challenged by a leaf of {account}, forged: {forged}")

            def act(side: Side) -> None:
                batch = self._of(side, made)
                side.harness.challenge(side.chain, batch, *self._leaf(side, batch, account, 10**4 * forged))

            self.pair.call(act)

    @staticmethod
    def _leaf(side: Side, batch: Batch, account: Account, forged: int) -> tuple[Leaf, tuple[str, ...]]:
        leaf, proof = side.proof(batch, account)
        return Leaf(leaf.subscriber, leaf.plan, abs(leaf.charged + forged), leaf.credited), proof

    # -- money out -----------------------------------------------------------------------------------------------------

    def claim(self, random: Random) -> None:
        """Claim a receiver's due, if there is any."""
        receiver = random.choice(_PAIR)
        self._narrate(f"receiver {receiver} claims")
        self.pair.call(lambda side: side.harness.claim(side.chain, side.harness.receivers[receiver]))

    def request_exit(self, random: Random) -> None:
        """Ask to leave the first plan, and sometimes try to leave before the freeze delay is over."""
        subscriber = random.choice(self.subscribers)
        self._request(subscriber)
        if random.random() < 0.5:
            self._leave(random, subscriber)
        self.pair.pass_time()

    def _request(self, subscriber: int) -> None:
        self._narrate(f"subscriber {subscriber} asks to leave")
        if self.pair.call(lambda side: side.harness.request_exit(side.chain, *side.account((subscriber, 0)))):
            self.leaving.append(subscriber)

    def leave(self, random: Random) -> None:
        """Leave by a leaf, mostly the subscriber's own in the last final root, after the delays or before. A batch may
        be recorded meanwhile."""
        subscriber = random.choice(self.subscribers)
        if subscriber not in self.leaving and random.random() < 0.7:
            self._request(subscriber)
            self.pair.pass_time()
        if random.random() < 0.4:
            self.record(random)
        for _ in range(random.choice((0, 0, 1, 1, 2))):
            self._narrate("the exit delay passes")
            self.pair.wait_for_exit()
        if random.random() < 0.3:
            self._narrate("time passes")
            self.pair.pass_time()
        self._leave(random, subscriber)

    def _final(self) -> list[Made]:
        """Return the executed batches of the first asset, the last one first."""
        numbers = sorted(self.recorded, reverse=True)
        return [
            self.recorded[number]
            for number in numbers
            if not self.recorded[number][0].elsewhere and self._stage(number) == "executed"
        ]

    def _leave(self, random: Random, subscriber: int) -> None:
        final = self._final()
        batches = final[:1] if random.random() < 0.75 else self.made
        if not batches:
            return
        made, forged = random.choice(batches), random.random() < 0.15
        accounts = [account for account, *_ in made[0].leaves]
        account = (subscriber, 0) if (subscriber, 0) in accounts and random.random() < 0.9 else random.choice(accounts)
        self._narrate(
            f"subscriber {subscriber} leaves by the leaf of {account} in batch {made[0].number}, forged: {forged}"
        )

        def act(side: Side) -> None:
            leaf, proof = self._leaf(side, self._of(side, made), account, -forged)
            side.harness.leave(side.chain, *side.account((subscriber, 0)), leaf, proof)

        self.pair.call(act)

    def leave_without_leaf(self, random: Random) -> None:
        """Claim to have been charged nothing, or ask for the payment of an earlier claim."""
        subscriber = random.choice(self.leaving if self.leaving and random.random() < 0.9 else self.subscribers)
        if random.random() < 0.7:
            self._narrate("the exit delay passes")
            self.pair.wait_for_exit()
        self._narrate(f"subscriber {subscriber} leaves without a leaf")
        self.pair.call(lambda side: side.harness.leave_without_leaf(side.chain, *side.account((subscriber, 0))))

    def refute(self, random: Random) -> None:
        """Refute a claim to have been charged nothing, by a leaf that may be forged or of an old root."""
        batches = self._final()[:1] if random.random() < 0.8 else self.made
        if batches:
            made, forged = random.choice(batches), random.random() < 0.2
            mine = [account for account, *_ in made[0].leaves if account[0] in self.leaving and account[1] == 0]
            account = random.choice(mine or [account for account, *_ in made[0].leaves])
            self._narrate(f"the leaf of {account} in batch {made[0].number} refutes, forged: {forged}")

            def act(side: Side) -> None:
                side.harness.refute(side.chain, *self._leaf(side, self._of(side, made), account, int(forged)))

            self.pair.call(act)


_WEIGHTS = {
    "buy": 3,
    "buy_again": 1,
    "record": 7,
    "execute": 7,
    "cancel": 3,
    "challenge": 2,
    "claim": 3,
    "request_exit": 2,
    "leave": 5,
    "leave_without_leaf": 2,
    "refute": 2,
}
"""The relative frequency of each action."""

_NEEDS = {
    "buy": ("purchase_elsewhere",),
    "buy_again": ("purchase_elsewhere", "purchase_again"),
    "cancel": ("cancel", "cancel_as_stranger", "record", "execute"),
    "leave": ("request_exit", "leave", "wait_for_exit"),
    "request_exit": ("request_exit", "leave"),
    "leave_without_leaf": ("request_exit", "leave_without_leaf", "wait_for_exit"),
    "refute": ("request_exit", "leave_without_leaf", "refute"),
}
"""The optional methods that an action calls, if they are not only the one of its own name."""


def possible(*harnesses: Harness) -> list[str]:
    """Return the actions for which every harness has all methods, and a challenge window if the action needs one."""
    windows = all(harness.window for harness in harnesses)
    return [
        action
        for action in _WEIGHTS
        if windows or action not in ("cancel", "challenge")
        if all(_has(harness, method) for harness in harnesses for method in _NEEDS.get(action, (action,)))
    ]


def _has(harness: Harness, method: str) -> bool:
    return getattr(type(harness), method) is not getattr(Harness, method)


def draw(random: Random, actions: Sequence[str], steps: int) -> list[Step]:
    """Return a list of random steps."""
    weights = [_WEIGHTS[action] if "cancel" in actions or action != "execute" else 1 for action in actions]
    return [Step(action, random.getrandbits(32)) for action in random.choices(actions, weights, k=steps)]
