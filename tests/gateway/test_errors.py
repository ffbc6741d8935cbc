"""Errors: one line that says what to do, or one JSON object; exit codes that scripts can tell apart."""

import json
import sqlite3
import sys
from contextlib import closing

import pytest

from gateway.cli.errors import as_json, as_ledger_error, as_line, exit_code
from ledger import PaymentRequired, Reason, Refused
from ledger.errors import BadData, LedgerError, Locked, OutcomeUnknown

CODES = {
    "usage", "not_found", "not_a_log", "wrong_version", "exists", "locked", "bad_data", "unknown_plugin",
    "missing_extra", "name_clash", "refused", "io", "outcome_unknown", "internal", "policy_failed",
}  # fmt: skip


def newer(log):
    with closing(sqlite3.connect(log)) as file:
        file.execute("PRAGMA user_version = 3")


def truncated(log):
    log.write_bytes(log.read_bytes()[:4096])


def overwritten(log):
    whole = log.read_bytes()
    log.write_bytes(whole[:8192] + bytes(len(whole) - 8192))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("usage", ("balance",)),
        ("usage", ("nonsense",)),
        ("usage", ("balance", "{log}", "--nonsense")),
        ("usage", ("export", "{log}", "--to", "parquet", "--out", "-")),
        ("usage", ("export", "{log}", "--to", "csv")),
        ("not_found", ("balance", "{folder}/none.db")),
        ("not_found", ("audit", "{folder}/none.db")),
        ("not_found", ("export", "{folder}/none.db", "--to", "csv", "--out", "-")),
        ("not_a_log", ("balance", "{folder}")),
        ("not_a_log", ("balance", "{trace}")),
        ("not_a_log", ("audit", "{trace}")),
        ("not_a_log", ("events", "{empty}")),
        ("exists", ("export", "{log}", "--to", "csv", "--out", "{trace}")),
        ("exists", ("export", "{log}", "--to", "csv", "--out", "{folder}")),
        ("exists", ("demo", "--db", "{log}")),
        ("bad_data", ("demo", "--trace", "{trace}", "--db", "{folder}/new.db")),
        ("unknown_plugin", ("demo", "--policy", "nonsense", "--db", "{folder}/new.db")),
        ("missing_extra", ("demo", "--chain", "evm", "--db", "{folder}/new.db")),
        *(("usage", (command, ":memory:")) for command in ("audit", "balance", "batches", "events", "settle")),
        ("usage", ("backup", "{log}", ":memory:")),
        ("usage", ("copy", "{log}", ":memory:")),
        ("usage", ("export", "{log}", "--to", "csv", "--out", ":memory:")),
        *(("usage", ("audit", "{log}", option, ":memory:")) for option in ("--against", "--note", "--html")),
        ("io", ("export", "{log}", "--to", "csv", "--out", "{folder}/none/out.csv")),
    ],
)
def test_each_error_has_its_code_and_says_what_to_do(tollbook, shop, tmp_path, monkeypatch, code, words):
    monkeypatch.setitem(sys.modules, "gateway.demo.evm_escrow", None)  # as where the packages of EVM chains are missing
    (tmp_path / "trace.csv").write_text("timestamp,input_tokens\n2023-11-16T18:00:00Z,many\n")
    (tmp_path / "empty").touch()
    places = {"log": shop.log, "folder": tmp_path, "trace": tmp_path / "trace.csv", "empty": tmp_path / "empty"}
    words = [word.format(**places) for word in words]
    before = sorted(tmp_path.iterdir())
    error = tollbook(*words, "--json").error
    assert error["code"] == code
    assert list(error) == ["code", "message", "hint", "file", "line"]
    assert error["message"]
    assert error["hint"]
    done = tollbook(*words)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("tollbook: error: ")
    assert done.err.rstrip().endswith(f"; {error['hint']}")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("harm", "code"), [(newer, "wrong_version"), (truncated, "not_a_log bad_data"), (overwritten, "bad_data")]
)
def test_a_log_that_was_harmed_is_an_error_not_a_number(tollbook, shop, harm, code):
    harm(shop.log)
    assert tollbook("balance", shop.log, "--json").error["code"] in code.split()


def test_the_balance_in_a_log_that_was_changed_is_an_error(tollbook, shop, spoil):
    spoil(shop.log, '"credits":10000', '"credits":90000')
    for words in (("balance",), ("statement", "--subscriber", "alice", "--plan", "pro"), ("explain", "12")):
        command, *rest = words
        error = tollbook(command, shop.log, *rest, "--json").error
        assert error["code"] == "bad_data"
        assert "tollbook audit" in error["hint"]


def test_bad_data_names_the_file_and_the_line(tollbook, tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("timestamp,input_tokens\n2023-11-16T18:00:00Z,many\n")
    words = ("demo", "--trace", trace, "--db", tmp_path / "new.db")
    error = tollbook(*words, "--json").error
    assert (error["file"], error["line"]) == (str(trace), 2)
    assert tollbook(*words).err.startswith(f"tollbook: error: {trace}:2: ")


@pytest.mark.parametrize(("wrong", "said"), [("abc", "a whole number"), ("-1", "0 or more"), ("1.5", "a whole number")])
def test_a_wrong_number_is_told_in_plain_words_whatever_typer_says(tollbook, shop, wrong, said):
    error = tollbook("settle", shop.log, f"--wait={wrong}", "--json").error
    assert (error["code"], "Input should" in error["message"]) == ("usage", False)
    if "give" in error["message"]:  # older releases of Typer have words of their own
        assert error["message"] == f"invalid value for '--wait': give {said}"


def test_a_refusal_adds_its_reason_and_its_facts():
    error = json.loads(as_json(PaymentRequired(Refused(Reason.insufficient_credits, {"needed": 5, "top_up": 3}))))
    assert error["error"]["code"] == "refused"
    assert error["error"]["reason"] == "insufficient_credits"
    assert error["error"]["facts"] == {"needed": 5, "top_up": 3}


def test_only_an_unknown_outcome_exits_3_and_no_error_exits_1():
    assert exit_code(OutcomeUnknown("the disk did not answer")) == 3
    assert {exit_code(error("…")) for error in (Locked, BadData, LedgerError)} == {2}


def test_what_nobody_foresaw_is_internal():
    error = as_ledger_error(ZeroDivisionError("division by zero"))
    assert error.code == "internal"
    assert as_line(error).startswith("tollbook: error: ZeroDivisionError: division by zero; report this")


def test_an_error_is_one_printable_line_whatever_it_holds():
    assert as_line(LedgerError("two\nlines and \x1b[31m", "wait")) == "tollbook: error: two lines and \\x1b[31m; wait"
    assert json.loads(as_json(LedgerError("a lone \udcff")))["error"]["message"] == "a lone \udcff"


def test_every_code_of_the_tree_of_errors_is_the_contracts():
    def family(kind):
        return {kind}.union(*map(family, kind.__subclasses__()))

    assert {kind.code for kind in family(LedgerError)} <= CODES


def test_the_traceback_is_for_those_who_ask(tollbook, tmp_path, monkeypatch):
    quiet = tollbook("balance", tmp_path / "none.db")
    monkeypatch.setenv("TOLLBOOK_DEBUG", "1")
    loud = tollbook("balance", tmp_path / "none.db")
    assert "Traceback" not in quiet.err
    assert loud.err.startswith("Traceback")
    assert loud.err.splitlines()[-1] == quiet.err.strip()
    assert (quiet.code, loud.code) == (2, 2)
