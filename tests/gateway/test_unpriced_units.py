"""Units that no rate of the tariff reads are no free lunch unseen: balance, statement and explain count them."""

import pytest

from ledger import Charge, CreatePlan, Ledger, Purchase

ANN = {"subscriber": "ann", "plan": "pro"}
WORDS = ("--subscriber", "ann", "--plan", "pro")


@pytest.fixture
def log(tmp_path):
    """ann uses 2 calls, and 7 cals by mistake: sequence 4."""
    with Ledger.open(tmp_path / "toll.db", clock=lambda: 1_700_000_000_000_000) as ledger:
        plan = CreatePlan(plan="pro", owner="acme", credits=10, policy="per_credit", parameters={"per": "call"})
        for command in (plan, Purchase(**ANN), Charge(**ANN, usage={"calls": 2, "cals": 7})):
            ledger.execute(command).unwrap()
    return tmp_path / "toll.db"


def test_they_are_in_what_is_answered(tollbook, log):
    (balance,) = tollbook("balance", log, "--json").json["accounts"]
    statement = tollbook("statement", log, *WORDS, "--json").json
    assert balance["unpriced"] == statement["unpriced"] == statement["lines"][-1]["unpriced"] == {"cals": 7}
    assert [line for line in statement["lines"][:-1] if "unpriced" in line] == []
    assert tollbook("explain", log, "4", "--json").json["unpriced"] == {"cals": 7}


def test_they_are_in_what_is_told(tollbook, log):
    assert "no price for 7 cals of ann on pro" in tollbook("balance", log).out
    told = tollbook("statement", log, *WORDS).out
    assert "charged directly, no price for 7 cals" in told
    assert told.splitlines()[-1] == "no price for 7 cals"
    assert "no price for: cals=7" in tollbook("explain", log, "4").out
