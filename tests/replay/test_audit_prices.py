"""The audit of prices and holds: periods that become cheaper, holds that requests share, unknown policies."""

import hashlib
import sqlite3
from contextlib import closing
from typing import Any

import msgspec
import pytest
from every_way import audit
from msgspec.structs import replace
from rich_log import BEGIN, DAY, HOLDS, books_of, forge
from shop import Shop
from unguarded import open_wide

from ledger import Adjust, Charge, CreatePlan, Ledger, Purchase, Request
from ledger.events import Adjusted, Charged, Event, PlanCreated, Purchased, Reheld, Share, Started, Tariff
from ledger.log import FORMAT, commit_hash, decode_commit, encode_commit
from ledger.stores.memory import MemoryStore

pytestmark = pytest.mark.smoke


# -- more faults, by what they break -----------------------------------------------------------------------------------


def test_a_tier_that_gives_back_what_was_never_paid_is_found():
    """7 tokens cost 21, of which 14 are paid; the eighth makes the period 13 cheaper: 7 of that nobody paid."""
    tiers = [{"up_to": 7, "unit": 3}, {"up_to": None, "unit": 1}]
    plan = {"policy": "volume", "parameters": {"dimension": "tokens", "tiers": tiers}}
    at = {"subscriber": "ann", "plan": "p"}
    store = MemoryStore(id="tiers")
    with Shop(store, now=BEGIN) as shop:
        do = shop.do
        do(CreatePlan(plan="p", owner="o", credits=14, **plan))
        lot = do(Purchase(**at))
        do(Charge(request=do(Request(**at, estimate={"tokens": 1})), usage={"tokens": 7}))
        seq = do(Charge(**at, usage={"tokens": 1})) + 1
        fall = shop.event(seq)
        assert isinstance(fall, Adjusted)
        assert (fall.credits, fall.shortfall) == (-6, -7)
        assert audit(store).findings == ()
        wrong = replace(fall, credits=-13, shortfall=0, draws=((lot, 13),))
        found = audit(changed(store, fall, wrong)).findings
        assert [(each.kind, each.seq, each.field) for each in found][:2] == [
            ("price", seq, "credits"),
            ("adjustment", seq, "shortfall"),
        ]


def test_a_correction_priced_on_another_periods_meter_is_found():
    """50 tokens cost 150. Two months later, when 500 are metered, they are given back at the 50 of that meter."""
    tiers = [{"up_to": 100, "unit": 3}, {"up_to": None, "unit": 1}]
    plan = {"policy": "graduated", "parameters": {"dimension": "tokens", "tiers": tiers}}
    at = {"subscriber": "ann", "plan": "p"}
    store = MemoryStore(id="meters")
    with Shop(store, now=BEGIN) as shop:
        do = shop.do
        do(CreatePlan(plan="p", owner="o", credits=1_000, **plan))
        do(Purchase(**at))
        charge = do(Charge(**at, usage={"tokens": 50}))
        shop.now += 60 * DAY
        today = shop.event(do(Charge(**at, usage={"tokens": 500}))).period
        seq = do(Adjust(charge=charge, credits=-50))
        assert audit(store).findings == ()
        right = shop.event(seq)
        wrong = replace(right, usage={"tokens": -50}, before={"tokens": 500}, tariff=1, metered=today)
        found = audit(changed(store, right, wrong)).findings
        assert [(each.kind, each.seq, each.field) for each in found][:2] == [
            ("meter", seq, "metered"),
            ("meter", seq, "usage"),
        ]


def test_a_charge_of_old_work_that_does_not_say_it_is_late_is_found():
    """60 days later it is metered in the current month, since that of the work is no longer kept."""
    at = {"subscriber": "ann", "plan": "p"}
    store = MemoryStore(id="late")
    with Shop(store, now=BEGIN) as shop:
        shop.do(CreatePlan(plan="p", owner="o", credits=1_000))
        shop.do(Purchase(**at))
        shop.now += 60 * DAY
        charged = shop.event(seq := shop.do(Charge(**at, usage={"tokens": 5}, occurred_at=BEGIN)))
        assert isinstance(charged, Charged)
        assert charged.late
        assert audit(store).findings == ()
        found = audit(changed(store, charged, replace(charged, late=False))).findings
        assert [(each.kind, each.seq, each.field) for each in found] == [("time", seq, "late")]


def changed(store: MemoryStore, event: Event, instead: Event) -> MemoryStore:
    """The log with one event instead of another, and every hash as it must be."""
    other = MemoryStore(id=store.id)
    for commit in store.read():
        events = [instead if each == event else each for each in decode_commit(commit)]
        other.append(other.head(), encode_commit(other.head(), commit.at, events))
    return other


def test_the_last_charge_of_an_old_period_may_make_it_cheaper():
    """The meter of the day on which a request was admitted is kept until that ends; then it falls, and is gone."""
    tiers = [{"up_to": 7, "unit": 3}, {"up_to": None, "unit": 1}]
    plan = {"policy": "volume", "parameters": {"dimension": "tokens", "tiers": tiers}, "period": "day"}
    at = {"subscriber": "ann", "plan": "p"}
    store = MemoryStore(id="old")
    with Shop(store, now=BEGIN) as shop:
        do = shop.do
        last = {"hold_seconds": 9 * 86_400, "longest_seconds": 9 * 86_400}
        do(CreatePlan(plan="p", owner="o", credits=100, **plan, **last))
        do(Purchase(**at))
        do(Charge(**at, usage={"tokens": 7}))
        request = do(Request(**at, estimate={"tokens": 1}))
        shop.now += 5 * DAY
        do(Charge(request=request, usage={"tokens": 1}))
        tier = shop.events()[-1]
        assert (tier.period, tier.credits) == ("2023-11-30", -13)
        assert audit(store).findings == ()


# -- holds that count together -----------------------------------------------------------------------------------------


class Package:
    """6 credits, and packages of 4 tokens for 3: three requests of 2 tokens hold 3, 0 and 3; the second one is charged
    first, and has the 3 of the last one. `gives`, `takes` and `charged` say how; what stands before them is kept."""

    def __init__(self) -> None:
        store = MemoryStore(id="lent")
        at = {"subscriber": "ann", "plan": "p"}
        plan = {"policy": "package", "parameters": {"dimension": "tokens", "size": 4, "credits": 3}}
        with Shop(store, now=BEGIN) as shop:
            do = shop.do
            do(CreatePlan(plan="p", owner="o", credits=6, **plan))
            do(Purchase(**at))
            self.requests = [do(Request(**at, estimate={"tokens": 2})) for _ in range(3)]
            do(Charge(request=self.requests[1], usage={"tokens": 2}))
            assert audit(store).findings == ()
            *self._before, last = store.read()
            self.gives, self.takes, self.charged = (replace(each) for each in decode_commit(last))

    def otherwise(self, *events: Event) -> list[tuple[str, str]]:
        """What is found where the last commit is another one."""
        store = MemoryStore(id="lent")
        for commit in self._before:
            store.append(store.head(), commit)
        store.append(store.head(), encode_commit(store.head(), BEGIN, list(events)))
        return [(each.kind, each.field) for each in audit(store).findings]


def test_a_charge_is_not_short_while_others_hold_more_than_they_may_cost():
    log = Package()
    assert log.otherwise(replace(log.charged, credits=0, draws=(), shortfall=3)) == [("coverage", "draws")]


def test_others_give_up_only_what_they_do_not_need():
    """The price is 3, and all 6 that are held are lent to it: then the others hold nothing, and may cost 3."""
    log = Package()
    (lot, _), *_ = log.takes.draws
    gives = Reheld(account=1, request=log.requests[0])
    found = log.otherwise(log.gives, gives, replace(log.takes, draws=((lot, 6),)), log.charged)
    assert set(found) == {("coverage", "draws"), ("coverage", "holds")}


def test_the_youngest_request_gives_first():
    log = Package()
    gives = replace(log.gives, request=log.requests[0])
    assert log.otherwise(gives, log.takes, log.charged) == [("coverage", "request")]


def test_what_a_request_gave_up_is_held_by_another():
    log = Package()
    assert ("coverage", "draws") in log.otherwise(log.gives, log.charged)


# -- leaps of the clock ------------------------------------------------------------------------------------------------


def test_a_charge_that_makes_its_period_cheaper_gives_the_difference_back(log):
    """The commit in which a volume tier is reached loses its second event."""
    with closing(open_wide(log.path)) as connection:
        rows = connection.execute("SELECT first_seq, body FROM commits WHERE body LIKE '%\"tier\"%'").fetchall()
        seq, body = rows[-1]
        events = msgspec.json.decode(body)
        adjusted = next(event for event in events if event["type"] == "adjusted")
        adjusted |= {"credits": -1, "draws": [[adjusted["draws"][0][0], 1]]}
        rehash(connection, {seq: msgspec.json.encode(events)})
    found = {(each.kind, each.seq) for each in audit(log.path).findings}
    assert ("price", seq + events.index(adjusted)) in found
    assert "hash" not in {kind for kind, _ in found}


def rehash(connection: sqlite3.Connection, bodies: dict[int, bytes]) -> None:
    """Change bodies, and compute the chain of hashes again from the beginning."""
    previous = hashlib.sha256(b"rich" + FORMAT.to_bytes(4, "big")).digest()
    for seq, count, at, body in connection.execute(
        "SELECT first_seq, count, at, CAST(body AS BLOB) FROM commits ORDER BY first_seq"
    ).fetchall():
        changed = bodies.get(seq, body)
        previous = commit_hash(previous, seq, count, at, 1, changed)
        connection.execute(
            "UPDATE commits SET body = ?, hash = ? WHERE first_seq = ?", (changed.decode(), previous, seq)
        )


# -- what cannot be repriced -------------------------------------------------------------------------------------------


def foreign(log: Any, tariff: Tariff) -> int:
    number = 1 + max(account for account in books_of(log.path).accounts)
    plan = PlanCreated(
        plan="foreign",
        owner="o",
        asset="USD",
        asset_decimals=2,
        price=(Share("o", 5),),
        credits=50,
        **HOLDS,
        tariff=tariff,
    )
    bought = Purchased(account=number, subscriber="ivy", plan="foreign", credits=50)
    lot = log.seq + 2
    charge = Charged(account=number, credits=9, draws=((lot, 9),), usage={"x": 4}, tariff=1, period="2023-12")
    return forge(log, plan, bought, Started(account=number, lot=lot, instant=log.at), charge)


@pytest.mark.parametrize(
    "tariff",
    [
        Tariff(version=1, policy="gone", policy_version=1),
        Tariff(version=1, policy="per_credit", policy_version=99),
        Tariff(version=1, policy="complexity", policy_version=1, parameters={"weights": 7}),
    ],
)
def test_what_no_installed_policy_can_reprice_is_counted_and_is_no_finding(log, tariff):
    foreign(log, tariff)
    report = audit(log.path)
    assert report.findings == ()
    assert (report.unverified.charges, report.unverified.policies) == (1, (tariff.policy,))


def test_lines_that_a_plan_records_are_missed_where_they_are_not_there():
    whole, bare = MemoryStore(id="told"), MemoryStore(id="told")
    with Ledger(whole, lambda: BEGIN) as ledger:
        ledger.execute_many([CreatePlan(plan="told", owner="acme", credits=9, record_lines=True)])
        ledger.execute_many([Purchase(subscriber="ann", plan="told"), Charge(subscriber="ann", plan="told")])
        assert audit(whole).clean
        for commit in whole.read():
            events = [replace(each, lines=()) if isinstance(each, Charged) else each for each in decode_commit(commit)]
            bare.append(bare.head(), encode_commit(bare.head(), commit.at, events))
        found = audit(bare).findings
    assert [(each.kind, each.seq, each.field) for each in found] == [("price", 4, "lines")]
