"""Time: what is due, when, in which order, and that it does not matter when it is written (design.md, section 4)."""

import pytest

from ledger import Limits, RateLimit, Reason

ACCOUNT = ("alice", "pro")


def instants(shop):
    """What the last commit wrote of time: (type, seconds)."""
    due = [(kind, entry.event) for kind, entry in zip(shop.types, shop.wrote, strict=True)]
    return [(kind, (event.instant - shop.moment(0)) // 1_000_000) for kind, event in due]


def test_at_one_instant_lots_start_then_holds_end_then_lots_expire(shop):
    """All three at 100 seconds. The 20 that were held return first, so all 50 of the lot lapse at once."""
    lot = shop.given(shop.plan(hold_seconds=100), shop.gift(50, expiry=100))
    shop.given(shop.ask(20), shop.gift(30, start=100))
    shop.at(100).tick()
    assert instants(shop) == [("started", 100), ("released", 100), ("lapsed", 100)]
    shop.lot_has(lot, lapsed=50, held=0)
    shop.leaves(available=30, held=0, lapsed=50)


def test_all_holds_end_before_a_lot_that_expires_at_the_same_instant(shop):
    """Two holds of 20 end as their lot expires; all 50 lapse together, at that instant, though it is written later."""
    shop.given(shop.plan(hold_seconds=100), shop.gift(50, expiry=100), shop.ask(20), shop.ask(20))
    shop.at(200).tick()
    assert instants(shop) == [("released", 100), ("released", 100), ("lapsed", 100)]
    assert shop.wrote[2].event.credits == 50


def test_what_is_due_comes_in_the_order_of_its_instants(shop):
    """A lot expires at 50, another starts at 60, a hold ends at 100; all are written at 200, each with its instant."""
    shop.given(shop.plan(hold_seconds=100), shop.gift(50), shop.ask(20), shop.gift(10, expiry=50))
    shop.given(shop.gift(30, start=60))
    shop.at(200).tick()
    assert instants(shop) == [("lapsed", 50), ("started", 60), ("released", 100)]


def test_what_is_due_at_one_instant_comes_by_number(shop):
    """Two lots that expire together: the older first, though the newer burns first."""
    older = shop.given(shop.plan(), shop.gift(10, priority=1, expiry=100))
    newer = shop.given(shop.gift(10, priority=0, expiry=100))
    shop.at(100).tick()
    assert [entry.event.lot for entry in shop.wrote] == [older, newer]


def test_what_returns_to_an_expired_lot_carries_the_commits_time(shop):
    """The lot expires at 50, the hold of 30 ends at 100, both are written at 200: the 30 lapse with instant 200."""
    shop.given(shop.plan(hold_seconds=100), shop.gift(100, expiry=50), shop.ask(30))
    shop.at(200).tick()
    assert instants(shop) == [("lapsed", 50), ("released", 100), ("lapsed", 200)]
    assert [entry.event.credits for entry in shop.wrote if hasattr(entry.event, "credits")] == [70, 30]


def test_a_lot_may_start_and_expire_between_two_commits(shop):
    lot = shop.given(shop.plan(), shop.gift(10, start=50, expiry=60))
    shop.at(100).tick()
    assert instants(shop) == [("started", 50), ("lapsed", 60)]
    shop.lot_has(lot, lapsed=10, left=0)


def test_a_lot_lives_from_its_start_and_not_at_its_expiry(shop):
    """From 50 up to, and without, 100."""
    shop.given(shop.plan(), shop.gift(10, start=50, expiry=100))
    shop.at(50, microseconds=-1).refuses(shop.ask(1), Reason.not_subscribed, retry_after_us=1)
    shop.at(50).when(shop.ask(1))
    shop.at(100, microseconds=-1).when(shop.ask(1))
    shop.at(100).refuses(shop.ask(1), Reason.expired)


def test_a_hold_lives_before_its_deadline_and_not_at_it(shop):
    """A microsecond before the deadline the request is open, at the deadline it has expired."""
    shop.given(shop.plan(hold_seconds=100), shop.buy())
    first, second = shop.given(shop.ask(1)), shop.given(shop.ask(1))
    in_time = shop.at(100, microseconds=-1).when(shop.charge(first, 1))
    too_late = shop.at(100).when(shop.charge(second, 1))
    assert (shop.event(in_time).late, shop.event(too_late).late) == (False, True)


def test_due_events_go_before_the_commands_own_in_the_same_commit(shop):
    shop.given(shop.plan(), shop.gift(10, expiry=100))
    shop.at(150).when(shop.gift(5))
    assert shop.types == ["lapsed", "purchased", "started"]
    assert {entry.at for entry in shop.wrote} == {shop.moment(150)}
    assert shop.wrote[0].event.instant == shop.moment(100)


def test_a_command_is_decided_on_its_account_as_due(shop):
    """A hold of 80 ended at 100 and nobody wrote it: a request for 100 passes at 100."""
    shop.given(shop.plan(hold_seconds=100), shop.buy(), shop.ask(80))
    shop.at(99).refuses(shop.ask(100), Reason.insufficient_credits, needed=100, available=20)
    shop.at(100).when(shop.ask(100))
    assert shop.types == ["released", "requested"]


def test_a_refused_command_writes_nothing_not_even_what_is_due(shop):
    """The lot expired at 100. The refusal knows it, and the log does not."""
    shop.given(shop.plan(), shop.gift(10, expiry=100))
    shop.at(150).refuses(shop.ask(1), Reason.expired)
    shop.tick()
    assert shop.types == ["lapsed"]


def test_readings_apply_what_is_due_without_writing_it(shop):
    lot = shop.given(shop.plan(hold_seconds=100), shop.gift(50, expiry=150))
    shop.given(shop.ask(20), shop.gift(30, start=120))
    shop.at(200)
    head, state = shop.ledger.head, shop.ledger.state()
    shop.leaves(available=30, held=0, lapsed=50, issued=80, open_requests=0)
    shop.lot_has(lot, lapsed=50)
    assert shop.ledger.requests() == []
    assert shop.ledger.statement(*ACCOUNT).closing.available == 30
    assert (shop.ledger.head, shop.ledger.state()) == (head, state)


def test_tick_writes_what_is_due_for_all_accounts(shop):
    shop.given(shop.plan(), shop.gift(10, expiry=100), shop.gift(20, expiry=100, subscriber="bob"))
    shop.at(100).tick()
    assert [(entry.event.account, entry.event.credits) for entry in shop.wrote] == [(1, 10), (2, 20)]


def test_a_tick_with_nothing_due_writes_nothing(shop):
    shop.given(shop.plan(), shop.gift(10, expiry=100))
    head = shop.ledger.head
    shop.at(99).tick()
    assert shop.ledger.head == head


@pytest.mark.parametrize("on_lapse", ["earn", "refund"])
def test_law_due_events_early_or_late_give_the_same_books(open_shop, on_lapse):
    """Ticked at every second, or only in the end: debt, a lot that pays it, holds, expiries, the same bytes."""

    def books(moments):
        shop = open_shop()
        terms = {"hold_seconds": 12, "overrun": "debt", "debt_limit": 50, "seconds": 10, "on_lapse": on_lapse}
        shop.given(shop.plan(**terms), shop.buy(), shop.gift(40, expiry=8), shop.ask(30), shop.ask(20), shop.buy())
        shop.given(shop.gift(30, start=14), shop.gift(7, start=3, expiry=5), shop.charge_directly(120))
        for second in moments:
            shop.at(second).tick()
        shop.leaves(debt=0)
        shop.at(30).given(shop.gift(1))
        state = shop.ledger.state()
        shop.close()
        return state

    assert books(range(31)) == books([30]) == books([8, 12, 30])


def test_the_time_of_commits_never_decreases(shop):
    """at = max(clock, head's at): the clock is set back by 50 seconds, and a hold of that moment counts from 100."""
    shop.given(shop.plan(hold_seconds=60))
    shop.at(100).given(shop.buy())
    request = shop.at(50).when(shop.ask(1))
    assert {entry.at for entry in shop.wrote} == {shop.moment(100)}
    assert shop.event(request).deadline == shop.moment(160)


def test_started_is_written_for_every_lot_in_the_commit_in_which_it_starts(shop):
    lot = shop.given(shop.plan(), shop.buy())
    assert shop.types == ["purchased", "started"]
    assert (shop.wrote[1].event.lot, shop.wrote[1].event.instant) == (lot, shop.moment(0))
    later = shop.given(shop.gift(5, start=50))
    assert shop.types == ["purchased"]
    shop.at(80).tick()
    assert (shop.wrote[0].event.lot, shop.wrote[0].event.instant) == (later, shop.moment(50))


def test_a_lot_that_has_not_started_counts_nowhere(shop):
    lot = shop.given(shop.plan(), shop.gift(10, start=100))
    shop.leaves(issued=0, available=0, admits=False)
    shop.lot_has(lot, left=0, started=False)
    shop.at(100).leaves(issued=10, available=10, admits=True)


def test_a_start_in_the_past_is_now(shop):
    """A lot that is bought at 100 cannot have started at 40."""
    lot = shop.at(100).given(shop.plan(), shop.gift(10, start=40, expiry=200))
    shop.lot_has(lot, start=shop.moment(100), expiry=shop.moment(200), started=True)


# -- a clock that is behind the log ------------------------------------------------------------------------------------


def test_where_the_clock_is_behind_a_refusal_says_so_and_counts_from_the_clock(shop):
    """The log's head is of 100, the clock says 40. What starts at 150 is 110 away from there, and not a microsecond
    less."""
    shop.given(shop.plan())
    shop.at(100).given(shop.gift(10, start=150))
    behind = {"clock_behind_us": 60_000_000}
    shop.at(40).refuses(shop.ask(1), Reason.not_subscribed, retry_after_us=110_000_000, **behind)
    shop.refuses(shop.ask(1, plan="nowhere"), Reason.plan_unknown, retry_after_us=None, **behind)
    shop.at(150, microseconds=-1).refuses(shop.ask(1), Reason.not_subscribed, retry_after_us=1, clock_behind_us=None)
    shop.at(150).when(shop.ask(1))


def test_a_wait_that_ends_while_the_clock_is_behind_is_as_long_as_the_clock_is(shop):
    """The rate lets the next pass at the head's own time plus 10, which the clock reaches in 70."""
    shop.given(shop.plan(limits=Limits(rate=RateLimit(1, 10))), shop.buy())
    shop.at(100).given(shop.ask(1))
    shop.at(40).refuses(shop.ask(1), Reason.rate_limited, retry_after_us=70_000_000, clock_behind_us=60_000_000)
    shop.at(110).when(shop.ask(1))
