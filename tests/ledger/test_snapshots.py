"""Snapshots change nothing but the time that opening takes, whatever becomes of them; readings as of the past."""

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from small_ledger import ASK, BUY, PRO, REFUSED, a_day, change
from standing_clock import BEGIN, SECOND, Clock

from ledger import (
    CreatePlan,
    Give,
    Ledger,
    LedgerError,
    Purchase,
    RegisterAgent,
    RetireAgent,
    RetirePlan,
    UpdateAgent,
    accounts,
    billing,
    books,
    catalogue,
    engine,
)
from ledger.books import Books
from ledger.folding import SNAPSHOT_VERSION, refold
from ledger.log import Head, Snapshot
from ledger.settlement import state
from ledger.stores.memory import MemoryStore
from ledger.stores.sqlite import SQLiteStore

# -- snapshots: a law --------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(path: Path, clock: Clock) -> tuple[bytes, Head]:
    """A log with a snapshot in the middle; what its books are."""
    with Ledger.open(path, clock=clock, id="test") as ledger:
        a_day(ledger, clock)
        ledger.snapshot()
        ledger.execute(Give(subscriber="ben", plan="pro", credits=5)).unwrap()
        return ledger.state(), ledger.head


def snapshot_of(path: Path) -> tuple[Any, ...]:
    with closing(sqlite3.connect(path)) as connection:
        return tuple(connection.execute("SELECT seq, hash, version, body, digest FROM snapshots").fetchone())


def opens_with(path: Path, kept: tuple[bytes, Head]) -> None:
    with Ledger.open(path, clock=Clock(), read_only=True) as ledger:
        assert (ledger.state(), ledger.head) == kept
        assert ledger.as_of(seq=ledger.head.seq)._books.dump() == kept[0]


@pytest.mark.smoke
def test_dropping_the_snapshots_changes_nothing(path: Path, kept: tuple[bytes, Head]) -> None:
    assert snapshot_of(path)[0] == kept[1].seq - 2
    opens_with(path, kept)
    change(path, "DELETE FROM snapshots")
    opens_with(path, kept)


def test_a_snapshot_is_used(path: Path, kept: tuple[bytes, Head]) -> None:
    """Otherwise the law would say little: the log before it is not even read."""
    change(path, "DROP TRIGGER commits_are_not_updated")
    change(path, "UPDATE commits SET body = '[]' WHERE first_seq = 1")
    with Ledger.open(path, read_only=True) as ledger:
        assert ledger.state() == kept[0]


def test_books_with_everything_that_a_catalogue_holds_are_loaded_as_they_were_saved(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", credits=5)).unwrap()
        for name in ("bot", "other"):
            ledger.execute(RegisterAgent(agent=name, owner="acme")).unwrap()
        ledger.execute(UpdateAgent(agent="bot", plans=("pro",))).unwrap()
        for retired in (RetireAgent(agent="bot"), RetirePlan(plan="pro")):
            ledger.execute(retired).unwrap()
        assert Books.load(ledger.state()).dump() == ledger.state()


def test_corrupting_any_byte_of_a_snapshots_row_changes_nothing(path: Path, kept: tuple[bytes, Head]) -> None:
    row = snapshot_of(path)
    for column, name in ((1, "hash"), (3, "body"), (4, "digest")):
        for place in range(0, len(row[column]), 1 if len(row[column]) < 100 else 29):
            wrong = bytearray(row[column])
            wrong[place] ^= 1
            change(path, f"UPDATE snapshots SET {name} = ?", bytes(wrong))
            opens_with(path, kept)
        change(path, f"UPDATE snapshots SET {name} = ?", row[column])
    opens_with(path, kept)


@pytest.mark.parametrize("value", [None, "", "text", b"", 7, 1.5])
@pytest.mark.parametrize("name", ["hash", "version", "body", "digest"])
def test_a_snapshot_with_anything_else_in_a_column_changes_nothing(
    path: Path, kept: tuple[bytes, Head], name: str, value: object
) -> None:
    change(path, f"UPDATE snapshots SET {name} = ?", value)
    opens_with(path, kept)


def test_corrupting_the_pages_of_a_snapshot_changes_nothing(path: Path, clock: Clock) -> None:
    """On the disk below SQLite: its page may no longer be one, which is SQLite's error, and no reason not to open."""
    with Ledger.open(path, clock=clock, id="test") as ledger:
        a_day(ledger, clock)
        for number in range(60):
            ledger.execute(Purchase(subscriber=f"subscriber {number}", plan="pro"))
    size = path.stat().st_size
    with Ledger.open(path, clock=clock) as ledger:
        ledger.snapshot()
        kept = ledger.state(), ledger.head
    whole = path.read_bytes()
    with closing(sqlite3.connect(path)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'snapshots'").fetchone()[0]
    begin = (root - 1) * 4_096
    places = [*range(begin, begin + 12), *range(begin + 12, begin + 4_096, 401), *range(size, len(whole), 997)]
    assert len(whole) > size + 8_192
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with Ledger.open(path, clock=clock) as ledger:
            assert (ledger.state(), ledger.head) == kept, place


def fakes(row: tuple[Any, ...], kept: tuple[bytes, Head]) -> dict[str, Snapshot]:
    """Whole in themselves, and still not this log's."""
    seq, hash_, version, body, _ = row
    rich = body.replace(b'"credits":100', b'"credits":999').replace(b'"left":', b'"left":9')
    assert rich != body
    return {
        "of another log": Snapshot(seq, bytes(32), version, rich),
        "of another place": Snapshot(seq + 1, hash_, version, rich),
        "from beyond the end": Snapshot(kept[1].seq + 100, hash_, version, rich),
        "of the head of another log": Snapshot(kept[1].seq, bytes(32), version, rich),
        "of other reducers": Snapshot(seq, hash_, "0:1", rich),
        "of no books": Snapshot(seq, hash_, version, b"{}"),
        "of nothing": Snapshot(seq, hash_, version, b""),
    }


FAKES = (
    "of another log",
    "of another place",
    "from beyond the end",
    "of the head of another log",
    "of other reducers",
    "of no books",
    "of nothing",
)


@pytest.mark.parametrize("name", FAKES)
def test_faking_a_snapshot_changes_nothing(path: Path, kept: tuple[bytes, Head], name: str) -> None:
    fake = fakes(snapshot_of(path), kept)[name]
    change(path, "DELETE FROM snapshots")
    with closing(SQLiteStore(path)) as store:
        store.save_snapshot(fake)
    opens_with(path, kept)


@pytest.mark.parametrize("name", FAKES)
def test_a_fake_that_a_simpler_store_believes_changes_nothing(path: Path, kept: tuple[bytes, Head], name: str) -> None:
    """A store that checks nothing, as somebody else's may: the engine holds a snapshot to its sequence and hash."""
    fake = fakes(snapshot_of(path), kept)[name]

    class Credulous(MemoryStore):
        def close(self) -> None:
            pass

    store = Credulous(id="test")
    with closing(SQLiteStore(path)) as log:
        for commit in log.read():
            store.append(store.head(), commit)
    store.save_snapshot(fake)
    with Ledger(store, Clock()) as ledger:
        assert (ledger.state(), ledger.head) == kept
        assert ledger.execute(Give(subscriber="ben", plan="pro", credits=1)).unwrap().seq == kept[1].seq + 1
        assert ledger.state() == refold(store.read()).dump()


def test_a_snapshot_of_another_version_of_the_reducers_is_not_used(path: Path, kept: tuple[bytes, Head]) -> None:
    with closing(SQLiteStore(path)) as store:
        whole = store.load_snapshot(SNAPSHOT_VERSION)
        assert whole is not None
        change(path, "DELETE FROM snapshots")
        store.save_snapshot(whole._replace(version=SNAPSHOT_VERSION + "0", body=b"of the future"))
        assert store.load_snapshot(SNAPSHOT_VERSION) is None
    opens_with(path, kept)


def test_a_change_of_what_books_hold_comes_with_a_new_version() -> None:
    """A field with a default would let old snapshots load, and say what the log does not. Change both together."""
    kept = [
        accounts.Reversal,
        accounts.Lot,
        accounts.OpenRequest,
        accounts.Meter,
        accounts.Correction,
        accounts.Debt,
        accounts.Account,
        billing.Billing,
        billing.Invoice,
        catalogue.Plan,
    ]
    kept += [catalogue.Agent, state.OpenBatch, state.Settling, books._Stored]
    shape = json.dumps([each.__struct_fields__ for each in kept]).encode()
    assert (books.VERSION, hashlib.sha256(shape).hexdigest()[:16]) == ("12", "bbc3493c0698de49")


def test_closing_after_much_leaves_a_snapshot_and_closing_after_little_does_not(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SNAPSHOT_EVENTS", 100)
    with Ledger.open(path, clock=clock) as ledger:
        ledger.execute_many([PRO, *[BUY] * 49])
    with pytest.raises(TypeError):
        snapshot_of(path)
    with Ledger.open(path, clock=clock) as ledger:
        ledger.execute(ASK).unwrap()
        state = ledger.state()
    assert snapshot_of(path)[0] == 100
    with Ledger.open(path, clock=clock) as ledger:
        assert ledger.state() == state
        ledger.execute(ASK).unwrap()
    assert snapshot_of(path)[0] == 100


# -- time travel -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("snapshots", [False, True])
def test_as_of_a_sequence_is_a_ledger_that_ended_there(path: Path, clock: Clock, snapshots: bool) -> None:
    with Ledger.open(path, clock=clock, id="test") as ledger:
        seen: dict[int, Any] = {}
        for number in range(12):
            ledger.execute_many([PRO, BUY] if number == 0 else [ASK, REFUSED])
            clock.now += 100 * SECOND
            seen[ledger.head.seq] = (ledger.state(), ledger.head.at)
            if snapshots and number % 5 == 0:
                ledger.snapshot()
        for seq, (state, at) in seen.items():
            reading = ledger.as_of(seq=seq)
            assert (reading._books.dump(), reading.seq, reading.at) == (state, seq, at)


def test_as_of_the_middle_of_a_commit_is_the_books_there(ledger: Ledger) -> None:
    ledger.execute_many([ASK] * 5)
    for seq in range(3, 9):
        reading = ledger.as_of(seq=seq)
        balance = reading.balance("ann", "pro")
        assert balance is not None
        assert (reading.seq, balance.held, balance.open_requests) == (seq, seq - 3, seq - 3)
    assert ledger.as_of(seq=1).balances() == []
    assert ledger.as_of(seq=0).seq == 0


def test_as_of_a_time_is_a_ledger_that_was_looked_at_then(ledger: Ledger, clock: Clock) -> None:
    """Between two commits, what had become due by then has happened, though it was written later or never."""
    ledger.execute(ASK).unwrap()
    seen: dict[int, Any] = {}
    for step in (0, 1, 599, 600, 601, 700):
        clock.now = BEGIN + step * SECOND
        seen[clock.now] = (ledger.balances(), ledger.lots("ann", "pro"), ledger.requests(), ledger.earned())
    ledger.execute(ASK).unwrap()
    for at, was in seen.items():
        if at == clock.now:
            continue
        reading = ledger.as_of(at=at)
        assert (reading.balances(), reading.lots("ann", "pro"), reading.requests(), reading.earned()) == was
    assert ledger.as_of(at=clock.now + 10**9).seq == ledger.head.seq


def test_as_of_beyond_the_end_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="ends at sequence 3"):
        ledger.as_of(seq=4)


def test_as_of_without_a_moment_is_the_head(ledger: Ledger) -> None:
    assert ledger.as_of().seq == 3
