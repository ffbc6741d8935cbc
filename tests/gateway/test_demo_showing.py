"""What the demo shows: the figures a seller wants, and commands that really work on its log."""

from __future__ import annotations

import json
import shlex
import sqlite3
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import msgspec
import pytest

from gateway.cli.main import main
from gateway.demo import Options, Summary, run, show
from gateway.demo.steps import next_steps
from gateway.demo.summary import Receiver
from replay import Finding


@pytest.fixture(scope="module")
def summary(tmp_path_factory) -> Summary:
    return run(Options(requests=2_000, db=tmp_path_factory.mktemp("a folder; 'quoted'") / "demo.db"))


def shown(summary: Summary) -> str:
    with redirect_stdout(StringIO()) as written:
        show(summary)
    return written.getvalue()


def test_it_shows_what_a_seller_wants(summary):
    text = shown(summary)
    for word in ("sold", "admitted", "refused", "charged", "corrected", "lapsed", "earned", "settled", "outstanding"):
        assert word in text
    for figure in (summary.requests.offered, summary.charged.credits, summary.sold.credits, summary.lapsed):
        assert f"{figure:,}" in text
    assert f"settled on mock:local, in batches {summary.batches}" in " ".join(text.split())
    for reason in summary.requests.refused_by:
        assert reason in text
    assert f"{summary.earned['USD'] // 100:,}.{summary.earned['USD'] % 100:02} USD" in text
    assert "audit: clean" in text
    assert summary.head.hash in text


def test_each_receiver_is_shown_with_what_it_was_paid_and_what_is_outstanding(summary):
    lines = [" ".join(line.split()) for line in shown(summary).splitlines()]
    for name, receiver in summary.receivers["USD"].items():
        assert f"paid to {name} {receiver.paid // 100:,}.{receiver.paid % 100:02} USD" in lines
        assert f"outstanding to {name} 0.00 USD" in lines


def test_what_rounding_leaves_has_a_line_of_its_own_so_that_the_table_adds_up(summary):
    left = msgspec.structs.replace(
        summary, outstanding={"USD": 207, "gold": 0}, receivers={"USD": {"acme": Receiver(90, 200)}, "gold": {}}
    )
    lines = [" ".join(line.split()) for line in shown(left).splitlines()]
    told = ["outstanding 2.07 USD", "outstanding to acme 2.00 USD"]
    told += ["left by rounding down, paid once a purchase is used up 0.07 USD"]
    assert [line for line in lines if line in told] == told


def test_of_a_receiver_with_too_much_less_than_nothing_is_outstanding(summary):
    owing = msgspec.structs.replace(summary, receivers={"USD": {"acme": Receiver(200_001, -205)}, "gold": {}})
    lines = [" ".join(line.split()) for line in shown(owing).splitlines()]
    assert "outstanding to acme -2.05 USD" in lines
    assert "paid to acme 2,000.01 USD" in lines


def test_a_batch_without_an_end_is_shown_with_what_to_do(summary):
    assert "not confirmed" not in shown(summary)
    assert "settlement: 2 batches are not confirmed; `tollbook settle`" in shown(
        msgspec.structs.replace(summary, open_batches=2)
    )


def test_the_log_and_its_chain_are_the_only_files_that_are_left(summary):
    shown(summary)
    log = Path(summary.log)
    assert sorted(log.parent.iterdir()) == [log, log.with_name("demo.db.mock")]


def test_findings_are_shown_as_such(summary):
    check = msgspec.structs.replace(summary.audit.checks[0], findings=2)
    one = Finding(kind="hash", seq=1, field="hash", expected=None, found=None, message="it was changed")
    damaged = msgspec.structs.replace(summary.audit, verdict="findings", checks=(check,), findings=(one,))
    text = shown(msgspec.structs.replace(summary, audit=damaged))
    assert "audit: 2 findings" in text
    assert "clean" not in text


def test_each_command_to_look_at_next_is_shown_on_one_line(summary):
    lines = [line.strip() for line in shown(summary).splitlines()]
    assert all(command in lines for command, _ in next_steps(summary))


def test_the_commands_to_look_at_next_work(summary, capsys):
    steps = [shlex.split(command) for command, _ in next_steps(summary)]
    assert steps[-1][:2] == ["tollbook", "settle"]
    assert [words[:2] for words in steps[:5]] == [
        ["tollbook", name] for name in ("explain", "statement", "batches", "balance", "audit")
    ]
    assert steps[1][-2:] == ["--proof", str(summary.batches)]
    for program, *words in steps:
        if program == "tollbook":
            assert main(words) == 0, words
            assert capsys.readouterr().out
        else:
            connection = sqlite3.connect(words[0])
            assert len(connection.execute(words[1]).fetchall()) == 5
            connection.close()


def test_the_charge_to_explain_was_corrected(summary, capsys):
    charge = shlex.split(next_steps(summary)[0][0])[3]
    assert main(["explain", summary.log, charge, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["adjustments"]


def test_a_log_without_charges_still_has_steps(tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("timestamp,input_tokens\n2026-01-01,9223372036854775807\n")
    summary = run(Options(trace=trace, db=tmp_path / "demo.db"))
    assert summary.charged.charges == 0
    assert all(
        command.startswith(("tollbook batches", "tollbook balance", "tollbook audit", "tollbook settle", "sqlite3"))
        for command, _ in next_steps(summary)
    )
