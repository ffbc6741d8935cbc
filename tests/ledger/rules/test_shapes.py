"""How events are stored: what is left out, and the shapes of what is there (contract.md, Events and fixed points)."""

import json

from ledger import Escrow, EscrowFunding, Limits
from ledger.events import SettlementOpened, encode


def test_defaults_are_left_out(shop):
    """A plain sale that starts at once: no kind, no funding, no start, no expiry, no priority, no payment."""
    lot = shop.given(shop.plan(), shop.buy())
    assert shop.stored(lot) == {
        "type": "purchased",
        "account": 1,
        "subscriber": "alice",
        "plan": "pro",
        "credits": 100,
        "asset": "USD",
        "cost": 1000,
        "shares": [{"receiver": "acme", "amount": 900}, {"receiver": "fee", "amount": 100}],
    }


def test_the_type_comes_first(shop):
    shop.given(shop.plan(), shop.buy())
    for entry in shop.ledger.events():
        assert next(iter(shop.stored(entry.seq))) == "type"


def test_the_defaults_of_a_plan_are_left_out(shop):
    stored = shop.stored(shop.given(shop.plan()))
    terms = {"hold_seconds", "longest_seconds", "period"}  # the contract gives these no default
    given = {"type", "plan", "owner", "asset", "asset_decimals", "price", "credits", "tariff"}
    assert set(stored) == given | terms
    assert (stored["price"][1], stored["tariff"]["version"]) == ({"receiver": "fee", "amount": 100}, 1)


def test_a_default_that_is_given_is_left_out_too(shop):
    """The same content is the same bytes: whoever says the default says nothing."""
    plain = shop.stored(shop.given(shop.plan()))
    said = {"hold_seconds": int("600"), "longest_seconds": int("86400"), "late_seconds": int("86400"), "priority": 0}
    words = {"overrun": "".join(["c", "ap"]), "period": "".join(["mon", "th"]), "limits": Limits()}
    assert shop.stored(shop.given(shop.plan("again", **said, **words))) == plain | {"plan": "again"}


def test_account_and_lot_numbers_are_never_left_out(shop):
    lot = shop.given(shop.plan(seconds=100), shop.buy())
    shop.given(shop.ask(1), shop.charge_directly(1))
    shop.at(100).tick()
    stored = [shop.stored(entry.seq) for entry in shop.ledger.events()]
    assert all(event["account"] == 1 for event in stored if event["type"] in ("purchased", "requested", "charged"))
    assert all(
        (event["account"], event["lot"]) == (1, lot) for event in stored if event["type"] in ("started", "lapsed")
    )


def test_a_final_charge_of_its_full_price_leaves_out_final_shortfall_and_late(shop):
    shop.given(shop.plan(), shop.buy())
    request = shop.given(shop.ask(5))
    part, final = shop.stored(shop.given(shop.part(request, 2))), shop.stored(shop.given(shop.charge(request, 2)))
    assert part["final"] is False
    assert {"final", "shortfall", "late", "occurred_at"}.isdisjoint(final)


def test_draws_are_pairs_of_lot_and_credits_always_positive_lot_0_is_debt(shop):
    lot = shop.given(shop.plan(overrun="debt", debt_limit=50), shop.buy())
    charge = shop.given(shop.charge_directly(130))
    assert shop.stored(charge)["draws"] == [[lot, 100], [0, 30]]
    assert shop.stored(shop.given(shop.correct(charge, -40)))["draws"] == [[0, 30], [lot, 10]]
    assert shop.stored(shop.given(shop.withdraw()))["draws"] == [[lot, 10]]


def test_a_charge_of_nothing_has_no_draws(shop):
    shop.given(shop.plan(), shop.buy())
    stored = shop.stored(shop.given(shop.charge_directly(0)))
    assert {"draws", "credits"}.isdisjoint(stored)


def test_funding_is_none_direct_or_an_escrow(shop):
    shop.given(shop.plan())
    escrow = EscrowFunding(Escrow(chain="other:1", contract="0xE", purchase="7"))
    stored = [shop.stored(shop.given(shop.buy(funding=funding))) for funding in ("none", "direct", escrow)]
    assert [event.get("funding") for event in stored] == [
        None,
        "direct",
        {"escrow": {"chain": "other:1", "contract": "0xE", "purchase": "7"}},
    ]


def test_tiers_are_up_to_unit_and_flat(shop):
    """Units are exact fractions as text."""
    stored = shop.stored(shop.given(shop.tiers((10, "3/1000", 5), (None, 1))))
    first, last = stored["tariff"]["parameters"]["tiers"]
    assert (first["up_to"], first["unit"], first["flat"]) == (10, "3/1000", 5)
    assert (last["up_to"], last["unit"]) == (None, "1")


def test_the_money_of_a_withdrawal_is_by_lot(shop):
    lot = shop.given(shop.plan(), shop.buy())
    stored = shop.stored(shop.given(shop.withdraw(credits=40)))
    assert stored["money"] == {str(lot): 400}


def test_due_events_carry_their_instant_and_others_do_not(shop):
    shop.given(shop.plan(hold_seconds=60), shop.gift(10, expiry=100), shop.ask(1))
    voided = shop.stored(shop.given(shop.release(shop.given(shop.ask(1)))))
    shop.at(100).tick()
    released, lapsed = (shop.stored(entry.seq) for entry in shop.wrote)
    assert "instant" not in voided
    assert (released["reason"], released["instant"]) == ("expired", shop.moment(60))
    assert lapsed["instant"] == shop.moment(100)


def test_the_first_event_of_a_keyed_command_carries_its_key_and_fingerprint(shop):
    """Due events that go before it do not; nor do those that follow."""
    shop.given(shop.plan(), shop.gift(10, expiry=50))
    shop.at(50).given(shop.gift(5, key="k"))
    assert shop.types == ["lapsed", "purchased", "started"]
    lapsed, purchased, started = (shop.stored(entry.seq) for entry in shop.wrote)
    assert purchased["key"] == "k"
    assert purchased["fingerprint"]
    assert {"key", "fingerprint"}.isdisjoint(lapsed.keys() | started.keys())


def test_covers_is_the_last_sequence_by_stream():
    opened = SettlementOpened(number=1, chain="mock", contract="c", asset="USD", covers={"main": 41}, root="0x0")
    assert json.loads(encode(opened))["covers"] == {"main": 41}
