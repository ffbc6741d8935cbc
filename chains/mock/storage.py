"""The storage of a mock chain: an SQLite file, or SQLite in memory. Each change is one transaction, fully synced."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from ledger.errors import BadData, ChainUnavailable, SendUnknown

from .node import MockBlock, MockDeployment, MockNode, PendingState
from .transactions import Transaction, read

APPLICATION_ID = 0x4D6F636B  # "Mock"
FORMAT = 1
LOCK_SECONDS = 30

T = TypeVar("T")

SCHEMA = (
    "CREATE TABLE chain (deployment TEXT NOT NULL) STRICT",
    "CREATE TABLE blocks (number INTEGER PRIMARY KEY, hash TEXT NOT NULL, transactions TEXT NOT NULL) STRICT",
    "CREATE TABLE files (hash TEXT PRIMARY KEY, leaf_file BLOB NOT NULL) STRICT",
    "CREATE TABLE node (version INTEGER NOT NULL, forks INTEGER NOT NULL, loose TEXT NOT NULL) STRICT",
)


class Version(NamedTuple):
    """The number of writes to the chain, and the number of its reorganisations."""

    writes: int
    forks: int


class Storage:
    """The chain in the file `where`, or in memory without one. Raises ChainUnavailable, or BadData."""

    def __init__(self, where: Path | None, deployment: MockDeployment, given: frozenset[str] = frozenset()) -> None:
        self._where = "memory" if where is None else str(where)
        target = ":memory:" if where is None else f"file:{quote(str(where.absolute()))}?mode=rwc"
        with self._errors("open"):
            self._connection = sqlite3.connect(
                target, uri=where is not None, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            with self._errors("open"):
                # EXTRA also syncs the folder after a journal file is deleted, so that a reported change is durable.
                self._connection.execute("PRAGMA synchronous = EXTRA")
                self._write_ahead()
                self.deployment = self._deployed(deployment, given)
        except BaseException:
            self._connection.close()
            raise

    def version(self) -> Version:
        """Return the current version. It changes with every write."""
        return Version(*self._execute("SELECT version, forks FROM node")[0])

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read one consistent state inside the context."""
        self._execute("BEGIN")
        try:
            yield
        finally:
            self._execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Commit everything that is written inside the context durably, or nothing. Other writers wait."""
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._roll_back()
            raise
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._roll_back()
                raise ChainUnavailable(f"cannot write the chain in {self._where}: {error}") from error
            raise SendUnknown(f"{self._where} was written, perhaps not durably: {error}") from error

    def _roll_back(self) -> None:
        if self._connection.in_transaction:  # SQLite may have rolled back already
            self._connection.execute("ROLLBACK")

    def pending(self) -> PendingState:
        """Return the state beside the blocks."""
        return _decode(self._execute("SELECT loose FROM node")[0][0], PendingState)

    def blocks(self, after: int = 0) -> list[MockBlock]:
        """Return the blocks after that number; genesis is not stored."""
        rows = self._execute("SELECT number, hash, transactions FROM blocks WHERE number > ? ORDER BY number", after)
        return [MockBlock(number, hash, _decode(body, tuple[Transaction, ...])) for number, hash, body in rows]

    def published(self, data_hash: str) -> bytes | None:
        """Return the leaf file of that hash; None if it was not published."""
        rows = self._execute("SELECT leaf_file FROM files WHERE hash = ?", data_hash)
        return rows[0][0] if rows else None

    def publish(self, data_hash: str, leaf_file: bytes) -> None:
        """Store a leaf file under its hash, inside `writing`."""
        self._execute("INSERT OR IGNORE INTO files VALUES (?, ?)", data_hash, leaf_file)

    def save(self, node: MockNode) -> Version:
        """Write the node's changes, inside `writing`."""
        first = max(node.stored, 0) + 1
        rows = [(block.number, block.hash, _encode(block.transactions)) for block in node.blocks[first:]]
        writes, forks = self.version()
        if forks != node.pending.forks:
            self._execute("DELETE FROM blocks WHERE number >= ?", first)
        with self._errors("write"):
            self._connection.executemany("INSERT INTO blocks VALUES (?, ?, ?)", rows)
        version = Version(writes + 1, node.pending.forks)
        self._execute("UPDATE node SET version = ?, forks = ?, loose = ?", *version, _encode(node.pending))
        node.stored = node.height
        return version

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __del__(self) -> None:
        if hasattr(self, "_connection"):  # a test may drop a chain without closing it
            self._connection.close()

    def _write_ahead(self) -> None:
        """Use the write-ahead log: one sync per change instead of several.

        SQLite does not wait for the lock that this needs, but it does for a transaction's, so the loop waits for one.
        If other connections always get the lock first, the slower mode is used, which is as safe.
        """
        for _ in range(10):
            with suppress(sqlite3.OperationalError):
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("ROLLBACK")

    def _deployed(self, deployment: MockDeployment, given: frozenset[str]) -> MockDeployment:
        """Return the deployment in the file; an empty file becomes a chain. Fields in `given` must equal those in the
        file."""
        with self.writing():
            if not self._execute("SELECT count(*) FROM sqlite_master")[0][0]:
                for statement in SCHEMA:
                    self._execute(statement)
                self._execute("INSERT INTO chain VALUES (?)", _encode(deployment))
                self._execute("INSERT INTO node VALUES (0, 0, ?)", _encode(PendingState()))
                self._execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._execute(f"PRAGMA user_version = {FORMAT}")
            marks = [self._execute(f"PRAGMA {name}")[0][0] for name in ("application_id", "user_version")]
            if marks != [APPLICATION_ID, FORMAT]:
                raise BadData(f"{self._where} is not a mock chain of this release", "give the path of a mock chain")
            stored = _decode(self._execute("SELECT deployment FROM chain")[0][0], MockDeployment)
        for name in given:
            theirs, ours = getattr(stored, name), getattr(deployment, name)
            if theirs != ours:
                raise BadData(f"the chain in {self._where} has {name} {theirs!r}, not {ours!r}", "correct the option")
        return stored

    def _execute(self, sql: str, *parameters: object) -> list[Any]:
        with self._errors("use"):
            return self._connection.execute(sql, parameters).fetchall()

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise ChainUnavailable(f"cannot {what} the chain in {self._where}: {error}") from error
        except sqlite3.ProgrammingError as error:
            raise ChainUnavailable("the chain was closed", "connect to it again") from error
        except sqlite3.DatabaseError as error:
            message = f"{self._where} is not a mock chain, or is damaged: {error}"
            raise BadData(message, "give the path of a mock chain") from error


def _encode(value: object) -> str:
    return msgspec.json.encode(value, enc_hook=lambda transaction: transaction.raw).decode()


def _decode(text: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=kind, dec_hook=lambda _, raw: read(raw))
    except msgspec.MsgspecError as error:
        raise BadData(f"the mock chain is damaged: {error}") from error
