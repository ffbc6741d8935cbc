"""One spelling for each thing on an EVM chain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.evm import EvmPlugin, addresses
from ledger import ContractRef, CreatePlan, Escrow, EscrowFunding, Ledger, Purchase, Reason, Terms
from ledger.stores.memory import MemoryStore

GOOD = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # from EIP-55
PLAN = "0x" + "0" * 62 + "2a"


@pytest.mark.parametrize("spelled", [GOOD, GOOD.lower(), "0x" + GOOD[2:].upper()])
def test_every_spelling_of_an_address_comes_to_one(spelled):
    assert addresses.address(spelled) == GOOD


@pytest.mark.parametrize("text", ["", "0x", GOOD[:-1], GOOD + "0", GOOD[2:], "0x" + "g" * 40, GOOD[:-1] + "D", 7, None])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match=r"address|checksum"):
        addresses.address(text)


def test_a_subscriber_has_one_spelling_so_that_no_address_has_two_accounts():
    EvmPlugin().check(GOOD, PLAN)
    for other in (GOOD.lower(), "0x" + GOOD[2:].upper()):
        with pytest.raises(ValueError, match=f"write {GOOD}"):
            EvmPlugin().check(other, PLAN)


@pytest.mark.parametrize("plan", ["", "42", "0x2a", PLAN.upper(), PLAN[2:], "0x" + "AB" * 32])
def test_a_plan_has_one_spelling(plan):
    with pytest.raises(ValueError, match="plan"):
        EvmPlugin().check(GOOD, plan)


CHAIN = "eip155:31337"
COINS = f"{CHAIN}/slip44:60"
MONEY = {
    "an asset of no chain": (GOOD, "USD", {GOOD: 1}),
    "an asset of another chain": (GOOD, "eip155:1/slip44:60", {GOOD: 1}),
    "a token in another spelling": (GOOD, f"{CHAIN}/erc20:{GOOD.lower()}", {GOOD: 1}),
    "a contract in another spelling": (GOOD.lower(), COINS, {GOOD: 1}),
    "a receiver that is no address": (GOOD, COINS, {"acme": 1}),
    "a receiver in another spelling": (GOOD, COINS, {GOOD.lower(): 1}),
    "more than a price may be": (GOOD, COINS, {"0x" + "1" * 40: 2**95 - 1, "0x" + "2" * 40: 2**95 - 1, GOOD: 2}),
}


@pytest.mark.parametrize("money", MONEY)
def test_money_that_no_batch_could_pay_is_not_sold_for(money):
    """One such sale would keep all that is sold for that asset from being settled, for ever."""
    EvmPlugin().check_money(ContractRef(CHAIN, GOOD), COINS, {GOOD: 2**96 - 1})
    contract, asset, price = MONEY[money]
    with pytest.raises(ValueError, match=r"asset|address|spelled|at most|not on|name of"):
        EvmPlugin().check_money(ContractRef(CHAIN, contract), asset, price)
    ledger = Ledger(MemoryStore(id="toll"))
    plan = CreatePlan(plan="pro", owner="acme", onchain_id=PLAN, asset=asset, price=price, credits=100)
    ledger.execute(plan).unwrap()
    funding = EscrowFunding(Escrow(CHAIN, contract, "order 7"))
    refused = ledger.execute(Purchase(subscriber=GOOD, plan="pro", funding=funding))
    assert refused.reason is Reason.malformed
    terms = Terms(asset=asset, shares=price, credits=100)
    assert ledger.execute(Purchase(subscriber=GOOD, plan="pro", funding=funding, terms=terms)).reason == refused.reason


@given(st.integers(0, 2**256 - 1))
def test_a_plans_number_comes_back_from_its_name(number):
    assert addresses.plan_id(addresses.plan_name(number)) == number


@given(st.integers(1, 2**63), st.integers(0, 2**160 - 1))
def test_a_token_comes_back_from_its_asset(chain_id, number):
    chain, token = addresses.chain_name(chain_id), addresses.address(f"0x{number:040x}")
    assert addresses.chain_id(chain) == chain_id
    assert addresses.token(addresses.asset_name(chain, token)) == token


def test_the_coin_of_a_chain_is_an_asset_of_its_own():
    assert addresses.asset_name("eip155:1", addresses.COIN) == "eip155:1/slip44:60"
    assert addresses.token("eip155:1/slip44:60") == addresses.COIN


@pytest.mark.parametrize(
    "asset",
    ["USD", "eip155:1", "eip155:1/slip44:0", "mock:local/slip44:60", f"eip155:1/erc20:{GOOD.lower()}",
     f"eip155:1/erc20:{addresses.COIN}", f"eip155:01/erc20:{GOOD}", f"eip155:1/erc721:{GOOD}"],
)  # fmt: skip
def test_what_is_no_asset_on_an_evm_chain_is_refused(asset):
    with pytest.raises(ValueError, match=r"asset|address|chain"):
        addresses.token(asset)
