"""The rows of a log's file, read by SQLite without the store, so that a damaged file is read as far as it can be."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path

from ledger.errors import Damaged, NotALog
from ledger.folding import SNAPSHOT_VERSION
from ledger.log import BINARY, TEXT, IndexPart, KeysEnd, Snapshot
from ledger.stores import key_table
from ledger.stores.lock_wait import LOCK_SECONDS
from ledger.stores.sqlite import SQLiteStore
from ledger.stores.sqlite_rows import index_digest, reading_uri, remove_side_files
from ledger.stores.wal_mark import MISSING, misses_write_ahead_file

from .file_schema import additions, differences
from .rows import BROKEN, Flaw, Row, Unreadable

_ROWS_PER_READ = 1_000


_LOCK_BYTE = 2**30


_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1


class FileRows:
    """The rows of an SQLite log, read-only, a few at a time, up to the commit that begins at `upto`, or else to the one
    that was the last when the file was opened."""

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
        """Yield all commits. Raises Unreadable at a damaged page, or at rows that are not in order."""
        after = _MIN_INTEGER
        while True:
            previous = after
            try:
                for row in self._some(after):
                    if type(row.first_seq) is not int:
                        raise Unreadable(f"after {previous} comes a row without a number")
                    if row.first_seq <= previous and previous != _MIN_INTEGER:
                        raise Unreadable(f"the rows after {previous} are not in order")
                    previous = row.first_seq
                    yield row
            except BROKEN as error:
                raise Unreadable(str(error)) from error
            if previous == after or previous >= self._upto:
                return
            after = previous

    def last(self) -> int:
        """Return the first sequence of the last commit."""
        return self._upto if self._upto != _MAX_INTEGER else 0

    def snapshots(self) -> dict[int, Snapshot]:
        """Return the snapshots that the store would load if the log has their hash."""
        found: dict[int, Snapshot] = {}
        try:
            sql = "SELECT seq, hash, version, body, digest FROM snapshots ORDER BY seq LIMIT 100"
            for seq, hash_, version, body, digest in self._connection.execute(sql):
                if not isinstance(hash_, bytes) or not isinstance(body, bytes) or version != SNAPSHOT_VERSION.encode():
                    continue
                bound = f"{seq} {hash_.hex()} {SNAPSHOT_VERSION} ".encode()
                if hashlib.sha256(bound + body).digest() == digest:
                    found[seq] = Snapshot(seq, hash_, SNAPSHOT_VERSION, body)
        except BROKEN:
            pass  # a cache that cannot be read is no cache
        return found

    def index(self) -> list[IndexPart]:
        """Return the parts of the index that a reader would load, if the log had their hash."""
        sql = "SELECT after, upto, hash, body, digest FROM account_index ORDER BY upto"
        try:
            rows = self._connection.execute(sql).fetchall()
        except BROKEN:
            return []  # a cache that cannot be read is no cache
        kinds = (int, int, bytes, bytes)
        parts = [(IndexPart(*fields), digest) for *fields, digest in rows if tuple(map(type, fields)) == kinds]
        return [part for part, digest in parts if digest == index_digest(part)]

    def keys_end(self) -> KeysEnd | None:
        """Return the end of the stored older keys, as a writer would read it."""
        try:
            return key_table.end_of(self._connection.execute(key_table.END).fetchall())
        except BROKEN:
            return None  # a cache that cannot be read is no cache

    def find_key(self, digest: bytes) -> int:
        """Return the sequence stored with a key; 0 if there is none. Raises Damaged if rows were lost."""
        try:
            rows = self._connection.execute(key_table.AT_OR_BEFORE, (digest,)).fetchall()
        except BROKEN as error:
            raise Damaged(str(error)) from error
        return key_table.found(rows, digest, 0)

    def living_keys(self) -> int | None:
        """Return the number of rows whose time was not over at their end."""
        try:
            return int(self._connection.execute(key_table.LIVING).fetchone()[0])
        except BROKEN:
            return None

    def flaws(self) -> list[Flaw]:
        """Return SQLite's findings about the pages of the commits, and where the schema is not that of a new log."""
        try:
            lines = self._connection.execute("PRAGMA quick_check('commits')").fetchall()
        except BROKEN as error:
            return [_damage(str(error))]
        pages = [_text(line) for (line,) in lines if line != b"ok"] + self._lost_pages()
        return [*map(_damage, pages), *differences(self._connection)]

    def additions(self) -> list[str]:
        """Name tables, views and indexes of a user's own in the file."""
        return additions(self._connection)

    def incomplete(self) -> str:
        """Report a missing write-ahead file, where the log's own file records that there was one with commits."""
        return MISSING if self._incomplete else ""

    def _lost_pages(self) -> list[str]:
        """Count pages that are in no table: a tree that lost its end, or its beginning, may be whole in itself.

        The count needs SQLite's statistics by table, where it was built with them (the check of a whole file skips this
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
        except BROKEN:
            return []
        if self._path.stat().st_size > _LOCK_BYTE:
            lost -= 1  # the page of SQLite's locks is in no table
        return [f"{lost} pages of {size} bytes are in no table"] if lost else []

    def close(self) -> None:
        """Close the file. Reading leaves no side files behind."""
        self._connection.close()
        remove_side_files(self._path)

    def _some(self, after: int) -> Iterator[Row]:
        cursor = self._connection.execute(
            "SELECT first_seq, count, at, typeof(body), CAST(body AS BLOB), typeof(hash), hash FROM commits "
            f"WHERE first_seq > ? AND first_seq <= ? ORDER BY first_seq LIMIT {_ROWS_PER_READ}",
            (after, self._upto),
        )
        for first_seq, count, at, body_type, body, hash_type, hash_ in cursor:
            kind = {b"text": TEXT, b"blob": BINARY}.get(body_type, 0)
            yield Row(first_seq, count, at, kind, body if kind else None, hash_ if hash_type == b"blob" else None)

    def _identify(self, path: Path) -> tuple[str, bytes]:
        """Return the ledger's id, and the hash before the first commit."""
        try:
            tables = dict(self._connection.execute("SELECT CAST(name AS TEXT), type FROM sqlite_master").fetchall())
            rows = self._connection.execute("SELECT id, format FROM ledger LIMIT 2").fetchall()
        except BROKEN as error:
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
        except BROKEN:
            return _MAX_INTEGER  # reading reports where the file is damaged
        if found is None:
            return 0
        return found if type(found) is int else _MAX_INTEGER


class BrokenFile:
    """A file whose header names a ledger and that SQLite cannot open."""

    def __init__(self, path: Path, error: NotALog) -> None:
        self.name, self.id, self.origin, self._error = str(path), "", b"", error

    def rows(self) -> Iterator[Row]:
        """Raise Unreadable."""
        raise Unreadable(str(self._error))

    def last(self) -> int:
        """Return 0: the last sequence is unknown."""
        return 0

    def snapshots(self) -> dict[int, Snapshot]:
        """Return none: they cannot be read."""
        return {}

    def index(self) -> list[IndexPart]:
        """Return no parts: none can be read."""
        return []

    def keys_end(self) -> KeysEnd | None:
        """Return None: no keys can be read."""
        return None

    def find_key(self, digest: bytes) -> int:
        """Return 0: no key can be read."""
        return 0

    def living_keys(self) -> int | None:
        """Return None: no keys can be read."""
        return None

    def flaws(self) -> list[Flaw]:
        """Return none beside the error that `rows` raises."""
        return []

    def additions(self) -> list[str]:
        """Return none: they cannot be read."""
        return []

    def incomplete(self) -> str:
        """Return nothing: it is unknown."""
        return ""

    def close(self) -> None:
        """Do nothing: no file was opened."""


def _text(raw: object) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)


def _damage(text: str) -> Flaw:
    return Flaw("file", "ok", text, f"the file is damaged: {text}")


def _check_opens(path: Path) -> None:
    """Open and close the log as any reader does, for the errors that this raises."""
    try:
        SQLiteStore(path, read_only=True, warn=False).close()  # that it is incomplete is a finding here
    except (TypeError, Damaged, UnicodeError) as error:
        raise NotALog(f"{path} is damaged or not a ledger: {error}") from error
