"""The audit of what becomes of batches: their order, failures, numbers, and their place in a commit."""

from collections.abc import Callable
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest
from every_way import audit
from msgspec.structs import replace
from settled_log import CHAIN, CONTRACT, HERE, ID, Story, X, event_at, forge, found, plans, plant, saying

import ledger.settlement.decide as decisions
from ledger import Adjust, ContractRef, FailSettlement, Ledger, MarkSettlementUnknown, OpenSettlement
from ledger.events import (
    Event,
    Frozen,
    SettlementCommitted,
    SettlementConfirmed,
    SettlementFailed,
    SettlementOpened,
    SettlementSubmitted,
    SettlementUnknown,
    encode,
    tag,
)
from ledger.log import decode_commit, encode_commit
from ledger.plugins import chain_plugin, stores
from ledger.stores.sqlite import SQLiteStore


@pytest.fixture
def log(settled_log: SimpleNamespace) -> SimpleNamespace:
    return settled_log


def last_open(log: Any) -> tuple[int, int]:
    """The numbers of the two batches that are open at the end of the log."""
    with closing(Ledger(plant(log, log.seqs["last submitted"], lambda event: event))) as now:
        first, second = (each.batch.number for each in now.batches(ContractRef(CHAIN, CONTRACT)))
    return first, second


FORGED: list[tuple[str, Callable[[int, int], Event]]] = [
    ("confirmed twice", lambda first, second: SettlementConfirmed(**HERE, number=1)),
    ("confirmed out of order", lambda first, second: SettlementConfirmed(**HERE, number=second)),
    ("confirmed and never opened", lambda first, second: SettlementConfirmed(**HERE, number=99)),
    ("confirmed after it failed", lambda first, second: SettlementConfirmed(**HERE, number=5)),
    ("failed after it was confirmed", lambda first, second: SettlementFailed(**HERE, number=1, used=True)),
    ("submitted after the end", lambda first, second: SettlementSubmitted(**HERE, number=1, attempt=2)),
    ("in doubt after the end", lambda first, second: SettlementUnknown(**HERE, number=1, attempt=1)),
    ("an attempt skipped", lambda first, second: SettlementSubmitted(**HERE, number=first, attempt=3)),
    ("failed, with one behind it", lambda first, second: SettlementFailed(**HERE, number=first)),
]


@pytest.mark.parametrize(("what", "event"), FORGED, ids=[what for what, _ in FORGED])
def test_what_cannot_become_of_a_batch_is_found(what, event, log):
    store, seq = forge(log, event(*last_open(log)))
    assert found(audit(store)) == [("batch_order", seq)]


def test_what_may_become_of_them_is_not(log):
    first, second = last_open(log)
    store, _ = forge(log, SettlementFailed(**HERE, number=second), SettlementSubmitted(**HERE, number=first, attempt=2))
    assert audit(store).clean
    assert audit(forge(log, SettlementFailed(**HERE, number=first, used=True))[0]).clean


def test_those_behind_a_failed_batch_fail_before_it_in_its_commit(log):
    """The event that failed the later batch is left out, so the later one still stands."""
    first = log.seqs["cascade"]
    assert event_at(log, first).number == 6
    assert found(audit(plant(log, first, lambda event: []))) == [("batch_order", first)]


def test_a_used_number_holds_those_before_it(log):
    """The chain has the later one for ever, so it has the earlier one too."""
    first, second = last_open(log)
    store, seq = forge(log, SettlementFailed(**HERE, number=second, used=True), SettlementFailed(**HERE, number=first))
    assert found(audit(store)) == [("batch_order", seq + 1)]


def test_a_batch_that_the_chain_has_does_not_fail_with_those_before_it(log):
    first, second = last_open(log)
    events = SettlementCommitted(**HERE, number=second), SettlementFailed(**HERE, number=second)
    assert audit(forge(log, *events)[0]).clean, "a reorganisation took it back"
    store, seq = forge(log, *events, SettlementFailed(**HERE, number=first))
    assert found(audit(store)) == [("batch_order", seq + 1)]


def in_line(path: Any, many: int) -> Story:
    story = Story(path)
    plans(story)
    story.deposit("p1", "alice")
    for number in range(1, many + 1):
        story.use(1, "alice")
        assert story.opens(str(number)) == number
    return story


def test_ten_in_line_are_clean_and_an_eleventh_is_found(tmp_path, monkeypatch):
    with closing(in_line(tmp_path / "ten.db", 10).ledger):
        assert audit(tmp_path / "ten.db").clean
    monkeypatch.setattr(decisions, "MAX_QUEUED", 11)
    story = in_line(tmp_path / "eleven.db", 11)
    story.close()
    assert found(audit(tmp_path / "eleven.db")) == [("batch_order", story.seqs["11"])]


def test_one_that_is_opened_behind_one_that_was_not_submitted_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(decisions, "_check_queue", lambda settling, asset: None)
    story = in_line(tmp_path / "log.db", 1)
    seqs = []
    for _ in range(2):
        story.use(1, "alice")
        seqs.append(story.do(OpenSettlement(**HERE, asset="USD")))
    story.close()
    assert found(audit(story.location)) == [("batch_order", seqs[1])]


def test_doubt_about_a_batch_that_was_never_submitted_does_not_submit_it(tmp_path, monkeypatch):
    monkeypatch.setattr(decisions, "_check_queue", lambda settling, asset: None)
    story = in_line(tmp_path / "log.db", 1)
    story.use(1, "alice")
    story.do(OpenSettlement(**HERE, asset="USD"))
    story.do(MarkSettlementUnknown(**HERE, number=2))
    story.use(1, "alice")
    seq = story.do(OpenSettlement(**HERE, asset="USD"))
    story.close()
    assert found(audit(story.location)) == [("batch_order", seq)]


def test_what_one_gives_back_and_another_uses_is_a_batch_without_payouts(tmp_path):
    """Where it fails it is opened again, though nothing has changed since."""
    story = in_line(tmp_path / "log.db", 1)
    story.deposit("p2", "bob")
    charge = next(entry.seq for entry in story.ledger.events() if tag(entry.event) == "charged")
    story.do(Adjust(charge=charge, credits=-1))
    story.use(1, "bob")
    story.opens("swapped")
    story.do(FailSettlement(**HERE, number=2))
    story.opens("swapped again")
    story.close()
    assert audit(story.location).clean


def test_a_wrong_digest_is_found_once_though_the_next_builds_on_the_right_one(log):
    """It was changed in place, so its commit does not have its hash, and what follows is as it was."""
    store = stores.get("memory")(None, id=ID)
    seq = log.seqs["second"]
    for commit in log.commits:
        if commit.first_seq <= seq <= commit.last_seq:
            events = [
                saying(digest=X)(each) if isinstance(each, SettlementOpened) else each for each in decode_commit(commit)
            ]
            commit = replace(commit, body=encode(events))
        store.append(store.head(), commit)
    assert found(audit(store)) == [("hash", seq), ("root", seq)]


def test_a_batch_that_settles_nothing_is_found(tmp_path):
    """Nothing was earned since, yet one more is opened, and sealed as it should be."""
    story = in_line(tmp_path / "log.db", 1)
    opened = story.ledger.batches(ContractRef(CHAIN, CONTRACT))[-1].batch
    story.close()
    with closing(SQLiteStore(story.location)) as store:
        head = store.head()
        empty = replace(
            opened,
            number=2,
            at=head.at,
            covers={"main": head.seq},
            head_seq=head.seq,
            head_hash=head.hash.hex(),
            previous=chain_plugin(CHAIN).commitment(opened).digest,
            payouts=(),
        )
        made = chain_plugin(CHAIN).commitment(empty)
        said = {name: getattr(empty, name) for name in ("number", "asset", "covers", "head_seq", "head_hash")}
        said["accounts"] = len(empty.leaves)
        event = SettlementOpened(**HERE, **said, root=made.root, digest=made.digest)
        store.append(head, encode_commit(head, head.at, [event]))
    assert found(audit(story.location)) == [("payouts", head.seq + 1)]


def test_a_batch_stands_first_in_its_commit_but_for_what_was_due(log):
    seq = log.seqs["last"]
    commit = next(commit for commit in log.commits if commit.first_seq <= seq <= commit.last_seq)
    assert commit.first_seq < seq
    assert {tag(event) for event in decode_commit(commit)[: seq - commit.first_seq]} == {"released"}
    report = audit(plant(log, seq, lambda event: [Frozen(account=1), replace(event, covers={"main": seq})]))
    assert [each for each in found(report) if each[0] != "root"] == [("batch_order", seq + 1)]  # the digest is stale


def test_what_is_due_anywhere_stands_before_a_batch(log):
    """The expiry of a request of an account with nothing in escrow is as due as any."""
    seq = log.seqs["last"] - 1
    assert tag(event_at(log, seq)) == "released"
    report = audit(plant(log, seq, lambda event: []))
    assert ("time", seq) in found(report)
