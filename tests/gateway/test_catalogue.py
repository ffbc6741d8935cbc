"""`tollbook plans`, `agents` and `policies`: what a log sells, and what is installed to price it."""

import pytest

from ledger.errors import LedgerError
from ledger.plugins import Price, policies, stores
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
    listed = tollbook("policies", "--json").json["policies"]
    answer = {each["policy"]: each for each in listed if each["distribution"] == "tollbook"}  # others are other tests'
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
        assert set(answer) >= {*BUILT_IN, "bare", "failing"}
        assert (answer["bare"]["parameters"], answer["bare"]["example"]) == (None, None)
        assert answer["failing"]["example_credits"] is None
        assert tollbook("policies").code == 0
    finally:
        for name in ("bare", "failing"):
            del policies._load().factories[name], policies._load().origins[name]


@pytest.mark.parametrize("command", ["plans", "agents"])
def test_a_log_that_is_not_there_is_an_error(tollbook, tmp_path, command):
    assert tollbook(command, tmp_path / "none.db", "--json").error["code"] == "not_found"


class Described:
    """Credits an image.

    Parameters: `sizes`, a price
    by dimension.
    """

    version, scope, monotone = 1, "request", True
    example = "described:sizes.small=1"

    def __init__(self, parameters):
        self.parameters = parameters

    def reads(self, labels):
        return frozenset(self.parameters["sizes"])

    def total(self, usage, labels):
        return Price(sum(usage.values()))


@pytest.fixture
def described():
    policies.register("described", Described)
    yield Described
    del policies._load().factories["described"], policies._load().origins["described"]


def test_a_policy_of_ones_own_says_its_parameters_and_its_example(tollbook, described):
    (answer,) = [each for each in tollbook("policies", "--json").json["policies"] if each["policy"] == "described"]
    assert (answer["parameters"], answer["about_parameters"]) == (None, "Parameters: `sizes`, a price by dimension.")
    assert (answer["example_parameters"], answer["example_credits"]) == ({"sizes": {"small": 1}}, 1_000)
    out = tollbook("policies").out
    assert "Credits an image." in out
    assert "Parameters: `sizes`, a price by dimension." in out
    assert "--policy 'described:sizes.small=1'" in out


@pytest.mark.parametrize(
    "parts",
    [
        {"accepts": dict},
        {"accepts": 7},
        {"example": 7},
        {"example": "described:"},
        {"scope": object()},
        {"__doc__": 7},
        {"__doc__": ""},
    ],
    ids=lambda parts: next(iter(parts)),
)
def test_what_a_policy_says_in_another_form_is_left_out(tollbook, described, monkeypatch, parts):
    """Any attribute of a plugin may be anything; the list is written whatever it is."""
    for name, value in parts.items():
        monkeypatch.setattr(described, name, value, raising=False)
    assert tollbook("policies").code == 0
    listed = {each["policy"] for each in tollbook("policies", "--json").json["policies"]}
    assert listed >= {*BUILT_IN, "described"}


def test_examples_fit_a_terminal_of_80_columns(tollbook):
    """They are not broken, so that they can be copied."""
    lines = [each for each in tollbook("policies").out.splitlines() if "--policy" in each]
    assert len(lines) >= len(BUILT_IN)
    assert all(len(each) <= 80 for each in lines)


def test_a_policy_that_knows_no_models_names_none_of_a_trace_that_has_some(tollbook, described, tmp_path):
    (tmp_path / "trace.csv").write_text("timestamp,model,input_tokens\n2026-01-01,large,5\n2026-01-02,small,5\n")
    words = ("demo", "--trace", tmp_path / "trace.csv", "--db", tmp_path / "demo.db", "--json")
    message = tollbook(*words, "--policy", "described:sizes.small=1").error["message"]
    assert "the policy described reads small, and the trace has" in message
    message = tollbook(*words, "--policy", "complexity:models.large.small=1").error["message"]
    assert "the policy complexity reads small (of the models large, small), and" in message


@pytest.mark.parametrize("registry", [policies, stores])
def test_a_name_that_no_table_holds_is_refused(registry):
    why = f"cannot name a {registry.kind}: it has 2,000 characters, of at most 64"
    with pytest.raises(LedgerError, match=why) as raised:
        registry.register("a" * 2_000, dict)
    assert len(str(raised.value)) < 250
