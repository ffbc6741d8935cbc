"""`tollbook simulate`: what it does by itself, what it says of a run, and of one that fails."""

import re
import shlex

import pytest

from ledger import Ledger
from ledger.errors import NotWritten
from ledger.writer import Writer
from replay.simulator import KINDS
from replay.simulator import run as runs

QUICK = ("--steps", "40")


def test_a_seed_is_run_and_summed_up_in_a_table(tollbook):
    page = tollbook("simulate", "--seed", "2", *QUICK)
    assert (page.code, page.err) == (0, "")
    assert page.out.startswith("seed 2, 40 steps\n")
    assert re.search(r"^steps +40$", page.out, re.MULTILINE)
    assert re.search(r"^answers to Request +[0-9]+$", page.out, re.MULTILINE)
    assert page.out.endswith("every law held in 1 of 1 runs\n")


def test_the_same_seeds_give_the_same_answer(tollbook):
    words = ("simulate", "--seed", "2", "--seeds", "2", *QUICK, "--json")
    answer = tollbook(*words).json
    assert answer == tollbook(*words).json
    assert list(answer["heads"]) == ["2", "3"]
    assert (answer["seed"], answer["seeds"], answer["ran"], answer["steps"]) == (2, 2, 2, 40)
    assert answer["failure"] is None
    assert set(answer["faults"]) <= set(KINDS)
    assert sum(answer["events"].values()) >= answer["commits"] > 0


def test_without_a_seed_they_are_fresh_and_said(tollbook):
    said = [tollbook("simulate", "--seeds", "1", "--steps", "1").out.splitlines()[0] for _ in range(2)]
    assert all(re.fullmatch("seed [0-9]+, 1 steps", line) for line in said)
    assert said[0] != said[1]


def test_policies_and_faults_are_the_callers(tollbook):
    policies = ("--policy", "package:dimension=calls,size=10,credits=25", "--policy", "per_credit")
    answer = tollbook("simulate", "--seed", "1", *QUICK, *policies, "--faults", "none", "--json").json
    assert answer["events"]["PlanCreated"] == 2
    assert answer["faults"] == {}


def hopes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that takes an append that failed for one that was done."""

    class HopefulWriter(Writer):
        def _append(self, commit, events):
            try:
                super()._append(commit, events)
            except NotWritten:
                self._fold(commit, events)

    class Hopes(Ledger):
        _writer_class = HopefulWriter

    monkeypatch.setattr(runs, "Ledger", Hopes)


def test_a_run_that_fails_exits_1_and_says_how_to_have_it_again(tollbook, monkeypatch):
    hopes(monkeypatch)
    failed = tollbook("simulate", "--seed", "0", "--seeds", "60", "--json")
    assert failed.code == 1
    failure = failed.json["failure"]
    assert failed.json["ran"] < 60
    again = tollbook(*shlex.split(failure["command"])[1:])
    assert again.code == 1
    assert f"seed {failure['seed']}, step {failure['step']}: {failure['law']}" in again.out
    assert f"repeat it with: {failure['command']}" in again.out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--faults", "flood"), "bad_data", "there is no fault 'flood'"),
        (("--policy", "nonesuch"), "refused", "there is no pricing policy 'nonesuch'"),
        (("--policy", "per_credit:credits="), "bad_data", "is not key=value"),
        (("--seeds", "0"), "usage", "--seeds"),
        (("--steps", "-1"), "usage", "--steps"),
    ],
)
def test_what_cannot_be_run_exits_2(tollbook, words, code, message):
    error = tollbook("simulate", "--seed", "1", *words, "--json").error
    assert error["code"] == code
    assert message in error["message"]
