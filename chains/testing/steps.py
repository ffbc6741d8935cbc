"""A harness under test: the connections that a rule opens, and the steps that rules consist of."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import ParamSpec, TypeAlias, TypeVar

from ledger.errors import LedgerError
from ledger.events import Leaf, Payout
from ledger.plugins import Chain
from ledger.settlement.messages import Attempt, Batch, ChainFact, Found

from .harness import Harness

P = ParamSpec("P")
R = TypeVar("R")

PATIENCE = 12
"""Maximum number of times that a rule lets time pass for a batch."""

BLOCKS = 100
"""Maximum number of blocks that a rule mines until finality."""

CREDITS = (100, 7)
"""The credits that each of the two plans sells."""

DONE = ("executed", "cancelled")


class CannotTry(Exception):
    """The harness lacks what a rule needs."""


class Broken(Exception):
    """A rule is broken and cannot continue; the message says how."""


class NoContract(Exception):
    """The harness gives no connection to a new contract."""


class Subject:
    """The chain under test, as rules use it. Its first plan costs 900 and 100 (two receivers); its second one more than
    2^64 for each of them, up to a 16th of a subscriber's purse in total."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.reached = False  # True once there was a contract
        self._opened: list[Chain] = []

    # -- connections ---------------------------------------------------------------------------------------------------

    def fresh(self) -> Chain:
        """Return a connection to a new contract. Raises NoContract."""
        try:
            chain = self.harness.fresh()
        except Exception as error:
            raise NoContract(f"`fresh` raised {describe(error)}") from error
        if not isinstance(getattr(chain, "name", None), str):
            raise NoContract(f"`fresh` gives {short(chain)}, which is not a connection to a contract")
        self._opened.append(chain)
        self.reached = True
        return chain

    def again(self, chain: Chain) -> Chain:
        """Return another connection to the same contract."""
        self._opened.append(self.harness.again(chain))
        return self._opened[-1]

    def namesake(self, chain: Chain) -> Chain:
        """Return a connection to the contract of the same name on another chain. Raises LedgerError if there is
        none."""
        self._opened.append(self.able(self.harness.namesake, chain))
        return self._opened[-1]

    def close(self) -> None:
        """Close every connection that was opened here."""
        while self._opened:
            self._opened.pop().close()

    # -- optional methods ----------------------------------------------------------------------------------------------

    def able(self, method: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Call an optional method of the harness. Raises CannotTry if it lacks it."""
        try:
            return method(*arguments, **named)
        except NotImplementedError:
            raise CannotTry(f"the harness has no `{method.__name__}`") from None

    def try_to(self, method: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> None:
        """Make a call that the contract must refuse, and ignore any error. Raises CannotTry as `able` does."""
        try:
            self.able(method, *arguments, **named)
        except CannotTry:
            raise
        except Exception:  # noqa: BLE001 - a contract may refuse by any error
            pass

    def needs(self, condition: object, lacking: str) -> None:
        """Raise CannotTry unless the condition is true."""
        if not condition:
            raise CannotTry(lacking)

    @property
    def depth(self) -> int:
        """The depth of the deepest possible reorganisation. Raises CannotTry if the harness cannot reorganise."""
        self.needs(self.harness.depth, "the harness cannot reorganise (`depth` is 0)")
        return self.harness.depth

    def reorganise(self, chain: Chain, keep: bool = False) -> None:
        """Make the deepest reorganisation that undoes nothing final."""
        self.able(self.harness.reorganise, chain, self.depth, keep)

    # -- purchases -----------------------------------------------------------------------------------------------------

    @property
    def account(self) -> tuple[str, str]:
        """The first subscriber on the first plan."""
        return self.harness.subscribers[0], self.harness.plans[0]

    def terms(self, plan: int = 0) -> dict[str, int]:
        """Return the price of a plan, by receiver."""
        large = 1 << (self.harness.purse // 48).bit_length() - 1
        amounts = ((900, 100), (2 * large + 1, large + 3))[plan]
        return dict(zip(self.harness.receivers[:2], amounts, strict=True))

    def buy(self, chain: Chain, subscriber: int = 0, plan: int = 0) -> str:
        """Make one purchase in a block, and return its id."""
        harness = self.harness
        id = harness.purchase(
            chain, harness.subscribers[subscriber], harness.plans[plan], self.terms(plan), CREDITS[plan]
        )
        harness.mine(chain)
        return id

    def funded(self, purchases: int = 1, plan: int = 0) -> Chain:
        """Return a connection to a new contract with that many final purchases of the first subscriber."""
        chain = self.fresh()
        for _ in range(purchases):
            self.buy(chain, plan=plan)
        self.harness.pass_time(chain)
        return chain

    def paid(self, chain: Chain) -> dict[str, int]:
        """Return the sums of claims and dues of the two receivers."""
        return {
            receiver: self.harness.paid(chain, receiver, self.harness.asset) for receiver in self.harness.receivers[:2]
        }

    # -- batches -------------------------------------------------------------------------------------------------------

    def payouts(self, *amounts: int) -> tuple[Payout, ...]:
        """Return payouts to the first receivers, sorted as in batches."""
        named = zip(self.harness.receivers, amounts, strict=False)
        return tuple(Payout(receiver, amount) for receiver, amount in sorted(named) if amount)

    def batch(
        self, chain: Chain, *amounts: int, after: Batch | None = None, leaves: Sequence[Leaf] | None = None
    ) -> Batch:
        """Return the batch that follows `after` and pays the first receivers these amounts."""
        if leaves is None:
            charged = sum(amount for amount in amounts if amount > 0)
            leaves = [Leaf(*self.account, charged, charged - sum(amounts))]
        return Batch(
            ledger="conformance",
            chain=chain.name,
            contract=chain.contract,
            number=after.number + 1 if after else 1,
            asset=self.harness.asset,
            at=max(self.harness.now(chain), after.at + 1 if after else 0),
            covers={"main": 7},
            head_seq=7,
            head_hash="ab" * 32,
            previous=self.harness.plugin.commitment(after).digest if after else "",
            leaves=tuple(sorted(leaves, key=lambda leaf: (leaf.subscriber, leaf.plan))),
            payouts=self.payouts(*amounts),
        )

    def prepare(self, chain: Chain, batch: Batch, taken: Sequence[Attempt] = ()) -> Attempt:
        """Return an attempt at a batch. Raises Broken if `prepare` returns None."""
        attempt = chain.prepare(batch, list(taken))
        if attempt is None:
            raise Broken(f"prepare gives no attempt at batch {batch.number}, which is {chain.find(batch.number).stage}")
        return attempt

    def submit(self, chain: Chain, batch: Batch, taken: Sequence[Attempt] = ()) -> Attempt:
        """Prepare an attempt, send it, and mine a block."""
        attempt = self.prepare(chain, batch, taken)
        chain.send(attempt)
        self.harness.mine(chain)
        return attempt

    def send_anyway(self, chain: Chain, attempt: Attempt) -> None:
        """Send an attempt that the chain may reject with an error, and mine a block."""
        with suppress(LedgerError):
            chain.send(attempt)
        self.harness.mine(chain)

    def force(self, chain: Chain, batch: Batch, taken: Sequence[Attempt] = ()) -> Attempt | None:
        """Try to have a batch executed that must not be, and ignore the chain's errors."""
        own: list[Attempt] = []
        for _ in range(3):
            attempt = None
            with suppress(LedgerError, ValueError):
                attempt = chain.prepare(batch, [*taken, *own])
            if attempt is not None:
                own.append(attempt)
                self.send_anyway(chain, attempt)
            self.harness.pass_time(chain)
        return own[0] if own else None

    def carry(
        self, chain: Chain, batch: Batch, own: list[Attempt] | None = None, taken: Iterable[Attempt] = ()
    ) -> Found:
        """Bring a batch to its final stage, as the outbox does. `own` has its attempts so far; new ones are
        appended."""
        own = [] if own is None else own
        for _ in range(PATIENCE):
            found = chain.find(batch.number)
            if found.stage in DONE and found.final:
                return found
            self._push(chain, batch, own, taken, found)
            self.harness.pass_time(chain)
        standing = f"its last transaction is {chain.confirm(own[-1])}" if own else "there is no transaction of it"
        final = "final" if found.final else "not final"
        raise Broken(f"batch {batch.number} does not finish: it stays {found.stage}, {final}, and {standing}")

    def _push(self, chain: Chain, batch: Batch, own: list[Attempt], taken: Iterable[Attempt], found: Found) -> None:
        standing = chain.confirm(own[-1]) if own else "final"
        if standing == "gone":
            chain.send(own[-1])
        if standing in ("gone", "pending") or found.stage in DONE:
            return
        if found.stage == "committed" and not found.ready:
            return
        attempt = chain.prepare(batch, [*(other for other in taken if other not in own), *own])
        if attempt is not None:
            own.append(attempt)
            chain.send(attempt)

    def refused(
        self, chain: Chain, bad: Batch, description: str, where: str = "", stages: Container[str] = ("executed",)
    ) -> Iterator[str]:
        """Yield a difference unless the chain refuses a bad batch: simulated or forced, it reaches none of the stages
        and pays nothing."""
        with self.paying(chain, 0, 0) as wrong:
            if chain.simulate(bad) is None:
                yield f"simulate accepts {description}{where}"
            self.force(chain, bad)
            if (stage := chain.find(bad.number).stage) in stages:
                yield f"{description} is {stage}{where}"
        yield from wrong

    @contextmanager
    def paying(self, chain: Chain, *amounts: int) -> Iterator[list[str]]:
        """Check that the steps inside the context pay the first receivers these amounts; the list has the
        differences."""
        expected = self.paid(chain)
        for receiver, amount in zip(self.harness.receivers, amounts, strict=False):
            expected[receiver] += amount
        found: list[str] = []
        yield found
        found += differ("what receivers have", self.paid(chain), expected)


Rule: TypeAlias = Callable[[Subject], Iterator[str]]
"""A rule yields the cases in which it is broken."""

Rules: TypeAlias = Mapping[str, Rule]


def differ(name: str, found: object, expected: object) -> Iterator[str]:
    """Yield a message if a value is not the expected one."""
    if found != expected:
        yield f"{name}: {short(found)}, not {short(expected)}"


def describe(error: BaseException) -> str:
    """Return an error with its hint, for a message."""
    hint = f" ({error.hint})" if isinstance(error, LedgerError) else ""
    return f"{type(error).__name__}: {error}{hint}"


def short(value: object) -> str:
    """Return a value for a message, shortened."""
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:400]}…"


def ids(facts: Iterable[ChainFact]) -> list[str]:
    """Return the facts' ids, in their order."""
    return [fact.id for fact in facts]
