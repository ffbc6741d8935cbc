"""What a lot has earned, whenever it is read: never more than its cost, exactly its cost in the end, and the same
however often it is settled in between (design.md, sections 3 and 4)."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import split

money = st.integers(0, 10**24)
weights = st.lists(st.integers(0, 10**6), min_size=1, max_size=6)
prices = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 10**21), min_size=1, max_size=4)
small_prices = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9), min_size=1, max_size=4)


@given(money, weights)
def test_the_parts_of_a_split_sum_to_its_total(total, weights):
    parts = split(total, weights)
    assert sum(parts) == total
    assert all(part >= 0 for part in parts)


@given(money, weights)
def test_no_part_is_a_whole_unit_away_from_its_due(total, weights):
    """|part·S − total·weight| < S"""
    whole = sum(weights)
    for part, weight in zip(split(total, weights), weights, strict=True):
        assert not whole or abs(part * whole - total * weight) < whole


@given(money, money, weights)
def test_the_parts_of_a_prefix_grow_with_the_total(low, more, weights):
    """So what the first receivers have together of a running total never falls."""
    before, after = split(low, weights), split(low + more, weights)
    assert all(sum(before[:upto]) <= sum(after[:upto]) for upto in range(len(weights) + 1) if sum(weights))


def read(shop, lot):
    return next(each for each in shop.ledger.lots("alice", "pro") if each.id == lot)


@settings(max_examples=150, deadline=None)
@given(prices | small_prices, st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_a_lot_that_is_used_up_has_earned_exactly_its_cost(open_shop, price, parts):
    """In any parts; its receivers have exactly their shares."""
    shop = open_shop()
    lot = shop.given(shop.plan(credits=sum(parts) + 1, price=price), shop.buy())
    readings = [read(shop, lot).earned]
    for part in (*parts, 1):
        shop.given(shop.charge_directly(part))
        readings.append(read(shop, lot).earned)
    assert all(before <= after for before, after in pairwise(readings))
    assert readings[-1] == sum(price.values())
    assert read(shop, lot).shares_earned == price
    shop.close()


@settings(max_examples=150, deadline=None)
@given(prices | small_prices, st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=8))
def test_batch_boundaries_change_nothing(open_shop, price, parts):
    """What each receiver is paid, batch by batch, as the part of the running total less what was paid before, comes to
    the same as one batch in the end. Nobody's part falls, and less than a unit of each is deferred."""
    shop = open_shop()
    lot = shop.given(shop.plan(credits=sum(part for part, _ in parts) + 1, price=price), shop.buy())
    paid = dict.fromkeys(price, 0)
    for part, settle in (*parts, (1, True)):
        shop.given(shop.charge_directly(part))
        if settle:
            reading = read(shop, lot)
            payouts = {receiver: reading.shares_earned[receiver] - paid[receiver] for receiver in price}
            paid = {receiver: paid[receiver] + payouts[receiver] for receiver in price}
            assert min(payouts.values()) >= 0
            assert 0 <= reading.earned - sum(paid.values()) < len(price)
    assert paid == price
    shop.close()


@settings(max_examples=150, deadline=None)
@given(prices | small_prices, st.integers(1, 200), st.lists(st.integers(0, 300_000_000), max_size=8))
def test_a_window_earns_steadily_and_in_the_end_its_cost(open_shop, price, seconds, moments):
    shop = open_shop()
    lot = shop.given(shop.window(seconds=seconds, price=price), shop.buy())
    readings = [read(shop.at(0, microseconds=moment), lot).earned for moment in sorted(moments)]
    readings.append(read(shop.at(seconds), lot).earned)
    if not moments or max(moments) <= seconds * 1_000_000:
        assert all(before <= after for before, after in pairwise(readings))
    assert max(readings) == readings[-1] == sum(price.values())
    assert read(shop, lot).shares_earned == price
    shop.close()


@settings(max_examples=150, deadline=None)
@given(
    prices | small_prices,
    st.integers(1, 20),
    st.lists(st.tuples(st.sampled_from(["charge", "hold", "withdraw"]), st.integers(1, 6)), max_size=10),
)
def test_nothing_that_was_earned_is_withdrawn(open_shop, price, credits, said):
    """Only a refund takes back what was earned: a withdrawal takes unearned money, and in the end what was paid is what
    was earned and what was withdrawn."""
    shop = open_shop()
    lot = shop.given(shop.plan(credits=credits, price=price), shop.buy())
    earned = 0
    for verb, amount in said:
        command = {"charge": shop.charge_directly, "hold": shop.ask}.get(verb)
        shop.ledger.execute(command(amount) if command else shop.withdraw(credits=amount))
        reading = read(shop, lot)
        assert earned <= reading.earned <= reading.cost - reading.refunded
        earned = reading.earned
    for request in shop.ledger.requests():
        shop.given(shop.charge(request.id, request.hold))
    shop.ledger.execute(shop.withdraw())
    reading = read(shop, lot)
    assert earned <= reading.earned == reading.cost - reading.refunded
    shop.close()


@settings(max_examples=150, deadline=None)
@given(prices | small_prices, st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 60))
def test_a_refund_takes_back_what_its_credits_had_earned(open_shop, price, parts, back):
    """After a refund the lot has earned what it would have, had the credits never been charged."""
    shop, plain = open_shop(), open_shop()
    plan, credits = {"credits": 50, "price": price}, min(back, sum(parts))
    lot = shop.given(shop.plan(**plan), shop.buy())
    charge = shop.given(shop.charge_directly(sum(parts)))
    shop.given(shop.correct(charge, -credits))
    plain.given(plain.plan(**plan), plain.buy(), plain.charge_directly(sum(parts) - credits))
    assert read(shop, lot).earned == read(plain, lot).earned
    assert read(shop, lot).shares_earned == read(plain, lot).shares_earned
    shop.close()
