"""The log file: its bytes and hashes, recomputed from the page alone; its views; what opens it, and what does not."""

import hashlib
import json
import os
import shutil
import sqlite3
import struct
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ledger import Charge, CreatePlan, Give, Head, Ledger, Purchase, RegisterAgent, Request
from ledger.errors import Closed, Damaged, LedgerError, Locked, LogError, NotALog, NotFound, NotWritten, WrongVersion
from ledger.events import Frozen, PlanRetired, encode
from ledger.log import BINARY, TEXT, Commit, commit_hash, decode_commit, encode_commit, origin
from ledger.stores.backup import back_up
from ledger.stores.sqlite import SQLiteStore
from ledger.testing.stores import after

BEGIN = 1_700_158_546_680_590  # 2023-11-16T18:15:46.680590Z
HUGE = 10**30


def trade(path: Path) -> None:
    """A small business: two plans, an agent, three subscribers, requests charged and open, in commits of many sizes."""
    now = iter(range(BEGIN, BEGIN + 1_000))
    with Ledger.open(path, clock=lambda: next(now), id="books of acme") as ledger:
        pro = CreatePlan(plan="pro", owner="acme", asset="eip155:8453/erc20:0xa0b8", price={"acme": HUGE}, credits=100)
        ledger.execute(pro).unwrap()
        ledger.execute_many(
            [
                CreatePlan(plan="day", owner="bee", price={"bee": 5}, seconds=86_400, policy="time"),
                RegisterAgent(agent="writer", owner="acme", plans=("pro", "day")),
                *(
                    Purchase(subscriber=name, plan="pro", payment=f"paid by {name}")
                    for name in ("ann", "ben", "Zoë \0")
                ),
                Purchase(subscriber="ann", plan="day", key="a key"),
            ]
        )
        held = ledger.execute(Request(subscriber="ann", plan="pro", agent="writer", estimate={"calls": 3})).unwrap()
        ledger.execute(Charge(request=held.seq, usage={"calls": 2}))
        ledger.execute(Charge(subscriber="ben", plan="pro", usage={"calls": 1}))
        ledger.execute(Request(subscriber="ann", plan="day"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    trade(tmp_path / "toll.db")
    return tmp_path / "toll.db"


@pytest.fixture
def plain(path: Path) -> Iterator[sqlite3.Connection]:
    """The log as anyone's SQLite opens it."""
    with closing(sqlite3.connect(path)) as connection:
        yield connection


def rows(connection: sqlite3.Connection, sql: str, *parameters: object) -> list[Any]:
    return connection.execute(sql, parameters).fetchall()


# -- the hash layout ---------------------------------------------------------------------------------------------------


def layout(previous: bytes, first_seq: int, count: int, at: int, kind: int, body: bytes) -> bytes:
    """hash = SHA-256(previous[32] ‖ first_seq u64 ‖ count u32 ‖ at i64 ‖ kind u8 ‖ len(body) u64 ‖ body)."""
    fields = b"".join(
        [
            previous,
            first_seq.to_bytes(8, "big"),
            count.to_bytes(4, "big"),
            struct.pack(">q", at),
            bytes([kind]),
            len(body).to_bytes(8, "big"),
            body,
        ]
    )
    return hashlib.sha256(fields).digest()


def test_every_hash_of_a_log_is_what_the_page_says(plain: sqlite3.Connection) -> None:
    known, form = rows(plain, "SELECT id, format FROM ledger")[0]
    hash_, sequence = hashlib.sha256(known.encode() + form.to_bytes(4, "big")).digest(), 1
    commits = rows(plain, "SELECT first_seq, count, at, typeof(body), CAST(body AS BLOB), hash FROM commits ORDER BY 1")
    assert len(commits) == 6
    for first_seq, count, at, kind, body, stored in commits:
        assert (first_seq, kind) == (sequence, "text")
        assert len(json.loads(body)) == count
        hash_ = layout(hash_, first_seq, count, at, 1, body)
        assert stored == hash_
        sequence += count


def test_an_empty_log_begins_at_its_id_and_its_format() -> None:
    assert origin("a ledger") == Head(0, hashlib.sha256(b"a ledger\0\0\0\2").digest(), 0)
    assert origin("é").hash == hashlib.sha256(b"\xc3\xa9\0\0\0\2").digest()


@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_a_commit_of_either_kind_is_hashed_as_the_page_says(kind: int) -> None:
    body = b"\0\xff columns" * 50
    for first, count, at in ((1, 1, 0), (2**40, 2**32 - 1, 2**62), (2**63, 7, -1)):
        assert commit_hash(b"p" * 32, first, count, at, kind, body) == layout(b"p" * 32, first, count, at, kind, body)


def test_a_hash_covers_each_of_its_fields() -> None:
    fields: list[Any] = [b"p" * 32, 1, 2, 3, 1, b"[]"]
    others: list[Any] = [b"q" * 32, 2, 3, 4, 2, b"[ ]"]
    changed = [commit_hash(*(*fields[:place], others[place], *fields[place + 1 :])) for place in range(6)]
    assert len({commit_hash(*fields), *changed}) == 7


def test_a_ledgers_head_is_the_last_commits(path: Path, plain: sqlite3.Connection) -> None:
    with Ledger.open(path) as ledger:
        assert ledger.head == rows(plain, "SELECT first_seq + count - 1, hash, at FROM commits ORDER BY 1 DESC")[0]


def test_sealing_and_unsealing_a_commit_gives_its_events() -> None:
    events = [PlanRetired(plan="pro"), Frozen(account=1)]
    commit = encode_commit(Head(7, b"h" * 32), 5, events)
    assert (commit.first_seq, commit.last_seq, commit.kind, commit.body) == (8, 9, TEXT, encode(events))
    assert commit.head == Head(9, layout(b"h" * 32, 8, 2, 5, 1, commit.body), 5)
    assert decode_commit(commit) == events


@pytest.mark.parametrize(
    ("body", "kind", "count"),
    [
        (b'[{"type":"frozen","account":1}]', TEXT, 2),
        (b"[]", TEXT, 1),
        (b'[{"type":"thawed","account":1}]', TEXT, 1),
        (b'[{"type":"lapsed","account":1,"lot":2,"credits":-1,"instant":0}]', TEXT, 1),
        (b'[{"type":"frozen"', TEXT, 1),
        (b'[{"type":"plan_retired","plan":"\xff"}]', TEXT, 1),
        (b'[{"type":"frozen","account":1}]', BINARY, 1),
    ],
)
def test_a_body_that_does_not_hold_its_events_is_damaged(body: bytes, kind: int, count: int) -> None:
    with pytest.raises(Damaged, match="commit 1 cannot be read"):
        decode_commit(Commit(1, count, 0, kind, body, bytes(32)))


# -- the file ----------------------------------------------------------------------------------------------------------


def test_the_file_says_what_it_is(path: Path, plain: sqlite3.Connection) -> None:
    assert rows(plain, "PRAGMA application_id") == [(0x546F6C6C,)]
    assert rows(plain, "PRAGMA user_version") == [(2,)]
    assert rows(plain, "PRAGMA journal_mode") == [("wal",)]
    assert rows(plain, "PRAGMA integrity_check") == [("ok",)]
    assert rows(plain, "SELECT id, format FROM ledger") == [("books of acme", 2)]
    with closing(SQLiteStore(path)) as store:
        assert store._connection is not None
        assert rows(store._connection, "PRAGMA synchronous") == [(2,)]  # FULL


def test_a_new_file_is_in_wal_mode_and_synced_fully_from_its_first_commit(tmp_path: Path) -> None:
    with closing(SQLiteStore(tmp_path / "new.db")) as store:
        assert store._connection is not None
        assert rows(store._connection, "PRAGMA journal_mode") == [("wal",)]
        assert rows(store._connection, "PRAGMA synchronous") == [(2,)]


def test_the_tables_are_those_of_the_page(plain: sqlite3.Connection) -> None:
    def columns(table: str) -> list[Any]:
        return [(name, kind) for _, name, kind, *_ in rows(plain, f"PRAGMA table_info({table})")]

    assert columns("ledger") == [("id", "TEXT"), ("format", "INTEGER")]
    assert columns("commits") == [
        ("first_seq", "INTEGER"),
        ("count", "INTEGER"),
        ("at", "INTEGER"),
        ("body", "ANY"),
        ("hash", "BLOB"),
    ]
    assert columns("snapshots") == [
        ("seq", "INTEGER"),
        ("hash", "BLOB"),
        ("version", "TEXT"),
        ("body", "BLOB"),
        ("digest", "BLOB"),
    ]
    kinds = dict(rows(plain, "SELECT name, strict FROM pragma_table_list"))
    assert kinds["commits"] == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE commits SET body = '[]'",
        "UPDATE commits SET at = at + 1 WHERE first_seq = 1",
        "UPDATE OR REPLACE commits SET first_seq = 2 WHERE first_seq = 1",
        "DELETE FROM commits",
        "DELETE FROM commits WHERE first_seq = (SELECT max(first_seq) FROM commits)",
        "INSERT OR REPLACE INTO commits SELECT first_seq, count, at, '[]', hash FROM commits WHERE first_seq = 1",
        "REPLACE INTO commits SELECT first_seq, count, at, '[]', hash FROM commits ORDER BY first_seq DESC LIMIT 1",
        "INSERT OR IGNORE INTO commits SELECT first_seq + 1, 1, at, '[]', hash FROM commits WHERE first_seq = 2",
        "INSERT INTO commits SELECT first_seq + count + 1, 1, at, '[]', hash FROM commits ORDER BY 1 DESC LIMIT 1",
        "INSERT INTO commits SELECT first_seq + count, 0, at, '[]', hash FROM commits ORDER BY 1 DESC LIMIT 1",
        "INSERT INTO commits SELECT first_seq + count, -1, at, '[]', hash FROM commits ORDER BY 1 DESC LIMIT 1",
        "INSERT INTO commits VALUES (0, 1, 0, '[]', x'00')",
        "INSERT INTO commits VALUES (-1, 1, 0, '[]', x'00')",
        "INSERT INTO commits VALUES (NULL, 1, 0, '[]', x'00')",
        "INSERT INTO commits (count, at, body, hash) VALUES (1, 0, '[]', x'00')",
        "UPDATE ledger SET id = 'another'",
        "DELETE FROM ledger",
        "INSERT INTO ledger VALUES ('another', 1)",
        "REPLACE INTO ledger VALUES ('another', 1)",
    ],
)
def test_triggers_refuse_every_change_but_the_next_commit(plain: sqlite3.Connection, change: str) -> None:
    before = list(plain.iterdump())
    with pytest.raises(sqlite3.DatabaseError, match=r"append-only|keeps its id"):
        plain.execute(change)
    assert list(plain.iterdump()) == before


def test_an_insert_of_the_next_sequence_is_let_in_and_found_out_by_its_hash(
    path: Path, plain: sqlite3.Connection
) -> None:
    plain.execute(
        "INSERT INTO commits SELECT first_seq + count, 1, at, '[]', x'00' FROM commits ORDER BY first_seq DESC LIMIT 1"
    )
    plain.commit()
    with pytest.raises(Damaged, match="hash chain broken at sequence"):
        Ledger.open(path)


def test_a_first_commit_has_sequence_1(tmp_path: Path) -> None:
    with closing(SQLiteStore(tmp_path / "new.db")) as store, closing(sqlite3.connect(store.path)) as other:
        with pytest.raises(sqlite3.IntegrityError):
            other.execute("INSERT INTO commits VALUES (2, 1, 0, '[]', x'00')")
        other.rollback()
        store.append(store.head(), after(store.head()))
        assert store.head().seq == 1


# -- the views, by plain SQLite ----------------------------------------------------------------------------------------


def shell(path: Path, sql: str) -> list[Any]:
    """Rows from the sqlite3 shell, which has nothing of ours."""
    program = shutil.which("sqlite3")
    if program is None:
        pytest.skip("install the sqlite3 shell to run this")
    done = subprocess.run([program, "-readonly", "-json", str(path), sql], capture_output=True, check=True, text=True)
    return [tuple(row.values()) for row in json.loads(done.stdout or "[]")]


def module(path: Path, sql: str) -> list[Any]:
    """Rows from Python's own sqlite3."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return rows(connection, sql)


readers = pytest.mark.parametrize("read", [module, shell])
Read = Callable[[Path, str], list[Any]]


@readers
def test_the_view_events_has_one_row_an_event(path: Path, read: Read) -> None:
    found = read(
        path, "SELECT seq, commit_seq, type, account, agent, request, charge, credits FROM events ORDER BY seq"
    )
    assert found == [
        (1, 1, "plan_created", None, None, None, None, 100),
        (2, 2, "plan_created", None, None, None, None, None),
        (3, 2, "agent_registered", None, 1, None, None, None),
        (4, 2, "purchased", 1, None, None, None, 100),
        (5, 2, "started", 1, None, None, None, None),
        (6, 2, "purchased", 2, None, None, None, 100),
        (7, 2, "started", 2, None, None, None, None),
        (8, 2, "purchased", 3, None, None, None, 100),
        (9, 2, "started", 3, None, None, None, None),
        (10, 2, "purchased", 4, None, None, None, None),
        (11, 2, "started", 4, None, None, None, None),
        (12, 12, "requested", 1, 1, 12, None, None),
        (13, 13, "charged", 1, 1, 12, 13, 1),
        (14, 14, "charged", 2, None, None, 14, 1),
        (15, 15, "requested", 4, None, 15, None, None),
    ]


@readers
def test_the_view_events_shows_time_as_text_keys_and_the_event_whole(path: Path, read: Read) -> None:
    found = read(path, "SELECT at, key, event FROM events WHERE seq IN (1, 10) ORDER BY seq")
    assert [row[:2] for row in found] == [
        ("2023-11-16T18:15:46.680590Z", None),
        ("2023-11-16T18:15:46.680591Z", "a key"),
    ]
    assert f'"amount":{HUGE}' in found[0][2]
    with Ledger.open(path, read_only=True) as ledger:
        assert found[1][2].encode() == encode(next(ledger.events(after=9)).event)


@readers
def test_time_is_text_of_one_length_from_the_epoch_on(tmp_path: Path, read: Read) -> None:
    times = iter([0, 1, 999_999, 1_000_000, 1_700_158_546_000_007, 253_402_300_799_999_999])
    path = tmp_path / "toll.db"
    with Ledger.open(path, clock=lambda: next(times)) as ledger:
        for name in "abcdef":
            ledger.execute(CreatePlan(plan=name, owner="o", credits=1)).unwrap()
    assert [at for (at,) in read(path, "SELECT at FROM events ORDER BY seq")] == [
        "1970-01-01T00:00:00.000000Z",
        "1970-01-01T00:00:00.000001Z",
        "1970-01-01T00:00:00.999999Z",
        "1970-01-01T00:00:01.000000Z",
        "2023-11-16T18:15:46.000007Z",
        "9999-12-31T23:59:59.999999Z",
    ]


@readers
def test_the_views_of_the_catalogue_give_the_numbers_their_names(path: Path, read: Read) -> None:
    assert read(path, "SELECT account, subscriber, plan, opened_seq FROM accounts ORDER BY account")[:2] == [
        (1, "ann", "pro", 4),
        (2, "ben", "pro", 6),
    ]
    assert read(path, "SELECT account, plan, opened_seq FROM accounts WHERE account > 2 ORDER BY 1") == [
        (3, "pro", 8),
        (4, "day", 10),
    ]
    assert read(path, "SELECT plan, owner, asset, created_seq FROM plans ORDER BY created_seq") == [
        ("pro", "acme", "eip155:8453/erc20:0xa0b8", 1),
        ("day", "bee", "USD", 2),
    ]
    assert read(path, "SELECT agent, name, registered_seq FROM agents") == [(1, "writer", 3)]


@readers
def test_an_account_is_opened_once_however_often_it_buys(path: Path, read: Read) -> None:
    with Ledger.open(path) as ledger:
        ledger.execute(Purchase(subscriber="ann", plan="pro"))
        ledger.execute(Give(subscriber="ann", plan="pro", credits=5))
    assert read(path, "SELECT opened_seq FROM accounts WHERE subscriber = 'ann' AND plan = 'pro'") == [(4,)]


@readers
def test_a_commit_of_columns_is_one_row(path: Path, read: Read) -> None:
    with closing(SQLiteStore(path)) as store:
        store.append(store.head(), after(store.head(), b"ARROW1\0\0\xff", BINARY, count=1_000))
        store.append(store.head(), after(store.head(), encode([PlanRetired(plan="pro")])))
    found = read(path, "SELECT seq, commit_seq, type, account, event FROM events WHERE seq > 15 ORDER BY seq")
    assert [row[:4] for row in found] == [(16, 16, "columns", None), (1016, 1016, "plan_retired", None)]
    assert json.loads(found[0][4]) == {"type": "columns", "rows": 1_000, "format": "arrow"}
    assert len(read(path, "SELECT * FROM accounts")) == 4


def test_the_views_have_the_columns_of_the_page(plain: sqlite3.Connection) -> None:
    def columns(view: str) -> list[str]:
        return [name for _, name, *_ in rows(plain, f"PRAGMA table_info({view})")]

    wanted = "seq, commit_seq, at, type, account, agent, request, charge, credits, key, event"
    assert columns("events") == wanted.split(", ")
    assert columns("accounts") == ["account", "subscriber", "plan", "opened_seq"]
    assert columns("plans") == ["plan", "owner", "asset", "created_seq"]
    assert columns("agents") == ["agent", "name", "registered_seq"]


def test_the_views_of_an_empty_log_are_empty(tmp_path: Path) -> None:
    SQLiteStore(tmp_path / "new.db").close()
    for view in ("events", "accounts", "plans", "agents"):
        assert module(tmp_path / "new.db", f"SELECT * FROM {view}") == []


# -- what opens, and what does not -------------------------------------------------------------------------------------


def other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE commits (first_seq INTEGER PRIMARY KEY)")


def other_application(path: Path) -> None:
    trade(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 1")


def of_format(path: Path, number: int) -> None:
    trade(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {number}")


def earlier_version(path: Path) -> None:
    of_format(path, 1)


def later_version(path: Path) -> None:
    of_format(path, 3)


def text(path: Path) -> None:
    path.write_text("timestamp,input_tokens\n2023-11-16,7\n" * 100)


def short_text(path: Path) -> None:
    path.write_text("hello")


def noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


WRONG_FILES: list[tuple[Callable[[Path], object], type[LogError]]] = [
    (Path.mkdir, NotALog),
    (other_database, NotALog),
    (other_application, NotALog),
    (earlier_version, WrongVersion),
    (later_version, WrongVersion),
    (text, NotALog),
    (short_text, NotALog),
    (noise, NotALog),
]


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize(("make", "error"), WRONG_FILES, ids=[make.__name__ for make, _ in WRONG_FILES])
def test_what_is_no_log_is_refused_and_left_as_it_was(
    tmp_path: Path, make: Callable[[Path], object], error: type[LogError], read_only: bool
) -> None:
    path = tmp_path / "thing"
    make(path)
    before = None if path.is_dir() else path.read_bytes()
    with pytest.raises(error, match="thing"):
        Ledger.open(path, read_only=read_only)
    assert before == (None if path.is_dir() else path.read_bytes())
    assert os.listdir(tmp_path) == ["thing"]


@pytest.mark.parametrize("read_only", [True, False])
def test_a_log_with_a_second_id_is_refused(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "log.db"
    Ledger.open(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER ledger_is_one")
        connection.execute("INSERT INTO ledger VALUES ('another', 2)")
    with pytest.raises(NotALog, match="does not have one ledger id"):
        Ledger.open(path, read_only=read_only)


@pytest.mark.parametrize("number", [1, 3])
def test_a_log_of_another_format_is_refused_and_both_formats_are_named(tmp_path: Path, number: int) -> None:
    """Folding has changed since format 1: what its events meant then is not what they would be taken for now."""
    path = tmp_path / "books.db"
    of_format(path, number)
    with pytest.raises(
        WrongVersion, match=rf"books\.db has format {number}, and this release reads format 2"
    ) as raised:
        Ledger.open(path)
    assert raised.value.code == "wrong_version"
    assert raised.value.hint


@pytest.mark.smoke
def test_reading_a_file_that_is_not_there_does_not_make_it(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no\.db"):
        Ledger.open(tmp_path / "no.db", read_only=True)
    assert os.listdir(tmp_path) == []


def test_an_empty_file_is_no_log_to_a_reader_and_a_new_one_to_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(NotALog):
        Ledger.open(path, read_only=True)
    assert path.read_bytes() == b""
    Ledger.open(path).close()
    assert Ledger.open(path, read_only=True).head.seq == 0


@pytest.mark.parametrize("read_only", [True, False])
def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path: Path, read_only: bool) -> None:
    with pytest.raises(LogError, match=r"no/toll\.db"):
        Ledger.open(tmp_path / "no" / "toll.db", read_only=read_only)


def test_a_name_that_means_something_to_sqlite_is_only_a_name(tmp_path: Path) -> None:
    for name in ("a?mode=memory", "100%25.db", "#1.db", "file:x.db", ":memory:", "é 中.db"):
        with Ledger.open(tmp_path / name, id=name) as ledger:
            ledger.execute(CreatePlan(plan="pro", owner="acme", credits=1)).unwrap()
        assert (tmp_path / name).stat().st_size > 0
        with Ledger.open(tmp_path / name, read_only=True) as ledger:
            assert (ledger.id, ledger.head.seq) == (name, 1)


def says_the_same(path: Path, state: bytes, read_only: bool = True) -> bool:
    """Whether a log opens with these books; False where it is refused with an error of ours."""
    try:
        with Ledger.open(path, read_only=read_only) as ledger:
            assert ledger.state() == state
            return True
    except LogError:
        return False


@pytest.mark.parametrize("read_only", [True, False])
def test_a_log_that_was_cut_off_is_an_error_of_ours_or_has_lost_nothing(path: Path, read_only: bool) -> None:
    with Ledger.open(path) as ledger:
        ledger.execute_many(Give(subscriber="ann", plan="pro", credits=number + 1) for number in range(400))
        for number in range(40):
            ledger.execute_many(Give(subscriber="ben", plan="pro", credits=number + 1) for _ in range(10))
        state = ledger.state()
    whole = path.read_bytes()
    assert len(whole) > 100_000
    for size in (15, 16, 99, 100, 512, *range(2_048, len(whole) - 4_096, 2_048)):
        path.write_bytes(whole[:size])
        assert not says_the_same(path, state, read_only), size


def test_a_flipped_byte_is_an_error_of_ours_or_changes_nothing(path: Path) -> None:
    """A byte that holds nothing (an unused part of a page, a view) may be anything."""
    whole = path.read_bytes()
    with Ledger.open(path) as ledger:
        state = ledger.state()
    refused = 0
    for place in range(0, len(whole), 53):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        refused += not says_the_same(path, state)
    assert refused > 20


def test_a_log_whose_text_was_changed_is_damaged(path: Path, plain: sqlite3.Connection) -> None:
    plain.execute("DROP TRIGGER commits_are_not_updated")
    plain.execute("UPDATE commits SET body = replace(body, '\"ann\"', '\"eve\"') WHERE first_seq = 2")
    plain.commit()
    with pytest.raises(Damaged, match="sequence 2") as caught:
        Ledger.open(path)
    assert "audit" in caught.value.hint


def test_an_opening_that_fails_leaves_no_handle_on_the_file(tmp_path: Path) -> None:
    path = tmp_path / "toll.db"
    trade(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER commits_are_not_updated")
        connection.execute("UPDATE commits SET at = at - 1 WHERE first_seq = 1")
        connection.commit()
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    with pytest.raises(Damaged):
        Ledger.open(path)
    assert os.listdir(tmp_path) == ["toll.db"]
    assert before in (0, len(os.listdir("/proc/self/fd")))


def test_a_lock_that_is_held_for_too_long_is_said_to_be_held(path: Path) -> None:
    with Ledger.open(path, lock_seconds=0.05) as ledger, closing(sqlite3.connect(path, isolation_level=None)) as other:
        head = ledger.head
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Locked, match="lock"):
            ledger.execute(Give(subscriber="ann", plan="pro", credits=1))
        assert ledger.head == head
        other.execute("ROLLBACK")
        assert ledger.execute(Give(subscriber="ann", plan="pro", credits=1))


# -- reading only ------------------------------------------------------------------------------------------------------


def test_a_reader_changes_no_byte_and_leaves_nothing_behind(path: Path) -> None:
    before = path.read_bytes()
    with Ledger.open(path, read_only=True) as ledger:
        assert len(list(ledger.events())) == 15
        assert ledger.balance("ann", "pro")
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["toll.db"]


def test_a_reader_cannot_write(path: Path) -> None:
    with Ledger.open(path, read_only=True) as ledger:
        head, state = ledger.head, ledger.state()
        with pytest.raises(LedgerError):
            ledger.execute(Give(subscriber="ann", plan="pro", credits=1))
        assert (ledger.head, ledger.state()) == (head, state)


def test_a_reader_works_while_a_writer_runs(path: Path) -> None:
    with Ledger.open(path) as writer, Ledger.open(path, read_only=True) as reader:
        for credits in range(1, 20):
            writer.execute(Give(subscriber="ann", plan="pro", credits=credits))
            assert reader.head == writer.head
            assert reader.balance("ann", "pro") == writer.balance("ann", "pro")


def test_a_reader_works_in_the_middle_of_anothers_write(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with Ledger.open(path, read_only=True) as reader:
            assert reader.head.seq == 15
        other.execute("ROLLBACK")


def test_a_reader_that_has_begun_does_not_hold_up_a_writer(path: Path) -> None:
    with Ledger.open(path) as writer, Ledger.open(path, read_only=True) as reader:
        events = reader.events()
        next(events)
        writer.execute(Give(subscriber="ann", plan="pro", credits=1)).unwrap()
        assert [entry.seq for entry in events] == list(range(2, 16))


def as_a_guest(folder: Path, do: Callable[[], object]) -> object:
    """What `do` gives to somebody who may read the folder but not write there, in a process of their own."""
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads of the test run do not matter here
        child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65_534)
            said = json.dumps(do() if not os.access(folder, os.W_OK) else "the folder can be written to")
        except BaseException as error:  # noqa: BLE001 - it must not return into the parent's test
            said = json.dumps(f"{type(error).__name__}: {error}")
        os.write(theirs, said.encode())
        os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with open(ours) as answer:
        return json.load(answer)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that anybody may read and nobody but its owner may write to, not under pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def as_read(path: Path) -> Callable[[], object]:
    def read() -> object:
        with Ledger.open(path, read_only=True) as ledger:
            return [ledger.head.seq, len(list(ledger.events()))]

    return read


unix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork, to read as another user")


@unix
def test_a_log_in_a_folder_that_cannot_be_written_to_can_be_read(open_folder: Path) -> None:
    path = open_folder / "toll.db"
    trade(path)
    path.chmod(0o444)
    open_folder.chmod(0o555)
    assert as_a_guest(open_folder, as_read(path)) == [15, 15]


@unix
def test_a_guest_who_may_only_read_sees_what_a_running_writer_has_written(open_folder: Path) -> None:
    """A reader that took the file to be unchanging would pass over all that is still in the writer's side file."""
    path = open_folder / "toll.db"
    with Ledger.open(path) as writer:
        writer.execute(CreatePlan(plan="pro", owner="acme", credits=1)).unwrap()
        for side in open_folder.iterdir():
            side.chmod(0o644)
        open_folder.chmod(0o555)
        assert as_a_guest(open_folder, as_read(path)) == [1, 1]


def test_a_closed_reader_says_so(path: Path) -> None:
    ledger = Ledger.open(path, read_only=True)
    ledger.close()
    with pytest.raises(Closed):
        _ = ledger.head


@pytest.mark.parametrize("end", ["moved", "deleted", "replaced"])
def test_nothing_is_acknowledged_into_a_file_that_is_no_longer_at_its_path(tmp_path, end):
    """Systems let a process write to a file that was moved or deleted, where it would not be found again."""
    path, other = tmp_path / "toll.db", tmp_path / "other.db"
    files = [path, path.with_name("toll.db-wal"), path.with_name("toll.db-shm")]
    with Ledger.open(path) as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", credits=1)).unwrap()
        head = ledger.head
        back_up(path, other)
        for file in files:
            file.rename(tmp_path / f"moved-{file.name}") if end == "moved" else file.unlink()
        if end == "replaced":
            other.rename(path)
        with pytest.raises(NotWritten, match="was moved, deleted or replaced while it was open"):
            ledger.execute(CreatePlan(plan="other", owner="acme", credits=1))
    if end == "replaced":
        with Ledger.open(path) as ledger:
            assert ledger.head == head
            assert ledger.execute(CreatePlan(plan="other", owner="acme", credits=1))


@pytest.mark.parametrize("end", ["moved", "deleted", "replaced"])
@pytest.mark.parametrize("read_only", [True, False])
def test_nothing_is_read_from_a_file_that_is_no_longer_at_its_path(tmp_path, end, read_only):
    """A reader would show the balances of the old file for ever, beside a log that was restored and goes on."""
    path, other = tmp_path / "toll.db", tmp_path / "other.db"
    with Ledger.open(path) as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", credits=1)).unwrap()
    back_up(path, other)
    readings: list[Callable[[Ledger], object]] = [
        lambda ledger: ledger.head,
        lambda ledger: ledger.balance("ann", "pro"),
        lambda ledger: ledger.balances(),
        lambda ledger: ledger.statement("ann", "pro"),
        lambda ledger: ledger.as_of(seq=1),
        lambda ledger: list(ledger.events()),
        lambda ledger: ledger.plans(),
    ]
    with Ledger.open(path, read_only=read_only) as ledger:
        assert ledger.balance("ann", "pro") is None
        path.rename(tmp_path / "moved.db") if end == "moved" else path.unlink()
        if end == "replaced":
            other.rename(path)
        for read in readings:
            with pytest.raises(LogError, match="was moved, deleted or replaced while it was open"):
                read(ledger)
        if not read_only:  # neither is a refusal by its books, nor a repeated answer
            with pytest.raises(LogError, match="was moved, deleted or replaced while it was open"):
                ledger.execute(Give(subscriber="ann", plan="none", credits=1))


@pytest.mark.parametrize("left", ["nothing", "an empty file"])
def test_no_new_log_is_made_over_a_write_ahead_file_with_commits(tmp_path, left):
    """SQLite would remove it, and what was acknowledged with it."""
    path, ahead = tmp_path / "toll.db", tmp_path / "toll.db-wal"
    with Ledger.open(path) as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", credits=1)).unwrap()
        kept, log = ahead.read_bytes(), path.read_bytes()
    ahead.write_bytes(kept)
    path.unlink()
    if left == "an empty file":
        path.touch()
    with pytest.raises(Damaged, match="its write-ahead file has commits"):
        Ledger.open(path)
    assert ahead.read_bytes() == kept
    path.write_bytes(log)
    with Ledger.open(path) as ledger:
        assert [plan.plan for plan in ledger.plans()] == ["pro"]


def test_a_log_that_must_exist_is_not_created(tmp_path):
    path = tmp_path / "toll.db"
    for where in (path, str(path), f"sqlite://{path}"):
        with pytest.raises(NotFound):
            Ledger.open(where, create=False)
    with pytest.raises(NotFound, match="in memory"):
        Ledger.open(create=False)
    assert list(tmp_path.iterdir()) == []
    path.touch()
    with pytest.raises(NotALog):
        Ledger.open(path, create=False)
    assert path.read_bytes() == b""
    path.unlink()
    Ledger.open(path).close()
    with Ledger.open(path, create=False) as ledger:
        assert ledger.head.seq == 0
