"""Trials, once per subscriber, and gifts: lots that cost nothing and earn nothing (design.md, sections 3 and 4)."""

import pytest

from ledger import Reason

TRIAL = {"trial": True, "price": {}, "credits": 10}


def test_a_trial_is_bought_at_no_price(shop):
    lot = shop.given(shop.plan(**TRIAL), shop.buy())
    assert (shop.event(lot).kind, shop.event(lot).cost, shop.event(lot).credits) == ("trial", 0, 10)
    shop.given(shop.charge_directly(10))
    assert shop.earned == 0


def test_a_trial_has_no_price(shop):
    shop.refuses(shop.plan(trial=True), Reason.malformed)


def test_a_trial_is_used_once_a_subscriber(shop):
    shop.given(shop.plan(**TRIAL), shop.buy())
    shop.refuses(shop.buy(), Reason.trial_used)
    shop.when(shop.buy(subscriber="bob"))


def test_a_trial_is_used_once_also_by_two_commands_of_one_group(shop):
    shop.given(shop.plan(**TRIAL))
    first, second = shop.ledger.execute_many([shop.buy(), shop.buy()])
    assert first
    assert second.reason == Reason.trial_used


def test_a_trial_that_is_used_up_or_has_expired_stays_used(shop):
    shop.given(shop.plan(**TRIAL, seconds=100), shop.buy(), shop.charge_directly(10))
    shop.refuses(shop.buy(), Reason.trial_used)
    shop.at(1000).refuses(shop.buy(), Reason.trial_used)


def test_a_trial_that_was_withdrawn_stays_used(shop):
    shop.given(shop.plan(**TRIAL), shop.buy(), shop.withdraw())
    shop.refuses(shop.buy(), Reason.trial_used)


@pytest.mark.parametrize("leaves", ["withdraw", "reverse"])
def test_a_trial_that_was_cancelled_before_it_started_stays_used(shop, leaves):
    """Once a subscriber: taking it is using it."""
    lot = shop.given(shop.plan(**TRIAL), shop.buy(start=100))
    shop.given(shop.withdraw() if leaves == "withdraw" else shop.reverse(lot))
    shop.refuses(shop.buy(), Reason.trial_used)


def test_a_repeated_key_is_the_first_answer_not_a_second_trial(shop):
    shop.given(shop.plan(**TRIAL))
    first = shop.given(shop.buy(key="try"))
    head = shop.ledger.head
    assert shop.when(shop.buy(key="try")) == first
    assert shop.ledger.head == head


def test_trials_of_two_plans_are_two_trials(shop):
    shop.given(shop.plan(**TRIAL), shop.plan("other", **TRIAL), shop.buy())
    shop.when(shop.buy(plan="other"))


def test_a_gift_is_no_trial(shop):
    """Who was given credits on a trial plan may still try it."""
    shop.given(shop.plan(**TRIAL), shop.gift(5))
    shop.when(shop.buy())
    shop.leaves(available=15)


def test_a_gift_opens_an_account(shop):
    lot = shop.given(shop.plan(), shop.gift(10))
    assert (shop.event(lot).kind, shop.event(lot).account) == ("gift", 1)
    shop.when(shop.ask(10))


def test_a_gift_costs_nothing_and_earns_nothing(shop):
    lot = shop.given(shop.plan(), shop.gift(10))
    shop.given(shop.charge_directly(10))
    shop.lot_has(lot, cost=0, earned=0, spent=10)
    assert (shop.earned, shop.money("payer")) == (0, 0)


def test_a_gift_may_expire(shop):
    """At a moment; or after its seconds, which count from the end of the window that a gift with an expiry is."""
    shop.given(shop.plan(), shop.gift(10, expiry=100), shop.gift(10, seconds=50))
    shop.at(99).leaves(available=10, lapsed=0)
    shop.at(100).leaves(available=10, lapsed=10)
    shop.at(149).leaves(available=10, lapsed=10)
    shop.at(150).leaves(available=0, lapsed=20)


def test_a_gift_may_be_a_window(shop):
    """50 seconds on a plan of time, after the 100 that were bought."""
    shop.given(shop.window(), shop.buy())
    lot = shop.given(shop.gift(seconds=50))
    shop.lot_has(lot, start=shop.moment(100), expiry=shop.moment(150), cost=0)
    shop.at(149).when(shop.ask())
    shop.at(150).refuses(shop.ask(), Reason.expired)


def test_a_gift_has_the_plans_priority_unless_it_has_its_own(shop):
    lot = shop.given(shop.plan(priority=3), shop.gift(10))
    own = shop.given(shop.gift(10, priority=0))
    assert (shop.event(lot).priority, shop.event(own).priority) == (3, 0)


@pytest.mark.parametrize("nothing", [{}, {"credits": 0}, {"credits": 0, "start": 50}])
def test_a_gift_of_nothing_is_malformed(shop, nothing):
    shop.given(shop.plan())
    shop.refuses(shop.gift(**nothing), Reason.malformed)


def test_a_gift_that_has_expired_before_it_starts_is_malformed(shop):
    shop.given(shop.plan())
    shop.at(100).refuses(shop.gift(10, expiry=100), Reason.malformed)
    shop.refuses(shop.gift(10, expiry=50), Reason.malformed)
    shop.refuses(shop.gift(10, start=300, expiry=200), Reason.malformed)
    shop.refuses(shop.gift(10, start=300, expiry=300), Reason.malformed)
    shop.when(shop.gift(10, start=300, expiry=301))


@pytest.mark.parametrize("expiry", [60, 100])
def test_a_window_that_would_expire_while_it_queues_is_malformed(shop, expiry):
    """A window was bought until 100: the gift's would begin then."""
    shop.given(shop.window(), shop.buy())
    shop.refuses(shop.gift(seconds=50, expiry=expiry), Reason.malformed)
    shop.when(shop.gift(seconds=50, expiry=101))
