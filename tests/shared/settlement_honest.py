"""An honest operator's ledger, outbox and watcher over a settlement contract, in the hands of everybody: hypothesis's
state machine. The contract is the mock chain's, or the real one on a machine of its own.

Law (solvency): after every step, for what the last final root says of every account,

    escrow >= Σ unspent − what receivers owe who have claimed

and in the end everybody who has not left leaves with all that is unspent, where no receiver owes. Two things put that
off, each until the next batch, and are counted exactly: refunds that one batch cannot take back whole, and a subscriber
who left by an old root while a batch that charged it more was on its way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from settlement_till import Place

from chains import Outbox, Step, Watcher, leaf_file, prove
from ledger import (
    Adjust,
    Charge,
    CreatePlan,
    Ledger,
    PaymentRequired,
    Purchase,
    Reason,
    Release,
    Request,
    Reverse,
)
from ledger.commands import Terms
from ledger.errors import NotFound, SettlementStopped
from ledger.events import Escrow, EscrowFunding
from ledger.plugins import chain_plugin, contract_of
from ledger.settlement.messages import Batch, ExitPaid, PurchaseMade
from ledger.settlement.state import Settling
from ledger.stores.memory import MemoryStore
from replay.audit.run import audit

Shares = Mapping[str, int]


RECEIVERS = 7
PLANS = 3
FEW = st.integers(0, 9)
USES = st.lists(st.tuples(FEW, FEW, st.integers(1, 9) | st.integers(1, 60)), min_size=1, max_size=5)
"""Who uses how many units, of which plan."""

REFUNDS = st.lists(st.tuples(FEW, st.integers(1, 60)), min_size=1, max_size=5)
"""How many credits of which charge, counted from the first."""

WINDOW = 40
"""The seconds of a plan that sells time."""


class HonestSteps(RuleBasedStateMachine):
    """`place` makes the contract, with a challenge window or not."""

    place: Callable[[bool], Place]
    seen: ClassVar[Counter[str]] = Counter()

    @initialize(
        window=st.booleans(),
        shares=st.lists(st.lists(st.integers(0, 60), min_size=RECEIVERS, max_size=RECEIVERS).filter(any),
                        min_size=PLANS, max_size=PLANS),
        credits=st.lists(st.integers(1, 400), min_size=PLANS - 1, max_size=PLANS - 1),
        most=st.sampled_from([(None, None), (None, None), (2, None), (None, 9), (3, 20)]),
        gives_back=st.booleans(),
    )  # fmt: skip
    def begin(
        self,
        window: bool,
        shares: list[list[int]],
        credits: list[int],
        most: tuple[int | None, int | None],
        gives_back: bool,
    ) -> None:
        self.gives_back = gives_back
        self.at = type(self).place(window)
        self.window = window
        self.plugin = chain_plugin(self.at.chain.name)
        self.limit(*most)
        self.store = MemoryStore(id="honest")
        self.ledger = Ledger(self.store, clock=self.at.now)
        self.outbox, self.watcher = Outbox(self.ledger, self.at.chain), Watcher(self.ledger, self.at.chain)
        self.charges: list[int] = []
        self.not_taken_back: dict[int, int] = {}
        self.requests: list[int] = []
        self.ids: list[str] = []
        self.names: dict[str, str] = {}
        self.shares = [dict(zip(self.at.receivers, each, strict=True)) for each in shares]
        self.sold = [(each, 0) for each in credits] + [(0, WINDOW)]
        for number, (sold, parts) in enumerate(zip(self.sold, self.shares, strict=True)):
            self.publish(number, parts, *sold)
        for subscriber in self.at.subscribers[:2]:
            for id in self.ids:
                self.at.buy(subscriber, id)
        self.sync()

    def counted(self) -> None:
        """How often what happened, for `seen`."""
        self.seen.update(type(entry.event).__name__ for entry in self.ledger.events())

    def limit(self, receivers: int | None, payout: int | None) -> None:
        """Let one batch take fewer receivers and smaller payouts, so that a few of them do not fit."""
        kind: Any = type(self.plugin)
        self.usual = {name: kind.__dict__[name] for name in ("max_receivers", "max_payout")}
        if receivers is not None:
            kind.max_receivers = receivers
        if payout is not None:
            kind.max_payout = payout

    def publish(self, number: int, shares: Shares, credits: int, seconds: int) -> None:
        id = self.at.publish(number, shares, credits, seconds)
        name = f"plan {number}"
        plan = CreatePlan(
            plan=name,
            owner="acme",
            asset=self.at.asset,
            price=shares,
            credits=credits,
            seconds=seconds,
            onchain_id=id,
            policy="complexity" if credits else "time",
            parameters={"weights": {"units": 1}} if credits else {},
        )
        self.ledger.execute(plan).unwrap()
        self.ids.append(id)
        self.names[id] = name

    def sync(self) -> None:
        assert self.watcher.sync() == []

    def attempt(self, act: Callable[..., Any], *arguments: Any) -> bool:
        """Whether the contract took it."""
        try:
            act(*arguments)
        except self.at.refusals:
            return False
        return True

    # -- what users do -------------------------------------------------------------------------------------------------

    @rule(who=FEW, plan=FEW)
    def buy(self, who: int, plan: int) -> None:
        self.attempt(self.at.buy, self.one(self.at.subscribers, who), self.one(self.ids, plan))
        self.sync()

    @staticmethod
    def one(among: Sequence[Any], which: int) -> Any:
        return among[which % len(among)]

    @rule(uses=USES)
    def charge(self, uses: list[tuple[int, int, int]]) -> None:
        for who, plan, units in uses:
            name = f"plan {plan % (PLANS - 1)}"
            usage = {"units": units}
            charge = Charge(subscriber=self.one(self.at.subscribers, who), plan=name, usage=usage)
            if (outcome := self.ledger.execute(charge)).accepted:
                self.charges.append(outcome.seq)

    @rule(who=FEW, plan=FEW, units=st.integers(1, 9) | st.integers(1, 60))
    def admit(self, who: int, plan: int, units: int) -> None:
        subscriber, name = self.one(self.at.subscribers, who), f"plan {plan % (PLANS - 1)}"
        outcome = self.ledger.execute(Request(subscriber=subscriber, plan=name, estimate={"units": units}))
        if outcome.accepted:
            self.requests.append(outcome.seq)

    @precondition(lambda self: self.requests)
    @rule(which=FEW, units=st.integers(0, 20))
    def end(self, which: int, units: int) -> None:
        request = self.requests.pop(which % len(self.requests))
        used = Charge(request=request, usage={"units": units})
        self.ledger.execute(used if units else Release(request=request))

    @precondition(lambda self: self.charges and self.gives_back)
    @rule(parts=REFUNDS)
    def refund(self, parts: list[tuple[int, int]]) -> None:
        """Of charges that were settled, or not; whose receivers have claimed, or not."""
        for which, credits in parts:
            for part in (credits, 5, 1):  # of less, where the charge has no more
                if self.ledger.execute(Adjust(charge=self.one(self.charges, which), credits=-part)).accepted:
                    break

    @precondition(lambda self: self.gives_back and self.window)
    @rule(uses=USES, parts=REFUNDS, more=USES)
    def cancel_a_refund_with_a_batch_behind_it(
        self, uses: list[tuple[int, int, int]], parts: list[tuple[int, int]], more: list[Any]
    ) -> None:
        """Where the operator lets one stand there."""
        self.charge(uses)
        self.settle(9)
        if self.charges:
            self.refund(parts)
        self.open_and_record(4)
        self.charge(more)
        self.open_and_record(4)
        self.cancel(0)
        self.settle(9)

    @precondition(lambda self: self.gives_back)
    @rule(who=FEW, plan=FEW, units=st.integers(0, 40))
    def grant_early_and_take_back(self, who: int, plan: int, units: int) -> None:
        """A purchase that a reorganisation takes away: it was granted before it was final, used, and is reversed."""
        subscriber, number = self.one(self.at.subscribers, who), plan % (PLANS - 1)
        self.lost = getattr(self, "lost", 0) + 1
        escrow = Escrow(self.at.chain.name, self.at.chain.contract, f"0x{self.lost:064x}", 1)
        terms = Terms(asset=self.at.asset, shares=self.shares[number], credits=self.sold[number][0])
        bought = self.ledger.execute(
            Purchase(subscriber=subscriber, plan=f"plan {number}", funding=EscrowFunding(escrow), terms=terms)
        )
        if bought.accepted:
            if units:
                self.ledger.execute(Charge(subscriber=subscriber, plan=f"plan {number}", usage={"units": units}))
            self.ledger.execute(Reverse(subscriber=subscriber, plan=f"plan {number}", lot=bought.seq)).unwrap()

    @rule(which=st.lists(FEW, max_size=6))
    def claim(self, which: list[int]) -> None:
        for each in which:
            if self.attempt(self.at.claim, self.one(self.at.receivers, each)):
                self.seen["claims"] += 1

    @rule(uses=USES, which=st.lists(FEW, max_size=9))
    def use_settle_and_claim(self, uses: list[tuple[int, int, int]], which: list[int]) -> None:
        """As it goes most of the time."""
        self.charge(uses)
        self.settle(9)
        self.claim(which)

    @rule(long=st.sampled_from([False] * 4 + [True]))
    def wait(self, long: bool) -> None:
        self.at.wait(long)
        self.sync()

    # -- settling ------------------------------------------------------------------------------------------------------

    def carry(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except PaymentRequired as error:
            if error.refused.reason is not Reason.batch_open:
                raise
        except SettlementStopped as stopped:
            if not ("will not pay it out" in str(stopped) and self.owed()):
                raise  # an honest batch is paid out, where no receiver owes
        return None

    @rule(steps=st.integers(0, 6))
    def open_and_record(self, steps: int) -> None:
        """So that several stand in line, where there is a window."""
        self.open()
        for _ in range(steps):
            self.carry(self.outbox.step)

    def open(self) -> int | None:
        """The next batch's number, if there is one. It pays what is due, as far as it can take it."""
        before = self.ledger.settling(contract_of(self.at.chain))
        due = self.due(before)
        number: int | None = self.carry(lambda: self.outbox.open(self.at.asset))
        if number is not None:
            opened = self.ledger.batches(contract_of(self.at.chain))[-1].batch
            paid = {payout.receiver: payout.amount for payout in opened.payouts}
            rest = {name: amount - paid.get(name, 0) for name, amount in due.items()}
            self.not_taken_back[number] = back = -sum(amount for amount in rest.values() if amount < 0)
            most = self.plugin.max_payout
            assert len(paid) <= self.plugin.max_receivers
            assert all(abs(amount) <= most for amount in paid.values())
            assert all(paid[name] in (due[name], most, -most) for name in paid), (
                "less than is due, only where it must be"
            )
            assert not back or all(amount < 0 for amount in paid.values()), "nobody is paid while more is to come back"
            fits = len(paid) < self.plugin.max_receivers and all(abs(amount) < most for amount in due.values())
            assert not fits or not any(rest.values()) or back, "what fits is paid"
        return number

    def due(self, settling: Settling) -> dict[str, int]:
        """What every receiver is due, by the lots as the ledger shows them, less what standing batches pay."""
        due = Counter(dict.fromkeys(self.at.receivers, 0))
        for subscriber in self.at.subscribers:
            for name in self.names.values():
                for lot in self.ledger.lots(subscriber, name):
                    due.update(lot.shares_earned)
        due.subtract(settling.paid.get(self.at.asset, {}))
        return dict(due)

    @rule(pauses=st.integers(1, 9))
    def settle(self, pauses: int) -> None:
        self.settled(pauses)

    def settled(self, pauses: int) -> bool:
        """As `Outbox.settle` does, but the law holds after each of its steps. Returns whether nothing is left."""
        while True:
            while (step := self.carry(self.outbox.step)) not in (None, Step.idle):
                self.escrow_has_what_subscribers_have_not_spent()
                if step is not Step.wrote:
                    if not pauses:
                        return False
                    self.at.chain.pause()
                    pauses -= 1
            if step is None or self.open() is None:
                return step is not None

    @precondition(lambda self: self.window)
    @rule(which=FEW)
    def cancel(self, which: int) -> None:
        """The guardian calls off a batch that waits, also one with others behind it."""
        batches = self.ledger.batches(contract_of(self.at.chain))
        recorded = [each.batch.number for each in batches if self.at.chain.find(each.batch.number).stage == "committed"]
        if recorded and self.attempt(self.at.cancel, self.one(recorded, which)):
            self.seen["cancelled"] += 1

    # -- leaving -------------------------------------------------------------------------------------------------------

    @rule(who=FEW, plan=FEW, really=st.integers(0, 3))
    def ask_to_leave(self, who: int, plan: int, really: int) -> None:
        if really == 0:
            self.attempt(self.at.ask, self.one(self.at.subscribers, who), self.one(self.ids, plan))
            self.sync()

    @precondition(lambda self: self.gives_back)
    @rule(who=FEW, plan=FEW)
    def leave(self, who: int, plan: int) -> None:
        self.leaves(self.one(self.at.subscribers, who), self.one(self.ids, plan))

    @precondition(lambda self: self.gives_back)
    @rule(who=FEW, plan=FEW, uses=USES)
    def leave_while_a_batch_is_on_its_way(self, who: int, plan: int, uses: list[tuple[int, int, int]]) -> None:
        """By the root before it, which the contract takes since the operator let so much time pass."""
        self.settle(9)
        self.charge([*uses, (who, plan, 5)])
        if self.attempt(self.at.ask, self.one(self.at.subscribers, who), f"{self.ids[plan % (PLANS - 1)]}"):
            self.wait(True)
            self.open()
            self.leave(who, plan % (PLANS - 1))
            self.settle(9)

    def leaves(self, subscriber: str, plan: str) -> bool:
        """By a leaf of the last root that is final; only who has none claims to have been charged nothing."""
        last = self.last()
        try:
            if last is None:
                raise NotFound("there was no batch yet")
            proof = prove(last, self.plugin.leaf_types, subscriber, plan)
            told = self.attempt(self.at.leave, subscriber, plan, proof.leaf, proof.proof)
        except NotFound:
            told = self.attempt(self.at.leave, subscriber, plan, None, ())
        if told:
            self.seen["exits"] += 1
        self.sync()
        return told

    # -- what always holds ---------------------------------------------------------------------------------------------

    def last(self) -> Batch | None:
        """The last batch that was paid out, from its leaf file."""
        numbers = range(self.ledger.settling(contract_of(self.at.chain)).number, 0, -1)
        for number in numbers:
            if self.at.chain.find(number).stage == "executed":
                data = self.at.chain.published(number)
                assert data is not None
                return leaf_file.decode(data)
        return None

    def owed(self) -> int:
        """What receivers owe of what they have claimed."""
        total = 0
        for receiver in self.at.receivers:
            due, claimed = self.at.chain.due(receiver, self.at.asset), self.at.chain.claimed(receiver, self.at.asset)
            total += max(0, min(-due, claimed))
        return total

    def accounts(self) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]], set[tuple[str, str]]]:
        """What every account paid in, what it left with, and which have left, as the chain tells."""
        deposits: Counter[tuple[str, str]] = Counter()
        exits: Counter[tuple[str, str]] = Counter()
        left: set[tuple[str, str]] = set()
        for fact in self.at.chain.facts():
            name = fact.subscriber, fact.plan
            match fact:
                case PurchaseMade():
                    deposits[name] += sum(share.amount for share in fact.shares)
                case ExitPaid():
                    exits[name] += fact.amount
                    left.add(name)
        return deposits, exits, left

    @staticmethod
    def nets(batch: Batch | None) -> dict[tuple[str, str], int]:
        """What a batch's leaves say that every account was charged and not given back."""
        leaves = batch.leaves if batch else ()
        return {(leaf.subscriber, leaf.plan): leaf.charged - leaf.credited for leaf in leaves}

    def unspent(self) -> dict[tuple[str, str], int]:
        """What everybody who has not left could take out, by the last final root."""
        deposits, _, left = self.accounts()
        net = self.nets(self.last())
        return {name: max(paid - max(net.get(name, 0), 0), 0) for name, paid in deposits.items() if name not in left}

    def overtaken(self) -> int:
        """What the last final root charges who had left by an earlier one."""
        deposits, exits, left = self.accounts()
        net = self.nets(self.last())
        return sum(max(0, net.get(name, 0) - (deposits[name] - exits[name])) for name in left)

    @invariant()
    def escrow_has_what_subscribers_have_not_spent(self) -> None:
        if not hasattr(self, "charges"):
            return
        last = self.last()
        excuses = {
            "owed": self.owed(),
            "overtaken": self.overtaken(),
            "not taken back": self.not_taken_back[last.number] if last else 0,
        }
        short = sum(self.unspent().values()) - self.at.chain.escrow(self.at.asset)
        assert short <= sum(excuses.values()), (short, excuses)
        self.seen.update({f"short by {name}": short > 0 and amount > 0 for name, amount in excuses.items()})

    @invariant()
    def only_who_has_claimed_owes(self) -> None:
        """And where nothing was given back, by a refund or to a leaver, nobody does."""
        if not hasattr(self, "charges") or self.window:
            return  # a batch may have been cancelled with one behind it, that was counted from there on
        for receiver in self.at.receivers:
            due = self.at.chain.due(receiver, self.at.asset)
            assert -due <= (self.at.chain.claimed(receiver, self.at.asset) if self.gives_back else 0), receiver

    # -- the end -------------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "charges"):
            return
        try:
            self.close()
        finally:
            for name, value in self.usual.items():
                setattr(type(self.plugin), name, value)

    def rest(self) -> bool:
        """Settle all there is; False where a receiver owes so much that a batch cannot be paid."""
        self.sync()
        for _ in range(9):
            if self.settled(60):
                return True
        assert self.owed(), "all is settled, where no receiver owes"
        return False

    def stands_at_rest(self) -> None:
        """When all is settled, nothing but what receivers owe excuses a shortfall."""
        short = sum(self.unspent().values()) - self.at.chain.escrow(self.at.asset)
        assert short <= self.owed(), (short, self.owed())
        assert self.overtaken() == 0, "the batch after has made up for it"

    def close(self) -> None:
        """All is settled and claimed; then everybody leaves, one after the other, to the last."""
        if not self.rest():
            return
        self.stands_at_rest()
        self.claim(list(range(RECEIVERS)))
        for subscriber, plan in self.accounts()[0]:
            self.attempt(self.at.ask, subscriber, plan)
        self.at.wait(True)
        if not self.rest():
            return
        self.at.wait(True)
        self.stands_at_rest()
        stuck = 0
        for (subscriber, plan), rest in self.unspent().items():
            before = self.accounts()[1][subscriber, plan]
            if self.leaves(subscriber, plan) and (subscriber, plan) not in self.accounts()[2]:
                self.at.wait(True)  # it claimed to have been charged nothing
                self.leaves(subscriber, plan)
            _, exits, left = self.accounts()
            if (subscriber, plan) in left:
                assert exits[subscriber, plan] - before == rest
            else:
                stuck += rest
        escrow, owed = self.at.chain.escrow(self.at.asset), self.owed()
        assert stuck <= owed + escrow, f"{stuck} cannot leave, {owed} are owed and {escrow} are there"
        if not owed:
            assert stuck == 0, f"the last cannot leave with {stuck}"
            self.seen["all have left"] += 1
        if not self.seen["audits"] % 5:
            report = audit(self.store, chains=[self.at.chain])
            assert report.clean, report.findings
        self.seen["audits"] += 1
        self.counted()
