"""The index of an account's events: derived from the log, and never an answer by itself."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standing_clock import Clock

from ledger import (
    Adjust,
    Charge,
    CreatePlan,
    Freeze,
    Give,
    Ledger,
    Purchase,
    Release,
    Request,
    Reverse,
    Tick,
    account_index,
)
from ledger.account_index import AccountIndex
from ledger.books import Books
from ledger.errors import Damaged
from ledger.events import Extended
from ledger.folding import fold
from ledger.log import Entry, entries
from ledger.readers import LogView
from ledger.statements import Begin, Subject, statement
from ledger.stores.sqlite import SQLiteStore

NAMES = ["ann", "bob", "cid"]
PLAN = CreatePlan(
    plan="pro",
    owner="acme",
    asset="USD",
    price={"acme": 1_000},
    credits=100,
    policy="complexity",
    parameters={"weights": {"units": 1}},
    seconds=3_600,
)
NAMED = st.sampled_from(NAMES)
SEQS = st.integers(1, 60)
COMMANDS = st.one_of(
    st.builds(lambda name: Purchase(subscriber=name, plan="pro"), NAMED),
    st.builds(
        lambda name, units: Charge(subscriber=name, plan="pro", usage={"units": units}), NAMED, st.integers(1, 60)
    ),
    st.builds(lambda name: Request(subscriber=name, plan="pro", estimate={"units": 20}), NAMED),
    st.builds(lambda name: Freeze(subscriber=name, plan="pro"), NAMED),
    st.builds(lambda name: Give(subscriber=name, plan="pro", credits=3), NAMED),
    st.builds(lambda seq: Charge(request=seq, usage={"units": 5}), SEQS),
    st.builds(lambda seq: Charge(request=seq, usage={"units": 5}, final=False), SEQS),
    st.builds(lambda seq: Release(request=seq, reason="failed"), SEQS),
    st.builds(lambda seq: Adjust(charge=seq, credits=-1, reason="refund"), SEQS),
    st.builds(lambda name, seq: Reverse(subscriber=name, plan="pro", lot=seq), NAMED, SEQS),
    st.just(Tick()),
)


def view(ledger: Ledger) -> LogView:
    return LogView(ledger._writer.store, ledger.head, lambda: None)  # type: ignore[arg-type]


def by_account(ledger: Ledger) -> dict[int, list[Entry]]:
    """The entries of each account, as the books know whose an event is; without what moves nothing and names nobody."""
    books, found = Books(), {}
    for commit in ledger.commits():
        for entry in entries([commit]):
            number = books.account_of(entry.event)
            if number and not isinstance(entry.event, Extended):
                found.setdefault(number, []).append(entry)
            one = commit.__class__(entry.seq, 1, commit.at, commit.kind, b"", b"")
            fold(books, one, [entry.event])
    return found


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_an_account_s_events_are_those_that_the_books_know_as_its_own(data: st.DataObject) -> None:
    """However the index came about: at once, or in steps, or cut short and repeated; and so is every statement."""
    clock = Clock()
    with Ledger.open(clock=clock) as ledger, pytest.MonkeyPatch.context() as patch:
        patch.setattr(account_index, "DECODE_WHOLE", data.draw(st.sampled_from((0, 8))))
        ledger.execute(PLAN).unwrap()
        stepwise = AccountIndex()
        for _ in range(data.draw(st.integers(1, 12))):
            ledger.execute_many([*data.draw(st.lists(COMMANDS, max_size=5)), Tick()])
            clock.now += data.draw(st.sampled_from((0, 1_000_000, 700_000_000)))
            if data.draw(st.booleans()):
                stepwise.extend(view(ledger))
            if data.draw(st.booleans()):
                ends = [commit.last_seq for commit in ledger.commits() if commit.last_seq <= stepwise.upto]
                stepwise.upto = data.draw(st.sampled_from([0, *ends]))
        expected = by_account(ledger)
        since = data.draw(st.integers(0, ledger.head.seq))
        for index in (AccountIndex(), stepwise):
            for number in (1, 2, 3, 4):
                known = expected.get(number, [])
                assert list(index.entries(view(ledger), number)) == known
                assert list(index.entries(view(ledger), number, since)) == [
                    entry for entry in known if entry.seq > since
                ]
        for name in NAMES:
            for after in (None, since):
                read = ledger.statement(name, "pro", since=after)
                assert (read is None) == (ledger.balance(name, "pro") is None)
                if read is not None:
                    now = ledger._account(name, "pro")[0]
                    pending, units = now.pending(name, "pro"), now.units(name, "pro")
                    subject = Subject(read.account, name, "pro", read.seq, read.at, units)
                    due = len(ledger.as_of(seq=after).pending(name, "pro")) if after else 0
                    assert read == statement(subject, ledger.events(), pending, Begin(after or 0, due))


def test_a_statement_reads_the_accounts_commits_alone(path: Path, clock: Clock) -> None:
    """What was indexed before is not read again: the cost is the account's."""
    with Ledger.open(path, clock=clock) as ledger:
        ledger.execute(PLAN).unwrap()
        ledger.execute_many([Purchase(subscriber=name, plan="pro") for name in NAMES])
        for _ in range(30):
            ledger.execute(Charge(subscriber="bob", plan="pro", usage={"units": 1})).unwrap()
        ledger.statement("bob", "pro")
        read: list[int] = []

        class Counted(LogView):
            def read(self, after: int = 0) -> Iterator[object]:  # type: ignore[override]
                for commit in super().read(after):
                    read.append(commit.first_seq)
                    yield commit

        log = Counted(ledger._writer.store, ledger.head, lambda: None)
        assert len(list(ledger._index.entries(log, 1))) == 2
        assert set(read) <= {1, 2}, "its own commit, and the one before, for the hash"


def test_a_commit_that_was_changed_is_damage_and_no_statement(path: Path, clock: Clock) -> None:
    with Ledger.open(path, clock=clock) as ledger:
        ledger.execute(PLAN).unwrap()
        ledger.execute(Purchase(subscriber="ann", plan="pro")).unwrap()
        ledger.execute(Charge(subscriber="ann", plan="pro", usage={"units": 1})).unwrap()
        ledger.statement("ann", "pro")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TRIGGER commits_are_not_updated")
            connection.execute("UPDATE commits SET body = replace(body, 'charged', 'Charged') WHERE first_seq = 4")
            connection.commit()
        with pytest.raises(Damaged, match="sequence 4"):
            ledger.statement("ann", "pro")


# -- what the log keeps of it ------------------------------------------------------------------------------------------


@pytest.fixture
def kept(path: Path, clock: Clock) -> Path:
    """A log that keeps two parts of the index, and has commits after them."""
    for _ in range(2):
        with Ledger.open(path, clock=clock) as ledger:
            ledger.execute_many([PLAN, *(Purchase(subscriber=name, plan="pro") for name in NAMES)])
            for name in NAMES:
                held = ledger.execute(Request(subscriber=name, plan="pro", estimate={"units": 1})).unwrap()
                ledger.execute(Charge(subscriber=name, plan="pro", usage={"units": 2})).unwrap()
                ledger.snapshot()
                ledger.execute(Release(request=held.seq, reason="failed")).unwrap()
    return path


def opened(path: Path, clock: Clock) -> Ledger:
    return Ledger.open(path, clock=clock, read_only=True)


def changed(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(sql)
        connection.commit()


def from_the_whole_log(ledger: Ledger, name: str) -> object:
    now = ledger._account(name, "pro")[0]
    number = now.number(name, "pro")
    assert number is not None
    subject = Subject(number, name, "pro", ledger.head.seq, now.at, now.units(name, "pro"))
    return statement(subject, ledger.events(), now.pending(name, "pro"), Begin())


def test_a_kept_index_is_read_and_the_log_before_its_end_is_not(kept: Path, clock: Clock) -> None:
    with opened(kept, clock) as ledger:
        parts = ledger._writer.store.load_index()  # type: ignore[attr-defined]
        assert [part.after for part in parts] == [0, *(part.upto for part in parts[:-1])]
        assert 0 < parts[-1].upto < ledger.head.seq
        for name in NAMES:
            assert ledger.statement(name, "pro") == from_the_whole_log(ledger, name)
        assert ledger._index.saved == parts[-1].upto
        assert min(seq for seqs in ledger._index._seqs.values() for seq in seqs) > parts[-1].upto


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE account_index",
        "DELETE FROM account_index WHERE upto = (SELECT min(upto) FROM account_index)",
        "DELETE FROM account_index WHERE upto = (SELECT max(upto) FROM account_index)",
        "UPDATE account_index SET body = zeroblob(length(body))",
        "UPDATE account_index SET body = 'text'",
        "UPDATE account_index SET after = after + 1",
        "UPDATE account_index SET hash = zeroblob(32)",
        "UPDATE account_index SET upto = upto + 1000",
        "UPDATE account_index SET digest = NULL",
    ],
)
def test_an_index_that_is_dropped_or_damaged_changes_no_statement(sql: str, kept: Path, clock: Clock) -> None:
    with opened(kept, clock) as ledger:
        before = [ledger.statement(name, "pro") for name in NAMES]
    changed(kept, sql)
    with opened(kept, clock) as ledger:
        assert [ledger.statement(name, "pro") for name in NAMES] == before
    with Ledger.open(kept, clock=clock) as ledger:  # it is made again
        ledger.snapshot()
    with opened(kept, clock) as ledger:
        assert [ledger.statement(name, "pro") for name in NAMES] == before
        assert ledger._index.saved == ledger.head.seq


def test_an_index_of_another_log_is_not_believed(kept: Path, tmp_path: Path, clock: Clock) -> None:
    other = tmp_path / "other.db"
    with Ledger.open(other, clock=clock) as ledger:
        ledger.execute_many([PLAN, *(Purchase(subscriber=name, plan="pro") for name in reversed(NAMES))])
        for _ in range(60):
            ledger.execute(Charge(subscriber="bob", plan="pro", usage={"units": 1})).unwrap()
        before = [ledger.statement(name, "pro") for name in NAMES]
    with closing(SQLiteStore(kept, read_only=True)) as store, closing(SQLiteStore(other)) as target:
        for part in store.load_index():
            target.save_index(part)
    with opened(other, clock) as ledger:
        assert [ledger.statement(name, "pro") for name in NAMES] == before
        assert ledger._index.saved == 0


def test_a_part_that_another_writer_keeps_meanwhile_does_no_harm(kept: Path, clock: Clock) -> None:
    with Ledger.open(kept, clock=clock) as ledger, Ledger.open(kept, clock=clock) as other:
        for name in NAMES:
            for writer in (ledger, other):
                writer.execute(Charge(subscriber=name, plan="pro", usage={"units": 1})).unwrap()
                writer.snapshot()
                assert writer.statement(name, "pro") == from_the_whole_log(writer, name)
    with opened(kept, clock) as ledger:
        for name in NAMES:
            assert ledger.statement(name, "pro") == from_the_whole_log(ledger, name)
