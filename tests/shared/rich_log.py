"""A log in which everything happens, and forgeries of it: commits that the engine would never have decided."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from shop import Shop

from ledger import (
    Adjust,
    Charge,
    CreatePlan,
    Extend,
    Freeze,
    Give,
    Limits,
    PayInvoice,
    Purchase,
    RegisterAgent,
    Reinstate,
    Release,
    RepricePlan,
    Request,
    RetireAgent,
    RetirePlan,
    Reverse,
    Subscribe,
    Unfreeze,
    UpdateAgent,
    Withdraw,
    WriteOff,
)
from ledger.books import Books
from ledger.events import Adjusted, Charged, CreditsLimit, Event, Purchased, RateLimit, Requested, Share
from ledger.folding import refold
from ledger.log import encode_commit
from ledger.stores.sqlite import SQLiteStore
from replay import Report

HOLDS: dict[str, Any] = {"hold_seconds": 600, "longest_seconds": 86_400, "period": "month"}

SECOND = 1_000_000
DAY = 86_400 * SECOND
BEGIN = 1_701_388_680 * SECOND  # two minutes before December 2023
PRICE = {"acme": 90, "fee": 10}
TIERS = [{"up_to": 10, "unit": 2, "flat": 1}, {"up_to": None, "unit": "1/2", "flat": 0}]
CHEAPER = [{"up_to": 6, "unit": 3, "flat": 0}, {"up_to": None, "unit": "1/2", "flat": 0}]


def tell(path: Path) -> SimpleNamespace:
    """A log in which everything happens. Returns the sequences that the forgeries build on."""
    with Shop(path, id="rich", now=BEGIN) as shop:
        do = shop.do
        catalogue(do)
        names = carol(do, shop)
        debts(do, shop)
        subscribed = used_before_paid(do)
        periods(do, shop)
        invoiced(do)
        windows(do, shop)
        shop.ledger.snapshot()
        names |= ending(do, shop) | {"una": shop.event(subscribed).account}
        shop.refusal(Request(subscriber="carol", plan="plain", estimate={"calls": 10**6}))
        do(Release(request=names["open"]))
        names["open"] = do(Request(subscriber="hal", plan="plain", estimate={"calls": 2}))
        return SimpleNamespace(**names)


def catalogue(do: Callable[[Any], int]) -> None:
    plain = {"policy": "per_credit", "parameters": {"credits": 1, "per": "call"}, "price": PRICE}
    do(CreatePlan(plan="plain", owner="acme", credits=100, record_refusals=True, key="k1", **plain))
    do(CreatePlan(plan="owing", owner="acme", credits=10, overrun="debt", debt_limit=20, on_lapse="refund", **plain))
    graduated = {"policy": "graduated", "parameters": {"dimension": "tokens", "tiers": TIERS}, "price": PRICE}
    do(CreatePlan(plan="tiers", owner="acme", credits=100, limits=Limits(open=9), **graduated))
    volume = {"policy": "volume", "parameters": {"dimension": "tokens", "tiers": CHEAPER}, "price": {"acme": 10**30}}
    do(CreatePlan(plan="volume", owner="acme", credits=100, period="day", asset="eip155:1/slip44:60", **volume))
    weighed = {"policy": "complexity", "parameters": {"weights": {"tokens": "2/3"}, "minimum": 2}, "price": PRICE}
    do(CreatePlan(plan="hybrid", owner="acme", credits=50, seconds=600, **weighed))
    do(CreatePlan(plan="window", owner="acme", seconds=3_600, policy="time", price=PRICE))
    do(CreatePlan(plan="trial", owner="acme", credits=3, trial=True, **{**plain, "price": {}}))
    limits = Limits(rate=RateLimit(2, 60), credits=CreditsLimit(10, 3_600), open=2)
    do(CreatePlan(plan="limited", owner="acme", credits=100, limits=limits, **plain))
    do(RegisterAgent(agent="bot", owner="acme", plans=("plain", "tiers")))
    do(UpdateAgent(agent="bot", metadata={"depth": [1, {"2": None}]}))
    do(RetireAgent(agent="bot"))
    do(RegisterAgent(agent="ant", owner="acme", plans=("plain", "window")))


def carol(do: Callable[[Any], int], clock: Shop) -> dict[str, int]:
    """On a plain plan: two lots, requests that end in every way, corrections."""
    at = {"subscriber": "carol", "plan": "plain"}
    names = {
        "first": do(Purchase(**at, payment="invoice-1", key="k")),
        "second": do(Give(**at, credits=30, priority=1)),
    }
    names["third"] = do(Give(**at, credits=5, expiry=clock.now + 20 * SECOND))
    request = do(Request(**at, agent="ant", estimate={"calls": 9}))
    do(Charge(request=request, usage={"calls": 2}, final=False))
    clock.now += 5 * SECOND
    do(Extend(request=request, seconds=900))
    names = {"closed": request, "charge": do(Charge(request=request, usage={"calls": 9}))}
    do(Release(request=do(Request(**at, estimate={"calls": 3})), reason="failed"))
    late = do(Request(**at))
    clock.now += 700 * SECOND  # into December; the third lot and the late request expire
    do(Charge(request=late, usage={"calls": 2}, occurred_at=BEGIN))
    do(Adjust(charge=names["charge"], credits=-3))
    do(Adjust(charge=names["charge"], usage={"calls": 4}, reason="late"))
    do(Adjust(subscriber="carol", plan="plain", period="2023-11", credits=-1, reason="refund"))
    return names


def debts(do: Callable[[Any], int], clock: Shop) -> None:
    """Debt that is made, paid by the next lot, corrected; a purchase reversed while a request is open."""
    at = {"subscriber": "dora", "plan": "owing"}
    first = do(Purchase(**at, funding="direct"))
    request = do(Request(**at, estimate={"calls": 4}))
    over = do(Charge(**at, usage={"calls": 12}))
    do(Purchase(**at))
    do(Adjust(charge=over, credits=-7))
    do(Reverse(**at, lot=first, amount=30))
    do(Reverse(**at, lot=first))
    do(Reinstate(**at, lot=first))
    do(Reverse(**at, lot=first))
    clock.now += SECOND
    do(Charge(request=request, usage={"calls": 6}))
    do(Give(**at, credits=40, expiry=clock.now + 30 * SECOND))
    clock.now += 60 * SECOND
    do(Purchase(**at))  # what was left of the gift is refunded before it
    do(Withdraw(**at, credits=4, reason="asked"))


def periods(do: Callable[[Any], int], clock: Shop) -> None:
    """Tariffs by period, repriced in between; a total that falls."""
    at = {"subscriber": "emil", "plan": "tiers"}
    do(Purchase(**at))
    requests = [do(Request(**at, estimate={"tokens": 6})) for _ in range(3)]
    do(RepricePlan(plan="tiers", policy="package", parameters={"dimension": "tokens", "size": 5, "credits": 4}))
    for request in requests:
        do(Charge(request=request, usage={"tokens": 7}))
    do(Charge(**at, usage={"tokens": 3}))
    do(Adjust(**at, period="2023-12", usage={"tokens": -9}))
    at = {"subscriber": "ebba", "plan": "tiers"}
    do(Give(**at, credits=8))  # two packages, which three requests share
    first, second, third = [do(Request(**at, estimate={"tokens": 3})) for _ in range(3)]
    do(Charge(request=third, usage={"tokens": 3}))  # the second one lends its hold
    do(Release(request=first))  # and takes on what returns of the first one's
    do(Charge(request=second, usage={"tokens": 3}))
    at = {"subscriber": "emil", "plan": "volume"}
    do(Purchase(**at))
    for tokens in (5, 1, 1, 9):
        do(Charge(**at, usage={"tokens": tokens}))
    clock.now += 3 * DAY
    do(Charge(**at, usage={"tokens": 4}, occurred_at=clock.now - 2 * DAY))


def used_before_paid(do: Callable[[Any], int]) -> int:
    """A postpaid plan by the day, and its use on one."""
    plain = {"policy": "per_credit", "parameters": {"credits": 1, "per": "call"}, "price": PRICE}
    terms: dict[str, Any] = {"billing": "postpaid", "credit_limit": 50, "due_days": 1, "period": "day"}
    do(CreatePlan(plan="payg", owner="acme", credits=3, **terms, **plain))
    subscribed = do(Subscribe(subscriber="una", plan="payg"))
    do(Charge(subscriber="una", plan="payg", usage={"calls": 20}))
    return subscribed


def invoiced(do: Callable[[Any], int]) -> None:
    """Days later: its invoice is overdue, and paid and written off in parts."""
    do(PayInvoice(subscriber="una", plan="payg", invoice=1, payment="una-1", amount=100))
    do(WriteOff(subscriber="una", plan="payg", invoice=1, amount=50, reason="goodwill"))


def windows(do: Callable[[Any], int], clock: Shop) -> None:
    """Time plans and hybrids, trials, freezing, a window that is cut, one that never starts."""
    do(Purchase(subscriber="fay", plan="window"))
    do(Charge(request=do(Request(subscriber="fay", plan="window", agent="ant")), usage={"seconds": 5}))
    do(Purchase(subscriber="fay", plan="window"))
    clock.now += 1_000 * SECOND
    do(Withdraw(subscriber="fay", plan="window"))
    do(Purchase(subscriber="gus", plan="hybrid"))
    request = do(Request(subscriber="gus", plan="hybrid", estimate={"tokens": 7}))
    clock.now += 599 * SECOND
    do(Extend(request=request, seconds=700))
    clock.now += 10 * SECOND
    do(Charge(request=request, usage={"tokens": 4}))  # what returns to the lot lapses
    do(Purchase(subscriber="gus", plan="trial"))
    do(Freeze(subscriber="gus", plan="trial"))
    do(Unfreeze(subscriber="gus", plan="trial"))
    do(RetirePlan(plan="trial"))


def ending(do: Callable[[Any], int], clock: Shop) -> dict[str, int]:
    """What the forgeries build on: hal has two living lots, one closed request, one charge, one open request."""
    at = {"subscriber": "hal", "plan": "plain"}
    names = {"low": do(Purchase(**at)), "high": do(Give(**at, credits=40, priority=5))}
    names["ended"] = do(Request(**at))
    names["spent"] = do(Charge(request=names["ended"], usage={"calls": 10}))
    names["open"] = do(Request(**at, estimate={"calls": 2}))
    names["waits"] = do(Give(**at, credits=7, start=clock.now + 50 * DAY))
    at = {"subscriber": "ida", "plan": "tiers"}
    names["package"] = do(Purchase(**at))
    names["metered"] = do(Request(**at, estimate={"tokens": 3}))
    at = {"subscriber": "jo", "plan": "window"}
    names["month"] = do(Purchase(**at))
    at = {"subscriber": "lea", "plan": "plain"}
    names["five"] = do(Give(**at, credits=5))
    names["short"] = do(Charge(request=do(Request(**at, estimate={"calls": 5})), usage={"calls": 8}))
    at = {"subscriber": "kay", "plan": "limited"}
    names["limited"] = do(Purchase(**at))
    names["counted"] = do(Request(**at, estimate={"calls": 4}))
    return names


def forge(log: Any, *events: Event, at: int | None = None) -> int:
    """Append a commit that nobody decided. Returns the sequence of its first event."""
    with closing(SQLiteStore(log.path)) as store:
        commit = encode_commit(store.head(), log.at if at is None else at, list(events))
        store.append(store.head(), commit)
    return commit.first_seq


def kinds_at(report: Report, seq: int | None) -> set[str]:
    return {finding.kind for finding in report.findings if finding.seq == seq}


def direct(log: Any, **fields: Any) -> Charged:
    """hal is charged for 3 calls, directly; as it should be, but for the given fields."""
    right = {"account": log.hal, "credits": 3, "draws": ((log.low, 3),), "usage": {"calls": 3}, "tariff": 1}
    return Charged(**{**right, "period": "2023-12", **fields})


def books(log: Any) -> int:
    """More debt is given back than there ever was: the account's debt is no longer the sum of its debts."""
    back = Adjusted(account=log.hal, charge=log.spent, credits=-5, draws=((0, 5),), reason="correction")
    return forge(log, back)


def draws(log: Any) -> int:
    """The lot with the lower priority is used first."""
    return forge(log, direct(log, draws=((log.high, 3),)))


def window_of(log: Any, start: int) -> list[Event]:
    end = start + 3_600 * SECOND
    said = {"subscriber": "jo", "plan": "window", "cost": 100, "shares": (Share("acme", 90), Share("fee", 10))}
    return [Purchased(account=log.jo, seconds=3_600, asset="USD", start=start, expiry=end, **said)]


def limited(log: Any, calls: int) -> Requested:
    draws = ((log.limited, calls),)
    return request(log, account=log.kay, hold=calls, draws=draws, estimate={"calls": calls})


def sold(log: Any, **fields: Any) -> list[Event]:
    said = {"account": log.hal, "subscriber": "hal", "plan": "plain", "credits": 100, "asset": "USD", "cost": 100}
    shares = (Share("acme", 90), Share("fee", 10))
    return [Purchased(**{**said, "shares": shares, "start": log.at + DAY, **fields})]


def request(log: Any, **fields: Any) -> Requested:
    """hal asks for 4 calls; as it should be, but for the given fields."""
    right = {"account": log.hal, "hold": 4, "draws": ((log.low, 4),), "estimate": {"calls": 4}, "tariff": 1}
    return Requested(**{**right, "deadline": log.at + 600 * SECOND, **fields})


def books_of(path: Path) -> Books:
    with closing(SQLiteStore(path, read_only=True)) as store:
        return refold(store.read())
