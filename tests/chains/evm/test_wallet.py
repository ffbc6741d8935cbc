"""Buying, paying for others, leaving, claiming, guarding: the wallet of everybody but the operator, on real chains."""

import pytest
from evm_street import ALICE, BOB, OWNER, PLATFORM, PRICE, PURSE, SELLER, market
from local_kinds import EVERY_KIND
from scripted_node import ScriptedNode, block

from chains.evm.deploying import plan_id
from chains.evm.local import local_chain
from chains.evm.node import Node
from chains.evm.node_errors import CallReverted
from chains.evm.sending import Done, Sender
from chains.evm.wallet import PurchaseOrder, Wallet
from ledger.errors import BadData, ChainUnavailable, SendUnknown
from ledger.events import Leaf


@pytest.fixture(scope="module", params=EVERY_KIND)
def markets(request):
    """A market with a window and one without, on one chain of each kind."""
    with local_chain(request.param) as chain, market(chain) as shop, market(chain, window=600) as windowed:
        yield chain, shop, windowed


@pytest.fixture
def at_first(markets):
    """What a test does is undone after it."""
    chain, *shops = markets
    before = chain.snapshot()
    yield shops
    chain.restore(before)


@pytest.fixture
def shop(at_first):
    return at_first[0]


@pytest.fixture
def windowed(at_first):
    return at_first[1]


def held(shop):
    """What the contract has of the token, its escrow, and what it owes: balance, escrow, dues."""
    owed = [shop.contract.due(shop.token.address, receiver) for receiver in PRICE]
    return shop.token.balance(shop.address), shop.contract.escrow(shop.token.address), owed


# -- purchases ---------------------------------------------------------------------------------------------------------


def test_who_has_approved_the_price_buys_and_each_order_buys_once(shop):
    shop.alice.approve(shop.asset, 2000)
    order = shop.alice.order(shop.plan)
    bought = shop.alice.purchase(order)
    assert bought.id == shop.alice.purchase_id(order)
    assert shop.contract.has_access(ALICE.address, int(shop.plan, 16))
    assert (shop.alice.balance(shop.asset), held(shop)[:2]) == (PURSE - 1000, (1000, 1000))
    with pytest.raises(CallReverted, match=f"PurchaseExists\\(purchaseId={bought.id}\\)"):
        shop.alice.purchase(order)
    assert held(shop)[:2] == (1000, 1000)


def test_what_was_done_is_told_with_its_block_and_gas(shop):
    shop.alice.approve(shop.asset, 1000)
    before = shop.node.balance(ALICE.address)
    done = shop.alice.purchase(shop.plan).done
    assert done.block == shop.chain.height
    assert 50_000 < done.gas < 200_000
    assert before - shop.node.balance(ALICE.address) == done.cost


def test_without_approval_nothing_is_sent_and_the_reason_is_the_tokens(shop):
    before, height = shop.node.balance(ALICE.address), shop.chain.height
    with pytest.raises(CallReverted, match=r"ERC20InsufficientAllowance\(spender=0x\w+, allowance=0, needed=1000\)"):
        shop.alice.purchase(shop.plan)
    assert (shop.node.balance(ALICE.address), shop.chain.height) == (before, height)


def test_a_plan_for_the_coin_is_paid_with_it(shop):
    bought = shop.bob.purchase(shop.coins)
    assert shop.node.balance(shop.address) == 1000
    assert bought.done.gas > 21_000
    with pytest.raises(BadData, match="coin cannot be authorized"):
        shop.bob.sign_purchase(shop.bob.order(shop.coins))
    with pytest.raises(BadData, match="needs no approval"):
        shop.bob.approve(shop.coin, 1)


def test_one_buys_for_another(shop):
    shop.alice.approve(shop.asset, 1000)
    shop.alice.purchase(shop.alice.order(shop.plan, BOB.address))
    plan = int(shop.plan, 16)
    assert [shop.contract.has_access(each, plan) for each in (ALICE.address, BOB.address)] == [False, True]


@pytest.mark.parametrize("plan", ["pro", "0x12", "0X" + "0" * 64])
def test_a_plan_that_is_none_is_refused_before_the_chain_is_asked(shop, plan):
    with pytest.raises(ValueError, match="plan of the contract"):
        shop.alice.purchase(plan)


def test_a_plan_that_is_not_published_is_a_clear_error(shop):
    with pytest.raises(BadData, match="no plan 0x"):
        shop.alice.purchase("0x" + "12" * 32)


def test_an_asset_of_another_chain_is_refused(shop):
    with pytest.raises(BadData, match="is not on eip155:31337"):
        shop.alice.balance(f"eip155:1/erc20:{shop.token.address}")


# -- signed, and relayed by somebody else ------------------------------------------------------------------------------


def test_somebody_without_coin_buys_by_a_signature_that_another_relays(shop):
    signed = shop.alice.sign_purchase(shop.alice.order(shop.plan))
    coins = shop.node.balance(ALICE.address)
    bought = shop.carol.relay(signed)
    assert bought.id == shop.alice.purchase_id(signed.order)
    assert (shop.alice.balance(shop.asset), shop.node.balance(ALICE.address)) == (PURSE - 1000, coins)
    assert shop.contract.has_access(ALICE.address, int(shop.plan, 16))
    with pytest.raises(CallReverted, match="PurchaseExists"):
        shop.carol.relay(signed)
    assert shop.alice.balance(shop.asset) == PURSE - 1000


def test_a_relayer_cannot_turn_the_money_to_another_order(shop):
    signed = shop.alice.sign_purchase(shop.alice.order(shop.plan))
    other = PurchaseOrder(signed.order.plan, BOB.address, signed.order.salt)
    with pytest.raises(CallReverted, match="ERC3009InvalidSignature"):
        shop.bob.relay(signed._replace(order=other))
    assert shop.alice.balance(shop.asset) == PURSE


def test_an_authorization_that_is_over_buys_nothing(shop):
    signed = shop.alice.sign_purchase(shop.alice.order(shop.plan), valid_before=shop.chain.now - 1)
    with pytest.raises(CallReverted, match="ERC3009InvalidAuthorizationTime"):
        shop.bob.relay(signed)


# -- leaving -----------------------------------------------------------------------------------------------------------


def test_a_subscriber_leaves_by_proof_with_what_was_not_used(shop):
    shop.buys(shop.alice)
    shop.buys(shop.bob)
    shop.alice.request_exit(shop.plan)
    shop.chain.advance(shop.freeze + 1)
    batch = shop.batch([(shop.alice, 300, 50), (shop.bob, 100, 0)], {SELLER.address: 350})
    shop.commits(batch)
    proof = shop.proof(batch, shop.alice)
    done = shop.alice.exit(proof.leaf, proof.proof)
    assert done.block == shop.chain.height
    assert shop.alice.balance(shop.asset) == PURSE - 250
    assert held(shop) == (2000 - 750, 2000 - 750 - 350, [350, 0])
    with pytest.raises(CallReverted, match=r"ExitAlreadyPaid\(\)"):
        shop.alice.exit(proof.leaf, proof.proof)


def test_another_ones_leaf_is_refused_before_the_chain_is_asked(shop):
    with pytest.raises(BadData, match="the leaf is of"):
        shop.alice.exit(Leaf(BOB.address, shop.plan, 0, 0), [])


def test_leaving_too_early_says_until_when(shop):
    shop.buys(shop.alice)
    shop.alice.request_exit(shop.plan)
    asked = shop.chain.now
    with pytest.raises(CallReverted, match=f"ExitDelay\\(until={asked + shop.exit}\\)"):
        shop.alice.claim_uncharged(shop.plan)


def test_with_the_operator_gone_all_is_taken_back_that_nobody_refutes(shop):
    shop.buys(shop.alice)
    shop.alice.request_exit(shop.plan)
    shop.chain.advance(shop.exit)
    shop.alice.claim_uncharged(shop.plan)
    with pytest.raises(CallReverted, match="ExitDelay"):
        shop.alice.exit_uncharged(shop.plan)
    shop.chain.advance(shop.exit)
    shop.alice.exit_uncharged(shop.plan)
    assert (shop.alice.balance(shop.asset), held(shop)[0]) == (PURSE, 0)


def test_a_claim_to_have_been_charged_nothing_is_refuted_by_a_leaf(shop):
    shop.buys(shop.alice)
    batch = shop.batch([(shop.alice, 300, 0)], {SELLER.address: 300})
    shop.commits(batch)
    shop.alice.request_exit(shop.plan)
    shop.chain.advance(shop.exit)
    shop.alice.claim_uncharged(shop.plan)
    proof = shop.proof(batch, shop.alice)
    shop.bob.refute(proof.leaf, proof.proof)
    shop.chain.advance(shop.exit)
    with pytest.raises(CallReverted, match="UnchargedNotClaimed"):
        shop.alice.exit_uncharged(shop.plan)
    assert held(shop)[:2] == (1000, 700)


# -- payouts and batches -----------------------------------------------------------------------------------------------


def test_anyone_has_a_receiver_paid_what_is_due_and_it_alone(shop):
    shop.buys(shop.alice)
    shop.commits(shop.batch([(shop.alice, 330, 0)], {SELLER.address: 300, PLATFORM.address: 30}))
    shop.carol.claim(shop.asset, SELLER.address)
    assert (shop.token.balance(SELLER.address), held(shop)) == (300, (700, 670, [0, 30]))
    with pytest.raises(CallReverted, match=r"NothingDue\(due=0\)"):
        shop.carol.claim(shop.asset, SELLER.address)


def test_a_batch_waits_in_its_window_and_then_anyone_may_execute_it(windowed):
    windowed.buys(windowed.alice)
    batch = windowed.batch([(windowed.alice, 300, 0)], {SELLER.address: 300})
    windowed.commits(batch)
    with pytest.raises(CallReverted, match=f"WindowOpen\\(until={windowed.chain.now + 600}\\)"):
        windowed.carol.execute(batch)
    windowed.chain.advance(600)
    windowed.carol.execute(batch)
    assert held(windowed) == (1000, 700, [300, 0])


def test_the_guardian_calls_a_batch_off_and_a_stranger_does_not(windowed):
    windowed.buys(windowed.alice)
    batch = windowed.batch([(windowed.alice, 300, 0)], {SELLER.address: 300})
    windowed.commits(batch)
    with pytest.raises(CallReverted, match=f"NotGuardian\\(caller={windowed.carol.address}\\)"):
        windowed.carol.cancel(1, "no")
    windowed.guardian.cancel(1, "wrong")
    windowed.chain.advance(600)
    with pytest.raises(CallReverted, match=r"BatchNotOpen\(seq=1\)"):
        windowed.carol.execute(batch)
    assert held(windowed) == (1000, 1000, [0, 0])


def test_anyone_calls_a_batch_off_by_a_leaf_that_is_overdrawn(windowed):
    windowed.buys(windowed.alice)
    windowed.buys(windowed.bob)
    batch = windowed.batch([(windowed.alice, 1001, 0), (windowed.bob, 5, 0)], {SELLER.address: 1006})
    windowed.commits(batch)
    honest, overdrawn = windowed.proof(batch, windowed.bob), windowed.proof(batch, windowed.alice)
    with pytest.raises(CallReverted, match=r"NotOverdrawn\(net=5, paid=1000\)"):
        windowed.carol.challenge(batch, honest.leaf, honest.proof)
    windowed.carol.challenge(batch, overdrawn.leaf, overdrawn.proof)
    assert windowed.contract.record(1).stage.name == "cancelled"


def test_a_counter_that_the_contract_has_no_room_for_is_bad_data(shop):
    with pytest.raises(BadData, match="exit cannot be called with these arguments"):
        shop.alice.exit(Leaf(ALICE.address, shop.plan, 1 << 128, 0), [])


# -- sending -----------------------------------------------------------------------------------------------------------


def test_an_account_that_cannot_pay_for_it_is_told_before_anything_is_sent(shop):
    poor = Wallet(shop.node, "0x" + "77" * 32, shop.address)
    with pytest.raises(ChainUnavailable, match="has 0 of the coin"):
        poor.approve(shop.asset, 1)


def test_a_fee_that_is_too_high_is_not_paid(shop):
    base = shop.node.fees().base
    miser = Wallet(shop.node, ALICE.key, shop.address, max_fee=base - 1)
    with pytest.raises(ChainUnavailable, match=f"more than the maximum of {base - 1}"):
        miser.approve(shop.asset, 1)
    careful = Wallet(shop.node, ALICE.key, shop.address, max_fee=base + 1)
    done = careful.approve(shop.asset, 1)
    assert done.cost <= done.gas * (base + 1)


@pytest.mark.parametrize("key", ["0x12", "secret words", ""])
def test_a_key_that_is_none_is_refused_without_being_shown(shop, key):
    with pytest.raises(BadData, match="the key is not a private key") as refused:
        Wallet(shop.node, key, shop.address)
    assert refused.value.__cause__ is None
    assert key not in str(refused.value) or not key


def test_a_wallet_by_url_closes_its_own_node(shop):
    with Wallet(shop.chain.url, ALICE.key, shop.address) as wallet:
        assert wallet.balance(shop.asset) == PURSE
    with pytest.raises(ChainUnavailable):
        wallet.balance(shop.asset)
    assert shop.alice.balance(shop.asset) == PURSE


def test_what_is_not_waited_for_is_found_later(quickest):
    with market(quickest) as shop:
        quickest.set_automine(False)
        sent = [shop.alice.approve(shop.asset, amount, wait=False) for amount in (5, 6, 7)]
        assert [done.block for done in sent] == [0, 0, 0]
        quick = Wallet(shop.node, ALICE.key, shop.address, timeout=0)
        with pytest.raises(SendUnknown, match="is not mined yet"):
            quick.wait(sent[0].transaction)
        quickest.mine()
        found = [shop.alice.wait(done.transaction) for done in sent]
        assert [done.block for done in found] == [quickest.height] * 3


def test_what_is_reverted_when_it_is_mined_says_why(quickest):
    """Two want the last that is due: both are tried when it is there, and only one has it."""
    with market(quickest) as shop:
        shop.buys(shop.alice)
        shop.commits(shop.batch([(shop.alice, 300, 0)], {SELLER.address: 300}))
        quickest.set_automine(False)
        first = shop.bob.claim(shop.asset, SELLER.address, wait=False)
        late = shop.carol.claim(shop.asset, SELLER.address, wait=False)
        quickest.mine()
        ends = [shop.bob.wait(each.transaction) for each in (first, late)]
        assert sorted(end is None for end in ends) == [False, True]
        assert shop.token.balance(SELLER.address) == 300


def test_a_receipt_of_a_block_that_the_chain_has_no_more_is_not_believed():
    """A node may give one that it kept: block 5 has another hash by now."""
    transaction = "0x" + "77" * 32
    receipt = {"blockHash": "0x" + "99" * 32, "blockNumber": "0x5", "logs": [], "status": "0x1"}
    receipt |= {
        "transactionHash": transaction,
        "gasUsed": "0x5208",
        "effectiveGasPrice": "0x7",
        "contractAddress": None,
    }
    told = {"eth_chainId": "0x7a69", "eth_getTransactionReceipt": receipt, "eth_getBlockByNumber": block(5)}
    with ScriptedNode(**told) as scripted, Node(scripted.url) as node:
        sender = Sender(node, ALICE.key, timeout=0)
        with pytest.raises(SendUnknown, match="is not mined yet"):
            sender.wait(transaction)
        receipt["blockHash"] = block(5)["hash"]
        assert sender.wait(transaction) == Done(transaction, 5, 21_000, 147_000)


def test_what_a_reorganisation_took_is_sent_anew(quickest):
    with market(quickest) as shop:
        done = shop.alice.approve(shop.asset, 1000)
        quickest.reorganise(1)
        with pytest.raises(SendUnknown):
            Wallet(shop.node, ALICE.key, shop.address, timeout=0).wait(done.transaction)
        shop.alice.approve(shop.asset, 1000)
        shop.alice.purchase(shop.plan)
        assert held(shop)[:2] == (1000, 1000)


def test_a_sender_makes_contracts_and_says_what_they_would_cost(shop):
    sender = Sender(shop.node, OWNER.key)
    quote = sender.quote(None, bytes.fromhex("600a600c600039600a6000f3602a60005260206000f3"))
    done = sender.send(None, bytes.fromhex("600a600c600039600a6000f3602a60005260206000f3"))
    assert isinstance(done, Done)
    assert (shop.node.code(done.contract).hex(), done.gas <= quote.gas) == ("602a60005260206000f3", True)
    assert done.cost <= quote.max_cost
    assert plan_id(OWNER.address, "a") != plan_id(OWNER.address, "b")
