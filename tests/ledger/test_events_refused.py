"""What no event may contain is refused when an event is made and when it is decoded."""

from typing import Any

import msgspec
import pytest
from golden_events import GOLDEN, MOST

from ledger.events import (
    Adjusted,
    AgentRegistered,
    AgentUpdated,
    Charged,
    CreditsLimit,
    Event,
    Invoiced,
    InvoicePaid,
    Lapsed,
    Limits,
    Payout,
    PlanCreated,
    Purchased,
    RateLimit,
    RefusedRequests,
    Reheld,
    Reinstated,
    Released,
    Requested,
    Reversed,
    SettlementFailed,
    Share,
    Started,
    Subscribed,
    Tariff,
    Withdrawn,
    WrittenOff,
    decode_one,
    encode,
    tag,
)

TARIFF = Tariff(version=1, policy="time", policy_version=1)
PLAN: dict[str, Any] = {"plan": "p", "owner": "o", "asset": "USD", "credits": 1, "tariff": TARIFF} | {
    "hold_seconds": 600,
    "longest_seconds": 900,
    "period": "month",
}
LOT: dict[str, Any] = {"account": 1, "subscriber": "s", "plan": "p", "credits": 1}
REQUEST: dict[str, Any] = {"account": 1, "deadline": 9, "tariff": 1}
CHARGE: dict[str, Any] = {"account": 1, "tariff": 1, "period": "2023-11"}
POSTPAID: dict[str, Any] = PLAN | {"price": (Share("o", 1),), "billing": "postpaid", "credit_limit": 1}
SUBSCRIPTION: dict[str, Any] = {"account": 1, "subscriber": "s", "plan": "p", "credits": 1}
INVOICE: dict[str, Any] = {
    "account": 1,
    "invoice": 1,
    "period": "2023-11",
    "credits": -1,
    "asset": "A",
    "money": -1,
} | {
    "due": 9,
    "instant": 8,
}
PAYMENT: dict[str, Any] = {"account": 1, "invoice": 1, "asset": "A", "money": 1, "shares": (Share("o", 1),)} | {
    "funding": "none",
    "payment": "p",
}
WRITE_OFF: dict[str, Any] = {"account": 1, "invoice": 1, "money": 1}
ADJUSTMENT: dict[str, Any] = {"reason": "correction"}
BATCH: dict[str, Any] = {"number": 1, "chain": "c", "contract": "0x", "asset": "USD", "covers": {}, "root": "0x"}

WRONG: list[tuple[str, type[Any], dict[str, Any]]] = [
    ("a plan grants something", PlanCreated, PLAN | {"credits": 0}),
    ("a plan has a name", PlanCreated, PLAN | {"plan": ""}),
    ("a plan has an owner", PlanCreated, PLAN | {"owner": ""}),
    ("a plan has an asset", PlanCreated, PLAN | {"asset": ""}),
    ("a trial has no price", PlanCreated, PLAN | {"trial": True, "price": (Share("o", 1),)}),
    ("a postpaid plan has a price", PlanCreated, POSTPAID | {"price": ()}),
    ("a postpaid plan has no window", PlanCreated, POSTPAID | {"seconds": 60}),
    ("a postpaid plan has a calendar", PlanCreated, POSTPAID | {"period": "forever"}),
    ("a postpaid plan has a limit", PlanCreated, POSTPAID | {"credit_limit": 0}),
    ("a prepaid plan has none", PlanCreated, PLAN | {"credit_limit": 1}),
    ("an invoice is due some day", PlanCreated, POSTPAID | {"due_days": 3_651}),
    ("a credit line has credits", Subscribed, SUBSCRIPTION | {"credits": 0}),
    ("a subscriber has an account", Subscribed, SUBSCRIPTION | {"account": 0}),
    ("an invoice has one sign", Invoiced, INVOICE | {"money": 1}),
    ("invoices count from 1", Invoiced, INVOICE | {"invoice": 0}),
    ("a payment pays something", InvoicePaid, PAYMENT | {"money": 0, "shares": ()}),
    ("the shares sum to the payment", InvoicePaid, PAYMENT | {"money": 2}),
    ("each receiver has one share of a payment", InvoicePaid, PAYMENT | {"money": 2, "shares": (Share("o", 1),) * 2}),
    ("something is written off", WrittenOff, WRITE_OFF | {"money": 0}),
    ("each receiver has one share of a price", PlanCreated, PLAN | {"price": (Share("o", 1), Share("o", 1))}),
    ("a hold lasts", PlanCreated, PLAN | {"hold_seconds": 0}),
    ("a hold is no longer than the longest", PlanCreated, PLAN | {"hold_seconds": 11, "longest_seconds": 10}),
    (
        "a plan begins with version 1",
        PlanCreated,
        PLAN | {"tariff": Tariff(version=2, policy="time", policy_version=1)},
    ),
    ("decimals are few", PlanCreated, PLAN | {"decimals": 37}),
    ("decimals are not negative", PlanCreated, PLAN | {"decimals": -1}),
    ("an asset has few decimals", PlanCreated, PLAN | {"asset_decimals": 256}),
    ("an asset's decimals are not negative", PlanCreated, PLAN | {"asset_decimals": -1}),
    ("an agent has a number", AgentRegistered, {"agent": 0, "name": "a", "owner": "o"}),
    ("an updated agent has a number", AgentUpdated, {"agent": 0, "name": "a", "owner": "o"}),
    ("an agent has a name", AgentRegistered, {"agent": 1, "name": "", "owner": "o"}),
    ("accounts count from 1", Purchased, LOT | {"account": 0}),
    ("the shares sum to the cost", Purchased, LOT | {"cost": 10, "shares": (Share("o", 9),)}),
    ("a cost has shares", Purchased, LOT | {"cost": 10}),
    ("shares have a cost", Purchased, LOT | {"shares": (Share("o", 9),)}),
    ("a gift has no cost", Purchased, LOT | {"kind": "gift", "cost": 1, "shares": (Share("o", 1),)}),
    ("a trial lot has no cost", Purchased, LOT | {"kind": "trial", "cost": 1, "shares": (Share("o", 1),)}),
    ("a lot has credits or an end", Purchased, LOT | {"credits": 0}),
    ("a lot that starts pays debt only", Started, {"account": 1, "lot": 2, "instant": 0, "draws": ((2, 1),)}),
    ("batches are numbered from 1", SettlementFailed, {"number": 0, "chain": "mock:local", "contract": "c"}),
    ("debt cannot be withdrawn", Withdrawn, {"account": 1, "draws": ((0, 1),)}),
    ("lots pay debt, debt does not", Released, {"request": 3, "reason": "voided", "repaid": ((0, 1),)}),
    ("a payment of debt is positive", Released, {"request": 3, "reason": "voided", "repaid": ((2, 0),)}),
    ("lots pay debt at a charge", Charged, CHARGE | {"repaid": ((0, 1),)}),
    ("lots pay debt at a correction", Adjusted, ADJUSTMENT | {"account": 1, "charge": 4, "repaid": ((0, 1),)}),
    ("lots pay debt at a reversal", Reversed, {"account": 1, "lot": 2, "repaid": ((0, 1),)}),
    ("lots pay debt at a reinstatement", Reinstated, {"account": 1, "lot": 2, "repaid": ((0, 1),)}),
    ("what is held again is positive", Reheld, {"account": 1, "request": 3, "draws": ((2, 0),)}),
    ("draws sum to the hold", Requested, REQUEST | {"hold": 5, "draws": ((2, 4),)}),
    ("a hold has draws", Requested, REQUEST | {"hold": 5}),
    ("draws have a hold", Requested, REQUEST | {"draws": ((2, 4),)}),
    ("draws are positive", Requested, REQUEST | {"draws": ((2, 0),)}),
    ("no draw is negative", Requested, REQUEST | {"draws": ((2, 5), (3, -5))}),
    ("lots are not negative", Requested, REQUEST | {"hold": 1, "draws": ((-1, 1),)}),
    ("an expiry has an instant", Released, {"request": 3, "reason": "expired"}),
    ("only an expiry has an instant", Released, {"request": 3, "reason": "voided", "instant": 7}),
    ("somebody was refused", RefusedRequests, {"reason": "expired", "plan": "p", "count": 0}),
    ("draws sum to the credits", Charged, CHARGE | {"credits": 5, "draws": ((2, 4),)}),
    ("credits have draws", Charged, CHARGE | {"credits": 5}),
    ("a direct charge is final", Charged, CHARGE | {"final": False}),
    (
        "draws sum to what is given back",
        Adjusted,
        ADJUSTMENT | {"account": 1, "charge": 4, "credits": -5, "draws": ((2, 4),)},
    ),
    (
        "draws sum to what is taken",
        Adjusted,
        ADJUSTMENT | {"account": 1, "charge": 4, "credits": 5, "draws": ((2, 4),)},
    ),
    ("an adjustment corrects something", Adjusted, ADJUSTMENT | {"account": 1}),
    ("an adjustment corrects one thing", Adjusted, ADJUSTMENT | {"account": 1, "charge": 4, "period": "2023-11"}),
    ("a lapse is of something", Lapsed, {"account": 1, "lot": 2, "credits": 0, "instant": 0}),
    ("debt does not lapse", Lapsed, {"account": 1, "lot": 0, "credits": 1, "instant": 0}),
    ("tariffs count from 1", Tariff, {"version": 0, "policy": "time", "policy_version": 1}),
    ("a rate has requests", RateLimit, {"requests": 0, "seconds": 1}),
    ("a rate has a time", RateLimit, {"requests": 1, "seconds": 0}),
    ("a window has a length", CreditsLimit, {"credits": 1, "seconds": 0}),
    ("a limit lets one request in", Limits, {"open": 0}),
]


def raw(event: type[Any], fields: dict[str, Any]) -> bytes:
    """The line that the fields would have if nothing checked them."""
    named = {"type": tag(event)} if issubclass(event, Event) else {}
    return msgspec.json.encode(named | fields)


@pytest.mark.parametrize(("event", "fields"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_is_not_true_of_any_event_is_refused_at_both_doors(event: type[Any], fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        event(**fields)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw(event, fields), type=event)


def amounts(
    name: str, event: type[Any], fields: dict[str, Any], *path: Any
) -> tuple[str, type[Any], dict[str, Any], Any]:
    return name, event, fields, path


# Every place of an event where an amount of credits, usage or money stands, with an event that is right.
CREDITS = [
    amounts("a plan's credits", PlanCreated, PLAN, "credits"),
    amounts("a plan's debt limit", PlanCreated, PLAN, "debt_limit"),
    amounts("a plan's limit of credits", CreditsLimit, {"credits": 5, "seconds": 1}, "credits"),
    amounts("a lot's credits", Purchased, LOT | {"expiry": 9}, "credits"),
    amounts("a hold", Requested, REQUEST | {"hold": 1, "draws": ((2, 1),)}, "hold"),
    amounts("a hold's draw", Requested, REQUEST | {"hold": 1, "draws": ((2, 1),)}, "draws", 0, 1),
    amounts("an estimate", Requested, REQUEST | {"estimate": {"calls": 1}}, "estimate", "calls"),
    amounts(
        "a refused estimate",
        RefusedRequests,
        {"reason": "r", "plan": "p", "count": 1, "estimate": {"x": 1}},
        "estimate",
        "x",
    ),
    amounts("a charge's credits", Charged, CHARGE | {"credits": 1, "draws": ((2, 1),)}, "credits"),
    amounts("a charge's draw", Charged, CHARGE | {"credits": 1, "draws": ((2, 1),)}, "draws", 0, 1),
    amounts("a shortfall", Charged, CHARGE, "shortfall"),
    amounts("usage", Charged, CHARGE | {"usage": {"calls": 1}}, "usage", "calls"),
    amounts("unpriced units", Charged, CHARGE | {"unpriced": {"calls": 1}}, "unpriced", "calls"),
    amounts("a charge's payment of debt", Charged, CHARGE | {"repaid": ((2, 1),)}, "repaid", 0, 1),
    amounts(
        "an adjustment's draw",
        Adjusted,
        ADJUSTMENT | {"account": 1, "charge": 4, "credits": 1, "draws": ((2, 1),)},
        "draws",
        0,
        1,
    ),
    amounts(
        "an adjustment's payment of debt",
        Adjusted,
        ADJUSTMENT | {"account": 1, "charge": 4, "repaid": ((2, 1),)},
        "repaid",
        0,
        1,
    ),
    amounts("a credit line", Subscribed, SUBSCRIPTION, "credits"),
    amounts("a credit line's payment of debt", Subscribed, SUBSCRIPTION | {"draws": ((0, 1),)}, "draws", 0, 1),
    amounts("room by a payment", InvoicePaid, PAYMENT, "room"),
    amounts("a cleared line's payment of debt", InvoicePaid, PAYMENT | {"repaid": ((3, 1),)}, "repaid", 0, 1),
    amounts("room by a write-off", WrittenOff, WRITE_OFF, "room"),
    amounts("a written off line's payment of debt", WrittenOff, WRITE_OFF | {"repaid": ((3, 1),)}, "repaid", 0, 1),
    amounts("a credit limit", PlanCreated, POSTPAID, "credit_limit"),
    amounts("room that a reversal takes", Reversed, {"account": 1, "lot": 2}, "room"),
    amounts("room that is reinstated", Reinstated, {"account": 1, "lot": 2}, "room"),
    amounts("a reversal's credits", Reversed, {"account": 1, "lot": 2}, "credits"),
    amounts("a reversal's payment of debt", Reversed, {"account": 1, "lot": 2, "repaid": ((3, 1),)}, "repaid", 0, 1),
    amounts("credits that stand again", Reinstated, {"account": 1, "lot": 2}, "credits"),
    amounts("a reinstated payment of debt", Reinstated, {"account": 1, "lot": 2, "repaid": ((3, 1),)}, "repaid", 0, 1),
    amounts(
        "a release's payment of debt", Released, {"request": 3, "reason": "voided", "repaid": ((2, 1),)}, "repaid", 0, 1
    ),
    amounts("what is held again", Reheld, {"account": 1, "request": 3, "draws": ((2, 1),)}, "draws", 0, 1),
    amounts("a debt that is paid", Started, {"account": 1, "lot": 2, "instant": 0, "draws": ((0, 1),)}, "draws", 0, 1),
    amounts("a withdrawal's draw", Withdrawn, {"account": 1, "draws": ((2, 1),)}, "draws", 0, 1),
    amounts("what lapses", Lapsed, {"account": 1, "lot": 2, "credits": 1, "instant": 0}, "credits"),
]
METERS = [
    amounts("a meter", Charged, CHARGE | {"before": {"calls": 1}}, "before", "calls"),
    amounts(
        "an adjustment's meter",
        Adjusted,
        ADJUSTMENT | {"account": 1, "charge": 4, "before": {"calls": 1}},
        "before",
        "calls",
    ),
]
SIGNED = [
    amounts("the credits of an invoice", Invoiced, INVOICE, "credits"),
    amounts("an adjustment's shortfall", Adjusted, ADJUSTMENT | {"account": 1, "charge": 4}, "shortfall"),
    amounts(
        "unpriced units of a delta",
        Adjusted,
        ADJUSTMENT | {"account": 1, "charge": 4, "unpriced": {"calls": -1}},
        "unpriced",
        "calls",
    ),
    amounts(
        "an adjustment", Adjusted, ADJUSTMENT | {"account": 1, "charge": 4, "credits": 1, "draws": ((2, 1),)}, "credits"
    ),
    amounts(
        "a usage delta", Adjusted, ADJUSTMENT | {"account": 1, "charge": 4, "usage": {"calls": -1}}, "usage", "calls"
    ),
]
MONEY = [
    amounts("a share", Share, {"receiver": "o", "amount": 1}, "amount"),
    amounts("a cost", Purchased, LOT | {"cost": 1, "shares": (Share("o", 1),)}, "cost"),
    amounts("a payment", InvoicePaid, PAYMENT, "money"),
    amounts("money that is written off", WrittenOff, WRITE_OFF, "money"),
    amounts("money that was void", Reversed, {"account": 1, "lot": 2}, "money"),
    amounts("money that stands again", Reinstated, {"account": 1, "lot": 2}, "money"),
    amounts("money withdrawn", Withdrawn, {"account": 1, "money": {2: 1}}, "money", 2),
]
PAYOUTS = [
    amounts("a payout", Payout, {"receiver": "o", "amount": -1}, "amount"),
    amounts("the money of an invoice", Invoiced, INVOICE, "money"),
]
NOT_WHOLE: list[Any] = [1.0, 1.5, True, "1", None, float("nan"), float("inf")]


def put(fields: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The fields with another value in one place."""
    if not path:
        return value
    if isinstance(fields, dict):
        return fields | {path[0]: put(fields.get(path[0]), path[1:], value)}
    return tuple(put(part, path[1:], value) if place == path[0] else part for place, part in enumerate(fields))


def refused_at_both_doors(event: type[Any], fields: dict[str, Any], path: tuple[Any, ...], value: Any) -> None:
    event(**fields)  # the event is right but for this
    wrong = put(fields, path, value)
    with pytest.raises((ValueError, TypeError)):
        event(**wrong)
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(raw(event, wrong), type=event)


PLACES = [*CREDITS, *METERS, *SIGNED, *MONEY, *PAYOUTS]


@pytest.mark.parametrize("value", NOT_WHOLE, ids=repr)
@pytest.mark.parametrize(("event", "fields", "path"), [row[1:] for row in PLACES], ids=[row[0] for row in PLACES])
def test_an_amount_is_a_whole_number(
    event: type[Any], fields: dict[str, Any], path: tuple[Any, ...], value: Any
) -> None:
    """Neither a float, nor a bool, nor a text: msgspec's constructor checks no types, so the event does."""
    refused_at_both_doors(event, fields, path, value)


UNSIGNED = [*CREDITS, *METERS, *MONEY]


@pytest.mark.parametrize(("event", "fields", "path"), [row[1:] for row in UNSIGNED], ids=[row[0] for row in UNSIGNED])
def test_an_amount_is_not_negative(event: type[Any], fields: dict[str, Any], path: tuple[Any, ...]) -> None:
    refused_at_both_doors(event, fields, path, -1)


BOUNDED = [row for row in [*CREDITS, *SIGNED] if row[3][-1] != 1]  # a draw is bounded by what it is a part of


@pytest.mark.parametrize(("event", "fields", "path"), [row[1:] for row in BOUNDED], ids=[row[0] for row in BOUNDED])
def test_credits_and_usage_fit_64_bits(event: type[Any], fields: dict[str, Any], path: tuple[Any, ...]) -> None:
    refused_at_both_doors(event, fields, path, MOST + 1)


@pytest.mark.parametrize(("event", "fields", "path"), [row[1:] for row in SIGNED], ids=[row[0] for row in SIGNED])
def test_what_is_signed_is_bounded_downwards_too(
    event: type[Any], fields: dict[str, Any], path: tuple[Any, ...]
) -> None:
    refused_at_both_doors(event, fields, path, -MOST - 1)


@pytest.mark.parametrize(("event", "fields", "path"), [row[1:] for row in METERS], ids=[row[0] for row in METERS])
def test_a_meter_may_have_counted_for_a_lifetime(
    event: type[Any], fields: dict[str, Any], path: tuple[Any, ...]
) -> None:
    """Bounds hold for what is open and for single amounts, never for a sum over a life."""
    beyond = event(**put(fields, path, 3 * MOST))
    assert decode_one(encode(beyond)) == beyond


def test_every_amount_of_the_golden_lines_is_tried_above() -> None:
    """So that a new event, or a new amount in one, is guarded too."""
    amounts = {"credits", "debt_limit", "hold", "draws", "estimate", "shortfall", "usage", "before", "cost", "money"}
    amounts |= {"unpriced", "repaid"}
    shown = {
        (tag(event), name)
        for event in GOLDEN.values()
        for name in event.__struct_fields__
        if name in amounts and (tag(event), name) != ("plan_created", "unpriced")  # a word, no amount
    }
    tried = {(tag(event), path[0]) for _, event, _, path in PLACES if issubclass(event, Event)}
    assert shown - tried <= {("adjusted", "draws")}
