"""What chains say: purchases with their own terms, exit requests, exits paid (chains.md; design.md, section 4).

The plan is 100 credits for 1000 USD, 900 to acme and 100 as a fee: a used credit earns 10.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import Reason, RetirePlan, Terms

DAYS = 86_400
TERMS = Terms(asset="EUR", shares={"bea": 70, "fee": 7}, credits=11)


def same_answer(shop, command, seq):
    """The command gets the answer that it got at first, and leaves no mark."""
    head, state = shop.ledger.head, shop.ledger.state()
    answer = shop.ledger.execute(command)
    assert answer, f"refused: {answer}"
    assert (answer.seq, answer.event) == (seq, shop.event(seq))
    assert (shop.ledger.head, shop.ledger.state()) == (head, state)


def leaves_no_mark(shop, command):
    """Whether it is refused or gets the first answer, nothing is written."""
    head, state = shop.ledger.head, shop.ledger.state()
    shop.ledger.execute(command)
    assert (shop.ledger.head, shop.ledger.state()) == (head, state)


# -- purchases ---------------------------------------------------------------------------------------------------------


def test_a_purchase_on_a_chain_has_the_chains_terms(shop):
    """Another price, another split, another asset, other credits than the plan's."""
    shop.given(shop.plan())
    seq = shop.when(shop.deposit("1", terms=TERMS))
    stored = shop.stored(seq)
    assert (stored["asset"], stored["cost"], stored["credits"]) == ("EUR", 77, 11)
    assert stored["shares"] == [{"receiver": "bea", "amount": 70}, {"receiver": "fee", "amount": 7}]
    assert stored["funding"]["escrow"] == {"chain": "mock:local", "contract": "tollbook", "purchase": "1"}
    shop.leaves(issued=11, available=11)
    shop.given(shop.charge_directly(2))
    shop.opens_nothing()
    opened = shop.opens("EUR")
    assert (shop.counters(opened), shop.payouts(opened)) == ({("alice", "pro"): (14, 0)}, {"bea": 12, "fee": 1})


def test_terms_of_time_make_a_window(shop):
    """60 seconds of a plan of 100, at its own price; the half of it has earned half."""
    shop.given(shop.window())
    lot = shop.when(shop.deposit("1", terms=Terms(asset="USD", shares={"acme": 600}, seconds=60)))
    shop.lot_has(lot, start=shop.moment(0), expiry=shop.moment(60), credits=0, cost=600)
    assert shop.payouts(shop.at(30).opens()) == {"acme": 300}


def test_terms_of_credits_and_time_make_both(shop):
    shop.given(shop.plan())
    lot = shop.when(shop.deposit("1", terms=Terms(asset="USD", shares={"acme": 600}, credits=6, seconds=60)))
    shop.lot_has(lot, credits=6, expiry=shop.moment(60), cost=600)
    assert shop.payouts(shop.at(60).opens()) == {"acme": 600}


def test_a_retired_plan_is_still_sold_by_its_chain(shop):
    """What was paid there is paid; the ledger's own sale is refused."""
    shop.given(shop.plan(), RetirePlan(plan="pro"))
    shop.refuses(shop.buy(), Reason.plan_retired)
    shop.given(shop.deposit("1", terms=TERMS))
    shop.leaves(available=11)


def test_a_trial_plan_sold_by_its_chain_is_a_sale(shop):
    """However often: a trial is once, a purchase is not."""
    shop.given(shop.plan(trial=True, price={}), shop.buy())
    shop.refuses(shop.buy(), Reason.trial_used)
    for order in ("1", "2"):
        seq = shop.when(shop.deposit(order, terms=TERMS))
        assert (shop.event(seq).kind, shop.event(seq).cost) == ("sale", 77)


def test_a_repriced_tariff_does_not_touch_what_was_bought(shop):
    shop.given(shop.plan(), shop.deposit("1", terms=TERMS), shop.reprice(weights={"units": 2}), shop.charge_directly(1))
    opened = shop.opens("EUR")
    assert shop.counters(opened) == {("alice", "pro"): (14, 0)}


def test_an_unknown_plan_is_refused_with_terms_too(shop):
    shop.refuses(shop.deposit("1", terms=TERMS), Reason.plan_unknown)


@pytest.mark.parametrize("terms", [None, TERMS], ids=["the plan's", "the chain's"])
@pytest.mark.parametrize("later", [0, 10, 400 * DAYS])
def test_a_purchase_on_a_chain_is_remembered_for_ever(shop, terms, later):
    """By chain, contract and purchase id: however often a scan of the chain tells of it, it is one purchase."""
    shop.given(shop.plan())
    seq = shop.when(shop.deposit("1", terms=terms))
    shop.at(later)
    same_answer(shop, shop.deposit("1", terms=terms), seq)
    shop.given(shop.deposit("2", terms=terms))
    same_answer(shop, shop.deposit("1", terms=terms), seq)


def test_a_purchase_that_comes_again_in_another_block_is_the_same(shop):
    """Granted before it was final, and reorganised: ids are stable, blocks are not."""
    shop.given(shop.plan())
    seq = shop.when(shop.deposit("1", terms=TERMS, block=5))
    leaves_no_mark(shop, shop.deposit("1", terms=TERMS, block=9))
    same_answer(shop, shop.deposit("1", terms=TERMS, block=5), seq)
    shop.leaves(issued=11)


def test_a_purchase_id_buys_once_whoever_and_whatever_is_said_of_it(shop):
    shop.given(shop.plan(), shop.plan("air"), shop.deposit("1", terms=TERMS))
    for other in ({"subscriber": "bob"}, {"plan": "air"}, {"terms": None}, {"terms": Terms(asset="USD", shares={})}):
        leaves_no_mark(shop, shop.deposit("1", **({"terms": TERMS} | other)))


def test_the_same_id_on_another_contract_or_chain_is_another_purchase(shop):
    shop.given(
        shop.plan(), shop.deposit("1"), shop.deposit("1", contract="other"), shop.deposit("1", chain="mock:away")
    )
    shop.given(shop.deposit("2"))
    shop.leaves(issued=400)


def test_a_purchase_that_its_chain_took_away_and_has_again_is_bought_again(shop):
    """A relayer may send the same signed order once more: the chain has the money then, and the buyer the credits."""
    lot = shop.given(shop.plan(), shop.deposit("1"))
    shop.given(shop.reverse(lot))
    shop.leaves(available=0)
    shop.at(5 * DAYS).given(shop.deposit("1"))
    shop.leaves(available=100)
    leaves_no_mark(shop, shop.deposit("1"))


def test_a_reversed_payment_id_is_not_taken_twice(shop):
    lot = shop.given(shop.plan(), shop.buy(payment="card 1"))
    shop.given(shop.reverse(lot))
    leaves_no_mark(shop, shop.at(5 * DAYS).buy(payment="card 1"))


# -- exit requests -----------------------------------------------------------------------------------------------------


def test_an_exit_request_freezes_the_account(shop):
    """No new requests; nobody else is touched; the event names the fact."""
    shop.given(shop.plan(), shop.deposit("1"), shop.deposit("2", subscriber="bob"))
    seq = shop.when(shop.freeze(fact=shop.fact("exit 1")))
    stored = shop.stored(seq)
    assert (stored["type"], stored["account"]) == ("frozen", 1)
    assert stored["fact"] == {"chain": "mock:local", "contract": "tollbook", "id": "exit 1"}
    shop.refuses(shop.ask(1), Reason.frozen)
    shop.given(shop.ask(1, subscriber="bob"))


def test_open_requests_of_a_frozen_account_end_as_usual(shop):
    """One is charged in parts, one released, one expires; what was charged is settled."""
    shop.given(shop.plan(), shop.deposit("1"))
    charged, released, _ = (shop.when(shop.ask(20)) for _ in range(3))
    shop.given(shop.freeze(fact=shop.fact("exit 1")))
    shop.given(shop.part(charged, 5), shop.charge(charged, 10), shop.release(released))
    shop.at(700).tick()
    shop.leaves(available=85, held=0, spent=15)
    assert shop.ledger.requests() == []
    assert shop.payouts(shop.opens()) == {"acme": 135, "fee": 15}


@pytest.mark.parametrize("later", [0, 30 * DAYS])
def test_the_same_exit_request_gets_the_first_answer(shop, later):
    shop.given(shop.plan(), shop.deposit("1"))
    seq = shop.when(shop.freeze(fact=shop.fact("exit 1")))
    same_answer(shop.at(later), shop.freeze(fact=shop.fact("exit 1")), seq)


def test_a_charge_is_corrected_on_a_frozen_account(shop):
    charge = shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30))
    shop.settles()
    shop.given(shop.freeze(fact=shop.fact("exit 1")), shop.correct(charge, -10))
    assert shop.payouts(shop.opens()) == {"acme": -90, "fee": -10}


# -- exits paid --------------------------------------------------------------------------------------------------------


@pytest.fixture
def leaving(shop):
    """25 of 100 credits are used and settled (250 earned), and the account is frozen."""
    shop.lot = shop.given(shop.plan(), shop.deposit("1"))
    shop.given(shop.charge_directly(25))
    shop.settles()
    shop.given(shop.freeze(fact=shop.fact("request 1")))
    return shop


def test_an_exit_takes_the_unused_credits_and_the_money_that_the_chain_paid(leaving):
    seq = leaving.when(leaving.exit(750))
    event = leaving.event(seq)
    assert (leaving.draws(seq), event.money) == ([(leaving.lot, 75)], {leaving.lot: 750})
    assert (event.asset, event.paid, event.fact) == ("USD", 750, leaving.fact("exit 1"))
    leaving.leaves(available=0, spent=25, withdrawn=75)
    assert (leaving.earned, leaving.money("payer"), leaving.money("deferred")) == (250, -250, 0)
    leaving.opens_nothing()


@pytest.mark.parametrize("paid", [0, 1, 300, 749, 750, 751, 900, 1000])
def test_after_an_exit_the_lot_has_earned_what_the_chain_kept(leaving, paid):
    """1000 less what was paid, whether that was more or less than had not been earned. The next batch tells of it."""
    leaving.given(leaving.exit(paid))
    leaving.leaves(available=0, spent=25, withdrawn=75)
    assert (leaving.earned, leaving.money("payer")) == (1000 - paid, paid - 1000)
    if paid == 750:
        return
    opened = leaving.settles()
    step = 1000 - paid - 250
    assert leaving.counters(opened) == {("alice", "pro"): (250 + max(step, 0), max(-step, 0))}
    fee = (1000 - paid) - (1000 - paid) * 9 // 10
    wanted = {"acme": (1000 - paid) * 9 // 10 - 225, "fee": fee - 25}
    assert leaving.payouts(opened) == {receiver: amount for receiver, amount in wanted.items() if amount}
    assert leaving.money("settled") == 1000 - paid


@pytest.mark.parametrize("paid", [0, 1, 300, 999, 1000])
def test_what_the_chain_kept_of_a_lot_that_was_not_used_at_all_is_earned_too(shop, paid):
    """All 100 credits leave. The chain may know of charges that were given back here since, and pays less than 1000:
    the rest is not deferred for ever."""
    lot = shop.given(shop.plan(), shop.deposit("1"))
    shop.given(shop.exit(paid))
    shop.lot_has(lot, withdrawn=100, earned=1000 - paid)


def test_what_the_chain_kept_of_a_charge_that_was_given_back_stays_with_the_receivers(shop):
    """300 were settled and given back in the ledger, but the chain paid the exit by the batch that it had: 700."""
    charge = shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30))
    shop.settles()
    shop.given(shop.freeze(fact=shop.fact("request 1")), shop.correct(charge, -30), shop.exit(700))
    assert shop.earned == 300
    shop.opens_nothing()


def test_no_more_leaves_the_books_than_was_paid_in(leaving):
    """A chain cannot have paid 1001 of a lot of 1000, nor both 750 and 251."""
    leaving.refuses(leaving.exit(1001), Reason.malformed)
    leaving.given(leaving.exit(750))
    leaving.refuses(leaving.exit(251, id="exit 2"), Reason.malformed)
    leaving.given(leaving.exit(250, id="exit 2"))
    assert (leaving.earned, leaving.money("payer")) == (0, 0)
    assert leaving.payouts(leaving.settles()) == {"acme": -225, "fee": -25}
    assert leaving.money("settled") == 0


def test_what_had_been_withdrawn_before_and_was_still_in_escrow_is_paid_first(leaving):
    """50 credits left in the ledger with 500, which the contract still held. It pays 750: those 500, and the 250 of the
    25 credits that were left."""
    leaving.given(leaving.withdraw(credits=50))
    seq = leaving.when(leaving.exit(750))
    event = leaving.event(seq)
    assert (leaving.draws(seq), event.money, event.paid) == ([(leaving.lot, 25)], {leaving.lot: 250}, 750)
    assert (leaving.earned, leaving.money("payer")) == (250, -250)


@pytest.mark.parametrize("paid", [500, 501, 600, 750, 800, 1000])
def test_after_an_exit_and_a_withdrawal_the_lot_has_earned_what_the_chain_kept(leaving, paid):
    leaving.given(leaving.withdraw(credits=50), leaving.exit(paid))
    assert (leaving.earned, leaving.money("payer")) == (1000 - paid, paid - 1000)
    leaving.leaves(available=0, spent=25, withdrawn=75)


def test_what_lapsed_with_its_money_and_was_still_in_escrow_is_paid_first(shop):
    """75 of 100 credits lapsed, and their 750 left in the ledger but not the contract, which pays them at the exit."""
    shop.given(shop.plan(seconds=100, on_lapse="refund"), shop.deposit("1"), shop.charge_directly(25))
    seq = shop.at(200).when(shop.exit(750))
    assert shop.types == ["withdrawn", "withdrawn"]
    assert (shop.event(seq).paid, sum(shop.event(seq).money.values())) == (750, 0)
    assert (shop.earned, shop.money("payer")) == (250, -250)


def test_the_money_of_a_reversed_purchase_is_in_no_escrow(shop):
    """The first was void: all that the chain pays is of the second, of which 250 were earned."""
    first = shop.given(shop.plan(), shop.deposit("1"))
    second = shop.given(shop.reverse(first), shop.deposit("2"))
    shop.given(shop.charge_directly(25))
    event = shop.event(shop.when(shop.exit(750)))
    assert (event.draws, event.money) == (((second, 75),), {second: 750})
    assert (shop.earned, shop.money("payer")) == (250, -250)


def test_what_is_due_is_written_before_an_exit(shop):
    """At 100 the lot has lapsed and earned its 1000, but the chain paid 750 of it by an older batch."""
    shop.given(shop.plan(seconds=100), shop.deposit("1"), shop.charge_directly(25))
    shop.at(100).given(shop.exit(750))
    assert shop.types == ["lapsed", "withdrawn"]
    assert (shop.earned, shop.money("payer")) == (250, -250)


def test_a_lot_withdrawn_whole_leaves_nothing_but_money_to_pay(shop):
    """All 100 left in the ledger; the chain pays the 1000 later."""
    shop.given(shop.plan(), shop.deposit("1"), shop.withdraw(), shop.exit(1000))
    assert (shop.earned, shop.money("payer")) == (0, 0)
    shop.leaves(withdrawn=100, available=0)
    shop.opens_nothing()


def test_what_an_exit_paid_is_not_paid_again_at_the_next(shop):
    """500 left in the ledger and were paid at the first exit. The second order's exit pays 400: its own lot's."""
    shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(50), shop.withdraw(), shop.exit(500))
    assert shop.earned == 500
    lot = shop.given(shop.deposit("2"))
    shop.given(shop.charge_directly(60))
    seq = shop.when(shop.exit(400, id="exit 2"))
    assert (shop.draws(seq), shop.event(seq).money) == ([(lot, 40)], {lot: 400})
    assert shop.earned == 500 + 600


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_each_contract_pays_what_was_withdrawn_of_its_own_money(shop, order):
    """Half of each deposit was withdrawn. Each exit pays its contract's 1000: 500 of them had left the lot already."""
    lots = shop.given(shop.plan(), shop.deposit("1")), shop.given(shop.deposit("1", contract="other"))
    shop.given(*(shop.withdraw(lot=lots[position], credits=50) for position in order))
    for lot, where in zip(lots, ({}, {"contract": "other"}), strict=True):
        seq = shop.when(shop.exit(1000, where=where))
        assert (shop.draws(seq), shop.event(seq).money) == ([(lot, 50)], {lot: 500})
    assert (shop.earned, shop.money("payer")) == (0, 0)


def test_what_was_withdrawn_of_a_deposit_that_the_chain_never_had_is_not_paid(shop):
    """Half of the first deposit was withdrawn, then its block was reorganised away. The second is paid whole."""
    first = shop.given(shop.plan(), shop.deposit("1"))
    second = shop.given(shop.withdraw(credits=50), shop.reverse(first), shop.deposit("2"))
    seq = shop.when(shop.exit(1000))
    assert (shop.draws(seq), shop.event(seq).money) == ([(second, 100)], {second: 1000})


def test_an_exit_takes_from_all_lots_that_the_contract_funded(shop):
    """The first is used up, of the second 80 are left, the third is whole: 180 credits, 1800."""
    first = shop.given(shop.plan(), shop.deposit("1"))
    second, third = shop.given(shop.deposit("2")), shop.given(shop.deposit("3"))
    shop.given(shop.charge_directly(100), shop.charge_directly(20))
    event = shop.event(shop.when(shop.exit(1800)))
    assert sorted(event.draws) == [(second, 80), (third, 100)]
    assert {lot: money for lot, money in event.money.items() if money} == {second: 800, third: 1000}
    shop.lot_has(first, earned=1000)
    assert shop.earned == 1200


def test_other_lots_are_not_touched_by_an_exit(shop):
    """A gift, a direct sale, and deposits in another contract, on another chain and in another asset stay whole."""
    shop.given(shop.plan(), shop.gift(10), shop.buy(funding="direct"), shop.deposit("1", contract="other"))
    shop.given(shop.deposit("1", chain="mock:away"), shop.deposit("2", terms=TERMS), shop.deposit("1"))
    shop.when(shop.exit(1000))
    assert len(shop.wrote) == 1
    assert shop.wrote[0].event.money == {lot_of(shop, -1): 1000}
    shop.leaves(available=321, withdrawn=100)


def lot_of(shop, place):
    return shop.ledger.lots("alice", "pro")[place].id


def test_what_is_held_at_an_exit_stays_and_earns_nothing_where_the_chain_paid_for_it(shop):
    """Nothing was settled, so the chain paid all 1000; 30 are held, and charged afterwards."""
    shop.given(shop.plan(), shop.deposit("1"))
    request = shop.given(shop.ask(30))
    shop.given(shop.freeze(fact=shop.fact("request 1")), shop.exit(1000))
    shop.leaves(available=0, held=30, withdrawn=70)
    shop.given(shop.charge(request, 30))
    shop.leaves(spent=30, withdrawn=70)
    assert shop.earned == 0


def test_what_is_held_at_an_exit_earns_what_the_chain_kept(shop):
    """The chain kept 300 for the 30 that are held: they earn it when they are charged."""
    shop.given(shop.plan(), shop.deposit("1"))
    request = shop.given(shop.ask(30))
    shop.given(shop.exit(700))
    assert shop.earned == 0
    shop.given(shop.charge(request, 30))
    assert (shop.earned, shop.money("payer")) == (300, -300)


def test_a_window_ends_at_an_exit(shop):
    """At 25 of 100 seconds the chain paid 750."""
    lot = shop.given(shop.window(), shop.deposit("1"))
    event = shop.event(shop.at(25).when(shop.exit(750)))
    assert (event.draws, event.money) == ((), {lot: 750})
    shop.at(80).refuses(shop.ask(), Reason.expired)
    shop.lot_has(lot, earned=250)


@pytest.mark.parametrize("paid", [0, 700, 800, 1000])
@pytest.mark.parametrize("second", [0, 25, 99, 100, 300])
def test_after_an_exit_a_window_has_earned_what_the_chain_kept(shop, second, paid):
    """Whenever that was, and ever after."""
    shop.given(shop.window(), shop.deposit("1"))
    shop.at(second).given(shop.exit(paid))
    assert (shop.earned, shop.money("payer")) == (1000 - paid, paid - 1000)
    shop.at(1000)
    assert shop.earned == 1000 - paid


def test_a_window_that_has_not_started_leaves_whole_at_an_exit(shop):
    shop.given(shop.window(), shop.deposit("1"), shop.deposit("2"))
    shop.at(25).given(shop.exit(1750))
    assert (shop.earned, shop.money("payer")) == (250, -250)
    shop.at(150).refuses(shop.ask(), Reason.expired)


def test_an_exit_that_pays_less_than_had_been_withdrawn_takes_no_more_money(shop):
    """500 left in the ledger with 50 credits; the chain paid 400 of that. The other 25 credits leave without money, and
    nothing leaves twice: no more is earned than what the contract has."""
    shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(25), shop.withdraw(credits=50), shop.exit(400))
    shop.leaves(available=0, spent=25, withdrawn=75)
    assert sum(shop.wrote[-1].event.money.values()) == 0
    assert shop.money("payer") == -500
    assert shop.earned <= 600


@pytest.mark.parametrize("later", [0, 30 * DAYS])
def test_the_same_exit_gets_the_first_answer(leaving, later):
    seq = leaving.when(leaving.exit(750))
    same_answer(leaving.at(later), leaving.exit(750), seq)


def test_an_exit_of_another_id_is_another_exit(leaving):
    """The second pays what was left of the first lot's earnings; ids are per contract."""
    leaving.given(leaving.exit(700), leaving.exit(50, id="exit 2"))
    assert leaving.earned == 250


def test_an_exit_of_an_unknown_account_is_refused(shop):
    shop.given(shop.plan())
    shop.refuses(shop.exit(0), Reason.not_subscribed)
    shop.refuses(shop.exit(0, plan="none"), Reason.plan_unknown)


moves = st.one_of(
    st.tuples(st.sampled_from(["charge", "refund", "withdraw", "deposit"]), st.integers(1, 9)),
    st.tuples(st.just("settle"), st.just(0)),
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["acme", "bea", "fee"]), st.integers(0, 50) | st.integers(0, 10**21), min_size=1),
    st.lists(moves, max_size=14),
    st.fractions(0, 1),
    st.integers(0, 9),
)
def test_what_the_contract_took_in_is_what_it_paid_out_and_what_it_paid_back(open_shop, price, said, part, back):
    """In the end every sale's cost is with the receivers or with the subscriber who left, to the unit, whatever was
    charged, refunded, withdrawn and settled before, and a refund that comes after the exit."""
    shop, cost, orders = open_shop(), sum(price.values()), 1
    shop.given(shop.plan(credits=20, price=price), shop.deposit("1"))
    charges, paid, withdrawn = [], {}, 0
    for verb, amount in said:
        if verb == "deposit":
            orders += 1
            shop.given(shop.deposit(str(orders)))
        elif verb == "settle":
            collect(shop, paid)
        elif verb == "refund" and charges:
            shop.ledger.execute(shop.correct(charges.pop(), -amount))
        elif verb != "refund":
            command = shop.charge_directly(amount) if verb == "charge" else shop.withdraw(credits=amount)
            answer = shop.ledger.execute(command)
            if answer and verb == "charge":
                charges.append(answer.seq)
            elif answer:
                withdrawn += sum(answer.event.money.values())
    amount = withdrawn + int((cost * orders - withdrawn) * part)
    shop.given(shop.exit(amount))
    shop.leaves(available=0)
    assert (shop.earned, shop.money("payer")) == (cost * orders - amount, amount - cost * orders)
    collect(shop, paid)
    assert sum(paid.values()) + amount == cost * orders
    if charges and back:
        shop.ledger.execute(shop.correct(charges[-1], -back))
        collect(shop, paid)
        assert sum(paid.values()) + amount <= cost * orders
    shop.close()


def collect(shop, paid):
    """Settle, and add what is paid."""
    head = shop.ledger.head.seq
    event = shop.ledger.execute(shop.open_batch()).unwrap().event
    if shop.ledger.head.seq > head:
        shop.given(shop.submit(event.number), shop.commit(event.number), shop.confirm(event.number))
        for payout in event.payouts:
            paid[payout.receiver] = paid.get(payout.receiver, 0) + payout.amount


# -- after an exit -----------------------------------------------------------------------------------------------------


def kept(shop, paid, cost=1000):
    """What nobody else got of the deposit is earned, once nothing is open any more."""
    (money,) = shop.ledger.earned()
    assert money.earned == cost - paid


@pytest.mark.parametrize("ends", ["release", "charge", "expiry"])
@pytest.mark.parametrize("on_lapse", ["earn", "refund"])
def test_what_was_held_at_an_exit_is_earned_however_its_request_ends(shop, on_lapse, ends):
    """The chain has paid all that it will: credits that return to one who has left are of no use to anybody."""
    shop.given(shop.plan(on_lapse=on_lapse), shop.deposit("1"), shop.charge_directly(20))
    request = shop.when(shop.ask(30))
    shop.given(shop.freeze(fact=shop.fact("request 1")), shop.exit(800))
    shop.leaves(held=30, available=0)
    if ends == "release":
        shop.given(shop.release(request))
    elif ends == "charge":
        shop.given(shop.charge(request, 10))
    else:
        shop.at(5 * DAYS).tick()
    shop.leaves(held=0, available=0)
    kept(shop, 800)


@pytest.mark.parametrize("on_lapse", ["earn", "refund"])
@pytest.mark.parametrize("expiry", [None, 9 * DAYS])
def test_what_is_given_back_after_an_exit_stays_earned(shop, on_lapse, expiry):
    shop.given(shop.plan(on_lapse=on_lapse), shop.deposit("1"))
    charge = shop.when(shop.charge_directly(20))
    shop.given(shop.freeze(fact=shop.fact("request 1")), shop.exit(800))
    said = {} if expiry is None else {"expiry": expiry}
    shop.given(shop.correct(charge, -20, **said))
    shop.leaves(available=0, spent=0, lapsed=20)
    kept(shop, 800)
