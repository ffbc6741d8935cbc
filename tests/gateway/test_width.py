"""On a narrow terminal no number and no name is broken or cut, whatever the command."""

import os
import pty
import re
import shlex
import sys
import threading
from contextlib import contextmanager

import pytest

from gateway.cli.layout import laid_out, wrapped
from gateway.cli.main import main
from ledger import Adjust, Charge, CreatePlan, Give, Ledger, Purchase, Request, Subscribe

ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
BOB = "Second-Customer-Of-Long-Name GmbH & Co"
TOKEN = "eip155:8453/erc20:0x833589fCD6eDb88e08f4c7C32D4f71b54bdA02913"
LATER = "pay-as-you-go-for-enterprises-2026"
PLAN = "enterprise-with-priority-support-2026"


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Long names, large numbers and addresses."""
    path = tmp_path_factory.mktemp("wide") / "wide.db"
    with Ledger.open(path, clock=iter(range(10**15, 10**18, 10**7)).__next__, id="wide") as ledger:
        do = lambda command: ledger.execute(command).unwrap()  # noqa: E731
        terms = {"owner": ALICE, "asset": TOKEN, "policy": "complexity"}
        weights = {"weights": {"input_tokens": "1", "output_tokens": "3"}}
        do(CreatePlan(plan=PLAN, price={ALICE: 10**21, BOB: 10**20}, credits=10**15, parameters=weights, **terms))
        for name in (ALICE, BOB):
            do(Purchase(subscriber=name, plan=PLAN, payment=f"payment-of-{name}"))
            do(Give(subscriber=name, plan=PLAN, credits=123_456_789))
            do(Request(subscriber=name, plan=PLAN, estimate={"input_tokens": 10**9}))
            usage = {"input_tokens": 987_654_321_012, "output_tokens": 1_234_567_890}
            charge = do(Charge(subscriber=name, plan=PLAN, usage=usage))
            do(Adjust(charge=charge.seq, credits=-1_000_000_007, reason="refund", note="half an answer"))
        postpaid = {"billing": "postpaid", "credit_limit": 10**15, "parameters": weights, **terms}
        do(CreatePlan(plan=LATER, price={ALICE: 10**21, BOB: 10**20}, credits=10**12, **postpaid))
        for name in (ALICE, BOB):
            do(Subscribe(subscriber=name, plan=LATER))
            do(Charge(subscriber=name, plan=LATER, usage={"input_tokens": 987_654_321_012}))
    assert main(["demo", "--db", str(path.with_name("demo.db")), "--requests", "60", "--json"]) == 0
    return path


@contextmanager
def terminal(monkeypatch, columns):
    """Let stdout be a terminal of that width, in this process; yield the bytes that it shows."""
    leader, follower = pty.openpty()
    shown = []

    def read():
        try:
            while part := os.read(leader, 65536):
                shown.append(part)
        except OSError:  # how Linux says that the other end is closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    with open(follower, "w", encoding="utf-8") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        patch.setenv("COLUMNS", str(columns))
        patch.setenv("NO_COLOR", "1")
        patch.delenv("PAGER", raising=False)
        yield shown
    reader.join()
    os.close(leader)


COMMANDS = [
    ("balance", "{log}"),
    ("balance", "{demo}"),
    ("statement", "{log}", "--subscriber", ALICE.lower(), "--plan", PLAN),
    ("statement", "{log}", "--subscriber", BOB, "--plan", PLAN),
    ("invoices", "{log}", "--as-of", "2002-01-01T00:00:00Z"),
    ("events", "{log}"),
    ("explain", "{log}", "{charge}"),
    ("audit", "{log}"),
    ("batches", "{log}"),
    ("batches", "{demo}", "--hashes"),
    ("plans", "{log}"),
    ("plans", "{demo}"),
    ("agents", "{demo}"),
    ("policies",),
    ("plugins",),
    ("simulate", "--seed", "1", "--steps", "5"),
    ("demo", "--db", ":memory:", "--requests", "60"),
]


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_no_word_is_broken_or_cut_and_no_line_is_too_long_that_could_be_broken(
    tollbook, monkeypatch, capsys, log, words, columns
):
    charge = re.search(r"(\d+) .* charged", tollbook("events", log, "--type", "charged").out)[1]
    words = [word.format(log=log, demo=log.with_name("demo.db"), charge=charge) for word in words]
    piped = tollbook(*words)
    with terminal(monkeypatch, columns) as shown:
        assert main(words) == piped.code == 0
    text = b"".join(shown).decode().replace("\r\n", "\n")
    notes = "no room for : a wider terminal shows them, and --json"
    assert {each.strip(",:") for each in text.replace("─", "").split()} <= {
        each.strip(",:") for each in f"{piped.out} {notes}".split()
    }
    for line in text.splitlines():
        assert (
            len(line) <= columns
            or len(line.split()) == 1
            or "tollbook " in line
            or "sqlite3" in line
            or "--policy " in line
        ), line
    for name in (ALICE, PLAN, LATER, *BOB.split()):
        assert text.split().count(name) > 0 or name not in piped.out.split(), name


def test_empty_columns_are_left_out_unless_all_are():
    rows = [[["a"], ["-"], ["1"]], [["b"], [""], ["2"]]]
    assert laid_out(["name", "nothing", ">n"], rows) == ("name  n", ["a     1", "b     2"], [])
    assert laid_out(["name", ">n"], []).head == "name  n"


def test_text_is_wrapped_first_then_columns_go_in_their_order_then_it_is_records():
    columns, goes = ["name", "~what", ">first", ">second"], ["second", "first"]
    rows = [[["alice"], ["a text of some twenty words or less"], ["1,000"], ["2,000"]]]
    widths = {width: laid_out(columns, rows, width, goes) for width in (60, 45, 31, 24, 12)}
    assert [layout.gone for layout in widths.values()] == [[], [], ["second"], ["second", "first"], []]
    assert widths[60].lines == ["alice  a text of some twenty words or less  1,000   2,000"]
    assert widths[45].lines == ["alice  a text of some twenty    1,000   2,000", "         words or less"]
    assert widths[12].head is None
    assert widths[12].lines[-4:] == ["first", "  1,000", "second", "  2,000"]


def test_a_cell_may_have_lines_and_wide_characters_take_two_cells():
    layout = laid_out(["name", "paid"], [[["東京"], ["a 1", "b 2"]]])
    assert (layout.head, layout.lines) == ("name  paid", ["東京  a 1", "      b 2"])


def test_a_sentence_breaks_at_spaces_and_keeps_its_indentation():
    assert wrapped("  one two three-four", 12) == ["  one two", "    three-four"]
    assert wrapped("0x" + "f" * 64, 40) == ["0x" + "f" * 64]


def test_a_long_list_on_a_terminal_ends_and_says_how_to_see_the_rest(monkeypatch, long_log):
    with terminal(monkeypatch, 80) as shown:
        assert main(["events", str(long_log)]) == 0
    lines = b"".join(shown).decode().splitlines()
    assert len(re.findall(r"^ *\d+  2023", "\n".join(lines), re.MULTILINE)) == 200
    assert "--limit N" in lines[-1]
    with terminal(monkeypatch, 80) as shown:
        assert main(["events", str(long_log), "--limit", "300"]) == 0
    assert b"--limit" not in b"".join(shown)


def test_a_long_statement_on_a_terminal_ends_with_its_last_lines(monkeypatch, long_log):
    words = ["statement", str(long_log), "--subscriber", "alice", "--plan", "pro"]
    with terminal(monkeypatch, 200) as shown:
        assert main([*words, "--limit", "3"]) == 0
    lines = b"".join(shown).decode().splitlines()
    assert [line.split()[0] for line in lines[-5:-1]] == ["30001", "30002", "30003", "closing"]
    assert lines[-1].startswith("the last 3 of 30,")


def test_a_pager_gets_the_whole_list_from_a_terminal_only(process, monkeypatch, told, long_log, tmp_path):
    with terminal(monkeypatch, 80) as shown:
        monkeypatch.setenv("PAGER", f"cat > {tmp_path / 'paged'}")
        assert main(["events", str(long_log)]) == 0
    assert len(re.findall(r"^ *\d+  2023", (tmp_path / "paged").read_text(), re.MULTILINE)) > 30_000
    assert b"".join(shown) == b""
    assert process("events", told.log, env={**os.environ, "PAGER": "false"}).out.count("\n") == 20


def test_a_pager_that_ends_early_is_no_error(monkeypatch, long_log):
    with terminal(monkeypatch, 80) as shown:
        monkeypatch.setenv("PAGER", "head -1")
        assert main(["events", str(long_log)]) == 0
    assert b"".join(shown).count(b"\n") == 1


def test_events_show_subscriber_usage_and_credits(tollbook, told):
    lines = tollbook("events", told.log).out.splitlines()
    assert "alice on pro" in lines[told.seq["direct"] - 1]
    assert "charged directly, 1.24 credits, 12,345 input_tokens" in lines[told.seq["direct"] - 1]
    assert "alice on pro" in lines[told.seq["released"] - 1]
    assert "-0.24 credits" in lines[told.seq["refund"] - 1]


def test_a_command_to_paste_is_one_line_however_narrow_the_terminal_is(tollbook, monkeypatch, log):
    demo = str(log.with_name("demo.db"))
    last = max(batch["number"] for batch in tollbook("batches", demo, "--json").json["batches"])
    accounts = tollbook("balance", demo, "--json").json["accounts"]
    account = next(account for account in accounts if account["plan"] == "starter")
    words = ["statement", demo, "--subscriber", account["subscriber"], "--plan", account["plan"], "--proof", str(last)]
    with terminal(monkeypatch, 80) as shown:
        assert main(words) == 0
    lines = [line.strip() for line in b"".join(shown).decode().splitlines()]
    pasted = [line for line in lines if line.startswith("python ")]
    assert len(pasted) == 2, "the root that the chain has, and the check of the proof"
    assert [shlex.split(command)[:2] for command in pasted] == [["python", "-c"]] * 2
