"""Older keys: a key is remembered for its plan's time wherever it is by then, and never charged twice in it.

The books hold the latest keys, a table of the log's file the older ones. Here a generation is four keys, so that most
are in the table, on their way there, or derived again from the log.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import combinations
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from standing_clock import BEGIN, SECOND, Clock

from ledger import (
    Answer,
    Charge,
    CreatePlan,
    Extend,
    Ledger,
    Purchase,
    Reason,
    Refused,
    RegisterAgent,
    Release,
    Request,
    books,
    older_keys,
    writer,
)
from ledger.errors import Damaged, LogError
from ledger.events import MAX_AHEAD_SECONDS
from ledger.folding import SNAPSHOT_VERSION, refold
from ledger.identity import account_key
from ledger.log import KeysEnd, StoredKey
from ledger.stores import key_table
from ledger.stores.memory import MemoryStore
from ledger.stores.schema import KEYS, KEYS_END
from ledger.stores.sqlite import SQLiteStore
from replay.audit.run import audit

DAY = 86_400 * SECOND
AHEAD = MAX_AHEAD_SECONDS * SECOND
PLANS = {
    name: CreatePlan(plan=name, owner="acme", credits=10**6, key_seconds=seconds)
    for name, seconds in (("month", 35 * 86_400), ("day", 86_400), ("minute", 60))
}
BUYS = [Purchase(subscriber="ann", plan=name) for name in PLANS]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "KEY_GENERATION", 4)
    monkeypatch.setattr(older_keys, "MAX_PENDING", 16)
    monkeypatch.setattr(writer, "SAVED_AT_ONCE", 3)


def charge(key: object, plan: str = "month") -> Charge:
    return Charge(subscriber="ann", plan=plan, key=f"{key}")


def seq(outcome: object) -> int:
    assert isinstance(outcome, Answer)
    return outcome.seq


@pytest.fixture
def ledger(path: Path, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(path, clock=clock, id="test") as opened:
        opened.execute_many([*PLANS.values(), *BUYS])
        yield opened


def stored(path: Path) -> set[bytes]:
    with closing(sqlite3.connect(path)) as connection:
        return {digest for (digest,) in connection.execute("SELECT digest FROM older_keys WHERE digest > x''")}


def sql(path: Path, script: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(script, values)
        connection.commit()


# -- wherever a key is -------------------------------------------------------------------------------------------------


class Customer:
    """Charges by keys, and knows from its own notes what each of them must be answered."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path, self.clock = path, clock
        self.ledgers = [Ledger.open(path, clock=clock, id="test"), Ledger.open(path, clock=clock)]
        self.ledgers[0].execute_many([*PLANS.values(), *BUYS])
        self.first: dict[tuple[str, str], tuple[int, int]] = {}

    def charges(self, process: int, keys: list[int], plan: str, issued: int | None) -> None:
        """Charge by some keys in one commit."""
        issued_at = None if issued is None else self.clock.now - issued
        asked = [replace(charge(key, plan), issued_at=issued_at) for key in keys]
        outcomes = self.ledgers[process].execute_many(asked)
        remembered = PLANS[plan].key_seconds * SECOND
        for command, outcome in zip(asked, outcomes, strict=True):
            known = self.first.get((plan, command.key or ""))
            if known is not None and self.clock.now < known[1]:
                assert (seq(outcome), outcome.repeated) == (known[0], True)  # type: ignore[union-attr]
            elif issued is not None and issued >= remembered:
                assert isinstance(outcome, Refused)
                assert outcome.reason is Reason.key_too_old
            else:
                assert isinstance(outcome, Answer)
                assert not outcome.repeated
                self.first[plan, command.key or ""] = (outcome.seq, outcome.at + remembered + AHEAD)

    def waits(self, time: int) -> None:
        self.clock.now += time

    def reopens(self, process: int, snapshot: bool) -> None:
        """With a snapshot, or as after a crash."""
        if snapshot:
            self.ledgers[process].snapshot()
        self.ledgers[process].close()
        self.ledgers[process] = Ledger.open(self.path, clock=self.clock)

    def loses(self, what: str) -> None:
        sql(self.path, what)

    def ends(self) -> None:
        """However the keys were spread, the books are those of the log."""
        states = {ledger.state() for ledger in self.ledgers}
        assert states == {refold(self.ledgers[0].commits()).dump()}
        for ledger in self.ledgers:
            ledger.close()


LOSSES = (
    "DELETE FROM older_keys",
    "DELETE FROM older_keys_end",
    "DELETE FROM older_keys WHERE digest = (SELECT max(digest) FROM older_keys)",
    "DELETE FROM older_keys WHERE digest IN (SELECT digest FROM older_keys WHERE seq % 2 = 0)",
    "UPDATE older_keys SET seq = seq + 1",
    "UPDATE older_keys SET next = NULL",
    "UPDATE older_keys_end SET upto = upto - 3",
    "UPDATE older_keys_end SET upto = 'x'",
    "UPDATE older_keys_end SET hash = zeroblob(32)",
    "UPDATE older_keys_end SET swept = x'01'",
)
PROCESS = st.integers(0, 1)
STEPS = st.one_of(
    st.tuples(
        st.just("charges"),
        PROCESS,
        st.lists(st.integers(0, 30), min_size=1, max_size=9),
        st.sampled_from(list(PLANS)),
        st.sampled_from([None, None, 0, 61 * SECOND, 36 * DAY]),
    ),
    st.tuples(st.just("charges"), PROCESS, st.just(list(range(12))), st.just("month"), st.none()),
    st.tuples(st.just("waits"), st.sampled_from([SECOND, 30 * SECOND, DAY // 2, 20 * DAY])),
    st.tuples(st.just("reopens"), PROCESS, st.booleans()),
    st.tuples(st.just("loses"), st.sampled_from(LOSSES)),
)


@given(steps=st.lists(STEPS, min_size=4, max_size=14))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_key_gives_its_first_answer_for_its_time_whatever_lies_between(
    steps: list[tuple[object, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two processes, their crashes and snapshots, and any loss of stored keys."""
    customer = Customer(tmp_path_factory.mktemp("log") / "toll.db", Clock())
    for name, *values in steps:
        getattr(customer, str(name))(*values)
    customer.charges(0, list(range(31)), "month", None)
    customer.charges(1, list(range(31)), "month", None)
    customer.ends()


@pytest.mark.parametrize("where", ["file", "memory"])
def test_what_is_held_in_memory_and_what_is_stored_gives_the_same_answers_and_books(
    where: str, path: Path, clock: Clock
) -> None:
    with Ledger.open(path if where == "file" else None, clock=clock, id="test") as ledger:
        ledger.execute_many([*PLANS.values(), *BUYS])
        answers = [ledger.execute(charge(number)).unwrap() for number in range(40)]
        assert [ledger.execute(charge(number)).unwrap() for number in range(40)] == [
            replace(answer, repeated=True) for answer in answers
        ]
        assert len(ledger._writer.books.keys) + len(ledger._writer.books.older_keys) <= 8
        assert ledger.state() == refold(ledger.commits()).dump()
        if where == "file":
            assert len(stored(path)) >= 40 - 8 - 4


def test_keys_of_all_kinds_of_commands_are_stored_in_their_scope(ledger: Ledger, path: Path) -> None:
    """Also where an event names its request, and no account."""
    agent = RegisterAgent(agent="bot", owner="acme", key="same")
    held = [ledger.execute(Request(subscriber="ann", plan="month", key=f"ask {n}")).unwrap().seq for n in range(2)]
    commands = [
        agent,
        Extend(request=held[0], seconds=900, key="same"),
        Charge(request=held[0], key="final"),
        Release(request=held[1], key="release"),
        charge("same", "day"),
    ]
    answers = [seq(ledger.execute(command)) for command in commands]
    for number in range(20):
        ledger.execute(charge(number)).unwrap()
    assert account_key(1, "release") in stored(path)
    assert [seq(ledger.execute(command)) for command in commands] == answers
    sql(path, "DELETE FROM older_keys_end")
    with Ledger.open(path, clock=lambda: BEGIN) as derived:
        assert [seq(derived.execute(command)) for command in commands] == answers


def test_a_snapshot_carries_the_latest_keys_only(ledger: Ledger, path: Path) -> None:
    for number in range(100):
        ledger.execute(charge(number)).unwrap()
    ledger.snapshot()
    snapshot = ledger._writer.store.load_snapshot(SNAPSHOT_VERSION)
    assert snapshot is not None
    kept = books.Books.load(snapshot.body)
    assert len(kept.keys) + len(kept.older_keys) <= 8


def test_keys_whose_time_is_over_leave_the_table(ledger: Ledger, path: Path, clock: Clock) -> None:
    for number in range(60):
        ledger.execute(charge(number, "minute")).unwrap()
    early = stored(path)
    clock.now += 60 * SECOND + AHEAD
    for number in range(60):
        ledger.execute(charge(f"later {number}")).unwrap()
    assert len(early) > 50
    assert len(early & stored(path)) < 10


def test_no_key_is_looked_for_outside_while_the_books_have_all(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SQLiteStore, "find_key", lambda *_: pytest.fail("looked for"))
    for number in range(8):
        ledger.execute(charge(number)).unwrap()


# -- failures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [LogError("full"), OSError("full")])
def test_keys_that_cannot_be_stored_stay_in_memory(
    error: Exception, ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(SQLiteStore, "save_keys", fails)
        first = [ledger.execute(charge(number)).unwrap().seq for number in range(60)]
        assert [seq(ledger.execute(charge(number))) for number in range(60)] == first
        assert stored(path) == set()
    for number in range(60, 120):
        ledger.execute(charge(number)).unwrap()
    assert [seq(ledger.execute(charge(number))) for number in range(60)] == first
    assert len(stored(path)) > 100


def test_a_process_that_only_reads_holds_few_keys(ledger: Ledger, path: Path, clock: Clock) -> None:
    with Ledger.open(path, clock=clock) as reading:
        for number in range(200):
            ledger.execute(charge(number)).unwrap()
            reading.state()
            assert len(reading._writer.older_keys._pending) <= 16 + 4
        assert seq(reading.execute(charge(3))) == seq(ledger.execute(charge(3)))


def test_another_stores_keys_are_held_until_their_time_is_over(clock: Clock) -> None:
    with Ledger(MemoryStore(), clock) as ledger:
        ledger.execute_many([*PLANS.values(), *BUYS])
        for number in range(40):
            ledger.execute(charge(number, "minute")).unwrap()
        assert len(ledger._writer.older_keys._pending) > 30
        clock.now += 61 * SECOND + AHEAD
        for number in range(9):
            ledger.execute(charge(f"later {number}")).unwrap()
        assert len(ledger._writer.older_keys._pending) < 10


@pytest.mark.parametrize("loss", [*LOSSES, "DROP TABLE older_keys", "DROP TABLE older_keys_end"])
@pytest.mark.parametrize("reopen", [False, True])
def test_a_loss_of_stored_keys_shows_and_they_are_derived_again(
    loss: str, reopen: bool, ledger: Ledger, path: Path, clock: Clock
) -> None:
    first = [ledger.execute(charge(number)).unwrap().seq for number in range(50)]
    sql(path, loss)
    other = Ledger.open(path, clock=clock) if reopen else ledger
    assert [seq(other.execute(charge(number))) for number in range(50)] == first
    for number in range(50, 80):
        seq(other.execute(charge(number)))
    assert len(stored(path)) > 60
    assert [seq(other.execute(charge(number))) for number in range(50)] == first
    other.close()


# -- the audit ---------------------------------------------------------------------------------------------------------


def with_stored_keys(path: Path) -> None:
    clock = Clock()
    with Ledger.open(path, clock=clock, id="test") as ledger:
        ledger.execute_many([*PLANS.values(), *BUYS, RegisterAgent(agent="bot", owner="acme", key="k")])
        held = ledger.execute(Request(subscriber="ann", plan="month", key="ask")).unwrap()
        ledger.execute(Extend(request=held.seq, seconds=900, key="extend")).unwrap()
        ledger.execute(Release(request=held.seq, key="release")).unwrap()
        for number in range(60):
            clock.now += 3 * SECOND
            ledger.execute(charge(number, ("month", "day", "minute")[number % 3])).unwrap()


@pytest.mark.parametrize(
    "fault",
    [
        "DELETE FROM older_keys WHERE digest = (SELECT digest FROM older_keys WHERE seq = 10)",
        "UPDATE older_keys SET seq = seq - 1 WHERE seq = 41",
        "UPDATE older_keys SET until = 0 WHERE seq = 41",
        "UPDATE older_keys SET next = x'00' WHERE seq = 41",
        "UPDATE older_keys SET next = (SELECT next FROM older_keys AS lost WHERE lost.digest = older_keys.next) "
        "WHERE digest = (SELECT min(digest) FROM older_keys); "
        "DELETE FROM older_keys WHERE digest = (SELECT min(digest) FROM older_keys WHERE digest > x'')",
        "UPDATE older_keys_end SET upto = upto + 1, hash = (SELECT hash FROM commits "
        "WHERE first_seq = older_keys_end.upto + 1)",
    ],
)
def test_the_audit_finds_stored_keys_that_are_not_the_logs(fault: str, path: Path) -> None:
    with_stored_keys(path)
    assert audit(path).findings == ()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(fault)
    assert {(finding.kind, finding.field) for finding in audit(path).findings} <= {
        ("snapshot", "key"),
        ("snapshot", "keys"),
    }
    assert audit(path).findings


@pytest.mark.parametrize("fault", ["DELETE FROM older_keys_end", "UPDATE older_keys_end SET hash = zeroblob(32)"])
def test_stored_keys_that_are_never_believed_are_no_finding(fault: str, path: Path) -> None:
    with_stored_keys(path)
    sql(path, fault)
    assert audit(path).findings == ()


# -- the table ---------------------------------------------------------------------------------------------------------


def table() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(KEYS)
    connection.execute(KEYS_END)
    key_table.clear(connection)
    return connection


def find(connection: sqlite3.Connection, digest: bytes) -> int:
    return key_table.found(connection.execute(key_table.AT_OR_BEFORE, (digest,)).fetchall(), digest, 0)


DIGESTS = [Random(number).randbytes(16) for number in range(12)]


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from(DIGESTS), max_size=6, unique=True), st.integers(1, 9), st.integers(0, 4)),
        max_size=12,
    )
)
def test_the_table_has_each_key_until_its_time_is_over_and_no_other(steps: list[tuple[list[bytes], int, int]]) -> None:
    now, upto, kept = 0, 0, dict[bytes, tuple[int, int]]()
    with closing(table()) as connection:
        for digests, lasts, wait in steps:
            now += wait
            rows = [StoredKey(digest, upto + place, now + lasts) for place, digest in enumerate(digests, 1)]
            upto += len(rows)
            key_table.insert(connection, rows, KeysEnd(upto, b"hash", now))
            kept |= {row.digest: (row.seq, row.until) for row in rows}
            for digest in DIGESTS:
                seq, until = kept.get(digest, (0, 0))
                assert find(connection, digest) in ({seq} if until > now else {seq, 0})
            links = connection.execute("SELECT digest, next FROM older_keys ORDER BY digest").fetchall()
            assert [after for _, after in links] == [*(digest for digest, _ in links[1:]), key_table.END_OF_TABLE]
            assert connection.execute(key_table.END).fetchall() == [(upto, b"hash", now)]


def test_whatever_rows_are_lost_a_lost_key_is_never_taken_for_a_new_one() -> None:
    rows = [StoredKey(digest, number, 9) for number, digest in enumerate(DIGESTS[:8], 1)]
    for size in range(1, 9):
        for lost in combinations(rows, size):
            with closing(table()) as connection:
                key_table.insert(connection, rows, KeysEnd(8, b"", 1))
                connection.executemany("DELETE FROM older_keys WHERE digest = ?", [(row.digest,) for row in lost])
                for row in rows:
                    if row in lost:
                        with pytest.raises(Damaged):
                            find(connection, row.digest)
                    else:
                        assert find(connection, row.digest) == row.seq
