"""The catalogue: plans with their tariffs, agents with their plans (design.md, sections 3, 4 and 6)."""

import pytest

from ledger import Endpoint, Limits, RateLimit, Reason, RegisterAgent, RepricePlan, RetireAgent, RetirePlan, UpdateAgent

ASK = Endpoint("POST", "https://svc.example/ask")


def agent(name="bot", **said):
    return RegisterAgent(agent=name, **({"owner": "acme", "plans": ("pro",)} | said))


# -- plans -------------------------------------------------------------------------------------------------------------


def test_accounts_are_numbered_densely_when_first_opened(shop):
    """By subscriber and plan, from 1; a second purchase opens nothing."""
    shop.given(shop.plan(), shop.plan("other"))
    buys = [shop.buy(), shop.buy(subscriber="bob"), shop.buy(), shop.buy(plan="other"), shop.buy(subscriber="eve")]
    assert [shop.event(shop.given(buy)).account for buy in buys] == [1, 2, 1, 3, 4]


def test_a_refused_command_opens_no_account(shop):
    shop.given(shop.plan())
    shop.refuses(shop.ask(1, subscriber="bob"), Reason.not_subscribed)
    assert shop.event(shop.given(shop.buy())).account == 1
    assert shop.ledger.balance("bob", "pro") is None


def test_a_plan_may_grant_credits_time_or_both(shop):
    shop.given(shop.plan("credits"), shop.window("time"), shop.plan("both", seconds=100))
    for plan in ("credits", "time", "both"):
        shop.given(shop.buy(plan=plan))
    shop.at(100).when(shop.ask(1, plan="credits"))
    for plan in ("time", "both"):
        shop.refuses(shop.ask(plan=plan), Reason.expired)


@pytest.mark.parametrize(
    "terms",
    [
        {"credits": 0},
        {"hold_seconds": 0},
        {"hold_seconds": 100, "longest_seconds": 99},
        {"policy": "no such policy"},
        {"parameters": {"no such": "parameter"}},
        {"parameters": {"weights": {"units": 0.5}}},
    ],
    ids=str,
)
def test_a_plan_that_makes_no_sense_is_malformed(shop, terms):
    shop.refuses(shop.plan(**terms), Reason.malformed)


@pytest.mark.parametrize(
    "terms",
    [
        {"credits": -1},
        {"credits": 2**63},
        {"price": {"acme": -1}},
        {"decimals": -1},
        {"owner": ""},
        {"plan": ""},
        {"overrun": "forgive"},
        {"period": "week"},
        {"on_lapse": "keep"},
    ],
    ids=str,
)
def test_a_term_that_is_out_of_its_bounds_raises(shop, terms):
    (field,) = terms
    shop.raises(shop.plan(**terms), f"^{field}")


def test_a_debt_limit_under_the_other_rule_is_taken_with_a_warning(shop):
    with pytest.warns(UserWarning, match="debt_limit has no effect"):
        shop.given(shop.plan(debt_limit=500))
    shop.given(shop.buy(), shop.charge_directly(5))


@pytest.mark.parametrize("terms", [{"credit_limit": 1}, {"due_days": 5}, {"overdue": "stop"}], ids=str)
def test_a_term_that_nothing_would_read_is_refused(shop, terms):
    (field,) = terms
    refused = shop.refuses(shop.plan(**terms), Reason.malformed)
    assert refused.facts["detail"].startswith(f"{field}: only a plan with ")


def test_time_without_a_rate_is_refused_where_credits_are_sold(shop):
    """What was bought would never be used. A plan of time alone sells access, and a seller may say that use is free."""
    free = {"policy": "time", "parameters": {}}
    refused = shop.refuses(shop.plan(credits=100, seconds=60, **free), Reason.malformed)
    assert "every request would be free" in refused.facts["detail"]
    shop.given(shop.plan("access", credits=0, seconds=60, **free))
    shop.given(shop.plan("gift", credits=100, unpriced="free", **free))
    shop.given(shop.plan("minutes", credits=100, policy="time", parameters={"credits_per_second": "1/60"}))
    shop.refuses(RepricePlan(plan="minutes", policy="time"), Reason.malformed)


@pytest.mark.parametrize("policy", ["complexity", "cost_plus"])
def test_a_policy_whose_rates_were_left_out_is_refused(shop, policy):
    """All use would be free, without a word."""
    parameters = {"margin": 0} if policy == "cost_plus" else {}
    refused = shop.refuses(shop.plan(policy=policy, parameters=parameters), Reason.malformed)
    assert f"policy {policy}: {policy}: every request would be free: give `" in refused.facts["detail"]


@pytest.mark.parametrize("requests", [0, -1])
def test_a_limit_of_nothing_cannot_be_made(requests):
    with pytest.raises(ValueError, match="at least 1"):
        RateLimit(requests, 1)
    with pytest.raises(ValueError, match="at least 1"):
        Limits(open=requests)


def test_a_limit_that_is_not_whole_raises(shop):
    shop.raises(shop.plan(limits=Limits(rate=RateLimit(1.5, 1))), r"limits\.rate\.requests")


def test_a_tariff_comes_in_numbered_versions(shop):
    """From 1, each new one with the policy's own version and parameters."""
    shop.given(shop.plan())
    repriced = [shop.stored(shop.given(shop.reprice(weights={"units": units}))) for units in (2, 3)]
    assert [event["tariff"]["version"] for event in repriced] == [2, 3]
    assert {event["tariff"]["policy"] for event in repriced} == {"complexity"}


def test_old_charges_keep_their_tariff(shop):
    """A unit cost 1, and costs 5: the charge of then is still explained at 1."""
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(10))
    shop.given(shop.reprice(weights={"units": 5}), shop.charge_directly(10))
    told = shop.ledger.explain(charge)
    assert (told.tariff, told.credits, told.recomputed, told.agrees) == (1, 10, 10, True)
    shop.leaves(spent=60)


def test_a_name_or_an_on_chain_id_belongs_to_one_plan(shop):
    """Leaves name a plan by its on-chain id, or by its name if it has none. So no two plans share either."""
    shop.given(shop.plan("pro", onchain_id="0x7"), shop.plan("other"), shop.plan("third"))
    for taken in (shop.plan("new", onchain_id="0x7"), shop.plan("0x7"), shop.plan("new", onchain_id="pro")):
        shop.refuses(taken, Reason.key_reused)
    shop.when(shop.plan("new", onchain_id="0x8"))


def test_a_retired_plan_is_not_sold_given_or_repriced(shop):
    shop.given(shop.plan(), shop.buy(), RetirePlan(plan="pro"))
    for command in (shop.buy(), shop.gift(10), shop.reprice(weights={"units": 2}), RetirePlan(plan="pro")):
        shop.refuses(command, Reason.plan_retired)


def test_what_was_bought_of_a_retired_plan_may_be_used(shop):
    shop.given(shop.plan(), shop.buy(), RetirePlan(plan="pro"))
    charge = shop.given(shop.charge(shop.given(shop.ask(10)), 10))
    shop.given(shop.charge_directly(5), shop.correct(charge, -2), shop.withdraw())
    shop.leaves(available=0, spent=13, withdrawn=87)


def test_a_lot_keeps_the_terms_of_its_sale(shop):
    """What is sold is written into the purchase; nothing is looked up in the plan later."""
    stored = shop.stored(shop.given(shop.plan(seconds=100, priority=2), shop.buy()))
    said = {name: stored[name] for name in ("credits", "seconds", "cost", "priority", "asset", "plan", "subscriber")}
    assert said == {
        "credits": 100,
        "seconds": 100,
        "cost": 1000,
        "priority": 2,
        "asset": "USD",
        "plan": "pro",
        "subscriber": "alice",
    }


# -- agents ------------------------------------------------------------------------------------------------------------


def test_agents_are_numbered_densely_and_named_by_number_in_hot_events(shop):
    shop.given(shop.plan(), shop.buy())
    numbers = [shop.event(shop.given(agent(name))).agent for name in ("bot", "cat", "dog")]
    assert numbers == [1, 2, 3]
    request = shop.when(shop.ask(1, agent="cat"))
    assert (shop.event(request).agent, shop.event(shop.when(shop.charge(request, 1))).agent) == (2, 2)


def test_a_request_without_an_agent_is_agent_0(shop):
    shop.given(shop.plan(), shop.buy())
    assert shop.event(shop.when(shop.ask(1))).agent == 0


def test_plan_and_agent_must_be_open_to_each_other(shop):
    shop.given(shop.plan(), shop.plan("other"), shop.buy(), agent(plans=("other",)))
    shop.refuses(shop.ask(1, agent="bot"), Reason.agent_not_in_plan)
    shop.given(UpdateAgent(agent="bot", plans=("other", "pro")))
    shop.when(shop.ask(1, agent="bot"))


def test_an_agent_must_be_known(shop):
    shop.given(shop.plan(), shop.buy())
    shop.refuses(shop.ask(1, agent="bot"), Reason.agent_unknown)
    shop.refuses(shop.charge_directly(1, agent="bot"), Reason.agent_unknown)


def test_an_update_changes_what_is_given_of_an_agent(shop):
    shop.given(shop.plan(), shop.buy(), agent(endpoints=(ASK,), metadata={"tier": 1}))
    event = shop.event(shop.when(UpdateAgent(agent="bot", metadata={"tier": 2})))
    assert (event.plans, event.endpoints, event.metadata) == (("pro",), (ASK,), {"tier": 2})
    shop.refuses(shop.ask(1, agent="bot", method="GET", url="https://svc.example/x"), Reason.endpoint_not_allowed)
    shop.given(UpdateAgent(agent="bot", endpoints=()))
    shop.when(shop.ask(1, agent="bot", method="GET", url="https://svc.example/x"))


def test_a_retired_agent_takes_no_new_requests_while_open_ones_end_as_usual(shop):
    shop.given(shop.plan(), shop.buy(), agent())
    request = shop.given(shop.ask(10, agent="bot"))
    shop.given(RetireAgent(agent="bot"))
    shop.refuses(shop.ask(1, agent="bot"), Reason.agent_retired)
    shop.refuses(UpdateAgent(agent="bot", plans=()), Reason.agent_retired)
    shop.refuses(RetireAgent(agent="bot"), Reason.agent_retired)
    shop.when(shop.charge(request, 10))


def test_an_agent_is_registered_behind_plans_that_are_known(shop):
    shop.given(shop.plan())
    shop.refuses(agent(plans=("pro", "nowhere")), Reason.plan_unknown)


@pytest.mark.parametrize(
    "url",
    ["https://svc.example/a/../b", "https://svc.example/a//b", "https://me@svc.example/a", "https://svc.example/a%2Fb"],
)
def test_an_endpoint_that_can_never_match_is_malformed(shop, url):
    shop.given(shop.plan())
    shop.refuses(agent(endpoints=(Endpoint("GET", url),)), Reason.malformed)
    shop.refuses(agent(open_endpoints=(Endpoint("GET", url),)), Reason.malformed)
