"""Settling over reorganisations: each batch moves money exactly once, and what is final stays."""

import pytest
from mock_shop import SHARES, MockShop

from chains import Step, Watcher
from chains.mock import MockChain
from ledger.events import tag
from ledger.plugins import chain_plugin
from replay.audit.run import audit


@pytest.fixture
def shop() -> MockShop:
    return MockShop(MockChain())


# -- reorganisations --------------------------------------------------------------------------------------------------


def test_a_re_organisation_four_deep_sends_the_same_bytes_again() -> None:
    shop = MockShop(MockChain(finality=5))
    shop.use(10)
    shop.open()
    shop.until("committed")
    shop.chain.mine(2)
    shop.chain.reorganise(4)
    assert shop.chain.find(1).stage == "absent"
    shop.finish()
    assert shop.story() == ["opened", "submitted", "committed", "unknown", "committed", "confirmed"]
    shop.receives(acme=95, platform=5)


def test_a_cancellation_that_a_re_organisation_may_undo_ends_nothing() -> None:
    shop = MockShop(MockChain(window=9, finality=3))
    shop.use(10)
    shop.open()
    shop.until("committed")
    shop.chain.cancel(1, "the guardian says so")
    assert shop.outbox.step() is not Step.idle
    assert "failed" not in shop.story()
    shop.chain.reorganise(1)
    shop.finish()
    shop.receives(acme=95, platform=5)


def test_a_watcher_goes_on_where_it_was_and_misses_nothing() -> None:
    shop = MockShop(MockChain(finality=2))
    for number in range(12):
        shop.chain.purchase(f"buyer {number}", "pro", "USD", SHARES, credits=100)
        if number % 3:
            assert shop.watcher.sync() == []
    shop.chain.mine(2)
    assert shop.watcher.sync() == []
    assert len(shop.ledger.balances()) == 1 + 12


def test_a_scan_over_a_re_organisation_takes_each_purchase_in_once() -> None:
    shop = MockShop(MockChain(finality=4))
    shop.chain.purchase("bob", "pro", "USD", SHARES, credits=100)
    shop.chain.mine(2)
    shop.watcher.sync()
    shop.chain.reorganise(3, keep=True)
    shop.chain.mine(6)
    shop.watcher.sync()
    shop.crash()
    assert shop.watcher.sync() == []
    balance = shop.ledger.balance("bob", "pro")
    assert balance is not None
    assert balance.issued == 100


def test_a_purchase_granted_early_is_reversed_when_it_is_gone_for_good() -> None:
    shop = MockShop(MockChain(finality=4))
    early = Watcher(shop.ledger, shop.chain, confirmations=0)
    shop.chain.purchase("bob", "pro", "USD", SHARES, credits=100)
    assert early.sync() == []
    granted = shop.use(30, "bob")
    shop.chain.reorganise(1)
    shop.chain.mine(3)
    early.sync()
    assert shop.ledger.balance("bob", "pro").debt == 0, "its block may still come back"
    shop.chain.mine(3)
    early.sync()
    early.sync()
    assert granted
    balance = shop.ledger.balance("bob", "pro")
    assert (balance.available, balance.debt) == (-30, 30)
    assert sum(tag(entry.event) == "reversed" for entry in shop.ledger.events()) == 1


def test_a_purchase_that_was_reversed_and_is_mined_after_all_is_granted_after_all() -> None:
    shop = MockShop(MockChain(finality=4))
    early = Watcher(shop.ledger, shop.chain, confirmations=0)
    shop.chain.purchase("bob", "pro", "USD", SHARES, credits=100, id="order 7")
    early.sync()
    shop.chain.reorganise(1)
    shop.chain.mine(5)
    early.sync()
    shop.chain.purchase("bob", "pro", "USD", SHARES, credits=100, id="order 7")
    early.sync()
    assert shop.ledger.balance("bob", "pro").available == 100
    assert audit(shop.location).clean


@pytest.mark.parametrize("again", [False, True])
def test_a_purchase_granted_early_that_comes_to_stand_on_other_terms_is_granted_on_those(again: bool) -> None:
    """Its plan was published anew in the blocks that replaced the first ones: the order's id is the same."""
    shop = MockShop(MockChain(finality=4))
    early = Watcher(shop.ledger, shop.chain, confirmations=0)
    shop.chain.purchase("bob", "pro", "USD", {"acme": 500}, credits=100, id="order 7")
    early.sync()
    shop.chain.reorganise(1)
    shop.chain.purchase("bob", "pro", "USD", {"acme": 1}, credits=100, id="order 7")
    shop.chain.mine(2)
    assert len(early.sync()) == 1, "the first ones may still come back"
    shop.chain.mine(4)
    watcher = Watcher(shop.ledger, shop.chain) if again else early
    assert watcher.sync() == []
    assert shop.ledger.balance("bob", "pro").available == 100
    assert shop.use(100, "bob")
    shop.outbox.settle()
    assert shop.chain.due("acme", "USD") == 1
    assert audit(shop.location, chains=[shop.chain]).clean


def test_a_purchase_granted_early_that_stays_is_not_reversed_whoever_watches() -> None:
    shop = MockShop(MockChain(finality=4))
    shop.chain.purchase("bob", "pro", "USD", SHARES, credits=100)
    Watcher(shop.ledger, shop.chain, confirmations=0).sync()
    shop.chain.reorganise(1, keep=True)
    shop.chain.mine(9)
    assert Watcher(shop.ledger, shop.chain).sync() == []
    assert shop.ledger.balance("bob", "pro").available == 100


def test_more_confirmations_than_finality_needs_miss_nothing() -> None:
    """What is final is told in any case: a watcher goes on from there."""
    shop = MockShop(MockChain(finality=2))
    early = Watcher(shop.ledger, shop.chain, confirmations=5)
    for _ in range(8):
        shop.chain.purchase("bob", "pro", "USD", SHARES, credits=100)
        assert early.sync() == []
    shop.chain.mine(2)
    assert early.sync() == []
    assert shop.ledger.balance("bob", "pro").issued == 800


def test_a_plain_watcher_reverses_what_another_granted_early_and_is_gone() -> None:
    shop = MockShop(MockChain(finality=4))
    shop.chain.purchase("bob", "pro", "USD", SHARES, credits=100)
    Watcher(shop.ledger, shop.chain, confirmations=0).sync()
    shop.chain.reorganise(1)
    shop.chain.mine(9)
    Watcher(shop.ledger, shop.chain).sync()
    assert shop.ledger.balance("bob", "pro").available == 0


def test_an_exit_is_taken_in_only_when_it_is_final() -> None:
    shop = MockShop(MockChain(finality=4))
    early = Watcher(shop.ledger, shop.chain, confirmations=0)
    shop.chain.request_exit("alice", "pro")
    early.sync()
    assert shop.ledger.balance("alice", "pro").admits
    shop.chain.mine(4)
    early.sync()
    assert not shop.ledger.balance("alice", "pro").admits


def test_what_follows_a_fact_that_cannot_be_taken_in_waits_for_it(shop: MockShop) -> None:
    """An exit that pays back a purchase which the log lacks would take it from what other purchases have earned."""
    shop.use(100)
    shop.outbox.settle()
    shop.chain.purchase("alice", "pro", "USD", {"acme": 500}, id="no credits")
    shop.chain.request_exit("alice", "pro")
    shop.chain.purchase("bob", "pro", "USD", SHARES, credits=100)
    shop.chain.mine(3)
    untaken = shop.watcher.sync()
    assert untaken[0].fact.id == "no credits"
    assert "waits for no credits" in untaken[1].reason
    assert len(shop.ledger.balances()) == 2, "other accounts go on"
    assert [each.fact for each in shop.watcher.sync()] == [each.fact for each in untaken]


def test_facts_of_a_large_commit_are_known_again_by_a_new_watcher(shop: MockShop) -> None:
    with shop.chain.together():
        for number in range(700):
            shop.chain.purchase(f"buyer {number}", "pro", "USD", SHARES, credits=100)
    shop.chain.mine(3)
    commits = sum(1 for _ in shop.location.read())
    assert shop.watcher.sync() == []
    assert sum(1 for _ in shop.location.read()) == commits + 2, "five hundred in a commit"
    head = shop.location.head()
    assert Watcher(shop.ledger, shop.chain).sync() == []
    assert shop.location.head() == head


def test_more_receivers_than_one_batch_may_pay_are_paid_by_the_next(
    shop: MockShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(chain_plugin("mock:local")), "max_receivers", 3)
    shares = {f"receiver {number}": 10 for number in range(8)}
    shop.chain.purchase("bob", "pro", "USD", shares, credits=100)
    shop.chain.mine(3)
    shop.watcher.sync()
    shop.use(100, "bob")
    shop.use(100)
    assert shop.outbox.settle() == [1, 2, 3, 4]
    assert [len(event.payouts) for event in shop.opened()] == [3, 3, 3, 1]
    assert {name: shop.chain.due(name, "USD") for name in (*shares, *SHARES)} == shares | SHARES
    assert audit(shop.location).clean


def test_a_stored_transaction_that_the_pool_will_not_take_is_replaced_by_one_that_it_does(shop: MockShop) -> None:
    """The log was restored from before the last attempt, and the fee has risen since."""
    shop.chain.automine = False
    shop.use(10)
    shop.open()
    shop.until("submitted")
    backup = shop.ledger.head.seq
    shop.chain.base_fee = 20
    shop.outbox.step()
    shop.until("submitted")
    shop.outbox.step()
    shop.restored(backup)
    shop.chain.base_fee = 30
    shop.finish()
    assert shop.sent() == 1
    shop.receives(acme=95, platform=5)


def test_a_fact_that_no_ledger_could_hold_is_rejected_and_keeps_no_other_out() -> None:
    """A name longer than any may be: the purchase is reported at every sync, and the others are imported."""
    shop = MockShop(MockChain())
    endless = "x" * 600
    for buyer in ("ben", endless, "cid"):
        shop.chain.purchase(buyer, "pro", "USD", SHARES, credits=100)
    shop.mine(6)
    for _ in range(2):
        (rejected,) = shop.watcher.sync()
        assert (rejected.fact.subscriber, rejected.reason.startswith("subscriber: at most 512")) == (endless, True)
    assert [balance.subscriber for balance in shop.ledger.balances()] == ["alice", "ben", "cid"]
