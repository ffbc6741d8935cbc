"""Metering periods: what a charge counts in, and what is kept (design.md, section 7; contract.md, fixed points)."""

import pytest

from ledger import Charge, Reason
from ledger.books import Books

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
    assert charged(shop.at(3650 * DAY), 1, occurred_at=DAY) == ("forever", 1)


def test_a_purchase_begins_a_period(shop):
    """The free ten units come with each purchase."""
    first = shop.given(free_ten(shop, period="purchase"), shop.buy())
    assert charged(shop, 11) == (str(first), 1)
    second = shop.given(shop.buy())
    assert charged(shop, 11) == (str(second), 1)


@pytest.mark.parametrize(
    ("period", "opens", "ends"),
    [
        ("day", 0, DAY),
        ("day", DECEMBER - 1, DECEMBER),
        ("month", 0, DECEMBER),
        ("month", DECEMBER, DECEMBER + 31 * DAY),
        ("month", DECEMBER + 30 * DAY, DECEMBER + 31 * DAY),
    ],
)
def test_a_request_that_the_next_period_makes_free_is_retried_when_it_begins(shop, period, opens, ends):
    """The free units of this period are used up, and so are the credits."""
    shop.at(opens).given(free_ten(shop, period=period), shop.gift(5), shop.charge_directly(15))
    shop.refuses(shop.ask(5), Reason.insufficient_credits, retry_after_us=(ends - opens) * 1_000_000)
    shop.at(ends, microseconds=-1).refuses(shop.ask(5), Reason.insufficient_credits, retry_after_us=1)
    assert shop.event(shop.at(ends).when(shop.ask(5))).hold == 0


@pytest.mark.parametrize("period", ["forever", "purchase"])
def test_a_period_that_no_calendar_ends_is_not_waited_for(shop, period):
    shop.given(free_ten(shop, period=period), shop.gift(5), shop.charge_directly(15))
    shop.refuses(shop.ask(5), Reason.insufficient_credits, retry_after_us=None)


def test_a_charge_is_metered_in_the_period_of_its_occurrence_while_that_is_kept(shop):
    """In December, 3 units of November: 10 were metered there, so they cost 3. December's own are free."""
    shop.given(free_ten(shop), shop.buy(), shop.charge_directly(10))
    shop.at(DECEMBER + DAY)
    assert charged(shop, 3, occurred_at=DECEMBER - 1) == ("2023-11", 3)
    assert charged(shop, 3, occurred_at=DECEMBER) == ("2023-12", 0)


def test_what_occurred_before_the_period_before_is_metered_in_the_current_one(shop):
    """In January only December and January are kept. The charge says that it is late."""
    shop.given(free_ten(shop), shop.buy(), shop.charge_directly(10))
    shop.at(DECEMBER + 31 * DAY)
    late = shop.event(shop.when(shop.charge_directly(3, occurred_at=DECEMBER - 1)))
    assert (late.period, late.credits, late.late) == ("2024-01", 0, True)
    kept = shop.event(shop.when(shop.charge_directly(3, occurred_at=DECEMBER)))
    assert (kept.period, kept.credits, kept.late) == ("2023-12", 0, False)


def test_a_day_may_be_the_first_after_the_last(shop):
    """A year's end: on the first of January the 31st of December is kept, and the 30th is not."""
    year = 47 * DAY
    shop.given(free_ten(shop, period="day"), shop.buy())
    shop.at(year)
    assert charged(shop, 1) == ("2024-01-01", 0)
    assert charged(shop, 1, occurred_at=year - 1) == ("2023-12-31", 0)
    assert charged(shop, 1, occurred_at=year - DAY - 1) == ("2024-01-01", 0)


def test_what_occurs_by_a_clock_that_is_a_little_ahead_is_metered_in_the_current_period(shop):
    """In the last seconds of November by ours, and in December by the clock of the work."""
    shop.given(free_ten(shop), shop.buy())
    event = shop.event(shop.at(DECEMBER - 60).when(shop.charge_directly(3, occurred_at=DECEMBER)))
    assert (event.period, event.late) == ("2023-11", False)


@pytest.mark.parametrize("period", ["month", "day", "forever", "purchase"])
@pytest.mark.parametrize(
    ("occurred_at", "said"),
    [
        (DAY + 61, "2023-11-16T00:01:01.000000Z in microseconds, which lies after the present"),
        (365 * DAY, "after the present"),
        (DAY - 3650 * DAY - 1, "2013-11-17T23:59:59.000000Z in microseconds, which lies more than ten years ago"),
    ],
)
def test_no_work_is_done_in_the_future_or_in_another_age(shop, period, occurred_at, said):
    """Bought at 0, and a day has passed. Clocks may differ by a minute."""
    shop.given(free_ten(shop, period=period), shop.buy())
    request = shop.at(DAY).given(shop.ask(1))
    for command in (shop.charge_directly, lambda units, **more: shop.charge(request, units, **more)):
        refused = shop.refuses(command(1, occurred_at=occurred_at), Reason.malformed)
        assert said in refused.facts["detail"]
    shop.given(*(shop.charge_directly(1, occurred_at=moment) for moment in (-3649 * DAY, DAY + 60)))


def test_seconds_in_place_of_microseconds_are_refused(shop):
    shop.given(free_ten(shop), shop.buy())
    command = Charge(subscriber="alice", plan="pro", occurred_at=1_700_000_000)
    assert "1700000000 is 1970-01-01T00:28:20" in shop.refuses(command, Reason.malformed).facts["detail"]


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


# -- the meters that are kept ------------------------------------------------------------------------------------------

JANUARY = DECEMBER + 31 * DAY
LONG = {"hold_seconds": 90 * DAY, "longest_seconds": 90 * DAY}


def kept(shop, period):
    """Whether something may still be corrected in that period."""
    answer = shop.ledger.execute(shop.correct_period(period, usage={"units": 1}))
    return answer.accepted


def meters(shop):
    """The periods whose meters the books have, of the first account."""
    return set(Books.load(shop.ledger.state()).accounts[1].meters)


def test_the_meter_of_an_open_request_is_kept(shop):
    """In January a request of November is open still, and is charged on November's meter; after that it is gone."""
    shop.given(free_ten(shop, **LONG), shop.buy(), shop.charge_directly(8))
    request = shop.given(shop.ask(5))
    shop.at(JANUARY)
    assert kept(shop, "2023-11")
    charge = shop.event(shop.when(shop.charge(request, 5)))
    assert (charge.period, charge.before, charge.credits) == ("2023-11", {"units": 9}, 4)
    shop.refuses(shop.correct_period("2023-11", usage={"units": 1}), Reason.charge_unknown)


def test_the_meter_of_a_request_that_may_be_charged_late_is_kept(shop):
    """It expires on the last day of November, and may be charged for 40 days."""
    shop.given(free_ten(shop, hold_seconds=DAY, longest_seconds=DAY, late_seconds=40 * DAY), shop.buy())
    shop.given(shop.charge_directly(8))
    request = shop.at(DECEMBER - DAY - 1).given(shop.ask(5))
    shop.at(JANUARY + DAY)
    assert kept(shop, "2023-11")
    charge = shop.event(shop.when(shop.charge(request, 5)))
    assert (charge.late, charge.period, charge.credits) == (True, "2023-11", 4)
    shop.at(JANUARY + 10 * DAY).refuses(shop.correct_period("2023-11", usage={"units": 1}), Reason.charge_unknown)


def test_a_meter_that_only_an_open_request_keeps_is_not_for_direct_charges(shop):
    """In January what occurred in November is metered in January, though the meter of November is kept."""
    shop.given(free_ten(shop, **LONG), shop.buy(), shop.charge_directly(10), shop.ask(5))
    shop.at(JANUARY)
    assert charged(shop, 3, occurred_at=DECEMBER - 1) == ("2024-01", 0)


def test_a_meter_that_nobody_keeps_is_gone(shop):
    shop.given(free_ten(shop), shop.buy(), shop.charge_directly(8))
    assert kept(shop.at(DECEMBER), "2023-11")
    shop.at(JANUARY).refuses(shop.correct_period("2023-11", usage={"units": 1}), Reason.charge_unknown)


def test_the_next_charge_drops_a_meter_that_is_no_longer_kept(shop):
    """A request of November kept its meter beside January's. It is closed, so a charge in January drops it."""
    shop.given(free_ten(shop, **LONG), shop.buy())
    request = shop.given(shop.charge_directly(8), shop.ask(5))
    shop.at(JANUARY).given(shop.charge_directly(1), shop.release(request))
    assert meters(shop) == {"2023-11", "2024-01"}
    shop.given(shop.charge_directly(1))
    assert meters(shop) == {"2024-01"}


def test_parts_before_and_after_the_months_end_are_of_one_period(shop):
    """7 in November, 7 in December: 14 in November, of which 4 are beyond the free ten. The hold covers them."""
    shop.given(free_ten(shop, **LONG), shop.gift(4))
    request = shop.at(DECEMBER - 10).given(shop.ask(14))
    assert shop.event(request).hold == 4
    parts = [shop.event(shop.given(shop.part(request, 7)))]
    parts.append(shop.event(shop.at(DECEMBER + 10).when(shop.charge(request, 7))))
    assert [(part.period, part.credits, part.shortfall) for part in parts] == [("2023-11", 0, 0), ("2023-11", 4, 0)]


# -- periods that purchases begin --------------------------------------------------------------------------------------


def test_a_gift_begins_no_period(shop):
    """Neither before the first purchase, whose period is called 0 until then, nor after it."""
    shop.given(free_ten(shop, period="purchase"), shop.gift(100))
    assert charged(shop, 11) == ("0", 1)
    shop.given(shop.gift(100))
    assert charged(shop, 1) == ("0", 1)
    first = shop.given(shop.buy())
    assert charged(shop, 11) == (str(first), 1)
    shop.given(shop.gift(100))
    assert charged(shop, 1) == (str(first), 1)


def test_a_trial_begins_a_period(shop):
    lot = shop.given(free_ten(shop, period="purchase", trial=True, price={}), shop.buy())
    assert charged(shop, 1) == (str(lot), 0)


def test_what_occurred_before_the_first_purchase_is_metered_there_while_that_is_kept(shop):
    """The last two are kept: 0 and the first purchase, then the first and the second."""
    shop.given(free_ten(shop, period="purchase"), shop.gift(100), shop.charge_directly(9))
    first = shop.at(100).given(shop.buy())
    assert charged(shop, 2, occurred_at=50) == ("0", 1)
    second = shop.at(200).given(shop.buy())
    assert charged(shop, 1, occurred_at=50)[0] == str(second)
    assert charged(shop, 1, occurred_at=150)[0] == str(first)
    shop.refuses(shop.correct_period("0", usage={"units": 1}), Reason.charge_unknown)


def test_a_request_keeps_the_purchase_under_which_it_was_admitted(shop):
    first = shop.given(free_ten(shop, period="purchase"), shop.buy())
    request = shop.given(shop.charge_directly(9), shop.ask(3))
    shop.given(shop.buy(), shop.buy(), shop.buy())
    charge = shop.event(shop.when(shop.charge(request, 3)))
    assert (charge.period, charge.credits, charge.shortfall) == (str(first), 2, 0)


def test_a_lot_that_is_reinstated_before_its_start_begins_its_period_as_it_starts(shop):
    first = shop.given(free_ten(shop, period="purchase"), shop.buy())
    second = shop.given(shop.buy(start=50))
    shop.given(shop.reverse(second))
    assert charged(shop.at(60), 1)[0] == str(first)
    shop.given(shop.reinstate(second))
    assert charged(shop, 1)[0] == str(second)
