"""The demo's money: a mock chain holds what was sold, pays what was earned, and agrees with the log to the cent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from shares_left import left_by_floors

from chains import Outbox, Watcher, leaf_file
from chains.mock import MockChain
from gateway.cli.main import main
from gateway.demo import Options, Summary, run
from gateway.demo.shop import ASSET, DAY
from gateway.demo.story import BATCHES
from gateway.settle.target import CONTRACT, mock_file
from ledger import Ledger
from ledger.amounts import SECOND
from ledger.events import (
    Adjusted,
    Frozen,
    Purchased,
    SettlementConfirmed,
    SettlementFailed,
    SettlementOpened,
    SettlementUnknown,
    Withdrawn,
)
from ledger.settlement.messages import ExitPaid, ExitRequested, PurchaseMade
from replay.audit.run import audit


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Summary:
    return run(Options(requests=1_500, subscribers=30, db=tmp_path_factory.mktemp("settled") / "demo.db"))


@contextmanager
def opened(log: str | Path) -> Iterator[tuple[Ledger, MockChain]]:
    """The log at the time of its last event, and its chain."""
    with Ledger.open(log, clock=lambda: 0) as ledger, closing(MockChain(mock_file(Path(log), CONTRACT))) as chain:
        yield ledger, chain


@pytest.fixture
def books(told, tmp_path) -> Iterator[tuple[Ledger, MockChain]]:
    """A copy of both."""
    for file in Path(told.log).parent.iterdir():
        shutil.copy(file, tmp_path)
    with opened(tmp_path / Path(told.log).name) as both:
        yield both


def events(ledger: Ledger, *types: type) -> list:
    return [entry for entry in ledger.events() if isinstance(entry.event, types)]


# The log's side


def test_all_that_was_earned_is_settled_in_the_end(told):
    assert told.outstanding == left_by_floors(told.log)
    assert told.earned == {ASSET: told.settled[ASSET] + told.outstanding[ASSET]}
    assert (told.chain, told.batches, told.open_batches) == ("mock:local", BATCHES, 0)
    receivers = told.receivers[ASSET]
    assert list(receivers) == ["acme", "platform"]
    assert sum(receiver.paid for receiver in receivers.values()) == told.settled[ASSET] > 0
    assert [receiver.outstanding for receiver in receivers.values()] == [0, 0]
    assert told.audit.clean


def test_batches_are_opened_at_even_times_and_all_confirmed(books):
    ledger, _ = books
    at = [entry.at for entry in events(ledger, SettlementOpened)]
    requests = [entry.at for entry in ledger.events() if type(entry.event).__name__ == "Requested"]
    tenth = (requests[-1] - requests[0]) // BATCHES
    assert all(0.9 < (after - before) / tenth < 1.1 for before, after in pairwise(at[:-1]))
    assert ledger.head.at - SECOND < at[-1] > requests[-1] + DAY * SECOND
    assert [entry.event.number for entry in events(ledger, SettlementConfirmed)] == list(range(1, BATCHES + 1))
    assert events(ledger, SettlementFailed, SettlementUnknown) == []
    assert isinstance(list(ledger.events())[-1].event, SettlementConfirmed)


def test_what_costs_something_is_paid_on_the_chain_and_trials_are_not(books):
    ledger, chain = books
    facts = {fact.id: fact for fact in chain.facts() if isinstance(fact, PurchaseMade)}
    bought = [entry.event for entry in events(ledger, Purchased)]
    paid = [event for event in bought if event.cost]
    assert {event.funding.escrow.purchase for event in paid} == set(facts)
    assert {event.funding for event in bought if not event.cost} == {"none"}
    assert {event.kind for event in bought if not event.cost} == {"trial"}
    for event in paid:
        fact = facts[event.funding.escrow.purchase]
        assert (fact.subscriber, fact.plan, fact.shares) == (event.subscriber, event.plan, event.shares)
        assert (fact.credits, fact.seconds, fact.block) == (event.credits, event.seconds, event.funding.escrow.block)


def test_corrections_after_a_settlement_are_netted_in_the_next(books):
    ledger, chain = books
    first = events(ledger, SettlementOpened)[0].seq
    assert any(
        entry.event.credits < 0 and 0 < entry.event.charge < first < entry.seq for entry in events(ledger, Adjusted)
    )
    for leaf in leaf_file.decode(chain.published(BATCHES)).leaves:
        earned = sum(lot.earned for lot in ledger.lots(leaf.subscriber, leaf.plan))
        assert leaf.charged - leaf.credited == earned


# The chain's side


def test_the_watcher_finds_nothing_new_and_refuses_nothing(books):
    ledger, chain = books
    head = ledger.head
    assert Watcher(ledger, chain).sync() == []
    assert Outbox(ledger, chain).settle() == []
    assert ledger.head == head


def test_the_chain_owes_the_receivers_what_the_log_has_settled(told, books):
    ledger, chain = books
    [earned] = ledger.earned()
    for name, receiver in told.receivers[ASSET].items():
        assert chain.due(name, ASSET) + chain.balance(name, ASSET) == receiver.paid == earned.receivers[name]


def test_no_cent_is_lost(told, books):
    ledger, chain = books
    owed = sum(chain.due(name, ASSET) for name in told.receivers[ASSET])
    left = [fact for fact in chain.facts() if isinstance(fact, ExitPaid)]
    paid = sum(chain.balance(fact.subscriber, ASSET) for fact in left)
    assert paid == sum(fact.amount for fact in left)
    assert chain.escrow(ASSET) + owed == chain.holdings(ASSET)
    assert chain.escrow(ASSET) + owed + paid == told.sold.money[ASSET]
    assert chain.escrow(ASSET) == sum(
        lot.cost - lot.refunded - sum(lot.shares_earned.values())
        for balance in ledger.balances()
        for lot in ledger.lots(balance.subscriber, balance.plan)
    )


def test_each_published_leaf_file_is_of_its_batch(books):
    ledger, chain = books
    for entry in events(ledger, SettlementOpened):
        batch = leaf_file.decode(chain.published(entry.event.number))
        assert (batch.ledger, batch.at, batch.payouts) == (ledger.id, entry.at, entry.event.payouts)
        assert chain.find(entry.event.number).digest == entry.event.digest


# Somebody leaves


def test_a_customer_leaves_and_takes_the_rest_by_proof(books):
    ledger, chain = books
    asked, paid = (fact for fact in chain.facts() if isinstance(fact, ExitRequested | ExitPaid))
    [frozen], [withdrawn] = events(ledger, Frozen), events(ledger, Withdrawn)
    opened = [entry.at for entry in events(ledger, SettlementOpened)]
    assert frozen.at < opened[-2] < withdrawn.at < frozen.at + SECOND, "in the last tenth of the trace"
    assert (frozen.event.fact.id, withdrawn.event.fact.id) == (asked.id, paid.id)
    assert paid.amount == sum(withdrawn.event.money.values()) > 0
    balance = ledger.balance(paid.subscriber, paid.plan)
    assert not balance.admits
    assert balance.withdrawn > 0
    bought = [entry for entry in events(ledger, Purchased) if entry.event.account == balance.account]
    assert bought[-1].seq < frozen.seq


# Other runs


def test_mock_is_short_for_mock_local(tmp_path):
    once, again = (
        run(Options(requests=50, subscribers=3, chain=name, db=tmp_path / f"{number}.db"))
        for number, name in enumerate(("mock", "mock:local"))
    )
    assert once.head == again.head
    assert once.chain == again.chain


def test_the_chain_is_the_same_for_the_same_run(told, tmp_path):
    again = run(Options(requests=1_500, subscribers=30, db=tmp_path / "again.db"))
    assert again.head == told.head
    with opened(again.log) as (_, ours), opened(told.log) as (_, theirs):
        assert (ours.height, ours.block_hash(ours.height)) == (theirs.height, theirs.block_hash(theirs.height))


def test_a_trace_of_one_moment_is_settled_twice(tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("timestamp,subscriber,plan,input_tokens\n" + "2026-01-01,ann,pro,700\n" * 5)
    summary = run(Options(trace=trace, db=tmp_path / "demo.db"))
    assert summary.audit.clean
    assert summary.batches in (1, 2)
    assert summary.outstanding == left_by_floors(summary.log)
    assert [receiver.outstanding for receiver in summary.receivers[ASSET].values()] == [0, 0]


def test_a_shop_that_sells_nothing_for_money_settles_nothing(tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text(
        "timestamp,subscriber,plan,input_tokens\n2026-01-01,ann,trial,700\n2026-01-01T00:01:00Z,ann,trial,7\n"
    )
    summary = run(Options(trace=trace, db=tmp_path / "demo.db"))
    assert (summary.batches, summary.open_batches, summary.earned, summary.receivers) == (0, 0, {}, {})
    assert summary.audit.clean


def test_a_batch_that_is_never_final_is_told_by_the_exit_code(tmp_path, monkeypatch, capsys):
    log = tmp_path / "demo.db"
    monkeypatch.setattr(MockChain, "pause", lambda chain: None)
    monkeypatch.setattr(MockChain, "final_block", lambda chain: chain.height)
    assert main(["demo", "--requests", "200", "--subscribers", "5", "--db", str(log)]) == 3
    out = capsys.readouterr().out
    assert "not confirmed" in out
    assert "audit: clean" in out
    monkeypatch.undo()
    with opened(log) as (ledger, chain):
        assert sum(asset.outstanding for asset in ledger.earned()) > 0
        assert Outbox(ledger, chain).settle()
        assert all(due == 0 for asset in ledger.earned() for due in asset.due.values())
    assert audit(log).clean
