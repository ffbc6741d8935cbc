"""End-to-end rules: a real ledger, outbox and watcher over the chain. Receivers get exactly what was earned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ledger import Adjust, Answer, Charge, CreatePlan, Ledger
from ledger.plugins import Chain, contract_of
from ledger.settlement.messages import Attempt, Batch, ExitPaid

from ..outbox import Outbox, Step
from ..proofs import prove
from ..watcher import Watcher
from .steps import PATIENCE, Broken, Rules, Subject, differ, ids

_PLAN = "conformance"


class Shop:
    """A ledger in memory that sells one plan on a chain: 100 credits for 1000, with shares of 900 and 100; or
    `credits` for these `shares`."""

    def __init__(
        self, subject: Subject, buyers: int = 1, shares: Sequence[int] = (900, 100), credits: int = 100
    ) -> None:
        self.subject, self.chain = subject, subject.fresh()
        price = dict(zip(subject.harness.receivers, shares, strict=False))
        self.ledger = Ledger.open(clock=lambda: subject.harness.now(self.chain), id="conformance")
        self._do(
            CreatePlan(
                plan=_PLAN,
                owner="conformance",
                asset=subject.harness.asset,
                price=price,
                credits=credits,
                policy="per_credit",
                parameters={"per": "call"},
                onchain_id=subject.harness.plans[0],
            )
        )
        for subscriber in subject.harness.subscribers[:buyers]:
            subject.harness.purchase(self.chain, subscriber, subject.harness.plans[0], price, credits)
            subject.harness.mine(self.chain)
        self.pass_time()

    def pass_time(self) -> None:
        """Let time pass, and import the chain's facts by a new watcher, which reads all of them again."""
        self.subject.harness.pass_time(self.chain)
        if rejected := Watcher(self.ledger, self.subject.again(self.chain)).sync():
            raise Broken(f"the ledger rejects a fact of the chain: {rejected[0].reason}")

    def charge(self, credits: int, subscriber: int = 0) -> int:
        """Charge an account directly, and return the charge's sequence."""
        name = self.subject.harness.subscribers[subscriber]
        return self._do(Charge(subscriber=name, plan=_PLAN, usage={"calls": credits})).seq

    def refund(self, charge: int, credits: int) -> None:
        """Give credits of a charge back."""
        self._do(Adjust(charge=charge, credits=-credits, reason="refund"))

    def outbox(self, chain: Chain | None = None) -> Outbox:
        """Return a new outbox, by default with a new connection."""
        return Outbox(self.ledger, self.subject.again(self.chain) if chain is None else chain)

    def open(self) -> int | None:
        """Open a batch, and return its number; None if there is nothing to settle."""
        return self.outbox().open(self.subject.harness.asset)

    def finish(self, outbox: Callable[[], Outbox], after: Callable[[Step], None] = lambda step: None) -> None:
        """Step until no batch is open, each time with the outbox that the callable returns."""
        waits = 0
        while (step := outbox().step()) is not Step.idle:
            after(step)
            if step is not Step.wrote:
                waits += 1
                self.subject.harness.pass_time(self.chain)
            if waits > PATIENCE * 2:
                open_batches = self.ledger.batches(contract_of(self.chain))
                states = [(one.batch.number, one.state) for one in open_batches]
                raise Broken(f"the outbox does not finish: {states}, step {step.name}")

    def settle(self) -> Batch | None:
        """Open a batch of all earnings and finish it, with one outbox. Return the batch, if any."""
        number = self.open()
        opened = self.ledger.batches(contract_of(self.chain))
        outbox = self.outbox(self.chain)
        self.finish(lambda: outbox)
        return next((reading.batch for reading in opened if reading.batch.number == number), None)

    def agrees(self, when: str) -> Iterator[str]:
        """Yield messages where receivers do not have their shares of the earnings, or the ledger has other sums."""
        earned = {one.asset: one for one in self.ledger.earned()}.get(self.subject.harness.asset)
        expected = dict.fromkeys(self.subject.paid(self.chain), 0) | (earned.receivers if earned else {})
        yield from differ(f"what receivers have {when}", self.subject.paid(self.chain), expected)
        if earned:
            parts = sum(earned.receivers.values())
            yield from differ(f"what is settled {when}, as the ledger has it", earned.settled, parts)

    def available(self) -> int:
        """Return the credits that the first subscriber can spend."""
        balance = self.ledger.balance(self.subject.harness.subscribers[0], _PLAN)
        return balance.available if balance else 0

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()

    def _do(self, command: CreatePlan | Charge | Adjust) -> Answer:
        answer = self.ledger.execute(command)
        if not isinstance(answer, Answer):
            raise Broken(f"the ledger refuses {type(command).__name__}: {answer}")
        return answer


def _earned(subject: Subject) -> Iterator[str]:
    """Three charges of two subscribers are settled by three batches; then there is nothing to settle."""
    shop = Shop(subject, buyers=2)
    for credits, subscriber in ((33, 0), (1, 1), (67, 0)):
        shop.charge(credits, subscriber)
        shop.settle()
        yield from shop.agrees(f"after a charge of {credits}")
    if (number := shop.open()) is not None:
        yield f"batch {number} is opened, and nothing was earned"
    shop.close()


def _refunded(subject: Subject) -> Iterator[str]:
    shop = Shop(subject)
    charge = shop.charge(60)
    shop.settle()
    for credits in (10, 50):
        shop.refund(charge, credits)
        shop.settle()
        yield from shop.agrees(f"after a refund of {credits} credits that were settled")
    shop.charge(100)
    shop.settle()
    yield from shop.agrees("after a charge that fills the refund first")
    shop.close()


class _Crash(Exception):
    """The simulated death of the process."""


class _Crashing:
    """A chain whose caller dies right after the call of that number, which takes effect."""

    def __init__(self, chain: Chain, last: int) -> None:
        self._chain, self._left = chain, last

    @property
    def name(self) -> str:
        return self._chain.name

    @property
    def contract(self) -> str:
        return self._chain.contract

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._chain, name)

        def call(*arguments: object) -> object:
            answer = method(*arguments)
            self._left -= 1
            if not self._left:
                raise _Crash(name)
            return answer

        return call


def _crashed(subject: Subject) -> Iterator[str]:
    """In the n-th batch the process dies after its n-th call to the chain, and a new process continues."""
    shop = Shop(subject)
    for last in range(1, 60):
        shop.charge(1)
        died = ""
        try:
            outbox = Outbox(shop.ledger, _Crashing(subject.again(shop.chain), last))  # type: ignore[arg-type]
            outbox.open(subject.harness.asset)
            shop.finish(lambda outbox=outbox: outbox)  # type: ignore[misc]
        except _Crash as crash:
            died = str(crash)
        shop.finish(shop.outbox)
        shop.open()
        shop.finish(shop.outbox)
        yield from shop.agrees(f"after the process died at call {last} (`{died}`)")
        if not died:
            break
    else:
        yield "one batch takes 60 calls and is not done"
    shop.close()


def _both(subject: Subject) -> Iterator[str]:
    """Two outboxes on one log, each with its own connection, take turns."""
    shop = Shop(subject)
    two = [shop.outbox(), shop.outbox()]

    def turn() -> Outbox:
        two.reverse()
        return two[0]

    for credits in (10, 7):
        shop.charge(credits)
        shop.open()
        shop.finish(turn)
        yield from shop.agrees(f"after two outboxes settled {credits} credits")
    shop.close()


class _Rivals:
    """A chain on which another sender is faster: it sends each transaction just before this one."""

    def __init__(self, chain: Chain, other: Chain) -> None:
        self._chain, self._other = chain, other

    def __getattr__(self, name: str) -> object:
        return getattr(self._chain, name)

    def send(self, attempt: Attempt) -> None:
        self._other.send(attempt)
        self._chain.send(attempt)


def _raced(subject: Subject) -> Iterator[str]:
    """Another process sends each transaction just before this one."""
    shop = Shop(subject)
    rivals = Outbox(shop.ledger, _Rivals(subject.again(shop.chain), subject.again(shop.chain)))  # type: ignore[arg-type]
    for credits in (10, 7):
        shop.charge(credits)
        shop.open()
        shop.finish(lambda: rivals)
        yield from shop.agrees(f"after {credits} credits, each transaction of which was sent twice")
    shop.close()


def _reorganised(subject: Subject) -> Iterator[str]:
    """After each of the first transactions comes the deepest reorganisation, with and without keeping transactions."""
    shop = Shop(subject)
    left = [True, False, False]

    def shake(step: Step) -> None:
        if step is Step.sent and left:
            subject.harness.mine(shop.chain)
            subject.reorganise(shop.chain, left.pop())

    for credits in (10, 7, 5):
        shop.charge(credits)
        shop.open()
        shop.finish(shop.outbox, shake)
        yield from shop.agrees(f"after {credits} credits, with a reorganisation on the way")
    shop.close()


def _left(subject: Subject) -> Iterator[str]:
    """One of two subscribers leaves with its unused money: payouts and the exit sum to the purchases."""
    shop = Shop(subject, buyers=2)
    harness = subject.harness
    shop.charge(20)
    shop.charge(30, 1)
    subject.able(harness.request_exit, shop.chain, *subject.account)
    shop.pass_time()
    number = shop.open()
    batch = next(one.batch for one in shop.ledger.batches(contract_of(shop.chain)) if one.batch.number == number)
    shop.finish(shop.outbox)
    proof = prove(batch, harness.plugin.leaf_types, *subject.account)
    subject.able(harness.leave, shop.chain, *subject.account, proof.leaf, proof.proof)
    shop.pass_time()
    paid = [fact.amount for fact in shop.chain.facts() if isinstance(fact, ExitPaid)]
    yield from differ("what the subscriber leaves with", paid, [800])
    yield from shop.agrees("after a subscriber left")
    shop.charge(70, 1)
    shop.settle()
    yield from shop.agrees("after a subscriber left and all the rest was used")
    yield from differ("what is paid out of 2000 in all", sum(subject.paid(shop.chain).values()) + sum(paid), 2000)
    shop.close()


def _all_left(subject: Subject) -> Iterator[str]:
    """7 credits for 53, with shares of 37 and 16, are settled and claimed after every credit. Then both subscribers
    leave: escrow holds their unspent money, and the last one is paid like the first."""
    price, credits, harness = 53, 7, subject.harness
    shop, both, plan = Shop(subject, 2, (37, 16), credits), harness.subscribers[:2], harness.plans[0]
    batch = None
    for used in range(1, 4):
        for subscriber in (0, 1):
            shop.charge(1, subscriber)
        if used == 3:
            for name in both:
                subject.able(harness.request_exit, shop.chain, name, plan)
            shop.pass_time()
        batch = shop.settle()
        unspent = 2 * (price - price * used // credits)
        if (left := shop.chain.escrow(harness.asset)) < unspent:
            yield f"escrow has {left} after {used} credits of each of two subscribers, who have {unspent} unspent"
        for receiver in harness.receivers[:2]:
            if shop.chain.due(receiver, harness.asset) > 0:
                subject.able(harness.claim, shop.chain, receiver)
        harness.pass_time(shop.chain)
    if batch is None:
        raise Broken("there is nothing to settle after a credit was used")
    for place, name in enumerate(both, 1):
        proof = prove(batch, harness.plugin.leaf_types, name, plan)
        subject.try_to(harness.leave, shop.chain, name, plan, proof.leaf, proof.proof)
        shop.pass_time()
        paid = [fact.amount for fact in shop.chain.facts() if isinstance(fact, ExitPaid)]
        expected = [price - price * 3 // credits] * place
        yield from differ(f"what {place} of two subscribers left with who had so much unspent", paid, expected)
    shop.close()


def _granted_early(subject: Subject) -> Iterator[str]:
    """A watcher that does not wait for finality reverses a purchase that a reorganisation has removed."""
    shop = Shop(subject)
    watcher = Watcher(shop.ledger, shop.chain, confirmations=0)
    watcher.sync()
    late = subject.buy(shop.chain)
    watcher.sync()
    yield from differ("the credits that two purchases give, one of them not final", shop.available(), 200)
    subject.reorganise(shop.chain)
    for _ in range(2):
        subject.harness.pass_time(shop.chain)
        watcher.sync()
        there = late in ids(subject.again(shop.chain).facts())
        when = f"once a reorganisation has {'not ' if there else ''}taken one of the two purchases away"
        yield from differ(f"the credits {when}", shop.available(), 200 if there else 100)
    shop.close()


RULES: Rules = {
    "what was earned is paid": _earned,
    "a refund nets": _refunded,
    "a crash anywhere pays once": _crashed,
    "two outboxes pay once": _both,
    "what another has sent pays once": _raced,
    "a reorganisation on the way pays once": _reorganised,
    "what was granted early can be taken back": _granted_early,
    "who leaves has the rest": _left,
    "the last one leaves with the rest": _all_left,
}
