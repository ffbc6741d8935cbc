"""The demo on a local EVM chain: customers pay in tokens there, batches settle there, and log and chain agree."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from local_kinds import EVERY_KIND, needs_anvil
from shares_left import left_by_floors

from chains import leaf_file
from chains.evm import addresses
from chains.evm.local.anvil import find_anvil
from gateway.cli import render
from gateway.cli.main import main
from gateway.demo import Options, Summary, run, show
from gateway.demo.summary import OnChain
from gateway.waiting import WAITING
from ledger.errors import ChainUnavailable
from ledger.events import EscrowFunding, Frozen, Purchased, SettlementConfirmed, Withdrawn
from ledger.log import entries
from ledger.plugins import stores
from replay.audit import audit

PHASES = ["chain", "requests", "audit"]


@pytest.fixture(scope="module", params=EVERY_KIND)
def told_with_progress(request, tmp_path_factory) -> tuple[Summary, list[tuple[str, int, int]]]:
    """One run for all tests of a kind of chain."""
    progress: list[tuple[str, int, int]] = []
    db = tmp_path_factory.mktemp("evm") / "demo.db"
    summary = run(Options(chain=request.param, requests=250, subscribers=8, db=db), lambda *news: progress.append(news))
    return summary, progress


@pytest.fixture
def told(told_with_progress) -> Summary:
    return told_with_progress[0]


@pytest.fixture
def onchain(told) -> OnChain:
    assert told.onchain is not None
    return told.onchain


def entries_of(told: Summary, *types: type) -> list:
    store = stores.get("sqlite")(Path(told.log), read_only=True)
    try:
        return [entry for entry in entries(store.read()) if isinstance(entry.event, types)]
    finally:
        store.close()


def events(told: Summary, *types: type) -> list:
    return [entry.event for entry in entries_of(told, *types)]


def test_the_audit_holds_log_and_chain_to_each_other_and_finds_nothing(told):
    assert told.audit.verdict == "clean"
    checked = {check.name: check.checked for check in told.audit.checks}
    assert all(checked[kind] > 0 for kind in ("chain_batch", "chain_purchase", "chain_payout", "chain_escrow"))


def test_what_costs_money_is_bought_on_the_chain_by_addresses(told):
    bought = [event for event in events(told, Purchased) if event.cost]
    assert bought
    for event in bought:
        assert isinstance(event.funding, EscrowFunding)
        assert event.funding.escrow.contract == told.onchain.contract
        addresses.check_address(event.subscriber)


def test_all_that_was_earned_is_settled_there(told, onchain):
    """But for what the customer's exit left, which is taken in after the last batch."""
    due = [receiver.outstanding for receiver in told.receivers[onchain.asset].values()]
    assert told.outstanding == {onchain.asset: left_by_floors(told.log)[onchain.asset] + sum(due)}
    assert set(due) <= {0, 1}
    assert told.settled[onchain.asset] > 0
    assert len(events(told, SettlementConfirmed)) == told.batches > 1


def test_a_customer_leaves_by_proof_with_the_rest(told):
    assert len(events(told, Frozen)) == 1
    (left,) = events(told, Withdrawn)
    assert left.paid > 0


def test_the_leaf_files_are_published_beside_the_log(told):
    files = list(Path(f"{told.log}.leaves").iterdir())
    assert len(files) == told.batches
    assert {leaf_file.decode(file.read_bytes()).number for file in files} == set(range(1, told.batches + 1))


def test_the_gas_of_batches_is_far_below_that_of_a_transfer_a_charge(told, onchain):
    gas = onchain.gas
    assert gas.batches == told.batches
    assert gas.batches_gas >= 60_000 * gas.batches
    assert 30_000 < gas.transfer < 60_000
    assert gas.batches_gas < gas.transfer * told.charged.charges
    assert gas.batches < gas.accounts <= gas.batches * len(onchain.names)
    assert gas.purchases_gas >= 100_000 * gas.purchases > 0


def test_who_is_who_is_told(told, onchain):
    assert {"acme", "platform"} <= set(onchain.names.values())
    assert set(told.receivers[onchain.asset]) <= set(onchain.names)


def test_it_is_shown(told, onchain, capsys):
    show(told)
    shown = capsys.readouterr().out
    for part in ("settled on eip155:31337", "TUSD", "paid to acme", "in place of one transfer"):
        assert part in shown
    assert f"gas on {onchain.kind}" in shown
    assert "events, held to the chain" in shown


def test_it_goes_as_json(told, capsys):
    render.json(told)
    answer = json.loads(capsys.readouterr().out)
    assert answer["chain"] == "eip155:31337"
    assert answer["onchain"]["gas"]["batches"] == answer["batches"]


@pytest.mark.sweep
def test_the_command_runs_it(tmp_path, capsys):
    words = ["demo", "--chain", "eth-tester", "--requests", "60", "--subscribers", "4"]
    assert main([*words, "--db", str(tmp_path / "one.db")]) == 0
    assert "gas on eth-tester" in capsys.readouterr().out


def test_the_batches_of_its_log_are_shown_with_a_line_for_each_receiver(told, onchain, capsys):
    assert main(["batches", told.log]) == 0
    lines = capsys.readouterr().out.splitlines()
    title = lines.index(f"batches, all of contract {onchain.contract} on {told.chain}")
    first, second = (line.split() for line in lines[title + 2 : title + 4])
    assert first[:3] == ["1", onchain.asset.split(":")[-1], "confirmed"]
    paid = {first[4]: first[5], second[0]: second[1]}
    assert set(paid) == set(told.receivers[onchain.asset])
    assert all(amount.startswith("+") for amount in paid.values())


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_statement_of_its_log_has_whole_addresses(told, onchain, capsys, form):
    sold = next(event for event in events(told, Purchased) if event.asset == onchain.asset and event.cost)
    assert main(["statement", told.log, "--subscriber", sold.subscriber, "--plan", sold.plan, *form]) == 0
    assert onchain.asset in capsys.readouterr().out


def test_a_chain_that_does_not_start_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("TOLLBOOK_ANVIL", raising=False)
    monkeypatch.setattr("chains.evm.local.anvil.__file__", str(tmp_path / "anvil.py"))
    with pytest.raises(ChainUnavailable, match="anvil is not installed"):
        run(Options(chain="anvil", requests=1))
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_it_says_what_to_install_and_leaves_no_file(tmp_path):
    program = "import sys; sys.modules['web3'] = None; from gateway.cli.main import main; sys.exit(main())"
    words = [sys.executable, "-c", program, "demo", "--chain", "evm", "--requests", "1"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert 'pip install "tollbook[evm]"' in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_progress_reports_the_chain_first(told_with_progress):
    progress = [news for news in told_with_progress[1] if news[0] != WAITING]  # a busy machine
    assert progress[:2] == [("chain", 0, 0), ("chain", 1, 1)]
    assert [phase for phase, _, _ in progress] == sorted((phase for phase, _, _ in progress), key=PHASES.index)


@pytest.fixture
def named_anvil(tmp_path, monkeypatch) -> Path:
    """The file with the id of the last anvil process that was started."""
    program, file = tmp_path / "anvil", tmp_path / "pid"
    program.write_text(f'#!/bin/sh\necho $$ >"{file}"\nexec "{find_anvil()}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("TOLLBOOK_ANVIL", str(program))
    return file


@needs_anvil
def test_a_chain_that_dies_ends_the_demo_with_what_happened_and_what_to_do(tmp_path, named_anvil):
    def kill(phase: str, done: int, total: int) -> None:
        if phase == "requests" and done >= 50:
            os.kill(int(named_anvil.read_text()), signal.SIGKILL)

    db = tmp_path / "demo.db"
    with pytest.raises(ChainUnavailable, match="has ended: it was killed") as raised:
        run(Options(chain="anvil", requests=200, subscribers=4, db=db), kill)
    assert raised.value.hint == f"run the demo again; what was done so far is in {db}"
    assert audit(db).verdict == "clean"


DEMO, UP = ("demo", "--requests", "100", "--chain"), ("chain", "up", "--port", "0", "--kind")


@pytest.mark.parametrize(
    ("words", "begun"),
    [
        ((*DEMO, "eth-tester"), "tollbook-demo.db"),
        pytest.param((*DEMO, "anvil"), "temporary/*", marks=needs_anvil),
        pytest.param((*UP, "anvil"), "temporary/*", marks=needs_anvil),
    ],
    ids=["demo-eth-tester", "demo-anvil", "up-anvil"],
)
def test_ctrl_c_leaves_neither_tracebacks_nor_processes_nor_files(words, begun, start, program, tmp_path, patience):
    """Pressed twice while the chain starts; what has begun by then keeps its log."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    running = start(program, *words, cwd=tmp_path, env=os.environ | {"TMPDIR": str(temporary)})
    while not any(tmp_path.glob(begun)) and running.poll() is None:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    running.send_signal(signal.SIGINT)
    _, error = running.communicate(timeout=patience)
    if words[0] == "demo":
        assert (running.returncode, error.count(b"\n")) == (130, 1)
        assert error.startswith(b"tollbook: interrupted")
    else:  # Ctrl-C is the end of `chain up`
        assert (running.returncode, error) == (0, b"")
    while any(temporary.iterdir()):  # the shell beside anvil removes it when anvil has ended
        time.sleep(0.01)
    kept = [path.name for path in tmp_path.iterdir() if path != temporary]
    assert bool(kept) == (b"what was done so far is in tollbook-demo.db" in error)
