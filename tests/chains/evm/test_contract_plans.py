"""What the settlement contract sells, and that its terms never change."""

import pytest
from evm_machine import COIN, refused
from settlement_world import ALICE, MALLORY, PLATFORM, SELLER, World

SHARES = ((SELLER.address, 90), (PLATFORM.address, 10))


@pytest.fixture
def world() -> World:
    return World()


def test_a_plans_id_is_its_owners_and_nobody_takes_it_first(world):
    salt = world.salt()
    stolen = world.do(MALLORY, "setPlan", salt, (COIN, 1, 0, ((MALLORY.address, 1),))).value
    plan = world.do(SELLER, "setPlan", salt, (COIN, 1000, 0, SHARES)).value
    assert plan == world.read("planIdOf", SELLER.address, salt)
    assert plan != stolen
    assert world.read("getPlan", plan) == ((COIN, 1000, 0, tuple((r.lower(), a) for r, a in SHARES)), 100, False)


def test_a_published_plan_is_told_with_all_its_terms(world):
    receipt = world.do(SELLER, "setPlan", world.salt(), (world.dollar.address, 5, 60, SHARES))
    (told,) = receipt.logs
    assert told.name == "PlanSet"
    assert told.arguments == {
        "planId": receipt.value,
        "owner": SELLER.address.lower(),
        "token": world.dollar.address.lower(),
        "credits": 5,
        "duration": 60,
        "shares": tuple((receiver.lower(), amount) for receiver, amount in SHARES),
    }


def test_terms_never_change(world):
    salt = world.salt()
    plan = world.do(SELLER, "setPlan", salt, (COIN, 1000, 0, SHARES)).value
    for terms in ((COIN, 1000, 0, SHARES), (COIN, 1, 0, ((SELLER.address, 1),))):
        with refused("PlanExists", plan):
            world.do(SELLER, "setPlan", salt, terms)
    world.do(SELLER, "retirePlan", salt)
    with refused("PlanExists", plan):
        world.do(SELLER, "setPlan", salt, (COIN, 1000, 0, SHARES))


@pytest.mark.parametrize("shares", [(), ((SELLER.address, 0),)])
def test_a_plan_has_a_price(world, shares):
    with refused("NoPrice"):
        world.do(SELLER, "setPlan", world.salt(), (COIN, 1, 0, shares))


def test_a_plan_grants_credits_or_a_time(world):
    with refused("GrantsNothing"):
        world.do(SELLER, "setPlan", world.salt(), (COIN, 0, 0, SHARES))
    world.do(SELLER, "setPlan", world.salt(), (COIN, 0, 1, SHARES))


def test_a_share_is_for_somebody_who_can_be_paid(world):
    for nobody in (COIN, world.settlement.address):
        with refused("CannotReceive", nobody.lower()):
            world.do(SELLER, "setPlan", world.salt(), (COIN, 1, 0, ((SELLER.address, 1), (nobody, 1))))


def test_a_price_is_parted_among_32_receivers_and_no_more(world):
    shares = [(f"0x{number:040x}", 1) for number in range(1, 34)]
    with refused("TooManyShares", 33, 32):
        world.do(SELLER, "setPlan", world.salt(), (COIN, 1, 0, shares))
    plan = world.do(SELLER, "setPlan", world.salt(), (COIN, 1, 0, shares[:32])).value
    assert world.read("getPlan", plan)[1] == 32


def test_a_price_fits_96_bits(world):
    most = 2**96 - 1
    plan = world.do(SELLER, "setPlan", world.salt(), (COIN, 1, 0, ((SELLER.address, most),))).value
    assert world.read("getPlan", plan)[1] == most
    with refused("SafeCastOverflowedUintDowncast", 96, most + 1):
        world.do(SELLER, "setPlan", world.salt(), (COIN, 1, 0, ((SELLER.address, most), (PLATFORM.address, 1))))


def test_a_retired_plan_is_no_longer_sold_and_what_was_bought_stays(world):
    salt = world.salt()
    plan = world.do(SELLER, "setPlan", salt, (COIN, 1000, 0, SHARES)).value
    world.buy(plan)
    with refused("PlanUnknown"):
        world.do(MALLORY, "retirePlan", salt)
    world.do(SELLER, "retirePlan", salt)
    with refused("PlanIsRetired", plan):
        world.buy(plan)
    with refused("PlanIsRetired", plan):
        world.do(SELLER, "retirePlan", salt)
    assert world.read("hasAccess", ALICE.address, plan)
    assert world.read("getPlan", plan)[1:] == (100, True)


def test_a_retired_plan_is_settled_and_left_like_any_other(world):
    salt = world.salt()
    plan = world.do(SELLER, "setPlan", salt, (COIN, 1000, 0, SHARES)).value
    world.buy(plan)
    world.do(SELLER, "retirePlan", salt)
    world.do(ALICE, "requestExit", plan)
    world.wait(world.freeze)
    batch = world.batch([(ALICE, plan, 30, 0)], {SELLER.address: 30})
    world.settle(batch)
    assert world.exit(batch, plan).value == 70


def test_an_unknown_plan_is_empty(world):
    assert world.read("getPlan", 7) == ((COIN, 0, 0, ()), 0, False)
