"""The operator's transactions get stuck, lost, outbid, robbed of their nonces: the batch pays once all the same."""

import pytest
from evm_shop import COIN, OPERATOR, OTHER, OWNER
from faulty_node import says, swallowed

from chains import Outbox, Step
from chains.evm.transactions import read
from chains.testing.anvil_control import set_balance, set_base_fee
from ledger.errors import ChainUnavailable, SettlementStopped
from ledger.plugins import contract_of

GWEI = 10**9


def raised_enough(shop) -> bool:
    """Whether each replacement pays an eighth more than what it replaces, of both fees."""
    pairs = zip(shop.attempts(), shop.attempts()[1:], strict=False)
    same = [(one, other) for one, other in pairs if one.nonce == other.nonce]
    assert same
    return all(8 * new >= 9 * old for one, other in same for old, new in zip(one.fees, other.fees, strict=True))


# -- fees --------------------------------------------------------------------------------------------------------------


def test_a_transaction_that_the_base_fee_has_thrown_out_is_replaced_by_one_that_pays_more(shop):
    shop.use(10)
    shop.open()
    stuck = shop.submit()
    assert shop.outbox.step() is Step.sent
    set_base_fee(shop.local, stuck.fees.max_fee + GWEI)
    shop.mine()
    shop.finish()
    first, second = shop.attempts()
    assert (first.nonce, second.nonce) == (0, 0)
    assert raised_enough(shop)
    shop.receives(acme=95, fee=5)


def test_a_transaction_that_waits_below_the_base_fee_is_replaced(shop):
    """Nodes at large keep it in the pool; anvil does so until a block is mined."""
    shop.use(10)
    shop.open()
    stuck = shop.submit()
    shop.outbox.step()
    shop.faulty.always("eth_getBlockByNumber", with_base_fee(stuck.fees.max_fee + 1))
    shop.until("submitted", mine=False)
    assert shop.outbox.step() is Step.wrote
    shop.faulty.always("eth_getBlockByNumber", None)
    assert [each.nonce for each in shop.attempts()] == [0, 0]
    assert raised_enough(shop)
    shop.finish()
    assert shop.chain.find(1).transaction == shop.attempts()[1].hash
    shop.receives(acme=95, fee=5)


def with_base_fee(wei):
    from faulty_node import changed

    return changed(lambda block: block and block | {"baseFeePerGas": hex(wei)})


def test_a_transaction_that_gives_the_blocks_makers_too_little_is_replaced(shop):
    """Its fees would do, but what is left of them for who makes the block is less than others give by now."""
    shop.use(10)
    shop.open()
    shop.submit()
    shop.outbox.step()
    dear = 50 * GWEI
    shop.faulty.always("eth_maxPriorityFeePerGas", says(hex(dear)))
    assert shop.outbox.step() is Step.wrote
    first, second = shop.attempts()
    assert first.nonce == second.nonce
    assert second.fees.priority == dear
    assert raised_enough(shop)
    shop.finish()
    assert len(shop.attempts()) == 2, "what pays enough is left alone"
    shop.receives(acme=95, fee=5)


def test_a_priority_that_goes_up_and_down_a_little_replaces_nothing(shop):
    shop.use(10)
    shop.open()
    first = shop.submit()
    shop.outbox.step()
    for percent in (90, 105, 100, 110, 95):
        shop.faulty.always("eth_maxPriorityFeePerGas", says(hex(first.fees.priority * percent // 100)))
        assert shop.outbox.step() is Step.waiting
    shop.finish()
    assert len(shop.attempts()) == 1
    shop.receives(acme=95, fee=5)


def test_only_the_lowest_open_nonce_is_raised(shop):
    for _ in range(3):
        shop.use(3)
        shop.open()
        shop.until("submitted", mine=False)
        shop.outbox.step()
    shop.faulty.always("eth_maxPriorityFeePerGas", says(hex(50 * GWEI)))
    for _ in range(8):
        shop.outbox.step()
    assert [each.nonce for each in shop.attempts()] == [0, 1, 2, 0]
    shop.faulty.always("eth_maxPriorityFeePerGas", None)
    shop.finish()
    shop.receives(acme=85, fee=4)


def test_no_more_is_offered_than_the_most_that_gas_may_cost(shop):
    """It waits until the base fee has come down, and says nothing that no node would take."""
    most = 2 * GWEI
    shop.crash(max_fee=most)
    shop.faulty.always("eth_maxPriorityFeePerGas", says(hex(5 * GWEI)))
    shop.use(10)
    shop.open()
    stored = shop.submit()
    assert stored.fees.max_fee == most
    assert stored.fees.priority <= most
    set_base_fee(shop.local, 3 * GWEI)
    shop.mine()
    for _ in range(4):
        assert shop.outbox.step() is not Step.wrote
    set_base_fee(shop.local, GWEI)
    shop.mine()
    shop.finish()
    assert len(shop.attempts()) == 1
    shop.receives(acme=95, fee=5)


def test_receivers_who_are_paid_in_between_do_not_starve_a_batch_of_gas(shop):
    """To owe somebody again who was paid all that it was owed costs more gas than to owe it more."""
    shop.use(10)
    shop.settle()
    shop.use(10)
    shop.open()
    shop.submit()
    for receiver in shop.opened()[-1].payouts:
        shop.transact(OTHER.address, "claim", "0x" + "00" * 20, receiver.receiver)
    shop.finish()
    assert len(shop.attempts()) == 2, "the second batch's first transaction did it"
    shop.receives(acme=190, fee=10)


# -- money for gas -----------------------------------------------------------------------------------------------------


def test_with_too_little_money_for_gas_nothing_is_signed_until_it_comes(shop):
    shop.use(10)
    set_balance(shop.local, OPERATOR.address, 10**12)
    with pytest.raises(ChainUnavailable, match="the gas may cost") as refused:
        shop.settle()
    assert "run again" in refused.value.hint
    assert (shop.story(), shop.faulty.sent) == (["opened"], [])
    set_balance(shop.local, OPERATOR.address, 10**18)
    shop.settle()
    shop.receives(acme=95, fee=5)


def test_money_that_has_gone_between_signing_and_sending_is_asked_for_and_the_same_bytes_go_on(shop):
    shop.use(10)
    shop.open()
    stored = shop.submit()
    set_balance(shop.local, OPERATOR.address, 10**12)
    with pytest.raises(ChainUnavailable, match="rejects a transaction"):
        shop.finish()
    set_balance(shop.local, OPERATOR.address, 10**18)
    shop.finish()
    assert shop.attempts() == [stored]
    shop.receives(acme=95, fee=5)


# -- nonces ------------------------------------------------------------------------------------------------------------


def test_a_nonce_that_is_stolen_before_it_is_sent_is_noticed_and_the_batch_signed_again(shop):
    shop.use(10)
    shop.open()
    shop.submit()
    shop.steal_nonce()
    shop.finish()
    assert [each.nonce for each in shop.attempts()] == [0, 1]
    assert shop.batches() == {1: "executed"}
    shop.receives(acme=95, fee=5)


def test_a_nonce_that_is_stolen_from_the_pool_is_noticed_and_the_batch_signed_again(shop):
    shop.use(10)
    shop.open()
    shop.submit()
    shop.outbox.step()
    shop.steal_nonce()
    shop.finish()
    assert [each.nonce for each in shop.attempts()] == [0, 1]
    shop.receives(acme=95, fee=5)


def test_a_theft_that_is_final_ends_what_had_the_nonce(shop):
    shop.use(10)
    shop.open()
    shop.submit()
    (stored,) = shop.ledger.batches(contract_of(shop.chain))[0].attempts
    assert shop.chain.confirm(stored) == "gone"
    shop.steal_nonce()
    assert shop.chain.confirm(stored) == "gone", "the theft may yet be undone"
    shop.mine(2)
    assert shop.chain.confirm(stored) == "replaced"


def test_a_nonce_that_a_re_organisation_gave_back_is_taken_again(shops):
    """Another holder of the key had it; what was signed after that would wait for ever behind the gap."""
    shop = shops(finality=4)
    shop.use(10)
    shop.steal_nonce()
    shop.open()
    assert shop.submit().nonce == 1
    shop.local.reorganise(1)
    shop.finish()
    assert [each.nonce for each in shop.attempts()] == [1, 0]
    assert shop.batches() == {1: "executed"}
    shop.receives(acme=95, fee=5)


def test_a_theft_that_is_re_organised_away_after_the_batch_was_signed_again_pays_once(shops):
    """Both transactions of the batch can be mined then: the contract takes the number once."""
    shop = shops(finality=4)
    shop.use(10)
    shop.open()
    shop.submit()
    shop.steal_nonce()
    shop.until("submitted")
    while len(shop.attempts()) < 2:
        shop.outbox.step()
    shop.outbox.step()
    shop.local.reorganise(1)
    shop.finish()
    assert shop.batches() == {1: "executed"}
    shop.receives(acme=95, fee=5)


def test_a_line_behind_a_gap_is_signed_anew_from_its_first_on(shops):
    """The one who had the nonce before all of them is gone from the chain."""
    shop = shops(finality=4)
    shop.steal_nonce()
    for _ in range(3):
        shop.use(3)
        shop.open()
        shop.until("submitted", mine=False)
        shop.outbox.step()
    shop.local.reorganise(1)
    shop.finish()
    assert set(shop.batches().values()) == {"executed"}
    shop.receives(acme=85, fee=4)


def test_another_program_that_goes_on_spending_the_keys_nonces_delays_and_doubles_nothing(shop):
    for units in (10, 20):
        shop.use(units)
        shop.open()
        for _ in range(10):
            shop.outbox.step()
            shop.steal_nonce()
        shop.finish()
    assert shop.batches() == {1: "executed", 2: "executed"}
    shop.receives(acme=285, fee=15)


def test_a_transaction_that_the_pool_dropped_is_sent_again_as_it_is(shop):
    shop.use(10)
    shop.open()
    stored = shop.submit()
    shop.outbox.step()
    assert shop.local.drop(stored.hash)
    shop.finish()
    assert [read(raw) for raw in shop.faulty.sent] == [stored, stored]
    assert shop.attempts() == [stored]
    shop.receives(acme=95, fee=5)


def test_a_transaction_that_a_node_took_and_never_passed_on_is_sent_again(shop):
    shop.use(10)
    shop.faulty.on("eth_sendRawTransaction", swallowed, swallowed)
    shop.settle()
    assert len(shop.faulty.sent) == 3
    assert len(shop.attempts()) == 1
    shop.receives(acme=95, fee=5)


def test_a_log_that_forgot_a_better_paid_transaction_of_the_batch_pays_once(shop):
    """The log was restored from before the last attempt, which waits in the pool: what is stored is not taken there."""
    shop.use(10)
    shop.open()
    shop.submit()
    backup = shop.ledger.head.seq
    shop.outbox.step()
    shop.faulty.always("eth_maxPriorityFeePerGas", says(hex(50 * GWEI)))
    assert shop.outbox.step() is Step.wrote
    assert shop.outbox.step() is Step.sent
    shop.faulty.always("eth_maxPriorityFeePerGas", None)
    shop.restored(backup)
    assert shop.outbox.step() is not Step.idle
    shop.finish()
    assert shop.batches() == {1: "executed"}
    shop.receives(acme=95, fee=5)


# -- roles -------------------------------------------------------------------------------------------------------------


def test_a_key_without_the_role_is_told_before_anything_is_sent_and_the_right_one_goes_on(shop):
    shop.use(10)
    shop.crash(key=OTHER.key)
    before = shop.ledger.head
    for _ in range(2):
        with pytest.raises(SettlementStopped, match=f"key is that of {OTHER.address}, and the operator"):
            shop.settle()
    assert shop.faulty.sent == []
    assert shop.story() in ([], ["opened"]), "no batch has failed"
    assert shop.ledger.head.seq - before.seq <= 1
    shop.crash()
    shop.settle()
    shop.receives(acme=95, fee=5)


@pytest.mark.parametrize("sent", [False, True], ids=["stored", "sent"])
def test_an_operator_who_is_replaced_in_the_middle_of_a_batch_stops_and_the_new_one_goes_on(shop, sent):
    shop.use(10)
    shop.open()
    shop.submit()
    if sent:
        shop.outbox.step()
        dropped = shop.attempts()[0].hash
        shop.local.drop(dropped)  # else it would be mined before the operator is replaced
    shop.transact(OWNER.address, "setOperator", OTHER.address)
    with pytest.raises(SettlementStopped, match=f"the operator of {shop.contract} is {OTHER.address}"):
        shop.settle()
    shop.crash(key=OTHER.key)
    shop.settle()
    assert shop.batches() == {1: "executed"}
    shop.receives(acme=95, fee=5)


def test_what_an_operator_left_in_the_pool_is_refused_and_the_next_one_pays(shop):
    """The old operator's transaction cannot be mined, or is mined and reverts: both are waited for."""
    shop.use(10)
    shop.open()
    stored = shop.submit()
    shop.transact(OWNER.address, "setOperator", OTHER.address)
    set_balance(shop.local, OPERATOR.address, 0)
    shop.crash(key=OTHER.key)
    shop.settle()
    assert shop.attempts()[0] == stored
    assert shop.attempts()[-1].sender == OTHER.address
    shop.receives(acme=95, fee=5)


def test_two_senders_with_one_key_and_logs_of_their_own_pay_once_and_the_other_is_told(shop):
    """A copy of the log goes on elsewhere, with the same key: what is on the chain first stands."""
    shop.use(10)
    backup = shop.ledger.head.seq
    shop.settle()
    shop.restored(backup)
    shop.use(5)
    with pytest.raises(SettlementStopped, match="batch 1"):
        shop.settle()
    assert Outbox(shop.ledger, shop.chain).adopt() == [1]
    shop.settle()
    assert shop.opened()[-1].asset == COIN
    shop.receives(acme=142, fee=7)
