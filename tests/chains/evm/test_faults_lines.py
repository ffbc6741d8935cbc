"""Batches in line, refused, cancelled, challenged; and logs that were restored from a backup."""

import pytest
from evm_shop import ACME, ALICE, BOB, COIN, OTHER, OWNER, encode_and_hash

from chains import prove
from chains.commitment import to_hex
from chains.evm import addresses
from chains.evm.commitment import contract_batch
from chains.leaves import EVM_LEAF, keccak
from ledger import Charge, CreatePlan, Escrow, EscrowFunding, OpenSettlement, Purchase, Reason
from ledger.errors import SettlementStopped
from ledger.events import SettlementFailed
from ledger.plugins import contract_of
from replay import audit


def failed(shop) -> list[tuple[int, bool]]:
    """The numbers of the batches that failed, and whether the chain has used them up."""
    events = [entry.event for entry in shop.ledger.events()]
    return [(event.number, event.used) for event in events if isinstance(event, SettlementFailed)]


def line(shop, batches: int) -> None:
    """So many batches, each stored and sent."""
    for _ in range(batches):
        shop.use(3)
        shop.open()
        shop.until("submitted", mine=False)
        shop.outbox.step()


def test_an_asset_of_which_no_batch_can_be_paid_keeps_no_other_from_being_settled(shop):
    """A token without any limit, of which the contract holds nothing: two sales earn one receiver more than one payout
    can say. The first batch pays as much as it can, and the contract refuses it."""
    token, id = f"{shop.chain.name}/erc20:{OTHER.address}", f"0x{7:064x}"
    words = {"policy": "complexity", "parameters": {"weights": {"units": 1}}}
    most = {ACME: 2**95 - 1}
    shop.ledger.execute(CreatePlan(plan="dear", owner="x", onchain_id=id, asset=token, price=most, credits=1, **words))
    for order in ("1", "2"):
        funding = EscrowFunding(Escrow(shop.chain.name, shop.contract, order))
        shop.ledger.execute(Purchase(subscriber=BOB.address, plan="dear", funding=funding)).unwrap()
    shop.ledger.execute(Charge(subscriber=BOB.address, plan="dear", usage={"units": 2})).unwrap()
    shop.use(10)
    assert list(shop.outbox._assets()) == [token, COIN]
    shop.settle()
    (dear,) = [event for event in shop.opened() if event.asset == token]
    assert [payout.amount for payout in dear.payouts] == [2**95 - 1]
    assert shop.ledger.settling(contract_of(shop.chain)).failed == (token,)
    shop.receives(**shop.parts(10))


def test_as_many_receivers_as_may_be_have_gas_enough_while_their_batch_stands_in_line(shop):
    """It cannot be tried before the one ahead of it is mined. Amounts of eleven bytes cost more than small ones."""
    salt = (1).to_bytes(32)
    plan = int.from_bytes(encode_and_hash(OWNER.address, salt))
    price = {
        addresses.address(to_hex(keccak(bytes([1, *number.to_bytes(2)]))[:20])): 2**86 - 1 for number in range(600)
    }
    held = sum(price.values())
    shop.local.ask("anvil_setBalance", BOB.address, hex(2 * held))
    shop.transact(OWNER.address, "setPlan", salt, (addresses.COIN, 1, 0, [(ACME, held)]))
    shop.transact(BOB.address, "purchase", (plan, BOB.address, salt), value=held)
    words = {"credits": 1, "policy": "complexity", "parameters": {"weights": {"units": 1}}}
    many = CreatePlan(plan="many", owner="x", onchain_id=f"0x{7:064x}", asset=COIN, price=price, **words)
    shop.ledger.execute(many).unwrap()
    funding = EscrowFunding(Escrow(shop.chain.name, shop.contract, "of the same escrow"))
    shop.ledger.execute(Purchase(subscriber=BOB.address, plan="many", funding=funding)).unwrap()
    line(shop, 1)
    shop.ledger.execute(Charge(subscriber=BOB.address, plan="many", usage={"units": 1})).unwrap()
    line(shop, 1)
    shop.finish()
    used = [int(shop.local.mined(each.hash)["gasUsed"], 16) for each in shop.attempts()]
    assert max(used) > 14_000_000
    assert {shop.local.mined(each.hash)["status"] for each in shop.attempts()} == {"0x1"}


# -- lines -------------------------------------------------------------------------------------------------------------


@pytest.mark.sweep(always=True)
def test_ten_batches_in_line_are_paid_in_order_and_an_eleventh_waits(shop):
    line(shop, 10)
    assert [each.nonce for each in shop.attempts()] == list(range(10))
    shop.use(3)
    eleventh = shop.ledger.execute(OpenSettlement(chain=shop.chain.name, contract=shop.contract, asset=COIN))
    assert eleventh.reason is Reason.batch_open
    shop.mine()
    assert set(shop.batches().values()) == {"executed"}, "all in one block"
    shop.settle(60)
    shop.receives(acme=950 * 33 // 100, fee=50 * 33 // 100)


@pytest.mark.parametrize("batches", [3, pytest.param(10, marks=pytest.mark.sweep)])
def test_batches_in_line_over_a_re_organisation_are_paid_once_each(shops, batches):
    shop = shops(finality=6)
    line(shop, batches)
    shop.mine(2)
    shop.outbox.step()
    shop.local.reorganise(2)
    shop.finish(80)
    assert set(shop.batches().values()) == {"executed"}
    assert len(shop.attempts()) == batches, "the same bytes were sent again"
    shop.receives(**shop.parts(3 * batches))


@pytest.mark.parametrize("batches", [3, pytest.param(10, marks=pytest.mark.sweep)])
def test_a_line_goes_on_when_the_process_dies_in_its_middle(shop, batches):
    line(shop, batches)
    shop.crash()
    shop.finish(80)
    assert set(shop.batches().values()) == {"executed"}
    shop.receives(**shop.parts(3 * batches))


@pytest.mark.parametrize("batches", [3, pytest.param(10, marks=pytest.mark.sweep)])
def test_batches_in_line_wait_for_their_windows_and_are_paid_in_order(shops, batches):
    shop = shops(window=600)
    line(shop, batches)
    shop.mine()
    shop.outbox.carry(range(5))
    assert list(shop.batches().values()) == ["committed"] * batches
    shop.local.advance(601)
    shop.finish(120)
    assert set(shop.batches().values()) == {"executed"}
    shop.receives(**shop.parts(3 * batches))


# -- refused -----------------------------------------------------------------------------------------------------------


def leave_with_everything(shop) -> None:
    """Alice takes her whole money out, as she may when the operator is gone for so long: the log does not know yet."""
    shop.transact(ALICE.address, "requestExit", addresses.plan_id(shop.plan))
    shop.local.advance(10**9 + 1)
    shop.transact(ALICE.address, "claimUncharged", addresses.plan_id(shop.plan))
    shop.local.advance(10**9 + 1)
    shop.transact(ALICE.address, "exitUncharged", addresses.plan_id(shop.plan))


@pytest.mark.parametrize("window", [0, 600])
def test_an_overspending_batch_is_refused_before_it_is_sent_and_is_in_the_next(shops, window):
    """Alice's money has left the contract; bob buys, and there is enough again."""
    shop = shops(window=window)
    leave_with_everything(shop)
    shop.use(100)
    shop.settle()
    assert shop.story() == ["opened", "failed"]
    assert failed(shop) == [(1, False)]
    assert shop.faulty.sent == []
    shop.buy(BOB.address)
    shop.mine(2)
    shop.outbox.open(COIN)
    if window:
        shop.until("committed")
        shop.local.advance(window)
    shop.finish()
    assert shop.batches() == {1: "executed"}, "the number was given out again"
    shop.receives(acme=950, fee=50)


def test_a_batch_whose_transaction_reverts_fails_when_that_is_final_and_is_in_the_next(shop):
    """The escrow was there when it was signed, and has left when it is mined."""
    shop.use(100)
    shop.open()
    stored = shop.submit()
    leave_with_everything(shop)
    shop.outbox.step()
    shop.mine()
    assert shop.local.mined(stored.hash)["status"] == "0x0"
    for _ in range(3):
        shop.outbox.step()
    assert "failed" not in shop.story(), "the revert may yet be undone"
    shop.mine(2)
    shop.until("failed")
    assert failed(shop) == [(1, False)]
    shop.buy(BOB.address)
    shop.mine(2)
    shop.settle()
    shop.receives(acme=950, fee=50)


def test_when_a_batch_in_line_can_never_be_mined_those_behind_it_are_opened_anew(shop):
    """Their transactions are mined when the money has gone, and revert."""
    for units in (60, 40):
        shop.use(units)
        shop.open()
        shop.submit()
        shop.outbox.step()
    first, _ = shop.attempts()
    assert shop.local.drop(first.hash)
    leave_with_everything(shop)
    shop.until("failed")
    assert sorted(failed(shop)) == [(1, False), (2, False)]
    shop.buy(BOB.address)
    shop.mine(2)
    shop.settle()
    assert shop.batches() == {1: "executed"}
    shop.receives(acme=950, fee=50)


# -- cancelled and challenged ------------------------------------------------------------------------------------------


def test_a_batch_that_is_cancelled_while_the_next_is_open_is_paid_by_the_one_after(shops):
    shop = shops(window=600)
    shop.use(10)
    shop.open()
    shop.until("committed")
    shop.use(20)
    shop.open()
    shop.transact(OWNER.address, "cancelBatch", 1, "the guardian says so")
    shop.outbox.carry(shop.blocks(8))
    shop.local.advance(601)
    shop.finish()
    assert failed(shop) == [(1, True)]
    assert shop.batches() == {1: "cancelled", 2: "executed"}
    assert shop.outbox.open(COIN) == 3
    shop.until("committed")
    shop.local.advance(601)
    shop.finish()
    shop.receives(acme=285, fee=15)


def test_a_batch_that_is_cancelled_when_the_next_is_committed_is_paid_by_the_one_after(shops):
    shop = shops(window=600)
    for units in (10, 20):
        shop.use(units)
        shop.open()
        shop.until("submitted", mine=False)
        shop.outbox.step()
    shop.mine()
    shop.outbox.carry(range(5))
    shop.transact(OWNER.address, "cancelBatch", 1, "the guardian says so")
    shop.mine(2)
    shop.outbox.carry(range(5))
    shop.local.advance(601)
    shop.finish()
    assert shop.batches() == {1: "cancelled", 2: "executed"}
    shop.use(5)
    shop.open()
    shop.until("committed")
    shop.local.advance(601)
    shop.finish()
    shop.receives(acme=332, fee=17)


def test_a_challenged_batch_fails_and_what_was_right_in_it_is_in_the_next(shops):
    """Bob's purchase was granted early, used up and settled, and is gone with a reorganisation: the contract would pay
    for it out of alice's money, and anyone may show it."""
    shop = shops(window=600, finality=4, confirmations=0)
    shop.buy(BOB.address)
    shop.watcher.sync()
    shop.use(80, BOB.address)
    shop.use(10)
    shop.open()
    shop.until("committed")
    shop.local.reorganise(2)
    shop.outbox.carry(shop.blocks(3))
    assert shop.batches() == {1: "committed"}

    batch = shop.leaves(1)
    proof = prove(batch, EVM_LEAF, BOB.address, shop.plan)
    leaf = (BOB.address, addresses.plan_id(shop.plan), proof.leaf.charged, proof.leaf.credited)
    siblings = [bytes.fromhex(sibling[2:]) for sibling in proof.proof]
    shop.transact(OTHER.address, "challengeOverdraw", tuple(contract_batch(batch)), leaf, siblings)
    shop.until("failed")
    assert failed(shop) == [(1, True)]

    shop.watcher.sync()
    shop.open()
    shop.until("committed")
    shop.local.advance(601)
    shop.finish()
    assert shop.batches() == {1: "cancelled", 2: "executed"}
    shop.receives(acme=95, fee=5)


# -- restored backups --------------------------------------------------------------------------------------------------


def test_a_log_restored_from_before_the_send_finds_its_batch_on_the_chain(shop):
    shop.use(10)
    shop.open()
    opened = shop.ledger.head.seq
    shop.finish()
    shop.restored(opened)
    shop.settle()
    assert shop.story() == ["opened", "confirmed"]
    assert shop.batches() == {1: "executed"}
    shop.receives(acme=95, fee=5)


def test_a_log_restored_while_its_transaction_waits_in_the_pool_pays_once(shop):
    shop.use(10)
    shop.open()
    opened = shop.ledger.head.seq
    shop.submit()
    shop.outbox.step()
    shop.restored(opened)
    shop.settle()
    assert shop.batches() == {1: "executed"}
    shop.receives(acme=95, fee=5)


def test_a_log_that_lacks_a_batch_stops_until_it_has_adopted_it(shop):
    shop.use(10)
    backup = shop.ledger.head.seq
    shop.settle()
    shop.restored(backup)
    with pytest.raises(SettlementStopped, match="batch 1"):
        shop.settle()
    assert shop.story() == [], "nothing was written"
    assert shop.outbox.adopt() == [1]
    assert shop.settle() == [1]
    shop.use(10)
    shop.settle()
    assert shop.story() == ["adopted", "confirmed", "opened", "submitted", "committed", "confirmed"]
    shop.receives(acme=190, fee=10)


def test_usage_that_a_restored_log_has_lost_is_taken_back_with_the_next_batch(shop):
    backup = shop.ledger.head.seq
    shop.use(10)
    shop.settle()
    shop.restored(backup)
    shop.outbox.adopt()
    shop.settle()
    shop.receives(acme=0, fee=0)
    (leaf,) = shop.leaves(2).leaves
    assert (leaf.charged, leaf.credited) == (100, 100), "counters only grow"


def test_another_batch_under_our_number_is_an_alarm_and_not_a_retry(shop):
    backup = shop.ledger.head.seq
    shop.use(10)
    shop.settle()
    shop.restored(backup)
    shop.use(25)
    shop.ledger.execute(OpenSettlement(chain=shop.chain.name, contract=shop.contract, asset=COIN)).unwrap()
    with pytest.raises(SettlementStopped, match="another batch 1"):
        shop.settle()
    assert shop.outbox.adopt() == [1]
    shop.settle()
    assert shop.story()[:3] == ["opened", "failed", "adopted"]
    shop.receives(acme=237, fee=12)


def test_what_is_not_final_is_not_adopted_yet(shop):
    shop.use(10)
    backup = shop.ledger.head.seq
    shop.open()
    shop.until("committed")
    shop.restored(backup)
    with pytest.raises(SettlementStopped, match="not final"):
        shop.outbox.adopt()
    shop.mine(2)
    assert shop.outbox.adopt() == [1]
    shop.settle()
    shop.receives(acme=95, fee=5)


def test_a_forged_or_missing_leaf_file_is_not_adopted(shop):
    shop.use(10)
    backup = shop.ledger.head.seq
    shop.settle()
    shop.restored(backup)
    before = shop.ledger.head
    (file,) = (shop.folder / "leaves").glob("*.json")
    right = file.read_bytes()
    for wrong in (right.replace(b"95", b"96"), None):
        file.unlink() if wrong is None else file.write_bytes(wrong)
        with pytest.raises(SettlementStopped, match="not published"):
            shop.outbox.adopt()
    assert shop.ledger.head == before
    file.write_bytes(right)
    assert shop.outbox.adopt() == [1]


def test_a_chain_that_lacks_what_the_log_has_confirmed_is_not_written_to_or_for(shop, shops):
    """Another anvil, on which a contract of the same address has sold and settled nothing of ours."""
    shop.use(10)
    shop.settle()
    shop.use(10)
    other = shops()
    shop.faulty.target = other.faulty.target
    shop.chain = shop.connect()
    shop.carriers()
    before, height = shop.ledger.head, other.local.height
    assert other.contract == shop.contract
    for act in (shop.outbox.settle, shop.outbox.adopt, shop.outbox.step):
        with pytest.raises(SettlementStopped, match="does not have batch 1"):
            act()
    assert (shop.ledger.head, other.local.height, shop.faulty.sent[1:]) == (before, height, [])


def test_charges_go_on_while_settling_stands_still(shop):
    """Nothing of what the chain does is in the way of who uses what it bought."""
    shop.use(10)
    with shop.faulty.cut_off(), pytest.raises(Exception, match="cannot be reached"):
        shop.settle()
    assert shop.ledger.execute(Charge(subscriber=ALICE.address, plan="pro", usage={"units": 5})).accepted
    shop.settle()
    shop.receives(acme=142, fee=7)


# -- money that is taken behind the contract's back --------------------------------------------------------------------


def test_money_that_the_contract_no_longer_has_is_found(shop):
    """Its own books do not know: an issuer may take its token back, or let balances change by themselves."""
    shop.use(10)
    shop.settle()
    shop.transact(OTHER.address, "claim", addresses.COIN, ACME)
    assert shop.has(shop.contract) == shop.chain.holdings(COIN) == 1000 - 95
    assert audit(shop.location, chains=[shop.chain]).clean
    for has, found in ((1000, []), (904, [("chain_escrow", "holdings", 904)])):
        shop.local.ask("anvil_setBalance", shop.contract, hex(has))
        findings = audit(shop.location, chains=[shop.chain]).findings
        assert [(each.kind, each.field, each.found["amount"]) for each in findings] == found
