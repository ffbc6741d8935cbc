"""Metering periods: what a charge counts in, and what is kept (design.md, section 7; contract.md, fixed points)."""

import pytest

DAY = 86_400
DECEMBER = 16 * DAY
"""The shop opens on the 15th of November."""


def free_ten(shop, **terms):
    """A plan on which the first ten units of a period are free, and then cost 1."""
    return shop.tiers((10, 0), (None, 1), credits=1000, **terms)


def charged(shop, units, **said):
    """(period, credits) of a direct charge."""
    event = shop.event(shop.when(shop.charge_directly(units, **said)))
    return event.period, event.credits


@pytest.mark.parametrize(
    ("period", "name"), [("month", "2023-11"), ("day", "2023-11-15"), ("forever", "forever"), ("purchase", "2")]
)
def test_a_period_is_named_by_its_month_day_purchase_or_for_ever(shop, period, name):
    shop.given(free_ten(shop, period=period), shop.buy())
    assert charged(shop, 1) == (name, 0)


def test_the_period_is_the_calendar_month_in_utc_by_default(shop):
    """The last microsecond of November, and the first of December."""
    shop.given(free_ten(shop), shop.buy())
    assert charged(shop, 12) == ("2023-11", 2)
    assert charged(shop.at(DECEMBER, microseconds=-1), 5) == ("2023-11", 5)
    assert charged(shop.at(DECEMBER), 5) == ("2023-12", 0)
    assert charged(shop, 6) == ("2023-12", 1)


def test_a_day_ends_at_midnight_in_utc(shop):
    shop.given(free_ten(shop, period="day"), shop.buy(), shop.charge_directly(10))
    assert charged(shop.at(DAY, microseconds=-1), 1) == ("2023-11-15", 1)
    assert charged(shop.at(DAY), 1) == ("2023-11-16", 0)


def test_for_ever_never_ends(shop):
    shop.given(free_ten(shop, period="forever"), shop.buy(), shop.charge_directly(10))
    assert charged(shop.at(3650 * DAY), 1, occurred_at=-DAY) == ("forever", 1)


def test_a_purchase_begins_a_period(shop):
    """The free ten units come with each purchase."""
    first = shop.given(free_ten(shop, period="purchase"), shop.buy())
    assert charged(shop, 11) == (str(first), 1)
    second = shop.given(shop.buy())
    assert charged(shop, 11) == (str(second), 1)


def test_a_charge_is_metered_in_the_period_of_its_occurrence_while_that_is_kept(shop):
    """In December, 3 units of November: 10 were metered there, so they cost 3. December's own are free."""
    shop.given(free_ten(shop), shop.buy(), shop.charge_directly(10))
    shop.at(DECEMBER + DAY)
    assert charged(shop, 3, occurred_at=DECEMBER - 1) == ("2023-11", 3)
    assert charged(shop, 3, occurred_at=DECEMBER) == ("2023-12", 0)


def test_what_occurred_before_the_period_before_is_metered_in_the_current_one(shop):
    """In January only December and January are kept."""
    shop.given(free_ten(shop), shop.buy(), shop.charge_directly(10))
    shop.at(DECEMBER + 31 * DAY)
    assert charged(shop, 3, occurred_at=DECEMBER - 1) == ("2024-01", 0)
    assert charged(shop, 3, occurred_at=DECEMBER) == ("2023-12", 0)


def test_a_day_may_be_the_first_after_the_last(shop):
    """A year's end: on the first of January the 31st of December is kept, and the 30th is not."""
    year = 47 * DAY
    shop.given(free_ten(shop, period="day"), shop.buy())
    shop.at(year)
    assert charged(shop, 1) == ("2024-01-01", 0)
    assert charged(shop, 1, occurred_at=year - 1) == ("2023-12-31", 0)
    assert charged(shop, 1, occurred_at=year - DAY - 1) == ("2024-01-01", 0)


def test_what_will_occur_is_metered_in_the_current_period(shop):
    """Next month is not kept yet."""
    shop.given(free_ten(shop), shop.buy())
    assert charged(shop, 3, occurred_at=DECEMBER) == ("2023-11", 0)


def test_what_occurred_under_the_purchase_before_is_metered_there(shop):
    """Bought at 0, at 100 and at 200. At 250 what occurred at 150 is of the second; at 50, of a purchase that is no
    longer kept, of the current one."""
    shop.given(free_ten(shop, period="purchase"), shop.buy())
    second = shop.at(100).given(shop.buy())
    third = shop.at(200).given(shop.buy())
    shop.at(250)
    assert charged(shop, 1, occurred_at=150)[0] == str(second)
    assert charged(shop, 1, occurred_at=50)[0] == str(third)
    assert charged(shop, 1, occurred_at=200)[0] == str(third)


def test_a_purchase_that_has_not_started_begins_no_period(shop):
    first = shop.given(free_ten(shop, period="purchase"), shop.buy())
    second = shop.given(shop.buy(start=100))
    assert charged(shop.at(99), 1)[0] == str(first)
    assert charged(shop.at(100), 1)[0] == str(second)


def test_occurred_at_decides_only_the_metering_period(shop):
    """Expiry, limits and draws go by the commit's time: what occurred before a lot was bought may draw on it, and what
    occurred while a lot lived may not draw on it once it has expired."""
    shop.given(free_ten(shop), shop.gift(20, expiry=100), shop.charge_directly(10))
    lot = shop.at(150).given(shop.buy())
    event = shop.event(shop.when(shop.charge_directly(5, occurred_at=50)))
    assert event.draws == ((lot, 5),)
    assert event.occurred_at == shop.moment(50)


@pytest.mark.parametrize("said", [{}, {"occurred_at": DECEMBER + 5}])
def test_a_request_is_metered_in_the_period_of_its_admission(shop, said):
    """Admitted in November, charged in December, whenever it is said to have occurred: 10 were metered in November, so
    its 5 cost what they hold."""
    shop.given(free_ten(shop, longest_seconds=DAY, hold_seconds=DAY), shop.buy(), shop.charge_directly(10))
    request = shop.at(DECEMBER - 10).given(shop.ask(5))
    assert shop.event(request).hold == 5
    charge = shop.event(shop.at(DECEMBER + 10).when(shop.charge(request, 5, **said)))
    assert (charge.period, charge.credits, charge.shortfall) == ("2023-11", 5, 0)
    assert charged(shop, 5) == ("2023-12", 0)


def test_a_hold_is_quoted_in_the_current_period(shop):
    """At the end of November 5 units cost 5; in December they are free."""
    shop.given(free_ten(shop), shop.buy(), shop.charge_directly(10))
    assert shop.event(shop.at(DECEMBER - 1).when(shop.ask(5))).hold == 5
    assert shop.event(shop.at(DECEMBER + 600).when(shop.ask(5))).hold == 0


def test_every_account_has_its_own_meter(shop):
    shop.given(free_ten(shop), shop.buy(), shop.buy(subscriber="bob"), shop.charge_directly(10))
    assert charged(shop, 1, subscriber="bob") == ("2023-11", 0)
