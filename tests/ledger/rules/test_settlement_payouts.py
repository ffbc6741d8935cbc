"""Payouts: what a batch pays every receiver, signed (chains.md, Netting; design.md, Money).

The plan is 100 credits for 1000 USD, 900 to acme and 100 as a fee: a used credit earns 10.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import ContractRef, EscrowAsset, Terms

OTHER = {"contract": "other"}
AWAY = {"chain": "mock:away"}


def parts(total, weights):
    """What each receiver has of a growing total, as design.md has it: ⌊total · share / cost⌋."""
    return {name: total * weight // sum(weights.values()) for name, weight in weights.items()}


# -- what a batch pays -------------------------------------------------------------------------------------------------


def test_a_batch_pays_every_receiver_its_shares_of_what_was_earned(shop):
    shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30))
    assert shop.payouts(shop.opens()) == {"acme": 270, "fee": 30}


def test_payouts_are_sorted_by_receiver(shop):
    shop.given(shop.plan(price={"zoe": 500, "acme": 300, "mia": 200}), shop.deposit("1"), shop.charge_directly(50))
    payouts = [(payout.receiver, payout.amount) for payout in shop.opens().batch.payouts]
    assert payouts == [("acme", 150), ("mia", 100), ("zoe", 250)]


def test_payouts_of_nothing_are_left_out(shop):
    """Of the first 10 acme has ⌊10·999/1000⌋ and the fee ⌊10·1/1000⌋: nothing yet."""
    shop.given(shop.plan(price={"fee": 1, "acme": 999, "idle": 0}), shop.deposit("1"), shop.charge_directly(1))
    assert shop.payouts(shop.settles()) == {"acme": 9}
    shop.given(shop.charge_directly(99))
    assert shop.payouts(shop.settles()) == {"acme": 990, "fee": 1}


def test_nobodys_share_of_a_growing_total_falls(shop):
    """Settled after each credit of 1000 that cost 1000. By prefix sums the fee would have 2 of 50 and 1 of 51."""
    shop.given(shop.plan(credits=1000, price={"acme": 950, "fee": 30, "eve": 20}), shop.deposit("1"))
    paid = {"acme": 0, "fee": 0, "eve": 0}
    for used in range(1, 120):
        shop.given(shop.charge_directly(1))
        payouts = shop.payouts(shop.settles())
        assert all(amount > 0 for amount in payouts.values())
        paid = {name: paid[name] + payouts.get(name, 0) for name in paid}
        assert paid == {"acme": used * 950 // 1000, "fee": used * 30 // 1000, "eve": used * 20 // 1000}


def test_payouts_sum_over_lots_and_accounts(shop):
    """Two lots of Alice's, one of them used up, and Bob's of another plan with another receiver, of odd prices."""
    shop.given(shop.plan(credits=3, price={"acme": 7, "fee": 4}), shop.deposit("1"), shop.deposit("2"))
    shop.given(shop.plan("air", credits=7, price={"fee": 5, "bea": 12}))
    shop.given(shop.deposit("3", subscriber="bob", plan="air"))
    shop.given(shop.charge_directly(3), shop.charge_directly(2), shop.charge_directly(4, subscriber="bob", plan="air"))
    # used up: 7 and 4; ⌊11·2/3⌋ = 7 by 7 and 4: ⌊7·7/11⌋ = 4 and 2; ⌊17·4/7⌋ = 9 by 5 and 12: ⌊9·5/17⌋ = 2 and 6
    assert shop.payouts(shop.opens()) == {"acme": 7 + 4, "fee": 4 + 2 + 2, "bea": 6}


def test_a_batch_pays_what_was_earned_less_what_batches_before_it_paid(shop):
    """⌊11/3⌋ = 3 by 7 and 4 are 1 and 1; ⌊22/3⌋ = 7 are 4 and 2; 11 are 7 and 4."""
    shop.given(shop.plan(credits=3, price={"acme": 7, "fee": 4}), shop.deposit("1"))
    paid = []
    for _ in range(3):
        shop.given(shop.charge_directly(1))
        paid.append(shop.payouts(shop.settles()))
    assert paid == [{"acme": 1, "fee": 1}, {"acme": 3, "fee": 1}, {"acme": 3, "fee": 2}]


def test_payouts_of_a_batch_that_is_open_are_not_paid_again(shop):
    shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30))
    shop.opens()
    shop.given(shop.submit(1), shop.charge_directly(1))
    assert shop.payouts(shop.opens()) == {"acme": 9, "fee": 1}


def test_a_refund_after_settlement_nets_into_the_next_batch(shop):
    charge = shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30))
    shop.settles()
    shop.given(shop.correct(charge, -10))
    assert shop.payouts(shop.settles()) == {"acme": -90, "fee": -10}
    shop.given(shop.charge_directly(15))
    assert shop.payouts(shop.settles()) == {"acme": 135, "fee": 15}


def test_a_batch_may_pay_one_receiver_and_take_from_another(shop):
    """Alice's refund takes 90 and 10 back; Bob's plan pays its own receiver 100."""
    charge = shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30))
    shop.given(shop.plan("air", price={"bea": 1000}), shop.deposit("2", plan="air"))
    shop.settles()
    shop.given(shop.correct(charge, -10), shop.charge_directly(10, plan="air"))
    assert shop.payouts(shop.opens()) == {"acme": -90, "bea": 100, "fee": -10}


def test_money_beyond_64_bits_is_paid_to_the_unit(shop):
    """10³⁰ + 7 for 3 credits, by 2 to 1."""
    cost = 10**30 + 7
    shop.given(shop.plan(credits=3, price={"acme": cost - 10**29, "fee": 10**29}), shop.deposit("1"))
    paid = {"acme": 0, "fee": 0}
    for _ in range(3):
        shop.given(shop.charge_directly(1))
        for receiver, amount in shop.payouts(shop.settles()).items():
            paid[receiver] += amount
    assert paid == {"acme": cost - 10**29, "fee": 10**29}


# -- batches that failed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("used", [False, True])
def test_a_failed_batchs_payouts_are_in_the_next(shop, used):
    shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30))
    shop.opens()
    shop.given(shop.submit(1), shop.fail(1, used=used), shop.charge_directly(5))
    assert shop.payouts(shop.opens()) == {"acme": 315, "fee": 35}


@pytest.mark.parametrize("used", [False, True])
def test_a_failed_batch_is_settled_again_though_nothing_was_earned_since(shop, used):
    """The counters say what they said: they are never rolled back, and nothing was earned since."""
    shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30))
    shop.opens()
    shop.given(shop.submit(1), shop.fail(1, used=used))
    opened = shop.settles()
    assert shop.payouts(opened) == {"acme": 270, "fee": 30}
    assert shop.counters(opened) == {("alice", "pro"): (300, 0)}
    shop.opens_nothing()


def test_counters_are_not_rolled_back_by_a_failure(shop):
    """300 were told in a batch that failed; 100 were given back since: 300 and 100, not 200 and 0."""
    charge = shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30))
    shop.opens()
    shop.given(shop.submit(1), shop.fail(1), shop.correct(charge, -10))
    opened = shop.opens()
    assert shop.counters(opened) == {("alice", "pro"): (300, 100)}
    assert shop.payouts(opened) == {"acme": 180, "fee": 20}


def test_all_that_a_failed_batch_said_was_taken_back_before_the_next(shop):
    """Nothing is due any more, but the chain never heard of it either: if a batch is opened at all, it pays nobody and
    its counters net to 0."""
    charge = shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30))
    shop.opens()
    shop.given(shop.submit(1), shop.fail(1), shop.correct(charge, -30), shop.open_batch())
    for opened in shop.ledger.batches(ContractRef("mock:local", "tollbook")):
        assert shop.counters(opened) == {("alice", "pro"): (300, 300)}
        assert opened.batch.payouts == ()


@pytest.mark.parametrize("used", [False, True])
def test_leaves_that_failed_are_told_again_though_nobody_is_paid(shop, used):
    """Alice's 300 went back and Bob earned 300: a batch of counters alone. It failed, so nobody has the proofs yet."""
    shop.given(shop.plan(), shop.deposit("1"), shop.deposit("2", subscriber="bob"))
    charge = shop.given(shop.charge_directly(30))
    shop.settles()
    shop.given(shop.correct(charge, -30), shop.charge_directly(30, subscriber="bob"))
    shop.opens()
    shop.given(shop.submit(2), shop.fail(2, used=used))
    opened = shop.settles()
    assert shop.counters(opened) == {("alice", "pro"): (300, 300), ("bob", "pro"): (300, 0)}
    assert opened.batch.payouts == ()
    shop.opens_nothing()


def test_several_failures_in_a_row_lose_and_double_nothing(shop):
    shop.given(shop.plan(), shop.deposit("1"))
    for _ in range(4):
        shop.given(shop.charge_directly(10))
        number = shop.opens().batch.number
        shop.given(shop.submit(number), shop.fail(number, used=number % 2 == 0))
    assert shop.payouts(shop.settles()) == {"acme": 360, "fee": 40}
    shop.opens_nothing()


def test_a_failed_refund_is_taken_back_in_the_next_batch(shop):
    """Negative payouts fail as others do."""
    charge = shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30))
    shop.settles()
    shop.given(shop.correct(charge, -10))
    shop.opens()
    shop.given(shop.submit(2), shop.fail(2, used=True), shop.charge_directly(1))
    assert shop.payouts(shop.opens()) == {"acme": -81, "fee": -9}


# -- batch boundaries change nothing -----------------------------------------------------------------------------------

prices = st.dictionaries(st.sampled_from(["acme", "bea", "fee", "zoe"]), st.integers(0, 10**21), min_size=1)
small_prices = st.dictionaries(st.sampled_from(["acme", "bea", "fee", "zoe"]), st.integers(0, 9), min_size=1)
ends = st.sampled_from(["confirm", "fail", "fail used", "submit"])
steps = st.one_of(
    st.tuples(st.just("charge"), st.integers(0, 2), st.integers(1, 9)),
    st.tuples(st.just("charge"), st.integers(0, 2), st.integers(1, 9)),
    st.tuples(st.just("refund"), st.integers(0, 9), st.integers(1, 9)),
    st.tuples(st.just("settle"), ends, st.just(0)),
)
sold = st.lists(st.tuples(st.integers(1, 12), prices | small_prices), min_size=3, max_size=3)


class Naive:
    """Three accounts with a lot each, what they used, and who has been paid what: the oracle."""

    def __init__(self, sold):
        self.sold, self.used, self.charges = sold, [0] * len(sold), []
        self.paid, self.lines = {}, []

    def payouts(self):
        """What every receiver's shares have come to, less what was paid in batches that have not failed."""
        due = {}
        for (credits, price), used in zip(self.sold, self.used, strict=True):
            cost = sum(price.values())
            if cost:
                for receiver, amount in parts(cost * used // credits, price).items():
                    due[receiver] = due.get(receiver, 0) + amount
        for line in self.lines:
            for receiver, amount in line.items():
                due[receiver] = due.get(receiver, 0) - amount
        return {receiver: amount for receiver, amount in due.items() if amount}


def settle(shop, naive, end):
    """A batch, if there is one, pays what the oracle says, and ends so. Those in line before it are confirmed first."""
    head = shop.ledger.head.seq
    shop.given(shop.open_batch())
    if shop.ledger.head.seq == head:
        assert naive.payouts() == {}
        return
    *line, opened = shop.ledger.batches(ContractRef("mock:local", "tollbook"))
    payouts, number = shop.payouts(opened), opened.batch.number
    assert payouts == naive.payouts()
    naive.lines.append(payouts)
    shop.given(shop.submit(number))
    if end == "submit" and len(line) < 8:
        return
    for each in line:
        shop.given(shop.confirm(each.batch.number))
    if end.startswith("fail"):
        shop.given(shop.fail(number, used=end == "fail used"))
        naive.lines.remove(payouts)
    else:
        shop.given(shop.commit(number), shop.confirm(number))


def play(shop, sold, said):
    naive, plans = Naive(sold), [f"plan {place}" for place in range(len(sold))]
    for place, (credits, price) in enumerate(sold):
        shop.given(shop.plan(plans[place], credits=credits, price=price))
        shop.given(shop.deposit(str(place), plan=plans[place]))
    for verb, which, amount in said:
        if verb == "charge" and naive.used[which] + amount <= sold[which][0]:
            naive.charges.append((which, amount, shop.when(shop.charge_directly(amount, plan=plans[which]))))
            naive.used[which] += amount
        elif verb == "refund" and naive.charges:
            place, whole, charge = naive.charges.pop(which % len(naive.charges))
            shop.given(shop.correct(charge, -min(amount, whole)))
            naive.used[place] -= min(amount, whole)
        elif verb == "settle":
            settle(shop, naive, which)
    for place, (credits, _) in enumerate(sold):
        if rest := credits - naive.used[place]:
            shop.given(shop.charge_directly(rest, plan=plans[place]))
            naive.used[place] = credits
    settle(shop, naive, "confirm")
    return naive


@settings(max_examples=120, deadline=None)
@given(sold, st.lists(steps, max_size=30))
def test_lots_used_up_over_any_batches_have_paid_exactly_their_shares(open_shop, sold, said):
    """Whatever was charged, refunded, failed, and wherever batches began and ended: every batch pays what a naive sum
    says, and in the end every receiver has its shares of every lot, to the unit."""
    shop = open_shop()
    naive = play(shop, sold, said)
    paid, owed = {}, {}
    for line in naive.lines:
        for receiver, amount in line.items():
            paid[receiver] = paid.get(receiver, 0) + amount
    for _, price in sold:
        for receiver, amount in price.items():
            owed[receiver] = owed.get(receiver, 0) + amount
    assert {name: amount for name, amount in paid.items() if amount} == {n: a for n, a in owed.items() if a}
    settled = {key[-1]: amount for key, amount in shop.journal().totals.items() if key[:2] == ("USD", "settled")}
    assert {name: amount for name, amount in settled.items() if amount} == {n: a for n, a in owed.items() if a}
    shop.close()


@settings(max_examples=60, deadline=None)
@given(prices | small_prices, st.lists(st.integers(-6, 9).filter(bool), min_size=1, max_size=12))
def test_settling_after_every_charge_pays_what_settling_once_pays(open_shop, price, said):
    """Below 0: so much of the last charge is given back."""
    often, once = open_shop(), open_shop()
    totals = [{}, {}]
    for shop, total, each in ((often, totals[0], True), (once, totals[1], False)):
        shop.given(shop.plan(credits=120, price=price), shop.deposit("1"))
        charges = []
        for amount in said:
            if amount > 0:
                charges.append((shop.when(shop.charge_directly(amount)), amount))
            elif charges:
                charge, whole = charges.pop()
                shop.given(shop.correct(charge, -min(-amount, whole)))
            if each:
                collect(shop, total)
        collect(shop, total)
        shop.close()
    first, second = ({name: amount for name, amount in total.items() if amount} for total in totals)
    assert first == second


def collect(shop, total):
    """Settle, and add what is paid."""
    head = shop.ledger.head.seq
    event = shop.ledger.execute(shop.open_batch()).unwrap().event
    if shop.ledger.head.seq == head:
        return
    shop.given(shop.submit(event.number), shop.commit(event.number), shop.confirm(event.number))
    for payout in event.payouts:
        total[payout.receiver] = total.get(payout.receiver, 0) + payout.amount


# -- assets, contracts and chains --------------------------------------------------------------------------------------


def both_assets(shop):
    """A plan in USD and one in EUR, both deposited in one contract and used: 300 USD, 400 EUR."""
    shop.given(shop.plan(), shop.plan("euro", asset="EUR"), shop.deposit("1"), shop.deposit("2", plan="euro"))
    shop.given(shop.charge_directly(30), shop.charge_directly(40, plan="euro"))


def test_numbers_run_per_contract_and_payouts_are_per_asset(shop):
    both_assets(shop)
    dollars, euros = shop.opens(), shop.opens("EUR")
    assert (dollars.batch.number, shop.payouts(dollars)) == (1, {"acme": 270, "fee": 30})
    assert (euros.batch.number, shop.payouts(euros)) == (2, {"acme": 360, "fee": 40})
    assert shop.counters(dollars) == {("alice", "pro"): (300, 0)}
    assert shop.counters(euros) == {("alice", "euro"): (400, 0)}
    assert (dollars.batch.previous, euros.batch.previous) == ("", dollars.digest)


@pytest.mark.parametrize("there", [OTHER, AWAY, OTHER | AWAY], ids=str)
def test_contracts_and_chains_are_separate(shop, there):
    """Each has its own numbers, counters and payouts, of its own lots; the first lot burns first."""
    shop.given(shop.plan(), shop.deposit("1"), shop.deposit("1", **there), shop.charge_directly(100))
    shop.opens_nothing(**there)
    shop.given(shop.charge_directly(20))
    first, second = shop.opens(), shop.opens(**there)
    assert (first.batch.number, shop.counters(first)) == (1, {("alice", "pro"): (1000, 0)})
    assert (second.batch.number, shop.counters(second)) == (1, {("alice", "pro"): (200, 0)})
    assert (shop.payouts(first), shop.payouts(second)) == ({"acme": 900, "fee": 100}, {"acme": 180, "fee": 20})
    assert (first.batch.previous, second.batch.previous) == ("", "")
    shop.given(shop.submit(1), shop.commit(1), shop.confirm(1))
    (still,) = shop.ledger.batches(ContractRef(**({"chain": "mock:local", "contract": "tollbook"} | there)))
    assert (still.batch.number, still.state) == (1, "opened")


def test_a_failure_in_one_contract_is_none_in_another(shop):
    shop.given(shop.plan(), shop.deposit("1"), shop.deposit("1", **OTHER), shop.charge_directly(100))
    shop.given(shop.charge_directly(20))
    shop.opens()
    shop.opens(**OTHER)
    shop.given(shop.submit(1), shop.submit(1, **OTHER), shop.fail(1, **OTHER))
    assert [each.state for each in shop.ledger.batches(ContractRef("mock:local", "tollbook"))] == ["submitted"]
    assert shop.payouts(shop.opens(**OTHER)) == {"acme": 180, "fee": 20}


def test_one_account_with_lots_in_two_assets_has_a_leaf_in_each(shop):
    """The chain sold the second for EUR, at a price of its own."""
    euro = Terms(asset="EUR", shares={"acme": 50}, credits=10)
    shop.given(shop.plan(), shop.deposit("1"), shop.deposit("2", terms=euro), shop.charge_directly(105))
    dollars, euros = shop.opens(), shop.opens("EUR")
    assert (shop.counters(dollars), shop.payouts(dollars)) == ({("alice", "pro"): (1000, 0)}, {"acme": 900, "fee": 100})
    assert (shop.counters(euros), shop.payouts(euros)) == ({("alice", "pro"): (25, 0)}, {"acme": 25})


def test_the_escrows_are_listed(shop):
    assert shop.ledger.escrows() == []
    both_assets(shop)
    shop.given(shop.deposit("1", **OTHER), shop.buy(funding="direct"))
    assert shop.ledger.escrows() == [
        EscrowAsset(ContractRef("mock:local", "other"), "USD"),
        EscrowAsset(ContractRef("mock:local", "tollbook"), "EUR"),
        EscrowAsset(ContractRef("mock:local", "tollbook"), "USD"),
    ]
