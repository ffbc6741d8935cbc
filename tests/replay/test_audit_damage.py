"""Whatever is done to the file, the audit answers: damage is named, copies are compared, and nothing makes it crash."""

import json
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from every_way import in_this_process
from unguarded import open_wide

from ledger import Charge, CreatePlan, Give, Ledger, Purchase, Request
from ledger.errors import BadData, LogError, NotALog, NotFound, WrongVersion
from ledger.events import Frozen
from ledger.log import Commit, bodies, commit_hash, encode_commit, origin
from ledger.stores.sqlite import SQLiteStore
from replay import Report, audit, checkpoint, html
from replay.audit.findings import MAX_LISTED, time_text

BEGIN = 1_701_388_680_000_000
ID = "small"
VIEWS = ("accounts", "plans", "agents", "events")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small log of one commit a step."""
    path = tmp_path_factory.mktemp("damage") / "small.db"
    with closing(Ledger.open(path, clock=lambda: BEGIN, id=ID)) as ledger:
        ledger.execute(CreatePlan(plan="p", owner="öl", credits=50, price={"öl": 7}, parameters={"per": "call"}))
        ledger.execute(Purchase(subscriber="s", plan="p"))
        for _ in range(3):
            held = ledger.execute(Request(subscriber="s", plan="p", estimate={"calls": 2})).unwrap().seq
            ledger.execute(Charge(request=held, usage={"calls": 1}))
    return path


@pytest.fixture
def log(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(written, tmp_path / "log.db"))


def rows(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT first_seq, count, at, CAST(body AS BLOB), hash FROM commits ORDER BY first_seq"
        ).fetchall()


def forge(path: Path, *events: Any) -> int:
    with closing(SQLiteStore(path)) as store:
        commit = encode_commit(store.head(), BEGIN, list(events))
        store.append(store.head(), commit)
    return commit.first_seq


def places(report: Report) -> set[int | None]:
    return {finding.seq for finding in report.findings}


# -- every byte --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [20, pytest.param(5, marks=pytest.mark.sweep)])
def test_a_flipped_byte_in_any_body_names_its_commit(written, tmp_path, step):
    """Every fifth byte of every commit in the sweep, fewer in every run; and bits from all over."""
    flip = random.Random(1)
    for seq, _, _, body, _ in rows(written):
        for offset in range(seq % step, len(body), step):
            log = Path(shutil.copy(written, tmp_path / "flipped.db"))
            changed = bytearray(body)
            changed[offset] ^= 1 << flip.randrange(8)
            with closing(open_wide(log)) as connection:
                sql = "UPDATE commits SET body = CAST(? AS TEXT) WHERE first_seq = ?"
                connection.execute(sql, (bytes(changed), seq))
            report = audit(log)
            assert [each.seq for each in report.findings if each.kind == "hash"] == [seq], (seq, offset)


@pytest.mark.parametrize("column", ["count", "at", "hash"])
def test_a_change_in_any_other_column_names_its_commit(column, written, tmp_path):
    for seq, count, at, _, hash_ in rows(written):
        log = Path(shutil.copy(written, tmp_path / "changed.db"))
        changed = {"count": count + 1, "at": at ^ 1, "hash": bytes([hash_[0] ^ 1]) + hash_[1:]}[column]
        with closing(open_wide(log)) as connection:
            connection.execute(f"UPDATE commits SET {column} = ? WHERE first_seq = ?", (changed, seq))
        report = audit(log)
        assert [each.seq for each in report.findings if each.kind == "hash"] == [seq]


def test_a_flipped_byte_of_the_file_is_found_wherever_a_commit_reads_otherwise(written, tmp_path):
    whole, before = written.read_bytes(), rows(written)
    start = whole.index(before[-1][3][:40])
    for offset in range(start - 60, start + len(before[-1][3]) + 40, 3):
        log = tmp_path / "flipped.db"
        log.write_bytes(whole[:offset] + bytes([whole[offset] ^ 4]) + whole[offset + 1 :])
        try:
            unchanged = rows(log) == before
        except sqlite3.Error:
            unchanged = False
        assert audit(log).clean == unchanged, offset


def test_what_follows_a_broken_commit_is_still_held_to_its_hash(log):
    first, second = rows(log)[2][0], rows(log)[5][0]
    with closing(open_wide(log)) as connection:
        for seq in (first, second):
            connection.execute('UPDATE commits SET body = \'[{"type":"nonsense"}]\' WHERE first_seq = ?', (seq,))
    report = audit(log)
    assert [each.seq for each in report.findings if each.kind == "hash"] == [first, second]
    folded = [each for each in report.findings if each.kind == "schema"]
    assert [each.seq for each in folded] == [first, second]
    assert "not folded" in folded[0].message


def test_a_commit_that_is_missing_is_named(log):
    gone, following = rows(log)[3][0], rows(log)[4][0]
    with closing(open_wide(log)) as connection:
        connection.execute("DELETE FROM commits WHERE first_seq = ?", (gone,))
    kinds = {each.kind for each in audit(log).findings if each.seq == following}
    assert {"sequence", "hash"} <= kinds


def test_a_log_that_is_given_another_name_does_not_have_its_hashes(log):
    with closing(open_wide(log)) as connection:
        connection.execute("UPDATE ledger SET id = 'other'")
    assert [(each.kind, each.seq) for each in audit(log).findings] == [("hash", 1)]


# -- files that are no log, and logs that are hostile ------------------------------------------------------------------


def test_a_file_that_is_no_log_is_refused_as_the_store_refuses_it(tmp_path, log):
    with pytest.raises(NotFound):
        audit(tmp_path / "nowhere.db")
    (tmp_path / "text").write_text("no database, but long enough to look at" * 100)
    with pytest.raises(NotALog):
        audit(tmp_path / "text")
    with pytest.raises(NotALog):
        audit(tmp_path)
    with closing(sqlite3.connect(log)) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(WrongVersion):
        audit(log)


@pytest.mark.parametrize(
    "script",
    [
        "DELETE FROM ledger",
        "UPDATE ledger SET id = CAST(x'ff' AS TEXT)",
        "DROP TABLE commits",
        "DROP TABLE commits; CREATE VIEW commits AS WITH RECURSIVE c(first_seq) AS (SELECT 1 UNION ALL SELECT "
        "first_seq + 1 FROM c) SELECT first_seq, 1 AS count, 1 AS at, '[]' AS body, x'00' AS hash FROM c",
        "DROP TABLE snapshots",
        "INSERT INTO snapshots VALUES (1, 'x', NULL, 3.5, NULL)",
    ],
)
def test_a_file_with_other_tables_gets_an_answer(script, log):
    with closing(open_wide(log)) as connection:
        for view in VIEWS:
            connection.execute(f"DROP VIEW {view}")
        connection.executescript(script)
    if "commits" in script or "ledger" in script:
        with suppress(LogError):  # where not even its id can be read, it is no ledger
            assert {finding.kind for finding in audit(log).findings} == {"unreadable"}
    else:
        assert {each.field for each in audit(log).findings} == {f"view {view}" for view in VIEWS}


def hostile_bodies() -> Iterator[bytes]:
    yield from (b"", b"[]", b"{}", b"null", b"[" * 100_000, b'[{"type":"frozen"}]', b"\xff\xfe", b'["\\ud800"]')
    yield b'[{"type":"purchased","account":1,"subscriber":"s","plan":"p","credits":1,"cost":' + b"9" * 5_000 + b"}]"
    yield b'[{"type":"charged","account":1,"tariff":1,"period":"2023-12","occurred_at":' + b"9" * 18 + b"}]"
    yield b'[{"type":"charged","account":1,"tariff":-1,"period":"' + b"x" * 100_000 + b'"}]'
    yield b'[{"type":"extended","request":3,"deadline":-99999999999999999999999}]'
    yield b'[{"type":"started","account":1,"lot":2,"instant":-1,"draws":[[0,9]]}]'
    yield b'[{"type":"withdrawn","account":1,"money":{"2":' + b"9" * 400 + b"}}]"
    yield b'[{"type":"adjusted","account":1,"charge":5,"credits":-1,"draws":[[2,1]],"usage":{"calls":-9}}]'
    yield b'[{"type":"adjusted","account":1,"period":"2023-11","credits":9,"draws":[[0,9]],"metered":"never"}]'
    yield b'[{"type":"agent_retired","agent":0}]'
    for moved in ("submitted", "committed", "confirmed", "failed", "unknown"):
        yield b'[{"type":"settlement_%s","number":1,"chain":"c","contract":"c"}]' % moved.encode()
    for begun in (b"opened", b"adopted"):
        batch = b'"number":7,"chain":"c","contract":"c","asset":"a","covers":{"x":-9},"root":"","head_seq":%s'
        yield b'[{"type":"settlement_%s",%s}]' % (begun, batch % (b"9" * 400))
    yield b'[{"type":"withdrawn","account":1,"paid":7,"fact":{"chain":"c","contract":"c","id":"f"}}]'
    yield b'[{"type":"withdrawn","account":9,"fact":{"chain":"","contract":"","id":""}}]'


@pytest.mark.parametrize("body", list(hostile_bodies()), ids=lambda body: body[:40].decode(errors="replace"))
def test_no_body_makes_it_crash(body, log):
    """Sealed with its right hash, so that it gets as far as it can."""
    with closing(open_wide(log)) as connection:
        last = connection.execute("SELECT first_seq + count, hash FROM commits ORDER BY 1 DESC LIMIT 1").fetchone()
        row = (last[0], 1, BEGIN, body, commit_hash(last[1], last[0], 1, BEGIN, 1, body))
        connection.execute("INSERT INTO commits VALUES (?, ?, ?, CAST(? AS TEXT), ?)", row)
    report = audit(log)
    assert msgspec.json.decode(msgspec.json.encode(report))["head"]["seq"] == last[0]
    assert html(report)
    assert report.verdict == "findings"


@pytest.mark.parametrize("column", ["count", "at"])
@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1, 0, -1])
def test_no_number_makes_it_crash(column, value, log):
    with closing(open_wide(log)) as connection:
        connection.execute(f"UPDATE commits SET {column} = ? WHERE first_seq = 5", (value,))
    report = audit(log)
    assert 5 in places(report)
    assert html(report)


def test_events_of_every_shape_give_an_answer(written, tmp_path):
    """Each event of the log, put again at its end with one number changed."""
    events = [event for row in rows(written) for event in json.loads(row[3])]
    shake = random.Random(2)
    for _ in range(150):
        event = json.loads(json.dumps(shake.choice(events)))
        name = shake.choice([name for name in event if name != "type"])
        event[name] = shake.choice([0, -1, 1, 2**63, "", "x", None, [], [[2, 1]], {"calls": 1}, True, event[name]])
        log = Path(shutil.copy(written, tmp_path / "shaken.db"))
        body = json.dumps([event]).encode()
        with closing(SQLiteStore(log)) as store:
            head = store.head()
            frame = head.seq + 1, 1, BEGIN, 1, body
            store.append(head, Commit(*frame, commit_hash(head.hash, *frame)))
        assert not any(each.kind == "hash" for each in audit(log).findings)


def test_findings_are_listed_up_to_a_limit_and_all_counted(log):
    seq = forge(log, *[Frozen(account=99)] * (MAX_LISTED + 50))
    report = audit(log)
    assert len(report.findings) == MAX_LISTED
    assert min(places(report)) == seq
    assert {check.name: check.findings for check in report.checks}["schema"] == MAX_LISTED + 50
    assert "150 in all" in html(report)


# -- copies and checkpoints --------------------------------------------------------------------------------------------


def test_a_log_has_no_difference_from_its_copy(written, log):
    report = audit(written, against=log)
    assert report.clean
    assert report.checks[-1].name == "difference"
    assert report.checks[-1].checked == len(rows(log))


def test_the_first_commit_that_differs_is_named(written, log):
    seq = rows(log)[4][0]
    with closing(open_wide(log)) as connection:
        connection.execute("UPDATE commits SET at = at + 1 WHERE first_seq >= ?", (seq,))
    found = [each for each in audit(written, against=log).findings if each.kind == "difference"]
    assert [(each.seq, each.field, each.expected, each.found) for each in found] == [(seq, "at", BEGIN, BEGIN + 1)]


def test_a_copy_that_ends_earlier_differs_where_it_ends(written, log):
    seq = forge(log, Frozen(account=1))
    assert [(each.kind, each.seq) for each in audit(log, against=written).findings] == [("difference", seq)]
    assert [(each.kind, each.seq) for each in audit(written, against=log).findings] == [("difference", seq)]


def test_another_ledger_is_another_ledger(written, tmp_path):
    Ledger.open(tmp_path / "other.db").close()
    assert [each.kind for each in audit(written, against=tmp_path / "other.db").findings] == ["difference"]


def test_a_saved_audit_stands_for_the_log_as_it_was(written, log, tmp_path):
    saved = tmp_path / "audit.json"
    saved.write_bytes(msgspec.json.encode(audit(log)))
    seq = audit(log).head.seq
    forge(log, Frozen(account=1))
    assert audit(log, against=saved).clean
    with closing(open_wide(log)) as connection:
        connection.execute("UPDATE commits SET hash = zeroblob(32) WHERE first_seq = ?", (seq,))
    found = audit(log, against=saved).findings
    assert ("difference", seq) in {(each.kind, each.seq) for each in found}


def test_a_checkpoint_must_still_stand(log):
    head = audit(log).head
    early = f"{head.seq}:{head.hash}"
    forge(log, Frozen(account=1))
    assert audit(log, since=early).clean
    found = audit(log, since=f"{head.seq}:{'0' * 64}").findings
    assert [(each.kind, each.seq, each.found) for each in found] == [("hash", head.seq, head.hash)]
    assert [each.seq for each in audit(log, since=f"999:{head.hash}").findings] == [999]
    begin = origin(ID).hash.hex()
    assert audit(log, since=checkpoint(f"0:{begin}")).clean


@pytest.mark.parametrize("text", ["", "7", "7:", ":" + "0" * 64, "x:" + "0" * 64, "7:" + "g" * 64, "-1:" + "0" * 64])
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(BadData):
        checkpoint(text)


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_page_shows_the_report_and_needs_nothing_else(log):
    forge(log, Frozen(account=99))
    report = audit(log)
    page = html(report)
    assert report.head.hash in page
    assert "there is no account 99" in page
    for check in report.checks:
        assert f"<td><code>{check.name}</code></td>" in page
    assert "http" not in page
    assert "<script" not in page


def test_the_page_escapes_what_the_log_says(written, tmp_path):
    log = Path(shutil.copy(written, tmp_path / "<b>&.db"))
    with closing(Ledger.open(log, clock=lambda: BEGIN)) as ledger:
        ledger.execute(Give(subscriber="<script>alert(1)</script>", plan="p", credits=1))
    body = b'[{"type":"plan_retired","plan":"<script>alert(2)</script>"}]'
    forge(log, *bodies.decode(bodies.TEXT, body))
    page = html(audit(log))
    assert "<script" not in page
    assert "&lt;script&gt;alert(2)" in page
    assert "&lt;b&gt;&amp;.db" in page


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (1_700_158_546_680_590, "2023-11-16T18:15:46.680590Z"),
        (0, "1970-01-01T00:00:00.000000Z"),
        (-62_135_596_800_000_000, "0001-01-01T00:00:00.000000Z"),
        (2**63 - 1, str(2**63 - 1)),
    ],
)
def test_times_are_shown_as_the_contract_says(at, text):
    assert time_text(at) == text


GUARDS = ("commits_are_not_updated", "commits_are_not_deleted", "commits_follow", "ledger_is_not_updated")


@pytest.mark.parametrize("trigger", GUARDS)
def test_a_dropped_trigger_is_found_by_name(log, trigger):
    """Every program that opens the file is kept by them; a log without one may be changed at any time."""
    with closing(sqlite3.connect(log, isolation_level=None)) as connection:
        connection.execute(f"DROP TRIGGER {trigger}")
    for processes in (1, 2):
        with in_this_process():
            [found] = audit(log, processes=processes).findings
        assert (found.kind, found.field, found.found) == ("unreadable", f"trigger {trigger}", None)
        assert found.message == f"the trigger {trigger} is missing"
        assert found.expected.startswith(f"CREATE TRIGGER {trigger} ")


def test_a_trigger_that_sqlite_would_count_as_its_own_is_found(log):
    with closing(sqlite3.connect(log, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        sql = "CREATE TRIGGER sqlite_more BEFORE INSERT ON commits BEGIN SELECT RAISE(IGNORE); END"
        row = ("trigger", "sqlite_more", "commits", 0, sql)
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
    assert "the trigger sqlite_more is not the log's own" in [each.message for each in audit(log).findings]


def test_a_changed_view_is_found(log):
    """It is what other programs read: `select plan from plans` would say what the log does not."""
    with closing(sqlite3.connect(log, isolation_level=None)) as connection:
        connection.execute("DROP VIEW plans")
        connection.execute(
            "CREATE VIEW plans AS SELECT 'p' AS plan, 'mallory' AS owner, 'USD' AS asset, 1 AS created_seq"
        )
    [found] = audit(log).findings
    assert (found.field, found.message) == ("view plans", "plans is not defined as it was made")
    assert "mallory" in found.found


def test_what_a_user_added_beside_the_log_is_noted(log):
    with closing(sqlite3.connect(log, isolation_level=None)) as connection:
        connection.executescript("CREATE TABLE remarks (text TEXT); CREATE INDEX by_time ON commits (at)")
    report = audit(log)
    assert report.clean
    noted = ["the file also has the index by_time, which is no part of the log"]
    noted += ["the file also has the table remarks, which is no part of the log"]
    assert list(report.notes) == noted
    assert all(text.removeprefix("the ") in html(report) for text in noted)


def test_caches_that_were_dropped_are_no_fault(log):
    with closing(sqlite3.connect(log, isolation_level=None)) as connection:
        connection.executescript("DROP TABLE snapshots; DROP TABLE account_index")
    assert (audit(log).verdict, audit(log).notes) == ("clean", ())


def test_a_changed_trigger_is_found(log):
    """The guard of the log is part of it: one letter in its text, and nothing keeps the order of what comes next."""
    with closing(sqlite3.connect(log, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        changed = "UPDATE sqlite_master SET sql = replace(sql, 'never deleted', 'never deletod') WHERE type = 'trigger'"
        connection.execute(changed)
    report = audit(log)
    assert [finding.kind for finding in report.findings] == ["unreadable"]
    assert "commits_are_not_deleted" in report.findings[0].message


def test_a_file_that_says_it_is_a_ledger_and_does_not_open_is_a_finding(log):
    with closing(sqlite3.connect(log, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = 'CREATE VIEW nonsense' WHERE name = 'events'")
    report = audit(log)
    assert [finding.kind for finding in report.findings] == ["unreadable"]
