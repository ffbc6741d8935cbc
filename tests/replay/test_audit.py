"""The audit finds nothing in a log that the engine wrote, and every kind of planted fault where it was planted.

Most faults are forged: a commit that the engine would never have decided is appended with its right hash, so that only
what it says is wrong.
"""

import hashlib
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from every_way import audit
from msgspec.structs import replace

from ledger import (
    Adjust,
    Charge,
    CreatePlan,
    Extend,
    Freeze,
    Give,
    Ledger,
    Limits,
    Purchase,
    RegisterAgent,
    Reinstate,
    Release,
    RepricePlan,
    Request,
    RetireAgent,
    RetirePlan,
    Reverse,
    Unfreeze,
    UpdateAgent,
    Withdraw,
)
from ledger.account_index import encode_part
from ledger.books import Books
from ledger.events import (
    EVENT_TYPES,
    Adjusted,
    Charged,
    CreditsLimit,
    Event,
    Extended,
    Fact,
    Frozen,
    Lapsed,
    Payout,
    PlanCreated,
    PlanRepriced,
    Purchased,
    RateLimit,
    RefusedRequests,
    Reheld,
    Reinstated,
    Released,
    Requested,
    Reversed,
    Settlement,
    SettlementConfirmed,
    SettlementOpened,
    Share,
    Started,
    Tariff,
    Unfrozen,
    Withdrawn,
)
from ledger.folding import SNAPSHOT_VERSION, refold
from ledger.log import FORMAT, IndexPart, commit_hash, decode_commit, encode_commit
from ledger.plugins import stores
from ledger.stores.memory import MemoryStore
from ledger.stores.sqlite import SQLiteStore
from replay import Report
from replay.audit.checks import DIFFERENCE, KINDS

HOLDS: dict[str, Any] = {"hold_seconds": 600, "longest_seconds": 86_400, "period": "month"}

pytestmark = pytest.mark.smoke

SECOND = 1_000_000
DAY = 86_400 * SECOND
BEGIN = 1_701_388_680 * SECOND  # two minutes before December 2023
PRICE = {"acme": 90, "fee": 10}
TIERS = [{"up_to": 10, "unit": 2, "flat": 1}, {"up_to": None, "unit": "1/2", "flat": 0}]
CHEAPER = [{"up_to": 6, "unit": 3, "flat": 0}, {"up_to": None, "unit": "1/2", "flat": 0}]


class Story:
    """A ledger with a clock, and the sequences of what was done on it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def do(self, command: Any) -> int:
        answer = self.ledger.execute(command)
        assert answer, f"{command}: {answer}"
        return answer.seq


def tell(path: Path) -> SimpleNamespace:
    """A log in which everything happens. Returns the sequences that the forgeries build on."""
    clock = SimpleNamespace(now=BEGIN)
    with Ledger.open(path, clock=lambda: clock.now, id="rich") as ledger:
        do = Story(ledger).do
        catalogue(do)
        names = carol(do, clock)
        debts(do, clock)
        periods(do, clock)
        windows(do, clock)
        ledger.snapshot()
        names |= ending(do, clock)
        assert not ledger.execute(Request(subscriber="carol", plan="plain", estimate={"calls": 10**6}))
        do(Release(request=names["open"]))
        names["open"] = do(Request(subscriber="hal", plan="plain", estimate={"calls": 2}))
        return SimpleNamespace(**names)


def catalogue(do: Callable[[Any], int]) -> None:
    plain = {"policy": "per_credit", "parameters": {"credits": 1, "per": "call"}, "price": PRICE}
    do(CreatePlan(plan="plain", owner="acme", credits=100, record_refusals=True, key="k1", **plain))
    do(CreatePlan(plan="owing", owner="acme", credits=10, overrun="debt", debt_limit=20, on_lapse="refund", **plain))
    graduated = {"policy": "graduated", "parameters": {"dimension": "tokens", "tiers": TIERS}, "price": PRICE}
    do(CreatePlan(plan="tiers", owner="acme", credits=100, limits=Limits(open=9), **graduated))
    volume = {"policy": "volume", "parameters": {"dimension": "tokens", "tiers": CHEAPER}, "price": {"acme": 10**30}}
    do(CreatePlan(plan="volume", owner="acme", credits=100, period="day", asset="eip155:1/slip44:60", **volume))
    weighed = {"policy": "complexity", "parameters": {"weights": {"tokens": "2/3"}, "minimum": 2}, "price": PRICE}
    do(CreatePlan(plan="hybrid", owner="acme", credits=50, seconds=600, **weighed))
    do(CreatePlan(plan="window", owner="acme", seconds=3_600, policy="time", price=PRICE))
    do(CreatePlan(plan="trial", owner="acme", credits=3, trial=True, **{**plain, "price": {}}))
    limits = Limits(rate=RateLimit(2, 60), credits=CreditsLimit(10, 3_600), open=2)
    do(CreatePlan(plan="limited", owner="acme", credits=100, limits=limits, **plain))
    do(RegisterAgent(agent="bot", owner="acme", plans=("plain", "tiers")))
    do(UpdateAgent(agent="bot", metadata={"depth": [1, {"2": None}]}))
    do(RetireAgent(agent="bot"))
    do(RegisterAgent(agent="ant", owner="acme", plans=("plain", "window")))


def carol(do: Callable[[Any], int], clock: Any) -> dict[str, int]:
    """On a plain plan: two lots, requests that end in every way, corrections."""
    at = {"subscriber": "carol", "plan": "plain"}
    names = {
        "first": do(Purchase(**at, payment="invoice-1", key="k")),
        "second": do(Give(**at, credits=30, priority=1)),
    }
    names["third"] = do(Give(**at, credits=5, expiry=clock.now + 20 * SECOND))
    request = do(Request(**at, agent="ant", estimate={"calls": 9}))
    do(Charge(request=request, usage={"calls": 2}, final=False))
    clock.now += 5 * SECOND
    do(Extend(request=request, seconds=900))
    names = {"closed": request, "charge": do(Charge(request=request, usage={"calls": 9}))}
    do(Release(request=do(Request(**at, estimate={"calls": 3})), reason="failed"))
    late = do(Request(**at))
    clock.now += 700 * SECOND  # into December; the third lot and the late request expire
    do(Charge(request=late, usage={"calls": 2}, occurred_at=BEGIN))
    do(Adjust(charge=names["charge"], credits=-3))
    do(Adjust(charge=names["charge"], usage={"calls": 4}, reason="late"))
    do(Adjust(subscriber="carol", plan="plain", period="2023-11", credits=-1, reason="refund"))
    return names


def debts(do: Callable[[Any], int], clock: Any) -> None:
    """Debt that is made, paid by the next lot, corrected; a purchase reversed while a request is open."""
    at = {"subscriber": "dora", "plan": "owing"}
    first = do(Purchase(**at, funding="direct"))
    request = do(Request(**at, estimate={"calls": 4}))
    over = do(Charge(**at, usage={"calls": 12}))
    do(Purchase(**at))
    do(Adjust(charge=over, credits=-7))
    do(Reverse(**at, lot=first, amount=30))
    do(Reverse(**at, lot=first))
    do(Reinstate(**at, lot=first))
    do(Reverse(**at, lot=first))
    clock.now += SECOND
    do(Charge(request=request, usage={"calls": 6}))
    do(Give(**at, credits=40, expiry=clock.now + 30 * SECOND))
    clock.now += 60 * SECOND
    do(Purchase(**at))  # what was left of the gift is refunded before it
    do(Withdraw(**at, credits=4, reason="asked"))


def periods(do: Callable[[Any], int], clock: Any) -> None:
    """Tariffs by period, repriced in between; a total that falls."""
    at = {"subscriber": "emil", "plan": "tiers"}
    do(Purchase(**at))
    requests = [do(Request(**at, estimate={"tokens": 6})) for _ in range(3)]
    do(RepricePlan(plan="tiers", policy="package", parameters={"dimension": "tokens", "size": 5, "credits": 4}))
    for request in requests:
        do(Charge(request=request, usage={"tokens": 7}))
    do(Charge(**at, usage={"tokens": 3}))
    do(Adjust(**at, period="2023-12", usage={"tokens": -9}))
    at = {"subscriber": "ebba", "plan": "tiers"}
    do(Give(**at, credits=8))  # two packages, which three requests share
    first, second, third = [do(Request(**at, estimate={"tokens": 3})) for _ in range(3)]
    do(Charge(request=third, usage={"tokens": 3}))  # the second one lends its hold
    do(Release(request=first))  # and takes on what returns of the first one's
    do(Charge(request=second, usage={"tokens": 3}))
    at = {"subscriber": "emil", "plan": "volume"}
    do(Purchase(**at))
    for tokens in (5, 1, 1, 9):
        do(Charge(**at, usage={"tokens": tokens}))
    clock.now += 3 * DAY
    do(Charge(**at, usage={"tokens": 4}, occurred_at=clock.now - 2 * DAY))


def windows(do: Callable[[Any], int], clock: Any) -> None:
    """Time plans and hybrids, trials, freezing, a window that is cut, one that never starts."""
    do(Purchase(subscriber="fay", plan="window"))
    do(Charge(request=do(Request(subscriber="fay", plan="window", agent="ant")), usage={"seconds": 5}))
    do(Purchase(subscriber="fay", plan="window"))
    clock.now += 1_000 * SECOND
    do(Withdraw(subscriber="fay", plan="window"))
    do(Purchase(subscriber="gus", plan="hybrid"))
    request = do(Request(subscriber="gus", plan="hybrid", estimate={"tokens": 7}))
    clock.now += 599 * SECOND
    do(Extend(request=request, seconds=700))
    clock.now += 10 * SECOND
    do(Charge(request=request, usage={"tokens": 4}))  # what returns to the lot lapses
    do(Purchase(subscriber="gus", plan="trial"))
    do(Freeze(subscriber="gus", plan="trial"))
    do(Unfreeze(subscriber="gus", plan="trial"))
    do(RetirePlan(plan="trial"))


def ending(do: Callable[[Any], int], clock: Any) -> dict[str, int]:
    """What the forgeries build on: hal has two living lots, one closed request, one charge, one open request."""
    at = {"subscriber": "hal", "plan": "plain"}
    names = {"low": do(Purchase(**at)), "high": do(Give(**at, credits=40, priority=5))}
    names["ended"] = do(Request(**at))
    names["spent"] = do(Charge(request=names["ended"], usage={"calls": 10}))
    names["open"] = do(Request(**at, estimate={"calls": 2}))
    names["waits"] = do(Give(**at, credits=7, start=clock.now + 50 * DAY))
    at = {"subscriber": "ida", "plan": "tiers"}
    names["package"] = do(Purchase(**at))
    names["metered"] = do(Request(**at, estimate={"tokens": 3}))
    at = {"subscriber": "jo", "plan": "window"}
    names["month"] = do(Purchase(**at))
    at = {"subscriber": "lea", "plan": "plain"}
    names["five"] = do(Give(**at, credits=5))
    names["short"] = do(Charge(request=do(Request(**at, estimate={"calls": 5})), usage={"calls": 8}))
    at = {"subscriber": "kay", "plan": "limited"}
    names["limited"] = do(Purchase(**at))
    names["counted"] = do(Request(**at, estimate={"calls": 4}))
    return names


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    path = tmp_path_factory.mktemp("audit") / "rich.db"
    names = tell(path)
    return SimpleNamespace(path=path, **vars(names))


@pytest.fixture
def log(written: SimpleNamespace, tmp_path: Path) -> SimpleNamespace:
    """A copy to do damage to, the numbers of the accounts that forgeries are about, and the time of its end."""
    path = tmp_path / "log.db"
    shutil.copy(written.path, path)
    with closing(SQLiteStore(path, read_only=True)) as store:
        books, head = refold(store.read()), store.head()
    who = {name: number for (name, _), number in books.names.items() if name in ("hal", "ida", "jo", "kay", "lea")}
    return SimpleNamespace(**{**vars(written), **who, "path": path, "at": head.at, "seq": head.seq})


def forge(log: Any, *events: Event, at: int | None = None) -> int:
    """Append a commit that nobody decided. Returns the sequence of its first event."""
    with closing(SQLiteStore(log.path)) as store:
        commit = encode_commit(store.head(), log.at if at is None else at, list(events))
        store.append(store.head(), commit)
    return commit.first_seq


def open_wide(path: Path) -> sqlite3.Connection:
    """The file without the triggers that keep it append-only."""
    connection = sqlite3.connect(path, isolation_level=None)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    return connection


def kinds_at(report: Report, seq: int | None) -> set[str]:
    return {finding.kind for finding in report.findings if finding.seq == seq}


def direct(log: Any, **fields: Any) -> Charged:
    """hal is charged for 3 calls, directly; as it should be, but for the given fields."""
    right = {"account": log.hal, "credits": 3, "draws": ((log.low, 3),), "usage": {"calls": 3}, "tariff": 1}
    return Charged(**{**right, "period": "2023-12", **fields})


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
    assert list(stored) == ["log", "verdict", "head", "checks", "unverified", "findings", "warnings", "leaps"]
    assert stored["log"] == str(written.path)
    assert list(stored["head"]) == ["seq", "commits", "at", "hash"]
    assert stored["head"]["at"].endswith("Z")
    assert len(stored["head"]["at"]) == 27
    assert list(stored["checks"][0]) == ["name", "checked", "findings"]
    assert stored["unverified"] == {"charges": 0, "policies": [], "batches": 0, "chains": [], "facts": 0}


def test_an_empty_log_is_clean(tmp_path):
    Ledger.open(tmp_path / "empty.db").close()
    report = audit(tmp_path / "empty.db")
    assert report.verdict == "clean"
    assert (report.head.seq, report.head.commits, report.head.at) == (0, 0, None)


def test_a_store_in_memory_is_audited_too():
    store = stores.get("memory")(None, id="memory")
    with closing(Ledger(store, clock=lambda: BEGIN)) as ledger:
        Story(ledger).do(CreatePlan(plan="p", owner="o", credits=9))
        Story(ledger).do(Purchase(subscriber="s", plan="p"))
        ledger.snapshot()
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


def books(log: Any) -> int:
    """More debt is given back than there ever was: the account's debt is no longer the sum of its debts."""
    back = Adjusted(account=log.hal, charge=log.spent, credits=-5, draws=((0, 5),), reason="correction")
    return forge(log, back)


def overspend(log: Any) -> int:
    return forge(log, direct(log, credits=300, usage={"calls": 300}, draws=((log.low, 300),)))


def hold(log: Any) -> int:
    """A request ends twice."""
    return forge(log, Released(request=log.closed, reason="voided"))


def price(log: Any) -> int:
    return forge(log, direct(log, credits=2, draws=((log.low, 2),)))


def meter(log: Any) -> int:
    return forge(log, direct(log, before={"calls": 1}))


def draws(log: Any) -> int:
    """The lot with the lower priority is used first."""
    return forge(log, direct(log, draws=((log.high, 3),)))


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


def window_of(log: Any, start: int) -> list[Event]:
    end = start + 3_600 * SECOND
    said = {"subscriber": "jo", "plan": "window", "cost": 100, "shares": (Share("acme", 90), Share("fee", 10))}
    return [Purchased(account=log.jo, seconds=3_600, asset="USD", start=start, expiry=end, **said)]


def window(log: Any) -> int:
    """A second window is sold that begins while the first one lasts."""
    return forge(log, *window_of(log, log.at + SECOND))


def limit(log: Any) -> int:
    """Of 10 credits an hour 4 are held, and a request is admitted that holds 7."""
    return forge(log, limited(log, 7))


def limited(log: Any, calls: int) -> Requested:
    draws = ((log.limited, calls),)
    return request(log, account=log.kay, hold=calls, draws=draws, estimate={"calls": calls})


def unpriced(log: Any) -> int:
    """Units that no rate reads are used, and not counted."""
    return forge(log, direct(log, usage={"calls": 3, "cals": 5}))


def frozen(log: Any) -> int:
    """A frozen account buys."""
    return 1 + forge(log, Frozen(account=log.hal), *sold(log))


def sold(log: Any, **fields: Any) -> list[Event]:
    said = {"account": log.hal, "subscriber": "hal", "plan": "plain", "credits": 100, "asset": "USD", "cost": 100}
    shares = (Share("acme", 90), Share("fee", 10))
    return [Purchased(**{**said, "shares": shares, "start": log.at + DAY, **fields})]


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
    *("coverage", "window", "limit", "unpriced", "frozen"),
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


# -- more faults, by what they break -----------------------------------------------------------------------------------


def request(log: Any, **fields: Any) -> Requested:
    """hal asks for 4 calls; as it should be, but for the given fields."""
    right = {"account": log.hal, "hold": 4, "draws": ((log.low, 4),), "estimate": {"calls": 4}, "tariff": 1}
    return Requested(**{**right, "deadline": log.at + 600 * SECOND, **fields})


def correct(log: Any, credits: int, *lots: tuple[int, int], **fields: Any) -> Adjusted:
    return Adjusted(
        account=log.hal, credits=credits, draws=lots, **{"charge": log.spent, "reason": "correction", **fields}
    )


def less(log: Any, calls: int, paid: int) -> Adjusted:
    """lea paid 5 of 8 calls; it was so many fewer, and of what was paid so much is given back."""
    draws = ((log.five, paid),) if paid else ()
    usage = {"calls": -calls} if calls else {}
    said = {"charge": log.short, "credits": -paid, "draws": draws, "shortfall": paid - calls if calls else 0}
    return Adjusted(account=log.lea, usage=usage, reason="correction", metered="2023-12", **said)


def ends(log: Any, lot: int) -> int:
    """When a lot of jo's ends."""
    expiry = books_of(log.path).accounts[log.jo].lots[lot].expiry
    assert expiry is not None
    return expiry


MORE: list[tuple[str, str, Callable[[Any], list[Event]]]] = [
    (
        "time",
        "an instant ahead of its commit",
        lambda log: [Started(account=log.hal, lot=log.waits, instant=log.at + 50 * DAY)],
    ),
    (
        "time",
        "a lapse before the expiry",
        lambda log: [Lapsed(account=log.hal, lot=log.low, credits=88, instant=log.at)],
    ),
    ("time", "a deadline too far", lambda log: [Extended(request=log.open, deadline=log.at + 2 * DAY)]),
    ("time", "a deadline that moves back", lambda log: [Extended(request=log.open, deadline=log.at)]),
    ("time", "another hold time than the plan's", lambda log: [request(log, deadline=log.at + SECOND)]),
    ("time", "a charge that says it is late", lambda log: [direct(log, late=True)]),
    (
        "time",
        "a new expiry in the past",
        lambda log: [correct(log, -1, (log.low, 1), metered="2023-12", expiry=log.at)],
    ),
    ("schema", "a request that never was", lambda log: [Released(request=log.low, reason="voided")]),
    ("schema", "an unknown lot", lambda log: [Started(account=log.hal, lot=1, instant=log.at)]),
    ("schema", "an unknown agent", lambda log: [request(log, agent=9)]),
    ("schema", "an unknown tariff version", lambda log: [direct(log, tariff=7)]),
    ("schema", "an unknown charge", lambda log: [correct(log, 1, (log.low, 1), charge=log.open)]),
    ("schema", "another account's charge", lambda log: [correct(log, 1, (log.low, 1), charge=log.charge)]),
    (
        "schema",
        "another account's request",
        lambda log: [Charged(account=1, request=log.open, tariff=1, period="2023-12")],
    ),
    ("schema", "a number that is taken", lambda log: [Purchased(account=1, subscriber="x", plan="plain", credits=1)]),
    ("schema", "an unknown plan", lambda log: [Purchased(account=99, subscriber="x", plan="none", credits=1)]),
    (
        "schema",
        "a lot that ends first",
        lambda log: [Purchased(account=log.hal, subscriber="hal", plan="plain", credits=1, expiry=log.at - 1)],
    ),
    (
        "schema",
        "a plan made twice",
        lambda log: [
            PlanCreated(
                plan="plain",
                owner="x",
                asset="USD",
                credits=1,
                **HOLDS,
                tariff=Tariff(version=1, policy="per_credit", policy_version=1),
            )
        ],
    ),
    (
        "schema",
        "a tariff version left out",
        lambda log: [PlanRepriced(plan="plain", tariff=Tariff(version=3, policy="per_credit", policy_version=1))],
    ),
    ("schema", "a reason off the list", lambda log: [RefusedRequests(reason="mood", plan="plain", count=1)]),
    (
        "schema",
        "a lot reversed twice",
        lambda log: [
            Reversed(account=log.hal, lot=log.low, credits=100, money=100),
            Reversed(account=log.hal, lot=log.low),
        ],
    ),
    ("schema", "a fingerprint of no digits", lambda log: [direct(log, key="k", fingerprint="xyz")]),
    (
        "conservation",
        "more money back than was paid",
        lambda log: [Withdrawn(account=log.hal, draws=((log.low, 1),), money={log.low: 101})],
    ),
    (
        "books",
        "debt paid that was not there",
        lambda log: [Started(account=log.hal, lot=log.waits, draws=((0, 7),), instant=log.at)],
    ),
    (
        "overspend",
        "debt without a rule for it",
        lambda log: [direct(log, credits=130, usage={"calls": 130}, draws=((log.low, 88), (log.high, 40), (0, 2)))],
    ),
    ("overspend", "a direct charge that is capped", lambda log: [direct(log, draws=(), credits=0, shortfall=3)]),
    (
        "overspend",
        "more withdrawn than is left",
        lambda log: [Withdrawn(account=log.hal, draws=((log.low, 99),), money={log.low: 100})],
    ),
    ("hold", "less held than the estimate costs", lambda log: [request(log, hold=1, draws=((log.low, 1),))]),
    ("frozen", "a request on a frozen account", lambda log: [Frozen(account=log.hal), request(log)]),
    ("frozen", "a direct charge of a frozen account", lambda log: [Frozen(account=log.hal), direct(log)]),
    ("frozen", "an account unfrozen that was not", lambda log: [Unfrozen(account=log.hal)]),
    (
        "frozen",
        "a freeze undone that a chain asked for",
        lambda log: [Frozen(account=log.hal, fact=Fact("c:1", "c", "1")), Unfrozen(account=log.hal)],
    ),
    (
        "window",
        "a window behind one that was reversed",
        lambda log: [
            Reversed(account=log.jo, lot=log.month, money=100),
            *window_of(log, ends(log, log.month)),
        ],
    ),
    (
        "window",
        "a window that is shorter than what was sold",
        lambda log: [replace(window_of(log, ends(log, log.month))[0], expiry=ends(log, log.month) + SECOND)],
    ),
    ("limit", "a third request at once", lambda log: [limited(log, 1), limited(log, 1)]),
    (
        "unpriced",
        "a request for what has no price",
        lambda log: [request(log, estimate={"calls": 4, "cals": 1})],
    ),
    ("unpriced", "units counted that have a price", lambda log: [direct(log, unpriced={"calls": 3})]),
    (
        "unpriced",
        "a correction whose units nobody counts",
        lambda log: [correct(log, 2, (log.low, 2), usage={"calls": 2, "cals": 9}, metered="2023-12")],
    ),
    (
        "coverage",
        "a hold that grows beyond what is needed",
        lambda log: [Reheld(account=log.ida, request=log.metered, draws=((log.package, 5),))],
    ),
    ("coverage", "a hold that is given up", lambda log: [Reheld(account=log.hal, request=log.open)]),
    (
        "draws",
        "a released hold that pays a debt that is not there",
        lambda log: [Released(request=log.open, reason="voided", repaid=((log.low, 1),))],
    ),
    (
        "draws",
        "a part of a payment that takes all credits",
        lambda log: [Reversed(account=log.hal, lot=log.low, credits=100, money=50)],
    ),
    ("earned", "nothing reversed of a payment", lambda log: [Reversed(account=log.hal, lot=log.low)]),
    ("earned", "more reversed than was paid", lambda log: [Reversed(account=log.hal, lot=log.low, money=101)]),
    (
        "draws",
        "more reinstated than was reversed",
        lambda log: [
            Reversed(account=log.hal, lot=log.low, credits=50, money=50),
            Reinstated(account=log.hal, lot=log.low, credits=51, money=50),
        ],
    ),
    ("schema", "a lot reinstated that stands", lambda log: [Reinstated(account=log.hal, lot=log.low)]),
    (
        "schema",
        "a payment that was void, granted again",
        lambda log: [
            *sold(log, payment="x"),
            Reversed(account=log.hal, lot=log.seq + 1, payment="x", credits=100, money=100),
            *sold(log, payment="x"),
        ],
    ),
    (
        "schema",
        "a lot that starts though its payment was void",
        lambda log: [
            *sold(log),
            Reversed(account=log.hal, lot=log.seq + 1, credits=100, money=100),
            Started(account=log.hal, lot=log.seq + 1, instant=log.at + DAY),
        ],
    ),
    ("hold", "a charge of a closed request", lambda log: [direct(log, request=log.ended)]),
    (
        "price",
        "lines that come to something else",
        lambda log: [msgspec.convert(msgspec.to_builtins(direct(log)) | {"lines": [{"credits": "2"}]}, Charged)],
    ),
    (
        "price",
        "another tariff than the request's",
        lambda log: [
            PlanRepriced(
                plan="plain", tariff=Tariff(version=2, policy="per_credit", policy_version=1, parameters={"credits": 3})
            ),
            Charged(
                account=log.hal,
                request=log.open,
                credits=3,
                draws=((log.low, 2), (log.low, 1)),
                usage={"calls": 1},
                tariff=2,
                period="2023-12",
            ),
        ],
    ),
    (
        "price",
        "a correction of usage that is not priced",
        lambda log: [correct(log, 3, (log.low, 3), usage={"calls": 2}, metered="2023-12")],
    ),
    ("meter", "another period", lambda log: [direct(log, period="2023-11")]),
    ("meter", "another period's meter is corrected", lambda log: [correct(log, -1, (log.low, 1), metered="2023-11")]),
    ("meter", "an empty meter that claims more", lambda log: [direct(log, continues=True)]),
    (
        "draws",
        "a hold that is passed over",
        lambda log: [
            Charged(
                account=log.hal,
                request=log.open,
                credits=2,
                draws=((log.high, 2),),
                usage={"calls": 2},
                tariff=1,
                period="2023-12",
            ),
        ],
    ),
    (
        "draws",
        "a shortfall while credits are left",
        lambda log: [
            Charged(
                account=log.hal,
                request=log.open,
                credits=3,
                shortfall=1,
                draws=((log.low, 3),),
                usage={"calls": 4},
                tariff=1,
                period="2023-12",
            ),
        ],
    ),
    ("draws", "a request that skips a lot", lambda log: [request(log, draws=((log.high, 4),))]),
    (
        "adjustment",
        "back to a lot that was not drawn on",
        lambda log: [correct(log, -2, (log.high, 2), metered="2023-12")],
    ),
    (
        "adjustment",
        "what was never paid is given back",
        lambda log: [less(log, 2, paid=2)],
    ),
    (
        "adjustment",
        "more was never paid than is said",
        lambda log: [less(log, 4, paid=0)],
    ),
    (
        "adjustment",
        "credits that are given back lower what was never paid",
        lambda log: [replace(less(log, 0, paid=2), shortfall=-1)],
    ),
    (
        "earned",
        "unused credits leave without their money",
        lambda log: [Withdrawn(account=log.hal, draws=((log.low, 10),))],
    ),
]


@pytest.mark.parametrize(("kind", "what", "events"), MORE, ids=[f"{kind}: {what}" for kind, what, _ in MORE])
def test_it_is_also_found(kind, what, events, log):
    forged = events(log)
    seq = forge(log, *forged)
    report = audit(log.path)
    assert kind in kinds_at(report, seq + len(forged) - 1), report.findings


@pytest.mark.parametrize(("calls", "paid"), [(2, 0), (3, 0), (4, 1), (8, 5)])
def test_what_was_never_paid_is_owed_no_more_before_anything_goes_back(calls, paid, log):
    forge(log, less(log, calls, paid))
    assert audit(log.path).findings == ()


def test_a_tier_that_gives_back_what_was_never_paid_is_found():
    """7 tokens cost 21, of which 14 are paid; the eighth makes the period 13 cheaper: 7 of that nobody paid."""
    tiers = [{"up_to": 7, "unit": 3}, {"up_to": None, "unit": 1}]
    plan = {"policy": "volume", "parameters": {"dimension": "tokens", "tiers": tiers}}
    at = {"subscriber": "ann", "plan": "p"}
    store = MemoryStore(id="tiers")
    with Ledger(store, lambda: BEGIN) as ledger:
        do = Story(ledger).do
        do(CreatePlan(plan="p", owner="o", credits=14, **plan))
        lot = do(Purchase(**at))
        do(Charge(request=do(Request(**at, estimate={"tokens": 1})), usage={"tokens": 7}))
        seq = do(Charge(**at, usage={"tokens": 1})) + 1
        fall = next(each.event for each in ledger.events() if each.seq == seq)
        assert isinstance(fall, Adjusted)
        assert (fall.credits, fall.shortfall) == (-6, -7)
        assert audit(store).findings == ()
        wrong = replace(fall, credits=-13, shortfall=0, draws=((lot, 13),))
        found = audit(changed(store, fall, wrong)).findings
        assert [(each.kind, each.seq, each.field) for each in found][:2] == [
            ("price", seq, "credits"),
            ("adjustment", seq, "shortfall"),
        ]


def changed(store: MemoryStore, event: Event, instead: Event) -> MemoryStore:
    """The log with one event instead of another, and every hash as it must be."""
    other = MemoryStore(id=store.id)
    for commit in store.read():
        events = [instead if each == event else each for each in decode_commit(commit)]
        other.append(other.head(), encode_commit(other.head(), commit.at, events))
    return other


def test_the_last_charge_of_an_old_period_may_make_it_cheaper():
    """The meter of the day on which a request was admitted is kept until that ends; then it falls, and is gone."""
    tiers = [{"up_to": 7, "unit": 3}, {"up_to": None, "unit": 1}]
    plan = {"policy": "volume", "parameters": {"dimension": "tokens", "tiers": tiers}, "period": "day"}
    at = {"subscriber": "ann", "plan": "p"}
    store, clock = MemoryStore(id="old"), SimpleNamespace(now=BEGIN)
    with Ledger(store, lambda: clock.now) as ledger:
        do = Story(ledger).do
        last = {"hold_seconds": 9 * 86_400, "longest_seconds": 9 * 86_400}
        do(CreatePlan(plan="p", owner="o", credits=100, **plan, **last))
        do(Purchase(**at))
        do(Charge(**at, usage={"tokens": 7}))
        request = do(Request(**at, estimate={"tokens": 1}))
        clock.now += 5 * DAY
        do(Charge(request=request, usage={"tokens": 1}))
        tier = [each.event for each in ledger.events()][-1]
        assert (tier.period, tier.credits) == ("2023-11-30", -13)
        assert audit(store).findings == ()


# -- holds that count together -----------------------------------------------------------------------------------------


class Package:
    """6 credits, and packages of 4 tokens for 3: three requests of 2 tokens hold 3, 0 and 3; the second one is charged
    first, and has the 3 of the last one. `gives`, `takes` and `charged` say how; what stands before them is kept."""

    def __init__(self) -> None:
        store = MemoryStore(id="lent")
        at = {"subscriber": "ann", "plan": "p"}
        plan = {"policy": "package", "parameters": {"dimension": "tokens", "size": 4, "credits": 3}}
        with Ledger(store, lambda: BEGIN) as ledger:
            do = Story(ledger).do
            do(CreatePlan(plan="p", owner="o", credits=6, **plan))
            do(Purchase(**at))
            self.requests = [do(Request(**at, estimate={"tokens": 2})) for _ in range(3)]
            do(Charge(request=self.requests[1], usage={"tokens": 2}))
            assert audit(store).findings == ()
            *self._before, last = store.read()
            self.gives, self.takes, self.charged = (replace(each) for each in decode_commit(last))

    def otherwise(self, *events: Event) -> list[tuple[str, str]]:
        """What is found where the last commit is another one."""
        store = MemoryStore(id="lent")
        for commit in self._before:
            store.append(store.head(), commit)
        store.append(store.head(), encode_commit(store.head(), BEGIN, list(events)))
        return [(each.kind, each.field) for each in audit(store).findings]


def test_a_charge_is_not_short_while_others_hold_more_than_they_may_cost():
    log = Package()
    assert log.otherwise(replace(log.charged, credits=0, draws=(), shortfall=3)) == [("coverage", "draws")]


def test_others_give_up_only_what_they_do_not_need():
    """The price is 3, and all 6 that are held are lent to it: then the others hold nothing, and may cost 3."""
    log = Package()
    (lot, _), *_ = log.takes.draws
    gives = Reheld(account=1, request=log.requests[0])
    found = log.otherwise(log.gives, gives, replace(log.takes, draws=((lot, 6),)), log.charged)
    assert set(found) == {("coverage", "draws"), ("coverage", "holds")}


def test_the_youngest_request_gives_first():
    log = Package()
    gives = replace(log.gives, request=log.requests[0])
    assert log.otherwise(gives, log.takes, log.charged) == [("coverage", "request")]


def test_what_a_request_gave_up_is_held_by_another():
    log = Package()
    assert ("coverage", "draws") in log.otherwise(log.gives, log.charged)


# -- leaps of the clock ------------------------------------------------------------------------------------------------


def leaps(*times: int) -> list[tuple[int, int, int]]:
    """What the audit says of a log whose commits, after the first, are so many seconds after its begin."""
    store = MemoryStore(id="clock")
    clock = SimpleNamespace(now=BEGIN)
    with Ledger(store, lambda: clock.now) as ledger:
        Story(ledger).do(CreatePlan(plan="p", owner="o", credits=9))
        for seconds in times:
            clock.now = BEGIN + seconds * SECOND
            Story(ledger).do(Give(subscriber="s", plan="p", credits=1))
        report = audit(store)
    assert report.verdict == "clean"
    return [(each.seq, each.ahead_us // SECOND, each.commits) for each in report.leaps]


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ((1, 2, 3, 4), []),
        ((1, 86_400, 86_401, 86_402), []),  # a quiet day
        ((1, 61, 61, 61), []),  # no more than a minute
        ((1, 86_401, 2, 3, 4), [(4, 86_400, 3)]),
        ((1, 86_401, 2, 3, 86_402), [(4, 86_400, 2)]),
        ((1, 86_401, 2), []),
        ((90, 2, 3, 200, 95, 96), [(2, 90, 2), (8, 110, 2)]),
    ],
)
def test_a_clock_that_leapt_ahead_and_stood_still_is_told_and_is_no_finding(times, told):
    assert leaps(*times) == told


def test_each_limit_is_judged_by_itself(log):
    """Two requests in a minute, two open, 10 credits an hour: 1 request is open and holds 4."""
    seq = forge(log, limited(log, 6), limited(log, 1))
    assert [(each.seq, each.kind, each.field) for each in audit(log.path).findings] == [
        (seq + 1, "limit", "rate"),
        (seq + 1, "limit", "credits"),
        (seq + 1, "limit", "open"),
    ]


def test_credits_that_return_to_an_expired_lot_must_lapse_in_the_same_commit(log):
    lot = forge(
        log,
        Purchased(
            account=log.hal, subscriber="hal", plan="plain", kind="gift", credits=3, expiry=log.at + 1, priority=-9
        ),
        Started(account=log.hal, lot=log.seq + 1, instant=log.at),
        request(log, hold=3, estimate={"calls": 3}, draws=((log.seq + 1, 3),)),
    )
    assert audit(log.path).findings == ()
    seq = forge(log, Released(request=lot + 2, reason="voided"), at=log.at + 2)
    assert kinds_at(audit(log.path), seq) == {"time"}


def test_what_was_due_must_be_written_before_anything_else(log):
    seq = forge(log, Frozen(account=log.hal), at=log.at + 3_600 * SECOND)
    assert kinds_at(audit(log.path), seq) == {"time"}


def test_what_was_due_is_written_in_its_order(log):
    later = log.at + 60 * DAY
    hal = books_of(log.path).accounts[log.hal]
    start, opened = hal.lots[log.waits].start, hal.requests[log.open].deadline
    right = (
        Released(request=log.open, reason="expired", instant=opened),
        Started(account=log.hal, lot=log.waits, instant=start),
    )
    copy = log.path.with_name("copy.db")
    shutil.copy(log.path, copy)
    forge(log, *right, at=later)
    assert audit(log.path).findings == ()
    seq = forge(SimpleNamespace(**{**vars(log), "path": copy}), *reversed(right), at=later)
    assert [(each.seq, each.kind) for each in audit(copy).findings] == [(seq + 1, "time")]


def test_a_charge_that_makes_its_period_cheaper_gives_the_difference_back(log):
    """The commit in which a volume tier is reached loses its second event."""
    with closing(open_wide(log.path)) as connection:
        rows = connection.execute("SELECT first_seq, body FROM commits WHERE body LIKE '%\"tier\"%'").fetchall()
        seq, body = rows[-1]
        events = msgspec.json.decode(body)
        adjusted = next(event for event in events if event["type"] == "adjusted")
        adjusted |= {"credits": -1, "draws": [[adjusted["draws"][0][0], 1]]}
        rehash(connection, {seq: msgspec.json.encode(events)})
    found = {(each.kind, each.seq) for each in audit(log.path).findings}
    assert ("price", seq + events.index(adjusted)) in found
    assert "hash" not in {kind for kind, _ in found}


def rehash(connection: sqlite3.Connection, bodies: dict[int, bytes]) -> None:
    """Change bodies, and compute the chain of hashes again from the beginning."""
    previous = hashlib.sha256(b"rich" + FORMAT.to_bytes(4, "big")).digest()
    for seq, count, at, body in connection.execute(
        "SELECT first_seq, count, at, CAST(body AS BLOB) FROM commits ORDER BY first_seq"
    ).fetchall():
        changed = bodies.get(seq, body)
        previous = commit_hash(previous, seq, count, at, 1, changed)
        connection.execute(
            "UPDATE commits SET body = ?, hash = ? WHERE first_seq = ?", (changed.decode(), previous, seq)
        )


# -- what cannot be repriced -------------------------------------------------------------------------------------------


def foreign(log: Any, tariff: Tariff) -> int:
    number = 1 + max(account for account in books_of(log.path).accounts)
    plan = PlanCreated(
        plan="foreign", owner="o", asset="USD", price=(Share("o", 5),), credits=50, **HOLDS, tariff=tariff
    )
    bought = Purchased(account=number, subscriber="ivy", plan="foreign", credits=50)
    lot = log.seq + 2
    charge = Charged(account=number, credits=9, draws=((lot, 9),), usage={"x": 4}, tariff=1, period="2023-12")
    return forge(log, plan, bought, Started(account=number, lot=lot, instant=log.at), charge)


def books_of(path: Path) -> Books:
    with closing(SQLiteStore(path, read_only=True)) as store:
        return refold(store.read())


@pytest.mark.parametrize(
    "tariff",
    [
        Tariff(version=1, policy="gone", policy_version=1),
        Tariff(version=1, policy="per_credit", policy_version=99),
        Tariff(version=1, policy="complexity", policy_version=1, parameters={"weights": 7}),
    ],
)
def test_what_no_installed_policy_can_reprice_is_counted_and_is_no_finding(log, tariff):
    foreign(log, tariff)
    report = audit(log.path)
    assert report.findings == ()
    assert (report.unverified.charges, report.unverified.policies) == (1, (tariff.policy,))


def test_lines_that_a_plan_records_are_missed_where_they_are_not_there():
    whole, bare = MemoryStore(id="told"), MemoryStore(id="told")
    with Ledger(whole, lambda: BEGIN) as ledger:
        ledger.execute_many([CreatePlan(plan="told", owner="acme", credits=9, record_lines=True)])
        ledger.execute_many([Purchase(subscriber="ann", plan="told"), Charge(subscriber="ann", plan="told")])
        assert audit(whole).clean
        for commit in whole.read():
            events = [replace(each, lines=()) if isinstance(each, Charged) else each for each in decode_commit(commit)]
            bare.append(bare.head(), encode_commit(bare.head(), commit.at, events))
        found = audit(bare).findings
    assert [(each.kind, each.seq, each.field) for each in found] == [("price", 4, "lines")]
