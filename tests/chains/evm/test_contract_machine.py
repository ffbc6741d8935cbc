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
    SettlementSteps.seen.clear()
    run_state_machine_as_test(SettlementSteps, settings=LONG)
    passed = {function for function, refusal in SettlementSteps.seen if refusal is None}
    assert passed == CALLS, "what never passes is not tried"
