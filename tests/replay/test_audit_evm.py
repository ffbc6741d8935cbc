"""The audit of a log against an EVM chain: the same code as for any other, on the EVM that comes from PyPI."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

import replay
from chains.proofs import prove
from chains.testing import Trial
from chains.testing.end_to_end import Shop
from ledger import Escrow, EscrowFunding, Purchase
from ledger.events import SettlementOpened
from ledger.plugins import contract_of
from replay.audit import onchain

pytest.importorskip("chains.evm.connecting", reason="needs the extra: pip install 'tollbook[evm]'")

BATCH, PURCHASE, PAYOUT, _ = onchain.KINDS


@pytest.fixture
def trial() -> Iterator[Trial]:
    from chains.testing.evm_harness import TesterBench

    bench = TesterBench()
    trial = Trial(bench)
    yield trial
    trial.close()
    bench.close()


@pytest.fixture
def shop(trial: Trial) -> Iterator[Shop]:
    """Two buyers; three batches, the second of which takes back; a claim; one who left by proof."""
    shop = Shop(trial, buyers=2)
    try:
        charge = shop.charge(30)
        shop.settle()
        trial.bench.claim(shop.chain, trial.bench.receivers[0])
        shop.refund(charge, 20)
        trial.bench.request_exit(shop.chain, *trial.account)
        shop.pass_time()
        shop.open()
        (leaving,) = shop.ledger.batches(contract_of(shop.chain))
        shop.finish(lambda: shop.outbox(shop.chain))
        proof = prove(leaving.batch, trial.bench.plugin.leaf_types, *trial.account)
        trial.bench.leave(shop.chain, *trial.account, proof.leaf, proof.proof)
        shop.pass_time()
        shop.charge(5, 1)
        shop.settle()
        yield shop
    finally:
        shop.close()


def found(shop: Shop) -> list[tuple[str, str]]:
    report = replay.audit(shop.ledger._store, chains=[shop.chain])
    return [(each.kind, each.field) for each in report.findings]


def test_an_evm_chain_is_held_to_the_log_in_both_directions(shop: Shop, trial: Trial) -> None:
    report = replay.audit(shop.ledger._store, chains=[shop.chain])
    assert report.findings == ()
    checked = {check.name: check.checked for check in report.checks}
    # two purchases, a request and an exit; two receivers
    assert [checked[kind] for kind in onchain.KINDS] == [3, 4, 2, 1]

    trial.buy(shop.chain, 1)
    trial.bench.pass_time(shop.chain)
    assert found(shop) == [(PURCHASE, "purchase")]
    shop.pass_time()
    assert found(shop) == []

    last = [entry.event for entry in shop.ledger.events() if isinstance(entry.event, SettlementOpened)][-1]
    unknown = replace(trial.batch(shop.chain, 50, 5), number=last.number + 1, previous=last.digest)
    trial.carry(shop.chain, unknown)
    # It takes money out of escrow that subscribers have unspent, by all that the log knows.
    assert found(shop) == [(BATCH, "number"), (PAYOUT, "amount"), (PAYOUT, "amount"), ("solvency", "escrow")]


def test_what_only_the_log_has_is_found(trial: Trial) -> None:
    shop = Shop(trial)
    assert found(shop) == []
    funding = EscrowFunding(Escrow(shop.chain.name, shop.chain.contract, "0x" + "11" * 32))
    made_up = Purchase(subscriber=trial.bench.subscribers[1], plan="conformance", funding=funding)
    assert shop.ledger.execute(made_up)
    assert found(shop) == [(PURCHASE, "purchase")]
    shop.close()
