"""The audit of batches: nothing is found in what the engine settled, and every planted fault where it was planted.

Most faults are planted in a log that ends with them: an event is changed, its commit sealed again, and what came after
it left out, so that only what it says is wrong.
"""

from collections.abc import Callable
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest
from every_way import audit
from msgspec.structs import replace
from settled_log import (
    BEGIN,
    CHAIN,
    CONTRACT,
    HERE,
    OTHER,
    SECOND,
    Change,
    Story,
    X,
    event_at,
    forge,
    found,
    plans,
    plant,
    saying,
)

import ledger.reducers.purchases as purchase_reducers
import ledger.settlement.decide as decisions
import ledger.settlement.netting as settling
from ledger import Adjust, ContractRef, CreatePlan, Exit, Ledger, OpenSettlement, Withdraw
from ledger.accounts import Lot
from ledger.events import (
    EVENT_TYPES,
    Escrow,
    EscrowFunding,
    Fact,
    Frozen,
    Leaf,
    Payout,
    Purchased,
    Settlement,
    SettlementOpened,
    Withdrawn,
    tag,
)
from ledger.log import decode_commit
from ledger.plugins import chain_plugin, chains
from ledger.plugins.discovery import Found
from replay.audit.checks.exits import parts


@pytest.fixture
def log(settled_log: SimpleNamespace) -> SimpleNamespace:
    return settled_log


# -- nothing is found where nothing is wrong ---------------------------------------------------------------------------


def test_a_log_of_many_batches_is_clean(log):
    report = audit(log.path)
    assert report.findings == ()
    checked = {check.name: check.checked for check in report.checks}
    assert checked["payouts"] == checked["root"] == 14
    assert checked["batch_order"] > 40
    assert checked["snapshot"] == 1
    assert (report.unverified.batches, report.unverified.chains) == (0, ())


def test_every_event_of_settlements_is_in_that_log(log):
    told = {type(event) for commit in log.commits for event in decode_commit(commit)}
    assert {each for each in EVENT_TYPES if issubclass(each, Settlement)} <= told


def test_it_is_clean_wherever_it_ends(log):
    for commit in log.commits[5:]:
        assert audit(plant(log, commit.last_seq, lambda event: event)).clean, commit.first_seq


def test_what_is_given_back_whole_is_clean(tmp_path):
    """It was settled, and is due from the receivers again, who were then paid nothing in all."""
    story = Story(tmp_path / "log.db")
    plans(story)
    story.deposit("p1", "alice")
    charge = story.use(10, "alice")
    story.confirms(story.opens("paid"))
    story.do(Adjust(charge=charge, credits=-10))
    taken = story.opens("taken back")
    assert audit(story.location).clean
    story.confirms(taken)
    assert audit(story.location).clean
    story.close()


def test_what_cost_nothing_and_leaves_before_it_starts_is_clean(tmp_path):
    """A window that a chain gave away: it has no money that the chain could still hold."""
    story = Story(tmp_path / "log.db")
    story.do(CreatePlan(plan="day", owner="acme", seconds=60, policy="time"))
    for purchase in ("now", "next"):
        story.deposit(purchase, "alice", "day")
    story.do(Withdraw(subscriber="alice", plan="day", lot=story.seqs["next"]))
    story.close()
    report = audit(story.location)
    assert report.clean, report.findings


def test_no_chain_plugin_is_no_finding(log, monkeypatch):
    """Roots and digests are counted as unverified; payouts and order are judged as ever."""
    monkeypatch.setattr(chains, "_found", Found({}, {}, []))
    report = audit(log.path)
    assert report.findings == ()
    assert (report.unverified.batches, report.unverified.chains) == (14, (CHAIN,))
    store = plant(log, log.seqs["second"], paying(lambda due: due[:-1]))
    assert found(audit(store)) == [("payouts", log.seqs["second"])]


# -- planted faults: one event is changed ------------------------------------------------------------------------------


def paying(change: Callable[[tuple[Payout, ...]], Any]) -> Change:
    return lambda event: replace(event, payouts=tuple(change(event.payouts)))


def first_by(amount: int) -> Change:
    return paying(lambda due: (Payout(due[0].receiver, due[0].amount + amount), *due[1:]))


def swapped(due: tuple[Payout, ...]) -> tuple[Payout, ...]:
    one, two, *rest = due
    return Payout(one.receiver, two.amount), Payout(two.receiver, one.amount), *rest


def resealed(leaves: Callable[[tuple[Leaf, ...]], tuple[Leaf, ...]], log: Any, name: str) -> Change:
    """A batch that is sealed over other leaves: what a ledger that had them would have written."""
    with closing(Ledger(plant(log, log.seqs[name], lambda event: event), clock=lambda: log.at)) as ledger:
        reading = ledger.batches(ContractRef(CHAIN, CONTRACT))[-1]
    made = chain_plugin(CHAIN).commitment(replace(reading.batch, leaves=leaves(reading.batch.leaves)))
    return saying(root=made.root, digest=made.digest)


def lowered(leaves: tuple[Leaf, ...]) -> tuple[Leaf, ...]:
    """The first account that was charged, charged one less."""
    place = next(place for place, leaf in enumerate(leaves) if leaf.charged)
    return (*leaves[:place], replace(leaves[place], charged=leaves[place].charged - 1), *leaves[place + 1 :])


PLANTED: list[tuple[str, str, str, Change]] = [
    ("payouts", "a wrong payout", "second", first_by(1)),
    ("payouts", "a payout is missing", "second", paying(lambda due: due[1:])),
    ("payouts", "all payouts are missing", "first", paying(lambda due: ())),
    ("payouts", "swapped receivers", "first", paying(swapped)),
    ("payouts", "another order", "first", paying(reversed)),
    ("payouts", "another receiver", "first", paying(lambda due: (Payout("mallory", due[0].amount), *due[1:]))),
    ("payouts", "one more receiver", "first", paying(lambda due: (*due, Payout("mallory", 1)))),
    ("payouts", "a payout of nothing", "first", paying(lambda due: (*due, Payout("zed", 0)))),
    ("payouts", "a receiver twice", "first", paying(lambda due: (due[0], *due))),
    ("payouts", "a directly funded lot is paid", "second", first_by(120 * 613 // 97)),
    (
        "payouts",
        "a refund that is kept",
        "after a refund",
        paying(lambda due: [each for each in due if each.amount > 0]),
    ),
    ("payouts", "a failed batch's payout is lost", "given again", first_by(-31)),
    ("payouts", "a cancelled batch's payout is paid twice", "taken over", first_by(31)),
    ("payouts", "an adopted batch pays more than its leaves say", "adopted", first_by(5)),
    ("payouts", "an adopted batch pays out of order", "adopted", paying(reversed)),
    ("root", "a wrong root", "second", saying(root=X)),
    ("root", "a wrong digest", "second", saying(digest=X)),
    ("root", "no digest", "second", saying(digest="")),
    ("root", "a wrong root of an adopted batch", "adopted", saying(root=X)),
    ("root", "another number of leaves", "second", saying(accounts=1)),
    ("root", "another number of adopted leaves", "adopted", saying(accounts=1)),
    ("root", "a wrong head", "second", saying(head_seq=1)),
    ("root", "a head of another hash", "second", saying(head_hash="22" * 32)),
    ("batch_order", "a number is skipped", "second", saying(number=3)),
    ("batch_order", "a number is used again", "after a refund", saying(number=1)),
    ("batch_order", "a cancelled batch's number is given again", "taken over", saying(number=5)),
    ("batch_order", "an adopted batch skips a number", "adopted", saying(number=10)),
    (
        "batch_order",
        "it covers itself",
        "first",
        lambda event: replace(event, covers={"main": event.covers["main"] + 1}),
    ),
    ("batch_order", "it covers too little", "first", lambda event: replace(event, covers={"main": 1})),
    ("batch_order", "it covers nothing", "first", saying(covers={})),
    (
        "batch_order",
        "it covers another stream too",
        "first",
        lambda event: replace(event, covers={**event.covers, "b": 1}),
    ),
    ("batch_order", "the first attempt is the second", "first submitted", saying(attempt=2)),
    ("batch_order", "the second attempt is the third", "again", saying(attempt=3)),
    ("batch_order", "an attempt is made again", "again", saying(attempt=1)),
    ("batch_order", "doubt about an attempt never made", "settlement_unknown", saying(attempt=2)),
    ("batch_order", "confirmed out of order", "confirmed 2", saying(number=4)),
    ("batch_order", "another contract's batch", "confirmed 2", saying(contract=OTHER)),
    ("batch_order", "another chain's batch", "confirmed 2", saying(chain="mock:other")),
]

TOO_MUCH = ("a receiver twice", "a directly funded lot is paid", "a cancelled batch's payout is paid twice")
"""What pays more than was earned, out of what subscribers have unspent."""


@pytest.mark.parametrize(
    ("kind", "what", "name", "change"), PLANTED, ids=[f"{kind}: {what}" for kind, what, *_ in PLANTED]
)
def test_a_planted_fault_is_found_where_it_is_and_nowhere_else(kind, what, name, change, log):
    report = audit(plant(log, log.seqs[name], change))
    # All that an adopted batch says is under its digest: there is nothing else to hold it to.
    kinds = {kind, "root"} if name == "adopted" else {kind}
    kinds |= {"solvency"} if what in TOO_MUCH else set()
    assert sorted(found(report)) == [(each, log.seqs[name]) for each in sorted(kinds)], report.findings
    assert report.findings[0].message


def test_a_payout_that_is_sealed_as_it_is_wrong_is_a_wrong_payout(log, monkeypatch):
    """A ledger that pays too much seals what it pays: its root and its digest are those of what it says."""
    honest = decisions.payouts
    monkeypatch.setattr(
        decisions, "payouts", lambda *given: tuple(replace(each, amount=each.amount + 1) for each in honest(*given))
    )
    store = plant(log, log.seqs["first"] - 1, lambda event: event)
    with closing(Ledger(store, clock=lambda: BEGIN + 100 * SECOND)) as ledger:
        seq = ledger.execute(OpenSettlement(**HERE, asset="USD")).unwrap().seq
        assert found(audit(store)) == [("payouts", seq), ("solvency", seq)]


# -- counters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["second", "given again", "taken over", "last"])
def test_a_root_over_counters_that_were_rolled_back_is_found(name, log):
    store = plant(log, log.seqs[name], resealed(lowered, log, name))
    assert found(audit(store)) == [("root", log.seqs[name])]


def test_a_leaf_that_is_left_out_is_found(log):
    store = plant(log, log.seqs["second"], resealed(lambda leaves: leaves[1:], log, "second"))
    assert found(audit(store)) == [("root", log.seqs["second"])]


def test_adopted_counters_that_go_back_are_found(log):
    """They have the root that is stated; so what is wrong is that counters were higher before, and what they sum to."""
    seq = log.seqs["adopted"]
    given = event_at(log, seq)
    floor = {(leaf.subscriber, leaf.plan): leaf for leaf in standing(log, seq)}
    lower = lowered(tuple(floor.get((leaf.subscriber, leaf.plan), leaf) for leaf in given.leaves))
    made = resealed(lambda leaves: lower, log, "adopted")
    report = audit(plant(log, seq, lambda event: replace(made(event), leaves=lower)))
    assert {finding.seq for finding in report.findings} == {seq}
    assert ("root", "leaves") in {(finding.kind, finding.field) for finding in report.findings}
    report = audit(plant(log, seq, lambda event: replace(event, leaves=event.leaves[1:])))
    assert ("root", seq) in found(report)
    report = audit(plant(log, seq, lambda event: replace(event, leaves=event.leaves[::-1])))
    assert ("root", seq) in found(report)


def standing(log: Any, before: int) -> tuple[Leaf, ...]:
    with closing(Ledger(plant(log, before - 1, lambda event: event), clock=lambda: log.at)) as ledger:
        return ledger.settling(ContractRef(CHAIN, CONTRACT)).leaves["USD"]


def test_two_plans_of_one_id_on_chains_are_found(log):
    """Leaves name plans by their id on the chain, so none may be another's id, or name."""
    seq = log.seqs["plan_created"]
    assert found(audit(plant(log, seq, saying(onchain_id="7")))) == [("schema", seq)]
    assert found(audit(plant(log, seq, saying(onchain_id="pro")))) == [("schema", seq)]
    assert audit(plant(log, seq, saying(onchain_id="8"))).clean


# -- purchases, exits, reversals ---------------------------------------------------------------------------------------


def test_a_purchase_that_is_taken_in_twice_is_found(log):
    bought = event_at(log, log.seqs["p2"])
    again = replace(bought, key=None, fingerprint=None, start=log.at + SECOND)
    store, seq = forge(log, again)
    assert found(audit(store)) == [("schema", seq)]
    elsewhere = replace(again, funding=EscrowFunding(Escrow(CHAIN, OTHER, "p2")))
    assert audit(forge(log, elsewhere)[0]).clean


def test_a_fact_that_is_taken_in_twice_is_found(log):
    for name in ("freeze", "exit"):
        fact = event_at(log, log.seqs[name]).fact
        store, seq = forge(log, Frozen(account=1, fact=fact))
        assert found(audit(store)) == [("schema", seq)]
    assert audit(forge(log, Frozen(account=1, fact=replace(fact, contract=OTHER)))[0]).clean


def money_by(change: Callable[[dict[int, int]], dict[int, int]]) -> Change:
    return lambda event: replace(event, money=change(event.money))


def shifted(money: dict[int, int]) -> dict[int, int]:
    """One unit goes with another lot."""
    one, two = sorted(money)
    return {one: money[one] + 1, two: money[two] - 1}


EXITS: list[tuple[str, str, Change]] = [
    ("earned", "it takes too much from a lot", money_by(lambda money: {**money, min(money): money[min(money)] + 1})),
    ("earned", "it takes more from a lot than that cost", money_by(lambda money: {**money, max(money): 1_003})),
    ("earned", "it takes too little", money_by(lambda money: dict.fromkeys(money, 1))),
    ("earned", "it takes from another lot", money_by(shifted)),
    ("earned", "it takes nothing", money_by(lambda money: {})),
    ("earned", "the chain paid more than it says", lambda event: replace(event, paid=event.paid + 7)),
    ("earned", "the chain paid more than it was ever paid", lambda event: replace(event, paid=9_999)),
    ("draws", "it leaves a credit", lambda event: replace(event, draws=((event.draws[0][0], 1),))),
    ("draws", "it draws on nothing", lambda event: replace(event, draws=())),
]


@pytest.mark.parametrize(("kind", "what", "change"), EXITS, ids=[what for _, what, _ in EXITS])
def test_an_exit_that_is_not_what_the_chain_paid_is_found(kind, what, change, log):
    seq = log.seqs["exit"]
    assert len(event_at(log, seq).money) == 2
    report = audit(plant(log, seq, change))
    places = found(report)
    if "than that cost" in what:
        assert ("conservation", seq) in places
        places.remove(("conservation", seq))
    if kind == "draws":  # what it leaves on a lot that is over by then would have to lapse
        places.remove(("time", seq))
    assert places == [(kind, seq)], report.findings


def test_an_exit_does_not_touch_other_lots(log):
    """The gift is in no escrow."""
    seq = log.seqs["exit"]
    gift = next(
        seq
        for commit in log.commits
        for seq, event in enumerate(decode_commit(commit), commit.first_seq)
        if isinstance(event, Purchased) and event.kind == "gift"
    )
    report = audit(plant(log, seq, lambda event: replace(event, draws=(*event.draws, (gift, 5)))))
    assert found(report) == [("draws", seq)]


def test_only_an_exit_says_what_a_chain_paid(log):
    """Without its fact, a withdrawal is held to what is unearned."""
    seq = log.seqs["exit"]
    report = audit(plant(log, seq, lambda event: replace(event, fact=None)))
    assert ("earned", "paid") in {(each.kind, each.field) for each in report.findings}
    assert ("earned", "money") in {(each.kind, each.field) for each in report.findings}


def test_parts_are_those_of_the_ledger():
    assert parts(10, [1, 1, 1]) == [3, 3, 4]
    assert parts(0, [0, 0]) == [0, 0]
    assert parts(7, []) == []


# -- two roads: reducers that are wrong --------------------------------------------------------------------------------


def keeps_what_failed(monkeypatch: Any) -> None:
    honest = settling._failed
    monkeypatch.setattr(settling, "_failed", lambda was, batch, used: replace(honest(was, batch, used), paid=was.paid))


def rolls_back(monkeypatch: Any) -> None:
    honest = settling._failed
    monkeypatch.setattr(
        settling,
        "_failed",
        lambda was, batch, used: replace(honest(was, batch, used), leaves={**was.leaves, batch.asset: ()}),
    )


def settles_nothing(monkeypatch: Any) -> None:
    honest = settling._confirmed
    monkeypatch.setattr(settling, "_confirmed", lambda was, batch: replace(honest(was, batch), settled=was.settled))


def frees_numbers(monkeypatch: Any) -> None:
    honest = settling._failed
    monkeypatch.setattr(settling, "_failed", lambda was, batch, used: honest(was, batch, False))


def forgets_attempts(monkeypatch: Any) -> None:
    honest = settling._progressed
    monkeypatch.setattr(settling, "_progressed", lambda was, event: replace(honest(was, event), attempts=()))


def forgets_unpaid(monkeypatch: Any) -> None:
    monkeypatch.setattr(purchase_reducers, "_keep_unpaid", lambda account, escrow, change: None)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (keeps_what_failed, "paid"),
        (rolls_back, "leaves"),
        (settles_nothing, "settled"),
        (frees_numbers, "number"),
        (forgets_attempts, "open"),
        (forgets_unpaid, "unpaid"),
    ],
)
def test_books_that_come_to_something_else_are_found(wrong, field, log, monkeypatch):
    wrong(monkeypatch)
    fields = set()
    for name in ("cascade", "used", "p7", "last submitted"):
        store = plant(log, log.seqs[name], lambda event: event)
        fields |= {finding.field for finding in audit(store).findings if finding.kind == "books"}
    assert field in fields


@pytest.mark.parametrize("place", ["deferred", "due", "settled"])
def test_movements_that_come_to_something_else_are_found(place, log, monkeypatch):
    """A leg of one unit goes astray in each batch, and the books are none the wiser."""
    import ledger.movements as movements

    def astray(asset: str, payouts: Any, origin: str, goal: str) -> Any:
        for leg in honest(asset, payouts, origin, goal):
            yield leg._replace(amount=leg.amount + 1) if leg.state == place else leg

    honest = movements.payout_legs
    monkeypatch.setattr(movements, "payout_legs", astray)
    assert ("books", place) in {(finding.kind, finding.field) for finding in audit(log.path).findings}


# -- whatever an event says, there is an answer ------------------------------------------------------------------------

SAID: dict[str, tuple[Any, ...]] = {
    "number": (10**30, 77),
    "chain": ("", "nowhere:1"),
    "contract": ("", "\U0001f511"),
    "asset": ("", "GBP"),
    "covers": ({}, {"main": -1}, {"side": 3}),
    "root": ("", X),
    "digest": ("", X),
    "payouts": ((), (Payout("", 10**80),), (Payout("a", -1), Payout("a", 1))),
    "head_seq": (-1, 10**30),
    "head_hash": ("", "zz"),
    "attempt": (-1, 0, 9),
    "leaves": ((), (Leaf("", "", 0, 0),), (Leaf("a", "b", 10**90, 0),)),
}


def test_nothing_that_a_batch_may_say_makes_it_crash_and_all_of_it_is_found(log):
    seen = set()
    for commit in log.commits:
        for seq, event in enumerate(decode_commit(commit), commit.first_seq):
            if not isinstance(event, Settlement) or type(event) in seen:
                continue
            seen.add(type(event))
            for field in set(SAID) & set(event.__struct_fields__):
                for value in SAID[field]:
                    report = audit(plant(log, seq, saying(**{field: value})))
                    assert not report.clean, (tag(event), field, value)
                    assert not {"unreadable", "hash", "conservation"} & {finding.kind for finding in report.findings}


def test_a_window_that_an_exit_ends_is_named(log):
    """It gives nothing where the chain paid nothing, and ends as well."""
    with closing(Ledger(plant(log, log.seqs["p4"] + 1, lambda event: event), clock=lambda: BEGIN)) as ledger:
        fact = Fact(CHAIN, CONTRACT, "left at once")
        event = ledger.execute(Exit(subscriber="dave", plan="time", asset="USD", fact=fact, amount=0)).unwrap().event
    assert event.money == {log.seqs["p4"]: 0}
    short = SimpleNamespace(commits=[each for each in log.commits if each.first_seq <= log.seqs["p4"]], at=BEGIN)
    assert audit(forge(short, event)[0]).clean
    store, seq = forge(short, replace(event, money={}))
    assert found(audit(store)) == [("earned", seq)]


def test_an_exit_of_nothing_is_found(log):
    """No lot, no asset, an account that has nothing there."""
    fact = Fact(CHAIN, CONTRACT, "another")
    store, seq = forge(log, Withdrawn(account=4, paid=1, asset="GBP", fact=fact))
    assert found(audit(store)) == [("earned", seq)]
    assert audit(forge(log, Withdrawn(account=4, asset="GBP", fact=fact))[0]).clean


# -- solvency ----------------------------------------------------------------------------------------------------------


def sold_to_one(prefix_sums: bool, monkeypatch: pytest.MonkeyPatch) -> Story:
    """1,000 credits are sold for 950 to acme, 30 to eve and 20 to fee, and settled after 50 and after 51 of them."""
    story = Story(None)
    price = {"acme": 950, "eve": 30, "fee": 20}
    policy = {"policy": "per_credit", "parameters": {"credits": 1, "per": "call"}}
    story.do(CreatePlan(plan="pro", owner="acme", credits=1_000, price=price, **policy))
    story.deposit("p1", "ann")
    with monkeypatch.context() as patch:
        if prefix_sums:
            patch.setattr(Lot, "shares_earned", parted_by_prefix_sums)
        story.use(50, "ann")
        story.confirms(story.opens("first"))
        story.use(1, "ann")
        story.ledger.execute(OpenSettlement(**HERE, asset="USD"))
    return story


def parted_by_prefix_sums(lot: Lot, at: int) -> dict[str, int]:
    amounts = parts(lot.earned(at), [share.amount for share in lot.shares])
    return {share.receiver: amount for share, amount in zip(lot.shares, amounts, strict=True)}


def test_nobodys_part_falls_as_what_is_earned_grows(monkeypatch):
    """50 earned are 47, 1 and 1, and one that is nobody's yet; 51 are 48, 1 and 1, and one."""
    with closing(sold_to_one(prefix_sums=False, monkeypatch=monkeypatch).ledger) as ledger:
        paid = [each.event.payouts for each in ledger.events() if isinstance(each.event, SettlementOpened)]
        assert paid == [(Payout("acme", 47), Payout("eve", 1), Payout("fee", 1)), (Payout("acme", 1),)]
        assert audit(ledger._writer.store).findings == ()


def test_a_receiver_who_gives_back_what_it_has_earned_is_found(monkeypatch):
    """By prefix sums eve's part falls from 2 to 1: if she has claimed the 2, escrow lacks what ann has unspent."""
    with closing(sold_to_one(prefix_sums=True, monkeypatch=monkeypatch).ledger) as ledger:
        opened = [each for each in ledger.events() if isinstance(each.event, SettlementOpened)]
        assert opened[1].event.payouts == (Payout("acme", 1), Payout("eve", -1), Payout("fee", 1))
        found_there = found(audit(ledger._writer.store))
    assert ("payouts", opened[0].seq) in found_there
    assert ("payouts", opened[1].seq) in found_there
    assert ("solvency", opened[1].seq) in found_there
