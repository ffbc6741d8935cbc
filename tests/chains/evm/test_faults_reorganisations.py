"""Blocks are replaced, four deep and at any time: what is final stands, the rest is read, sent and taken in again."""

import pytest
from evm_shop import ACME, ALICE, BOB, COIN, OTHER, OWNER, encode_and_hash
from faulty_node import straight

from chains import Outbox, Watcher
from chains.commitment import to_hex
from chains.evm import addresses
from chains.evm.transactions import read
from ledger import Charge, CreatePlan, PurchaseMade
from ledger.events import Purchased, Reversed
from ledger.plugins import contract_of
from replay import audit


def purchases(shop) -> list[str]:
    """The ids of the purchases that the log has, in its order."""
    events = [entry.event for entry in shop.ledger.events()]
    return [event.funding.escrow.purchase for event in events if isinstance(event, Purchased)]


def on_chain(shop) -> set[str]:
    """The ids of the purchases that the chain has."""
    return {fact.id for fact in shop.connect().facts(0, 0) if isinstance(fact, PurchaseMade)}


def raw(shop, transaction: str) -> str:
    """A mined transaction as its sender signed it."""
    return shop.local.ask("eth_getRawTransactionByHash", transaction)


# -- of the batch ------------------------------------------------------------------------------------------------------


def test_a_re_organisation_four_deep_after_the_commitment_sends_the_same_bytes_again(shops):
    shop = shops(finality=6)
    shop.use(10)
    shop.open()
    shop.until("committed")
    shop.mine(2)
    shop.local.reorganise(4)
    assert shop.chain.find(1).stage == "absent"
    shop.finish()
    assert shop.story() == ["opened", "submitted", "committed", "unknown", "committed", "confirmed"]
    assert len({read(raw) for raw in shop.faulty.sent}) == 1
    shop.receives(acme=95, fee=5)


def test_a_re_organisation_four_deep_before_the_commitment_is_heard_of_changes_nothing(shops):
    shop = shops(finality=6)
    shop.use(10)
    shop.open()
    shop.submit()
    shop.outbox.step()
    shop.mine(3)
    shop.local.reorganise(4)
    shop.finish()
    assert shop.story() == ["opened", "submitted", "committed", "confirmed"]
    assert len({read(raw) for raw in shop.faulty.sent}) == 1
    shop.receives(acme=95, fee=5)


def test_a_batch_that_comes_back_in_another_block_is_written_down_there(shops):
    shop = shops(finality=6)
    shop.use(10)
    shop.open()
    shop.until("committed")
    before = shop.chain.find(1)
    shop.local.reorganise(2)
    shop.again([shop.faulty.sent[0]])
    shop.finish()
    assert shop.chain.find(1).block > before.block
    assert shop.chain.find(1).transaction == before.transaction
    shop.receives(acme=95, fee=5)


@pytest.mark.parametrize("request_number", range(3, 60, 17))
def test_a_re_organisation_between_any_two_questions_pays_once(shops, request_number):
    between_two_questions(shops, request_number, depth=4)


@pytest.mark.sweep
@pytest.mark.parametrize("window", [0, 1])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_re_organisation_between_all_two_questions_pays_once(shops, depth, window):
    for number in range(1 + depth, 90, 5):  # a part of them; each depth and window begins elsewhere
        between_two_questions(shops, number, depth, window)


def between_two_questions(shops, number: int, depth: int, window: int = 0) -> None:
    shop = shops(finality=6, window=window)
    shop.use(10)
    left = [number]

    def fault(request, ask):
        left[0] -= 1
        if left[0] == 0:
            ask("anvil_reorg", depth, [])
        return straight(request, ask)

    shop.mine(depth)
    shop.faulty.always("*", fault)
    shop.settle()
    assert shop.batches() == {1: "executed"}
    shop.receives(acme=95, fee=5)
    shop.close()


def test_a_receipt_of_a_block_that_is_gone_is_not_believed(shops):
    """A node that still tells it, beside a chain that does not have its block."""
    shop = shops(finality=6)
    shop.use(10)
    shop.open()
    shop.until("committed")
    (stored,) = shop.ledger.batches(contract_of(shop.chain))[0].attempts
    told = shop.local.mined(stored.transaction)
    shop.local.reorganise(3)
    shop.faulty.always("eth_getTransactionReceipt", lambda request, ask: {"result": told})
    assert shop.chain.confirm(stored) == "gone"
    assert shop.chain.find(1).stage == "absent"
    shop.faulty.always("eth_getTransactionReceipt", None)
    shop.finish()
    shop.receives(acme=95, fee=5)


def test_a_cancellation_that_a_re_organisation_undoes_ends_nothing(shops):
    shop = shops(finality=4, window=600)
    shop.use(10)
    shop.open()
    shop.until("committed")
    shop.mine(4)
    shop.transact(OWNER.address, "cancelBatch", 1, "the guardian says so")
    shop.outbox.step()
    assert "failed" not in shop.story()
    shop.local.reorganise(1)
    shop.local.advance(601)
    shop.finish()
    assert shop.batches() == {1: "executed"}
    shop.receives(acme=95, fee=5)


# -- of purchases ------------------------------------------------------------------------------------------------------


def test_a_purchase_that_a_re_organisation_moves_is_taken_in_once(shops):
    shop = shops(finality=6)
    bought = raw(shop, shop.buy(BOB.address))
    shop.mine(2)
    assert shop.watcher.sync() == []
    shop.local.reorganise(4)
    shop.again([bought])
    shop.mine(8)
    for _ in range(2):
        assert shop.watcher.sync() == []
    assert Watcher(shop.ledger, shop.connect()).sync() == []
    assert len(purchases(shop)) == len(set(purchases(shop))) == 2
    assert shop.ledger.balance(BOB.address, "pro").issued == 100


def test_a_purchase_that_a_re_organisation_takes_away_before_it_is_final_was_never_taken_in(shops):
    shop = shops(finality=6)
    shop.buy(BOB.address)
    shop.mine(3)
    assert shop.watcher.sync() == []
    shop.local.reorganise(4)
    shop.mine(8)
    assert shop.watcher.sync() == []
    assert shop.ledger.balance(BOB.address, "pro") is None


def test_a_re_organisation_between_two_ranges_of_a_scan_loses_and_doubles_nothing(shops):
    """The purchase was in the second range when the first was read, and is in the first when the second is read."""
    shop = shops(finality=6)
    shop.chain._logs._width = 3
    shop.mine(6)
    bought = [raw(shop, shop.buy(BOB.address)) for _ in range(2)]
    shop.mine(1)
    ranges = []

    def fault(request, ask):
        ranges.append(request["params"][0])
        if len(ranges) == 3:
            ask("anvil_reorg", 3, [[bought[1], 0]])
            ask("anvil_mine", hex(1))
        return straight(request, ask)

    early = Watcher(shop.ledger, shop.chain, confirmations=0)
    shop.faulty.always("eth_getLogs", fault)
    assert early.sync() == []
    shop.faulty.always("eth_getLogs", None)
    assert len(ranges) > 3
    shop.mine(8)
    assert early.sync() == []
    assert set(purchases(shop)) >= on_chain(shop)
    assert len(purchases(shop)) == len(set(purchases(shop)))


# -- of purchases that were granted early ------------------------------------------------------------------------------


def test_a_purchase_granted_early_is_reversed_when_it_is_gone_for_good_and_once(shops):
    shop = shops(finality=4, confirmations=0)
    shop.buy(BOB.address)
    assert shop.watcher.sync() == []
    shop.use(30, BOB.address)
    shop.local.reorganise(1)
    shop.mine(3)
    shop.watcher.sync()
    assert shop.ledger.balance(BOB.address, "pro").debt == 0, "its block may still come back"
    shop.mine(3)
    for watcher in (shop.watcher, shop.watcher, Watcher(shop.ledger, shop.connect(), confirmations=0)):
        assert watcher.sync() == []
    balance = shop.ledger.balance(BOB.address, "pro")
    assert (balance.available, balance.debt) == (-30, 30)
    assert sum(isinstance(entry.event, Reversed) for entry in shop.ledger.events()) == 1


def test_a_purchase_that_was_reversed_and_is_mined_after_all_is_granted_after_all(shops):
    shop = shops(finality=4, confirmations=0)
    bought = raw(shop, shop.buy(BOB.address))
    shop.watcher.sync()
    shop.local.reorganise(1)
    shop.mine(5)
    shop.watcher.sync()
    assert shop.ledger.balance(BOB.address, "pro").available == 0
    shop.again([bought])
    shop.mine(5)
    shop.watcher.sync()
    assert shop.ledger.balance(BOB.address, "pro").available == 100
    assert set(purchases(shop)) == on_chain(shop)


@pytest.mark.parametrize("confirmations", [1, *(pytest.param(count, marks=pytest.mark.sweep) for count in (0, 3))])
def test_early_grants_over_re_organisations_are_each_purchase_once(shops, confirmations):
    """Some come back and some do not; whoever watches, and however often."""
    shop = shops(finality=6, confirmations=confirmations)
    for depth in (1, 2, 3, 4, 2):
        bought = [raw(shop, shop.buy(buyer)) for buyer in (BOB.address, ALICE.address, OTHER.address)]
        shop.watcher.sync()
        shop.local.reorganise(depth)
        shop.again(bought[-depth:][: depth - 1])
        shop.mine(2)
        shop.watcher.sync()
        if depth == 3:
            shop.crash()
    shop.mine(12)
    for _ in range(2):
        assert shop.watcher.sync() == []
    reversed_ = sum(isinstance(entry.event, Reversed) for entry in shop.ledger.events())
    assert len(purchases(shop)) == len(on_chain(shop)) + reversed_
    issued = sum(balance.issued - balance.withdrawn for balance in shop.ledger.balances())
    assert issued == 100 * len(on_chain(shop))


def test_a_plan_that_is_published_anew_on_other_terms_sells_on_those(shops):
    """The contract gives plan and purchase the ids that they had: what was granted early was never paid for."""
    shop = shops(finality=4, confirmations=0)
    shop.buy(BOB.address)
    salt = (1).to_bytes(32)
    id = to_hex(encode_and_hash(OWNER.address, salt))
    plan = CreatePlan(
        plan="other",
        owner="acme",
        onchain_id=id,
        asset=COIN,
        price={ACME: 500},
        credits=100,
        policy="complexity",
        parameters={"weights": {"units": 1}},
    )
    shop.ledger.execute(plan).unwrap()

    def sell(price: int) -> None:
        shop.transact(OWNER.address, "setPlan", salt, (addresses.COIN, 100, 0, [(ACME, price)]))
        shop.transact(OTHER.address, "purchase", (int(id, 16), OTHER.address, salt), value=price)

    sell(500)
    assert shop.watcher.sync() == []
    shop.local.reorganise(2)
    sell(1)
    shop.mine(4)
    assert shop.watcher.sync() == []
    shop.ledger.execute(Charge(subscriber=OTHER.address, plan="other", usage={"units": 100})).unwrap()
    assert shop.settle() == [1]
    shop.receives(acme=1, fee=0)
    assert audit(shop.location, chains=[shop.chain]).clean


def test_more_confirmations_than_finality_needs_miss_nothing(shops):
    """What is final is told in any case: a watcher goes on from there."""
    shop = shops(finality=2, confirmations=5)
    for _ in range(4):
        shop.buy(BOB.address)
        shop.mine()
        assert shop.watcher.sync() == []
    shop.mine(2)
    assert shop.watcher.sync() == []
    assert shop.ledger.balance(BOB.address, "pro").issued == 400


def test_usage_of_a_purchase_that_a_re_organisation_takes_away_is_not_paid_out_of_others_money(shops):
    shop = shops(finality=4, confirmations=0)
    shop.buy(BOB.address)
    shop.watcher.sync()
    shop.use(40, BOB.address)
    shop.use(10)
    shop.local.reorganise(1)
    shop.mine(8)
    shop.watcher.sync()
    Outbox(shop.ledger, shop.chain).settle([COIN], pauses=shop.blocks())
    shop.receives(acme=95, fee=5)


def test_a_batch_that_pays_for_a_purchase_that_is_gone_is_made_good_by_the_next(shops):
    """It was opened on an early grant: it is refused while the money is not there, and what follows nets."""
    shop = shops(finality=4, confirmations=0)
    shop.buy(BOB.address)
    shop.watcher.sync()
    shop.use(100, BOB.address)
    shop.use(50)
    shop.open()
    shop.local.reorganise(1)
    shop.mine(8)
    shop.watcher.sync()
    shop.settle()
    shop.settle()
    assert sum(stage == "executed" for stage in shop.batches().values()) >= 1
    shop.receives(acme=475, fee=25)
