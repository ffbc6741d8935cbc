"""Pay as you go: what is used is invoiced when its period ends; invoices are paid, overdue and written off.

A period is a month: the shop opens on 15 November, so November ends 16 days later. A credit costs 10 USD, of which 1 is
a fee, and 500 credits may be owed.
"""

import pytest

from ledger import Reason, RetirePlan, Tick
from ledger.amounts import split_steadily

DAY = 86_400
NOVEMBER, DECEMBER, JANUARY = 16 * DAY, 47 * DAY, 78 * DAY
"""The ends of three months."""


@pytest.fixture
def street(shop):
    """A shop with a subscriber who pays as she goes."""
    shop.given(shop.postpaid(), shop.subscribe())
    return shop


def billed(shop, units=30):
    """What alice used in November, once it is over."""
    charge = shop.when(shop.charge_directly(units))
    shop.at(NOVEMBER).tick()
    return charge


# -- subscribing and using ---------------------------------------------------------------------------------------------


def test_nothing_is_bought_before_it_is_used(street):
    request = street.when(street.ask(100))
    street.leaves(available=400, held=100, spent=0, debt=0)
    street.when(street.charge(request, 80))
    street.leaves(available=420, held=0, spent=80)
    assert street.ledger.earned()[0].earned == 0


def test_a_subscriber_subscribes_once_and_only_to_a_postpaid_plan_that_is_sold(street):
    street.refuses(street.subscribe(credit_limit=499), Reason.key_reused)
    street.given(street.plan("prepaid"))
    street.refuses(street.subscribe(plan="prepaid"), Reason.malformed)
    street.given(RetirePlan(plan="pro"))
    street.refuses(street.subscribe(subscriber="bob"), Reason.plan_retired)
    street.given(street.charge_directly(1))


@pytest.mark.parametrize("limit", [None, 500])
@pytest.mark.parametrize("key", [None, "start"])
def test_the_same_subscription_gets_the_first_answer_however_late(shop, key, limit):
    shop.given(shop.postpaid())
    first = shop.ledger.execute(shop.subscribe(key=key)).unwrap()
    shop.at(NOVEMBER + 400 * DAY)
    shop.given(RetirePlan(plan="pro"), shop.freeze())
    head = shop.ledger.head
    again = shop.ledger.execute(shop.subscribe(key=key, credit_limit=limit, issued_at=1 if key else None)).unwrap()
    assert (again.repeated, again.seq, again.event) == (True, first.seq, first.event)
    assert shop.ledger.head == head


def test_another_limit_is_refused_and_told_the_present_one(shop):
    shop.given(shop.postpaid(decimals=1), shop.subscribe(credit_limit="20.0"))
    for other in ("50.0", None):
        refused = shop.ledger.execute(shop.subscribe(credit_limit=other))
        assert refused.reason is Reason.key_reused
        assert refused.facts["detail"] == "'alice' is subscribed to 'pro' already, with a credit limit of 20.0"
    assert shop.ledger.execute(shop.subscribe(credit_limit="20.0")).unwrap().repeated


def test_a_subscriber_may_have_a_limit_of_its_own(shop):
    shop.given(shop.postpaid(decimals=1), shop.subscribe(credit_limit="20.0"))
    shop.leaves(available=200)
    assert shop.ledger.balance("alice", "pro").billing.limit == 200
    billed(shop, 200)
    shop.refuses(shop.ask(1), Reason.insufficient_credits, needed=1, available=0, decimals=1)
    shop.given(shop.pay(amount=500))
    shop.leaves(available=50)
    shop.given(shop.pay(payment="p2"))
    shop.leaves(available=200)


def test_without_a_subscription_nothing_is_used(shop):
    shop.given(shop.postpaid())
    shop.refuses(shop.ask(1), Reason.not_subscribed)


def test_used_held_and_invoiced_credits_count_against_the_limit(street):
    billed(street, 200)
    street.when(street.charge_directly(100))
    street.when(street.ask(150))
    street.refuses(street.ask(51), Reason.insufficient_credits, needed=51, available=50)
    assert street.refusal(street.ask(51)).http_status == 402
    street.given(street.ask(50))


def test_finished_work_beyond_the_limit_follows_the_overrun_rule(street):
    request = street.when(street.ask(500))
    charged = street.event(street.when(street.charge(request, 510)))
    assert (charged.credits, charged.shortfall) == (500, 10)
    street.at(NOVEMBER).tick()
    street.invoice_is(credits=500, money=5000)


def test_a_direct_charge_beyond_the_limit_follows_the_overrun_rule_too(street):
    """The limit is what there is: `cap` takes it and keeps the rest as a shortfall, which no invoice has."""
    billed(street, 450)
    street.given(street.ask(30))
    charged = street.event(street.when(street.charge_directly(70)))
    assert (charged.credits, charged.shortfall) == (20, 50)
    street.at(DECEMBER).tick()
    street.invoice_is(2, credits=20, money=200)
    street.given(street.pay(1, payment="p1"), street.pay(2, payment="p2"))
    street.leaves(available=500, debt=0)


def test_a_direct_charge_beyond_the_limit_is_debt_where_the_plan_allows_it(shop):
    shop.given(shop.postpaid(overrun="debt", debt_limit=50), shop.subscribe())
    charged = shop.event(shop.when(shop.charge_directly(570)))
    assert (charged.credits, charged.shortfall) == (550, 20)
    shop.leaves(debt=50, available=-50, spent=550)
    shop.refuses(shop.ask(1), Reason.in_debt, available=-50)
    shop.at(NOVEMBER).tick()
    shop.invoice_is(credits=500, money=5000)


def test_debt_beyond_the_limit_is_paid_by_the_line_as_it_clears_and_then_invoiced(shop):
    shop.given(shop.postpaid(overrun="debt", debt_limit=50), shop.subscribe())
    request = shop.when(shop.ask(500))
    shop.when(shop.charge(request, 530))
    shop.leaves(debt=30, available=-30, spent=530)
    shop.at(NOVEMBER).tick()
    shop.given(shop.pay())
    shop.leaves(debt=0, available=470)
    shop.at(DECEMBER).tick()
    shop.invoice_is(2, credits=30, money=300)


def test_gifts_and_prepaid_credits_are_used_first(street):
    street.given(street.gift(20), street.buy())
    billed(street, 130)
    street.invoice_is(credits=10, money=100)


@pytest.mark.parametrize(
    "terms", [{"credit_limit": 0}, {"price": {}}, {"seconds": 60}, {"period": "forever"}, {"trial": True, "price": {}}]
)
def test_a_postpaid_plan_has_a_price_a_limit_and_a_calendar(shop, terms):
    shop.refuses(shop.postpaid(**terms), Reason.malformed)


# -- invoices ----------------------------------------------------------------------------------------------------------


def test_a_month_is_invoiced_when_it_ends(street):
    billed(street)
    street.invoice_is(period="2023-11", credits=30, money=300, owed=300, paid=0, status="open", asset="USD")
    street.invoice_is(at=street.moment(NOVEMBER), due=street.moment(NOVEMBER + 7 * DAY))
    assert street.ledger.earned()[0].receivable == 300
    assert street.ledger.earned()[0].earned == 0


def test_an_invoice_is_read_before_it_is_written(street):
    street.given(street.charge_directly(30))
    street.at(NOVEMBER)
    street.invoice_is(credits=30, owed=300, seq=None)


def test_a_month_without_use_has_no_invoice(street):
    street.at(NOVEMBER).tick()
    billed(street.at(NOVEMBER + DAY), 0)
    assert street.invoices() == []


def test_a_charge_at_the_instant_at_which_a_month_ends_is_of_the_next(street):
    street.given(street.charge_directly(30))
    street.at(NOVEMBER).given(street.charge_directly(5))
    street.at(DECEMBER).tick()
    assert [(each.period, each.credits) for each in street.invoices()] == [("2023-11", 30), ("2023-12", 5)]


def test_an_open_request_is_invoiced_when_it_is_charged(street):
    street.at(NOVEMBER - 60)
    request = street.when(street.ask(100))
    street.at(NOVEMBER + 60).given(street.charge(request, 40))
    assert street.invoices() == []
    street.at(DECEMBER).tick()
    street.invoice_is(period="2023-12", credits=40)


def test_the_price_is_rounded_down_once_for_all_invoices(shop):
    shop.given(shop.postpaid(price={"acme": 10}, credits=3, period="day"), shop.subscribe())
    for day in range(4):
        shop.at(day * DAY).given(shop.charge_directly(1))
    shop.at(4 * DAY).tick()
    assert [each.money for each in shop.invoices()] == [3, 3, 4, 3]


def test_a_correction_is_on_the_next_invoice(street):
    charge = billed(street)
    street.at(NOVEMBER + DAY).given(street.correct(charge, -10), street.charge_directly(25))
    street.at(DECEMBER).tick()
    street.invoice_is(1, credits=30, money=300, owed=300)
    street.invoice_is(2, credits=15, money=150)


def test_a_month_in_which_more_came_back_than_was_used_gives_a_credit_note(street):
    charge = billed(street)
    street.at(NOVEMBER + DAY).given(street.correct(charge, -10))
    street.at(DECEMBER).tick()
    street.invoice_is(2, credits=-10, money=-100, status="credit_note", owed=0)
    street.invoice_is(1, credited=100, owed=200)


def test_a_credit_note_on_what_was_paid_lowers_the_next_invoices(street):
    charge = billed(street)
    street.given(street.pay(), street.correct(charge, -10))
    street.at(DECEMBER).tick()
    assert street.ledger.balance("alice", "pro").billing.credit == 100
    street.given(street.charge_directly(25))
    street.at(JANUARY).tick()
    street.invoice_is(3, money=250, credited=100, owed=150)


# -- payments ----------------------------------------------------------------------------------------------------------


def test_what_is_paid_is_earned_by_the_shares_of_the_price(street):
    billed(street)
    street.given(street.pay())
    street.invoice_is(status="paid", owed=0, paid=300)
    assert (street.earned, street.earned_by("acme"), street.earned_by("fee")) == (300, 270, 30)
    street.leaves(available=500)


def test_an_invoice_may_be_paid_in_parts(street):
    billed(street)
    street.given(street.pay(amount=100))
    street.invoice_is(status="open", owed=200, paid=100)
    street.leaves(available=480)
    street.given(street.pay(amount=200, payment="p2"))
    street.invoice_is(status="paid")
    street.leaves(available=500)


def test_a_payment_counts_once(street):
    billed(street)
    first = street.ledger.execute(street.pay(amount=100))
    again = street.ledger.execute(street.pay(amount=100))
    assert (again.seq, again.repeated) == (first.seq, True)
    street.refuses(street.pay(amount=50), Reason.key_reused)
    street.refuses(street.buy(payment="p1"), Reason.key_reused)
    street.invoice_is(paid=100)


def test_no_more_is_paid_than_is_owed(street):
    billed(street)
    street.refuses(street.pay(amount=301), Reason.malformed)
    street.given(street.pay())
    street.refuses(street.pay(payment="p2"), Reason.malformed)
    street.refuses(street.pay(7, payment="p2"), Reason.invoice_unknown)


def test_no_share_falls_while_an_invoice_is_paid_unit_by_unit(shop):
    shop.given(shop.postpaid(price={"a": 1, "b": 1, "c": 1}, credits=1), shop.subscribe(), shop.charge_directly(4))
    shop.at(NOVEMBER).tick()
    before = {"a": 0, "b": 0, "c": 0}
    for unit in range(12):
        shop.given(shop.pay(amount=1, payment=f"p{unit}"))
        now = {name: shop.earned_by(name) for name in before}
        assert all(now[name] >= before[name] for name in before)
        assert sum(now.values()) == unit + 1
        before = now
    assert before == {"a": 4, "b": 4, "c": 4}


def test_a_split_that_is_steady_gives_all_and_never_less_for_more():
    for weights in ([950, 50], [1, 1, 1], [3, 0, 5, 7], [0, 1]):
        before = [0] * len(weights)
        for total in range(200):
            parts = split_steadily(total, weights)
            assert sum(parts) == total
            assert all(now >= less for now, less in zip(parts, before, strict=True))
            before = parts


def test_money_that_receivers_do_not_have_yet_is_due_to_them(street):
    billed(street)
    street.given(street.pay(funding="none"))
    earned = street.ledger.earned()[0]
    assert (earned.outstanding, earned.due) == (300, {"acme": 270, "fee": 30})


def test_a_reversed_payment_reopens_its_invoice(street):
    billed(street)
    street.given(street.pay(), street.reverse(payment="p1"))
    street.invoice_is(status="open", owed=300, paid=0)
    street.leaves(available=470)
    assert street.earned == 0
    street.refuses(street.pay(), Reason.payment_reversed)
    street.given(street.pay(payment="p2"))
    street.invoice_is(status="paid")


def test_a_part_of_a_payment_is_reversed_and_reinstated(street):
    billed(street)
    street.given(street.pay(), street.reverse(payment="p1", amount=120))
    street.invoice_is(owed=120, paid=180)
    assert street.earned == 180
    street.given(street.reinstate(payment="p1"))
    street.invoice_is(owed=0, paid=300)
    street.leaves(available=500)


def test_a_reinstated_payment_of_what_was_paid_again_is_credit(street):
    billed(street)
    street.given(street.pay(), street.reverse(payment="p1"), street.pay(payment="p2"), street.reinstate(payment="p1"))
    street.invoice_is(owed=0, paid=300)
    assert street.ledger.balance("alice", "pro").billing.credit == 300
    street.given(street.charge_directly(40))
    street.at(DECEMBER).tick()
    street.invoice_is(2, money=400, credited=300, owed=100)
    street.given(street.reverse(payment="p2"))
    street.invoice_is(1, owed=300)


# -- overdue, written off ----------------------------------------------------------------------------------------------


def test_what_is_not_paid_in_time_is_overdue(street):
    billed(street)
    street.at(NOVEMBER + 7 * DAY)
    street.invoice_is(status="overdue")
    street.tick()
    assert street.types == ["overdue"]
    street.given(street.ask(1))
    street.given(street.pay())
    street.invoice_is(status="paid")


def test_a_paid_invoice_is_never_overdue(street):
    billed(street)
    street.given(street.pay())
    street.at(NOVEMBER + 30 * DAY)
    assert street.ledger.execute(Tick()).event is None
    street.invoice_is(status="paid")


def test_a_plan_may_stop_serving_while_an_invoice_is_overdue(shop):
    shop.given(shop.postpaid(overdue="stop"), shop.subscribe())
    billed(shop)
    shop.at(NOVEMBER + 7 * DAY).refuses(shop.ask(1), Reason.overdue)
    assert not shop.ledger.balance("alice", "pro").admits
    shop.given(shop.charge_directly(1))  # finished work is charged all the same
    shop.given(shop.pay())
    shop.given(shop.ask(1))


def test_what_is_reopened_after_its_due_time_is_overdue_at_once(street):
    billed(street)
    street.given(street.pay())
    street.at(NOVEMBER + 8 * DAY).given(street.reverse(payment="p1"))
    street.invoice_is(status="overdue")


def test_what_will_not_be_paid_is_written_off(street):
    billed(street)
    street.given(street.pay(amount=100), street.write_off(amount=150, reason="insolvent"))
    street.invoice_is(owed=50, written_off=150, paid=100)
    street.given(street.write_off())
    street.invoice_is(status="written_off", owed=0, written_off=200)
    assert (street.earned, street.ledger.earned()[0].written_off) == (100, 200)
    street.leaves(available=500)
    street.refuses(street.write_off(), Reason.malformed)


def test_a_credit_note_takes_the_place_of_what_was_written_off(street):
    charge = billed(street)
    street.given(street.pay(amount=100), street.write_off(), street.correct(charge, -5))
    street.at(DECEMBER).tick()
    street.invoice_is(1, paid=100, written_off=150, credited=50, owed=0)
    assert street.ledger.balance("alice", "pro").billing.credit == 0


def test_what_was_written_off_and_comes_back_is_not_available_twice(street):
    charge = billed(street, 400)
    street.given(street.write_off(), street.correct(charge, -300))
    street.leaves(available=500, spent=100, withdrawn=300)
    street.at(DECEMBER).tick()
    street.leaves(available=500, spent=100)
    street.refuses(street.ask(501), Reason.insufficient_credits)


def test_what_was_paid_and_comes_back_is_available_beyond_the_limit(street):
    charge = billed(street, 400)
    street.given(street.pay(), street.correct(charge, -300))
    street.at(DECEMBER).tick()
    street.leaves(available=800, spent=100, withdrawn=0)


def test_what_a_reversed_payment_no_longer_clears_is_not_available_when_a_hold_returns(street):
    billed(street, 400)
    street.given(street.pay(payment="p1"))
    request = street.when(street.ask(500))
    street.given(street.reverse(payment="p1"), street.release(request))
    street.leaves(available=100, spent=400, held=0)


# -- what a credit line is not -----------------------------------------------------------------------------------------


def test_a_credit_line_is_neither_withdrawn_nor_reversed(street):
    line = next(lot.id for lot in street.ledger.lots("alice", "pro"))
    street.refuses(street.withdraw(), Reason.insufficient_credits)
    street.refuses(street.withdraw(lot=line), Reason.malformed)
    street.refuses(street.reverse(line), Reason.malformed)
    street.given(street.gift(20), street.withdraw())
    street.leaves(available=500)


def test_a_statement_shows_the_lines_of_an_invoice(street):
    billed(street)
    texts = [line.text for line in street.ledger.statement("alice", "pro").lines]
    assert texts[-1] == "invoice 1 of 2023-11: 30 credits, 3.00 USD"


def test_the_movements_of_an_invoice_are_between_it_and_the_one_before(street):
    charge = billed(street)
    late = street.when(street.charge_directly(5))
    street.at(DECEMBER).tick()
    first, second = street.invoices()
    assert [line.seq for line in street.ledger.statement("alice", "pro", since=first.after, upto=first.seq).lines][
        1:
    ] == [
        charge,
        first.seq,
    ]
    lines = street.ledger.statement("alice", "pro", since=second.after, upto=second.seq).lines
    assert [line.charge for line in lines if line.charge] == [late]


def test_a_period_is_that_in_which_something_came_to_be_invoiced_however_late_that_is_written(shop):
    """A hold of all the line leaves a direct charge to debt; the hold that expires in November pays it."""
    shop.given(shop.postpaid(overrun="debt", debt_limit=50), shop.subscribe(), shop.ask(500), shop.charge_directly(30))
    shop.at(JANUARY).tick()
    shop.invoice_is(period="2023-11", credits=30, status="overdue")


def test_who_owes_nothing_has_the_whole_limit_again(shop):
    """Of a credit at 3 1/3 USD a third is not charged: the line clears it all the same."""
    shop.given(shop.postpaid(price={"acme": 10}, credits=3), shop.subscribe())
    billed(shop, 1)
    shop.invoice_is(money=3)
    shop.given(shop.pay())
    shop.leaves(available=500)


def test_credits_that_a_chain_sold_are_used_before_the_line_and_settled_there(street):
    street.given(street.deposit("c1"), street.charge_directly(130))
    assert sum(street.payouts(street.settles()).values()) == 1000
    street.at(NOVEMBER).tick()
    street.invoice_is(credits=30, money=300)
    street.given(street.pay(funding="none"))
    street.opens_nothing()  # what a chain does not hold, no batch pays
    assert (street.earned, street.ledger.earned()[0].outstanding) == (1300, 300)
