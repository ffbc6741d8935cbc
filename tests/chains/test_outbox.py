"""Settling on a chain: each batch moves money exactly once, over crashes, lost answers, and trouble with keys."""

from collections import Counter

import msgspec
import pytest
from mock_shop import MockShop

from chains import Outbox, Step
from chains.mock import MockChain
from chains.mock.faults import (
    Delay,
    Drop,
    Duplicate,
    Lie,
    NodeDown,
    NoFinality,
    SettleThenTimeOut,
    TimeOut,
)
from chains.outbox import MAX_WRITTEN
from ledger import Adjust, ContractRef, Found
from ledger.errors import ChainUnavailable


@pytest.fixture
def shop() -> MockShop:
    return MockShop(MockChain())


# -- the way it goes when nothing goes wrong ---------------------------------------------------------------------------


def test_a_batch_is_opened_stored_sent_recorded_and_confirmed(shop: MockShop) -> None:
    shop.use(10)
    assert shop.outbox.settle() == [1]
    assert shop.story() == ["opened", "submitted", "committed", "confirmed"]
    shop.receives(acme=95, platform=5)


def test_with_nothing_to_settle_nothing_is_written_or_sent(shop: MockShop) -> None:
    before = shop.ledger.head
    assert shop.outbox.settle() == []
    assert shop.ledger.head == before
    assert shop.sent() == 0


def test_each_step_writes_one_event_or_sends_one_transaction(shop: MockShop) -> None:
    shop.use(10)
    shop.open()
    steps = []
    for _ in range(6):
        head, height = shop.ledger.head.seq, shop.chain.height
        steps.append(shop.outbox.step())
        assert shop.ledger.head.seq - head + shop.chain.height - height <= 1
    assert steps[:3] == [Step.wrote, Step.sent, Step.wrote]
    assert steps[3:] == [Step.waiting] * 3


def test_only_the_chain_is_paused_for_and_not_the_log(shop: MockShop) -> None:
    """Without a pause, a batch is stored and sent; then the chain must move."""
    shop.use(10)
    shop.open()
    assert not shop.outbox.carry([])
    assert (shop.story(), shop.sent()) == (["opened", "submitted"], 1)


def test_a_node_whose_answers_alternate_does_not_fill_the_log(shop: MockShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the batch, and has it not: each answer is an event, and after 100 of them the outbox pauses."""
    shop.use(10)
    shop.open()
    shop.until("committed")
    find, calls = shop.chain.find, iter(range(3 * MAX_WRITTEN))

    def alternating(number: int) -> Found:
        return find(number) if next(calls) % 2 else Found(stage="absent")

    monkeypatch.setattr(shop.chain, "find", alternating)
    before = shop.ledger.head.seq
    assert not shop.outbox.carry([])
    assert shop.ledger.head.seq == before + MAX_WRITTEN
    assert shop.story()[-4:] == ["unknown", "committed"] * 2


def test_a_challenge_window_is_waited_for_and_then_the_batch_is_paid_out() -> None:
    shop = MockShop(MockChain(window=3))
    shop.use(10)
    shop.outbox.settle()
    assert shop.story() == ["opened", "submitted", "committed", "submitted", "committed", "confirmed"]
    shop.receives(acme=95, platform=5)


def test_a_refund_after_settlement_lowers_what_the_chain_owes(shop: MockShop) -> None:
    charge = shop.use(10)
    shop.outbox.settle()
    shop.ledger.execute(Adjust(charge=charge, credits=-4)).unwrap()
    shop.outbox.settle()
    shop.receives(acme=57, platform=3)


# -- crashes -----------------------------------------------------------------------------------------------------------


def test_after_a_crash_before_anything_was_signed_the_same_batch_goes_on(shop: MockShop) -> None:
    shop.use(10)
    shop.open()
    shop.crash()
    shop.finish()
    shop.receives(acme=95, platform=5)


def test_after_a_crash_between_storing_and_sending_the_stored_bytes_are_sent(shop: MockShop) -> None:
    shop.use(10)
    shop.open()
    shop.until("submitted")
    (stored,) = shop.ledger.batches(ContractRef("mock:local", "tollbook"))[0].attempts
    shop.crash()
    shop.finish()
    assert shop.story().count("submitted") == 1
    assert shop.chain.find(1).transaction == stored.transaction
    shop.receives(acme=95, platform=5)


def test_after_a_crash_between_sending_and_hearing_of_it_nothing_is_sent_again(shop: MockShop) -> None:
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
def test_an_answer_that_did_not_come_is_unknown_until_the_chain_is_read(shop: MockShop, fault: msgspec.Struct) -> None:
    shop.use(10)
    shop.chain.script(fault)
    shop.outbox.settle()
    assert shop.story() == ["opened", "submitted", "unknown", "committed", "confirmed"]
    shop.receives(acme=95, platform=5)


@pytest.mark.parametrize(
    "fault", [Drop(), Delay(blocks=3), Duplicate(blocks=2), Lie(on="find"), Lie(on="confirm")], ids=repr
)
def test_whatever_becomes_of_a_transaction_it_pays_once(shop: MockShop, fault: msgspec.Struct) -> None:
    shop.use(10)
    shop.chain.script(*([Drop(), fault] if isinstance(fault, Lie) else [fault]))
    shop.outbox.settle()
    shop.chain.mine(5)
    assert shop.sent() == 1
    shop.receives(acme=95, platform=5)


def test_a_node_that_is_down_is_said_to_be_down_and_nothing_is_lost(shop: MockShop) -> None:
    shop.use(10)
    shop.chain.script(NodeDown(calls=3))
    for _ in range(3):
        with pytest.raises(ChainUnavailable):
            shop.outbox.settle()
    shop.outbox.settle()
    shop.receives(acme=95, platform=5)


def test_while_nothing_is_final_nothing_is_confirmed(shop: MockShop) -> None:
    shop.use(10)
    shop.chain.script(NoFinality(blocks=20))
    shop.open()
    assert not shop.outbox.carry(range(8))
    assert shop.story()[-1] == "committed"
    shop.finish()
    shop.receives(acme=95, platform=5)


# -- keys, nonces and fees ---------------------------------------------------------------------------------------------


def test_two_outboxes_with_one_key_pay_once(shop: MockShop) -> None:
    shop.use(10)
    other = Outbox(shop.another(), shop.chain)
    shop.open()
    for _ in range(12):
        shop.outbox.step()
        other.step()
        shop.chain.mine()
    assert shop.sent() == 1
    shop.receives(acme=95, platform=5)


def test_a_stolen_nonce_is_noticed_and_the_batch_signed_again(shop: MockShop) -> None:
    shop.use(10)
    shop.open()
    shop.until("submitted")
    shop.chain.steal_nonce()
    shop.finish()
    assert shop.story().count("submitted") == 2
    shop.receives(acme=95, platform=5)


def test_a_nonce_that_a_re_organisation_gave_back_is_taken_again(shop: MockShop) -> None:
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


def test_a_transaction_that_is_stuck_by_the_base_fee_is_replaced_by_one_that_pays_more(shop: MockShop) -> None:
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

    def __init__(self, shop: MockShop, question: int, steps: int, blocks: int) -> None:
        self._shop, self._left, self._steps, self._blocks = shop, question, steps, blocks

    def __getattr__(self, name: str) -> object:
        value = getattr(self._shop.chain, name)
        if not callable(value):
            return value

        def ask(*arguments: object) -> object:
            self._left -= 1
            if self._left == 0:
                other = Outbox(self._shop.another(), self._shop.chain)
                for _ in range(self._steps):
                    other.step()
                    self._shop.chain.mine(self._blocks)
            return value(*arguments)

        return ask


@pytest.mark.parametrize("finality", [0, 2])
@pytest.mark.parametrize("window", [2, pytest.param(0, marks=pytest.mark.sweep)])
def test_between_any_two_questions_another_outbox_may_be_quicker(finality: int, window: int) -> None:
    for steps in (1, 3, 6):
        for blocks in (0, 1, 5):
            for question in range(1, 20):
                shop = MockShop(MockChain(finality=finality, window=window))
                shop.use(10)
                Outbox(shop.ledger, Interrupted(shop, question, steps, blocks)).settle()
                shop.outbox.settle()
                assert "failed" not in shop.story()
                assert shop.sent() == 1
                assert (shop.chain.due("acme", "USD"), shop.chain.due("platform", "USD")) == (95, 5)


# -- a crash at every instant ------------------------------------------------------------------------------------------


def test_a_crash_at_any_instant_ends_with_the_same_money_in_the_same_places() -> None:
    class Crash(BaseException):
        pass

    endings: Counter[bytes] = Counter()
    crashes, instant = 0, 0
    while crashes == instant:
        shop = MockShop(MockChain(window=1))
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


def _mortal(shop: MockShop, burn: object) -> None:
    """An instant before and after each append to the log and each call to the chain."""
    for thing, names in (
        (shop.location, ("append",)),
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


def _immortal(shop: MockShop) -> None:
    for thing, names in (
        (shop.location, ("append",)),
        (shop.chain, ("find", "simulate", "prepare", "send", "confirm", "pause")),
    ):
        for name in names:
            delattr(thing, name)


# -- what is imported --------------------------------------------------------------------------------------------------


def test_a_purchase_of_another_asset_has_the_decimals_that_the_chain_reports(shop: MockShop) -> None:
    shop.chain.set_decimals("coin", 6)
    shop.chain.purchase("bob", "pro", "coin", {"acme": 5_000_000}, credits=5)
    shop.sync(6)
    (lot,) = shop.ledger.lots("bob", "pro")
    assert (lot.asset_decimals, shop.event(lot.id).asset_decimals) == (6, 6)
