"""Ledger, outbox and contract on a local chain, with faults of the node and a death of the process at any request.

The rules are those of tests/whole/test_settling_machine.py, and what must hold after each step is, too: what receivers
have is what the log's batches pay, each once, of those that the chain has executed; what the log calls confirmed, the
chain has executed; the contract holds what is in escrow and due. When the faults stop, everything that was earned is
settled, and the audit is clean.
"""

import shutil
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from evm_shop import ACME, ALICE, BOB, COIN, FEE, OTHER, OWNER, SHARES, Shop
from faulty_node import HungUp, behind, lost, refuses, straight, swallowed, to_and_fro, unanswered
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from chains.evm import addresses
from chains.testing.anvil_control import set_base_fee
from ledger import Adjust, Charge, PaymentRequired, Reason
from ledger.errors import BadData, ChainUnavailable, SendUnknown, SettlementStopped
from ledger.events import SettlementFailed, SettlementOpened
from ledger.plugins import contract_of
from replay.audit.run import audit

FAULTS = {
    "no answer": unanswered,
    "lost": lost,
    "an error": refuses("header not found"),
    "swallowed": swallowed,
    "underpriced": refuses("replacement transaction underpriced"),
    "busy": refuses("request timed out"),
}
ON = {
    "eth_sendRawTransaction": ("no answer", "lost", "swallowed", "underpriced", "busy"),
    "eth_call": ("no answer", "lost", "an error"),
    "eth_getBlockByNumber": ("lost", "busy"),
    "eth_getLogs": ("lost", "an error"),
    "eth_getTransactionReceipt": ("no answer", "an error"),
}
FINALITY, WINDOW = 4, 60


class Dies:
    """The node's side of a process that dies at its n-th request from now."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self, request: dict[str, Any], ask: Any) -> dict[str, Any]:
        self.left -= 1
        if self.left < 0:
            raise HungUp
        return straight(request, ask)


class Machine(RuleBasedStateMachine):
    """The log's file and the chain live on; all else dies with the process."""

    seen: ClassVar[Counter[str]] = Counter()
    shop: Shop

    @initialize(window=st.sampled_from([0, WINDOW]))
    def begin(self, window: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.window, self.charges, self.lag = window, [], 0
        self.shop = Shop(self.folder, window=window, finality=FINALITY)

    def attempt(self, act: Any, fuse: int | None = None) -> None:
        """Do what a fault or a death may get in the way of."""
        faulty = self.shop.faulty
        was = faulty.always("*", Dies(fuse)) if fuse is not None else None
        try:
            act()
        except (ChainUnavailable, SendUnknown):
            self.seen["unavailable"] += 1
        except SettlementStopped as stopped:
            if "will not pay it out" not in str(stopped):
                raise
            self.seen["stopped"] += 1
        except PaymentRequired as error:
            if error.refused.reason is not Reason.batch_open:
                raise
        if fuse is not None:
            faulty.always("*", was)
            self.seen["deaths"] += 1
            self.shop.crash()

    # -- what users do -------------------------------------------------------------------------------------------------

    @rule(buyer=st.sampled_from([ALICE, BOB]))
    def buy(self, buyer: Any) -> None:
        self.shop.buy(buyer.address)
        self.shop.mine(FINALITY)
        self.attempt(self.shop.watcher.sync)

    @rule(buyer=st.sampled_from([ALICE, BOB]), units=st.integers(1, 40))
    def charge(self, buyer: Any, units: int) -> None:
        outcome = self.shop.ledger.execute(Charge(subscriber=buyer.address, plan="pro", usage={"units": units}))
        if outcome.accepted:
            self.charges.append(outcome.seq)

    @rule(back=st.integers(1, 3), credits=st.integers(-30, 5).filter(bool))
    def adjust(self, back: int, credits: int) -> None:
        if self.charges:
            charge = self.charges[-min(back, len(self.charges))]
            self.shop.ledger.execute(Adjust(charge=charge, credits=credits))

    @rule(receiver=st.sampled_from([ACME, FEE]))
    def claim(self, receiver: str) -> None:
        if self.shop.functions_now("due", addresses.COIN, receiver) > 0:
            self.shop.send(
                OTHER.address,
                self.shop.functions.encode("claim", addresses.COIN, receiver),
                to=self.shop.contract,
            )
            self.shop.mine()

    # -- settling ------------------------------------------------------------------------------------------------------

    @rule(units=st.integers(1, 9))
    def earn_and_open(self, units: int) -> None:
        """There is something to settle, most of the time."""
        self.charge(ALICE, units)
        self.attempt(self.shop.open)
        self.attempt(self.shop.outbox.step)
        self.attempt(self.shop.outbox.step)

    @rule(steps=st.integers(1, 6), fuse=st.none() | st.integers(0, 60))
    def step(self, steps: int, fuse: int | None) -> None:
        for _ in range(steps):
            self.attempt(self.shop.outbox.step, fuse)

    @rule(fuse=st.none() | st.integers(0, 150))
    def settle(self, fuse: int | None) -> None:
        self.attempt(lambda: self.shop.settle(6), fuse)

    @rule()
    def crash(self) -> None:
        self.shop.crash()

    # -- what goes wrong -----------------------------------------------------------------------------------------------

    @rule(blocks=st.integers(1, 4))
    def mine(self, blocks: int) -> None:
        self.shop.mine(blocks)

    @rule()
    def wait(self) -> None:
        self.shop.local.advance(WINDOW)

    @rule(depth=st.integers(1, FINALITY - 1), keep=st.booleans())
    def reorganise(self, depth: int, keep: bool) -> None:
        height = self.shop.local.height
        blocks = [
            self.shop.local.ask("eth_getBlockByNumber", hex(number), False)
            for number in range(height - depth + 1, height + 1)
        ]
        taken = [
            self.shop.local.ask("eth_getRawTransactionByHash", hash)
            for block in blocks
            for hash in block["transactions"]
        ]
        self.shop.local.reorganise(depth)
        for raw in taken if keep else ():
            with suppress(BadData):
                self.shop.local.ask("eth_sendRawTransaction", raw)

    @rule(
        fault=st.sampled_from([(method, name) for method, names in ON.items() for name in names]),
        times=st.integers(1, 2),
    )
    def fault(self, fault: tuple[str, str], times: int) -> None:
        method, name = fault
        self.shop.faulty.on(method, *[FAULTS[name]] * times)

    @rule(lag=st.sampled_from([0, 0, 1, 3]))
    def lag_behind(self, lag: int) -> None:
        """A load balancer with a node that lags, or without."""
        self.shop.faulty.always("*", to_and_fro(straight, behind(lag)) if lag else None)

    @rule()
    def steal(self) -> None:
        with suppress(BadData):  # an earlier theft that a reorganisation undid is in the pool again
            self.shop.steal_nonce()

    @rule(gwei=st.sampled_from([1, 2, 5, 20]))
    def base_fee(self, gwei: int) -> None:
        set_base_fee(self.shop.local, gwei * 10**9)
        self.shop.mine()

    @rule()
    def drop_the_pool(self) -> None:
        self.shop.local.ask("anvil_dropAllTransactions")

    @rule()
    def cancel(self) -> None:
        for number in range(1, self.shop.functions_now("lastSeq") + 1):
            if self.shop.functions_now("getBatch", number)[4] == 1:
                # It reverts where an earlier one, which a reorganisation undid, waits in the pool and comes first.
                call = self.shop.functions.encode("cancelBatch", number, "the guardian says so")
                self.shop.send(OWNER.address, call, to=self.shop.contract)
                self.shop.mine()
                self.seen["cancelled"] += 1
                return

    # -- what always holds ---------------------------------------------------------------------------------------------

    def executed(self) -> dict[int, str]:
        """The digests of the batches that the contract has paid out."""
        asked = {
            "fromBlock": "0x0",
            "address": self.shop.contract,
            "topics": [self.shop.functions.topic("BatchExecuted")],
        }
        return {int(log["topics"][1], 16): log["data"] for log in self.shop.local.ask("eth_getLogs", asked)}

    @invariant()
    def each_executed_batch_of_the_log_has_paid_once_and_nothing_else_has(self) -> None:
        if not hasattr(self, "shop"):
            return
        opened, executed = {event.digest: event for event in self.shop.opened()}, self.executed()
        paid: Counter[str] = Counter()
        for digest in executed.values():
            paid.update({payout.receiver: payout.amount for payout in opened[digest].payouts})
        due = {name: self.shop.functions_now("due", addresses.COIN, name) for name in SHARES}
        assert {name: paid[name] for name in SHARES} == {name: due[name] + self.shop.has(name) for name in SHARES}
        owed = sum(max(amount, 0) for amount in due.values())
        assert self.shop.has(self.shop.contract) == self.shop.functions_now("escrow", addresses.COIN) + owed

    @invariant()
    def what_the_log_calls_confirmed_the_chain_has_executed(self) -> None:
        if not hasattr(self, "shop"):
            return
        confirmed, executed = {}, self.executed()
        for entry in self.shop.ledger.events():
            match entry.event:
                case SettlementOpened() as event:
                    confirmed[event.number] = event.digest
                case SettlementFailed() as event:
                    del confirmed[event.number]
        for number in self.shop.ledger.settling(contract_of(self.shop.chain)).open:
            confirmed.pop(number, None)
        assert {number: executed.get(number) for number in confirmed} == confirmed

    # -- the end -------------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "shop"):
            return
        try:
            self.ends_well()
        finally:
            self.shop.close()
            shutil.rmtree(self.folder)

    def ends_well(self) -> None:
        shop = self.shop
        shop.faulty.calm()
        set_base_fee(shop.local, 10**9)
        shop.crash()
        for _ in range(30):
            shop.mine(FINALITY)
            shop.local.advance(WINDOW)
            assert shop.watcher.sync() == []
            try:
                if not shop.settle(40):
                    break
            except SettlementStopped:
                self.cancel()  # as its hint says
        owing = any(shop.functions_now("due", addresses.COIN, name) < 0 for name in SHARES)
        (earned,) = [each for each in shop.ledger.earned() if each.asset == COIN]
        if not owing:
            assert not any(earned.due.values()), (earned, shop.story())
            shop.receives(**{"acme": 0, "fee": 0} | self.settled())
        report = audit(shop.location)
        assert report.clean, report.findings
        self.seen.update(shop.story())

    def settled(self) -> dict[str, int]:
        """What the log says that receivers have."""
        settled = self.shop.ledger.settling(contract_of(self.shop.chain)).settled.get(COIN, {})
        return {"acme": settled.get(ACME, 0), "fee": settled.get(FEE, 0)}


def run(examples: int, steps: int) -> None:
    settings_ = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        phases=[Phase.generate],  # each step is some dozen requests: to look for a shorter run would take an hour
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Machine, settings=settings_)


def test_settlements_go_through_all_faults() -> None:
    run(examples=4, steps=15)


@pytest.mark.sweep
def test_many_more_settlements_go_through_all_faults() -> None:
    run(examples=100, steps=40)
