"""The end of a log is proven against a head that was noted elsewhere: `audit --note FILE` keeps one and takes it."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from every_way import audit, in_this_process
from unguarded import open_wide

from gateway.cli.main import main
from ledger import Charge, CreatePlan, Ledger, Purchase
from ledger.errors import BadData
from ledger.log import TEXT, commit_hash, origin
from replay import read_note, write_note

pytestmark = pytest.mark.smoke
NOW = 1_701_388_680_000_000


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.db"
    with Ledger.open(path, clock=lambda: NOW, id="shop") as ledger:
        ledger.execute(CreatePlan(plan="p", owner="acme", credits=100)).unwrap()
        ledger.execute(Purchase(subscriber="ann", plan="p")).unwrap()
        use(ledger, 3)
    return path


def use(ledger: Ledger, times: int) -> None:
    for _ in range(times):
        ledger.execute(Charge(subscriber="ann", plan="p", usage={"calls": 1})).unwrap()


def grow(log: Path, times: int = 2) -> None:
    with Ledger.open(log, clock=lambda: NOW) as ledger:
        use(ledger, times)


def cut(log: Path, after: int) -> None:
    """Take the end of the log away, as a forger would: whole in itself."""
    with closing(open_wide(log)) as connection:
        connection.execute("DELETE FROM commits WHERE first_seq > ?", (after,))
        connection.execute("DELETE FROM snapshots")
        connection.execute("VACUUM")


def rewrite(log: Path) -> None:
    """Write the log anew, with another number in one charge, and all hashes as they must be."""
    with closing(open_wide(log)) as connection:
        old = "CAST(replace(body, 'calls', 'Calls') AS TEXT)"
        connection.execute(f"UPDATE commits SET body = {old} WHERE first_seq = 4")
        head = origin("shop").hash
        for first, count, at, body in connection.execute("SELECT first_seq, count, at, body FROM commits").fetchall():
            head = commit_hash(head, first, count, at, TEXT, body.encode())
            connection.execute("UPDATE commits SET hash = ? WHERE first_seq = ?", (head, first))


def test_without_a_noted_head_the_audit_says_that_it_cannot_see_the_end(log):
    report = audit(log)
    assert (report.verdict, report.proven_to) == ("clean", None)
    assert "cut off at the end" in report.unseen[0]
    cut(log, after=3)
    assert audit(log).verdict == "clean", "what it says it cannot see"


def test_a_log_continues_from_its_noted_head(log, tmp_path):
    write_note(tmp_path / "note.json", audit(log), NOW)
    note = read_note(tmp_path / "note.json")
    grow(log)
    report = audit(log, since=note.checkpoint)
    assert (report.verdict, report.proven_to, report.head.seq) == ("clean", note.seq, note.seq + 2)
    assert f"commits after {note.seq} that were cut off" in report.unseen[0]
    assert {check.name: check.checked for check in report.checks}["missing_end"] == 1


@pytest.mark.parametrize("processes", [1, 2])
def test_a_missing_end_is_a_finding(log, tmp_path, processes):
    write_note(tmp_path / "note.json", audit(log), NOW)
    note = read_note(tmp_path / "note.json")
    cut(log, after=3)
    with in_this_process():
        report = audit(log, since=note.checkpoint, processes=processes)
    assert [(each.kind, each.seq) for each in report.findings] == [("missing_end", note.seq)]
    assert (report.proven_to, report.clean) == (None, False)


def test_a_log_that_was_written_anew_is_a_finding(log, tmp_path):
    write_note(tmp_path / "note.json", audit(log), NOW)
    rewrite(log)
    grow(log)
    assert audit(log).verdict == "clean", "it is whole in itself"
    report = audit(log, since=read_note(tmp_path / "note.json").checkpoint)
    assert [(each.kind, each.field) for each in report.findings] == [("hash", "hash")]
    assert "rewritten" in report.findings[0].message


@pytest.mark.parametrize("processes", [1, 2])
def test_another_ledger_in_its_place_is_a_finding(log, tmp_path, processes):
    write_note(tmp_path / "note.json", audit(log), NOW)
    with Ledger.open(tmp_path / "other.db", id="other") as ledger:
        ledger.execute(CreatePlan(plan="p", owner="acme", credits=100)).unwrap()
    with in_this_process():
        report = audit(tmp_path / "other.db", since=read_note(tmp_path / "note.json").checkpoint, processes=processes)
    assert [(each.kind, each.expected, each.found) for each in report.findings] == [("missing_end", "shop", "other")]


def test_a_head_with_findings_is_not_noted(log, tmp_path):
    with closing(open_wide(log)) as connection:
        connection.execute("UPDATE commits SET hash = x'00' WHERE first_seq = 4")
    with pytest.raises(ValueError, match="without findings"):
        write_note(tmp_path / "note.json", audit(log), NOW)
    assert not (tmp_path / "note.json").exists()


@pytest.mark.parametrize("text", ["", "{}", "7:abc", '{"ledger":"shop","seq":-1}', "[1]", "\\xff"])
def test_a_file_that_is_no_note_is_an_error_and_stays(tmp_path, text):
    (tmp_path / "note.json").write_text(text)
    with pytest.raises(BadData, match="is not a note"):
        read_note(tmp_path / "note.json")


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(log: Path, tmp_path: Path, capsys: Any) -> Iterator[Any]:
    def run(*words: str) -> tuple[int, str, str]:
        code = main(["audit", str(log), "--note", str(tmp_path / "note.json"), *words])
        return code, *capsys.readouterr()

    return run


def test_the_command_notes_the_head_and_takes_it_next_time(command, log, tmp_path):
    code, out, _ = command()
    assert (code, "continues from" in out) == (0, False)
    note = json.loads((tmp_path / "note.json").read_text())
    assert list(note) == ["ledger", "seq", "commits", "at", "hash", "tollbook", "noted_at"]
    assert (note["ledger"], note["seq"], note["commits"]) == ("shop", 6, 5)
    grow(log)
    code, out, _ = command()
    assert (code, "it continues from the earlier head at 6, by 2 events" in out) == (0, True)
    assert json.loads((tmp_path / "note.json").read_text())["seq"] == 8
    assert sorted(each.name for each in tmp_path.iterdir()) == ["log.db", "note.json"]


def test_the_command_leaves_the_note_where_the_end_is_missing(command, log, tmp_path):
    shutil.copy(log, tmp_path / "before.db")
    grow(log)
    command()
    before = (tmp_path / "note.json").read_bytes()
    shutil.copy(tmp_path / "before.db", log)
    code, out, err = command()
    assert (code, "missing_end" in out) == (1, True)
    assert "is as it was, since the audit did not pass" in err
    assert (tmp_path / "note.json").read_bytes() == before
    answer = json.loads(command("--json")[1])
    assert (answer["verdict"], answer["proven_to"]) == ("findings", None)


def test_the_command_needs_a_note_that_it_can_read(command, tmp_path):
    (tmp_path / "note.json").write_text("not a note")
    code, out, err = command()
    assert (code, out, "is not a note of an audit" in err) == (2, "", True)
