"""The log's rows and its schema, changed through SQLite by somebody who drops the triggers first."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from harmed_logs import Harm, Original, Readers, failures, original, seed, tell, wrongs
from unguarded import open_wide

from ledger.log import commit_hash
from ledger.stores.sqlite import SCHEMA


def by_sql(script: str, said: str | None = None, **values: Any) -> Harm:
    """A harm of one statement with values, or of a script."""

    def do(path: Path) -> None:
        with closing(open_wide(path)) as connection:
            if values:
                connection.execute(script, values)
            else:
                connection.executescript(script)

    return Harm(said or f"{script} {values or ''}", do)


def firsts(log: Original) -> list[int]:
    with closing(sqlite3.connect(log.path)) as file:
        return [first for (first,) in file.execute("SELECT first_seq FROM commits ORDER BY first_seq")]


def all_are_named(small: Original, readers: Readers, harms: list[Harm]) -> None:
    """What changes a row is no harm to free space or a cache: the audit must name it, or refuse the file."""
    answers = list(readers.answers(small, harms))
    assert failures(small, answers) == []
    assert [harm.said for harm, answer in answers if answer["audit"] == "clean"] == []


# -- commits -----------------------------------------------------------------------------------------------------------


def exchanged(one: int, other: int, columns: str) -> Harm:
    names = columns.split(", ")
    taken = ", ".join(f"(SELECT {name} FROM old WHERE first_seq = :other)" for name in names)
    given = ", ".join(f"(SELECT {name} FROM old WHERE first_seq = :one)" for name in names)

    def do(path: Path) -> None:
        with closing(open_wide(path)) as connection:
            connection.execute("CREATE TEMP TABLE old AS SELECT * FROM commits")
            places = {"one": one, "other": other}
            connection.execute(f"UPDATE commits SET ({columns}) = ({taken}) WHERE first_seq = :one", places)
            connection.execute(f"UPDATE commits SET ({columns}) = ({given}) WHERE first_seq = :other", places)

    return Harm(f"{columns} of {one} and {other} are exchanged", do)


@pytest.mark.parametrize("columns", ["body, hash, count, at", "body, hash", "body, count", "hash"])
def test_commits_that_changed_places(small: Original, readers: Readers, columns: str) -> None:
    shake, places = random.Random(seed()), firsts(small)
    pairs = [tuple(shake.sample(places, 2)) for _ in range(8)] + list(pairwise(places[4:9]))
    all_are_named(small, readers, [exchanged(one, other, columns) for one, other in pairs])


def test_a_commit_that_is_gone_or_moved_or_written_twice(small: Original, readers: Readers) -> None:
    """The last one is not among them: a tail that was cut in a row is found by a checkpoint alone."""
    harms = []
    for first in firsts(small)[:-1:3]:
        harms.append(by_sql("DELETE FROM commits WHERE first_seq = :first", first=first))
        for by in (-1, 1, 10**6):
            sql = "UPDATE OR REPLACE commits SET first_seq = first_seq + :by WHERE first_seq = :first"
            harms.append(by_sql(sql, first=first, by=by))
        twice = "INSERT INTO commits SELECT (SELECT max(first_seq + count) FROM commits), count, at, body, hash "
        harms.append(by_sql(f"{twice} FROM commits WHERE first_seq = :first", first=first))
    all_are_named(small, readers, harms)


def test_what_was_cut_off_by_rows_is_a_shorter_log_and_a_checkpoint_names_it(
    small: Original, readers: Readers, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(small.path)) as file:
        seq, hash_ = file.execute("SELECT first_seq + count - 1, hex(hash) FROM commits ORDER BY 1 DESC").fetchone()
    checkpoint = f"{seq}:{hash_.lower()}"
    harms = [by_sql("DELETE FROM commits WHERE first_seq >= :first", first=first) for first in firsts(small)[1::4]]
    assert failures(small, readers.answers(small, harms), cut=True) == []
    log = tmp_path / "cut.db"
    for harm in harms:
        log.write_bytes(small.whole)
        harm.do(log)
        assert readers.ask(["audit", str(log), "--since", checkpoint])["code"] == 1


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A second ledger that was told the very same things."""
    return original(tell(tmp_path_factory.mktemp("other") / "other.db", id="other"))


def test_commits_of_a_second_ledger(small: Original, other: Original, readers: Readers) -> None:
    """Word for word the same events at the same sequences and times: only the chain of hashes tells."""
    places = firsts(small)
    assert places == firsts(other)
    attach = f"ATTACH '{other.path}' AS other; "
    harms = []
    for first in places[::4]:
        one = "UPDATE commits SET (body, hash) = (SELECT body, hash FROM other.commits AS o WHERE o.first_seq = "
        harms.append(by_sql(f"{attach}{one}commits.first_seq) WHERE first_seq = {first}", f"other's commit {first}"))
        tail = f"DELETE FROM commits WHERE first_seq >= {first}; INSERT INTO commits SELECT * FROM other.commits "
        harms.append(by_sql(f"{attach}{tail} WHERE first_seq >= {first}", f"other's tail from {first}"))
        after = f"INSERT INTO commits SELECT first_seq + {places[-1] + 1}, count, at, body, hash FROM other.commits "
        harms.append(by_sql(f"{attach}{after} WHERE first_seq < {first}", f"other's begin, up to {first}, at the end"))
    harms.append(by_sql("UPDATE ledger SET id = 'other'", "other's name"))
    all_are_named(
        small, readers, [harm for harm in harms if harm.said != f"other's begin, up to {places[0]}, at the end"]
    )


# -- bodies ------------------------------------------------------------------------------------------------------------

DEEP = 100_000


def bodies() -> Iterator[tuple[str, bytes]]:
    event = '[{"type":"purchased","account":%s,"subscriber":%s,"plan":"pro","credits":%s,"metadata":%s}]'
    yield "arrays, deep", b"[" * DEEP + b"]" * DEEP
    yield "objects, deep", b'{"a":' * DEEP + b"1" + b"}" * DEEP
    yield "deep in a known event", (event % (1, '"x"', 1, "[" * DEEP + "]" * DEEP)).encode()
    agent = '[{"type":"agent_registered","agent":2,"name":"a","owner":"b","metadata":{"a":%s}}]'
    yield "metadata, as deep as a reader's stack", (agent % ("[" * 990 + "]" * 990)).encode()
    for number in ("9" * 19, "9" * 400, "9" * 5_000, "1e400", "-1e400", "1e-400", "NaN", "Infinity", "-0", "01", "1.0"):
        yield f"a number {number[:20]}", (event % (1, '"x"', number, "1")).encode()
        yield f"an account {number[:20]}", (event % (number, '"x"', 1, "1")).encode()
    for text in (r'"\ud800"', r'"\udc00\ud800"', r'"\u0000"', '"\x00"', '"\x01"', '"‮"', '"' + "é" * 3_000_000 + '"'):
        yield f"a text {text[:20]!r}", (event % (1, text, 1, "1")).encode()
    yield "a key twice", b'[{"type":"frozen","type":"purchased","account":1,"account":2}]'
    yield "bytes that are no UTF-8", b'[{"type":"frozen","account":1,"x":"\xff\xfe\x80"}]'
    yield "UTF-16", '[{"type":"frozen","account":1}]'.encode("utf-16")
    yield "a mark of bytes' order", b'\xef\xbb\xbf[{"type":"frozen","account":1}]'
    yield "NULs", bytes(10_000)
    yield "nothing", b""
    yield "nothing but commas", b"[" + b"," * 100_000 + b"]"
    yield "a million empty objects", b"[" + b"{}," * 1_000_000 + b"{}]"
    yield "a hundred thousand events of a kind", b"[" + b'{"type":"frozen","account":1},' * 100_000 + b"{}]"


BODIES = list(bodies())


def in_a_commit(said: str, body: bytes, first: int) -> Harm:
    return by_sql(
        "UPDATE commits SET body = CAST(:body AS TEXT) WHERE first_seq = :first",
        f"{said} in {first}",
        body=body,
        first=first,
    )


def sealed(said: str, body: bytes, count: int) -> Harm:
    """One more commit at the end, with its right hash, so that it gets as far as it can."""

    def do(path: Path) -> None:
        with closing(open_wide(path)) as connection:
            sql = "SELECT first_seq + count, at, hash FROM commits ORDER BY first_seq DESC LIMIT 1"
            first, at, before = connection.execute(sql).fetchone()
            row = (first, count, at, body, commit_hash(before, first, count, at, 1, body))
            connection.execute("INSERT INTO commits VALUES (?, ?, ?, CAST(? AS TEXT), ?)", row)

    return Harm(f"{said}, sealed", do)


def test_a_body_that_is_something_else(small: Original, readers: Readers) -> None:
    all_are_named(small, readers, [in_a_commit(said, body, firsts(small)[7]) for said, body in BODIES])


def test_a_body_that_is_something_else_and_has_its_right_hash(small: Original, readers: Readers) -> None:
    """Who writes hashes may write events, so a few of these are events: they are named by what they cannot be."""
    answers = list(readers.answers(small, [sealed(said, body, 1) for said, body in BODIES]))
    assert len(answers) == len(BODIES)
    for harm, answer in answers:
        assert answer["audit"] == "findings", harm.said
        for way in ("read", "opened"):
            assert answer[way] != "crash", (harm.said, answer["traceback"])


# -- columns -----------------------------------------------------------------------------------------------------------

VALUES = [
    "NULL",
    "''",
    "'x'",
    "'1'",
    "x''",
    "x'00'",
    "1.5",
    "-1",
    "0",
    "1e300",
    "9223372036854775807",
    "CAST(x'ff' AS TEXT)",
]
LOOSE = SCHEMA.replace(") STRICT", ")").replace(" NOT NULL", "")
"""The schema without what holds a column to its type."""


def reschema(schema: str, and_then: str = "", said: str = "") -> Harm:
    """The same rows under another schema."""

    def do(path: Path) -> None:
        with closing(open_wide(path)) as connection:
            ledger = connection.execute("SELECT * FROM ledger").fetchall()
            commits = connection.execute("SELECT first_seq, count, at, body, hash FROM commits").fetchall()
            for view in ("accounts", "plans", "agents", "events"):
                connection.execute(f"DROP VIEW {view}")
            for table in ("commits", "ledger", "snapshots", "account_index", "older_keys", "older_keys_end"):
                connection.execute(f"DROP TABLE {table}")
            connection.executescript(schema)
            connection.executemany("INSERT INTO ledger VALUES (?, ?)", ledger)
            sql = "INSERT INTO commits (first_seq, count, at, body, hash) VALUES (?, ?, ?, ?, ?)"
            connection.executemany(sql, commits)
            connection.executescript(and_then)

    return Harm(said or and_then, do)


TABLES = LOOSE[: LOOSE.index("CREATE TRIGGER")]


@pytest.mark.parametrize("column", ["first_seq", "count", "at", "body", "hash"])
def test_a_value_of_another_type_in_any_column(small: Original, readers: Readers, column: str) -> None:
    """In a commit in the middle, and in the last, where a writer would go on."""
    places = firsts(small)
    tables = TABLES.replace("first_seq INTEGER PRIMARY KEY", "first_seq ANY")
    harms = [
        reschema(tables, f"UPDATE commits SET {column} = {value} WHERE first_seq = {first}")
        for value in VALUES
        for first in (places[9], places[-1])
    ]
    all_are_named(small, readers, harms)


def test_a_count_of_nothing_in_the_last_commit_is_not_read_for_ever(small: Original, readers: Readers) -> None:
    """As STRICT lets it be, and behind a snapshot, so that an opening begins there."""
    harms = [
        by_sql("UPDATE commits SET count = :count WHERE first_seq = :first", count=count, first=firsts(small)[-1])
        for count in (0, -1, -(2**63), 2**63 - 1)
    ]
    snapshots = "INSERT OR REPLACE INTO snapshots SELECT :seq, hash, version, body, digest FROM snapshots"
    harms.append(by_sql(snapshots, seq=firsts(small)[-1] - 1))
    answers = list(readers.answers(small, harms))
    assert failures(small, answers) == []
    assert [answer["audit"] for _, answer in answers] == ["findings"] * 4 + ["clean"]


# -- the schema --------------------------------------------------------------------------------------------------------

ENDLESS = (
    "CREATE VIEW commits AS WITH RECURSIVE c(first_seq) AS (SELECT 1 UNION ALL SELECT first_seq + 1 FROM c) "
    "SELECT first_seq, 1 AS count, 1 AS at, '[]' AS body, x'00' AS hash FROM c"
)
KEPT = "ALTER TABLE commits RENAME TO kept; "
NAMED = [
    KEPT + ENDLESS,
    KEPT + "CREATE VIEW commits AS SELECT * FROM kept",
    KEPT + "CREATE VIRTUAL TABLE commits USING fts5(first_seq, count, at, body, hash)",
    "ALTER TABLE ledger RENAME TO kept; CREATE VIEW ledger AS WITH RECURSIVE c(id) AS (SELECT 'small' UNION ALL "
    "SELECT id FROM c) SELECT id, 1 AS format FROM c WHERE id = 'large'",
    "ALTER TABLE commits ADD COLUMN more TEXT",
    "ALTER TABLE commits ADD COLUMN doubled INTEGER AS (count * 2)",
    "ALTER TABLE commits RENAME COLUMN at TO made_at",
    "DROP VIEW plans; DROP VIEW agents; DROP VIEW accounts; DROP VIEW events; ALTER TABLE commits DROP COLUMN at",
    "CREATE TRIGGER more AFTER INSERT ON commits BEGIN UPDATE commits SET at = 0 WHERE first_seq = new.first_seq; END",
    "CREATE TRIGGER more BEFORE INSERT ON Commits BEGIN SELECT RAISE(IGNORE); END",
    "DROP VIEW events",
    "DROP VIEW plans; CREATE VIEW plans AS SELECT 'pro' AS plan, 'mallory' AS owner, 'USD' AS asset, 1 AS created_seq",
    "CREATE TRIGGER more INSTEAD OF INSERT ON events BEGIN SELECT 1; END",
    "CREATE UNIQUE INDEX one_at ON commits (at)",
    "DROP TABLE ledger",
    "DELETE FROM ledger",
    "INSERT INTO ledger VALUES ('large', 1)",
    "UPDATE ledger SET format = 7",
    "DROP TABLE commits",
    "PRAGMA user_version = 3",
    "PRAGMA application_id = 7",
]
"""What is named, or refused."""
WITHOUT_MEANING = [
    "DROP TABLE snapshots",
    "DROP TABLE account_index",
    "DELETE FROM snapshots",
    "UPDATE snapshots SET body = zeroblob(100000000)",
    "UPDATE snapshots SET hash = 'x', digest = 7.5, version = NULL",
    "CREATE TABLE notes (note TEXT); INSERT INTO notes VALUES ('mine')",
    "CREATE TABLE notes (note TEXT); CREATE TRIGGER mine AFTER INSERT ON notes BEGIN DELETE FROM notes; END",
    "CREATE VIEW mine AS SELECT count(*) FROM commits",
    "CREATE INDEX at ON commits (at)",
    "VACUUM",
    "PRAGMA auto_vacuum = FULL; VACUUM",
    "PRAGMA journal_mode = DELETE",
    "ANALYZE",
]
"""What is no part of the log."""


def test_a_schema_that_was_changed(small: Original, readers: Readers) -> None:
    without_rowid = TABLES.replace("hash BLOB\n)", "hash BLOB\n) WITHOUT ROWID")
    turned = TABLES.replace("first_seq INTEGER PRIMARY KEY, count", "first_seq INTEGER PRIMARY KEY, gone, count")
    harms = [by_sql(script) for script in NAMED]
    harms += [reschema(without_rowid, said="without rowid"), reschema(turned, said="a column in the middle")]
    assert len({TABLES, without_rowid, turned}) == 3
    all_are_named(small, readers, harms)


def test_a_change_that_has_no_meaning_for_the_log(small: Original, readers: Readers) -> None:
    answers = list(readers.answers(small, [by_sql(script) for script in WITHOUT_MEANING]))
    assert [
        (harm.said, wrongs(small, answer))
        for harm, answer in answers
        if answer["audit"] != "clean" or wrongs(small, answer)
    ] == []
