"""Freezing: an account takes no new requests and buys nothing, until it is unfrozen (contract.md, Refusals)."""

import pytest

from ledger import Reason, Terms

ON_CHAIN = Terms(asset="USD", shares={"acme": 50}, credits=5)


def test_a_frozen_account_buys_nothing(shop):
    """Nor does it try, nor buy with money that a chain is still to take."""
    shop.given(shop.plan(), shop.buy(), shop.freeze())
    shop.refuses(shop.buy(), Reason.frozen)
    shop.refuses(shop.buy(payment="7", start=500), Reason.frozen)
    shop.refuses(shop.deposit("7"), Reason.frozen)
    shop.leaves(issued=100)


def test_a_frozen_account_tries_nothing(shop):
    shop.given(shop.plan(trial=True, price={}), shop.gift(1), shop.freeze())
    shop.refuses(shop.buy(), Reason.frozen)


def test_what_a_chain_has_sold_is_taken_in_on_a_frozen_account(shop):
    """The chain has the money."""
    shop.given(shop.plan(), shop.buy(), shop.freeze(), shop.deposit("7", terms=ON_CHAIN))
    shop.leaves(issued=105)


def test_a_frozen_account_may_be_given_something(shop):
    shop.given(shop.plan(), shop.buy(), shop.freeze(), shop.gift(5))
    shop.leaves(issued=105)


def test_other_accounts_buy_as_before(shop):
    shop.given(shop.plan(), shop.buy(), shop.freeze(), shop.buy(subscriber="bob"))
    shop.leaves("bob", available=100)


def test_unfreezing_lets_an_account_ask_and_buy_again(shop):
    shop.given(shop.plan(), shop.buy(), shop.freeze())
    shop.leaves(admits=False)
    shop.given(shop.unfreeze())
    assert shop.types == ["unfrozen"]
    shop.leaves(admits=True)
    shop.given(shop.ask(1), shop.buy(), shop.charge_directly(1))


def test_what_was_refused_while_it_was_frozen_may_be_bought_with_the_same_payment(shop):
    shop.given(shop.plan(), shop.buy(), shop.freeze())
    shop.refuses(shop.buy(payment="7", key="k"), Reason.frozen)
    shop.given(shop.unfreeze(), shop.buy(payment="7", key="k"))
    shop.leaves(issued=200)


def test_what_was_due_meanwhile_happens_to_a_frozen_account(shop):
    """It is frozen, not stopped."""
    shop.given(shop.plan(), shop.gift(10, expiry=50), shop.gift(10, start=60), shop.freeze())
    shop.at(70).when(shop.unfreeze())
    assert shop.types == ["lapsed", "started", "unfrozen"]
    shop.leaves(available=10, lapsed=10)


def test_an_account_may_be_frozen_twice_and_is_unfrozen_by_one_word(shop):
    shop.given(shop.plan(), shop.buy(), shop.freeze(), shop.freeze(), shop.unfreeze(), shop.ask(1))


@pytest.mark.parametrize("before", [0, 1])
def test_only_a_frozen_account_is_unfrozen(shop, before):
    shop.given(shop.plan(), shop.buy(), *[shop.freeze(), shop.unfreeze()] * before)
    shop.refuses(shop.unfreeze(), Reason.malformed)


def test_unfreezing_needs_a_plan_and_an_account(shop):
    shop.refuses(shop.unfreeze(), Reason.plan_unknown)
    shop.given(shop.plan())
    shop.refuses(shop.unfreeze(), Reason.not_subscribed)


@pytest.mark.parametrize("first", ["by hand", "by the chain"])
def test_a_freeze_that_a_chain_asked_for_is_not_undone(shop, first):
    """Whoever froze the account before or after that."""
    freezes = [shop.freeze(), shop.freeze(fact=shop.fact("exit 1"))]
    shop.given(shop.plan(), shop.deposit("7"), *(freezes if first == "by hand" else reversed(freezes)))
    shop.refuses(shop.unfreeze(), Reason.frozen)
    shop.refuses(shop.ask(1), Reason.frozen)


def test_an_account_whose_subscriber_left_stays_as_it_is(shop):
    """The exit was paid: the chain asked for the freeze, and it is not undone."""
    shop.given(shop.plan(), shop.deposit("7"), shop.freeze(fact=shop.fact("exit 1")), shop.exit(1000, "paid 1"))
    shop.refuses(shop.unfreeze(), Reason.frozen)
