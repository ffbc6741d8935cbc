"""What is over weighs nothing: 2^63 − 1 bounds what is open and every single amount, never a lifetime."""

from ledger import CreditsLimit, Limits, Reason

MOST = 2**63 - 1
HALF = 2**62


def test_credits_of_a_lifetime_have_no_bound(shop):
    """Given and used up three times over."""
    shop.given(shop.plan(overrun="debt", debt_limit=MOST))
    for _ in range(3):
        shop.given(shop.gift(MOST), shop.charge_directly(MOST))
    shop.leaves(issued=3 * MOST, spent=3 * MOST, available=0)
    shop.given(shop.correct_period("2023-11", -1))


def test_what_is_free_held_and_waits_has_a_bound(shop):
    """A half is free or held and the other waits: not a credit more; and as many again as were used."""
    shop.given(shop.plan(), shop.gift(HALF), shop.gift(MOST - HALF, start=50))
    shop.refuses(shop.gift(1), Reason.overflow)
    request = shop.given(shop.ask(HALF))
    shop.refuses(shop.gift(1), Reason.overflow)
    shop.given(shop.charge(request, 9))
    shop.refuses(shop.gift(10), Reason.overflow)
    shop.given(shop.gift(9))


def test_what_is_owed_has_its_part_in_the_bound(shop):
    """A lot may pay it, and be given back for it."""
    shop.given(shop.plan(overrun="debt", debt_limit=100), shop.gift(1), shop.charge_directly(101))
    shop.refuses(shop.gift(MOST - 99), Reason.overflow)
    shop.given(shop.gift(MOST - 100))
    shop.leaves(available=MOST - 200)


def test_what_lapsed_or_left_weighs_nothing(shop):
    shop.given(shop.plan(), shop.gift(MOST, expiry=50))
    shop.at(50).given(shop.gift(MOST))
    shop.given(shop.withdraw(), shop.gift(MOST))
    shop.leaves(issued=3 * MOST, available=MOST, lapsed=MOST, withdrawn=MOST)


def test_what_was_reversed_before_it_started_weighs_nothing(shop):
    shop.given(shop.plan(credits=MOST), shop.buy(start=50, payment="7"), shop.reverse(payment="7"))
    lot = shop.given(shop.buy())
    shop.refuses(shop.reinstate(payment="7"), Reason.overflow)
    shop.given(shop.reverse(lot), shop.reinstate(payment="7"))


def test_usage_of_a_lifetime_has_no_bound(shop):
    """A meter of many times 2^63 units, at 1 credit for 2^62 of them: each charge costs what it adds."""
    shop.given(shop.tiers((None, f"1/{HALF}")), shop.buy())
    events = [shop.event(shop.when(shop.charge_directly(MOST))) for _ in range(4)]
    assert [event.credits for event in events] == [2, 2, 2, 2]
    assert events[-1].before == {"units": 3 * MOST}
    assert shop.event(shop.when(shop.ask(MOST))).hold == 2


def test_usage_of_a_request_in_parts_has_no_bound(shop):
    shop.given(shop.plan(parameters={"weights": {"units": f"1/{HALF}"}}), shop.buy())
    request = shop.given(shop.ask(MOST))
    assert [shop.event(shop.when(shop.part(request, MOST))).credits for _ in range(3)] == [2, 2, 2]
    event = shop.event(shop.when(shop.charge(request, 1)))
    assert event.before == {"units": 3 * MOST}


def test_the_price_of_a_period_has_no_bound_and_that_of_a_charge_has(shop):
    """The period comes to more than 2^63 credits; each charge of it to no more."""
    shop.given(shop.tiers((None, 2)))
    for _ in range(3):
        shop.given(shop.gift(MOST - 1), shop.charge_directly(HALF - 1))
        shop.given(shop.withdraw() if shop.ledger.balance("alice", "pro").available else shop.gift(1))
    shop.refuses(shop.charge_directly(HALF), Reason.overflow)
    shop.refuses(shop.ask(HALF), Reason.insufficient_credits, needed=2 * HALF, top_up=None)


def test_a_shortfall_of_a_lifetime_has_no_bound(shop):
    """The period owes three times what one charge may come to; a correction of it takes what fits an event."""
    shop.given(shop.plan())
    for _ in range(3):
        shop.given(shop.charge(shop.given(shop.gift(1), shop.ask(1)), MOST))
    event = shop.event(shop.when(shop.correct_period("2023-11", usage={"units": -MOST})))
    assert (event.credits, event.shortfall) == (0, -MOST)
    shop.leaves(spent=3)


def test_a_limit_counts_beyond_64_bits(shop):
    """The credits of a window are a sum, too: nothing is left in it."""
    shop.given(shop.plan(limits=Limits(credits=CreditsLimit(10, 60))))
    for _ in range(2):
        shop.given(shop.gift(MOST), shop.charge_directly(MOST))
    shop.given(shop.gift(10))
    shop.refuses(shop.ask(1), Reason.window_exhausted, needed=1, available=0)
    shop.at(60).given(shop.ask(10))


def test_no_top_up_is_told_that_could_not_be_bought(shop):
    """Half of all that may be open waits, so that what is missing for the other half does not fit any more."""
    shop.given(shop.plan(), shop.gift(HALF, start=50), shop.gift(1))
    refused = shop.refuses(shop.ask(HALF + 10), Reason.insufficient_credits, needed=HALF + 10, available=1)
    assert "top_up" not in refused.facts
    refused = shop.refuses(shop.ask(HALF - 1), Reason.insufficient_credits, top_up=HALF - 2)
    shop.given(shop.gift(HALF - 2), shop.ask(HALF - 1))
