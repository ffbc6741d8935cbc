"""Usage that no rate reads is no free lunch: admission refuses it, and work that is done counts it (issue: commands).

The plan prices `units`, a credit each. `pages` is a dimension that it does not know.
"""

import pytest

from ledger import Reason

MODELS = {"models": {"small": {"input_tokens": 1}, "large": {"input_tokens": 5}}}


@pytest.mark.parametrize("estimate", [{"pages": 2}, {"units": 5, "pages": 1}, {"Units": 5}, {"units ": 5}])
def test_admission_refuses_it_and_names_the_dimension(shop, estimate):
    shop.given(shop.plan(), shop.buy())
    refused = shop.refuses(shop.ask(estimate), Reason.unpriced)
    (name,) = set(estimate) - {"units"}
    assert name in refused.facts["detail"]
    assert "model" not in refused.facts["detail"]


@pytest.mark.parametrize("labels", [{}, {"model": "medium"}, {"model": "Small"}])
def test_a_model_that_no_rate_knows_is_named(shop, labels):
    shop.given(shop.plan(parameters=MODELS), shop.buy())
    refused = shop.refuses(shop.ask({"input_tokens": 3}, labels=labels), Reason.unpriced)
    assert "input_tokens" in refused.facts["detail"]
    assert labels.get("model", "input_tokens") in refused.facts["detail"]
    shop.given(shop.ask({"input_tokens": 3}, labels={"model": "small"}))


def test_nothing_of_an_unknown_dimension_is_nothing(shop):
    shop.given(shop.plan(), shop.buy(), shop.ask({"units": 5, "pages": 0}), shop.ask({"pages": 0}), shop.ask())


def test_a_price_by_the_request_reads_everything(shop):
    """It does not depend on dimensions."""
    shop.given(shop.plan(policy="per_credit", parameters={"credits": 2}), shop.buy(), shop.ask({"pages": 5}))
    event = shop.event(shop.when(shop.charge_directly({"pages": 5})))
    assert (event.credits, event.unpriced) == (2, {})


def test_tiers_read_their_dimension_alone(shop):
    shop.given(shop.tiers((None, 1)), shop.buy())
    shop.refuses(shop.ask({"units": 1, "calls": 1}), Reason.unpriced)
    assert shop.event(shop.when(shop.charge_directly({"units": 3, "calls": 1}))).unpriced == {"calls": 1}


def test_a_time_plan_refuses_it_too_where_its_tariff_has_rates(shop):
    """It holds nothing, and still its requests are priced."""
    shop.given(shop.window(policy="complexity", parameters={"weights": {"units": 1}}), shop.buy())
    shop.refuses(shop.ask({"pages": 1}), Reason.unpriced)
    shop.given(shop.ask({"units": 1}))


def test_work_that_is_done_is_charged_for_what_is_priced_and_the_rest_is_counted(shop):
    shop.given(shop.plan(), shop.buy())
    event = shop.event(shop.when(shop.charge_directly({"units": 5, "pages": 2})))
    assert (event.credits, event.usage, event.unpriced) == (5, {"units": 5, "pages": 2}, {"pages": 2})
    shop.given(shop.charge_directly({"pages": 40, "words": 7}))
    shop.leaves(spent=5, unpriced={"pages": 42, "words": 7})


def test_each_part_of_a_request_counts_its_own(shop):
    shop.given(shop.plan(), shop.buy())
    request = shop.given(shop.ask(9))
    parts = [shop.given(shop.part(request, {"units": 5, "pages": 2})), shop.given(shop.charge(request, {"pages": 1}))]
    assert [shop.event(part).unpriced for part in parts] == [{"pages": 2}, {"pages": 1}]
    shop.leaves(spent=5, unpriced={"pages": 3})


def test_a_late_charge_counts_it_too(shop):
    shop.given(shop.plan(hold_seconds=60), shop.buy())
    request = shop.given(shop.ask(9))
    event = shop.event(shop.at(70).when(shop.charge(request, {"units": 1, "pages": 2})))
    assert (event.late, event.unpriced) == (True, {"pages": 2})


def test_a_correction_counts_it_too_and_takes_it_back(shop):
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly({"units": 5, "pages": 2}))
    event = shop.event(shop.when(shop.correct(charge, usage={"pages": 3, "units": 1})))
    assert (event.credits, event.unpriced) == (1, {"pages": 3})
    event = shop.event(shop.when(shop.correct(charge, usage={"pages": -5})))
    assert (event.credits, event.shortfall, event.unpriced) == (0, 0, {"pages": -5})
    shop.leaves(spent=6, unpriced={})


def test_a_correction_of_a_period_counts_it_too(shop):
    shop.given(shop.plan(), shop.buy(), shop.charge_directly(5))
    event = shop.event(shop.when(shop.correct_period("2023-11", usage={"pages": 3})))
    assert event.unpriced == {"pages": 3}
    shop.leaves(unpriced={"pages": 3})


def test_a_correction_is_read_by_the_tariff_of_its_charge(shop):
    """Pages were not priced then, and are now."""
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(5))
    shop.given(shop.reprice(weights={"pages": 1}))
    assert shop.event(shop.when(shop.correct(charge, usage={"pages": 3}))).unpriced == {"pages": 3}
    event = shop.event(shop.when(shop.charge_directly({"pages": 2, "units": 4})))
    assert (event.credits, event.unpriced) == (2, {"units": 4})


def test_a_plan_may_say_that_it_is_free(shop):
    """Then it is admitted, costs nothing, and is not counted."""
    shop.given(shop.plan(unpriced="free"), shop.buy())
    request = shop.when(shop.ask({"units": 2, "pages": 5}))
    assert shop.event(request).hold == 2
    event = shop.event(shop.when(shop.charge(request, {"units": 2, "pages": 9})))
    assert (event.credits, event.unpriced) == (2, {})
    correction = shop.event(shop.when(shop.correct(shop.given(shop.charge_directly(1)), usage={"pages": 1})))
    assert correction.unpriced == {}
    shop.leaves(unpriced={})


def test_whether_it_is_free_is_refuse_or_free(shop):
    shop.raises(shop.plan(unpriced="perhaps"), "unpriced: 'perhaps'")


def test_neither_buying_nor_waiting_helps(shop):
    shop.given(shop.plan(), shop.gift(1))
    refused = shop.refuses(shop.ask({"units": 50, "pages": 1}), Reason.unpriced)
    assert not {"top_up", "retry_after_us"} & set(refused.facts)


def test_what_is_unpriced_is_counted_for_a_lifetime(shop):
    """Beyond 64 bits, too: it is a sum."""
    most = 2**63 - 1
    shop.given(shop.plan(), shop.buy(), *[shop.charge_directly({"pages": most})] * 3)
    shop.leaves(unpriced={"pages": 3 * most})
