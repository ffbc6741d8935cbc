"""From a purchase on an EVM chain to money in hands: corrections after settlement, and leaving without the operator."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from chains import Outbox, Watcher, leaf_file, prove
from chains.evm import addresses
from chains.evm.connecting import connect
from chains.evm.contract import SettlementContract
from chains.evm.deploying import Delays, Roles, deploy_settlement, deploy_token, publish_plan
from chains.evm.local import LocalChain
from chains.evm.node import Node
from chains.evm.node_errors import CallReverted
from chains.evm.sending import Sender
from chains.evm.tokens import Token
from chains.evm.wallet import Wallet
from chains.leaves import EVM_LEAF
from ledger import Adjust, Charge, ContractRef, CreatePlan, Ledger
from ledger.amounts import SECOND
from ledger.events import Frozen, Withdrawn
from replay.audit.run import audit

FREEZE, EXIT = 100, 1_000
PRICE, CREDITS = 1_000_000, 1_000
A_CREDIT = PRICE // CREDITS


class Shop:
    """A contract on a new chain, a plan on it, a ledger; builders get 95 %, a fee is 5 %. Blocks are final at once."""

    def __init__(self, local: LocalChain, node: Node, folder: Path) -> None:
        self.local, self.node, self.log = local, node, folder / "shop.db"
        self.operator, owner, builder, self.customer, relayer = local.accounts[:5]
        self.builder, self.owner = builder.address, owner.address
        self.sender, self.chain = Sender(node, owner.key), addresses.chain_name(local.chain_id)
        self.token = Token(node, deploy_token(self.sender).contract)
        roles = Roles(owner.address, self.operator.address)
        self.contract = deploy_settlement(self.sender, roles, Delays(freeze=FREEZE, exit=EXIT)).contract
        self.asset = addresses.asset_name(self.chain, self.token.address)
        price = {self.builder: PRICE * 95 // 100, self.owner: PRICE * 5 // 100}
        terms = {"asset": self.asset, "price": price, "credits": CREDITS}
        self.plan = publish_plan(Sender(node, builder.key), SettlementContract(node, self.contract), "pro", **terms).id
        self.ledger = Ledger.open(self.log, clock=lambda: local.now * SECOND)
        policy = {"policy": "complexity", "parameters": {"weights": {"units": 1}}}
        self.ledger.execute(CreatePlan(plan="pro", owner="acme", onchain_id=self.plan, **terms, **policy)).unwrap()
        self.wallet, self.relayer = (Wallet(node, key, self.contract) for key in (self.customer.key, relayer.key))
        options = {"url": local.url, "key": self.operator.key, "finality": 0, "leaves": folder / "leaves", "pause": 0}
        self.connection = connect(ContractRef(self.chain, self.contract), **options)
        self.watcher, self.outbox = Watcher(self.ledger, self.connection), Outbox(self.ledger, self.connection)

    def buy(self) -> None:
        self.sender.send(*self.token.mint(self.customer.address, PRICE))
        self.relayer.relay(self.wallet.sign_purchase(self.wallet.order(self.plan), valid_before=2**40))
        assert self.watcher.sync() == []

    def use(self, credits: int) -> int:
        charge = Charge(subscriber=self.customer.address, plan="pro", usage={"units": credits})
        return self.ledger.execute(charge).unwrap().seq

    def due(self) -> int:
        return self.connection.due(self.builder, self.asset)

    def proof(self, batch: int):
        published = self.connection.published(batch)
        assert published is not None
        return prove(leaf_file.decode(published), EVM_LEAF, self.customer.address, self.plan)

    def audit(self):
        return audit(self.log, chains=[self.connection])

    def close(self) -> None:
        self.connection.close()
        self.ledger.close()


@pytest.fixture
def shop(any_chain, tmp_path) -> Iterator[Shop]:
    with Node(any_chain.url, finality=0, timeout=600) as node:
        made = Shop(any_chain, node, tmp_path)
        made.buy()
        yield made
        made.close()


def share(credits: int) -> int:
    """What the builder earns by so many credits."""
    return credits * A_CREDIT * 95 // 100


def test_the_token_gives_its_decimals(shop):
    assert shop.connection.decimals(shop.asset) == 6
    assert shop.connection.decimals("eip155:1/slip44:60") is None  # of another chain
    assert [lot.asset_decimals for lot in shop.ledger.lots(shop.customer.address, "pro")] == [6]


def test_a_refund_after_settlement_is_netted_by_the_next_batch_and_owed_until_later_payouts_fill_it(shop):
    # Given a charge that was settled and whose receiver has taken its money
    charge = shop.use(300)
    assert shop.outbox.settle() == [1]
    shop.relayer.claim(shop.asset, shop.builder)
    assert shop.token.balance(shop.builder) == share(300)

    # When most of it is given back, then the receiver owes, and escrow has it on its books again
    shop.ledger.execute(Adjust(charge=charge, credits=-200, reason="refund")).unwrap()
    assert shop.outbox.settle() == [2]
    assert shop.due() == -share(200)
    leaf = shop.proof(2).leaf
    assert (leaf.charged, leaf.credited) == (300 * A_CREDIT, 200 * A_CREDIT)

    # When less is earned than is owed, nothing can be claimed yet
    shop.use(100)
    assert shop.outbox.settle() == [3]
    assert shop.due() == -share(100)
    with pytest.raises(CallReverted, match="NothingDue"):
        shop.relayer.claim(shop.asset, shop.builder)

    # When more is earned, it fills what is owed first
    shop.use(250)
    assert shop.outbox.settle() == [4]
    assert shop.due() == share(150)
    shop.relayer.claim(shop.asset, shop.builder)
    assert shop.token.balance(shop.builder) == share(300 - 200 + 100 + 250)
    assert shop.audit().clean


def test_access_and_what_is_spendable_are_read_from_the_chain(shop):
    assert shop.wallet.has_access(shop.plan)
    assert not shop.relayer.has_access(shop.plan)
    shop.use(300)
    assert shop.outbox.settle() == [1]
    proof = shop.proof(1)
    assert shop.wallet.spendable(proof.leaf, proof.proof) == 700 * A_CREDIT
    with pytest.raises(CallReverted, match="ProofInvalid"):
        shop.wallet.spendable(msgspec.structs.replace(proof.leaf, charged=1), proof.proof)
    shop.wallet.request_exit(shop.plan)
    assert not shop.wallet.has_access(shop.plan)


def test_a_subscriber_leaves_by_the_next_root_with_what_is_unspent(shop):
    # Given usage, and a request to leave that the ledger has seen
    shop.use(300)
    shop.wallet.request_exit(shop.plan)
    assert shop.watcher.sync() == []
    shop.local.advance(FREEZE)

    # When the next batch is settled, its root pays the rest
    assert shop.outbox.settle() == [1]
    proof = shop.proof(1)
    shop.wallet.exit(proof.leaf, proof.proof)
    assert shop.token.balance(shop.customer.address) == 700 * A_CREDIT

    # Then the ledger takes it off the account, and log and chain agree
    assert shop.watcher.sync() == []
    assert [type(each.event) for each in shop.ledger.events() if isinstance(each.event, Frozen | Withdrawn)] == [
        Frozen,
        Withdrawn,
    ]
    assert shop.ledger.balance(shop.customer.address, "pro").available == 0
    assert shop.audit().clean


def test_with_the_operator_gone_a_subscriber_leaves_by_the_last_root_after_the_delay(shop):
    # Given a batch, and an operator that is never heard of again
    shop.use(300)
    assert shop.outbox.settle() == [1]
    shop.wallet.request_exit(shop.plan)
    proof = shop.proof(1)

    # When it is too early, nothing is paid; after the delay the last root there is will do
    with pytest.raises(CallReverted, match="ExitDelay"):
        shop.wallet.exit(proof.leaf, proof.proof)
    shop.local.advance(EXIT)
    shop.wallet.exit(proof.leaf, proof.proof)
    assert shop.token.balance(shop.customer.address) == 700 * A_CREDIT

    # Then an operator that comes back after all finds both, and the books agree
    assert shop.watcher.sync() == []
    assert shop.audit().clean


def test_where_nothing_was_ever_settled_a_subscriber_leaves_with_all_of_it(shop):
    shop.wallet.request_exit(shop.plan)
    shop.local.advance(EXIT)
    shop.wallet.claim_uncharged(shop.plan)
    with pytest.raises(CallReverted, match="ExitDelay"):
        shop.wallet.exit_uncharged(shop.plan)
    shop.local.advance(EXIT)
    shop.wallet.exit_uncharged(shop.plan)
    assert shop.token.balance(shop.customer.address) == PRICE
    assert shop.watcher.sync() == []
    assert shop.audit().clean


def test_who_was_charged_cannot_leave_as_if_it_was_not(shop):
    shop.use(300)
    assert shop.outbox.settle() == [1]
    shop.wallet.request_exit(shop.plan)
    shop.local.advance(EXIT)
    shop.wallet.claim_uncharged(shop.plan)
    proof = shop.proof(1)
    shop.relayer.refute(proof.leaf, proof.proof)
    shop.local.advance(EXIT)
    with pytest.raises(CallReverted, match="UnchargedNotClaimed"):
        shop.wallet.exit_uncharged(shop.plan)
    assert shop.token.balance(shop.customer.address) == 0


def test_a_stranger_who_sells_on_the_same_contract_spoils_no_audit(shop):
    # Given a plan that the ledger does not know, for the same token, and somebody who buys it
    stranger = Sender(shop.node, shop.local.accounts[5].key)
    contract = SettlementContract(shop.node, shop.contract)
    plan = publish_plan(stranger, contract, "theirs", asset=shop.asset, price={stranger.address: 777}, credits=1).id
    shop.sender.send(*shop.token.mint(shop.customer.address, 777))
    shop.relayer.relay(shop.wallet.sign_purchase(shop.wallet.order(plan), valid_before=2**40))

    # When the log is settled, then the purchase is told and left alone, and the audit counts it apart
    shop.use(300)
    assert [(each.fact.plan, "no plan" in each.reason) for each in shop.watcher.sync()] == [(plan, True)]
    assert shop.outbox.settle() == [1]
    report = shop.audit()
    assert (report.verdict, report.unverified.facts) == ("clean", 1)


def test_an_event_loop_goes_on_while_a_thread_settles(shop):
    async def serve() -> tuple[list[int], int]:
        settling = asyncio.create_task(asyncio.to_thread(shop.outbox.settle))
        turns = 0
        while not settling.done():
            turns += 1
            await asyncio.sleep(0)
        return await settling, turns

    shop.use(300)
    settled, turns = asyncio.run(serve())
    assert settled == [1]
    assert turns > 1
