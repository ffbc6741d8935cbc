"""The audit of a log against an EVM chain: the same code as for any other, on the quickest that is installed."""

from collections.abc import Iterator

import pytest
from local_kinds import ANVIL
from msgspec.structs import replace

import replay
from chains.proofs import prove
from chains.testing import Subject
from chains.testing.end_to_end import Shop
from ledger import Escrow, EscrowFunding, Purchase
from ledger.events import SettlementOpened
from ledger.plugins import contract_of
from replay.audit import onchain

pytest.importorskip("chains.evm.connecting", reason="needs the extra: pip install 'tollbook[evm]'")

BATCH, PURCHASE, PAYOUT, _ = onchain.KINDS


@pytest.fixture
def subject() -> Iterator[Subject]:
    from chains.testing.evm_harness import AnvilHarness, TesterHarness

    harness = (AnvilHarness if ANVIL else TesterHarness)()
    subject = Subject(harness)
    yield subject
    subject.close()
    harness.close()


@pytest.fixture
def shop(subject: Subject) -> Iterator[Shop]:
    """Two buyers; three batches, the second of which takes back; a claim; one who left by proof."""
    shop = Shop(subject, buyers=2)
    try:
        charge = shop.charge(30)
        shop.settle()
        subject.harness.claim(shop.chain, subject.harness.receivers[0])
        shop.refund(charge, 20)
        subject.harness.request_exit(shop.chain, *subject.account)
        shop.pass_time()
        shop.open()
        (leaving,) = shop.ledger.batches(contract_of(shop.chain))
        shop.finish(lambda: shop.outbox(shop.chain))
        proof = prove(leaving.batch, subject.harness.plugin.leaf_types, *subject.account)
        subject.harness.leave(shop.chain, *subject.account, proof.leaf, proof.proof)
        shop.pass_time()
        shop.charge(5, 1)
        shop.settle()
        yield shop
    finally:
        shop.close()


def found(shop: Shop) -> list[tuple[str, str]]:
    report = replay.audit(shop.ledger._writer.store, chains=[shop.chain])
    return [(each.kind, each.field) for each in report.findings]


def test_an_evm_chain_is_held_to_the_log_in_both_directions(shop: Shop, subject: Subject) -> None:
    report = replay.audit(shop.ledger._writer.store, chains=[shop.chain])
    assert report.findings == ()
    checked = {check.name: check.checked for check in report.checks}
    # two purchases, a request and an exit; two receivers
    assert [checked[kind] for kind in onchain.KINDS] == [3, 4, 2, 1]

    subject.buy(shop.chain, 1)
    subject.harness.pass_time(shop.chain)
    assert found(shop) == [(PURCHASE, "purchase")]
    shop.pass_time()
    assert found(shop) == []

    last = [entry.event for entry in shop.ledger.events() if isinstance(entry.event, SettlementOpened)][-1]
    unknown = replace(subject.batch(shop.chain, 50, 5), number=last.number + 1, previous=last.digest)
    subject.carry(shop.chain, unknown)
    # It takes money out of escrow that subscribers have unspent, by all that the log knows.
    assert found(shop) == [(BATCH, "number"), (PAYOUT, "amount"), (PAYOUT, "amount"), ("solvency", "escrow")]


def test_what_only_the_log_has_is_found(subject: Subject) -> None:
    shop = Shop(subject)
    assert found(shop) == []
    funding = EscrowFunding(Escrow(shop.chain.name, shop.chain.contract, "0x" + "11" * 32))
    made_up = Purchase(subscriber=subject.harness.subscribers[1], plan="conformance", funding=funding)
    assert shop.ledger.execute(made_up)
    assert found(shop) == [(PURCHASE, "purchase")]
    shop.close()
