"""The rows of a log as they stand on disk, before anything is believed of them."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Protocol

import msgspec

from ledger.errors import Damaged, LedgerError, NotALog
from ledger.folding import SNAPSHOT_VERSION
from ledger.log import COLUMNS, TEXT, IndexPart, Snapshot, origin
from ledger.plugins import IndexKeeper, Store
from ledger.stores.schema import SCHEMA
from ledger.stores.sqlite import (
    APPLICATION_ID,
    SQLiteStore,
    remove_side_files,
)
from ledger.stores.sqlite_rows import LOCK_SECONDS, index_digest, reading_uri
from ledger.stores.wal_mark import MISSING, misses_write_ahead_file

_AT_ONCE = 1_000
_LOCK_BYTE = 2**30
_OURS = (b"ledger", b"commits", b"snapshots", b"account_index")
_LEAST, _MOST = -(2**63), 2**63 - 1
_BROKEN = (sqlite3.Error, UnicodeError)
"""What reading a damaged file raises: SQLite quotes a damaged schema in its message."""


class Row(msgspec.Struct, frozen=True):
    """One commit as stored. Only `first_seq` is sure to be of its type; `body` and `hash` are None where they are not
    bytes, and `kind` is 0 where the body is neither text nor a blob."""

    first_seq: int
    count: object
    at: object
    kind: int
    body: bytes | None
    hash: bytes | None


class Unreadable(Exception):
    """The rest of the log cannot be read."""


class Source(Protocol):
    """Where rows come from. `id` is the ledger's, `origin` the hash before the first commit; it can be read more than
    once."""

    name: str
    id: str
    origin: bytes

    def rows(self) -> Iterator[Row]:
        """All commits in order. Raises Unreadable where they cannot be read further."""
        ...

    def last(self) -> int:
        """The first sequence of the last commit, as far as that can be told; 0 for an empty log."""
        ...

    def snapshots(self) -> dict[int, Snapshot]:
        """By sequence, the snapshots that claim to be of our version and whose own digest holds."""
        ...

    def index(self) -> list[IndexPart]:
        """The parts of the index of accounts whose own digest holds, in the order of their ends."""
        ...

    def flaws(self) -> list[str]:
        """What the storage itself says is damaged."""
        ...

    def incomplete(self) -> str:
        """What the storage says of commits that it had and that are not there; nothing where it does not."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


def source(where: str | Path | Store) -> Source:
    """The rows of a log file or of an open store. Raises NotFound, NotALog or WrongVersion, as opening it does."""
    if not isinstance(where, str | Path):
        return StoreRows(where)
    try:
        return FileRows(Path(where))
    except NotALog as error:
        if Path(where).is_file() and _says_it_is_a_ledger(Path(where)):
            return BrokenFile(Path(where), error)
        raise


class FileRows:
    """The rows of an SQLite log, read-only, a few at a time, up to the commit that begins at `upto`, or to the one that
    was the last when it was opened."""

    def __init__(self, path: Path, upto: int | None = None) -> None:
        self.name, self._path = str(path), path
        _check_opens(path)
        self._connection = sqlite3.connect(reading_uri(path), uri=True, timeout=LOCK_SECONDS, isolation_level=None)
        self._connection.text_factory = bytes
        try:
            self.id, self.origin = self._identify(path)
            self._incomplete = misses_write_ahead_file(self._connection, path)
            self._upto = self._last() if upto is None else upto
        except BaseException:
            self.close()
            raise

    def rows(self) -> Iterator[Row]:
        """All commits; a page that is damaged, or rows that are not in order, end them with Unreadable."""
        after = _LEAST
        while True:
            place = after
            try:
                for row in self._some(after):
                    if type(row.first_seq) is not int:
                        raise Unreadable(f"after {place} comes a row without a number")
                    if row.first_seq <= place and place != _LEAST:
                        raise Unreadable(f"the rows after {place} are not in order")
                    place = row.first_seq
                    yield row
            except _BROKEN as error:
                raise Unreadable(str(error)) from error
            if place == after or place >= self._upto:
                return
            after = place

    def last(self) -> int:
        """The first sequence of the last commit."""
        return self._upto if self._upto != _MOST else 0

    def snapshots(self) -> dict[int, Snapshot]:
        """The snapshots that the store would load, if their hash stood in the log."""
        found: dict[int, Snapshot] = {}
        try:
            sql = "SELECT seq, hash, version, body, digest FROM snapshots ORDER BY seq LIMIT 100"
            for seq, hash_, version, body, digest in self._connection.execute(sql):
                if not isinstance(hash_, bytes) or not isinstance(body, bytes) or version != SNAPSHOT_VERSION.encode():
                    continue
                bound = f"{seq} {hash_.hex()} {SNAPSHOT_VERSION} ".encode()
                if hashlib.sha256(bound + body).digest() == digest:
                    found[seq] = Snapshot(seq, hash_, SNAPSHOT_VERSION, body)
        except _BROKEN:
            pass  # a cache that cannot be read is no cache
        return found

    def index(self) -> list[IndexPart]:
        """The parts of the index that a reader would load, if their hash stood in the log."""
        sql = "SELECT after, upto, hash, body, digest FROM account_index ORDER BY upto"
        try:
            rows = self._connection.execute(sql).fetchall()
        except _BROKEN:
            return []  # a cache that cannot be read is no cache
        kinds = (int, int, bytes, bytes)
        parts = [(IndexPart(*fields), digest) for *fields, digest in rows if tuple(map(type, fields)) == kinds]
        return [part for part, digest in parts if digest == index_digest(part)]

    def flaws(self) -> list[str]:
        """What SQLite finds wrong with the pages of the commits; what is not defined as it was made, or too much."""
        try:
            lines = self._connection.execute("PRAGMA quick_check('commits')").fetchall()
            schema = self._connection.execute("SELECT name, sql, type, lower(tbl_name) FROM sqlite_master").fetchall()
        except _BROKEN as error:
            return [str(error)]
        expected = {name.encode(): sql.encode() for name, sql in _expected_schema().items()}
        flaws = [_text(line) for (line,) in lines if line != b"ok"]
        for name, sql, kind, table in schema:
            if expected.get(name, sql) != sql:
                flaws.append(f"{_text(name)} is not defined as it was made")
            elif kind == b"trigger" and name not in expected and table in _OURS:
                flaws.append(f"the trigger {_text(name)} is not the log's own")
        return flaws + self._lost_pages()

    def incomplete(self) -> str:
        """That the write-ahead file is missing, where the log's own file says that there was one with commits."""
        return MISSING if self._incomplete else ""

    def _lost_pages(self) -> list[str]:
        """Whether pages are in no table: a tree that lost its end, or its beginning, may be whole in itself.

        Told from SQLite's count of them by table, where it was built with that (the check of a whole file skips this
        where there are views).
        """
        sql = (
            "SELECT (SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count) "
            "- (SELECT sum(pageno) FROM dbstat WHERE aggregate = 1), (SELECT page_size FROM pragma_page_size)"
        )
        try:
            lost, size = self._connection.execute(sql).fetchone()
            if self._connection.execute("PRAGMA auto_vacuum").fetchone()[0]:
                return []  # it has pages of its own
        except _BROKEN:
            return []
        if self._path.stat().st_size > _LOCK_BYTE:
            lost -= 1  # the page of SQLite's locks is in no table
        return [f"{lost} pages of {size} bytes are in no table"] if lost else []

    def close(self) -> None:
        """Close the file. Reading leaves nothing behind."""
        self._connection.close()
        remove_side_files(self._path)

    def _some(self, after: int) -> Iterator[Row]:
        cursor = self._connection.execute(
            "SELECT first_seq, count, at, typeof(body), CAST(body AS BLOB), typeof(hash), hash FROM commits "
            f"WHERE first_seq > ? AND first_seq <= ? ORDER BY first_seq LIMIT {_AT_ONCE}",
            (after, self._upto),
        )
        for first_seq, count, at, body_type, body, hash_type, hash_ in cursor:
            kind = {b"text": TEXT, b"blob": COLUMNS}.get(body_type, 0)
            yield Row(first_seq, count, at, kind, body if kind else None, hash_ if hash_type == b"blob" else None)

    def _identify(self, path: Path) -> tuple[str, bytes]:
        """The ledger's id, and the hash that the chain begins from."""
        try:
            tables = dict(self._connection.execute("SELECT CAST(name AS TEXT), type FROM sqlite_master").fetchall())
            rows = self._connection.execute("SELECT id, format FROM ledger LIMIT 2").fetchall()
        except _BROKEN as error:
            raise NotALog(f"{path} is damaged or not a ledger: {error}") from error
        if tables.get(b"commits") != b"table" or tables.get(b"ledger") != b"table" or len(rows) != 1:
            raise NotALog(f"{path} has no table of commits, or not one id")
        name, version = rows[0]
        if not isinstance(name, bytes) or type(version) is not int or not 0 <= version < 2**32:
            raise NotALog(f"{path} has no id")
        return name.decode(errors="replace"), hashlib.sha256(name + struct.pack(">I", version)).digest()

    def _last(self) -> int:
        try:
            found = self._connection.execute("SELECT max(first_seq) FROM commits").fetchone()[0]
        except _BROKEN:
            return _MOST  # reading will tell where it breaks
        if found is None:
            return 0
        return found if type(found) is int else _MOST


class StoreRows:
    """The rows of an open store."""

    def __init__(self, store: Store) -> None:
        self.name = str(getattr(store, "path", store.id))
        self._store, self.id = store, store.id
        self.origin = origin(store.id).hash
        self._upto = store.head().seq

    def rows(self) -> Iterator[Row]:
        """All commits up to the head that there was at the beginning."""
        try:
            for commit in self._store.read(0):
                if commit.first_seq > self._upto:
                    return
                yield Row(commit.first_seq, commit.count, commit.at, commit.kind, commit.body, commit.hash)
        except (LedgerError, *_BROKEN) as error:
            raise Unreadable(str(error)) from error

    def last(self) -> int:
        """The last sequence."""
        return self._upto

    def snapshots(self) -> dict[int, Snapshot]:
        """The snapshots that the store would load."""
        found: dict[int, Snapshot] = {}
        upto = self._upto
        while upto > 0 and (snapshot := self._store.load_snapshot(SNAPSHOT_VERSION, upto)) is not None:
            found[snapshot.seq] = snapshot
            upto = min(upto, snapshot.seq) - 1
        return found

    def index(self) -> list[IndexPart]:
        """The parts of the index that the store would load."""
        parts = self._store.load_index() if isinstance(self._store, IndexKeeper) else []
        return [part for part in parts if part.upto <= self._upto]

    def flaws(self) -> list[str]:
        """A store says what is wrong by failing to read."""
        return []

    def incomplete(self) -> str:
        """A store says so when it is opened."""
        return ""

    def close(self) -> None:
        """The store is its owner's to close."""


class BrokenFile:
    """A file that says it is a ledger and that SQLite cannot open."""

    def __init__(self, path: Path, error: NotALog) -> None:
        self.name, self.id, self.origin, self._error = str(path), "", b"", error

    def rows(self) -> Iterator[Row]:
        """Raises Unreadable."""
        raise Unreadable(str(self._error))

    def last(self) -> int:
        """Nothing can be told."""
        return 0

    def snapshots(self) -> dict[int, Snapshot]:
        """None can be read."""
        return {}

    def index(self) -> list[IndexPart]:
        """None can be read."""
        return []

    def flaws(self) -> list[str]:
        """What `rows` says is all there is to say."""
        return []

    def incomplete(self) -> str:
        """Nothing can be told."""
        return ""

    def close(self) -> None:
        """Nothing was opened."""


def _text(raw: object) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)


def _says_it_is_a_ledger(path: Path) -> bool:
    """By the application id in the file's own header, at byte 68."""
    with path.open("rb") as file:
        header = file.read(72)
    return header.startswith(b"SQLite format 3") and header[68:] == APPLICATION_ID.to_bytes(4, "big")


@cache
def _expected_schema() -> dict[str, str]:
    with closing(sqlite3.connect(":memory:")) as made:
        made.executescript(SCHEMA)
        return dict(made.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall())


def _check_opens(path: Path) -> None:
    """Open and close the log as everyone does, for the errors that this gives."""
    try:
        SQLiteStore(path, read_only=True, warn=False).close()  # that it is incomplete is a finding here
    except (TypeError, Damaged, UnicodeError) as error:
        raise NotALog(f"{path} is damaged or not a ledger: {error}") from error
