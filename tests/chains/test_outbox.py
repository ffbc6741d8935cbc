"""Every way in which settling can go wrong that chains.md names, each with money moved exactly once.

The shop: alice has bought 100 credits for 1,000 USD, which the chain holds; 950 of them are for acme, 50 for a fee.
"""

from collections import Counter

import msgspec
import pytest

from chains import Outbox, Step, Watcher, leaf_file
from chains.mock import MockChain
from chains.mock.faults import (
    Delay,
    Drop,
    Duplicate,
    Lie,
    NodeDown,
    NoFinality,
    Refuse,
    SettleThenTimeOut,
    TimeOut,
)
from ledger import Adjust, Charge, ContractRef, CreatePlan, Ledger, OpenSettlement, Reason
from ledger.errors import ChainUnavailable, SettlementStopped
from ledger.events import SettlementFailed, SettlementOpened, tag
from ledger.plugins import chain_plugin, contract_of
from ledger.stores.memory import MemoryStore
from replay.audit.run import audit

AT = 1_700_000_000_000_000
SHARES = {"acme": 950, "platform": 50}


class Shop:
    """A log, a chain, and what carries one to the other. `crash` forgets everything but log and chain."""

    def __init__(self, chain: MockChain) -> None:
        self.store, self.chain = MemoryStore(id="toll"), chain
        self.crash()
        plan = CreatePlan(
            plan="pro",
            owner="acme",
            price=SHARES,
            credits=100,
            policy="complexity",
            parameters={"weights": {"units": 1}},
        )
        self.ledger.execute(plan).unwrap()
        self.sell("alice")

    def crash(self) -> None:
        self.ledger = Ledger(self.store, clock=lambda: AT)
        self.outbox, self.watcher = Outbox(self.ledger, self.chain), Watcher(self.ledger, self.chain)

    def sell(self, subscriber: str) -> None:
        self.chain.purchase(subscriber, "pro", "USD", SHARES, credits=100)
        self.chain.mine(6)
        assert self.watcher.sync() == []

    def use(self, units: int, subscriber: str = "alice") -> int:
        return self.ledger.execute(Charge(subscriber=subscriber, plan="pro", usage={"units": units})).unwrap().seq

    def open(self) -> int | None:
        return self.outbox.open("USD")

    def finish(self, pauses: int = 40) -> None:
        assert self.outbox.carry(range(pauses))

    def until(self, *tags: str) -> None:
        """Step until the log's last event is one of these."""
        for _ in range(30):
            if self.story()[-1] in tags:
                return
            if self.outbox.step() is not Step.wrote:
                self.chain.mine()
        raise AssertionError(f"never {tags}: {self.story()}")

    def story(self) -> list[str]:
        words = [tag(entry.event) for entry in self.ledger.events()]
        return [word.removeprefix("settlement_") for word in words if word.startswith("settlement_")]

    def opened(self) -> list[SettlementOpened]:
        return [entry.event for entry in self.ledger.events() if isinstance(entry.event, SettlementOpened)]

    def receives(self, **amounts: int) -> None:
        """What receivers have on the chain, and what the log says they have; and the books are in order."""
        on_chain = {name: self.chain.due(name, "USD") + self.chain.balance(name, "USD") for name in SHARES}
        settled = self.ledger.settling(contract_of(self.chain)).settled.get("USD", {})
        assert on_chain == amounts
        assert {name: settled.get(name, 0) for name in SHARES} == amounts
        assert self.chain.holdings("USD") == self.chain.escrow("USD") + sum(
            max(0, self.chain.due(name, "USD")) for name in SHARES
        )
        report = audit(self.store)
        assert report.clean, report.findings

    def sent(self) -> int:
        """How many batches the chain has."""
        return len(self.chain.batches())

    def restored(self, upto: int) -> None:
        """The log as it was in a backup that ends with the event of that sequence."""
        backup = MemoryStore(id="toll")
        for commit in self.store.read():
            if commit.last_seq <= upto:
                backup.append(backup.head(), commit)
        self.store = backup
        self.crash()


@pytest.fixture
def shop() -> Shop:
    return Shop(MockChain())


# -- the way it goes when nothing goes wrong ---------------------------------------------------------------------------


def test_a_batch_is_opened_stored_sent_recorded_and_confirmed(shop: Shop) -> None:
    shop.use(10)
    assert shop.outbox.settle() == [1]
    assert shop.story() == ["opened", "submitted", "committed", "confirmed"]
    shop.receives(acme=95, platform=5)


def test_with_nothing_to_settle_nothing_is_written_or_sent(shop: Shop) -> None:
    before = shop.ledger.head
    assert shop.outbox.settle() == []
    assert shop.ledger.head == before
    assert shop.sent() == 0


def test_each_step_writes_one_event_or_sends_one_transaction(shop: Shop) -> None:
    shop.use(10)
    shop.open()
    steps = []
    for _ in range(6):
        head, height = shop.ledger.head.seq, shop.chain.height
        steps.append(shop.outbox.step())
        assert shop.ledger.head.seq - head + shop.chain.height - height <= 1
    assert steps[:3] == [Step.wrote, Step.sent, Step.wrote]
    assert steps[3:] == [Step.waiting] * 3


def test_a_challenge_window_is_waited_for_and_then_the_batch_is_paid_out() -> None:
    shop = Shop(MockChain(window=3))
    shop.use(10)
    shop.outbox.settle()
    assert shop.story() == ["opened", "submitted", "committed", "submitted", "committed", "confirmed"]
    shop.receives(acme=95, platform=5)


def test_a_refund_after_settlement_lowers_what_the_chain_owes(shop: Shop) -> None:
    charge = shop.use(10)
    shop.outbox.settle()
    shop.ledger.execute(Adjust(charge=charge, credits=-4)).unwrap()
    shop.outbox.settle()
    shop.receives(acme=57, platform=3)


# -- crashes -----------------------------------------------------------------------------------------------------------


def test_after_a_crash_before_anything_was_signed_the_same_batch_goes_on(shop: Shop) -> None:
    shop.use(10)
    shop.open()
    shop.crash()
    shop.finish()
    shop.receives(acme=95, platform=5)


def test_after_a_crash_between_storing_and_sending_the_stored_bytes_are_sent(shop: Shop) -> None:
    shop.use(10)
    shop.open()
    shop.until("submitted")
    (stored,) = shop.ledger.batches(ContractRef("mock:local", "tollbook"))[0].attempts
    shop.crash()
    shop.finish()
    assert shop.story().count("submitted") == 1
    assert shop.chain.find(1).transaction == stored.transaction
    shop.receives(acme=95, platform=5)


def test_after_a_crash_between_sending_and_hearing_of_it_nothing_is_sent_again(shop: Shop) -> None:
    shop.use(10)
    shop.open()
    shop.until("submitted")
    assert shop.outbox.step() is Step.sent
    shop.crash()
    shop.finish()
    assert shop.story().count("submitted") == 1
    assert shop.sent() == 1
    shop.receives(acme=95, platform=5)


# -- answers that do not come, or are not true -------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [SettleThenTimeOut(), TimeOut()], ids=["it arrived", "it did not"])
def test_an_answer_that_did_not_come_is_unknown_until_the_chain_is_read(shop: Shop, fault: msgspec.Struct) -> None:
    shop.use(10)
    shop.chain.script(fault)
    shop.outbox.settle()
    assert shop.story() == ["opened", "submitted", "unknown", "committed", "confirmed"]
    shop.receives(acme=95, platform=5)


@pytest.mark.parametrize(
    "fault", [Drop(), Delay(blocks=3), Duplicate(blocks=2), Lie(on="find"), Lie(on="confirm")], ids=repr
)
def test_whatever_becomes_of_a_transaction_it_pays_once(shop: Shop, fault: msgspec.Struct) -> None:
    shop.use(10)
    shop.chain.script(*([Drop(), fault] if isinstance(fault, Lie) else [fault]))
    shop.outbox.settle()
    shop.chain.mine(5)
    assert shop.sent() == 1
    shop.receives(acme=95, platform=5)


def test_a_node_that_is_down_is_said_to_be_down_and_nothing_is_lost(shop: Shop) -> None:
    shop.use(10)
    shop.chain.script(NodeDown(calls=3))
    for _ in range(3):
        with pytest.raises(ChainUnavailable):
            shop.outbox.settle()
    shop.outbox.settle()
    shop.receives(acme=95, platform=5)


def test_while_nothing_is_final_nothing_is_confirmed(shop: Shop) -> None:
    shop.use(10)
    shop.chain.script(NoFinality(blocks=20))
    shop.open()
    assert not shop.outbox.carry(range(8))
    assert shop.story()[-1] == "committed"
    shop.finish()
    shop.receives(acme=95, platform=5)


# -- keys, nonces and fees ---------------------------------------------------------------------------------------------


def test_two_outboxes_with_one_key_pay_once(shop: Shop) -> None:
    shop.use(10)
    other = Outbox(Ledger(shop.store, clock=lambda: AT), shop.chain)
    shop.open()
    for _ in range(12):
        shop.outbox.step()
        other.step()
        shop.chain.mine()
    assert shop.sent() == 1
    shop.receives(acme=95, platform=5)


def test_a_stolen_nonce_is_noticed_and_the_batch_signed_again(shop: Shop) -> None:
    shop.use(10)
    shop.open()
    shop.until("submitted")
    shop.chain.steal_nonce()
    shop.finish()
    assert shop.story().count("submitted") == 2
    shop.receives(acme=95, platform=5)


def test_a_nonce_that_a_re_organisation_gave_back_is_taken_again(shop: Shop) -> None:
    """Another holder of the key had it; what was signed after that would wait for ever behind the gap."""
    shop.chain.automine = False
    shop.use(10)
    shop.chain.steal_nonce()
    shop.open()
    shop.until("submitted")
    shop.chain.reorganise(1)
    shop.finish()
    assert shop.story().count("submitted") == 2
    assert shop.sent() == 1
    shop.receives(acme=95, platform=5)


def test_a_transaction_that_is_stuck_by_the_base_fee_is_replaced_by_one_that_pays_more(shop: Shop) -> None:
    shop.chain.automine = False
    shop.use(10)
    shop.open()
    shop.until("submitted")
    shop.chain.base_fee = 20
    shop.finish()
    assert shop.story().count("submitted") == 2
    assert shop.sent() == 1
    shop.receives(acme=95, platform=5)


class Interrupted:
    """A chain before whose n-th question another outbox does some steps, each with some blocks after it."""

    def __init__(self, shop: Shop, question: int, steps: int, blocks: int) -> None:
        self._shop, self._left, self._steps, self._blocks = shop, question, steps, blocks

    def __getattr__(self, name: str) -> object:
        value = getattr(self._shop.chain, name)
        if not callable(value):
            return value

        def ask(*arguments: object) -> object:
            self._left -= 1
            if self._left == 0:
                other = Outbox(Ledger(self._shop.store, clock=lambda: AT), self._shop.chain)
                for _ in range(self._steps):
                    other.step()
                    self._shop.chain.mine(self._blocks)
            return value(*arguments)

        return ask


@pytest.mark.parametrize("window", [0, 2])
@pytest.mark.parametrize("finality", [0, 2])
def test_between_any_two_questions_another_outbox_may_be_quicker(finality: int, window: int) -> None:
    for steps in (1, 3, 6):
        for blocks in (0, 1, 5):
            for question in range(1, 20):
                shop = Shop(MockChain(finality=finality, window=window))
                shop.use(10)
                Outbox(shop.ledger, Interrupted(shop, question, steps, blocks)).settle()
                shop.outbox.settle()
                assert "failed" not in shop.story()
                assert shop.sent() == 1
                assert (shop.chain.due("acme", "USD"), shop.chain.due("platform", "USD")) == (95, 5)


# -- re-organisations --------------------------------------------------------------------------------------------------


def test_a_re_organisation_four_deep_sends_the_same_bytes_again() -> None:
    shop = Shop(MockChain(finality=5))
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
    shop = Shop(MockChain(window=9, finality=3))
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
    shop = Shop(MockChain(finality=2))
    for number in range(12):
        shop.chain.purchase(f"buyer {number}", "pro", "USD", SHARES, credits=100)
        if number % 3:
            assert shop.watcher.sync() == []
    shop.chain.mine(2)
    assert shop.watcher.sync() == []
    assert len(shop.ledger.balances()) == 1 + 12


def test_a_scan_over_a_re_organisation_takes_each_purchase_in_once() -> None:
    shop = Shop(MockChain(finality=4))
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
    shop = Shop(MockChain(finality=4))
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
    shop = Shop(MockChain(finality=4))
    early = Watcher(shop.ledger, shop.chain, confirmations=0)
    shop.chain.purchase("bob", "pro", "USD", SHARES, credits=100, id="order 7")
    early.sync()
    shop.chain.reorganise(1)
    shop.chain.mine(5)
    early.sync()
    shop.chain.purchase("bob", "pro", "USD", SHARES, credits=100, id="order 7")
    early.sync()
    assert shop.ledger.balance("bob", "pro").available == 100
    assert audit(shop.store).clean


@pytest.mark.parametrize("again", [False, True])
def test_a_purchase_granted_early_that_comes_to_stand_on_other_terms_is_granted_on_those(again: bool) -> None:
    """Its plan was published anew in the blocks that replaced the first ones: the order's id is the same."""
    shop = Shop(MockChain(finality=4))
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
    assert audit(shop.store, chains=[shop.chain]).clean


def test_a_purchase_granted_early_that_stays_is_not_reversed_whoever_watches() -> None:
    shop = Shop(MockChain(finality=4))
    shop.chain.purchase("bob", "pro", "USD", SHARES, credits=100)
    Watcher(shop.ledger, shop.chain, confirmations=0).sync()
    shop.chain.reorganise(1, keep=True)
    shop.chain.mine(9)
    assert Watcher(shop.ledger, shop.chain).sync() == []
    assert shop.ledger.balance("bob", "pro").available == 100


def test_more_confirmations_than_finality_needs_miss_nothing() -> None:
    """What is final is told in any case: a watcher goes on from there."""
    shop = Shop(MockChain(finality=2))
    early = Watcher(shop.ledger, shop.chain, confirmations=5)
    for _ in range(8):
        shop.chain.purchase("bob", "pro", "USD", SHARES, credits=100)
        assert early.sync() == []
    shop.chain.mine(2)
    assert early.sync() == []
    assert shop.ledger.balance("bob", "pro").issued == 800


def test_a_plain_watcher_reverses_what_another_granted_early_and_is_gone() -> None:
    shop = Shop(MockChain(finality=4))
    shop.chain.purchase("bob", "pro", "USD", SHARES, credits=100)
    Watcher(shop.ledger, shop.chain, confirmations=0).sync()
    shop.chain.reorganise(1)
    shop.chain.mine(9)
    Watcher(shop.ledger, shop.chain).sync()
    assert shop.ledger.balance("bob", "pro").available == 0


def test_an_exit_is_taken_in_only_when_it_is_final() -> None:
    shop = Shop(MockChain(finality=4))
    early = Watcher(shop.ledger, shop.chain, confirmations=0)
    shop.chain.request_exit("alice", "pro")
    early.sync()
    assert shop.ledger.balance("alice", "pro").admits
    shop.chain.mine(4)
    early.sync()
    assert not shop.ledger.balance("alice", "pro").admits


def test_what_follows_a_fact_that_cannot_be_taken_in_waits_for_it(shop: Shop) -> None:
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


def test_facts_of_a_large_commit_are_known_again_by_a_new_watcher(shop: Shop) -> None:
    with shop.chain.together():
        for number in range(700):
            shop.chain.purchase(f"buyer {number}", "pro", "USD", SHARES, credits=100)
    shop.chain.mine(3)
    commits = sum(1 for _ in shop.store.read())
    assert shop.watcher.sync() == []
    assert sum(1 for _ in shop.store.read()) == commits + 2, "five hundred in a commit"
    head = shop.store.head()
    assert Watcher(shop.ledger, shop.chain).sync() == []
    assert shop.store.head() == head


def test_more_receivers_than_one_batch_may_pay_are_paid_by_the_next(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
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
    assert audit(shop.store).clean


def test_a_stored_transaction_that_the_pool_will_not_take_is_replaced_by_one_that_it_does(shop: Shop) -> None:
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


# -- lines, refusals, cancellations ------------------------------------------------------------------------------------


def line_of_ten(shop: Shop) -> None:
    shop.chain.automine = False
    for _ in range(10):
        shop.use(3)
        shop.open()
        while shop.story()[-1] != "submitted":
            shop.outbox.step()


def test_ten_batches_in_line_are_paid_in_order_and_an_eleventh_waits(shop: Shop) -> None:
    line_of_ten(shop)
    shop.use(3)
    eleventh = shop.ledger.execute(OpenSettlement(chain="mock:local", contract="tollbook", asset="USD"))
    assert eleventh.reason is Reason.batch_open
    shop.finish(60)
    assert [found.stage for found in shop.chain.batches().values()] == ["executed"] * 10
    shop.outbox.settle()
    shop.receives(acme=950 * 33 // 100, platform=50 * 33 // 100)


def test_an_overspending_batch_is_refused_before_it_is_sent_and_is_in_the_next(shop: Shop) -> None:
    """Bob was paid by a chain that this contract does not hold the money of."""
    shop.use(100)
    shop.chain.script(Refuse(reason="EscrowTooLow"))
    shop.outbox.settle()
    assert shop.story() == ["opened", "failed"]
    assert shop.sent() == 0
    shop.outbox.settle()
    assert shop.chain.find(1).stage == "executed", "the number was given out again"
    shop.receives(acme=950, platform=50)


def test_a_batch_whose_transaction_was_reverted_fails_and_is_in_the_next(shop: Shop) -> None:
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


def test_a_batch_that_is_cancelled_while_the_next_is_open_is_paid_by_the_one_after() -> None:
    shop = Shop(MockChain(window=4))
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


def test_when_a_batch_in_line_can_never_be_mined_those_behind_it_are_opened_anew(shop: Shop) -> None:
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


def test_a_log_restored_from_before_the_send_finds_its_batch_on_the_chain(shop: Shop) -> None:
    shop.use(10)
    shop.open()
    opened = shop.ledger.head.seq
    shop.finish()
    shop.restored(opened)
    shop.outbox.settle()
    assert shop.story() == ["opened", "confirmed"]
    assert shop.sent() == 1
    shop.receives(acme=95, platform=5)


def test_a_log_that_lacks_a_batch_stops_until_it_has_adopted_it(shop: Shop) -> None:
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


def test_usage_that_a_restored_log_has_lost_is_taken_back_with_the_next_batch(shop: Shop) -> None:
    backup = shop.ledger.head.seq
    shop.use(10)
    shop.outbox.settle()
    shop.restored(backup)
    shop.outbox.adopt()
    shop.outbox.settle()
    shop.receives(acme=0, platform=0)
    (leaf,) = leaf_file.decode(shop.chain.published(2) or b"").leaves
    assert (leaf.charged, leaf.credited) == (100, 100), "counters only grow"


def test_another_batch_under_our_number_is_an_alarm_and_not_a_retry(shop: Shop) -> None:
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


def test_a_node_that_says_that_a_failed_batch_was_paid_is_waited_for(shop: Shop) -> None:
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
    before = shop.store.head()
    shop.chain.script(Lie(on="find"))
    assert shop.outbox.step() is Step.waiting
    assert shop.store.head() == before
    shop.finish()
    shop.receives(acme=285, platform=15)


def test_a_forged_or_missing_leaf_file_is_not_adopted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = shop.ledger.head.seq
    shop.use(10)
    shop.outbox.settle()
    shop.restored(backup)
    before = shop.store.head()
    forged = (shop.chain.published(1) or b"").replace(b"95", b"96")
    for data, words in ((forged, "not the one"), (None, "not published")):
        monkeypatch.setattr(shop.chain, "published", lambda number, data=data: data)
        with pytest.raises(SettlementStopped, match=words):
            shop.outbox.adopt()
    assert shop.store.head() == before


# -- another chain -----------------------------------------------------------------------------------------------------


def other_chain(batches: int) -> MockChain:
    """A chain of the same name on which somebody else has sold and settled."""
    other = Shop(MockChain())
    other.sell("zoe")
    for _ in range(batches):
        other.use(5, "zoe")
        other.outbox.settle()
    return other.chain


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_a_chain_that_lacks_what_the_log_has_confirmed_is_not_written_to_or_for(shop: Shop, batches: int) -> None:
    shop.use(10)
    shop.outbox.settle()
    shop.use(10)
    other, before = other_chain(batches), shop.store.head()
    height = other.height
    for act in (Outbox(shop.ledger, other).settle, Outbox(shop.ledger, other).adopt, Outbox(shop.ledger, other).step):
        with pytest.raises(SettlementStopped, match="does not have batch 1"):
            act()
    assert (shop.store.head(), other.height) == (before, height)


def test_a_chain_that_does_not_know_the_logs_purchases_tells_it_nothing(shop: Shop) -> None:
    shop.ledger.execute(CreatePlan(plan="other", owner="acme", credits=1)).unwrap()
    before, empty = shop.store.head(), MockChain()
    empty.purchase("mallory", "other", "USD", SHARES, credits=100, id="from another shop")
    empty.mine(6)
    with pytest.raises(SettlementStopped, match="does not know 1 of the purchases"):
        Watcher(shop.ledger, empty).sync()
    assert shop.store.head() == before


# -- a crash at every instant ------------------------------------------------------------------------------------------


def test_a_crash_at_any_instant_ends_with_the_same_money_in_the_same_places() -> None:
    class Crash(BaseException):
        pass

    endings: Counter[bytes] = Counter()
    crashes, instant = 0, 0
    while crashes == instant:
        shop = Shop(MockChain(window=1))
        charge = shop.use(60)
        shop.outbox.settle()
        shop.ledger.execute(Adjust(charge=charge, credits=-7)).unwrap()
        shop.sell("bob")
        shop.use(33, "bob")
        left = [instant]

        def burn(left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                left[0] = 1_000_000
                raise Crash

        _mortal(shop, burn)
        try:
            shop.outbox.settle()
        except Crash:
            crashes += 1
        instant += 1
        _immortal(shop)
        shop.crash()
        shop.outbox.settle()
        shop.receives(acme=503 + 313, platform=26 + 16)
        endings[shop.ledger.settling(ContractRef("mock:local", "tollbook")).leaves["USD"].__repr__().encode()] += 1
    assert instant > 40, "there are many instants between the intent and the confirmation"
    assert len(endings) == 1


def _mortal(shop: Shop, burn: object) -> None:
    """An instant before and after each append to the log and each call to the chain."""
    for thing, names in (
        (shop.store, ("append",)),
        (shop.chain, ("find", "simulate", "prepare", "send", "confirm", "pause")),
    ):
        for name in names:
            inner = getattr(thing, name)

            def call(*arguments: object, inner: object = inner) -> object:
                burn()  # type: ignore[operator]
                answer = inner(*arguments)  # type: ignore[operator]
                burn()  # type: ignore[operator]
                return answer

            setattr(thing, name, call)


def _immortal(shop: Shop) -> None:
    for thing, names in (
        (shop.store, ("append",)),
        (shop.chain, ("find", "simulate", "prepare", "send", "confirm", "pause")),
    ):
        for name in names:
            delattr(thing, name)
