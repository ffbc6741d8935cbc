"""A log of batches of every kind, and what is planted in it: a changed event, or a commit that nobody decided."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from shop import Shop

from ledger import (
    Adjust,
    AdoptSettlement,
    Charge,
    CommitSettlement,
    ConfirmSettlement,
    ContractRef,
    CreatePlan,
    Exit,
    FailSettlement,
    Freeze,
    Give,
    Ledger,
    MarkSettlementUnknown,
    OpenSettlement,
    Purchase,
    Request,
    Reverse,
    SubmitSettlement,
    Withdraw,
)
from ledger.events import Escrow, EscrowFunding, Event, Fact, SettlementOpened, tag
from ledger.log import decode_commit, encode_commit
from ledger.plugins import stores
from replay import Report

SECOND = 1_000_000
BEGIN = 1_701_388_680 * SECOND
CHAIN, CONTRACT, OTHER = "mock:local", "tollbook", "second"
HERE = {"chain": CHAIN, "contract": CONTRACT}
ID = "settles"


class Story(Shop):
    """A ledger with a clock, and the sequences of what was done on it, by name."""

    dimension = "calls"

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, id=ID, now=BEGIN)
        self.seqs: dict[str, int] = {}

    def do(self, command: Any, name: str = "") -> int:
        seq = super().do(command)
        self.seqs[name or tag(self.event(seq))] = seq
        return seq

    def deposit(self, purchase: str, subscriber: str, plan: str = "pro", contract: str = CONTRACT, **said: Any) -> int:
        funding = EscrowFunding(Escrow(CHAIN, contract, purchase))
        return self.do(Purchase(subscriber=subscriber, plan=plan, funding=funding, **said), purchase)

    def opens(self, name: str, asset: str = "USD", **where: str) -> int:
        """The number of a new batch, which is submitted."""
        place = {**HERE, **where}
        event = self.ledger.execute(OpenSettlement(**place, asset=asset)).event
        assert isinstance(event, SettlementOpened), name
        self.seqs[name] = self.ledger.head.seq
        self.do(
            SubmitSettlement(**place, number=event.number, attempt=1, raw="r", transaction="t"), f"{name} submitted"
        )
        return event.number

    def confirms(self, number: int, **where: str) -> None:
        place = {**HERE, **where, "number": number}
        self.do(CommitSettlement(**place, transaction="t", block=1))
        self.do(ConfirmSettlement(**place, transaction="t", block=1), f"confirmed {number}")


def tell(path: Any) -> Story:
    """Two contracts, three assets, many receivers; refunds, failures, lines, exits, a reversal, an adoption."""
    story = Story(path)
    plans(story)
    first_batches(story)
    failures(story)
    leaving(story)
    restored(story)
    ending(story)
    return story


def plans(story: Story) -> None:
    terms = {"owner": "acme", "policy": "per_credit", "parameters": {"credits": 1, "per": "call"}}
    story.do(CreatePlan(plan="pro", credits=97, price={"acme": 613, "fee": 389}, onchain_id="7", **terms))
    story.do(CreatePlan(plan="odd", credits=7, price={"zoe": 3, "acme": 7}, asset="EUR", **terms))
    story.do(CreatePlan(plan="time", owner="ed", seconds=600, policy="time", price={"ed": 1_000, "fee": 1}))
    story.do(CreatePlan(plan="back", credits=10, price={"acme": 100}, on_lapse="refund", **terms))


def first_batches(story: Story) -> None:
    """Three in line, of two assets; a refund after a batch; a direct and an escrow-funded lot on one account."""
    story.deposit("p1", "alice")
    story.do(Purchase(subscriber="alice", plan="pro", funding="direct"), "direct")
    story.deposit("p2", "bob")
    story.deposit("p3", "carol", "odd")
    story.deposit("p4", "dave", "time")
    story.deposit("p5", "alice", contract=OTHER)
    story.deposit("p6", "erin")
    story.deposit("p11", "kim")
    charge = story.use(30, "alice")
    story.use(3, "carol", "odd")
    story.now += 100 * SECOND
    story.opens("first")
    story.use(120, "alice")  # into the lot that was paid directly
    story.use(50, "bob")
    story.opens("second")
    story.opens("euros", "EUR")
    story.confirms(1)
    story.do(Adjust(charge=charge, credits=-17))
    story.opens("after a refund")
    story.do(MarkSettlementUnknown(**HERE, number=4, reason="no answer"))
    story.do(SubmitSettlement(**HERE, number=4, attempt=2, raw="r2", transaction="t2"), "again")
    for number in (2, 3, 4):
        story.confirms(number)
    story.use(80, "alice")  # into the lot that another contract holds
    story.opens("elsewhere", contract=OTHER)
    story.confirms(1, contract=OTHER)


def failures(story: Story) -> None:
    """A batch that never got there, with the one in line behind it; then one that was called off."""
    story.use(5, "bob")
    story.opens("lost")
    story.use(2, "carol", "odd")
    story.opens("lost with it", "EUR")
    story.do(FailSettlement(**HERE, number=5, reason="refused"), "cascade")
    story.opens("given again")
    story.do(FailSettlement(**HERE, number=5, reason="called off", used=True), "used")
    story.opens("taken over")
    story.opens("euros again", "EUR")
    for number in (6, 7):
        story.confirms(number)


def leaving(story: Story) -> None:
    """Some withdraw, one leaves and is paid by the chain, one purchase turns out to be void."""
    story.do(Withdraw(subscriber="bob", plan="pro", credits=10))
    later = story.now + 900 * SECOND
    story.deposit("p7", "bob", start=later)
    story.do(Give(subscriber="bob", plan="pro", credits=5))
    story.do(Freeze(subscriber="bob", plan="pro", fact=Fact(CHAIN, CONTRACT, "exit asked")), "freeze")
    leaves = {"subscriber": "bob", "plan": "pro", "asset": "USD"}
    story.do(Exit(**leaves, fact=Fact(CHAIN, CONTRACT, "exit paid"), amount=1_400), "exit")
    story.deposit("p8", "fay", "back")
    story.use(4, "fay", "back")
    story.opens("with fay")
    story.do(Reverse(subscriber="fay", plan="back", lot=story.seqs["p8"]))
    story.do(Withdraw(subscriber="erin", plan="pro", credits=97))
    story.do(Reverse(subscriber="erin", plan="pro", lot=story.seqs["p6"]))
    story.deposit("p9", "gil")
    story.do(Exit(subscriber="gil", plan="pro", asset="USD", fact=Fact(CHAIN, CONTRACT, "less"), amount=1_000))
    story.do(Freeze(subscriber="gil", plan="pro"))


def restored(story: Story) -> None:
    """Batch 8 ends; batch 9 was opened by a log that is lost, and is read from its leaf file."""
    story.confirms(8)
    story.use(9, "kim")
    copy = stores.get("memory")(None, id=ID)
    for commit in story.ledger.commits():
        copy.append(copy.head(), commit)
    with closing(Ledger(copy, clock=lambda: story.now)) as lost:
        lost.execute(Charge(subscriber="carol", plan="odd", usage={"calls": 1}))
        opened = lost.execute(OpenSettlement(**HERE, asset="USD")).event
        batch = lost.batches(ContractRef(CHAIN, CONTRACT))[-1].batch
    story.do(AdoptSettlement(**HERE, batch=batch, root=opened.root, digest=opened.digest), "adopted")


def ending(story: Story) -> None:
    """What is due stands before the last batch; two are in line."""
    story.deposit("p12", "kim")
    story.use(90, "kim")  # all of the first lot, some of the second
    story.confirms(9)
    story.opens("tenth")
    story.deposit("p10", "hal", "back")
    story.do(Request(subscriber="hal", plan="back", estimate={"calls": 2}))
    story.use(3, "hal", "back")
    story.now += 3_600 * SECOND
    story.opens("last")
    story.ledger.snapshot()


Change = Callable[[Any], Any]


def plant(log: Any, seq: int, change: Change) -> Any:
    """The log up to the commit that holds the event, which is changed: into another, into several, or into none."""
    store = stores.get("memory")(None, id=ID)
    for commit in log.commits:
        if commit.last_seq < seq:
            store.append(store.head(), commit)
            continue
        events = decode_commit(commit)
        place = seq - commit.first_seq
        changed = change(events[place])
        events[place : place + 1] = changed if isinstance(changed, list) else [changed]
        store.append(store.head(), encode_commit(store.head(), commit.at, events))
        return store
    raise AssertionError(f"there is no event {seq}")


def forge(log: Any, *events: Event) -> tuple[Any, int]:
    """The whole log and one commit more, that nobody decided; and the sequence of its first event."""
    store = stores.get("memory")(None, id=ID)
    for commit in log.commits:
        store.append(store.head(), commit)
    commit = encode_commit(store.head(), log.at, list(events))
    store.append(store.head(), commit)
    return store, commit.first_seq


def found(report: Report) -> list[tuple[str, int | None]]:
    return [(finding.kind, finding.seq) for finding in report.findings]


def event_at(log: Any, seq: int) -> Any:
    return next(
        decode_commit(commit)[seq - commit.first_seq]
        for commit in log.commits
        if commit.first_seq <= seq <= commit.last_seq
    )


def saying(**fields: Any) -> Change:
    return lambda event: replace(event, **fields)


X = "0x" + "11" * 32
