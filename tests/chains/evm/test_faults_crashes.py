"""The process dies, at any instant, and another goes on: nothing is lost, and nobody is paid twice."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest
from faulty_node import HungUp, straight, unanswered
from patience import PATIENCE

from chains import Outbox, Step
from chains.evm.chain import EvmChain
from chains.evm.transactions import read
from ledger import Adjust
from ledger.errors import ChainUnavailable, SendUnknown


def test_a_batch_is_opened_stored_sent_recorded_and_confirmed(shop):
    shop.use(10)
    assert shop.settle() == [1]
    assert shop.story() == ["opened", "submitted", "committed", "confirmed"]
    shop.receives(acme=95, fee=5)


def test_with_nothing_to_settle_nothing_is_written_or_sent(shop):
    before = shop.ledger.head
    assert shop.settle() == []
    assert (shop.ledger.head, shop.faulty.sent) == (before, [])


def test_a_refund_after_settlement_lowers_what_the_chain_owes(shop):
    charge = shop.use(10)
    shop.settle()
    shop.ledger.execute(Adjust(charge=charge, credits=-4)).unwrap()
    shop.settle()
    shop.receives(acme=57, fee=3)


def test_signed_bytes_are_in_the_log_before_they_are_sent(shop):
    """When a transaction arrives at the node, the log's file has its bytes: in the file, read by somebody else."""
    seen = []

    def look(request):
        if request["method"] == "eth_sendRawTransaction":
            with sqlite3.connect(f"file:{shop.location}?mode=ro", uri=True) as log:
                rows = log.execute(
                    "SELECT json_extract(event, '$.raw') FROM events WHERE type = 'settlement_submitted'"
                )
                seen.append(request["params"][0] in [raw for (raw,) in rows])
            log.close()

    shop.faulty.watch(look)
    for units in (10, 20):
        shop.use(units)
        shop.settle()
    assert seen == [True, True]
    shop.receives(acme=285, fee=15)


def test_after_a_crash_before_anything_was_signed_the_same_batch_goes_on(shop):
    shop.use(10)
    shop.open()
    shop.crash()
    shop.finish()
    shop.receives(acme=95, fee=5)


def test_after_a_crash_between_storing_and_sending_the_stored_bytes_are_sent(shop):
    shop.use(10)
    shop.open()
    stored = shop.submit()
    shop.crash()
    shop.finish()
    assert [read(raw) for raw in shop.faulty.sent] == [stored]
    assert shop.chain.find(1).transaction == stored.hash
    shop.receives(acme=95, fee=5)


@pytest.mark.parametrize("mined", [False, True])
def test_after_a_crash_between_sending_and_hearing_of_it_nothing_is_sent_again(shop, mined):
    shop.use(10)
    shop.open()
    shop.submit()
    assert shop.outbox.step() is Step.sent
    if mined:
        shop.mine()
    shop.crash()
    shop.finish()
    assert len(shop.faulty.sent) == 1
    assert shop.story().count("submitted") == 1
    shop.receives(acme=95, fee=5)


def test_a_crash_after_the_chain_has_paid_is_only_read_and_written_down(shop):
    shop.use(10)
    shop.open()
    shop.until("committed")
    shop.mine(3)
    shop.crash()
    shop.finish(0)
    assert len(shop.faulty.sent) == 1
    shop.receives(acme=95, fee=5)


# -- a real process, killed --------------------------------------------------------------------------------------------

SETTLES = """
import sys
sys.path[:0] = {path!r}
from chains import Outbox
from evm_shop import *

ledger = Ledger.open({log!r}, clock=lambda: AT)
node = Node({url!r}, timeout=60, tries=1)
chain = EvmChain(
    node, SettlementContract(node, {contract!r}), LeafFiles(Path({folder!r}) / "leaves"), chain_id=31337,
    account=Account.from_key(OPERATOR.key), pause_seconds=0.01,
)
Outbox(ledger, chain).settle(pauses=range(1_000))
"""


@pytest.mark.parametrize("arrives", [True, False])
def test_a_process_that_is_killed_while_it_sends_is_followed_by_one_that_pays_once(shop, arrives):
    """By SIGKILL, when its transaction is at the node: before the node has it, or before it hears that it has."""
    shop.use(10)
    text = SETTLES.format(
        path=[path for path in sys.path if path],
        log=str(shop.location),
        url=shop.faulty.url,
        contract=shop.contract,
        folder=str(shop.folder),
    )
    process = subprocess.Popen([sys.executable, "-c", text])

    def kill(request, ask):
        if arrives:
            straight(request, ask)
        os.kill(process.pid, signal.SIGKILL)
        raise HungUp

    shop.faulty.on("eth_sendRawTransaction", kill)
    assert process.wait(timeout=PATIENCE) == -signal.SIGKILL
    assert shop.story() == ["opened", "submitted"]
    shop.crash()
    shop.settle()
    assert {read(raw).hash for raw in shop.faulty.sent} == {shop.attempts()[0].hash}
    assert len(shop.faulty.sent) == (1 if arrives else 2)
    shop.receives(acme=95, fee=5)


# -- at every instant --------------------------------------------------------------------------------------------------


class Dies:
    """The node's side of a process that dies at its n-th request: that one is done or not, and none follows."""

    def __init__(self, request: int, done: bool) -> None:
        self.left, self.done = request, done

    def __call__(self, request, ask):
        self.left -= 1
        if self.left == 0 and self.done:
            return unanswered(request, ask)
        if self.left <= 0:
            raise HungUp
        return straight(request, ask)


def dies_everywhere(shops, step: int, **options) -> int:
    """A death at each `step`th request, done or not; how many there were."""
    deaths = 0
    for done in (True, False):
        at = 1 + (step // 2 if done else 0)
        while True:
            shop = shops(**options)
            charge = shop.use(60)
            shop.settle()
            shop.ledger.execute(Adjust(charge=charge, credits=-7)).unwrap()
            shop.use(33)
            dies = Dies(at, done)
            shop.faulty.always("*", dies)
            try:
                shop.settle()
            except (ChainUnavailable, SendUnknown):
                deaths += 1
            shop.faulty.always("*", None)
            shop.crash()
            if options.get("window"):
                shop.local.advance(options["window"])
            shop.settle()
            shop.receives(acme=950 * 86 // 100, fee=50 * 86 // 100)
            assert set(shop.batches().values()) == {"executed"}
            shop.close()
            if dies.left > 0:
                break
            at += step
    return deaths


def test_a_death_at_any_request_ends_with_the_same_money_in_the_same_places(shops):
    assert dies_everywhere(shops, step=31) > 3


@pytest.mark.sweep
@pytest.mark.parametrize("window", [0, 1])
def test_a_death_at_every_single_request_ends_with_the_same_money_in_the_same_places(shops, window):
    assert dies_everywhere(shops, step=1, window=window) > 100


# -- two processes at once ---------------------------------------------------------------------------------------------


def test_two_outboxes_with_one_key_over_one_log_pay_once(shop):
    shop.use(10)
    other = Outbox(shop.another(), shop.connect())
    shop.open()
    for _ in range(12):
        shop.outbox.step()
        other.step()
        shop.mine()
    assert shop.batches() == {1: "executed"}
    shop.receives(acme=95, fee=5)


def test_two_processes_that_settle_at_the_same_time_pay_once(shop):
    """In threads of their own, over files and connections of their own, as fast as they can."""
    shop.use(10)
    raised = []

    def settle(outbox: Outbox, chain: EvmChain) -> None:
        try:
            outbox.settle(pauses=shop.blocks(60))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test tells it
            raised.append(error)

    ledgers = [shop.another() for _ in range(3)]
    chains = [shop.connect() for _ in ledgers]
    outboxes = [Outbox(ledger, chain) for ledger, chain in zip(ledgers, chains, strict=True)]
    threads = [threading.Thread(target=settle, args=pair) for pair in zip(outboxes, chains, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []
    shop.settle()
    assert set(shop.batches().values()) == {"executed"}
    shop.receives(acme=95, fee=5)
