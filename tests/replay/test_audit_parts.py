"""An audit in parts, a process each: the report is the same as that of one process, and so is what goes wrong.

That every planted fault is found alike is held where the faults are planted: their tests audit in every way.
"""

import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec
import pytest
from every_way import audit as every_way
from every_way import in_this_process
from msgspec.structs import replace
from unguarded import open_wide

from ledger import (
    Adjust,
    Charge,
    CommitSettlement,
    ConfirmSettlement,
    CreatePlan,
    Ledger,
    OpenSettlement,
    Purchase,
    RegisterAgent,
    Release,
    Request,
    SubmitSettlement,
    Tick,
    UpdateAgent,
)
from ledger.books import Books
from ledger.events import Escrow, EscrowFunding, Event, Extended, Frozen, PlanRetired, Purchased, Released
from ledger.folding import refold, snapshot_of
from ledger.log import encode_commit
from ledger.stores.sqlite import SQLiteStore
from replay import audit
from replay.audit import parallel
from replay.audit.auditor import Auditor
from replay.audit.file_rows import FileRows
from replay.audit.parallel import ProcessDied, processes_for

SECOND = 1_000_000
BEGIN = 1_701_388_680 * SECOND
HERE = {"chain": "mock:local", "contract": "tollbook", "asset": "USD"}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven accounts on two plans, keys and payments, open and lost requests, corrections, two batches, snapshots."""
    path = tmp_path_factory.mktemp("parts") / "log.db"
    now = [BEGIN]
    with Ledger.open(path, clock=lambda: now[0], id="parts") as ledger:
        do = ledger.execute
        terms = {
            "owner": "acme",
            "policy": "per_credit",
            "parameters": {"per": "call"},
            "price": {"acme": 90, "fee": 9},
        }
        do(CreatePlan(plan="p", credits=50, onchain_id="7", **terms)).unwrap()
        do(CreatePlan(plan="q", credits=20, seconds=900, overrun="debt", debt_limit=5, **terms)).unwrap()
        do(RegisterAgent(agent="bot", owner="acme", plans=("p",))).unwrap()
        do(UpdateAgent(agent="bot", metadata={"depth": 1})).unwrap()
        for number in range(7):
            funding = EscrowFunding(Escrow("mock:local", "tollbook", f"n{number}")) if number % 3 else "direct"
            buyer = {"subscriber": f"s{number}", "plan": "pq"[number % 2]}
            do(Purchase(**buyer, funding=funding, payment="" if number % 3 else f"invoice {number}")).unwrap()
            if number in (2, 5):
                settle(ledger)
            held = do(Request(**buyer, estimate={"calls": 4}, key="k")).unwrap().seq
            charge = do(Charge(request=held, usage={"calls": 3}, key=f"c{number}")).unwrap().seq
            do(Adjust(charge=charge, credits=-1)).unwrap()
            do(Charge(**buyer, usage={"calls": number})).unwrap()
            do(Request(**buyer, estimate={"calls": 1})).unwrap()
            do(Release(request=do(Request(**buyer, estimate={"calls": 2})).unwrap().seq)).unwrap()
            now[0] += 100 * SECOND
            if number in (3, 5):
                ledger.snapshot()
        now[0] += 7_200 * SECOND
        do(Tick()).unwrap()
    return path


def settle(ledger: Ledger) -> None:
    opened: Any = ledger.execute(OpenSettlement(**HERE)).unwrap().event
    place = {"chain": opened.chain, "contract": opened.contract, "number": opened.number}
    ledger.execute(SubmitSettlement(**place, attempt=1, raw="r", transaction="t")).unwrap()
    ledger.execute(CommitSettlement(**place, transaction="t", block=1)).unwrap()
    ledger.execute(ConfirmSettlement(**place, transaction="t", block=1)).unwrap()


@pytest.fixture
def no_single(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is audited here must be audited in parts."""

    def run(*_: object) -> None:
        raise AssertionError("this was not audited in parts")

    monkeypatch.setattr(Auditor, "run", run)


@pytest.mark.parametrize("processes", [2, 3, 8])
def test_the_report_of_the_parts_is_that_of_the_whole(processes, log, request):
    whole = audit(log)
    assert whole.clean
    assert {check.name: check.checked for check in whole.checks}["snapshot"] == 2
    request.getfixturevalue("no_single")
    with in_this_process():
        assert msgspec.json.encode(audit(log, processes=processes)) == msgspec.json.encode(whole)


def test_processes_of_their_own_say_the_same(log, request):
    whole = audit(log)
    request.getfixturevalue("no_single")
    assert audit(log, processes=2) == whole


def test_a_checkpoint_is_held_to_in_parts(log):
    head = audit(log).head
    with in_this_process():
        assert audit(log, since=f"{head.seq}:{head.hash}", processes=2).clean
        found = audit(log, since=f"{head.seq}:{'0' * 64}", processes=2).findings
    assert [finding.kind for finding in found] == ["hash"]


# -- what no part can see alone ----------------------------------------------------------------------------------------


@pytest.fixture
def copy(log: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(log, tmp_path / "log.db"))


def forge(path: Path, *events: Event) -> int:
    """A commit that nobody decided. Returns the sequence of its first event."""
    with closing(SQLiteStore(path)) as store:
        head = store.head()
        store.append(head, encode_commit(head, head.at, list(events)))
    return head.seq + 1


def test_a_payment_that_two_parts_take_in_is_found(copy):
    """Account 8 is another part's than account 1, whose invoice it is."""
    again = Purchased(account=8, subscriber="late", plan="p", credits=5, payment="invoice 0", start=BEGIN * 2)
    seq = forge(copy, again)
    assert [(finding.kind, finding.seq) for finding in every_way(copy).findings] == [("schema", seq)]


@pytest.mark.parametrize("event", [Released(request=2, reason="voided"), Extended(request=999, deadline=BEGIN * 2)])
def test_a_request_that_no_part_knows_is_found(event, copy):
    seq = forge(copy, event)
    assert [(finding.kind, finding.seq) for finding in every_way(copy).findings] == [("schema", seq)]


@pytest.mark.parametrize("event", [PlanRetired(plan="none"), Frozen(account=9), Frozen(account=10)])
def test_what_only_one_part_judges_is_found(event, copy):
    seq = forge(copy, event)
    assert [(finding.kind, finding.seq) for finding in every_way(copy).findings] == [("schema", seq)]


def fewer_keys(books: Books) -> None:
    del books.keys[next(iter(books.keys))]


def other_leaf(books: Books) -> None:
    (place, was), *_ = books.settlings.items()
    first, *rest = was.leaves["USD"]
    changed = replace(first, charged=first.charged + 1)
    books.settlings[place] = replace(was, leaves={"USD": (changed, *rest)})


def forgets_a_payment(books: Books) -> None:
    books.payments.popitem()


def frozen_account(books: Books) -> None:
    books.accounts[2].frozen = True


def one_account_less(books: Books) -> None:
    del books.accounts[books.opened]


@pytest.mark.parametrize("change", [fewer_keys, other_leaf, forgets_a_payment, frozen_account, one_account_less])
def test_a_snapshot_that_is_wrong_anywhere_is_found(change, copy):
    """It holds together in itself, and is not what the log comes to."""
    forge(copy, PlanRetired(plan="q"))
    with closing(SQLiteStore(copy)) as store:
        books = refold(store.read())
        change(books)
        store.save_snapshot(snapshot_of(books, store.head()))
    assert [finding.kind for finding in every_way(copy).findings] == ["snapshot"]


def test_a_commit_that_no_part_can_read_is_found(copy):
    with closing(open_wide(copy)) as connection:
        connection.execute("UPDATE commits SET body = '[]' WHERE first_seq = 5")
    assert {finding.kind for finding in every_way(copy).findings} > {"hash", "sequence"}


# -- where and by whom it is made --------------------------------------------------------------------------------------


def test_a_short_log_is_not_worth_a_process(log):
    with closing(FileRows(log)) as rows:
        assert processes_for(rows, None) == 1


def test_an_open_store_is_audited_where_it_is(log, monkeypatch):
    def start_workers(parts: int) -> Any:
        raise AssertionError("an open store was handed to another process")

    monkeypatch.setattr(parallel, "start_workers", start_workers)
    with closing(SQLiteStore(log, read_only=True)) as store:
        assert audit(store, processes=2) == audit(log)


def test_a_process_that_dies_is_an_error_that_says_so(log, monkeypatch):
    def start_workers(parts: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(parts, mp_context=get_context("spawn"), initializer=os._exit, initargs=(9,))

    monkeypatch.setattr(parallel, "start_workers", start_workers)
    with pytest.raises(ProcessDied, match="died"):
        audit(log, processes=2)
