"""Ledger, outbox and mock chain together, with faults and with a crash between any two steps.

After every step every unit of money is in one place: what receivers have on the chain is what the log's batches pay,
each batch once, of those that the chain has executed; what the log calls confirmed, the chain calls final; escrow has
what subscribers have not spent, but for what receivers owe who have claimed; the ledger's legs sum to zero. When the
faults stop, everything that was earned is settled, and the audit is clean, in the log and beside it on the chain.
"""

from collections import Counter
from typing import Any, ClassVar

import pytest
from examples import examples
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chains import Outbox, Watcher, leaf_file, prove
from chains.leaves import TEXT_LEAF
from chains.mock import MockChain, Reverted
from chains.mock.faults import (
    Delay,
    Drop,
    Duplicate,
    Lie,
    NodeDown,
    NoFinality,
    Refuse,
    Reorganise,
    SettleThenTimeOut,
    TimeOut,
)
from ledger import Adjust, Charge, CreatePlan, Ledger, PaymentRequired, Purchase, Reason, Release, Request
from ledger.errors import ChainUnavailable, NotFound, SettlementStopped
from ledger.events import SettlementFailed, SettlementOpened
from ledger.movements import Journal
from ledger.plugins import contract_of
from ledger.settlement.messages import ExitPaid
from ledger.stores.memory import MemoryStore
from replay.audit.findings import Report
from replay.audit.run import audit

BEGIN, SECOND = 1_700_000_000_000_000, 1_000_000
PLANS = {"pro": ("USD", 60, 0), "day": ("USD", 0, 30), "lab": ("EUR", 25, 0)}
RECEIVERS = ("acme", "fee", "zoe")
FAULTS = st.one_of(
    st.builds(Drop),
    st.builds(Delay, blocks=st.integers(1, 4)),
    st.builds(SettleThenTimeOut),
    st.builds(TimeOut),
    st.builds(
        Reorganise,
        depth=st.integers(1, 2),
        on=st.sampled_from(["send", "find", "confirm", "facts", "prepare", "simulate"]),
        when=st.sampled_from(["before", "after"]),
        keep=st.booleans(),
    ),
    st.builds(Duplicate, blocks=st.integers(0, 3)),
    st.builds(Refuse, on=st.sampled_from(["simulate", "send"])),
    st.builds(Lie, on=st.sampled_from(["find", "confirm"])),
    st.builds(NodeDown, calls=st.integers(1, 3)),
    st.builds(NoFinality, calls=st.integers(1, 4)),
)


class Crash(BaseException):
    """The process is gone, between one instant and the next."""


class Fuse:
    """Counts instants down to a crash; None is never."""

    left: int | None = None

    def burn(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Crash


class Mortal:
    """Anything, with an instant before and after each of its methods in which the process may be gone."""

    def __init__(self, inner: Any, fuse: Fuse) -> None:
        self._inner, self._fuse = inner, fuse

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not callable(value):
            return value

        def call(*arguments: Any, **options: Any) -> Any:
            self._fuse.burn()
            answer = value(*arguments, **options)
            self._fuse.burn()
            return answer

        return call


class Machine(RuleBasedStateMachine):
    """The log and the chain live on; ledger, outbox and watcher die with the process."""

    seen: ClassVar[Counter[str]] = Counter()

    @initialize(window=st.sampled_from([0, 0, 2, 3]), automine=st.booleans())
    def begin(self, window: int, automine: bool) -> None:
        self.fuse, self.now = Fuse(), BEGIN
        self.store = MemoryStore(id="toll")
        self.chain = MockChain(window=window, automine=automine)
        self.cancelled = False
        self.charges: list[int] = []
        self.start()
        for name, (asset, credits, seconds) in PLANS.items():
            plan = CreatePlan(
                plan=name,
                owner="acme",
                asset=asset,
                price={"acme": 7, "fee": 2},
                credits=credits,
                seconds=seconds,
                policy="complexity" if credits else "time",
                parameters={"weights": {"units": 1}} if credits else {},
            )
            self.ledger.execute(plan).unwrap()
        for subscriber in ("ann", "ben"):
            for name in PLANS:
                self.buy(subscriber, name, {"acme": 31, "fee": 3, "zoe": 17})

    def start(self) -> None:
        self.fuse.left = None
        chain = Mortal(self.chain, self.fuse)
        self.ledger = Ledger(Mortal(self.store, self.fuse), clock=lambda: self.now)
        self.outbox, self.watcher = Outbox(self.ledger, chain), Watcher(self.ledger, chain)

    def attempt(self, act: Any, *arguments: Any, fuse: int | None = None) -> Any:
        """Do something that the chain or a crash may get in the way of."""
        self.fuse.left = fuse
        try:
            return act(*arguments)
        except ChainUnavailable:
            self.seen["unavailable"] += 1
        except SettlementStopped as stopped:
            if "that the log lacks" in str(stopped):
                assert {found.digest for found in self.chain.batches().values()} <= self.opened().keys()
                self.seen["lied to"] += 1  # of a batch that failed
            elif "will not pay it out" in str(stopped):
                self.seen["stopped"] += 1
            else:
                raise
        except Crash:
            self.seen["crashes"] += 1
            self.start()
        except PaymentRequired as error:
            if error.refused.reason is not Reason.batch_open:
                raise
        finally:
            self.fuse.left = None
        return None

    # -- what users do -------------------------------------------------------------------------------------------------

    @rule(
        subscriber=st.sampled_from(["ann", "ben"]),
        plan=st.sampled_from(sorted(PLANS)),
        shares=st.dictionaries(st.sampled_from(RECEIVERS), st.integers(0, 40), min_size=1),
    )
    def buy(self, subscriber: str, plan: str, shares: dict[str, int]) -> None:
        asset, credits, seconds = PLANS[plan]
        try:
            self.chain.purchase(subscriber, plan, asset, shares, credits=credits, seconds=seconds)
        except Reverted:
            return  # it has left
        self.chain.mine(3)
        self.attempt(self.watcher.sync)

    @rule(plan=st.sampled_from(sorted(PLANS)))
    def buy_directly(self, plan: str) -> None:
        self.ledger.execute(Purchase(subscriber="cat", plan=plan, funding="direct")).unwrap()

    @rule(
        subscriber=st.sampled_from(["ann", "ben", "cat"]),
        plan=st.sampled_from(["pro", "lab"]),
        units=st.integers(1, 30),
    )
    def charge(self, subscriber: str, plan: str, units: int) -> None:
        outcome = self.ledger.execute(Charge(subscriber=subscriber, plan=plan, usage={"units": units}))
        if outcome.accepted:
            self.charges.append(outcome.seq)

    @rule(
        subscriber=st.sampled_from(["ann", "ben"]), units=st.integers(1, 30), ends=st.sampled_from(["charge", "void"])
    )
    def request(self, subscriber: str, units: int, ends: str) -> None:
        usage = {"units": units}
        outcome = self.ledger.execute(Request(subscriber=subscriber, plan="pro", estimate=usage))
        if outcome.accepted:
            end = Charge(request=outcome.seq, usage=usage) if ends == "charge" else Release(request=outcome.seq)
            self.ledger.execute(end).unwrap()

    @rule(back=st.integers(1, 5), credits=st.integers(-30, 5).filter(bool))
    def adjust(self, back: int, credits: int) -> None:
        if self.charges:
            self.ledger.execute(Adjust(charge=self.charges[-min(back, len(self.charges))], credits=credits))

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(subscriber=st.sampled_from(["ann", "ben"]), plan=st.sampled_from(sorted(PLANS)), really=st.integers(0, 3))
    def ask_to_leave(self, subscriber: str, plan: str, really: int) -> None:
        if really == 0:
            try:
                self.chain.request_exit(subscriber, plan)
            except Reverted:
                return
            self.chain.mine(3)
            self.attempt(self.watcher.sync)

    @rule(subscriber=st.sampled_from(["ann", "ben"]), plan=st.sampled_from(sorted(PLANS)))
    def leave(self, subscriber: str, plan: str) -> None:
        """By a proof against the last batch of the plan's asset that was paid out."""
        asset = PLANS[plan][0]
        executed = [number for number, found in self.chain.batches().items() if found.stage == "executed"]
        files = [leaf_file.decode(self.published(number)) for number in executed]
        last = [batch for batch in files if batch.asset == asset]
        if not last:
            return
        try:
            proof = prove(last[-1], TEXT_LEAF, subscriber, plan)
            self.chain.exit(subscriber, plan, asset, proof.leaf, proof.proof)
        except (Reverted, NotFound):
            return
        self.seen["exits"] += 1
        self.chain.mine(3)
        self.attempt(self.watcher.sync)

    @rule(subscriber=st.sampled_from(["ann", "ben"]), plan=st.sampled_from(sorted(PLANS)))
    def leave_in_order(self, subscriber: str, plan: str) -> None:
        """Ask, wait for the next batch, and go."""
        self.ask_to_leave(subscriber, plan, really=0)
        self.earn_and_open("ann" if subscriber == "ben" else "ben", "lab" if plan == "lab" else "pro", 1)
        self.settle(fuse=None)
        self.leave(subscriber, plan)

    @rule(receiver=st.sampled_from(RECEIVERS), asset=st.sampled_from(["USD", "EUR"]))
    def claim(self, receiver: str, asset: str) -> None:
        try:
            self.chain.claim(receiver, asset)
        except Reverted:
            return

    # -- settling ------------------------------------------------------------------------------------------------------

    @rule(subscriber=st.sampled_from(["ann", "ben"]), plan=st.sampled_from(["pro", "lab"]), units=st.integers(1, 9))
    def earn_and_open(self, subscriber: str, plan: str, units: int) -> None:
        """There is something to settle, most of the time."""
        self.charge(subscriber, plan, units)
        self.attempt(self.outbox.open, PLANS[plan][0])
        self.attempt(self.outbox.step)

    @rule(asset=st.sampled_from(["USD", "EUR"]), fuse=st.none() | st.integers(0, 12))
    def open(self, asset: str, fuse: int | None) -> None:
        self.attempt(self.outbox.open, asset, fuse=fuse)

    @rule(steps=st.integers(1, 9), fuse=st.none() | st.integers(0, 20))
    def step(self, steps: int, fuse: int | None) -> None:
        for _ in range(steps):
            self.attempt(self.outbox.step, fuse=fuse)

    @rule(fuse=st.none() | st.integers(0, 60))
    def settle(self, fuse: int | None) -> None:
        self.attempt(lambda: self.outbox.settle(pauses=range(6)), fuse=fuse)

    @rule()
    def crash(self) -> None:
        self.start()

    # -- what goes wrong -----------------------------------------------------------------------------------------------

    @rule(blocks=st.integers(1, 4))
    def mine(self, blocks: int) -> None:
        self.chain.mine(blocks)

    @rule(depth=st.integers(1, 2), keep=st.booleans())
    def reorganise(self, depth: int, keep: bool) -> None:
        if self.chain.height >= depth:
            self.chain.reorganise(depth, keep=keep)

    @rule(script=st.lists(FAULTS, min_size=1, max_size=3))
    def fault(self, script: list[Any]) -> None:
        self.chain.script(*script)

    @rule()
    def steal(self) -> None:
        self.chain.steal_nonce()

    @rule(fee=st.integers(1, 9))
    def base_fee(self, fee: int) -> None:
        self.chain.base_fee = fee

    @rule()
    def cancel(self) -> None:
        for number, found in self.chain.batches().items():
            if found.stage == "committed":
                self.chain.cancel(number, "the guardian says so")
                self.cancelled = True
                self.seen["cancelled"] += 1
                return

    # -- what always holds ---------------------------------------------------------------------------------------------

    def published(self, number: int) -> bytes:
        while True:
            try:
                data = self.chain.published(number)
                assert data is not None
                return data
            except ChainUnavailable:
                continue

    def opened(self) -> dict[str, SettlementOpened]:
        return {
            entry.event.digest: entry.event
            for entry in self.ledger.events()
            if isinstance(entry.event, SettlementOpened)
        }

    @invariant()
    def each_executed_batch_of_the_log_has_paid_once_and_nothing_else_has(self) -> None:
        if not hasattr(self, "chain"):
            return
        opened = self.opened()
        due: Counter[tuple[str, str]] = Counter()
        for found in self.chain.batches().values():
            if found.stage == "executed":
                event = opened[found.digest]
                due.update({(event.asset, payout.receiver): payout.amount for payout in event.payouts})
        assert {place: amount for place, amount in due.items() if amount} == self.on_chain()

    def on_chain(self) -> dict[tuple[str, str], int]:
        """What receivers have, claimed or due, by asset."""
        state = self.chain
        amounts = {
            (asset, receiver): state.balance(receiver, asset) + self.due(receiver, asset)
            for asset in ("USD", "EUR")
            for receiver in RECEIVERS
        }
        return {place: amount for place, amount in amounts.items() if amount}

    def due(self, receiver: str, asset: str) -> int:
        return self.dues(asset).get(receiver, 0)

    def dues(self, asset: str) -> dict[str, int]:
        return dict(self.chain._shared.now().state.due[asset])

    @invariant()
    def escrow_has_what_subscribers_have_not_spent(self) -> None:
        """By the last final root; what a leaver took by an older one is missing until the next batch."""
        if not hasattr(self, "chain"):
            return
        state = self.chain._shared.now().state
        exits = {(each.subscriber, each.plan, each.asset): each for each in state.facts if isinstance(each, ExitPaid)}
        for asset in ("USD", "EUR"):
            executed = [each for each in state.batches.values() if (each.asset, each.stage) == (asset, "executed")]
            data = self.chain._shared.published(executed[-1].commitment.data_hash) if executed else None
            leaves = leaf_file.decode(data).leaves if data else ()
            net = {(leaf.subscriber, leaf.plan, asset): max(leaf.charged - leaf.credited, 0) for leaf in leaves}
            unspent = owed = overtaken = 0
            for account, paid in state.deposits.items():
                if account in exits:
                    overtaken += max(0, net.get(account, 0) - (paid - exits[account].amount))
                elif account[2] == asset:
                    unspent += max(0, paid - net.get(account, 0))
            for receiver, due in state.due[asset].items():
                owed += min(max(0, -due), state.paid_out[receiver, asset])
            short = unspent - state.escrow[asset]
            assert short <= owed + overtaken, (asset, short, owed, overtaken)
            self.seen["short"] += short > 0

    @invariant()
    def what_the_log_calls_confirmed_the_chain_calls_final(self) -> None:
        if not hasattr(self, "chain"):
            return
        failed, confirmed = Counter[int](), {}
        found = self.chain.batches()
        settling = self.ledger.settling(contract_of(self.chain))
        for entry in self.ledger.events():
            match entry.event:
                case SettlementOpened() as event:
                    confirmed[event.number] = event.digest
                case SettlementFailed() as event:
                    failed[event.number] += 1
                    del confirmed[event.number]
        for number, digest in confirmed.items():
            if number not in settling.open:
                assert (found[number].stage, found[number].digest) == ("executed", digest)

    @invariant()
    def the_ledgers_legs_sum_to_zero(self) -> None:
        if not hasattr(self, "chain"):
            return
        journal = Journal()
        for entry in self.ledger.events():
            journal.post(entry)
        sums: Counter[str] = Counter()
        for (unit, *_), amount in journal.totals.items():
            sums[unit] += amount
        assert not any(sums.values())

    # -- the end -------------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "chain"):
            return
        self.chain.base_fee = 1
        self.start()
        for _ in range(60):
            try:
                hidden = any(isinstance(fault, NoFinality) for fault in self.chain.faults_left)
                untaken = self.watcher.sync()
                if not self.outbox.settle(pauses=range(60)) and not hidden:
                    break
            except ChainUnavailable:
                continue
            except SettlementStopped:
                self.cancel()  # as its hint says
        else:
            if not self.receivables():
                raise AssertionError(f"not settled: {self.ledger.earned()} {self.chain.faults_left}")
        self.seen["untaken"] += len(untaken)
        assert untaken == []
        report = self.audited()
        assert report.clean, report.findings
        if not self.receivables():
            self.all_is_settled()
        self.seen.update(type(entry.event).__name__ for entry in self.ledger.events())

    def audited(self) -> Report:
        while True:
            try:
                return audit(self.store, chains=[self.chain])
            except ChainUnavailable:  # what is left of its script
                continue

    def receivables(self) -> bool:
        """Whether a receiver was paid what was given back since, so that escrow is short by it."""
        return any(amount < 0 for asset in ("USD", "EUR") for amount in self.dues(asset).values())

    def all_is_settled(self) -> None:
        settled = self.ledger.settling(contract_of(self.chain)).settled
        for each in self.ledger.earned():
            assert not any(each.due.values()), each
            assert 0 <= each.outstanding <= each.earned - sum(each.receivers.values()), "rounding leaves it to nobody"
        paid = {(asset, name): amount for asset, names in settled.items() for name, amount in names.items() if amount}
        assert paid == self.on_chain()


TestSettling = Machine.TestCase
TestSettling.settings = examples(30, stateful_step_count=40)


@pytest.mark.sweep
def test_many_more_settlements_go_through_all_faults() -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(Machine, settings=settings(max_examples=400, stateful_step_count=60, deadline=None))
