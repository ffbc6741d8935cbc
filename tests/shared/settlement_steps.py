"""The settlement contract beside its model, under random calls of everybody: hypothesis's state machine.

After every step, whatever was called and by whom: everybody has what the model says and no more, and for each token

    balance == escrow + Σ max(due, 0)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

from evm_machine import COIN, Contract, Reverted
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from settlement_model import Model, Plan, Stage
from settlement_world import (
    ALICE,
    BOB,
    EVERYBODY,
    GUARDIAN,
    MALLORY,
    OPERATOR,
    OWNER,
    PLATFORM,
    SELLER,
    Batch,
    Person,
    World,
    counted,
)

from ledger.events import Leaf

HOUR = 60 * 60
WAITS = (1, HOUR // 2, HOUR, 6 * HOUR)
CALLBACKS = ("claim", "exitUncharged", "none")

PEOPLE = st.sampled_from(EVERYBODY)
FEW = st.integers(0, 5)
"""Picks one of what there is, counted from the last."""

SELDOM = st.sampled_from([False] * 6 + [True])


def slips(*kinds: str) -> st.SearchStrategy[str]:
    """What is wrong about a call: mostly nothing."""
    return st.sampled_from(["nothing"] * 2 * len(kinds) + list(kinds))


class SettlementSteps(RuleBasedStateMachine):
    """A contract in the hands of everybody. `world` makes it: faults are planted there."""

    world: Callable[..., World] = World
    seen: ClassVar[Counter[tuple[str, str | None]]] = Counter()
    """What was called, and how often it passed (None) or was refused, by what."""

    @initialize(
        window=st.sampled_from([0, HOUR]),
        delay=st.sampled_from([2 * HOUR, 5 * HOUR]),
        bought=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), min_size=2, max_size=8),
    )
    def deploy(self, window: int, delay: int, bought: list[tuple[int, int]]) -> None:
        self.on = type(self).world(window=window, freeze=HOUR, delay=delay)
        self.puppet = self.on.puppet()
        self.tokens = (COIN, self.on.dollar.address)
        self.names = (*(person.address for person in EVERYBODY), self.puppet.address)
        self.model = Model(window, HOUR, delay, self.on.settlement.address)
        self.made: list[Batch] = []
        self.salts: list[bytes] = []
        self.wealth = {(token, name): self.on.has(name, token) for token in self.tokens for name in self.names}
        for token in self.tokens:
            self.publish(token, 100)
        for number, (plan, who) in enumerate(bought):
            self.buy(plan, who, MALLORY, 1000 + number, "nothing")

    # -- how a step is taken ------------------------------------------------------------------------------------------

    def agrees(self, refusal: str | None, call: Callable[[], object]) -> bool:
        """Whether it passed, on both sides; else the contract must give the model's reason."""
        found = None
        try:
            call()
        except Reverted as reverted:
            found = reverted.error
        assert found == refusal
        self.seen[self.called, found] += 1
        return found is None

    def call(self, by: Person | Contract, function: str, *arguments: Any, value: int = 0) -> Callable[[], object]:
        """A call of the settlement contract by a person, or by the puppet, which anyone moves."""
        self.called = function
        if isinstance(by, Person):
            return lambda: self.on.do(by, function, *arguments, value=value)
        data = self.on.calldata(function, *arguments)
        return lambda: by.do("act", self.on.settlement.address, value, data, by=MALLORY.address)

    @property
    def now(self) -> int:
        return self.on.machine.time

    def plan(self, back: int) -> int:
        plans = list(self.model.plans)
        return plans[-1 - back % len(plans)]

    def batch(self, back: int) -> Batch:
        return self.made[-1 - back % len(self.made)]

    def subscriber(self, who: int | str) -> Person | Contract:
        people = (ALICE, BOB, self.puppet)
        return people[who % 3] if isinstance(who, int) else next(each for each in people if each.address == who)

    def leaf(self, batch: Batch, which: int, forged: int) -> tuple[Leaf, list[bytes]]:
        leaf = batch.leaves[which % len(batch.leaves)]
        proof = batch.proof(leaf)
        return Leaf(leaf.subscriber, leaf.plan, abs(leaf.charged + forged), leaf.credited), proof

    def final(self, batch: Batch, plan: int, forged: bool) -> bool:
        """Whether a leaf of that batch is one under the last final root of the plan's token."""
        executed = self.model.executed[self.model.plans[plan].token]
        return bool(executed) and not forged and executed[-1].batch.fields[5] == batch.fields[5]

    # -- plans and purchases ------------------------------------------------------------------------------------------

    @rule(token=FEW, price=st.integers(1, 200))
    def publish_a_plan(self, token: int, price: int) -> None:
        self.publish(self.tokens[token % 2], price)

    def publish(self, token: str, price: int) -> None:
        plan = self.on.plan(token, ((SELLER.address, price),))
        self.model.plans[plan] = Plan(SELLER.address, token, price)
        self.salts.append((len(self.salts) + 1).to_bytes(32, "big"))

    @rule(back=FEW, by=st.sampled_from([SELLER, MALLORY]), often=st.integers(0, 3))
    def retire_a_plan(self, back: int, by: Person, often: int) -> None:
        if often == 0 and len(self.model.plans) > 2:
            plans = list(self.model.plans)
            place = back % len(plans)
            refusal = self.model.retire(by.address, plans[place])
            self.agrees(refusal, self.call(by, "retirePlan", self.salts[place]))

    @rule(back=FEW, who=FEW, by=PEOPLE, salt=st.integers(0, 30), slip=slips("too little", "too much"))
    def buy(self, back: int, who: int, by: Person, salt: int, slip: str) -> None:
        plan = self.plan(back)
        order = (plan, self.subscriber(who).address, salt.to_bytes(32, "big"))
        told = self.model.plans[plan]
        value = told.price if told.token == COIN else 0
        value += {"nothing": 0, "too little": -min(value, 1), "too much": 1}[slip]
        refusal = self.model.buy(by.address, order, value)
        self.agrees(refusal, self.call(by, "purchase", order, value=value))

    @rule(back=FEW, who=FEW, signer=PEOPLE, relayer=PEOPLE, salt=st.integers(0, 30), slip=slips("another", "not mine"))
    def buy_by_authorization(self, back: int, who: int, signer: Person, relayer: Person, salt: int, slip: str) -> None:
        """It may be signed for another order, or be used in another's name."""
        plan = self.plan(back)
        order = (plan, self.subscriber(who).address, salt.to_bytes(32, "big"))
        signed = (plan, MALLORY.address, order[2]) if slip == "another" else order
        authorization = self.on.authorization(signed, payer=signer)
        if slip == "not mine":
            authorization = ((ALICE if signer is not ALICE else BOB).address, *authorization[1:])
        price = self.model.plans[plan].price
        value = price if self.model.plans[plan].token == COIN else 0
        refusal = self.model.buy(signer.address, order, value, "yes" if slip == "nothing" else "no")
        self.agrees(refusal, self.call(relayer, "purchaseWithAuthorization", order, authorization))

    # -- batches ------------------------------------------------------------------------------------------------------

    @rule(
        place=st.integers(0, 1),
        counters=st.lists(st.tuples(st.integers(0, 150), st.integers(0, 40)), min_size=1, max_size=6),
        payouts=st.lists(st.tuples(FEW, st.integers(-50, 60)), max_size=4),
        slip=slips("caller", "number", "before", "previous", "payouts", "at once"),
        early=st.sampled_from([0, 0, HOUR // 2, -HOUR]),
    )
    def record_a_batch(
        self, place: int, counters: list[tuple[int, int]], payouts: list[tuple[int, int]], slip: str, early: int
    ) -> None:
        """Counters in percent of what was paid in, payouts in percent of what is in escrow."""
        token = self.tokens[place]
        escrow = self.model.escrow(token)
        receivers = (SELLER.address, SELLER.address, PLATFORM.address, ALICE.address, self.puppet.address)
        all_receivers = (*receivers, self.on.settlement.address)
        paid = tuple((all_receivers[which], escrow * percent // 100) for which, percent in payouts)
        changed: dict[str, Any] = {"prevDigest": b"\1" * 32} if slip == "previous" else {}
        number = max(0, self.on.number + 1 + {"number": 1, "before": -1}.get(slip, 0))
        leaves = self.leaves(token, counters)
        batch = self.on.batch(leaves, paid, token, seq=number, periodEnd=self.now - early, **changed)
        told = (*paid, (MALLORY.address, 50)) if slip == "payouts" else paid
        by, previous = MALLORY if slip == "caller" else OPERATOR, slip != "previous"
        if (self.model.window == 0) != (slip == "at once"):
            refusal = self.model.settle(by.address, batch, told, previous, self.now)
            passed = self.agrees(refusal, self.call(by, "settleBatch", batch.fields, told, ""))
        else:
            refusal = self.model.commit(by.address, batch, previous, self.now)
            passed = self.agrees(refusal, self.call(by, "commitBatch", batch.fields, ""))
        self.made.append(batch)
        if passed:
            self.on.number, self.on.last = batch.number, self.on.read("digestOf", batch.fields)

    def leaves(self, token: str, counters: list[tuple[int, int]]) -> list[tuple[str, int, int, int]]:
        """A leaf for some of those who could have bought."""
        accounts = [
            (subscriber, plan)
            for plan, each in self.model.plans.items()
            if each.token == token
            for subscriber in (ALICE.address, BOB.address, self.puppet.address)
        ]
        return [
            (*account, *(max(self.model.paid(account), 10) * percent // 100 for percent in percents))
            for account, percents in zip(accounts, counters, strict=False)
        ]

    @precondition(lambda self: self.made)
    @rule(back=FEW, by=PEOPLE)
    def execute_any(self, back: int, by: Person) -> None:
        self.execute(self.batch(back), by, "nothing")

    @precondition(lambda self: self.made and self.model.waiting)
    @rule(by=PEOPLE, slip=slips("payouts", "early"))
    def execute_the_next(self, by: Person, slip: str) -> None:
        record = self.model.records[self.model.settled]
        self.be_patient(record.time + self.model.window, slip)
        self.execute(record.batch, by, slip)

    def execute(self, batch: Batch, by: Person, slip: str) -> None:
        payouts = (*batch.payouts, (MALLORY.address, 1)) if slip == "payouts" else batch.payouts
        refusal = self.model.execute(batch, payouts, self.now)
        self.agrees(refusal, self.call(by, "executeBatch", batch.fields, payouts))

    def be_patient(self, until: int, slip: str) -> None:
        """Wait until then, or not quite."""
        self.on.machine.at(max(self.now, until - (1 if slip == "early" else 0)))

    @rule(number=FEW, by=st.sampled_from([OWNER, GUARDIAN, OPERATOR, MALLORY]))
    def cancel_any(self, number: int, by: Person) -> None:
        self.cancel(max(0, len(self.model.records) + 1 - number), by)

    @precondition(lambda self: self.model.waiting)
    @rule(by=st.sampled_from([OWNER, GUARDIAN]))
    def cancel_the_next(self, by: Person) -> None:
        self.cancel(self.model.settled + 1, by)

    def cancel(self, number: int, by: Person) -> None:
        refusal = self.model.cancel(by.address, number)
        self.agrees(refusal, self.call(by, "cancelBatch", number, ""))

    @precondition(lambda self: self.made)
    @rule(back=FEW, which=FEW, forged=SELDOM, by=PEOPLE)
    def challenge(self, back: int, which: int, forged: bool, by: Person) -> None:
        waiting = [each.batch for each in self.model.records if each.stage == Stage.COMMITTED]
        batch = waiting[back % len(waiting)] if waiting else self.batch(back)
        overdrawn = [place for place, leaf in enumerate(batch.leaves) if self.model.overdraws(batch, leaf)]
        place = overdrawn[which % len(overdrawn)] if overdrawn else which
        leaf, proof = self.leaf(batch, place, 200 * forged)
        refusal = self.model.challenge(batch, leaf, not forged)
        self.agrees(refusal, self.call(by, "challengeOverdraw", batch.fields, counted(leaf), proof))

    # -- money out ----------------------------------------------------------------------------------------------------

    @rule(place=st.integers(0, 1), receiver=st.integers(0, 20), by=PEOPLE)
    def claim_any(self, place: int, receiver: int, by: Person) -> None:
        names = (*self.names, self.on.settlement.address, COIN)
        self.claim(self.tokens[place], names[receiver % len(names)], by)

    def owed(self) -> list[tuple[str, str]]:
        """To whom something is due, by token."""
        pairs = [(token, name) for token in self.tokens for name in sorted(self.model.receivers(token))]
        return [pair for pair in pairs if self.model.due(*pair) > 0]

    @precondition(lambda self: self.owed())
    @rule(which=FEW, by=PEOPLE)
    def claim_what_is_due(self, which: int, by: Person) -> None:
        owed = self.owed()
        self.claim(*owed[which % len(owed)], by)

    def claim(self, token: str, receiver: str, by: Person) -> None:
        refusal = self.model.claim(token, receiver)
        self.agrees(refusal, self.call(by, "claim", token, receiver))

    @rule(which=FEW, slip=slips("stolen"))
    def request_exit(self, which: int, slip: str) -> None:
        accounts = sorted({(subscriber, plan) for plan, subscriber, _ in self.model.orders})
        subscriber, plan = accounts[which % len(accounts)]
        by = MALLORY if slip == "stolen" else self.subscriber(subscriber)
        refusal = self.model.request_exit(by.address, plan, self.now)
        self.agrees(refusal, self.call(by, "requestExit", plan))

    @precondition(lambda self: self.made)
    @rule(back=FEW, which=FEW, forged=SELDOM, stolen=SELDOM)
    def exit_by_any_leaf(self, back: int, which: int, forged: bool, stolen: bool) -> None:
        """By the leaf's own subscriber, or by another one."""
        batch = self.batch(back)
        leaf, proof = self.leaf(batch, which, -1 if forged else 0)
        by = MALLORY if stolen else self.subscriber(leaf.subscriber)
        self.exit(by, leaf, proof, self.final(batch, int(leaf.plan), forged) and not stolen)

    @precondition(lambda self: self.model.leaving)
    @rule(which=FEW, patience=st.sampled_from(["none", "exit", "twice"]), slip=slips("early"))
    def exit_by_the_last_root(self, which: int, patience: str, slip: str) -> None:
        accounts = list(self.model.leaving)
        subscriber, plan = accounts[which % len(accounts)]
        executed = self.model.executed[self.model.plans[plan].token]
        for leaf in executed[-1].batch.leaves if executed else ():
            if (leaf.subscriber, int(leaf.plan)) == (subscriber, plan):
                until = {"none": 0, "exit": self.model.delay, "twice": 2 * self.model.delay + self.model.window}
                self.be_patient(self.model.leaving[subscriber, plan].asked + until[patience], slip)
                self.exit(self.subscriber(subscriber), leaf, executed[-1].batch.proof(leaf), True)

    def proven(self) -> list[tuple[Leaf, list[bytes]]]:
        """The leaves under final roots, of those who bought."""
        last = [executed[-1].batch for executed in self.model.executed.values() if executed]
        leaves = [(leaf, batch) for batch in last for leaf in batch.leaves]
        return [
            (leaf, batch.proof(leaf)) for leaf, batch in leaves if self.model.paid((leaf.subscriber, int(leaf.plan)))
        ]

    @precondition(lambda self: any(self.model.executed.values()))
    @rule(which=FEW)
    def ask_and_leave_at_once(self, which: int) -> None:
        """Before the ledger can have heard of it."""
        if proven := self.proven():
            leaf, proof = proven[which % len(proven)]
            by, plan = self.subscriber(leaf.subscriber), int(leaf.plan)
            refusal = self.model.request_exit(by.address, plan, self.now)
            self.agrees(refusal, self.call(by, "requestExit", plan))
            self.exit(by, leaf, proof, True)

    def exit(self, by: Person | Contract, leaf: Leaf, proof: list[bytes], proven: bool) -> None:
        plan = int(leaf.plan)
        refusal = self.model.exit(by.address, plan, leaf, proven, self.now)
        self.agrees(refusal, self.call(by, "exit", plan, leaf.charged, leaf.credited, proof))

    @precondition(lambda self: self.model.leaving)
    @rule(which=FEW, slip=slips("early", "stolen"))
    def claim_uncharged(self, which: int, slip: str) -> None:
        accounts = list(self.model.leaving)
        subscriber, plan = accounts[which % len(accounts)]
        by = MALLORY if slip == "stolen" else self.subscriber(subscriber)
        self.be_patient(self.model.leaving[subscriber, plan].asked + self.model.delay, slip)
        refusal = self.model.claim_uncharged(by.address, plan, self.now)
        self.agrees(refusal, self.call(by, "claimUncharged", plan))

    @precondition(lambda self: self.model.leaving)
    @rule(which=FEW, slip=slips("early", "stolen"))
    def exit_uncharged(self, which: int, slip: str) -> None:
        accounts = list(self.model.leaving)
        subscriber, plan = accounts[which % len(accounts)]
        by = MALLORY if slip == "stolen" else self.subscriber(subscriber)
        claimed = self.model.leaving[subscriber, plan].claimed
        self.be_patient(claimed + self.model.delay if claimed else 0, slip)
        refusal = self.model.exit_uncharged(by.address, plan, self.now)
        self.agrees(refusal, self.call(by, "exitUncharged", plan))

    @precondition(lambda self: self.made)
    @rule(back=FEW, which=FEW, forged=SELDOM, by=PEOPLE)
    def refute(self, back: int, which: int, forged: bool, by: Person) -> None:
        batch = self.batch(back)
        claimed = [account for account, each in self.model.leaving.items() if each.claimed]
        meant = [place for place, each in enumerate(batch.leaves) if (each.subscriber, int(each.plan)) in claimed]
        leaf, proof = self.leaf(batch, meant[which % len(meant)] if meant else which, int(forged))
        self.refute_by(by, leaf, proof, self.final(batch, int(leaf.plan), forged))

    @precondition(lambda self: any(self.model.executed.values()))
    @rule(which=FEW, by=PEOPLE)
    def claim_falsely_and_be_refuted(self, which: int, by: Person) -> None:
        """By anybody, with the leaf that the claim denies."""
        if proven := self.proven():
            leaf, proof = proven[which % len(proven)]
            account, subscriber = (leaf.subscriber, int(leaf.plan)), self.subscriber(leaf.subscriber)
            if account not in self.model.leaving:
                refusal = self.model.request_exit(*account, self.now)
                self.agrees(refusal, self.call(subscriber, "requestExit", account[1]))
            if account in self.model.leaving:
                self.be_patient(self.model.leaving[account].asked + self.model.delay, "nothing")
                refusal = self.model.claim_uncharged(*account, self.now)
                self.agrees(refusal, self.call(subscriber, "claimUncharged", account[1]))
            self.refute_by(by, leaf, proof, True)

    def refute_by(self, by: Person, leaf: Leaf, proof: list[bytes], proven: bool) -> None:
        refusal = self.model.refute(leaf, proven)
        self.agrees(refusal, self.call(by, "refuteUncharged", counted(leaf), proof))

    # -- the world around ---------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from(WAITS))
    def wait(self, seconds: int) -> None:
        self.on.wait(seconds)

    @rule(refusing=st.booleans(), callback=st.sampled_from(CALLBACKS), back=FEW)
    def turn_the_puppet(self, refusing: bool, callback: str, back: int) -> None:
        """It takes no coin, or calls back when it is paid; that must gain it nothing."""
        address = self.puppet.address
        self.puppet.do("setRefusing", refusing, by=MALLORY.address)
        (self.model.refusing.add if refusing else self.model.refusing.discard)(address)
        arguments = (COIN, address) if callback == "claim" else (self.plan(back),)
        data = b"" if callback == "none" else self.on.calldata(callback, *arguments)
        target = COIN if callback == "none" else self.on.settlement.address
        self.puppet.do("setHook", target, data, by=MALLORY.address)

    # -- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def everybody_has_what_the_model_says(self) -> None:
        for token in self.tokens:
            for name in self.names:
                gained = self.on.has(name, token) - self.wealth[token, name]
                assert gained == self.model.wealth[token, name], (token, name)

    @invariant()
    def the_contract_holds_escrow_and_what_is_due(self) -> None:
        for token in self.tokens:
            due = {name: self.on.read("due", token, name) for name in self.model.receivers(token)}
            escrow = self.on.read("escrow", token)
            assert self.on.has(self.on.settlement.address, token) == escrow + sum(max(0, each) for each in due.values())
            assert escrow == self.model.escrow(token) >= 0
            assert due == {name: self.model.due(token, name) for name in due}

    @invariant()
    def batches_stand_where_the_model_says(self) -> None:
        told = [self.on.read(name) for name in ("lastSeq", "settledSeq", "waiting")]
        assert told == [len(self.model.records), self.model.settled, self.model.waiting]

    @invariant()
    def nobody_left_with_more_than_was_paid_in(self) -> None:
        for (subscriber, plan), amount in self.model.exits.items():
            assert amount <= self.on.read("getAccount", subscriber, plan)[0]
