"""The audit of postpaid accounts: an honest log is clean, and each forged invoice, payment or write-off is found."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from every_way import audit
from rich_log import DAY, SECOND, forge, kinds_at
from shop import OPENING, ChainShop, Shop

from chains.mock import MockChain
from ledger import (
    Adjust,
    Charge,
    CreatePlan,
    Give,
    Ledger,
    PayInvoice,
    Reinstate,
    Request,
    Reverse,
    Subscribe,
    Tick,
    WriteOff,
)
from ledger.events import (
    Adjusted,
    Charged,
    Event,
    Invoiced,
    InvoicePaid,
    Overdue,
    Requested,
    Reversed,
    Share,
    Subscribed,
    Withdrawn,
    WrittenOff,
)
from replay.reports.exports import export

pytestmark = pytest.mark.smoke

WHO: dict[str, Any] = {"subscriber": "ann", "plan": "payg"}
TERMS: dict[str, Any] = {
    "owner": "acme",
    "price": {"acme": 90, "fee": 10},
    "credits": 30,
    "credit_limit": 500,
    "billing": "postpaid",
    "policy": "complexity",
    "parameters": {"weights": {"units": 1}},
}
NOVEMBER, DECEMBER, JANUARY = (OPENING + days * DAY for days in (16, 47, 78))


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two months of ann's: November is partly paid, reversed, reinstated, written off and corrected; December is open.
    ben used something in December, and has not paid; tom's plan serves none that are overdue."""
    path = tmp_path_factory.mktemp("payg") / "log.db"
    with Shop(path, id="payg") as shop:
        shop.do(CreatePlan(plan="payg", due_days=40, **TERMS))
        shop.do(CreatePlan(plan="strict", overdue="stop", due_days=1, **TERMS))
        for name in ("ann", "ben"):
            shop.do(Subscribe(subscriber=name, plan="payg"))
        shop.do(Subscribe(subscriber="tom", plan="strict"))
        shop.do(Give(**WHO, credits=5))
        charge = shop.use(40, "ann", "payg")
        shop.use(7, "tom", "strict")
        shop.do(Request(**WHO, estimate={"units": 20}))
        shop.now = NOVEMBER + DAY
        shop.do(PayInvoice(**WHO, invoice=1, payment="p1", amount=50))
        shop.do(PayInvoice(**WHO, invoice=1, payment="p2", amount=20, funding="none"))
        shop.do(Reverse(**WHO, payment="p1"))
        shop.do(Reinstate(**WHO, payment="p1"))
        shop.do(Reverse(**WHO, payment="p1", amount=7))
        shop.do(WriteOff(**WHO, invoice=1, amount=20, reason="goodwill"))
        shop.do(Adjust(charge=charge, credits=-3))
        shop.ledger.snapshot()
        shop.use(10, "ben", "payg")
        shop.now = DECEMBER + DAY
        shop.do(Tick())
        shop.use(2, "ann", "payg")
        shop.do(Charge(**WHO, usage={"units": 1}, occurred_at=DECEMBER - SECOND))
    return path


@pytest.fixture
def log(honest: Path, tmp_path: Path) -> SimpleNamespace:
    path = tmp_path / "log.db"
    path.write_bytes(honest.read_bytes())
    return SimpleNamespace(path=path, at=DECEMBER + DAY)


def test_an_honest_log_is_clean(log: SimpleNamespace) -> None:
    report = audit(log.path)
    assert report.findings == ()
    assert {check.name: check.checked for check in report.checks}["invoice"] > 10


def paid(**said: Any) -> InvoicePaid:
    """ann pays 10 of what she owes on November, rightly but for what is said."""
    right = {"account": 1, "invoice": 1, "asset": "USD", "money": 10, "shares": (Share("acme", 9), Share("fee", 1))}
    return InvoicePaid(**(right | {"funding": "direct", "payment": "p9", "room": 3} | said))


def invoiced(**said: Any) -> Invoiced:
    """ann's January, rightly but for what is said."""
    right = {"account": 1, "invoice": 3, "period": "2024-01", "credits": 3, "asset": "USD", "money": 10}
    return Invoiced(**(right | {"due": JANUARY + 40 * DAY, "instant": JANUARY} | said))


HONEST: list[tuple[str, list[Event], int | None]] = [
    ("a payment", [paid()], None),
    ("an invoice", [invoiced()], JANUARY),
]
FORGED: list[tuple[str, str, Callable[[], list[Event]], int | None]] = [
    ("schema", "a payment of no invoice", lambda: [paid(invoice=7)], None),
    ("schema", "a payment that was recorded before", lambda: [paid(payment="p1")], None),
    ("invoice", "more is paid than is owed", lambda: [paid(money=10**6, shares=(Share("acme", 10**6),))], None),
    ("invoice", "a receiver has another's share", lambda: [paid(shares=(Share("acme", 10), Share("fee", 0)))], None),
    ("invoice", "a stranger has a share", lambda: [paid(shares=(Share("eve", 10),))], None),
    ("invoice", "the credit line grows by more", lambda: [paid(room=4)], None),
    ("invoice", "a payment in another asset", lambda: [paid(asset="EUR")], None),
    ("invoice", "more is written off than is owed", lambda: [WrittenOff(account=1, invoice=1, money=10**6)], None),
    ("invoice", "more credits are invoiced than used", lambda: [invoiced(credits=4)], JANUARY),
    ("invoice", "credits cost more", lambda: [invoiced(money=11)], JANUARY),
    ("schema", "an invoice is left out", lambda: [invoiced(invoice=4)], JANUARY),
    ("schema", "an account without a line is invoiced", lambda: [invoiced(account=9)], JANUARY),
    ("invoice", "an invoice is due early", lambda: [invoiced(due=JANUARY + DAY)], JANUARY),
    ("invoice", "an invoice has another's period", lambda: [invoiced(period="2023-12")], JANUARY),
    ("time", "a month is invoiced before it ends", lambda: [invoiced()], None),
    ("invoice", "an invoice within a month", lambda: [invoiced(instant=DECEMBER + DAY)], None),
    ("time", "an invoice is overdue before its time", lambda: [Overdue(account=2, invoice=1, instant=DECEMBER)], None),
    ("schema", "a second credit line", lambda: [Subscribed(account=1, subscriber="ann", plan="payg", credits=5)], None),
    ("invoice", "less is available than the limit", lambda: [Withdrawn(account=1, draws=((3, 1),))], None),
    (
        "invoice",
        "a line pays what is not owed",
        lambda: [Subscribed(account=4, subscriber="eve", plan="payg", credits=5, draws=((0, 1),))],
        None,
    ),
    ("invoice", "a reversal takes too much room", lambda: [Reversed(account=1, lot=LOT, money=13, room=9)], None),
    (
        "time",
        "a charge is written where a month should be invoiced first",
        lambda: [Charged(account=1, credits=1, draws=((3, 1),), usage={"units": 1}, tariff=1, period="2024-02")],
        JANUARY,
    ),
    (
        "limit",
        "a request is admitted while an invoice is overdue",
        lambda: [Requested(account=3, hold=1, draws=((5, 1),), deadline=0, tariff=1, estimate={"units": 1})],
        None,
    ),
]
LOT = 13
"""ann's second payment."""


@pytest.mark.parametrize(("what", "events", "at"), HONEST, ids=[row[0] for row in HONEST])
def test_what_is_forged_below_is_right_but_for_what_is_said(
    what: str, events: list[Event], at: int | None, log: SimpleNamespace
) -> None:
    forge(log, *events, at=at)
    assert audit(log.path).findings == ()


@pytest.mark.parametrize(("kind", "what", "events", "at"), FORGED, ids=[f"{row[0]}: {row[1]}" for row in FORGED])
def test_it_is_found(
    kind: str, what: str, events: Callable[[], list[Event]], at: int | None, log: SimpleNamespace
) -> None:
    forged = events()
    seq = forge(log, *forged, at=at)
    report = audit(log.path)
    assert kind in kinds_at(report, seq + len(forged) - 1), report.findings


def test_what_comes_back_after_a_write_off_is_withdrawn(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with Shop(path) as shop:
        shop.do(CreatePlan(plan="payg", **TERMS))
        line = shop.do(Subscribe(subscriber="ann", plan="payg"))
        charge = shop.use(40, "ann", "payg")
        shop.now = NOVEMBER + DAY
        shop.do(WriteOff(**WHO, invoice=1))
    back = Adjusted(account=1, charge=charge, credits=-40, draws=((line, 40),), reason="refund")
    seq = forge(SimpleNamespace(path=path, at=NOVEMBER + DAY), back)
    (found,) = audit(path).findings
    assert (found.seq, found.kind, found.expected, found.found) == (seq, "invoice", 0, 40)


def test_a_batch_comes_after_the_invoices_that_are_due_before_it(tmp_path: Path) -> None:
    """ann used credits of the chain, and then her line; her batch is opened when November is over, and overdue."""
    chain = MockChain()
    with ChainShop(chain, tmp_path / "log.db") as shop:
        metered: dict[str, Any] = {"policy": "complexity", "parameters": {"weights": {"units": 1}}}
        terms: dict[str, Any] = {"price": {"acme": 100}, "credits": 10, "credit_limit": 50, "due_days": 1}
        shop.do(CreatePlan(plan="payg", owner="acme", billing="postpaid", **terms, **metered))
        chain.purchase("ann", "payg", "USD", {"acme": 100}, credits=10)
        shop.sync(blocks=4)
        shop.do(Subscribe(**WHO))
        shop.use(25, "ann", "payg")
        shop.now = NOVEMBER + 2 * DAY
        shop.open()
        assert [type(event) for event in shop.events()][-3:-1] == [Invoiced, Overdue]
        shop.finish()
        assert audit(shop.location, chains=[chain]).findings == ()
        (earned,) = shop.ledger.earned()
        assert (earned.settled, earned.receivable) == (100, 150)  # the batch pays what the chain holds


def test_the_export_has_the_invoices(honest: Path, tmp_path: Path) -> None:
    export(honest, "sqlite", tmp_path / "out.db", after=0)
    with closing(sqlite3.connect(tmp_path / "out.db")) as exported:
        rows = exported.execute(
            "SELECT subscriber, invoice, status, credits, money, paid, owed FROM invoices"
        ).fetchall()
    with Ledger.open(honest, read_only=True, clock=lambda: DECEMBER + DAY) as ledger:
        expected = [
            (each.subscriber, each.invoice, each.status, each.credits, str(each.money), str(each.paid), str(each.owed))
            for each in ledger.as_of(seq=ledger.head.seq).invoices()
        ]
    assert rows == expected
    assert len(rows) == 4
