"""Putting the contract and plans on a chain: what is wrong is said before anything is sent."""

import pytest
from evm_street import ALICE, GUARDIAN, OPERATOR, OWNER, PLATFORM, PRICE, PUBLISHER, SELLER, market

from chains.evm import deploying
from chains.evm.addresses import COIN
from chains.evm.artifacts import load
from chains.evm.contract import SettlementContract
from chains.evm.deploying import Delays, Roles, check_settlement, deploy_settlement, plan_id, publish_plan
from chains.evm.local import local_chain
from chains.evm.sending import Sender
from ledger.errors import BadData, ChainUnavailable

DAY = 86_400


@pytest.fixture(scope="module")
def shop():
    with local_chain("eth-tester") as chain, market(chain) as shop:
        yield shop


@pytest.fixture
def unchanged(shop):
    """Nothing is sent in the test."""
    before = shop.chain.height
    yield
    assert shop.chain.height == before


def publish(shop, name="basic", *, publisher=PUBLISHER, **changed):
    terms = {"asset": shop.asset, "price": PRICE, "credits": 100} | changed
    return publish_plan(shop.sender(publisher), SettlementContract(shop.node, shop.address), name, **terms)


# -- the contract ------------------------------------------------------------------------------------------------------


def test_what_was_deployed_is_there_with_its_roles_and_delays(chain):
    with market(chain, window=7, freeze=8, exit=9) as shop:
        found = shop.contract
        assert load("UsageSettlement").is_code(shop.node.code(shop.deployed.contract))
        assert (found.owner(), found.operator(), found.guardian()) == tuple(
            each.address for each in (OWNER, OPERATOR, GUARDIAN)
        )
        assert (found.challenge_window, found.freeze_delay, found.exit_delay) == (7, 8, 9)
        assert found.deployed_block == shop.deployed.block
        assert 1_000_000 < shop.deployed.gas < 16_777_216


def test_the_usual_delays_are_a_day_and_a_month(shop):
    made = SettlementContract(
        shop.node, deploy_settlement(shop.sender(OWNER), Roles(OWNER.address, OPERATOR.address)).contract
    )
    found = made.challenge_window, made.freeze_delay, made.exit_delay, made.guardian()
    assert found == (0, DAY, 30 * DAY, COIN)


@pytest.mark.parametrize(
    ("roles", "delays", "said"),
    [
        (("0x12", OPERATOR.address), (), "the owner cannot be that"),
        ((OWNER.address, OPERATOR.address.swapcase().replace("0X", "0x")), (), "the operator cannot be that"),
        ((COIN, OPERATOR.address), (), "the owner or the operator is the address 0"),
        ((OWNER.address, COIN), (), "the owner or the operator is the address 0"),
        ((OWNER.address, OPERATOR.address), (-1,), "the challenge window in seconds"),
        ((OWNER.address, OPERATOR.address), (1 << 48,), "the challenge window in seconds"),
        ((OWNER.address, OPERATOR.address), (0, 10, 9), "shorter than the freeze delay"),
    ],
)
def test_roles_and_delays_that_cannot_be_are_refused(shop, unchanged, roles, delays, said):
    with pytest.raises(BadData, match=said):
        deploy_settlement(shop.sender(OWNER), Roles(*roles), Delays(*delays))


def test_who_cannot_pay_for_both_contracts_deploys_neither(shop):
    """The account has enough for the settlement contract, and not for the token as well."""
    roles, poor = Roles(OWNER.address, OPERATOR.address), Sender(shop.node, "0x" + "55" * 32)
    rich = shop.sender(OWNER)
    one, both = (check_settlement(rich, roles, Delays(), with_token=token) for token in (False, True))
    rich.send(poor.address, b"", (one + both) // 2)
    height = shop.chain.height
    assert check_settlement(poor, roles, Delays()) <= one
    with pytest.raises(ChainUnavailable, match=f"{poor.address} has {(one + both) // 2} of the coin"):
        check_settlement(poor, roles, Delays(), with_token=True)
    assert shop.chain.height == height


def test_code_that_is_not_what_was_sent_is_an_alarm(shop, monkeypatch):
    """The chain takes a token where the settlement contract is meant."""
    monkeypatch.setattr(deploying, "settlement_code", lambda roles, delays: deploying.token_code())
    with pytest.raises(ChainUnavailable, match="is not the UsageSettlement that was deployed there"):
        deploy_settlement(shop.sender(OWNER), Roles(OWNER.address, OPERATOR.address))


# -- plans -------------------------------------------------------------------------------------------------------------


def test_a_plan_is_published_under_the_id_that_its_name_has(shop):
    made = publish(shop, "a")
    assert made.id == plan_id(PUBLISHER.address, "a")
    terms = shop.contract.plan(int(made.id, 16))
    assert (terms.token, terms.credits, terms.seconds) == (shop.token.address, 100, 0)
    assert {share.receiver: share.amount for share in terms.shares} == PRICE
    assert made.done.block == shop.chain.height


def test_the_same_terms_again_do_nothing(shop):
    first = publish(shop, "b")
    height = shop.chain.height
    again = publish(shop, "b", price=dict(reversed(PRICE.items())))
    assert (again.id, again.done, shop.chain.height) == (first.id, None, height)


@pytest.mark.parametrize(
    "changed",
    [
        {"credits": 101},
        {"seconds": 1},
        {"price": {SELLER.address: 901, PLATFORM.address: 99}},
        {"price": {SELLER.address: 1000}},
        {"asset": "coin"},
    ],
)
def test_other_terms_under_a_name_that_is_taken_are_refused(shop, changed):
    publish(shop, "c")
    height = shop.chain.height
    if changed.get("asset"):
        changed = {"asset": shop.coin}
    with pytest.raises(BadData, match=r"the plan 'c' is published as 0x.* with other terms: 100 credits"):
        publish(shop, "c", **changed)
    assert shop.chain.height == height


def test_a_name_is_each_publishers_own(shop):
    one, other = publish(shop, "d"), publish(shop, "d", publisher=ALICE, credits=5)
    assert one.id != other.id
    assert shop.contract.plan(int(other.id, 16)).credits == 5


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"price": {}}, "1 to 32 receivers, not 0"),
        ({"price": {f"0x{number:040x}": 1 for number in range(1, 34)}}, "1 to 32 receivers, not 33"),
        ({"price": {SELLER.address: 0}}, "must be 1 or more"),
        ({"price": {SELLER.address: -5}}, "must be 1 or more"),
        ({"price": {SELLER.address: 1 << 96}}, "the price must be from 0 to"),
        ({"price": {SELLER.address: 1 << 95, PLATFORM.address: 1 << 95}}, "the price must be from 0 to"),
        ({"price": {"alice": 5}}, "the receiver cannot be that"),
        ({"credits": 1 << 64}, "the number of credits"),
        ({"credits": -1}, "the number of credits"),
        ({"seconds": 1 << 32}, "the number of seconds"),
        ({"credits": 0}, "sell credits, a time, or both"),
        ({"asset": "USD"}, "not the name of an EVM chain"),
        ({"asset": "eip155:1/slip44:60"}, "is not on eip155:31337"),
    ],
)
def test_terms_that_the_contract_has_no_room_for_are_refused(shop, unchanged, changed, said):
    with pytest.raises(BadData, match=said):
        publish(shop, "e", **changed)
