"""The audit finds nothing in a log that the engine wrote, and every kind of planted fault where it was planted.

Most faults are forged: a commit that the engine would never have decided is appended with its right hash, so that only
what it says is wrong.
"""

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import msgspec
import pytest
from every_way import audit
from rich_log import BEGIN, SECOND, books, direct, draws, forge, kinds_at, limited, sold, window_of
from shop import Shop
from unguarded import open_wide

from ledger import CreatePlan, Ledger, Purchase
from ledger.account_index import encode_part
from ledger.events import (
    EVENT_TYPES,
    Adjusted,
    Frozen,
    Payout,
    Reheld,
    Released,
    Reversed,
    Settlement,
    SettlementConfirmed,
    SettlementOpened,
    Started,
    Withdrawn,
    WrittenOff,
)
from ledger.folding import SNAPSHOT_VERSION, refold
from ledger.log import IndexPart, encode_commit
from ledger.plugins import stores
from ledger.stores.sqlite import SQLiteStore
from replay.audit.checks import DIFFERENCE, KINDS

pytestmark = pytest.mark.smoke


# -- nothing is found where nothing is wrong ---------------------------------------------------------------------------


def test_a_log_in_which_everything_happens_is_clean(written):
    report = audit(written.path)
    assert report.findings == ()
    assert report.verdict == "clean"
    assert report.clean
    assert [check.name for check in report.checks] == list(KINDS)
    settling = {"payouts", "root", "batch_order", "solvency"}  # see test_audit_settlements.py
    assert {check.name for check in report.checks if not check.checked} == settling, report.checks


def test_every_event_of_the_core_is_in_that_log(written):
    with closing(Ledger.open(written.path, read_only=True)) as ledger:
        told = {type(entry.event) for entry in ledger.events()}
    assert {each for each in EVENT_TYPES if not issubclass(each, Settlement)} == told


def test_the_report_is_the_contracts_audit(written):
    stored = msgspec.json.decode(msgspec.json.encode(audit(written.path)))
    assert list(stored) == [
        "log",
        "verdict",
        "head",
        "checks",
        "unverified",
        "findings",
        "warnings",
        "leaps",
        "notes",
        "ledger",
        "proven_to",
        "unseen",
        "begin",
        "versions",
        "totals",
    ]
    assert stored["log"] == str(written.path)
    assert list(stored["head"]) == ["seq", "commits", "at", "hash"]
    assert stored["head"]["at"].endswith("Z")
    assert len(stored["head"]["at"]) == 27
    assert list(stored["checks"][0]) == ["name", "checked", "findings"]
    assert stored["unverified"] == {"charges": 0, "policies": [], "batches": 0, "chains": [], "facts": 0} | {
        "prices": 0,
        "by_policy": [],
        "built_in_missing": [],
    }


def test_an_empty_log_is_clean(tmp_path):
    Ledger.open(tmp_path / "empty.db").close()
    report = audit(tmp_path / "empty.db")
    assert report.verdict == "clean"
    assert (report.head.seq, report.head.commits, report.head.at) == (0, 0, None)


def test_a_store_in_memory_is_audited_too():
    store = stores.get("memory")(None, id="memory")
    with Shop(store, now=BEGIN) as shop:
        shop.do(CreatePlan(plan="p", owner="o", credits=9))
        shop.do(Purchase(subscriber="s", plan="p"))
        shop.ledger.snapshot()
        report = audit(store)
    assert report.verdict == "clean"
    assert {check.name: check.checked for check in report.checks}["snapshot"] == 1


def test_auditing_writes_nothing(written):
    before = written.path.read_bytes()
    audit(written.path)
    assert written.path.read_bytes() == before


def test_progress_ends_at_the_head(written):
    told: list[tuple[int, int]] = []
    head = audit(written.path, progress=lambda done, all_: told.append((done, all_))).head
    assert told[-1] == (head.seq, head.seq)


def test_a_forgery_that_is_right_in_everything_is_not_found(log):
    """So what the others are found for is what is wrong in them."""
    forge(log, direct(log))
    assert audit(log.path).findings == ()


def test_the_extras_beyond_the_contract_may_be_missing(log):
    """A log written from the contract alone says less of an adjustment, and is as clean."""
    seq = forge(
        log,
        Adjusted(
            account=log.hal, charge=log.spent, credits=2, draws=((log.low, 2),), usage={"calls": 2}, reason="correction"
        ),
    )
    assert audit(log.path).findings == (), seq


# -- one planted fault for each kind -----------------------------------------------------------------------------------


def unreadable(log: Any) -> int:
    """The last leaf of the table is overwritten with nothing."""
    with closing(sqlite3.connect(log.path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'commits'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(log.path.read_bytes())
    start = (root - 1) * size
    assert data[start] == 5, "the table has more than one page"
    last = int.from_bytes(data[start + 8 : start + 12], "big")
    data[(last - 1) * size : last * size] = bytes(size)
    log.path.write_bytes(data)
    return 0


def hash_(log: Any) -> int:
    """A charge is made smaller in place; nobody computes the hash again."""
    with closing(open_wide(log.path)) as connection:
        seq = connection.execute("SELECT max(first_seq) FROM commits WHERE body LIKE '%charged%'").fetchone()[0]
        connection.execute(
            "UPDATE commits SET body = replace(body, '\"calls\":', '\"cells\":') WHERE first_seq = ?", (seq,)
        )
    return int(seq)


def sequence(log: Any) -> int:
    """A commit leaves a gap."""
    with closing(open_wide(log.path)) as connection, closing(SQLiteStore(log.path, read_only=True)) as store:
        head, last = store.head(), log.seq + 3
        commit = encode_commit(head._replace(seq=last - 1), log.at, [Frozen(account=log.hal)])
        connection.execute(
            "INSERT INTO commits VALUES (?, ?, ?, ?, ?)",
            (commit.first_seq, 1, commit.at, commit.body.decode(), commit.hash),
        )
    return last


def time(log: Any) -> int:
    return forge(log, direct(log), at=log.at - 1)


def schema(log: Any) -> int:
    return forge(log, Frozen(account=99))


def conservation(log: Any) -> int:
    """A lot is issued a second time."""
    return forge(log, Started(account=log.hal, lot=log.low, instant=log.at))


def overspend(log: Any) -> int:
    return forge(log, direct(log, credits=300, usage={"calls": 300}, draws=((log.low, 300),)))


def hold(log: Any) -> int:
    """A request ends twice."""
    return forge(log, Released(request=log.closed, reason="voided"))


def price(log: Any) -> int:
    return forge(log, direct(log, credits=2, draws=((log.low, 2),)))


def meter(log: Any) -> int:
    return forge(log, direct(log, before={"calls": 1}))


def adjustment(log: Any) -> int:
    """More is given back than was charged."""
    return forge(
        log, Adjusted(account=log.hal, charge=log.spent, credits=-11, draws=((log.low, 11),), reason="correction")
    )


def earned(log: Any) -> int:
    """Too much money leaves with unused credits."""
    return forge(log, Withdrawn(account=log.hal, draws=((log.low, 10),), money={log.low: 60}))


def batch(log: Any, **fields: Any) -> SettlementOpened:
    """A batch of nothing, as it should be opened if there were anything in escrow, but for the given fields."""
    with closing(SQLiteStore(log.path, read_only=True)) as store:
        head = store.head()
    place = {"number": 1, "chain": "none:here", "contract": "c", "asset": "USD", "covers": {"main": head.seq}}
    said = {**place, "head_seq": head.seq, "head_hash": head.hash.hex(), "root": "0x", **fields}
    return SettlementOpened(**said)


def payouts(log: Any) -> int:
    """What was paid to a receiver directly is paid once more, out of escrow."""
    return forge(log, batch(log, payouts=(Payout("acme", 90),)))


def root(log: Any) -> int:
    """The batch is bound to a log that never was."""
    return forge(log, batch(log, head_hash="11" * 32))


def batch_order(log: Any) -> int:
    """A batch is confirmed that was never opened."""
    return forge(log, SettlementConfirmed(number=1, chain="none:here", contract="c"))


def snapshot(log: Any) -> int:
    """A snapshot that holds together in itself, and is not what the log comes to."""
    with closing(SQLiteStore(log.path)) as store:
        books, head = refold(store.read()), store.head()
        books.accounts[log.hal].frozen = True
    with closing(sqlite3.connect(log.path)) as connection, connection:
        body = books.dump()
        bound = f"{head.seq} {head.hash.hex()} {SNAPSHOT_VERSION} ".encode()
        row = (head.seq, head.hash, SNAPSHOT_VERSION, body, hashlib.sha256(bound + body).digest())
        connection.execute("INSERT INTO snapshots VALUES (?, ?, ?, ?, ?)", row)
    return head.seq


def difference(log: Any) -> int:
    """One more commit than the copy has."""
    return forge(log, Frozen(account=log.hal))


def solvency(log: Any) -> int:
    """A batch pays what nobody has earned, out of what subscribers have unspent."""
    return forge(log, batch(log, payouts=(Payout("acme", 1),)))


def debt(log: Any) -> int:
    """A payment was void; what had been spent of it is owed, and another lot that has credits pays none of it."""
    spent_and_left = 10 + 88
    return forge(log, Reversed(account=log.hal, lot=log.low, credits=spent_and_left + 2, money=100))


def coverage(log: Any) -> int:
    """A request that may cost 4 gives up its hold, and nobody takes it on."""
    return forge(log, Reheld(account=log.ida, request=log.metered))


def window(log: Any) -> int:
    """A second window is sold that begins while the first one lasts."""
    return forge(log, *window_of(log, log.at + SECOND))


def limit(log: Any) -> int:
    """Of 10 credits an hour 4 are held, and a request is admitted that holds 7."""
    return forge(log, limited(log, 7))


def unpriced(log: Any) -> int:
    """Units that no rate reads are used, and not counted."""
    return forge(log, direct(log, usage={"calls": 3, "cals": 5}))


def frozen(log: Any) -> int:
    """A frozen account buys."""
    return 1 + forge(log, Frozen(account=log.hal), *sold(log))


def invoice(log: Any) -> int:
    """More is written off than is owed."""
    return forge(log, WrittenOff(account=log.una, invoice=1, money=10**6, room=5))


FAULTS: dict[str, Callable[[Any], int]] = {
    plant.__name__.rstrip("_"): plant
    for plant in (
        unreadable,
        hash_,
        sequence,
        time,
        schema,
        conservation,
        books,
        overspend,
        hold,
        price,
        meter,
        draws,
        adjustment,
        earned,
        payouts,
        root,
        batch_order,
        snapshot,
        solvency,
        debt,
        coverage,
        window,
        limit,
        unpriced,
        frozen,
        invoice,
        difference,
    )
}


def test_an_index_of_accounts_that_lacks_an_event_is_found(log):
    """A part that holds together in itself, and is not what the log comes to."""
    with closing(SQLiteStore(log.path)) as store:
        head = store.head()
        after = max((part.upto for part in store.load_index() if part.upto < head.seq), default=0)
        store.save_index(IndexPart(after, head.seq, head.hash, encode_part(after, {log.hal: [head.seq]})))
    (finding,) = audit(log.path).findings
    assert (finding.kind, finding.seq, finding.field) == ("snapshot", head.seq, "index")


def test_there_is_a_planted_fault_for_every_kind():
    assert set(FAULTS) == {*KINDS, DIFFERENCE}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_planted_fault_is_found_where_it_is(kind, log, written):
    seq = FAULTS[kind](log)
    report = audit(log.path, against=written.path if kind == DIFFERENCE else None)
    assert report.verdict == "findings"
    found = {finding.seq: finding for finding in report.findings if finding.kind == kind}
    if kind == "unreadable":
        assert 1 < min(seq for seq in found if seq is not None) <= log.seq
    else:
        assert seq in found, report.findings
        assert found[seq].message
    counted = {check.name: check.findings for check in report.checks}
    assert counted[kind] == len([each for each in report.findings if each.kind == kind])


ALONE = (
    *("hash", "schema", "overspend", "hold", "price", "meter", "draws", "earned", "snapshot", "difference"),
    *("coverage", "window", "limit", "unpriced", "frozen", "invoice"),
)


@pytest.mark.parametrize("kind", ALONE)
def test_what_is_wrong_in_one_way_is_found_in_one_way(kind, log, written):
    if kind == "hash":
        seq = hash_(log)
        assert "hash" in kinds_at(audit(log.path), seq)
        assert [each.seq for each in audit(log.path).findings if each.kind == "hash"] == [seq]
        return
    FAULTS[kind](log)
    report = audit(log.path, against=written.path if kind == DIFFERENCE else None)
    assert {finding.kind for finding in report.findings} == {kind}
