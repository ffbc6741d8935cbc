"""Limits: request rate, credits per window, requests open at once. They guard requests only (design.md, section 6)."""

import pytest

from ledger import CreditsLimit, Limits, RateLimit, Reason


def rate(requests, seconds):
    return Limits(rate=RateLimit(requests, seconds))


def window(credits, seconds):
    return Limits(credits=CreditsLimit(credits, seconds))


def test_request_rate_lets_a_burst_pass_and_then_one_each_interval(shop):
    """2 in 10 seconds: two at once, the third 5 seconds later, not before; and then none before 10."""
    shop.given(shop.plan(limits=rate(2, 10)), shop.buy(), shop.ask(1), shop.ask(1))
    shop.refuses(shop.ask(1), Reason.rate_limited, retry_after_us=5_000_000)
    shop.at(5, microseconds=-1).refuses(shop.ask(1), Reason.rate_limited, retry_after_us=1)
    shop.at(5).when(shop.ask(1))
    shop.refuses(shop.ask(1), Reason.rate_limited, retry_after_us=5_000_000)
    shop.at(10).when(shop.ask(1))


def test_request_rate_saves_up_no_more_than_a_burst(shop):
    """After an hour of silence still only two at once."""
    shop.given(shop.plan(limits=rate(2, 10)), shop.buy())
    shop.at(3600).given(shop.ask(1), shop.ask(1))
    shop.refuses(shop.ask(1), Reason.rate_limited)


def test_request_rate_is_exact_where_the_interval_is_not_whole(shop):
    """3 in 1 second: after three at once the fourth waits ⌈1/3 s⌉ = 333334 µs, and not one less."""
    shop.given(shop.plan(limits=rate(3, 1)), shop.buy(), *[shop.ask(1)] * 3)
    shop.refuses(shop.ask(1), Reason.rate_limited, retry_after_us=333_334)
    shop.at(0, microseconds=333_333).refuses(shop.ask(1), Reason.rate_limited, retry_after_us=1)
    shop.at(0, microseconds=333_334).when(shop.ask(1))


def test_a_refused_request_does_not_count_for_the_rate(shop):
    """Fifty that were refused do not push the next one back."""
    shop.given(shop.plan(limits=rate(1, 10)), shop.buy(), shop.ask(1))
    for _ in range(50):
        shop.refuses(shop.ask(1), Reason.rate_limited, retry_after_us=10_000_000)
    shop.at(10).when(shop.ask(1))


def test_a_voided_request_counts_for_the_rate(shop):
    shop.given(shop.plan(limits=rate(1, 10)), shop.buy())
    shop.given(shop.release(shop.given(shop.ask(1))))
    shop.refuses(shop.ask(1), Reason.rate_limited)


def test_every_account_has_its_own_rate(shop):
    shop.given(shop.plan(limits=rate(1, 10)), shop.buy(), shop.buy(subscriber="bob"), shop.ask(1))
    shop.when(shop.ask(1, subscriber="bob"))


def test_credits_per_window_are_charges_plus_open_holds(shop):
    """50 in a minute: 20 charged and 20 held leave 10."""
    shop.given(shop.plan(limits=window(50, 60)), shop.buy(), shop.charge_directly(20), shop.ask(20))
    shop.at(20).refuses(shop.ask(11), Reason.window_exhausted, needed=11, available=10, retry_after_us=40_000_000)
    shop.when(shop.ask(10))


def test_what_a_hold_returns_is_free_again_in_the_window(shop):
    """40 held, 5 of them charged: 45 of 50 are left."""
    shop.given(shop.plan(limits=window(50, 60)), shop.buy())
    shop.given(shop.charge(shop.given(shop.ask(40)), 5))
    shop.refuses(shop.ask(46), Reason.window_exhausted, available=45)
    shop.when(shop.ask(45))


def test_windows_are_fixed_and_half_open(shop):
    """Windows of a minute count from the epoch: at 60 seconds a new one begins."""
    shop.given(shop.plan(limits=window(50, 60)), shop.buy())
    shop.at(59).given(shop.charge_directly(50))
    shop.at(60, microseconds=-1).refuses(shop.ask(1), Reason.window_exhausted, retry_after_us=1)
    shop.at(60).when(shop.ask(50))


def test_open_holds_count_in_every_window_while_they_are_open(shop):
    """40 held since the last window still count in this one; once charged, they count where they are charged."""
    shop.given(shop.plan(limits=window(50, 60)), shop.buy())
    request = shop.at(50).given(shop.ask(40))
    shop.at(61).refuses(shop.ask(11), Reason.window_exhausted, available=10)
    shop.given(shop.charge(request, 30))
    shop.refuses(shop.ask(21), Reason.window_exhausted, available=20)
    shop.at(120).when(shop.ask(50))


@pytest.mark.parametrize("said", [{"credits": -20}, {"usage": {"units": -20}}], ids=["credits", "usage"])
def test_what_is_given_back_is_free_again_in_the_window(shop, said):
    """30 of 50 charged and 20 returned: 40 are left in this window."""
    shop.given(shop.plan(limits=window(50, 60)), shop.buy())
    shop.given(shop.correct(shop.given(shop.charge_directly(30)), **said))
    shop.refuses(shop.ask(41), Reason.window_exhausted, available=40)
    shop.when(shop.ask(40))


@pytest.mark.parametrize("said", [{"credits": 15}, {"usage": {"units": 15}}], ids=["credits", "usage"])
def test_what_a_correction_takes_counts_in_the_window(shop, said):
    shop.given(shop.plan(limits=window(50, 60)), shop.buy())
    shop.given(shop.correct(shop.given(shop.charge_directly(30)), **said))
    shop.refuses(shop.ask(6), Reason.window_exhausted, available=5)
    shop.when(shop.ask(5))


@pytest.mark.parametrize("credits", [-30, 20])
def test_a_correction_of_a_charge_of_an_earlier_window_counts_in_none(shop, credits):
    """30 of the last window, 10 of this one: 40 are left, whatever the 30 come to."""
    shop.given(shop.plan(limits=window(50, 60)), shop.buy())
    charge = shop.given(shop.charge_directly(30))
    shop.at(60).given(shop.charge_directly(10), shop.correct(charge, credits))
    shop.refuses(shop.ask(41), Reason.window_exhausted, available=40)
    shop.when(shop.ask(40))


def test_a_charge_at_the_very_begin_of_a_window_is_of_that_window(shop):
    shop.given(shop.plan(limits=window(50, 60)), shop.buy(), shop.charge_directly(10))
    charge = shop.at(60).given(shop.charge_directly(30))
    shop.at(119).given(shop.correct(charge, -30))
    shop.when(shop.ask(50))


@pytest.mark.parametrize(("credits", "room"), [(-10, 40), (-30, 50), (15, 15)])
def test_a_correction_of_a_period_counts_in_the_current_window_which_is_never_below_0(shop, credits, room):
    """40 of the last window, 20 of this one."""
    shop.given(shop.plan(limits=window(50, 60)), shop.buy(), shop.charge_directly(40))
    shop.at(60).given(shop.charge_directly(20), shop.correct_period("2023-11", credits))
    shop.refuses(shop.ask(room + 1), Reason.window_exhausted, available=room)
    shop.when(shop.ask(room))


def test_what_was_given_back_twice_does_not_widen_the_window(shop):
    """By the period, then by the charge: the window's count is 0, and 50 are left, no more."""
    shop.given(shop.plan(limits=window(50, 60)), shop.buy(), shop.charge_directly(40))
    charge = shop.at(60).given(shop.charge_directly(20))
    shop.given(shop.correct_period("2023-11", -30), shop.correct(charge, -10))
    shop.refuses(shop.ask(51), Reason.window_exhausted, available=50)


def test_a_tier_that_is_reached_gives_credits_back_to_the_window(shop):
    """10 units at 3, all at 1 beyond: 10 cost 30, and the eleventh brings it to 11. 39 of 50 are left."""
    shop.given(shop.tiers((10, 3), (None, 1), policy="volume", limits=window(50, 60)), shop.buy())
    shop.given(shop.charge_directly(10), shop.charge_directly(1))
    shop.refuses(shop.ask(40), Reason.window_exhausted, available=39)
    shop.when(shop.ask(39))


def test_requests_open_at_once(shop):
    """Two may be open. The first ends at 100 by itself, unless it is charged before."""
    shop.given(shop.plan(limits=Limits(open=2), hold_seconds=100), shop.buy())
    first = shop.given(shop.ask(1))
    shop.at(30).given(shop.ask(1))
    shop.refuses(shop.ask(1), Reason.too_many_open, retry_after_us=70_000_000)
    shop.given(shop.part(first, 1))
    shop.refuses(shop.ask(1), Reason.too_many_open)
    shop.given(shop.charge(first, 0))
    shop.when(shop.ask(1))


def test_an_expired_request_is_not_open(shop):
    shop.given(shop.plan(limits=Limits(open=1), hold_seconds=100), shop.buy(), shop.ask(1))
    shop.at(99).refuses(shop.ask(1), Reason.too_many_open, retry_after_us=1_000_000)
    shop.at(100).when(shop.ask(1))


def test_limits_guard_requests_only(shop):
    """Finished work cannot be throttled: charges, in parts, late and direct ones, pass beyond all limits."""
    limits = Limits(rate=RateLimit(1, 1000), credits=CreditsLimit(10, 1000), open=1)
    shop.given(shop.plan(limits=limits, hold_seconds=60, longest_seconds=60), shop.buy())
    request = shop.given(shop.ask(10))
    shop.given(shop.part(request, 15), shop.charge_directly(20), shop.charge_directly(20))
    shop.at(60).given(shop.charge(request, 5))
    shop.leaves(spent=60)


def test_direct_charges_do_not_count_for_the_rate(shop):
    shop.given(shop.plan(limits=rate(1, 10)), shop.buy(), shop.charge_directly(1), shop.charge_directly(1))
    shop.when(shop.ask(1))
