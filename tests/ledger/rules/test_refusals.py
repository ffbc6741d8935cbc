"""Refusals: a closed list in order of precedence, each with its facts (contract.md, Refusals).

The table has one row for each reason, in the order of the list: what leads to it, and what the refusal tells.
"""

from traceback import format_exception
from typing import NamedTuple

import msgspec
import pytest

from ledger import (
    Adjust,
    Charge,
    CreditsLimit,
    Endpoint,
    Limits,
    PaymentRequired,
    RateLimit,
    Reason,
    RegisterAgent,
    RetireAgent,
    RetirePlan,
)
from ledger.refusals import Refused

MOST = 2**63 - 1
DAY = 86_400
LONG_AGO = -36 * DAY
OWING = {"overrun": "debt", "debt_limit": 50}
TRIAL = {"trial": True, "price": {}}
SITE = "https://svc.example"
ASIDE = {"agent": "bot", "method": "GET", "url": f"{SITE}/aside"}


def bot(**said):
    endpoints = (Endpoint("POST", f"{SITE}/ask"),)
    return RegisterAgent(agent="bot", **({"owner": "acme", "plans": ("pro",), "endpoints": endpoints} | said))


def in_debt(shop, **terms):
    """An account that owes 30."""
    shop.given(shop.plan(**OWING, **terms), shop.buy(), shop.charge_directly(130))


def limited(shop, rate=None, credits=None, open=None, **terms):
    """An account with 100 credits under limits, of which one is held."""
    shop.given(shop.plan(limits=Limits(rate=rate, credits=credits, open=open), **terms), shop.buy(), shop.ask(1))


def retired_bot(shop, **said):
    shop.given(shop.plan(), shop.plan("other"), shop.buy(), bot(**said), RetireAgent(agent="bot"))


class Row(NamedTuple):
    reason: Reason
    refused: object
    facts: dict[str, int] | None = None


# Each of these prepares a shop and returns the command that is refused.


def malformed(shop):
    shop.given(shop.plan())
    return shop.gift(0)


def key_reused(shop):
    shop.given(shop.plan(), shop.gift(1, key="k"))
    return shop.gift(2, key="k")


def key_too_old(shop):
    shop.given(shop.plan(), shop.gift(1))
    return shop.at(35 * DAY).gift(2, key="k", issued_at=0)


def payment_reversed(shop):
    """The same payment once more, after a reversal: it is no new one."""
    shop.given(shop.plan(), shop.buy(payment="7"), shop.reverse(payment="7"))
    return shop.buy(payment="7")


def plan_unknown(shop):
    return shop.buy(plan="nowhere")


def plan_retired(shop):
    shop.given(shop.plan(), RetirePlan(plan="pro"))
    return shop.buy()


def agent_unknown(shop):
    shop.given(shop.plan(), shop.buy())
    return shop.ask(1, agent="nobody")


def agent_retired(shop):
    retired_bot(shop)
    return shop.ask(1, agent="bot")


def agent_not_in_plan(shop):
    shop.given(shop.plan(), shop.buy(), bot(plans=()))
    return shop.ask(1, agent="bot")


def endpoint_not_allowed(shop):
    shop.given(shop.plan(), shop.buy(), bot())
    return shop.ask(1, **ASIDE)


def trial_used(shop):
    shop.given(shop.plan(**TRIAL), shop.buy())
    return shop.buy()


def not_subscribed(shop):
    shop.given(shop.plan(), shop.buy(start=40))
    return shop.ask(1)


def frozen(shop):
    shop.given(shop.plan(), shop.buy(), shop.freeze())
    return shop.ask(1)


def expired(shop):
    shop.given(shop.plan(seconds=100), shop.buy())
    return shop.at(100).ask(1)


def request_unknown(shop):
    shop.given(shop.plan(), shop.buy())
    return shop.charge(999, 1)


def request_closed(shop):
    shop.given(shop.plan(), shop.buy())
    request = shop.given(shop.ask(1))
    shop.given(shop.release(request))
    return shop.charge(request, 1)


def charge_unknown(shop):
    """A sequence that is there, but is not a charge."""
    return shop.correct(shop.given(shop.plan(), shop.buy()), -1)


def invoice_unknown(shop):
    shop.given(shop.postpaid(), shop.subscribe())
    return shop.pay(1)


def overdue(shop):
    shop.given(shop.postpaid(overdue="stop"), shop.subscribe(), shop.charge_directly(5))
    return shop.at(40 * DAY).ask(1)


def adjustment_exceeds(shop):
    shop.given(shop.plan(), shop.buy())
    return shop.correct(shop.given(shop.charge_directly(25)), -26)


def unpriced(shop):
    """A dimension that no rate reads is no free lunch."""
    shop.given(shop.plan(), shop.buy())
    return shop.ask({"units": 1, "pages": 2}, labels={"model": "gpt-9"})


def owes(shop):
    in_debt(shop)
    return shop.ask(10)


def rate_limited(shop):
    limited(shop, rate=RateLimit(1, 10))
    return shop.at(3).ask(1)


def window_exhausted(shop):
    """The 1 that is held counts in every window, until it expires after ten minutes."""
    limited(shop, credits=CreditsLimit(20, 60))
    return shop.at(15).ask(20)


def too_many_open(shop):
    limited(shop, open=1, hold_seconds=60)
    return shop.at(15).ask(1)


def insufficient_credits(shop):
    shop.given(shop.plan(), shop.buy(), shop.ask(40))
    return shop.ask(75)


def overflow(shop):
    shop.given(shop.plan(parameters={"weights": {"units": 2}}), shop.buy())
    return shop.charge_directly(MOST)


def policy_failed(shop):
    shop.given(shop.plan(policy="failing", parameters={}), shop.buy())
    return shop.ask(1)


def batch_open(shop):
    """No command settles yet."""
    return None


REFUSALS = [
    Row(Reason.malformed, malformed),
    Row(Reason.key_reused, key_reused),
    Row(Reason.key_too_old, key_too_old),
    Row(Reason.payment_reversed, payment_reversed),
    Row(Reason.plan_unknown, plan_unknown),
    Row(Reason.plan_retired, plan_retired),
    Row(Reason.agent_unknown, agent_unknown),
    Row(Reason.agent_retired, agent_retired),
    Row(Reason.agent_not_in_plan, agent_not_in_plan),
    Row(Reason.endpoint_not_allowed, endpoint_not_allowed),
    Row(Reason.trial_used, trial_used),
    Row(Reason.not_subscribed, not_subscribed, {"retry_after_us": 40_000_000}),
    Row(Reason.frozen, frozen),
    Row(Reason.expired, expired),
    Row(Reason.request_unknown, request_unknown),
    Row(Reason.request_closed, request_closed),
    Row(Reason.charge_unknown, charge_unknown),
    Row(Reason.invoice_unknown, invoice_unknown),
    Row(Reason.adjustment_exceeds, adjustment_exceeds, {"needed": 26, "available": 25}),
    Row(Reason.unpriced, unpriced, {"top_up": None, "retry_after_us": None}),
    Row(Reason.in_debt, owes, {"available": -30, "top_up": 40}),
    Row(Reason.overdue, overdue, {"top_up": None}),
    Row(Reason.rate_limited, rate_limited, {"retry_after_us": 7_000_000}),
    Row(Reason.window_exhausted, window_exhausted, {"needed": 20, "available": 19, "retry_after_us": 585_000_000}),
    Row(Reason.too_many_open, too_many_open, {"retry_after_us": 45_000_000}),
    Row(Reason.insufficient_credits, insufficient_credits, {"needed": 75, "available": 60, "top_up": 15}),
    Row(Reason.overflow, overflow),
    Row(Reason.policy_failed, policy_failed),
    Row(Reason.batch_open, batch_open),
]


def test_the_list_is_closed_and_in_the_order_of_the_contract():
    order = """malformed, key_reused, key_too_old, payment_reversed, plan_unknown, plan_retired, agent_unknown,
    agent_retired, agent_not_in_plan, endpoint_not_allowed, trial_used, not_subscribed, frozen, expired,
    request_unknown, request_closed, charge_unknown, invoice_unknown, adjustment_exceeds, unpriced, in_debt, overdue,
    rate_limited, window_exhausted, too_many_open, insufficient_credits, overflow, policy_failed, batch_open"""
    assert [str(reason) for reason in Reason] == order.replace(",", "").split()


@pytest.mark.parametrize("reason", Reason)
def test_a_refusal_says_what_to_do_and_the_error_ends_with_it(reason):
    refused = Refused(reason)
    with pytest.raises(PaymentRequired) as caught:
        refused.unwrap()
    assert caught.value.hint == refused.hint
    assert "".join(format_exception(caught.value)).endswith(f"\nhint: {refused.hint}\n")


def test_every_reason_has_a_row_in_order():
    assert [row.reason for row in REFUSALS] == list(Reason)


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: str(row.reason))
def test_each_reason_is_given_with_its_facts_and_leaves_no_mark(shop, row):
    command = row.refused(shop)
    if command is not None:
        answer = shop.refuses(command, row.reason, **(row.facts or {}))
        assert shop.refuses(command, row.reason) == answer, "asked again, the same is told"


CREDITS = "needed", "available", "top_up"


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: str(row.reason))
def test_credits_of_a_refusal_are_shown_in_the_plan_s_decimals(shop, monkeypatch, row):
    """The same refusal on a plan of whole credits and, read back from its text, on one of two decimals."""
    whole, cents = shop.plan, {"decimals": 2}
    monkeypatch.setattr(shop, "plan", lambda plan="pro", **terms: whole(plan, **(cents | terms)))
    command = row.refused(shop)
    if command is not None:
        refused = shop.refuses(command, row.reason)
        credits = [refused.facts[name] for name in CREDITS if name in refused.facts]
        if credits and row.reason != Reason.too_many_open:  # which counts requests
            assert refused.facts["decimals"] == 2
            assert all(f"{credit / 100:.2f}" in str(refused) for credit in credits)


def hundredfold(shop):
    """A plan of two decimals, of which 10.00 are charged."""
    return shop.given(shop.plan(decimals=2, credits=10_000), shop.buy(), shop.charge_directly(1_000))


def test_a_usage_correction_that_exceeds_says_so_in_the_plan_s_decimals(shop):
    charge = hundredfold(shop)
    shop.given(shop.correct(charge, -500))
    detail = "the usage correction is worth 6.00 credits, and only 5.00 can be returned"
    shop.refuses(shop.correct(charge, usage={"units": -600}), Reason.adjustment_exceeds, detail=detail, decimals=2)


def test_money_of_a_refusal_is_shown_in_the_asset_s_decimals(shop):
    shop.given(shop.plan("other"), shop.buy(plan="other", payment="o"))
    too_much = shop.reverse(plan="other", payment="o", amount=1_001)
    detail = "the amount is more than the payment has left to reverse: 10.00 USD"
    shop.refuses(too_much, Reason.malformed, detail=detail)
    shop.given(shop.postpaid(), shop.subscribe(), shop.charge_directly(5))
    shop.at(20 * DAY).given(shop.pay(amount=20))
    shop.refuses(shop.pay(amount=31, payment="p2"), Reason.malformed, detail="amount: 0.30 USD is owed on invoice 1")


def test_a_withdrawal_from_a_credit_line_says_how_money_is_paid_back(shop):
    shop.given(shop.postpaid(), shop.subscribe())
    detail = "a credit line is not withdrawn: `Reverse` what was paid too much, by its payment and amount"
    shop.refuses(shop.withdraw(), Reason.insufficient_credits, detail=detail)


def test_an_event_that_is_no_request_is_an_unknown_one(shop):
    bought = shop.given(shop.plan(), shop.buy())
    detail = f"there is no request {bought}: event {bought} is of the type purchased"
    for command in (shop.charge(bought, 1), shop.release(bought), shop.extend(bought, 10)):
        shop.refuses(command, Reason.request_unknown, detail=detail)
    request = shop.given(shop.ask(5))
    released = shop.given(shop.release(request))
    shop.refuses(shop.charge(request, 1), Reason.request_closed)
    shop.refuses(shop.charge(released, 1), Reason.request_unknown)


HTTP = {
    400: "malformed adjustment_exceeds unpriced overflow",
    403: "agent_not_in_plan endpoint_not_allowed frozen",
    404: "plan_unknown agent_unknown request_unknown charge_unknown invoice_unknown",
    409: "key_reused key_too_old payment_reversed trial_used request_closed batch_open",
    410: "plan_retired agent_retired",
    429: "rate_limited window_exhausted too_many_open",
    500: "policy_failed",
}


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_has_its_http_status(reason):
    statuses = {word: status for status, words in HTTP.items() for word in words.split()}
    assert Refused(reason).http_status == statuses.get(reason, 402)


def test_a_refusal_as_json():
    refused = Refused(Reason.insufficient_credits, {"needed": 3, "available": 2, "top_up": 1})
    expected = {"reason": "insufficient_credits", "facts": {"needed": 3, "available": 2, "top_up": 1}}
    assert msgspec.json.decode(msgspec.json.encode(refused)) == expected


# -- precedence: of two reasons that hold at once the earlier is given -------------------------------------------------


def sold_out_key(shop):
    shop.given(shop.plan(), shop.gift(1, key="k"), RetirePlan(plan="pro"))
    return shop.gift(2, key="k")


def trial_key(shop):
    shop.given(shop.plan(**TRIAL), shop.buy(key="k"))
    return shop.buy(key="k", payment="again")


def charge_key(shop):
    shop.given(shop.plan(), shop.buy())
    request = shop.given(shop.ask(5))
    shop.given(shop.charge(request, 1, key="k"))
    return shop.charge(request, 2, key="k")


def with_account(shop, command, *more):
    shop.given(shop.plan(), shop.buy(), shop.gift(1, key="k"), *more)
    return command


def paid_and_reversed(shop, command, *more):
    shop.given(shop.plan(), shop.buy(payment="7"), shop.reverse(payment="7"), *more)
    return command


def plan_retired_and_bought(shop):
    shop.given(shop.plan(), shop.buy(), RetirePlan(plan="pro"))


def retired(shop, command, **terms):
    shop.given(shop.plan(**terms), shop.buy(), RetirePlan(plan="pro"))
    return command


def two_failings_of_an_agent(shop, command, **said):
    retired_bot(shop, **said)
    return command


def frozen_and(shop, prepare, command):
    prepare(shop)
    shop.given(shop.freeze())
    return command


def expired_in_debt(shop):
    in_debt(shop, seconds=100)
    return shop.at(100).ask(1)


def expired_under_rate(shop):
    limited(shop, rate=RateLimit(1, 1000), seconds=100)
    return shop.at(100).ask(1)


def closed_and_too_large(shop):
    shop.given(shop.plan(parameters={"weights": {"units": 2}}), shop.buy())
    request = shop.given(shop.ask(1))
    shop.given(shop.release(request))
    return shop.charge(request, MOST)


def delta_below_and_beyond(shop):
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly({"units": 10, "calls": 1}))
    return shop.correct(charge, usage={"units": -11, "calls": MOST})


def owing_and_repriced(shop, units, policy="complexity", **parameters):
    in_debt(shop)
    shop.given(shop.reprice(policy=policy, **parameters))
    return shop.ask(units)


def owing_and_limited(shop, **limits):
    shop.given(shop.plan(**OWING, limits=Limits(**limits)), shop.buy(), shop.ask(1), shop.charge_directly(130))
    return shop.ask(1)


def two_limits(shop, units=1, reprice=None, **limits):
    limited(shop, **limits)
    if reprice:
        shop.given(shop.reprice(**reprice))
    return shop.ask(units)


RATE, WINDOW = RateLimit(1, 10), CreditsLimit(1, 1000)
FAILING = {"policy": "failing"}
DOUBLE = {"weights": {"units": 2}}
UNREAD = {"pages": 1}

PAIRS = {
    "malformed, key_reused": lambda s: with_account(s, s.gift(0, key="k")),
    "malformed, key_reused (both credits and usage)": lambda s: with_account(
        s, s.correct_period("2023-11", 1, usage={"units": 1}, key="k")
    ),
    "malformed, key_too_old": lambda s: with_account(s, s.gift(0, key="old", issued_at=LONG_AGO)),
    "malformed, plan_unknown (a gift of nothing)": lambda s: s.gift(plan="nowhere"),
    "malformed, plan_unknown (a direct charge in parts)": lambda s: s.charge_directly(1, plan="nowhere", final=False),
    "malformed, plan_unknown (no such policy)": lambda s: s.reprice("nowhere", "nothing"),
    "malformed, plan_retired (no such policy)": lambda s: retired(s, s.reprice(policy="nothing")),
    "malformed, plan_retired (a gift of nothing)": lambda s: retired(s, s.gift()),
    "malformed, agent_unknown (a direct charge in parts)": lambda s: with_account(
        s, s.charge_directly(1, agent="nobody", final=False)
    ),
    "malformed, request_unknown": lambda s: with_account(s, Charge(request=999, plan="pro")),
    "malformed, charge_unknown": lambda s: with_account(s, s.correct(999, 1, usage={"units": 1})),
    "malformed, charge_unknown (a charge and a plan)": lambda s: with_account(
        s, Adjust(charge=999, credits=1, plan="pro")
    ),
    "key_reused, key_too_old": lambda s: with_account(s, s.gift(2, key="k", issued_at=LONG_AGO)),
    "key_reused, plan_retired": sold_out_key,
    "key_reused, agent_unknown": lambda s: with_account(s, s.ask(1, agent="nobody", key="k")),
    "key_reused, trial_used": trial_key,
    "key_reused, frozen": lambda s: with_account(s, s.ask(1, key="k"), s.freeze()),
    "key_reused, request_closed": charge_key,
    "key_reused, insufficient_credits": lambda s: with_account(s, s.ask(1000, key="k")),
    "key_too_old, plan_unknown": lambda s: s.buy(plan="nowhere", key="k", issued_at=LONG_AGO),
    "key_too_old, request_unknown": lambda s: s.charge(999, 1, key="k", issued_at=LONG_AGO),
    "key_too_old, charge_unknown": lambda s: s.correct(999, 1, key="k", issued_at=LONG_AGO),
    "key_reused, payment_reversed": lambda s: paid_and_reversed(s, s.buy(payment="7", start=5)),
    "payment_reversed, plan_retired": lambda s: paid_and_reversed(s, s.buy(payment="7"), RetirePlan(plan="pro")),
    "payment_reversed, frozen": lambda s: paid_and_reversed(s, s.buy(payment="7"), s.freeze()),
    "plan_unknown, agent_unknown": lambda s: s.ask(1, plan="nowhere", agent="nobody"),
    "plan_unknown, not_subscribed": lambda s: s.ask(1, plan="nowhere", subscriber="bob"),
    "plan_unknown, charge_unknown": lambda s: s.correct_period("2020-01", -1, plan="nowhere"),
    "plan_retired, trial_used": lambda s: retired(s, s.buy(), **TRIAL),
    "plan_unknown, unpriced": lambda s: s.ask(UNREAD, plan="nowhere"),
    "plan_retired, frozen": lambda s: frozen_and(s, plan_retired_and_bought, s.buy()),
    "trial_used, frozen": lambda s: frozen_and(s, trial_used, s.buy()),
    "agent_unknown, unpriced": lambda s: with_account(s, s.ask(UNREAD, agent="nobody")),
    "endpoint_not_allowed, unpriced": lambda s: with_account(s, s.ask(UNREAD, **ASIDE), bot()),
    "not_subscribed, unpriced": lambda s: with_account(s, s.ask(UNREAD, subscriber="bob")),
    "frozen, unpriced": lambda s: with_account(s, s.ask(UNREAD), s.freeze()),
    "frozen, overflow (a purchase)": lambda s: frozen_and(
        s, lambda shop: shop.given(shop.plan(credits=MOST), shop.buy()), s.buy()
    ),
    "expired, unpriced": lambda s: expired(s) and s.ask(UNREAD),
    "unpriced, in_debt": lambda s: in_debt(s) or s.ask(UNREAD),
    "unpriced, rate_limited": lambda s: limited(s, rate=RATE) or s.ask(UNREAD),
    "unpriced, window_exhausted": lambda s: limited(s, credits=WINDOW) or s.ask(UNREAD),
    "unpriced, too_many_open": lambda s: limited(s, open=1) or s.ask(UNREAD),
    "unpriced, insufficient_credits": lambda s: with_account(s, s.ask({"units": 1000, "pages": 1})),
    "unpriced, overflow": lambda s: owing_and_repriced(s, {"units": MOST, "pages": 1}, **DOUBLE),
    "agent_unknown, not_subscribed": lambda s: with_account(s, s.ask(1, agent="nobody", subscriber="bob")),
    "agent_unknown, not_subscribed (a direct charge)": lambda s: with_account(
        s, s.charge_directly(1, agent="nobody", subscriber="bob")
    ),
    "agent_retired, agent_not_in_plan": lambda s: two_failings_of_an_agent(s, s.ask(1, agent="bot"), plans=("other",)),
    "agent_retired, endpoint_not_allowed": lambda s: two_failings_of_an_agent(s, s.ask(1, **ASIDE)),
    "agent_not_in_plan, endpoint_not_allowed": lambda s: with_account(s, s.ask(1, **ASIDE), bot(plans=())),
    "agent_not_in_plan, not_subscribed": lambda s: with_account(s, s.ask(1, **ASIDE, subscriber="bob"), bot(plans=())),
    "endpoint_not_allowed, not_subscribed": lambda s: with_account(s, s.ask(1, **ASIDE, subscriber="bob"), bot()),
    "endpoint_not_allowed, frozen": lambda s: with_account(s, s.ask(1, **ASIDE), bot(), s.freeze()),
    "endpoint_not_allowed, insufficient_credits": lambda s: with_account(s, s.ask(1000, **ASIDE), bot()),
    "trial_used, overflow": lambda s: s.given(s.plan(**TRIAL, credits=MOST), s.buy()) and s.buy(),
    "not_subscribed, charge_unknown": lambda s: with_account(s, s.correct_period("2020-01", -1, subscriber="bob")),
    "not_subscribed, policy_failed": lambda s: s.given(s.plan(policy="failing", parameters={})) and s.ask(1),
    "not_subscribed, overflow": lambda s: s.given(s.plan(parameters=DOUBLE)) and s.charge_directly(MOST),
    "frozen, expired": lambda s: frozen_and(s, expired, s.ask(1)),
    "frozen, in_debt": lambda s: frozen_and(s, in_debt, s.ask(1)),
    "frozen, rate_limited": lambda s: frozen_and(s, rate_limited, s.ask(1)),
    "expired, in_debt": expired_in_debt,
    "expired, rate_limited": expired_under_rate,
    "request_closed, overflow": closed_and_too_large,
    "adjustment_exceeds, overflow": delta_below_and_beyond,
    "in_debt, rate_limited": lambda s: owing_and_limited(s, rate=RATE),
    "in_debt, window_exhausted": lambda s: owing_and_limited(s, credits=WINDOW),
    "in_debt, too_many_open": lambda s: owing_and_limited(s, open=1),
    "in_debt, insufficient_credits": lambda s: in_debt(s) or s.ask(1000),
    "in_debt, overflow": lambda s: owing_and_repriced(s, MOST, **DOUBLE),
    "in_debt, policy_failed": lambda s: owing_and_repriced(s, 1, "failing"),
    "rate_limited, window_exhausted": lambda s: two_limits(s, rate=RATE, credits=WINDOW),
    "rate_limited, too_many_open": lambda s: two_limits(s, rate=RATE, open=1),
    "rate_limited, insufficient_credits": lambda s: two_limits(s, 1000, rate=RATE),
    "rate_limited, overflow": lambda s: two_limits(s, MOST, DOUBLE, rate=RATE),
    "rate_limited, policy_failed": lambda s: two_limits(s, 1, FAILING, rate=RATE),
    "window_exhausted, too_many_open": lambda s: two_limits(s, credits=WINDOW, open=1),
    "window_exhausted, insufficient_credits": lambda s: two_limits(s, 1000, credits=WINDOW),
    "too_many_open, insufficient_credits": lambda s: two_limits(s, 1000, open=1),
    "too_many_open, overflow": lambda s: two_limits(s, MOST, DOUBLE, open=1),
    "too_many_open, policy_failed": lambda s: two_limits(s, 1, FAILING, open=1),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_precedence_of_two_reasons_the_earlier_is_given(shop, pair):
    earlier, later = pair.partition(" (")[0].split(", ")
    assert list(Reason).index(Reason(earlier)) < list(Reason).index(Reason(later))
    shop.refuses(PAIRS[pair](shop), Reason(earlier))


# -- what else a refusal is --------------------------------------------------------------------------------------------


def test_a_refusal_is_a_value_and_the_context_manager_raises_it(shop):
    shop.given(shop.plan(), shop.gift(1))
    with pytest.raises(PaymentRequired) as raised, shop.ledger.request("alice", "pro", estimate={"units": 2}):
        pytest.fail("what was refused was admitted")
    assert raised.value.refused.facts == {"needed": 2, "available": 1, "top_up": 1}


def test_only_accepted_commands_are_remembered(shop):
    """The same command with the same key is refused, and passes after a top-up."""
    shop.given(shop.plan(), shop.gift(1))
    shop.refuses(shop.ask(2, key="k"), Reason.insufficient_credits)
    shop.given(shop.gift(1), shop.ask(2, key="k"))


def test_a_failing_policy_refuses_its_own_command_and_not_its_neighbours(shop):
    shop.given(shop.plan(), shop.buy(), shop.plan("bad", policy="failing", parameters={}), shop.buy(plan="bad"))
    answers = shop.ledger.execute_many([shop.ask(1), shop.ask(1, plan="bad"), shop.ask(1)])
    assert [bool(answer) for answer in answers] == [True, False, True]
    assert answers[1].reason == Reason.policy_failed


def test_a_group_of_nothing_but_refusals_writes_nothing(shop):
    shop.given(shop.plan(), shop.gift(1))
    head, state = shop.ledger.head, shop.ledger.state()
    assert not any(shop.ledger.execute_many([shop.ask(2), shop.buy(plan="nowhere"), shop.gift(0)]))
    assert (shop.ledger.head, shop.ledger.state()) == (head, state)


def test_refused_is_written_only_where_the_plan_says_so_and_in_the_next_commit(shop):
    """Three refusals write nothing of their own; the next command that is accepted brings one event of three."""
    shop.given(shop.plan(record_refusals=True), shop.gift(1), shop.plan("quiet"), shop.gift(1, plan="quiet"))
    for _ in range(3):
        shop.refuses(shop.ask(2), Reason.insufficient_credits)
        shop.refuses(shop.ask(2, plan="quiet"), Reason.insufficient_credits)
    shop.at(1).when(shop.gift(1))
    (refused,) = [entry.event for entry in shop.wrote if shop.stored(entry.seq)["type"] == "refused"]
    assert (refused.reason, refused.plan, refused.count) == ("insufficient_credits", "pro", 3)
    shop.when(shop.gift(1))
    assert "refused" not in shop.types
