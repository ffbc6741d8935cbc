"""Random calls of everybody against a model of the settlement contract: see settlement_steps."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from settlement_steps import SettlementSteps

CALLS = {
    *("retirePlan", "purchase", "purchaseWithAuthorization", "claim"),
    *("commitBatch", "settleBatch", "executeBatch", "cancelBatch", "challengeOverdraw"),
    *("requestExit", "exit", "claimUncharged", "exitUncharged", "refuteUncharged"),
}
QUICK = settings(max_examples=8, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=150, stateful_step_count=80, parent=QUICK)


def test_the_contract_does_what_its_model_says_and_its_money_adds_up_after_every_step():
    run_state_machine_as_test(SettlementSteps, settings=QUICK)


@pytest.mark.sweep
def test_the_contract_does_what_its_model_says_over_long_ways():
    """Which ways are gone depends on what else is loaded, so where a call never passed, more of them are."""
    SettlementSteps.seen.clear()
    for examples in (150, 300, 600):
        run_state_machine_as_test(SettlementSteps, settings=settings(LONG, max_examples=examples))
        passed = {function for function, refusal in SettlementSteps.seen if refusal is None}
        if passed == CALLS:
            break
    assert passed == CALLS, "what never passes is not tried"
