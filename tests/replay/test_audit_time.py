"""The audit of time: leaps of the clock, limits, and events that were due."""

import shutil
from types import SimpleNamespace

import pytest
from every_way import audit
from rich_log import BEGIN, DAY, SECOND, books_of, forge, kinds_at, limited, request
from shop import Shop

from ledger import CreatePlan, Give
from ledger.events import Frozen, Purchased, Released, Started
from ledger.stores.memory import MemoryStore

pytestmark = pytest.mark.smoke


def report_of(*times: int):
    """The audit's report on a log whose commits, after the first, are so many seconds after its begin."""
    store = MemoryStore(id="clock")
    with Shop(store, now=BEGIN) as shop:
        shop.do(CreatePlan(plan="p", owner="o", credits=9))
        for seconds in times:
            shop.at(seconds).do(Give(subscriber="s", plan="p", credits=1))
        report = audit(store)
    assert report.verdict == "clean"
    return report


def leaps(*times: int) -> list[tuple[int, int, int]]:
    return [(each.seq, each.ahead_us // SECOND, each.commits) for each in report_of(*times).leaps]


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ((1, 2, 3, 4), []),
        ((1, 86_400, 86_401, 86_402), []),  # a quiet day
        ((1, 61, 61, 61), []),  # no more than a minute
        ((1, 86_401, 2, 3, 4), [(4, 86_400, 3)]),
        ((1, 86_401, 2, 3, 86_402), [(4, 86_400, 2)]),
        ((1, 86_401, 2), []),
        ((90, 2, 3, 200, 95, 96), [(2, 90, 2), (8, 110, 2)]),
    ],
)
def test_a_clock_that_leapt_ahead_and_stood_still_is_told_and_is_no_finding(times, told):
    assert leaps(*times) == told


def test_the_farthest_leaps_are_listed_and_the_others_counted():
    """102 leaps of 90 seconds, and one of 900 at the end."""
    times = [time for n in range(1, 103) for time in (90 * n, 0, 0)]
    report = report_of(*times, 90 * 102 + 900, 0, 0)
    assert (len(report.leaps), max(each.ahead_us for each in report.leaps)) == (100, 900 * SECOND)
    assert report.leaps[-1].ahead_us == 900 * SECOND
    assert "the clock leapt 3 more times, never farther than is listed" in report.notes


def test_each_limit_is_judged_by_itself(log):
    """Two requests in a minute, two open, 10 credits an hour: 1 request is open and holds 4."""
    seq = forge(log, limited(log, 6), limited(log, 1))
    assert [(each.seq, each.kind, each.field) for each in audit(log.path).findings] == [
        (seq + 1, "limit", "rate"),
        (seq + 1, "limit", "credits"),
        (seq + 1, "limit", "open"),
    ]


def test_credits_that_return_to_an_expired_lot_must_lapse_in_the_same_commit(log):
    lot = forge(
        log,
        Purchased(
            account=log.hal, subscriber="hal", plan="plain", kind="gift", credits=3, expiry=log.at + 1, priority=-9
        ),
        Started(account=log.hal, lot=log.seq + 1, instant=log.at),
        request(log, hold=3, estimate={"calls": 3}, draws=((log.seq + 1, 3),)),
    )
    assert audit(log.path).findings == ()
    seq = forge(log, Released(request=lot + 2, reason="voided"), at=log.at + 2)
    assert kinds_at(audit(log.path), seq) == {"time"}


def test_what_was_due_must_be_written_before_anything_else(log):
    seq = forge(log, Frozen(account=log.hal), at=log.at + 3_600 * SECOND)
    assert kinds_at(audit(log.path), seq) == {"time"}


def test_what_was_due_is_written_in_its_order(log):
    later = log.at + 60 * DAY
    hal = books_of(log.path).accounts[log.hal]
    start, opened = hal.lots[log.waits].start, hal.requests[log.open].deadline
    right = (
        Released(request=log.open, reason="expired", instant=opened),
        Started(account=log.hal, lot=log.waits, instant=start),
    )
    copy = log.path.with_name("copy.db")
    shutil.copy(log.path, copy)
    forge(log, *right, at=later)
    assert audit(log.path).findings == ()
    seq = forge(SimpleNamespace(**{**vars(log), "path": copy}), *reversed(right), at=later)
    assert [(each.seq, each.kind) for each in audit(copy).findings] == [(seq + 1, "time")]
