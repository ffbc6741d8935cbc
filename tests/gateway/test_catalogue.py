"""`tollbook plans`, `agents` and `policies`: what a log sells, and what is installed to price it."""

import pytest

from ledger.plugins import policies
from pricing.notation import parse

BUILT_IN = ["complexity", "cost_plus", "graduated", "package", "per_credit", "time", "volume"]


def test_plans_have_owner_tariff_terms_and_accounts(tollbook, told):
    answer = tollbook("plans", told.log, "--json").json
    assert list(answer) == ["log", "as_of", "plans"]
    pro, coins = answer["plans"]
    assert list(pro) == ["plan", "owner", "retired", "accounts", "tariff", "terms"]
    assert (pro["plan"], pro["owner"], pro["retired"], pro["accounts"]) == ("pro", "acme", False, 1)
    assert pro["tariff"]["policy"] == "complexity"
    assert (pro["terms"]["credits"], pro["terms"]["decimals"]) == (10_000, 2)
    assert coins["terms"]["price"] == [{"receiver": "acme", "amount": 10**20}]


def test_the_table_of_plans_says_what_one_costs_and_how_it_charges(tollbook, told):
    out = tollbook("plans", told.log).out
    pro = next(line for line in out.splitlines() if line.startswith("pro"))
    for part in ("100.00 credits", "10.00 USD", "complexity:weights.input_tokens=1/100", "acme"):
        assert part in pro
    assert "retired" not in out
    assert len(tollbook("plans", told.log, "--limit", "1", "--json").json["plans"]) == 1


def test_a_retired_plan_is_listed_as_such(tollbook, shop):
    from ledger import Ledger, RetireAgent, RetirePlan

    with Ledger.open(shop.log, clock=lambda: 2 * 10**15) as ledger:
        ledger.execute(RetirePlan(plan="pro")).unwrap()
        ledger.execute(RetireAgent(agent="bot")).unwrap()
    assert [plan["retired"] for plan in tollbook("plans", shop.log, "--json").json["plans"]] == [True, False]
    assert "retired" in tollbook("plans", shop.log).out
    assert tollbook("agents", shop.log).out.splitlines()[-1].split() == ["bot", "1", "pro", "acme", "yes"]


def test_agents_have_their_plans_and_terms(tollbook, told):
    answer = tollbook("agents", told.log, "--json").json
    assert list(answer["agents"][0]) == ["agent", "number", "owner", "retired", "plans", "terms"]
    assert answer["agents"][0]["plans"] == ["pro"]
    assert answer["agents"][0]["terms"] == {"endpoints": [], "open_endpoints": [], "metadata": {}}


def test_policies_are_listed_with_parameters_and_an_example_that_works(tollbook):
    answer = {each["policy"]: each for each in tollbook("policies", "--json").json["policies"]}
    assert list(answer) == BUILT_IN
    for name, each in answer.items():
        assert each["charges"].endswith(".")
        assert each["scope"] in ("request", "period")
        for parameter in each["parameters"]:
            assert list(parameter) == ["name", "required", "default", "description"]
            assert parameter["description"].endswith(".")
        given, parameters = parse(each["example"])
        assert given == name
        assert set(parameters) <= {parameter["name"] for parameter in each["parameters"]}
        assert policies.get(name)(parameters).total(each["example_usage"] or {"calls": 1}, {}).credits > 0
    assert (answer["time"]["example_usage"], answer["time"]["example_credits"]) == ({"seconds": 1_000}, 17)
    out = tollbook("policies").out
    assert "1,000 seconds: 17 credits" in out
    assert all(each["example"] in out for each in answer.values())


def test_a_policy_that_says_nothing_about_itself_is_listed_and_one_that_fails_harms_no_other(tollbook):
    def failing(parameters):
        raise RuntimeError

    failing.example = "failing:a=1"
    for name, factory in (("bare", lambda parameters: None), ("failing", failing)):
        policies.register(name, factory)
    try:
        answer = {each["policy"]: each for each in tollbook("policies", "--json").json["policies"]}
        assert set(answer) == {*BUILT_IN, "bare", "failing"}
        assert (answer["bare"]["parameters"], answer["bare"]["example"]) == (None, None)
        assert answer["failing"]["example_credits"] is None
        assert tollbook("policies").code == 0
    finally:
        for name in ("bare", "failing"):
            del policies._load().factories[name], policies._load().origins[name]


@pytest.mark.parametrize("command", ["plans", "agents"])
def test_a_log_that_is_not_there_is_an_error(tollbook, tmp_path, command):
    assert tollbook(command, tmp_path / "none.db", "--json").error["code"] == "not_found"
