"""What stands in the place of a log's file or beside it, and what the commands say of a log that was harmed."""

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from harmed_logs import PAGE, Harm, Original, Readers, failures, flip, original, put, seed, tell, to_bytes
from patience import PATIENCE

from ledger import Adjust, Charge, CreatePlan, Give, Ledger, Purchase
from ledger.errors import Damaged
from ledger.stores.sqlite import SQLiteStore

TOLLBOOK = Path(sys.executable).with_name("tollbook")


# -- other things ------------------------------------------------------------------------------------------------------


def another_application(path: Path) -> None:
    """A browser's places, say: tables, rows, a user_version of its own."""
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA user_version = 76; CREATE TABLE moz_places (id INTEGER PRIMARY KEY, url TEXT)")
        connection.executemany("INSERT INTO moz_places (url) VALUES (?)", [("https://example.org",)] * 100)
        connection.commit()


def an_application_that_says_it_is_us(path: Path) -> None:
    another_application(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA application_id = 0x546F6C6C; PRAGMA user_version = 2")


def replaced(do: Callable[[Path], object]) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        path.unlink()
        do(path)

    return make


THINGS = [
    Harm("another application's database", another_application),
    Harm("another application's database with our id", an_application_that_says_it_is_us),
    Harm("a folder", replaced(Path.mkdir)),
    Harm("a pipe", replaced(os.mkfifo)),
    Harm("a link to itself", replaced(lambda path: path.symlink_to(path))),
    Harm("a link to nothing", replaced(lambda path: path.symlink_to(path / "nothing"))),
    Harm("a device", replaced(lambda path: path.symlink_to("/dev/zero"))),
    Harm("text", lambda path: path.write_text("timestamp,input_tokens\n" * 1_000)),
    Harm("a line", lambda path: path.write_text("hello")),
    Harm("noise", lambda path: path.write_bytes(random.Random(1).randbytes(10_000))),
    Harm("nothing but a header", lambda path: path.write_bytes(b"SQLite format 3\x00" + bytes(84))),
    Harm("zeros", lambda path: path.write_bytes(bytes(10_000))),
]


def test_what_is_no_log_is_refused(small: Original, readers: Readers) -> None:
    """By the audit, by a reader and by a writer, who leaves it alone."""
    answers = list(readers.answers(small, THINGS))
    assert failures(small, answers) == []
    refused = [(harm.said, answer[way]) for harm, answer in answers for way in ("audit", "read", "opened")]
    finding = [said for said, answer in refused if answer == "findings"]
    assert finding == ["another application's database with our id"]
    assert {answer for _, answer in refused} <= {"NotALog", "NotFound", "LogError", "findings"}


def test_an_empty_file_is_no_log_to_who_reads_it(small: Original, readers: Readers) -> None:
    """A writer makes a new log there, as a program does that asked for a temporary file's name first."""
    ((_, answer),) = readers.answers(small, [Harm("empty", lambda path: path.write_bytes(b""))])
    assert (answer["audit"], answer["read"], answer["opened"] in small.states) == ("NotALog", "NotALog", True)


def test_the_command_refuses_them_in_a_line(small: Original, readers: Readers, tmp_path: Path) -> None:
    for number, harm in enumerate(THINGS):
        path = tmp_path / f"{number}.db"
        path.write_bytes(small.whole)
        harm.do(path)
        for words in (["audit"], ["balance"], ["events"], ["explain", "5"]):
            said = readers.ask([words[0], str(path), *words[1:]])
            if harm.do is an_application_that_says_it_is_us and words == ["audit"]:
                assert said["code"] == 1
                continue
            assert (said["code"], said["out"], said["err"].count("\n")) == (2, "", 1), (words, harm.said, said)
            assert said["err"].startswith("tollbook: error: ")


# -- beside the file ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unwritten(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A log whose last commits stand in its side file alone: its writer died."""
    folder = tmp_path_factory.mktemp("unwritten")
    log = tell(folder / "log.db")
    with Ledger.open(log, clock=lambda: 0) as ledger:
        for number in range(25):
            ledger.execute(Give(subscriber=f"late {number}", plan="pro", credits=1)).unwrap()
        for name in ("log.db", "log.db-wal"):
            shutil.copy(folder / name, folder / f"dead-{name}")
    dead = folder / "dead-log.db"
    for name in ("log.db", "log.db-wal"):
        (folder / name).unlink(missing_ok=True)
        (folder / f"kept-{name}").write_bytes((folder / f"dead-{name}").read_bytes())
    known = original(dead)  # reading it writes nothing into it
    return known._replace(path=folder / "kept-log.db", whole=(folder / "kept-log.db").read_bytes())


def beside(log: Original, said: str, change: Callable[[bytes], bytes]) -> Harm:
    """A harm to the side file of a writer that died."""
    side = log.path.with_name(f"{log.path.name}-wal").read_bytes()
    assert len(side) > 10 * PAGE

    def do(path: Path) -> None:
        path.with_name(f"{path.name}-wal").write_bytes(change(side))

    return Harm(said, do)


def test_a_side_file_that_is_whole_is_read(unwritten: Original, readers: Readers) -> None:
    ((_, answer),) = readers.answers(unwritten, [beside(unwritten, "as it was", lambda side: side)])
    assert (answer["audit"], answer["events"]) == ("clean", unwritten.events)
    assert answer["read"] == answer["opened"] == unwritten.state


def test_a_side_file_that_was_harmed_is_read_as_far_as_it_is_whole(unwritten: Original, readers: Readers) -> None:
    """SQLite's own sums say where it ends: what remains is a log as it was before, never anything else."""
    shake = random.Random(seed())
    side_length = unwritten.path.with_name(f"{unwritten.path.name}-wal").stat().st_size
    harms = [beside(unwritten, "gone", lambda side: b"")]
    for place in [*range(32), *shake.sample(range(side_length), 40)]:
        by = 1 << shake.randrange(8)
        harms.append(
            beside(
                unwritten,
                f"side byte {place} ^ {by}",
                lambda side, place=place, by=by: side[:place] + bytes([side[place] ^ by]) + side[place + 1 :],
            )
        )
    for length in (*range(0, 80, 16), *shake.sample(range(side_length), 20)):
        harms.append(beside(unwritten, f"side cut at {length}", lambda side, length=length: side[:length]))
    harms.append(beside(unwritten, "noise after it", lambda side: side + shake.randbytes(5_000)))
    harms.append(beside(unwritten, "noise", lambda side: shake.randbytes(len(side))))
    harms.append(beside(unwritten, "twice", lambda side: side + side))
    answers = list(readers.answers(unwritten, harms))
    assert failures(unwritten, answers, cut=True) == []
    assert {answer["opened"] for _, answer in answers} >= {unwritten.state}, "some harm nothing"
    assert len({answer["opened"] for _, answer in answers}) > 5, "some cut a part of it off"


def test_another_databases_side_file_is_not_taken_for_this_ones(
    unwritten: Original, readers: Readers, tmp_path: Path
) -> None:
    """SQLite takes it, since nothing in it says whose it is; the audit and the hashes name what comes of that."""
    other, log = tmp_path / "other.db", tmp_path / "log.db"
    with Ledger.open(tell(other, id="other")) as ledger:
        for number in range(3):
            ledger.execute(Give(subscriber=f"{number}", plan="pro", credits=7)).unwrap()
        foreign = other.with_name("other.db-wal").read_bytes()
    ((harm, answer),) = readers.answers(unwritten, [beside(unwritten, "other's", lambda side: foreign)])
    assert failures(unwritten, [(harm, answer)]) == []
    assert answer["audit"] == "findings"
    assert not log.exists()


def test_a_new_log_is_in_its_own_file_before_anything_is_written(tmp_path: Path) -> None:
    """Were it in the side file alone, harm to that would leave an empty file, of which a writer makes a new log."""
    path = tmp_path / "new.db"
    with Ledger.open(path, id="mine") as ledger:
        shutil.copy(path, tmp_path / "alone.db")
        assert ledger.head.seq == 0
    with Ledger.open(tmp_path / "alone.db", read_only=True) as alone:
        assert alone.id == "mine"


# -- the commands ------------------------------------------------------------------------------------------------------

COMMANDS = [
    ["audit", "LOG", "--json"],
    ["balance", "LOG"],
    ["balance", "LOG", "--json"],
    ["statement", "LOG", "--subscriber", "ann", "--plan", "pro", "--json"],
    ["events", "LOG", "--json"],
    ["events", "LOG", "--limit", "5"],
    ["explain", "LOG", "8", "--json"],
    ["export", "LOG", "--to", "csv", "--out", "-"],
    ["export", "LOG", "--to", "ndjson", "--out", "-"],
]
CODES = {"not_found", "not_a_log", "wrong_version", "locked", "bad_data", "io"}


def sample(small: Original) -> list[Harm]:
    """Harm of all kinds: to the header, the schema, the tables, and the bodies of commits, with and without a hash."""
    shake = random.Random(seed())
    harms = [flip(place, 1 << shake.randrange(8)) for place in (18, 20, 31, 59, 62, 71, 107, 110)]
    harms += [flip(place, 0x80) for place in shake.sample(range(len(small.whole)), 12)]
    harms += [put(page * PAGE, bytes(PAGE), f"page {page} is zeros") for page in range(0, len(small.whole) // PAGE, 9)]
    harms += [to_bytes(f"only the first {cut}", lambda whole, cut=cut: whole[:cut]) for cut in (600, 9_000, 25_000)]
    for old, new in ((b'"calls":1', b'"calls":9'), (b'"ann"', b'"eve"'), (b'"credits":500', b'"credits":900')):
        harms.append(to_bytes(f"{old!r} is {new!r}", lambda whole, old=old, new=new: whole.replace(old, new)))
    return harms


def run(readers: Readers, path: Path, words: list[str]) -> tuple[int, str, str]:
    said = readers.ask([str(path) if word == "LOG" else word for word in words])
    return said["code"], said["out"].replace(str(path), "LOG"), said["err"].replace(str(path), "LOG")


def test_a_command_gives_the_right_answer_or_an_error_of_one_line(
    small: Original, readers: Readers, tmp_path: Path
) -> None:
    """What a command streams it has checked, so what it said before an error is the begin of the right answer."""
    path = tmp_path / "log.db"
    path.write_bytes(small.whole)
    right = {tuple(words): run(readers, path, words)[1] for words in COMMANDS}
    assert all(right.values())
    refused = 0
    for harm in sample(small):
        path.write_bytes(small.whole)
        harm.do(path)
        for words in COMMANDS:
            code, out, err = run(readers, path, words)
            about = f"{' '.join(words)} where {harm.said}: {code} {err}"
            assert "Traceback" not in err, about
            if code == 2:
                refused += 1
                assert words[0] == "events" or right[tuple(words)].startswith(out), about
                assert err.count("\n") == 1, about
                assert json.loads(err)["error"]["code"] in CODES if "--json" in words else "error: " in err, about
            elif code == 1:
                assert words[0] == "audit", about
                assert json.loads(out)["findings"], about
            elif words[0] == "audit":
                assert json.loads(out)["head"] == json.loads(right[tuple(words)])["head"], about
            elif words[0] != "events":  # which says that it checks no hashes, so that damage can be looked at
                assert (code, out, err) == (0, right[tuple(words)], ""), about
        for left in tmp_path.glob("log.db-*"):
            left.unlink()
    assert refused > 30


@pytest.mark.skipif(not TOLLBOOK.exists(), reason="needs the command installed beside the interpreter")
def test_the_installed_command_says_the_same(small: Original, readers: Readers, tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    for harm in sample(small)[::12]:
        path.write_bytes(small.whole)
        harm.do(path)
        words = ["audit", str(path), "--json"]
        done = subprocess.run([TOLLBOOK, *words], capture_output=True, text=True, timeout=PATIENCE)
        assert {"code": done.returncode, "out": done.stdout, "err": done.stderr} == readers.ask(words), harm.said


def test_a_decision_does_not_rest_on_a_charge_that_was_changed(tmp_path: Path) -> None:
    """An opening from a snapshot has not read what came before it."""
    path = tmp_path / "log.db"
    with Ledger.open(path) as ledger:
        ledger.execute_many([CreatePlan(plan="p", owner="o", credits=100), Purchase(subscriber="s", plan="p")])
        charge = ledger.execute(Charge(subscriber="s", plan="p", usage={"calls": 1})).unwrap()
        ledger.execute(Give(subscriber="s", plan="p", credits=1)).unwrap()
        ledger.snapshot()
    with closing(SQLiteStore(path)) as store:
        (commit,) = [each for each in store.read() if each.first_seq == charge.seq]
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("DROP TRIGGER commits_are_not_updated")
        body = commit.body.replace(b'"credits":1', b'"credits":9').replace(b"[[2,1]]", b"[[2,9]]")
        assert body != commit.body
        file.execute("UPDATE commits SET body = CAST(? AS TEXT) WHERE first_seq = ?", (body, charge.seq))
    with Ledger.open(path) as ledger:
        before = ledger.state()
        with pytest.raises(Damaged, match=f"sequence {charge.seq}"):
            ledger.execute(Adjust(charge=charge.seq, credits=-9, reason="refund"))
        assert ledger.state() == before
