"""Settling of batches that wait behind each other, over refusals, cancellations and restored backups."""

import pytest
from mock_shop import SHARES, MockShop

from chains import Outbox, Step, Watcher, leaf_file
from chains.mock import MockChain
from chains.mock.faults import Delay, Drop, Lie, Refuse
from ledger import CreatePlan, OpenSettlement, Reason
from ledger.errors import SettlementStopped
from ledger.events import SettlementFailed, SettlementSubmitted


@pytest.fixture
def shop() -> MockShop:
    return MockShop(MockChain())


# -- lines, refusals, cancellations ------------------------------------------------------------------------------------


def line_of_ten(shop: MockShop) -> None:
    shop.chain.automine = False
    for _ in range(10):
        shop.use(3)
        shop.open()
        while shop.story()[-1] != "submitted":
            shop.outbox.step()


def test_ten_batches_in_line_are_paid_in_order_and_an_eleventh_waits(shop: MockShop) -> None:
    line_of_ten(shop)
    shop.use(3)
    eleventh = shop.ledger.execute(OpenSettlement(chain="mock:local", contract="tollbook", asset="USD"))
    assert eleventh.reason is Reason.batch_open
    shop.finish(60)
    assert [found.stage for found in shop.chain.batches().values()] == ["executed"] * 10
    shop.outbox.settle()
    shop.receives(acme=950 * 33 // 100, platform=50 * 33 // 100)


def test_an_overspending_batch_is_refused_before_it_is_sent_and_is_in_the_next(shop: MockShop) -> None:
    """Bob was paid by a chain that this contract does not hold the money of."""
    shop.use(100)
    shop.chain.script(Refuse(reason="EscrowTooLow"))
    shop.outbox.settle()
    assert shop.story() == ["opened", "failed"]
    assert shop.sent() == 0
    shop.outbox.settle()
    assert shop.chain.find(1).stage == "executed", "the number was given out again"
    shop.receives(acme=950, platform=50)


def test_a_batch_whose_transaction_was_reverted_fails_and_is_in_the_next(shop: MockShop) -> None:
    """The first was signed and sent, and something else had taken the escrow when it was mined."""
    shop.use(10)
    shop.open()
    shop.until("submitted")
    shop.chain.steal_nonce()
    shop.chain.mine(3)
    shop.chain.script(Refuse(reason="EscrowTooLow"))
    shop.until("failed")
    assert shop.outbox.settle() == [1]
    shop.receives(acme=95, platform=5)


def test_a_batch_whose_transaction_is_final_and_reverted_fails_and_is_not_signed_again() -> None:
    """Between its signature and its block, the subscriber's exit took the escrow."""
    shop = MockShop(MockChain(exit_delay=1))
    shop.use(10)
    shop.open()
    shop.chain.request_exit("alice", "pro")
    shop.mine(2)
    assert shop.chain.exit("alice", "pro", "USD") is None, "an exit without a leaf is announced first"
    shop.mine(2)
    shop.until("submitted")
    shop.chain.script(Delay(blocks=2))
    assert shop.outbox.step() is Step.sent
    paid = shop.chain.exit("alice", "pro", "USD")
    assert paid is not None
    assert paid.amount == 1000
    shop.mine(4)
    (attempt,) = (event for event in shop.events() if isinstance(event, SettlementSubmitted))
    assert shop.chain.reverted(attempt.transaction).startswith("EscrowShort")
    shop.finish()
    assert shop.story() == ["opened", "submitted", "failed"]
    shop.sync(6)
    assert shop.settle() == [1]
    assert shop.opened()[-1].payouts == (), "the next batch has the counters, and pays nothing"
    shop.receives(acme=0, platform=0)


def test_a_batch_that_is_cancelled_while_the_next_is_open_is_paid_by_the_one_after() -> None:
    shop = MockShop(MockChain(window=4))
    shop.use(10)
    shop.open()
    shop.until("committed")
    shop.use(20)
    shop.open()
    shop.chain.cancel(1, "the guardian says so")
    shop.finish()
    failed = [entry.event for entry in shop.ledger.events() if isinstance(entry.event, SettlementFailed)]
    assert [(event.number, event.used) for event in failed] == [(1, True)]
    assert shop.outbox.settle() == [3]
    shop.receives(acme=285, platform=15)


def test_when_a_batch_in_line_can_never_be_mined_those_behind_it_are_opened_anew(shop: MockShop) -> None:
    shop.chain.automine = False
    shop.use(10)
    shop.open()
    shop.until("submitted")
    shop.use(10)
    shop.open()
    for _ in range(3):
        shop.chain.steal_nonce()
    shop.chain.script(Refuse(reason="EscrowTooLow"))
    shop.until("failed")
    failed = [entry.event for entry in shop.ledger.events() if isinstance(entry.event, SettlementFailed)]
    assert [(event.number, event.used) for event in failed] == [(2, False), (1, False)]
    shop.finish()
    shop.outbox.settle()
    assert sorted(shop.chain.batches()) == [1]
    shop.receives(acme=190, platform=10)


# -- restored backups --------------------------------------------------------------------------------------------------


def test_a_log_restored_from_before_the_send_finds_its_batch_on_the_chain(shop: MockShop) -> None:
    shop.use(10)
    shop.open()
    opened = shop.ledger.head.seq
    shop.finish()
    shop.restored(opened)
    shop.outbox.settle()
    assert shop.story() == ["opened", "confirmed"]
    assert shop.sent() == 1
    shop.receives(acme=95, platform=5)


def test_a_log_that_lacks_a_batch_stops_until_it_has_adopted_it(shop: MockShop) -> None:
    shop.use(10)
    backup = shop.ledger.head.seq
    shop.outbox.settle()
    shop.restored(backup)
    with pytest.raises(SettlementStopped, match="batch 1"):
        shop.outbox.settle()
    assert shop.story() == [], "nothing was written"

    assert shop.outbox.adopt() == [1]
    assert shop.outbox.settle() == [1]
    shop.use(10)
    shop.outbox.settle()
    assert shop.story() == ["adopted", "confirmed", "opened", "submitted", "committed", "confirmed"]
    shop.receives(acme=190, platform=10)


def test_adopting_leaves_an_open_batch_that_the_chain_has_as_it_is(shop: MockShop) -> None:
    shop.use(10)
    shop.open()
    opened = shop.ledger.head.seq
    shop.finish()
    shop.restored(opened)
    assert shop.outbox.adopt() == []
    assert shop.outbox.settle() == [1]
    assert shop.story() == ["opened", "confirmed"]
    assert shop.sent() == 1


def test_usage_that_a_restored_log_has_lost_is_taken_back_with_the_next_batch(shop: MockShop) -> None:
    backup = shop.ledger.head.seq
    shop.use(10)
    shop.outbox.settle()
    shop.restored(backup)
    shop.outbox.adopt()
    shop.outbox.settle()
    shop.receives(acme=0, platform=0)
    (leaf,) = leaf_file.decode(shop.chain.published(2) or b"").leaves
    assert (leaf.charged, leaf.credited) == (100, 100), "counters only grow"


def test_another_batch_under_our_number_is_an_alarm_and_not_a_retry(shop: MockShop) -> None:
    backup = shop.ledger.head.seq
    shop.use(10)
    shop.outbox.settle()
    shop.restored(backup)
    shop.use(25)
    command = OpenSettlement(chain="mock:local", contract="tollbook", asset="USD")
    shop.ledger.execute(command).unwrap()
    with pytest.raises(SettlementStopped, match="another batch 1"):
        shop.outbox.settle()

    assert shop.outbox.adopt() == [1]
    shop.outbox.settle()
    assert shop.story()[:3] == ["opened", "failed", "adopted"]
    shop.receives(acme=237, platform=12)


def test_a_node_that_says_that_a_failed_batch_was_paid_is_waited_for(shop: MockShop) -> None:
    """Only what is final is an alarm; and nothing of the line goes on meanwhile, which would follow the wrong batch."""
    shop.use(10)
    shop.open()
    shop.until("submitted")
    shop.chain.script(Drop())
    shop.outbox.step()
    shop.chain.steal_nonce()
    shop.chain.mine(3)
    shop.chain.script(Refuse(reason="EscrowTooLow"))
    shop.until("failed")
    shop.use(10)
    shop.open()
    shop.until("submitted")
    shop.use(10)
    shop.open()
    before = shop.location.head()
    shop.chain.script(Lie(on="find"))
    assert shop.outbox.step() is Step.waiting
    assert shop.location.head() == before
    shop.finish()
    shop.receives(acme=285, platform=15)


def test_a_forged_or_missing_leaf_file_is_not_adopted(shop: MockShop, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = shop.ledger.head.seq
    shop.use(10)
    shop.outbox.settle()
    shop.restored(backup)
    before = shop.location.head()
    forged = (shop.chain.published(1) or b"").replace(b"95", b"96")
    for data, words in ((forged, "not the one"), (None, "not published")):
        monkeypatch.setattr(shop.chain, "published", lambda number, data=data: data)
        with pytest.raises(SettlementStopped, match=words):
            shop.outbox.adopt()
    assert shop.location.head() == before


# -- another chain -----------------------------------------------------------------------------------------------------


def other_chain(batches: int) -> MockChain:
    """A chain of the same name on which somebody else has sold and settled."""
    other = MockShop(MockChain())
    other.sell("zoe")
    for _ in range(batches):
        other.use(5, "zoe")
        other.outbox.settle()
    return other.chain


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_a_chain_that_lacks_what_the_log_has_confirmed_is_not_written_to_or_for(shop: MockShop, batches: int) -> None:
    shop.use(10)
    shop.outbox.settle()
    shop.use(10)
    other, before = other_chain(batches), shop.location.head()
    height = other.height
    for act in (Outbox(shop.ledger, other).settle, Outbox(shop.ledger, other).adopt, Outbox(shop.ledger, other).step):
        with pytest.raises(SettlementStopped, match="does not have batch 1"):
            act()
    assert (shop.location.head(), other.height) == (before, height)


def test_a_chain_that_does_not_know_the_logs_purchases_tells_it_nothing(shop: MockShop) -> None:
    shop.ledger.execute(CreatePlan(plan="other", owner="acme", credits=1)).unwrap()
    before, empty = shop.location.head(), MockChain()
    empty.purchase("mallory", "other", "USD", SHARES, credits=100, id="from another shop")
    empty.mine(6)
    with pytest.raises(SettlementStopped, match="lacks 1 of the purchases"):
        Watcher(shop.ledger, empty).sync()
    assert shop.location.head() == before
