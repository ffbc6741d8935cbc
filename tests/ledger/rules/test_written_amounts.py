"""Amounts and prices as people write them: exact, whole numbers in the log (issue 13)."""

import asyncio
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import (
    Adjust,
    AsyncLedger,
    Charge,
    CreditsLimit,
    Give,
    Ledger,
    Purchase,
    Reason,
    Reverse,
    Withdraw,
)
from ledger.amounts import MAX_CREDITS, amount_text
from ledger.commands import CreatePlan, RepricePlan, admit
from ledger.errors import WrongType, WrongValue

ANN = {"subscriber": "ann", "plan": "pro"}
COIN = "eip155:1/erc20:0xa0b8"


def stored(shop, **terms):
    return shop.stored(shop.given(shop.plan(**terms)))


@pytest.mark.parametrize("credits", ["10.00", "10", Decimal("10"), Decimal("1E+1"), 1000])
def test_credits_are_written_in_credits_and_kept_in_the_smallest_unit(shop, credits):
    assert stored(shop, credits=credits, decimals=2)["credits"] == 1000


def test_a_debt_limit_is_written_in_credits_too(shop):
    assert stored(shop, decimals=3, debt_limit="0.5", overrun="debt")["debt_limit"] == 500


@pytest.mark.parametrize(("asset", "price", "amount"), [("USD", "9.50", 950), ("JPY", "9", 9), ("KWD", "9.5", 9500)])
def test_a_price_is_written_in_its_asset(shop, asset, price, amount):
    assert stored(shop, asset=asset, price={"acme": price})["price"] == [{"receiver": "acme", "amount": amount}]


def test_a_price_may_be_written_and_whole_in_its_parts(shop):
    event = stored(shop, price={"acme": Decimal("9.50"), "platform": 50})
    assert [share["amount"] for share in event["price"]] == [950, 50]


def test_an_asset_that_is_no_currency_needs_its_decimals(shop):
    price = [{"receiver": "acme", "amount": 9_500_000}]
    assert stored(shop, asset=COIN, asset_decimals=6, price={"acme": "9.50"})["price"] == price
    shop.raises(shop.plan("other", asset="points", price={"acme": "9.50"}), "price: the decimals of 'points'")


def test_a_price_is_never_read_with_other_decimals_than_the_ledger_has(shop):
    """USD has 4 here: what the table says would make 9.50 a hundredth of it."""
    shop.given(shop.plan(asset="USD", asset_decimals=4))
    shop.refuses(shop.plan("other", price={"acme": "9.50"}), Reason.malformed)
    event = stored(shop, plan="third", asset_decimals=4, price={"acme": "9.50"})
    assert event["price"] == [{"receiver": "acme", "amount": 95_000}]


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"credits": "10.005", "decimals": 2}, r"credits: 10\.005 has more decimals than 2"),
        ({"credits": "0.5"}, r"credits: 0\.5 has more decimals than 0"),
        ({"price": {"acme": "9.505"}}, r'price\["acme"\]: 9\.505 has more decimals than 2'),
        ({"price": {"acme": "nine"}}, r'price\["acme"\]: \'nine\' is not an amount'),
        ({"credits": "1,000"}, "credits: '1,000' is not an amount"),
        ({"credits": "-1"}, "credits: '-1' is not an amount"),
        ({"credits": Decimal("NaN")}, "credits: 'NaN' is not an amount"),
        ({"credits": Decimal("1E+999999")}, "credits: '1E\\+999999' is not an amount"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_an_error_that_says_so(shop, terms, message):
    shop.raises(shop.plan(**terms), message)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"credits": 1.5}, "credits: a whole number is needed, 1.5 is a float"),
        ({"price": {"acme": 9.5, "fee": "0.50"}}, r'price\["acme"\]: a whole number is needed, 9.5 is a float'),
        ({"credits": "1" * 60}, "credits: 1+ is above"),
        ({"credits": "1", "decimals": -1}, "decimals: -1 is below 0"),
        ({"parameters": {"weights": {"units": Decimal("Infinity")}}}, r'parameters\["weights"\]\["units"\]: Infinity'),
    ],
    ids=str,
)
def test_a_float_is_no_amount_nor_what_is_out_of_bounds(shop, terms, message):
    shop.raises(shop.plan(**terms), message)


@given(st.integers(1, MAX_CREDITS), st.integers(0, 36))
def test_what_is_written_as_it_is_shown_is_the_same_amount(amount, decimals):
    shown = amount_text(amount, decimals).replace(",", "")
    plan = CreatePlan(
        plan="p", owner="o", credits=shown, decimals=decimals, price={"o": shown}, asset_decimals=decimals
    )
    kept = admit(plan)
    assert (kept.credits, kept.price) == (amount, {"o": amount})


@pytest.mark.parametrize("rate", ["0.001", "1/1000", Decimal("0.001"), Fraction(1, 1000), "1.00 per thousand"])
def test_a_rate_is_what_price_lists_say(shop, rate):
    """A unit costs a thousandth of a credit, which is 10 of the smallest unit."""
    event = stored(shop, decimals=4, credits="100", parameters={"weights": {"units": rate}})
    assert event["tariff"]["parameters"] == {"weights": {"units": "1/1000"}}
    shop.given(shop.buy())
    shop.given(shop.charge_directly(3))
    assert shop.ledger.balance("alice", "pro").spent == 30


def test_a_new_tariff_is_in_the_plans_decimals(shop):
    shop.given(shop.plan(decimals=2, credits="100"), shop.buy())
    shop.given(RepricePlan(plan="pro", policy="complexity", parameters={"weights": {"units": Decimal("0.25")}}))
    shop.given(shop.charge_directly(3))
    assert shop.ledger.balance("alice", "pro").spent == 75
    shop.refuses(
        RepricePlan(plan="pro", policy="complexity", parameters={"weights": {"units": 1}, "minimum": "0.005"}),
        Reason.malformed,
    )


def test_a_request_costs_a_credit_by_default_whatever_the_decimals(shop):
    shop.given(shop.plan(policy=None, parameters={}, decimals=2, credits="100"), shop.buy())
    shop.given(shop.charge_directly(1))
    assert shop.ledger.balance("alice", "pro").spent == 100


def test_a_policy_that_knows_no_decimals_is_in_the_smallest_unit(shop):
    """It is made from its parameters alone, and a unit costs 2."""
    shop.given(shop.plan(policy="only_total", parameters={}, decimals=2, credits="100"), shop.buy())
    shop.given(shop.charge_directly(3))
    assert shop.ledger.balance("alice", "pro").spent == 6


def test_an_audit_computes_prices_with_their_decimals(shop):
    shop.given(shop.plan(decimals=3, credits="100", parameters={"weights": {"units": "0.0015"}}), shop.buy())
    charge = shop.given(shop.charge_directly(3))
    explained = shop.ledger.explain(charge)
    assert (explained.credits, explained.recomputed, explained.agrees) == (5, 5, True)


# -- amounts of commands on a plan -------------------------------------------------------------------------------------


@pytest.mark.parametrize("credits", ["7.50", "7.5", Decimal("7.5"), 750])
def test_a_gift_is_written_in_the_credits_of_its_plan(shop, credits):
    shop.given(shop.plan(decimals=2))
    assert shop.stored(shop.given(Give(**ANN, credits=credits)))["credits"] == 750


def test_what_is_withdrawn_and_corrected_is_written_in_credits_with_its_sign(shop):
    shop.given(shop.plan(decimals=2, credits="100.00"), Purchase(**ANN))
    charge = shop.given(Charge(**ANN, usage={"units": 5}))
    assert shop.stored(shop.given(Adjust(charge=charge, credits="-0.01", reason="refund")))["credits"] == -1
    assert shop.stored(shop.given(Adjust(charge=charge, credits=Decimal("-0.02"))))["credits"] == -2
    period = {**ANN, "period": "2023-11"}
    assert shop.stored(shop.given(Adjust(**period, credits="1.25")))["credits"] == 125
    withdrawn = shop.stored(shop.given(Withdraw(**ANN, credits="2.50")))
    assert sum(credits for _, credits in withdrawn["draws"]) == 250


def test_money_is_written_in_the_asset_of_the_plan(shop):
    shop.given(shop.plan(price={"acme": "9.50"}, credits=100), Purchase(**ANN, payment="bank-1"))
    assert shop.stored(shop.given(Reverse(**ANN, payment="bank-1", amount="1.25")))["money"] == 125
    assert shop.stored(shop.given(Reverse(**ANN, payment="bank-1")))["money"] == 950 - 125


def test_an_invoice_is_paid_and_written_off_in_money(shop):
    shop.given(shop.postpaid(price={"acme": "10.00"}, credits=10), shop.subscribe(), shop.charge_directly(4))
    shop.at(16 * 86_400).tick()
    assert shop.stored(shop.given(shop.pay(amount="1.50")))["money"] == 150
    assert shop.stored(shop.given(shop.write_off(amount=Decimal("0.25"))))["money"] == 25
    shop.invoice_is(owed=400 - 175)


def test_a_key_means_the_amount_and_not_how_it_was_written(shop):
    shop.given(shop.plan(decimals=2))
    first = shop.given(Give(**ANN, credits="7.50", key="gift"))
    for credits in (750, "7.5", Decimal("7.500")):
        assert shop.given(Give(**ANN, credits=credits, key="gift")) == first


def test_a_limit_on_credits_is_a_whole_number_since_it_is_stored_as_it_is_made():
    with pytest.raises(ValueError, match=r"'12\.50' is not an amount of credits: a whole number"):
        CreditsLimit(credits="12.50", seconds=60)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (Give(**ANN, credits="0.005"), r"credits: 0\.005 has more decimals than 2"),
        (Give(**ANN, credits="-1"), "credits: '-1' is not an amount"),
        (Give(**ANN, credits="ten"), "credits: 'ten' is not an amount"),
        (Withdraw(**ANN, credits="--1"), "credits: '--1' is not an amount"),
        (Adjust(**ANN, period="2023-11", credits="--1"), "credits: '--1' is not an amount"),
        (Adjust(**ANN, period="2023-11", credits=Decimal("-0.001")), r"credits: -0\.001 has more decimals than 2"),
        (Give(subscriber="ann", plan="none", credits="1"), "the decimals of the plan 'none' are not known"),
        (Adjust(charge=999, credits="1"), "the decimals of the charge 999 are not known"),
        (Reverse(**ANN, lot=1, amount="0.005"), r"amount: 0\.005 has more decimals than 2"),
        (Reverse(**ANN, lot=1, amount="0"), "amount: 0 is below 1"),
        (Give(subscriber="ann", plan="", credits="1"), "plan: empty text"),
        (Adjust(charge=-1, credits="1"), "charge: -1 is below 0"),
        (Adjust(charge=10**30, credits="1"), "charge: 10+ is above"),
    ],
    ids=str,
)
def test_what_is_no_amount_of_the_plan_raises_at_the_call_and_nothing_is_done(shop, command, message):
    shop.given(shop.plan(decimals=2))
    head = shop.ledger.head
    shop.raises(command, message)
    with pytest.raises(WrongValue, match=rf"^commands\[1\]: .*{message}"):
        shop.ledger.execute_many([Give(**ANN, credits=1), command])
    assert shop.ledger.head == head


@pytest.mark.parametrize(("field", "value"), [("plan", []), ("plan", None), ("subscriber", 3), ("key", b"k")])
def test_another_field_at_fault_is_named_also_beside_a_written_amount(shop, field, value):
    with pytest.raises(WrongType, match=f"^{field}: text is needed"):
        shop.ledger.execute(Give(**(ANN | {"credits": "1", field: value})))


def test_money_of_an_asset_without_known_decimals_is_a_whole_number(shop):
    shop.given(shop.plan(asset="points", price={"acme": 900}, credits=10), Purchase(**ANN))
    shop.raises(Reverse(**ANN, lot=1, amount="1"), "amount: the decimals of 'points' are not known")


def test_the_async_twin_reads_them_as_well():
    async def story():
        async with await AsyncLedger.open() as ledger:
            plan = CreatePlan(plan="pro", owner="acme", credits="10.00", decimals=2)
            (await ledger.execute(plan)).unwrap()
            gift = Give(**ANN, credits="2.50")
            answers = [await ledger.execute(gift), *await ledger.execute_many(each for each in (gift, gift))]
            assert [answer.unwrap().event.credits for answer in answers] == [250] * 3
            with pytest.raises(WrongValue, match=r"^commands\[0\]: credits"):
                await ledger.execute_many([Give(**ANN, credits="2.505")])

    asyncio.run(story())


@given(st.integers(1, 10**9), st.integers(0, 12))
def test_a_gift_that_is_written_as_it_is_shown_is_the_same_amount(amount, decimals):
    with Ledger.open() as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", credits=1, decimals=decimals)).unwrap()
        shown = amount_text(amount, decimals).replace(",", "")
        assert ledger.execute(Give(**ANN, credits=shown)).unwrap().event.credits == amount
