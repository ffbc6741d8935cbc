"""A harness under test: every connection that a rule opens, and the steps that rules are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
"""The number of times that a rule lets time pass before it gives a batch up."""

BLOCKS = 100
"""The number of blocks that a rule mines before it gives finality up."""

CREDITS = (100, 7)
"""The credits that each of the two plans sells."""

DONE = ("executed", "cancelled")


class CannotTry(Exception):
    """The harness lacks what a rule needs."""


class Broken(Exception):
    """A rule cannot go on: the message says what does not hold."""


class NoContract(Exception):
    """The harness gives no connection to a new contract."""


class Subject:
    """The chain under test, as rules use it. Its first plan costs 900 and 100 (two receivers); its second more than
    2^64 for each, up to a 16th of a subscriber's purse in all."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.reached = False  # whether there was ever a contract
        self._opened: list[Chain] = []

    # -- connections ---------------------------------------------------------------------------------------------------

    def fresh(self) -> Chain:
        """A connection to a new contract. Raises NoContract."""
        try:
            chain = self.harness.fresh()
        except Exception as error:
            raise NoContract(f"`fresh` raised {said(error)}") from error
        if not isinstance(getattr(chain, "name", None), str):
            raise NoContract(f"`fresh` gives {short(chain)}, which is no connection to a contract")
        self._opened.append(chain)
        self.reached = True
        return chain

    def again(self, chain: Chain) -> Chain:
        """Another connection to the same contract."""
        self._opened.append(self.harness.again(chain))
        return self._opened[-1]

    def namesake(self, chain: Chain) -> Chain:
        """A connection to the contract of the same name on another chain. Raises LedgerError where there is none."""
        self._opened.append(self.able(self.harness.namesake, chain))
        return self._opened[-1]

    def close(self) -> None:
        """Close every connection that was opened here."""
        while self._opened:
            self._opened.pop().close()

    # -- what a harness may lack ---------------------------------------------------------------------------------------

    def able(self, method: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Call a method that a harness may lack. Raises CannotTry where this one does."""
        try:
            return method(*arguments, **named)
        except NotImplementedError:
            raise CannotTry(f"the harness has no `{method.__name__}`") from None

    def try_to(self, method: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> None:
        """Do what the contract must refuse, by whatever error or by none. Raises CannotTry as `able` does."""
        try:
            self.able(method, *arguments, **named)
        except CannotTry:
            raise
        except Exception:  # noqa: BLE001 - however a contract refuses
            pass

    def needs(self, what: object, said: str) -> None:
        """Raises CannotTry where the harness does not have that."""
        if not what:
            raise CannotTry(said)

    @property
    def depth(self) -> int:
        """The depth to which a re-organisation can be tried. Raises CannotTry where none can."""
        self.needs(self.harness.depth, "the harness cannot re-organise (`depth` is 0)")
        return self.harness.depth

    def reorganise(self, chain: Chain, keep: bool = False) -> None:
        """The deepest re-organisation that undoes nothing final."""
        self.able(self.harness.reorganise, chain, self.depth, keep)

    # -- who buys what -------------------------------------------------------------------------------------------------

    @property
    def account(self) -> tuple[str, str]:
        """The first subscriber on the first plan."""
        return self.harness.subscribers[0], self.harness.plans[0]

    def terms(self, plan: int = 0) -> dict[str, int]:
        """The price of a plan, by receiver."""
        large = 1 << (self.harness.purse // 48).bit_length() - 1
        amounts = ((900, 100), (2 * large + 1, large + 3))[plan]
        return dict(zip(self.harness.receivers[:2], amounts, strict=True))

    def buy(self, chain: Chain, subscriber: int = 0, plan: int = 0) -> str:
        """One purchase, in a block; its id."""
        harness = self.harness
        id = harness.purchase(
            chain, harness.subscribers[subscriber], harness.plans[plan], self.terms(plan), CREDITS[plan]
        )
        harness.mine(chain)
        return id

    def funded(self, purchases: int = 1, plan: int = 0) -> Chain:
        """A connection to a new contract, with so many final purchases of the first subscriber in its escrow."""
        chain = self.fresh()
        for _ in range(purchases):
            self.buy(chain, plan=plan)
        self.harness.pass_time(chain)
        return chain

    def paid(self, chain: Chain) -> dict[str, int]:
        """The sums of what the two receivers were paid and are owed."""
        return {
            receiver: self.harness.paid(chain, receiver, self.harness.asset) for receiver in self.harness.receivers[:2]
        }

    # -- batches -------------------------------------------------------------------------------------------------------

    def payouts(self, *amounts: int) -> tuple[Payout, ...]:
        """Payouts to the first receivers, sorted as batches have them."""
        named = zip(self.harness.receivers, amounts, strict=False)
        return tuple(Payout(receiver, amount) for receiver, amount in sorted(named) if amount)

    def batch(
        self, chain: Chain, *amounts: int, after: Batch | None = None, leaves: Sequence[Leaf] | None = None
    ) -> Batch:
        """The batch that follows `after`, and pays the first receivers these amounts."""
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
        """An attempt at a batch for which there must be one."""
        attempt = chain.prepare(batch, list(taken))
        if attempt is None:
            raise Broken(f"prepare gives no attempt at batch {batch.number}, which is {chain.find(batch.number).stage}")
        return attempt

    def submit(self, chain: Chain, batch: Batch, taken: Sequence[Attempt] = ()) -> Attempt:
        """Prepare an attempt and send it, and mine a block."""
        attempt = self.prepare(chain, batch, taken)
        chain.send(attempt)
        self.harness.mine(chain)
        return attempt

    def send_anyway(self, chain: Chain, attempt: Attempt) -> None:
        """Send what the chain may not want: it may say so by an error."""
        with suppress(LedgerError):
            chain.send(attempt)
        self.harness.mine(chain)

    def force(self, chain: Chain, batch: Batch, taken: Sequence[Attempt] = ()) -> Attempt | None:
        """Try to have a batch executed that must not be, whatever the chain says on the way."""
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
        """Bring a batch to its final end, as the outbox does. `own` are its attempts so far, and then all of them."""
        own = [] if own is None else own
        for _ in range(PATIENCE):
            found = chain.find(batch.number)
            if found.stage in DONE and found.final:
                return found
            self._push(chain, batch, own, taken, found)
            self.harness.pass_time(chain)
        standing = f"its last transaction is {chain.confirm(own[-1])}" if own else "there is no transaction of it"
        final = "final" if found.final else "not final"
        raise Broken(f"batch {batch.number} comes to no end: it stays {found.stage}, {final}, and {standing}")

    def _push(self, chain: Chain, batch: Batch, own: list[Attempt], taken: Iterable[Attempt], found: Found) -> None:
        standing = chain.confirm(own[-1]) if own else "final"
        if standing == "gone":
            chain.send(own[-1])
        if standing in ("gone", "pending") or found.stage in DONE:
            return
        if found.stage == "committed" and not found.ready:
            return
        attempt = chain.prepare(batch, [*(one for one in taken if one not in own), *own])
        if attempt is not None:
            own.append(attempt)
            chain.send(attempt)

    @contextmanager
    def paying(self, chain: Chain, *amounts: int) -> Iterator[list[str]]:
        """What is done inside pays the first receivers these amounts; the list says where it did not."""
        expected = self.paid(chain)
        for receiver, amount in zip(self.harness.receivers, amounts, strict=False):
            expected[receiver] += amount
        found: list[str] = []
        yield found
        found += differ("what receivers have", self.paid(chain), expected)


Rule: TypeAlias = Callable[[Subject], Iterator[str]]
"""Yields the cases in which it is broken."""

Rules: TypeAlias = Mapping[str, Rule]


def differ(what: str, found: object, expected: object) -> Iterator[str]:
    """Yield a message where a value is not the expected one."""
    if found != expected:
        yield f"{what}: {short(found)}, not {short(expected)}"


def said(error: BaseException) -> str:
    """An error for a message, with its hint."""
    hint = f" ({error.hint})" if isinstance(error, LedgerError) else ""
    return f"{type(error).__name__}: {error}{hint}"


def short(value: object) -> str:
    """A value for a message."""
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:400]}…"


def ids(facts: Iterable[ChainFact]) -> list[str]:
    """The facts' ids, in their order."""
    return [fact.id for fact in facts]
