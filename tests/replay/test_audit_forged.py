"""Forged commits of every kind: the audit finds in each what it breaks."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from every_way import audit
from msgspec.structs import replace
from rich_log import DAY, HOLDS, SECOND, books_of, direct, forge, kinds_at, limited, request, sold, window_of

from ledger.events import (
    Adjusted,
    Charged,
    Event,
    Extended,
    Fact,
    Frozen,
    Lapsed,
    PlanCreated,
    PlanRepriced,
    Purchased,
    RefusedRequests,
    Reheld,
    Reinstated,
    Released,
    Reversed,
    Started,
    Tariff,
    Unfrozen,
    Withdrawn,
)

pytestmark = pytest.mark.smoke


def correct(log: Any, credits: int, *lots: tuple[int, int], **fields: Any) -> Adjusted:
    return Adjusted(
        account=log.hal, credits=credits, draws=lots, **{"charge": log.spent, "reason": "correction", **fields}
    )


def less(log: Any, calls: int, paid: int) -> Adjusted:
    """lea paid 5 of 8 calls; it was so many fewer, and of what was paid so much is given back."""
    draws = ((log.five, paid),) if paid else ()
    usage = {"calls": -calls} if calls else {}
    said = {"charge": log.short, "credits": -paid, "draws": draws, "shortfall": paid - calls if calls else 0}
    return Adjusted(account=log.lea, usage=usage, reason="correction", metered="2023-12", **said)


def ends(log: Any, lot: int) -> int:
    """When a lot of jo's ends."""
    expiry = books_of(log.path).accounts[log.jo].lots[lot].expiry
    assert expiry is not None
    return expiry


MORE: list[tuple[str, str, Callable[[Any], list[Event]]]] = [
    (
        "time",
        "an instant ahead of its commit",
        lambda log: [Started(account=log.hal, lot=log.waits, instant=log.at + 50 * DAY)],
    ),
    (
        "time",
        "a lapse before the expiry",
        lambda log: [Lapsed(account=log.hal, lot=log.low, credits=88, instant=log.at)],
    ),
    ("time", "a deadline too far", lambda log: [Extended(request=log.open, deadline=log.at + 2 * DAY)]),
    ("time", "a deadline that moves back", lambda log: [Extended(request=log.open, deadline=log.at)]),
    ("time", "another hold time than the plan's", lambda log: [request(log, deadline=log.at + SECOND)]),
    ("time", "a charge that says it is late", lambda log: [direct(log, late=True)]),
    ("time", "work after its charge", lambda log: [direct(log, occurred_at=log.at + 61 * SECOND)]),
    ("time", "work of another age", lambda log: [direct(log, occurred_at=1_700_000_000)]),
    (
        "time",
        "a new expiry in the past",
        lambda log: [correct(log, -1, (log.low, 1), metered="2023-12", expiry=log.at)],
    ),
    ("schema", "a request that never was", lambda log: [Released(request=log.low, reason="voided")]),
    ("schema", "an unknown lot", lambda log: [Started(account=log.hal, lot=1, instant=log.at)]),
    ("schema", "an unknown agent", lambda log: [request(log, agent=9)]),
    ("schema", "an unknown tariff version", lambda log: [direct(log, tariff=7)]),
    ("schema", "an unknown charge", lambda log: [correct(log, 1, (log.low, 1), charge=log.open)]),
    ("schema", "another account's charge", lambda log: [correct(log, 1, (log.low, 1), charge=log.charge)]),
    (
        "schema",
        "another account's request",
        lambda log: [Charged(account=1, request=log.open, tariff=1, period="2023-12")],
    ),
    ("schema", "a number that is taken", lambda log: [Purchased(account=1, subscriber="x", plan="plain", credits=1)]),
    ("schema", "an unknown plan", lambda log: [Purchased(account=99, subscriber="x", plan="none", credits=1)]),
    (
        "schema",
        "a lot that ends first",
        lambda log: [Purchased(account=log.hal, subscriber="hal", plan="plain", credits=1, expiry=log.at - 1)],
    ),
    (
        "schema",
        "a plan made twice",
        lambda log: [
            PlanCreated(
                plan="plain",
                owner="x",
                asset="USD",
                credits=1,
                **HOLDS,
                tariff=Tariff(version=1, policy="per_credit", policy_version=1),
            )
        ],
    ),
    (
        "schema",
        "an asset with other decimals",
        lambda log: [
            PlanCreated(
                plan="another",
                owner="x",
                asset="USD",
                asset_decimals=3,
                credits=1,
                **HOLDS,
                tariff=Tariff(version=1, policy="per_credit", policy_version=1),
            )
        ],
    ),
    (
        "schema",
        "a tariff version left out",
        lambda log: [PlanRepriced(plan="plain", tariff=Tariff(version=3, policy="per_credit", policy_version=1))],
    ),
    ("schema", "a reason off the list", lambda log: [RefusedRequests(reason="mood", plan="plain", count=1)]),
    (
        "schema",
        "a lot reversed twice",
        lambda log: [
            Reversed(account=log.hal, lot=log.low, credits=100, money=100),
            Reversed(account=log.hal, lot=log.low),
        ],
    ),
    ("schema", "a fingerprint of no digits", lambda log: [direct(log, key="k", fingerprint="xyz")]),
    (
        "conservation",
        "more money back than was paid",
        lambda log: [Withdrawn(account=log.hal, draws=((log.low, 1),), money={log.low: 101})],
    ),
    (
        "books",
        "debt paid that was not there",
        lambda log: [Started(account=log.hal, lot=log.waits, draws=((0, 7),), instant=log.at)],
    ),
    (
        "overspend",
        "debt without a rule for it",
        lambda log: [direct(log, credits=130, usage={"calls": 130}, draws=((log.low, 88), (log.high, 40), (0, 2)))],
    ),
    (
        "draws",
        "a direct charge that is capped while credits are there",
        lambda log: [direct(log, draws=(), credits=0, shortfall=3)],
    ),
    (
        "overspend",
        "more withdrawn than is left",
        lambda log: [Withdrawn(account=log.hal, draws=((log.low, 99),), money={log.low: 100})],
    ),
    ("hold", "less held than the estimate costs", lambda log: [request(log, hold=1, draws=((log.low, 1),))]),
    ("frozen", "a request on a frozen account", lambda log: [Frozen(account=log.hal), request(log)]),
    ("frozen", "a direct charge of a frozen account", lambda log: [Frozen(account=log.hal), direct(log)]),
    ("frozen", "an account unfrozen that was not", lambda log: [Unfrozen(account=log.hal)]),
    (
        "frozen",
        "a freeze undone that a chain asked for",
        lambda log: [Frozen(account=log.hal, fact=Fact("c:1", "c", "1")), Unfrozen(account=log.hal)],
    ),
    (
        "window",
        "a window behind one that was reversed",
        lambda log: [
            Reversed(account=log.jo, lot=log.month, money=100),
            *window_of(log, ends(log, log.month)),
        ],
    ),
    (
        "window",
        "a window that is shorter than what was sold",
        lambda log: [replace(window_of(log, ends(log, log.month))[0], expiry=ends(log, log.month) + SECOND)],
    ),
    ("limit", "a third request at once", lambda log: [limited(log, 1), limited(log, 1)]),
    (
        "unpriced",
        "a request for what has no price",
        lambda log: [request(log, estimate={"calls": 4, "cals": 1})],
    ),
    ("unpriced", "units counted that have a price", lambda log: [direct(log, unpriced={"calls": 3})]),
    (
        "unpriced",
        "a correction whose units nobody counts",
        lambda log: [correct(log, 2, (log.low, 2), usage={"calls": 2, "cals": 9}, metered="2023-12")],
    ),
    (
        "coverage",
        "a hold that grows beyond what is needed",
        lambda log: [Reheld(account=log.ida, request=log.metered, draws=((log.package, 5),))],
    ),
    ("coverage", "a hold that is given up", lambda log: [Reheld(account=log.hal, request=log.open)]),
    (
        "draws",
        "a released hold that pays a debt that is not there",
        lambda log: [Released(request=log.open, reason="voided", repaid=((log.low, 1),))],
    ),
    (
        "draws",
        "a part of a payment that takes all credits",
        lambda log: [Reversed(account=log.hal, lot=log.low, credits=100, money=50)],
    ),
    ("earned", "nothing reversed of a payment", lambda log: [Reversed(account=log.hal, lot=log.low)]),
    ("earned", "more reversed than was paid", lambda log: [Reversed(account=log.hal, lot=log.low, money=101)]),
    (
        "draws",
        "more reinstated than was reversed",
        lambda log: [
            Reversed(account=log.hal, lot=log.low, credits=50, money=50),
            Reinstated(account=log.hal, lot=log.low, credits=51, money=50),
        ],
    ),
    ("schema", "a lot reinstated that stands", lambda log: [Reinstated(account=log.hal, lot=log.low)]),
    (
        "schema",
        "a payment that was void, granted again",
        lambda log: [
            *sold(log, payment="x"),
            Reversed(account=log.hal, lot=log.seq + 1, payment="x", credits=100, money=100),
            *sold(log, payment="x"),
        ],
    ),
    (
        "schema",
        "a lot that starts though its payment was void",
        lambda log: [
            *sold(log),
            Reversed(account=log.hal, lot=log.seq + 1, credits=100, money=100),
            Started(account=log.hal, lot=log.seq + 1, instant=log.at + DAY),
        ],
    ),
    ("hold", "a charge of a closed request", lambda log: [direct(log, request=log.ended)]),
    (
        "price",
        "lines that come to something else",
        lambda log: [msgspec.convert(msgspec.to_builtins(direct(log)) | {"lines": [{"credits": "2"}]}, Charged)],
    ),
    (
        "price",
        "another tariff than the request's",
        lambda log: [
            PlanRepriced(
                plan="plain", tariff=Tariff(version=2, policy="per_credit", policy_version=1, parameters={"credits": 3})
            ),
            Charged(
                account=log.hal,
                request=log.open,
                credits=3,
                draws=((log.low, 2), (log.low, 1)),
                usage={"calls": 1},
                tariff=2,
                period="2023-12",
            ),
        ],
    ),
    (
        "price",
        "a correction of usage that is not priced",
        lambda log: [correct(log, 3, (log.low, 3), usage={"calls": 2}, metered="2023-12")],
    ),
    ("meter", "another period", lambda log: [direct(log, period="2023-11")]),
    ("meter", "another period's meter is corrected", lambda log: [correct(log, -1, (log.low, 1), metered="2023-11")]),
    ("meter", "an empty meter that claims more", lambda log: [direct(log, continues=True)]),
    (
        "draws",
        "a hold that is passed over",
        lambda log: [
            Charged(
                account=log.hal,
                request=log.open,
                credits=2,
                draws=((log.high, 2),),
                usage={"calls": 2},
                tariff=1,
                period="2023-12",
            ),
        ],
    ),
    (
        "draws",
        "a shortfall while credits are left",
        lambda log: [
            Charged(
                account=log.hal,
                request=log.open,
                credits=3,
                shortfall=1,
                draws=((log.low, 3),),
                usage={"calls": 4},
                tariff=1,
                period="2023-12",
            ),
        ],
    ),
    ("draws", "a request that skips a lot", lambda log: [request(log, draws=((log.high, 4),))]),
    (
        "adjustment",
        "back to a lot that was not drawn on",
        lambda log: [correct(log, -2, (log.high, 2), metered="2023-12")],
    ),
    (
        "adjustment",
        "what was never paid is given back",
        lambda log: [less(log, 2, paid=2)],
    ),
    (
        "adjustment",
        "more was never paid than is said",
        lambda log: [less(log, 4, paid=0)],
    ),
    (
        "adjustment",
        "credits that are given back lower what was never paid",
        lambda log: [replace(less(log, 0, paid=2), shortfall=-1)],
    ),
    (
        "earned",
        "unused credits leave without their money",
        lambda log: [Withdrawn(account=log.hal, draws=((log.low, 10),))],
    ),
]


@pytest.mark.parametrize(("kind", "what", "events"), MORE, ids=[f"{kind}: {what}" for kind, what, _ in MORE])
def test_it_is_also_found(kind, what, events, log):
    forged = events(log)
    seq = forge(log, *forged)
    report = audit(log.path)
    assert kind in kinds_at(report, seq + len(forged) - 1), report.findings


@pytest.mark.parametrize(("calls", "paid"), [(2, 0), (3, 0), (4, 1), (8, 5)])
def test_what_was_never_paid_is_owed_no_more_before_anything_goes_back(calls, paid, log):
    forge(log, less(log, calls, paid))
    assert audit(log.path).findings == ()
