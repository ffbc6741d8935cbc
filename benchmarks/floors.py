"""Floors: what the machine itself takes for the same bytes, without prices, lots, refusals in order, or hash chains.

Floors are written as one would write them for speed alone: msgspec structs without invariants, a dict of balances that
are checked before they are charged, one frame a commit, one fdatasync.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec

from ledger.events import Charged, Recorded, Requested
from ledger.log import Commit, decode_commit

_encoder = msgspec.json.Encoder()


# -- bare writes -------------------------------------------------------------------------------------------------------


class Frames:
    """A file to which one frame after the other is appended, each durable before the call returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)

    def append(self, body: bytes) -> None:
        """Append a length and the bytes, and fdatasync the file."""
        os.write(self._file, len(body).to_bytes(4, "big") + body)
        os.fdatasync(self._file)

    def append_all(self, bodies: Iterable[bytes]) -> None:
        """Append one frame after the other."""
        for body in bodies:
            self.append(body)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def bodies(self) -> list[bytes]:
        """Read the appended bodies again."""
        data, place, found = self.path.read_bytes(), 0, []
        while place < len(data):
            end = place + 4 + int.from_bytes(data[place : place + 4], "big")
            found.append(data[place + 4 : end])
            place = end
        return found


class BareSQLite:
    """A table of the log's shape under the log's pragmas: no triggers, no hashes, no check of the head."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(
            "CREATE TABLE commits (first_seq INTEGER PRIMARY KEY, count INTEGER NOT NULL, at INTEGER NOT NULL, "
            "body ANY NOT NULL, hash BLOB NOT NULL) STRICT"
        )

    def append(self, commit: Commit) -> None:
        """Write one row in one transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        row = (commit.first_seq, commit.count, commit.at, commit.body.decode(), commit.hash)
        self._connection.execute("INSERT INTO commits VALUES (?, ?, ?, ?, ?)", row)
        self._connection.execute("COMMIT")

    def append_all(self, commits: Iterable[Commit]) -> None:
        """Write one transaction after the other."""
        for commit in commits:
            self.append(commit)

    def bodies(self) -> list[bytes]:
        """Read the appended bodies again."""
        return [body.encode() for (body,) in self._connection.execute("SELECT body FROM commits ORDER BY first_seq")]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


# -- bare structs ------------------------------------------------------------------------------------------------------


@cache
def plain(event: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The same struct (fields, tag, bytes) without the invariants that run whenever one is made or read."""
    config = event.__struct_config__
    fields: list[Any] = []
    for each in msgspec.structs.fields(event):
        if each.default_factory is not msgspec.NODEFAULT:
            fields.append((each.name, each.type, msgspec.field(default_factory=each.default_factory)))
        elif each.default is not msgspec.NODEFAULT:
            fields.append((each.name, each.type, msgspec.field(default=each.default)))
        else:
            fields.append((each.name, each.type))
    return msgspec.defstruct(
        event.__name__,
        fields,
        tag_field=config.tag_field,
        tag=config.tag,
        omit_defaults=config.omit_defaults,
        frozen=config.frozen,
        gc=config.gc,
        kw_only=True,
    )


@cache
def plain_decoder() -> msgspec.json.Decoder[list[Any]]:
    """Return a decoder of a commit's events as plain structs."""
    union: Any = None
    for event in get_args(Recorded):
        union = plain(event) if union is None else union | plain(event)
    return msgspec.json.Decoder(list[union])


class Ask(NamedTuple):
    """One event to write: the account whose balance it changes, by how much, and its fields."""

    account: int
    credits: int
    event: type[msgspec.Struct]
    fields: dict[str, Any]


def asks(commits: Iterable[Commit]) -> list[list[Ask]]:
    """Return the events that a floor must be given to write exactly the bytes of those commits."""
    held: dict[int, int] = {}
    return [
        [_ask(seq, event, held) for seq, event in enumerate(decode_commit(commit), commit.first_seq)]
        for commit in commits
    ]


def _ask(seq: int, event: Recorded, held: dict[int, int]) -> Ask:
    assert isinstance(event, Requested | Charged)
    if isinstance(event, Requested):
        credits = held[seq] = event.hold
    else:
        credits = event.credits - held.get(event.request, 0)
    made = plain(type(event))
    empty = {each.name: _default(each) for each in msgspec.structs.fields(type(event))}
    fields = {name: value for name in empty if (value := getattr(event, name)) != empty[name]}
    return Ask(event.account, credits, made, fields)


def _default(each: msgspec.structs.FieldInfo) -> object:
    if each.default_factory is not msgspec.NODEFAULT:
        return each.default_factory()
    return each.default


def decide(balances: dict[int, int], wanted: Iterable[Ask]) -> list[msgspec.Struct]:
    """Check and charge each balance; return the events, without those that an account cannot pay."""
    events = []
    for account, credits, event, fields in wanted:
        balance = balances[account]
        if balance >= credits:
            balances[account] = balance - credits
            events.append(event(**fields))
    return events


def encode(events: Sequence[object]) -> bytes:
    """Return the events as one JSON array."""
    return _encoder.encode(events)


def events_of(commits: Iterable[Commit]) -> list[list[Recorded]]:
    """Return the events of the commits, as the ledger's own structs."""
    return [decode_commit(commit) for commit in commits]


class BareLedger:
    """A dict of balances and a file of frames: the batch floor."""

    def __init__(self, path: Path, balances: dict[int, int]) -> None:
        self.balances = balances
        self.frames = Frames(path)

    def execute_many(self, wanted: Iterable[Ask]) -> None:
        """Decide, encode, append, sync."""
        self.frames.append(encode(decide(self.balances, wanted)))

    def execute_all(self, batches: Iterable[Iterable[Ask]]) -> None:
        """Execute one batch after the other."""
        for wanted in batches:
            self.execute_many(wanted)

    def close(self) -> None:
        """Close the file."""
        self.frames.close()


class BareGroups:
    """The asyncio floor: callers queue, one executor job drains the queue into one frame, all wake together."""

    def __init__(self, ledger: BareLedger) -> None:
        self._ledger = ledger
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(1)
        self._queue: list[tuple[Ask, asyncio.Future[None]]] = []
        self._draining = False

    async def execute(self, ask: Ask) -> None:
        """Queue one ask, and return when it is durable."""
        answered: asyncio.Future[None] = self._loop.create_future()
        self._queue.append((ask, answered))
        if not self._draining:
            self._draining = True
            self._loop.call_soon(self._drain)  # after the others that are ready now have queued
        await answered

    def _drain(self) -> None:
        group, self._queue = self._queue, []
        self._executor.submit(self._write, group)

    def _write(self, group: Sequence[tuple[Ask, asyncio.Future[None]]]) -> None:
        self._ledger.execute_many([ask for ask, _ in group])
        self._loop.call_soon_threadsafe(self._wake, group)

    def _wake(self, group: Sequence[tuple[Ask, asyncio.Future[None]]]) -> None:
        for _, answered in group:
            answered.set_result(None)
        self._draining = bool(self._queue)
        if self._draining:
            self._drain()

    def close(self) -> None:
        """Shut down the executor."""
        self._executor.shutdown()


async def crowd(ledger: BareLedger, shares: Sequence[Sequence[Ask]]) -> None:
    """Run as many concurrent callers as there are shares, each with one ask after the other."""
    groups = BareGroups(ledger)

    async def caller(wanted: Sequence[Ask]) -> None:
        for ask in wanted:
            await groups.execute(ask)

    await asyncio.gather(*(caller(wanted) for wanted in shares))
    groups.close()
