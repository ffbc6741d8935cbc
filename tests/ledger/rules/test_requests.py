"""Requests: what they hold, how long they last, how they end (design.md, section 6)."""

import pytest

from ledger import Reason, Request


def hold(shop, request):
    return shop.event(request).hold


def test_a_hold_is_the_quote_of_the_estimate(shop):
    """12 tokens at 1/5 are 2.4 credits: 3 are held."""
    shop.given(shop.plan(parameters={"weights": {"tokens": "1/5"}}), shop.buy())
    assert hold(shop, shop.when(shop.ask({"tokens": 12}))) == 3


def test_a_hold_covers_what_is_pending_where_more_costs_more(shop):
    """10 units at 1, then at 3. Two requests of 10: whichever is charged last costs 30, so the second holds 30."""
    shop.given(shop.tiers((10, 1), (None, 3)), shop.buy())
    first, second = shop.given(shop.ask(10)), shop.given(shop.ask(10))
    assert (hold(shop, first), hold(shop, second)) == (10, 30)


def test_a_request_takes_on_what_one_that_was_released_does_not_hold_any_more(shop):
    """10 units at 3, then at 1. Both together cost 40, so the second holds 10; where the first is voided, it costs 30
    alone, and holds that at once."""
    shop.given(shop.tiers((10, 3), (None, 1)), shop.buy())
    first, second = shop.given(shop.ask(10)), shop.given(shop.ask(10))
    assert (hold(shop, first), hold(shop, second)) == (30, 10)
    shop.given(shop.release(first))
    assert shop.types == ["released", "reheld"]
    assert (shop.wrote[1].event.request, shop.wrote[1].event.draws) == (second, ((2, 30),))
    shop.leaves(available=70, held=30)
    assert shop.draws(shop.when(shop.charge(second, 10))) == [(2, 30)]


def test_a_hold_counts_from_the_periods_meter(shop):
    """10 units are charged already at 1; 10 more are quoted at 3."""
    shop.given(shop.tiers((10, 1), (None, 3)), shop.buy(), shop.charge_directly(10))
    assert hold(shop, shop.when(shop.ask(10))) == 30


def test_a_charged_request_is_no_longer_pending(shop):
    shop.given(shop.tiers((10, 1), (None, 3)), shop.buy())
    shop.given(shop.charge(shop.given(shop.ask(5)), 0))
    assert hold(shop, shop.when(shop.ask(10))) == 10


def test_requests_of_a_policy_of_requests_do_not_add_up(shop):
    """A minimum of 5 is for each request, however many are open."""
    shop.given(shop.plan(parameters={"weights": {"units": 1}, "minimum": 5}), shop.buy())
    assert [hold(shop, shop.when(shop.ask(2))) for _ in range(3)] == [5, 5, 5]


def test_an_empty_estimate_holds_at_least_1(shop):
    """Nothing is known of it, and without a hold any number of such requests would pass."""
    shop.given(shop.plan(), shop.gift(2))
    assert [hold(shop, shop.when(shop.ask())) for _ in range(2)] == [1, 1]
    shop.refuses(shop.ask(), Reason.insufficient_credits, needed=1, available=0)


def test_a_request_that_the_tariff_prices_at_0_holds_nothing(shop):
    """What is free passes on an empty account."""
    shop.given(shop.plan(policy="per_credit", parameters={"credits": 0}), shop.gift(1), shop.charge_directly())
    shop.given(shop.withdraw())
    assert hold(shop, shop.when(shop.ask({"calls": 1}))) == 0


def test_an_empty_estimate_of_a_priced_request_holds_its_price(shop):
    shop.given(shop.plan(policy="per_credit", parameters={"credits": 7}), shop.buy())
    assert hold(shop, shop.when(shop.ask())) == 7


def test_held_credits_are_gone_from_available(shop):
    """100 cover three requests of 30; the fourth lacks 20."""
    shop.given(shop.plan(), shop.buy(), shop.ask(30), shop.ask(30), shop.ask(30))
    shop.refuses(shop.ask(30), Reason.insufficient_credits, needed=30, available=10, top_up=20)
    shop.leaves(available=10, held=90, spent=0)


def test_requests_of_one_group_never_hold_more_than_there_is(shop):
    """Four at once in one commit: three pass. The fourth does when it buys 20, or when the others have expired."""
    shop.given(shop.plan(), shop.buy())
    answers = shop.ledger.execute_many([shop.ask(30)] * 4)
    assert [bool(answer) for answer in answers] == [True, True, True, False]
    assert answers[3].facts == {"needed": 30, "available": 10, "top_up": 20, "retry_after_us": 600_000_000}
    shop.leaves(available=10, held=90)


def test_the_smallest_top_up_lets_the_request_pass(shop):
    """30 are needed and 10 available: a gift of 19 does not do, one more does."""
    shop.given(shop.plan(), shop.gift(10))
    top_up = shop.refuses(shop.ask(30), Reason.insufficient_credits).facts["top_up"]
    shop.given(shop.gift(top_up - 1))
    shop.refuses(shop.ask(30), Reason.insufficient_credits, top_up=1)
    shop.given(shop.gift(1), shop.ask(30))


def test_time_plans_hold_nothing_but_log_the_request(shop):
    shop.given(shop.window(), shop.buy())
    request = shop.when(shop.ask({"seconds": 500}))
    assert shop.types == ["requested"]
    assert (hold(shop, request), shop.draws(request)) == (0, [])
    shop.leaves(open_requests=1, available=0, held=0)
    charge = shop.when(shop.charge(request, {"seconds": 500}))
    assert (shop.event(charge).credits, shop.event(charge).usage) == (0, {"seconds": 500})


def test_a_request_keeps_the_tariff_under_which_it_was_admitted(shop):
    """A unit costs 1, then 5. What was admitted at 1 is charged at 1, each part of it."""
    shop.given(shop.plan(), shop.buy())
    request = shop.given(shop.ask(10))
    shop.given(shop.reprice(weights={"units": 5}))
    part, rest = shop.given(shop.part(request, 4)), shop.given(shop.charge(request, 6))
    assert [(shop.event(each).tariff, shop.event(each).credits) for each in (part, rest)] == [(1, 4), (1, 6)]
    later = shop.when(shop.ask(10))
    assert (shop.event(later).tariff, hold(shop, later)) == (2, 50)


def test_a_late_charge_keeps_the_tariff_of_its_admission(shop):
    shop.given(shop.plan(hold_seconds=60), shop.buy())
    request = shop.given(shop.ask(10))
    shop.at(70).given(shop.reprice(weights={"units": 5}))
    assert shop.event(shop.when(shop.charge(request, 10))).credits == 10


def test_a_deadline_is_the_plans_hold_time(shop):
    shop.given(shop.plan(hold_seconds=60), shop.buy())
    assert shop.event(shop.at(5).when(shop.ask(1))).deadline == shop.moment(65)


def deadline(shop):
    """When the one open request ends, in seconds."""
    (request,) = shop.ledger.requests()
    return (request.deadline - shop.moment(0)) // 1_000_000


def test_extend_moves_the_deadline_up_to_the_plans_longest_request(shop):
    """60 seconds of hold, 150 at the longest: 60 more at 30 is 90; 100 more at 80 would be 180, and is 150."""
    shop.given(shop.plan(hold_seconds=60, longest_seconds=150), shop.buy())
    request = shop.given(shop.ask(1))
    shop.at(30).when(shop.extend(request, 60))
    assert deadline(shop) == 90
    shop.at(80).when(shop.extend(request, 100))
    assert deadline(shop) == 150
    shop.at(150).refuses(shop.extend(request, 10), Reason.request_closed)


def test_a_partial_charge_moves_the_deadline(shop):
    """At 50 to 110; at 100 it would be 160, and is 150, the longest."""
    shop.given(shop.plan(hold_seconds=60, longest_seconds=150), shop.buy())
    request = shop.given(shop.ask(10))
    shop.at(50).when(shop.part(request, 1))
    assert deadline(shop) == 110
    shop.at(100).when(shop.part(request, 1))
    assert deadline(shop) == 150


def test_a_deadline_never_moves_back(shop):
    """Extended to 150 at 10; neither a partial charge (80) nor an extension by nothing takes that away."""
    shop.given(shop.plan(hold_seconds=60, longest_seconds=150), shop.buy())
    request = shop.given(shop.ask(10))
    shop.at(10).given(shop.extend(request, 140))
    shop.at(20).when(shop.part(request, 1))
    assert deadline(shop) == 150
    shop.when(shop.extend(request, 0))
    assert deadline(shop) == 150


def test_a_request_that_expired_returns_its_hold(shop):
    shop.given(shop.plan(hold_seconds=60), shop.buy(), shop.ask(30))
    shop.at(60).leaves(available=100, held=0, open_requests=0)
    shop.tick()
    assert (shop.types, shop.wrote[0].event.reason) == (["released"], "expired")


def test_a_request_that_expired_may_still_be_charged_once_within_the_late_window(shop):
    """Expired at 60, late until 160: one charge, from available, marked late; a second finds it closed."""
    lot = shop.given(shop.plan(hold_seconds=60, late_seconds=100), shop.buy())
    request = shop.given(shop.ask(30))
    charge = shop.at(160, microseconds=-1).when(shop.charge(request, 40))
    assert shop.event(charge).late
    assert shop.draws(charge) == [(lot, 40)]
    shop.leaves(available=60, held=0, spent=40)
    shop.refuses(shop.charge(request, 1), Reason.request_closed)


def test_the_late_window_is_half_open(shop):
    shop.given(shop.plan(hold_seconds=60, late_seconds=100), shop.buy())
    request = shop.given(shop.ask(30))
    shop.at(160).refuses(shop.charge(request, 1), Reason.request_closed)


def test_the_late_window_is_a_day_by_default(shop):
    shop.given(shop.plan(hold_seconds=60), shop.buy())
    first, second = shop.given(shop.ask(1)), shop.given(shop.ask(1))
    shop.at(60 + 86_399).when(shop.charge(first, 1))
    shop.at(60 + 86_400).refuses(shop.charge(second, 1), Reason.request_closed)


@pytest.mark.parametrize("reason", ["voided", "failed"])
def test_a_request_that_was_voided_may_not_be_charged_late(shop, reason):
    shop.given(shop.plan(), shop.buy())
    request = shop.given(shop.ask(30))
    shop.given(shop.release(request, reason))
    shop.refuses(shop.charge(request, 1), Reason.request_closed)
    shop.refuses(shop.release(request), Reason.request_closed)


def test_a_late_charge_takes_from_available_only(shop):
    """Another request holds 80 of the 100 by now: 30 come to 20, and 10 are missing."""
    shop.given(shop.plan(hold_seconds=60, late_seconds=100), shop.buy())
    request = shop.given(shop.ask(30))
    shop.at(70).given(shop.ask(80))
    late = shop.event(shop.when(shop.charge(request, 30)))
    assert (late.credits, late.shortfall) == (20, 10)


def test_a_request_is_charged_finally_once(shop):
    shop.given(shop.plan(), shop.buy())
    request = shop.given(shop.ask(30))
    shop.given(shop.charge(request, 10))
    shop.refuses(shop.charge(request, 10), Reason.request_closed)
    shop.refuses(shop.extend(request, 10), Reason.request_closed)


def test_frozen_means_no_new_requests_while_open_ones_end_as_usual(shop):
    """One is charged in part and then finally, one is extended and voided, one expires and is charged late."""
    shop.given(shop.plan(hold_seconds=60), shop.buy())
    first, second, third = (shop.given(shop.ask(10)) for _ in range(3))
    shop.given(shop.freeze())
    shop.refuses(shop.ask(1), Reason.frozen)
    shop.given(shop.part(first, 2), shop.charge(first, 3), shop.extend(second, 90), shop.release(second))
    shop.at(70).given(shop.charge(third, 4))
    shop.leaves(available=91, held=0, spent=9)


def test_accounts_never_touch_each_other(shop):
    """Bob's requests hold nothing of Alice's, on the same plan."""
    shop.given(shop.plan(), shop.buy(), shop.buy(subscriber="bob"), shop.ask(100, subscriber="bob"))
    shop.leaves(available=100, held=0)
    shop.leaves(subscriber="bob", available=0, held=100)


def test_a_request_logs_what_was_said(shop):
    """Estimate, labels, method and URL are in the event, and its number is its sequence."""
    said = {"method": "POST", "url": "https://svc.example/ask", "labels": {"model": "m"}}
    shop.given(shop.plan(), shop.buy())
    request = shop.when(Request(subscriber="alice", plan="pro", estimate={"units": 2}, **said))
    stored = shop.stored(request)
    assert {name: stored[name] for name in said} == said
    assert stored["estimate"] == {"units": 2}
    assert [each.id for each in shop.ledger.requests()] == [request]
