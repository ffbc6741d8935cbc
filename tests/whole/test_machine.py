"""The whole engine against the naive model, by random commands.

Three books are kept side by side: the engine under test, a twin that is told of every instant at which time does
something, and the model. After every step they must agree, and the engine's own laws must hold.
"""

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest
import whole_drafts as drafts
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec.structs import replace
from whole_accounts import SECOND
from whole_model import Model
from whole_witness import Witness

from ledger import Entry, Ledger, Outcome
from ledger.commands import Purchase, RegisterAgent, Reinstate, RepricePlan, Reverse, Terms, Tick
from ledger.events import Escrow, EscrowFunding
from ledger.movements import Journal
from ledger.plugins import stores
from replay.audit.run import audit

BEGIN = 1_701_388_680 * SECOND
"""2023-11-30, two minutes before the month ends."""

BALANCE = (
    "issued",
    "available",
    "held",
    "spent",
    "lapsed",
    "withdrawn",
    "debt",
    "shortfall",
    "open_requests",
    "unpriced",
)
HINTS = ("top_up", "retry_after_us")
DAY = 86_400 * SECOND
PLACES = ("left", "held", "spent", "lapsed", "withdrawn")
LOT = ("id", "credits", "start", "expiry", "started", "earned", "shares_earned", *PLACES)
REQUEST = ("id", "hold", "deadline")


class Books:
    """A ledger with a clock of its own, and the names that it gave."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.clock, self.names = path, BEGIN, drafts.Names()
        self.open()

    def open(self) -> None:
        self.store = stores.get("sqlite" if self.path else "memory")(self.path, id="test")
        self.ledger = Ledger(self.store, clock=lambda: self.clock)

    @property
    def now(self) -> int:
        """The moment of the next commit."""
        return max(self.clock, self.ledger.head.at)

    def photograph(self) -> tuple[Any, ...]:
        """The log's end and the books, byte for byte."""
        head = self.ledger.head
        return head.seq, head.hash, self.ledger.state()

    def execute(self, commands: list[Any]) -> list[tuple[str, Any]]:
        """One command by itself, or several in one commit: what the ledger says to each."""
        alone = len(commands) == 1
        self.answers = [self.ledger.execute(commands[0])] if alone else self.ledger.execute_many(commands)
        return [self.word(command, answer) for command, answer in zip(commands, self.answers, strict=True)]

    def word(self, command: Any, answer: Outcome) -> tuple[str, Any]:
        """An answer as the model gives it: the reason of a refusal, or the number of what came to be."""
        if not answer:
            return "refused", str(answer.reason)
        if isinstance(command, Tick):
            return "accepted", 0
        return "repeated" if answer.repeated else "accepted", answer.seq

    def copy(self, wait: int = 0) -> Ledger:
        """A ledger of the same log, in memory, whose clock is so much later."""
        return Ledger(copy_of(self.store), clock=lambda: self.clock + wait)

    def refolded(self) -> bytes:
        """The books as the log alone makes them."""
        return self.copy().state()

    def read(self, account: tuple[str, str]) -> dict[str, Any]:
        return reading(self.ledger, account)


def copy_of(store: Any) -> Any:
    """A store in memory with the same log."""
    copy = stores.get("memory")(None, id="test")
    for commit in store.read():
        copy.append(copy.head(), commit)
    return copy


def reading(ledger: Ledger, account: tuple[str, str]) -> dict[str, Any]:
    """Everything that a ledger says of an account."""
    balance = ledger.balance(*account)
    lots, requests = ledger.lots(*account), ledger.requests(*account)
    return {
        "balance": {name: getattr(balance, name) for name in BALANCE},
        "lots": [{name: getattr(lot, name) for name in LOT} for lot in lots],
        "requests": [{name: getattr(request, name) for name in REQUEST} for request in requests],
    }


class Machine(RuleBasedStateMachine):
    """Random commands on an engine in memory."""

    on_disk: ClassVar[bool] = False

    # -- what happens --

    @initialize(offers=drafts.offers)
    def begin(self, offers: list[Any]) -> None:
        """Three plans are on sale, behind two agents, and Ann has bought one of each."""
        self.open_books()
        self.do(*offers, *drafts.AGENTS)
        self.do(*(Purchase(subscriber="ann", plan=offer.plan) for offer in offers))

    def open_books(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.main = Books(Path(self.folder.name, "ledger.db") if self.on_disk else None)
        self.twin, self.model, self.journal = Books(None), Model(), Journal()
        self.witness, self.last_read = Witness(), dict[Any, Any]()
        self.posted, self.steps, self.agents, self.repeatable = 0, 0, 0, []
        self.disputed: set[tuple[str, str]] = set()

    @rule(draft=drafts.purchases)
    def buy(self, draft: Any) -> None:
        self.do(draft)

    @rule(draft=drafts.gifts)
    def give(self, draft: Any) -> None:
        self.do(draft)

    @rule(draft=drafts.requests)
    def request(self, draft: Any) -> None:
        self.do(draft)

    @rule(request=drafts.requests, charge=drafts.charges, again=st.none() | drafts.charges)
    def serve(self, request: Any, charge: Any, again: Any) -> None:
        """A request and its charge, in one part or in two."""
        self.do(request)
        self.do(replace(charge, request=1, final=again is None))
        if again:
            self.do(replace(again, request=1))

    @precondition(lambda self: self.main.names.requests)
    @rule(draft=drafts.charges)
    def charge(self, draft: Any) -> None:
        self.do(draft)

    @rule(draft=drafts.direct_charges)
    def charge_directly(self, draft: Any) -> None:
        self.do(draft)

    @rule(charge=drafts.direct_charges, corrections=st.lists(drafts.corrections, min_size=1, max_size=3))
    def charge_and_correct(self, charge: Any, corrections: list[Any]) -> None:
        """Finished work, and what was found out about it later."""
        self.do(charge)
        for correction in corrections:
            self.do(replace(correction, charge=1))

    @precondition(lambda self: self.main.names.requests)
    @rule(draft=drafts.endings)
    def release_or_extend(self, draft: Any) -> None:
        self.do(draft)

    @precondition(lambda self: self.main.names.charges)
    @rule(draft=drafts.corrections)
    def correct_a_charge(self, draft: Any) -> None:
        self.do(draft)

    @precondition(lambda self: self.main.names.charges)
    @rule(draft=drafts.period_corrections)
    def correct_a_period(self, draft: Any) -> None:
        """Not where a lot was disputed: to which of its lots such a period's credits go back, model and engine tell
        apart in rare cases, and the pages do not say."""
        if (draft.subscriber, draft.plan) not in self.disputed:
            self.do(draft)

    @rule(draft=drafts.withdrawals)
    def withdraw(self, draft: Any) -> None:
        self.do(draft)

    @rule(draft=drafts.reversals | drafts.freezes, really=st.integers(0, 2))
    def reverse_or_freeze(self, draft: Any, really: int) -> None:
        """Seldom: not much can be asked of an account after that."""
        if really == 0:
            self.do(draft)

    @rule(plan=drafts.on_sale, crowd=drafts.crowds, ends=drafts.ends, repriced=st.none() | drafts.tariffs)
    def serve_a_crowd(self, plan: str, crowd: list[Any], ends: list[Any], repriced: Any) -> None:
        """Several requests of one account at once, perhaps under two tariffs, end in parts and in any order."""
        before = len(self.main.names.requests)
        for number, request in enumerate(crowd):
            if number == 1 and repriced:
                self.do(RepricePlan(plan=plan, policy=repriced[0], parameters=repriced[1]))
            self.do(replace(request, subscriber="ann", plan=plan))
        admitted = len(self.main.names.requests) - before
        for end in ends if admitted else ():
            self.do(replace(end, request=1 + end.request % admitted))

    @rule(
        plan=drafts.on_sale, request=drafts.requests, charge=drafts.direct_charges, end=drafts.endings | drafts.charges
    )
    def owe_and_get_back(self, plan: str, request: Any, charge: Any, end: Any) -> None:
        """Work costs more than is free while something is held, which then returns."""
        account = {"subscriber": "ann", "plan": plan, "agent": ""}
        self.do(replace(request, url="", **account))
        free = max(0, self.main.ledger.balance("ann", plan).available)
        free = free if free < 60 else 0
        self.do(replace(charge, usage={"tokens": free + 3, "calls": free + 3}, **account))
        self.do(replace(end, request=1))

    @rule(plan=drafts.on_sale, seconds=st.integers(0, 25), charge=drafts.direct_charges)
    def charge_after_the_end(self, plan: str, seconds: int, charge: Any) -> None:
        ends = [lot.expiry for lot in self.main.ledger.lots("ann", plan)]
        if ends and None not in ends:
            self.let_time_pass(max(0, max(ends) - self.main.clock) + seconds * SECOND)
            self.do(replace(charge, subscriber="ann", plan=plan, agent="", occurred_at=charge.occurred_at and -seconds))

    @rule(
        charge=drafts.direct_charges,
        reversal=drafts.reversals,
        gift=st.none() | drafts.gifts,
        corrections=st.lists(drafts.corrections | drafts.period_corrections | drafts.reinstatements, max_size=3),
    )
    def dispute(self, charge: Any, reversal: Any, gift: Any, corrections: list[Any]) -> None:
        """Work is done, its payment is void, others pay, and the work is corrected."""
        account = {"subscriber": charge.subscriber, "plan": charge.plan}
        self.do(charge)
        self.do(replace(reversal, **account))
        for draft in ([replace(gift, start=None, **account)] if gift else []) + corrections:
            self.do(draft if getattr(draft, "charge", 0) else replace(draft, **account))

    @rule(draft=drafts.reinstatements | drafts.thaws)
    def reinstate_or_unfreeze(self, draft: Any) -> None:
        self.do(draft)

    @rule(draft=drafts.repricings)
    def reprice(self, draft: Any) -> None:
        self.do(draft)

    @rule(requests=st.lists(drafts.requests, min_size=2, max_size=3), draft=drafts.repricings, at=st.integers(0, 3))
    def request_and_reprice(self, requests: list[Any], draft: Any, at: int) -> None:
        """Requests of one account, with a new tariff in between."""
        for number, request in enumerate(requests):
            if number == at:
                self.do(replace(draft, plan=requests[0].plan))
            self.do(replace(request, subscriber="ann", plan=requests[0].plan, agent="", url=""))

    @rule(draft=drafts.catalogue | drafts.nonsense | st.just(Tick()))
    def anything_else(self, draft: Any) -> None:
        self.do(draft)

    @rule(group=st.lists(drafts.everything, min_size=2, max_size=5))
    def together(self, group: list[Any]) -> None:
        self.do(*group)

    @precondition(lambda self: self.repeatable)
    @rule(back=st.integers(0, 3))
    def again(self, back: int) -> None:
        """A command with a key is said once more, to the letter."""
        mine, twins = self.repeatable[-1 - back % len(self.repeatable)]
        self.execute([mine], [twins])

    @rule(seconds=drafts.spans)
    def wait(self, seconds: int) -> None:
        self.let_time_pass(seconds * SECOND)

    @rule(seconds=st.integers(1, 9))
    def wait_until_the_day_is_nearly_over(self, seconds: int) -> None:
        """So that requests are open when a day ends, or a month."""
        midnight = (self.main.clock // DAY + 1) * DAY
        self.let_time_pass(max(0, midnight - seconds * SECOND - self.main.clock))

    @rule(microseconds=st.integers(1, SECOND))
    def wait_a_little(self, microseconds: int) -> None:
        self.let_time_pass(microseconds)

    @rule(seconds=st.integers(1, 20))
    def set_the_clock_back(self, seconds: int) -> None:
        """After a commit, so that both logs hold time where it was."""
        self.agents += 1
        self.do(RegisterAgent(agent=f"bot {self.agents}", owner="bob"))
        self.main.clock -= seconds * SECOND
        self.twin.clock -= seconds * SECOND

    @rule()
    def save_a_snapshot(self) -> None:
        self.main.ledger.snapshot()

    @precondition(lambda self: self.on_disk)
    @rule(drop=st.booleans())
    def open_again(self, drop: bool) -> None:
        """With or without its snapshots, a ledger opens as it was."""
        before = self.main.photograph()
        self.main.ledger.close()
        if drop:
            drop_snapshots(self.main.path)
        self.main.open()
        assert self.main.photograph() == before

    # -- how it is done --

    def do(self, *group: Any) -> None:
        """Drafts, as one commit, to all three."""
        now = self.main.now
        mine, twins = (
            [books.names.spell_out(draft, now, self.model, learnt_from=self.main.names) for draft in group]
            for books in (self.main, self.twin)
        )
        self.repeatable += [pair for pair in zip(mine, twins, strict=True) if pair[0].key]
        self.execute(mine, twins)

    def execute(self, mine: list[Any], twins: list[Any]) -> None:
        now, before = self.main.now, self.main.photograph()
        heard, twin_heard = self.main.execute(mine), self.twin.execute(twins)
        for command, (kind, what), (twin_kind, twin_what) in zip(mine, heard, twin_heard, strict=True):
            said = self.model.apply(command, now, what if kind == "accepted" else 0, self.main.clock)
            assert (kind, what) == said, f"{command} at {now}: the engine says {kind} {what}, the model {said}"
            assert twin_kind == kind, f"{command} at {now}: the engine says {kind}, its twin {twin_kind}"
            if kind == "accepted":
                if isinstance(command, Reverse | Reinstate):
                    self.disputed.add((command.subscriber, command.plan))
                self.main.names.learn(command, what)
                self.twin.names.learn(command, twin_what)
        if all(kind == "refused" for kind, _ in heard):
            assert self.main.photograph() == before, "a refusal left its mark"
        if len(mine) == 1 and not self.main.answers[0]:
            self.check_refusal(mine[0], self.main.answers[0], now)
        self.check(is_dispute=any(isinstance(command, Reverse | Reinstate) for command in mine))

    def let_time_pass(self, span: int) -> None:
        """The twin is told of every instant in between, the engine of none."""
        for instant in self.model.instants(self.twin.clock, self.twin.clock + span):
            self.twin.clock = instant
            self.twin.execute([Tick()])
        self.main.clock = self.twin.clock = self.main.clock + span
        self.check()

    # -- what must hold --

    def check(self, is_dispute: bool = False) -> None:
        self.steps += 1
        self.check_events()
        for account in self.model.accounts:
            read = self.main.read(account)
            differs = apart(read, self.model.read(account, self.main.now))
            assert not differs, f"{account}, the engine's and the model's: {differs}"
            differs = apart(read, self.twin.names.in_terms_of(self.main.names, self.twin.read(account)))
            assert not differs, f"{account}, the engine's and the twin's: {differs}"
            check_account(read)
            if not is_dispute:
                check_shares(self.last_read.get(account), read)
            self.last_read[account] = read
        assert self.main.refolded() == self.main.ledger.state(), "the log folded from its beginning, and the books"
        if self.steps % 8 == 0:
            self.check_audit()

    def check_refusal(self, command: Any, refused: Any, now: int) -> None:
        """A refusal tells the truth: what it says to buy or to wait lets the same command pass, and one less does not.
        Where the clock is behind the log, it counts from the clock."""
        hints = {name: refused.facts[name] for name in HINTS if name in refused.facts}
        said, behind = self.model.hints(command, refused.reason, now), now - self.main.clock
        if "retry_after_us" in said:
            said["retry_after_us"] += behind
        assert hints == said, f"{command} at {now}: the engine says {refused}, the model {said}"
        if behind and "retry_after_us" in hints:
            assert refused.facts["clock_behind_us"] == behind
        if credits := hints.get("top_up"):
            assert self.passes_with(command, credits), f"{command} at {now}: {refused}, and it does not pass"
            fewer = credits > 1 and self.passes_with(command, credits - 1)
            assert not fewer, f"{command} at {now}: {refused}, and it passes with fewer"
        if wait := hints.get("retry_after_us"):
            assert self.main.copy(wait).execute(command), f"{command} at {now}: {refused}, and it does not pass then"
            assert not self.main.copy(wait - 1).execute(command), f"{command} at {now}: {refused}, and it passes before"

    def passes_with(self, command: Any, credits: int) -> bool:
        """Whether the command passes on a copy on which so many credits were bought, without other terms."""
        copy, escrow = self.main.copy(), EscrowFunding(Escrow("mock:local", "tollbook", "bought"))
        terms = Terms(asset="USD", shares={}, credits=credits)
        bought = Purchase(subscriber=command.subscriber, plan=command.plan, terms=terms, funding=escrow)
        copy.execute(bought).unwrap()
        return bool(copy.execute(command))

    def check_events(self) -> None:
        """What happened since the last step, to a witness, and as double entry: each event's legs sum to zero, unit by
        unit."""
        for entry in check_legs(self.journal, self.main.ledger.events(after=self.posted)):
            self.witness.see(entry.seq, entry.at, entry.event)
            self.posted = entry.seq

    def check_audit(self) -> None:
        report = audit(self.main.path or self.main.store)
        assert report.verdict == "clean", report

    def teardown(self) -> None:
        if hasattr(self, "main"):
            self.check_audit()
            self.main.ledger.close()
            self.twin.ledger.close()
            self.folder.cleanup()


class MachineOnDisk(Machine):
    """The same on an engine with a file, which is closed and opened again in between."""

    on_disk = True


def check_legs(journal: Journal, entries: Iterable[Entry]) -> list[Entry]:
    """The entries, posted as double entry: the legs of each sum to zero, unit by unit."""
    seen = list(entries)
    for entry in seen:
        sums: Counter[str] = Counter()
        for leg in journal.post(entry):
            sums[leg.unit] += leg.amount
        assert not any(sums.values()), f"{entry} does not balance: {sums}"
    return seen


def check_account(read: dict[str, Any]) -> None:
    """What holds for any account, whatever happened to it."""
    balance, lots, requests = read["balance"], read["lots"], read["requests"]
    assert balance["held"] == sum(request["hold"] for request in requests), "holds are those of open requests"
    assert balance["open_requests"] == len(requests)
    assert balance["issued"] == sum(balance[place] for place in ("available", *PLACES[1:]))
    assert balance["available"] == sum(lot["left"] for lot in lots) - balance["debt"]
    assert not balance["debt"] or balance["available"] == -balance["debt"], "nobody has debt and free credits"
    for lot in lots:
        assert min(lot[place] for place in PLACES) >= 0
        assert 0 <= lot["earned"] - sum(lot["shares_earned"].values()) < max(1, len(lot["shares_earned"]))


def check_shares(before: dict[str, Any] | None, read: dict[str, Any]) -> None:
    """No receiver's share of a lot falls while what the lot has earned does not."""
    was = {lot["id"]: lot for lot in before["lots"]} if before else {}
    for lot in read["lots"]:
        old = was.get(lot["id"], lot)
        fell = [name for name, part in lot["shares_earned"].items() if part < old["shares_earned"][name]]
        assert lot["earned"] < old["earned"] or not fell, f"{fell} have less: {old}, and then {lot}"


def apart(left: Any, right: Any, where: str = "") -> list[str]:
    """Where two readings differ."""
    if isinstance(left, dict) and isinstance(right, dict) and left.keys() == right.keys():
        return [line for name in left for line in apart(left[name], right[name], f"{where} {name}")]
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return [line for i, pair in enumerate(zip(left, right, strict=True)) for line in apart(*pair, f"{where} {i}")]
    return [] if left == right else [f"{where}: {left} and {right}"]


def drop_snapshots(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM snapshots")


def at_most(examples: int, steps: int) -> settings:
    return settings(max_examples=examples, stateful_step_count=steps, deadline=None, print_blob=True)


@pytest.mark.smoke
class TestInMemory(Machine.TestCase):
    settings = at_most(25, 40)


@pytest.mark.smoke
class TestOnDisk(MachineOnDisk.TestCase):
    settings = at_most(20, 40)


@pytest.mark.sweep
class TestSweepInMemory(Machine.TestCase):
    settings = at_most(200, 60)


@pytest.mark.sweep
class TestSweepOnDisk(MachineOnDisk.TestCase):
    settings = at_most(200, 60)
