"""Draws: which lots a hold, a charge and what comes back touch, and in which order (design.md, section 4)."""

import pytest

from ledger.events import Reheld


def test_a_hold_takes_its_credits_from_lots_at_once(shop):
    """Of 100, 30 are held: 70 are available, and the lot itself says so."""
    lot = shop.given(shop.plan(), shop.buy())
    request = shop.when(shop.ask(30))
    assert shop.draws(request) == [(lot, 30)]
    shop.leaves(available=70, held=30, spent=0)
    shop.lot_has(lot, left=70, held=30)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ({"priority": 1}, {"priority": 0}),
        ({"priority": 1, "expiry": 100}, {"priority": 0, "expiry": 900}),
        ({"priority": 0}, {"priority": -1}),
        ({"expiry": 900}, {"expiry": 800}),
        ({}, {"expiry": 900}),
        ({"expiry": 900, "start": 40}, {"expiry": 900, "start": 30}),
        ({"expiry": 900, "start": 40}, {"expiry": 900}),
        ({"start": 40}, {"start": 30}),
    ],
    ids=lambda lot: ",".join(f"{name}={value}" for name, value in lot.items()) or "never expires",
)
def test_burn_order_is_priority_then_expiry_with_none_last_then_start(shop, older, newer):
    """The newer lot burns first in each of these cases, though its number is higher."""
    shop.given(shop.plan())
    shop.given(shop.gift(10, **older))
    first = shop.given(shop.gift(10, **newer))
    request = shop.at(50).when(shop.ask(7))
    assert shop.draws(request) == [(first, 7)]


def test_burn_order_ends_with_the_number_of_the_lot(shop):
    """Two gifts alike in all: the older burns first."""
    first = shop.given(shop.plan(), shop.gift(10))
    second = shop.given(shop.gift(10))
    assert shop.draws(shop.when(shop.ask(15))) == [(first, 10), (second, 5)]


def test_a_charge_takes_its_own_holds_draws_first(shop):
    """The hold is on a lot that never expires; a lot that expires came later and burns first, but only for the rest:
    12 charged are 10 of the hold and 2 of the new lot."""
    held = shop.given(shop.plan(), shop.gift(10))
    request = shop.given(shop.ask(10))
    newer = shop.given(shop.gift(10, expiry=900))
    charge = shop.when(shop.charge(request, 12))
    assert shop.draws(charge) == [(held, 10), (newer, 2)]


def test_a_charge_takes_its_holds_draws_in_their_order(shop):
    """25 are held as 10 of one lot and 15 of the next; 12 charged are 10 and 2, and 13 return to the second."""
    first = shop.given(shop.plan(), shop.gift(10, expiry=900))
    second = shop.given(shop.gift(20))
    request = shop.given(shop.ask(25))
    assert shop.draws(request) == [(first, 10), (second, 15)]
    charge = shop.when(shop.charge(request, 12))
    assert shop.draws(charge) == [(first, 10), (second, 2)]
    shop.lot_has(first, left=0, held=0, spent=10)
    shop.lot_has(second, left=18, held=0, spent=2)


def test_the_rest_of_a_hold_returns_to_its_own_lots(shop):
    """15 are held as 10 and 5; 4 are charged of the first; 6 return to the first and 5 to the second."""
    first = shop.given(shop.plan(), shop.gift(10, expiry=900))
    second = shop.given(shop.gift(20))
    shop.when(shop.charge(shop.given(shop.ask(15)), 4))
    shop.lot_has(first, left=6, spent=4)
    shop.lot_has(second, left=20, spent=0)
    shop.leaves(available=26, held=0, spent=4)


def test_a_released_hold_returns_to_its_own_lots(shop):
    first = shop.given(shop.plan(), shop.gift(10, expiry=900))
    second = shop.given(shop.gift(20))
    shop.when(shop.release(shop.given(shop.ask(15))))
    shop.lot_has(first, left=10, held=0)
    shop.lot_has(second, left=20, held=0)


def test_a_partial_charge_only_consumes(shop):
    """Of 30 held, 10 are charged in part: 20 stay held and nothing returns."""
    lot = shop.given(shop.plan(), shop.buy())
    request = shop.given(shop.ask(30))
    part = shop.when(shop.part(request, 10))
    assert shop.draws(part) == [(lot, 10)]
    shop.leaves(available=70, held=20, spent=10)
    shop.when(shop.charge(request, 5))
    shop.leaves(available=85, held=0, spent=15)


def test_a_partial_charge_beyond_the_hold_takes_what_is_available(shop):
    """Of 10 held, 25 are charged in part: the hold is empty, and 15 came of the available."""
    shop.given(shop.plan(), shop.buy())
    request = shop.given(shop.ask(10))
    shop.when(shop.part(request, 25))
    shop.leaves(available=75, held=0, spent=25, open_requests=1)
    shop.when(shop.charge(request, 5))
    shop.leaves(available=70, held=0, spent=30, open_requests=0)


def test_a_charge_never_takes_what_another_request_holds(shop):
    """90 of 100 are held by another: a charge of 30 that held 10 comes to 10, and 20 are missing."""
    shop.given(shop.plan(), shop.buy())
    request = shop.given(shop.ask(10))
    shop.given(shop.ask(90))
    charge = shop.event(shop.when(shop.charge(request, 30)))
    assert (charge.credits, charge.shortfall) == (10, 20)
    shop.leaves(available=0, held=90, spent=10)


def test_when_a_lot_expires_only_what_is_not_held_lapses(shop):
    """100 expire at 100 seconds with 30 held: 70 lapse."""
    lot = shop.given(shop.plan(), shop.gift(100, expiry=100))
    shop.given(shop.ask(30))
    shop.at(100).tick()
    assert shop.types == ["lapsed"]
    assert (shop.wrote[0].event.lot, shop.wrote[0].event.credits) == (lot, 70)
    shop.leaves(available=0, held=30, lapsed=70)


def test_held_credits_of_an_expired_lot_may_still_be_charged(shop):
    """20 of the 30 are charged after the lot expired; the 10 that return lapse in the same commit."""
    lot = shop.given(shop.plan(), shop.gift(100, expiry=100))
    request = shop.given(shop.ask(30))
    shop.at(100).tick()
    charge = shop.at(110).when(shop.charge(request, 20))
    assert shop.draws(charge) == [(lot, 20)]
    assert shop.types == ["charged", "lapsed"]
    assert (shop.wrote[1].event.credits, shop.wrote[1].event.instant) == (10, shop.moment(110))
    shop.leaves(available=0, held=0, spent=20, lapsed=80)


def test_what_a_release_returns_to_an_expired_lot_lapses_in_the_same_commit(shop):
    shop.given(shop.plan(), shop.gift(100, expiry=100))
    request = shop.given(shop.ask(30))
    shop.at(110).when(shop.release(request))
    assert shop.types == ["lapsed", "released", "lapsed"]
    shop.leaves(available=0, held=0, lapsed=100)


def test_a_charge_beyond_its_hold_takes_nothing_from_an_expired_lot(shop):
    """30 are held of the lot that expired, 70 of it lapsed; a charge of 40 takes 30 there and 10 of the other lot."""
    expired = shop.given(shop.plan(), shop.gift(100, expiry=100))
    other = shop.given(shop.gift(50))
    request = shop.given(shop.ask(30))
    charge = shop.at(100).when(shop.charge(request, 40))
    assert shop.draws(charge) == [(expired, 30), (other, 10)]


def test_debt_is_drawn_last_as_lot_0(shop):
    lot = shop.given(shop.plan(overrun="debt", debt_limit=50), shop.buy())
    charge = shop.when(shop.charge(shop.given(shop.ask(10)), 120))
    assert shop.draws(charge) == [(lot, 100), (0, 20)]


def test_a_withdrawal_and_an_adjustment_carry_their_draws(shop):
    """A withdrawal takes in burn order; an adjustment upwards too."""
    first = shop.given(shop.plan(), shop.gift(10, expiry=900))
    second = shop.given(shop.gift(20))
    assert shop.draws(shop.when(shop.withdraw(credits=4))) == [(first, 4)]
    charge = shop.given(shop.charge_directly(1))
    assert shop.draws(shop.when(shop.correct(charge, 8))) == [(first, 5), (second, 3)]


def test_what_a_hold_takes_on_of_its_last_lot_is_one_draw_with_what_it_has_there(shop):
    """12 units hold 10 + 2 × 3. 5 others are charged first, so 7 of the 12 will cost 3 each: 10 more are held."""
    first, second = shop.given(shop.tiers((10, 1), (None, 3)), shop.gift(10)), shop.given(shop.gift(40))
    request = shop.given(shop.ask(12))
    assert shop.draws(request) == [(first, 10), (second, 6)]
    shop.given(shop.charge_directly(5))
    (reheld,) = (entry.event for entry in shop.wrote if isinstance(entry.event, Reheld))
    assert reheld.draws == ((first, 10), (second, 16))
    shop.leaves(available=19, held=26, spent=5)
