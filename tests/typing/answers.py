"""What type checkers say of the interface: checked by mypy and pyright in `tests/test_typing.py`, not imported.

Each `type: ignore` must be needed: it stands where a checker has to object.
"""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from typing import assert_type

from ledger import (
    Adjust,
    Answer,
    AsyncLedger,
    Charge,
    Command,
    CreatePlan,
    Give,
    Ledger,
    OpenSettlement,
    Outcome,
    Purchase,
    Refused,
    Request,
    Tick,
)
from ledger.events import Adjusted, Charged, PlanCreated, Purchased, Requested, SettlementOpened

ANN_CALLS = Charge(subscriber="ann", plan="pro", usage={"calls": 1})


def each_command_is_answered_by_its_event(ledger: Ledger) -> None:
    assert_type(ledger.execute(ANN_CALLS), Answer[Charged] | Refused)
    assert_type(ledger.execute(CreatePlan(plan="pro", owner="acme")).unwrap(), Answer[PlanCreated])
    assert_type(ledger.execute(Purchase(subscriber="ann", plan="pro")).unwrap().event, Purchased)
    assert_type(ledger.execute(Adjust(charge=1, credits=-1)).unwrap().event.credits, int)
    assert_type(ledger.execute(Tick()), Answer[None] | Refused)
    opening = OpenSettlement(chain="mock:local", contract="mock", asset="USD")
    assert_type(ledger.execute(opening).unwrap().event, SettlementOpened | None)


def a_list_of_one_kind_keeps_it(ledger: Ledger, charges: list[Charge]) -> None:
    assert_type(ledger.execute_many(charges), list[Answer[Charged] | Refused])


def a_list_of_several_kinds_is_answered_by_outcomes(ledger: Ledger, commands: list[Command]) -> None:
    outcomes: list[Outcome] = ledger.execute_many(commands)
    outcomes += ledger.execute_many([ANN_CALLS, Give(subscriber="ann", plan="pro", credits=1)])
    for outcome in outcomes:
        if outcome and isinstance(outcome.event, Charged):
            assert_type(outcome.event.credits, int)


def a_condition_narrows(ledger: Ledger) -> None:
    outcome = ledger.execute(ANN_CALLS)
    repr(outcome.event)  # type: ignore[union-attr]  # it may be a refusal
    if outcome:
        assert_type(outcome, Answer[Charged])
        assert_type(outcome.event.credits, int)
    else:
        assert_type(outcome, Refused)
        assert_type(outcome.http_status, int)
    if not outcome:
        assert_type(outcome, Refused)
        return
    assert_type(outcome.event.shortfall, int)


async def an_async_ledger_says_the_same(ledger: AsyncLedger) -> None:
    outcome = await ledger.execute(Request(subscriber="ann", plan="pro"))
    if outcome:
        assert_type(outcome.event, Requested)
    assert_type(await ledger.execute_many([ANN_CALLS]), list[Answer[Charged] | Refused])
    async with ledger.request("ann", "pro", estimate={"calls": 1}) as request:
        assert_type((await request.charge({"calls": 1})).event, Charged)


def a_request_is_charged(ledger: Ledger) -> None:
    with ledger.request("ann", "pro", estimate={"calls": 1}) as request:
        assert_type(request.charge({"calls": 1}).event.draws, tuple[tuple[int, int], ...])


def what_is_no_command_is_no_command(ledger: Ledger) -> None:
    ledger.execute("buy")  # type: ignore[arg-type]
    ledger.execute(Charge(subscriber="ann", plan="pro", usage={"calls": 1.5}))  # type: ignore[dict-item]
    assert_type(ledger.execute(Adjust(charge=1)).unwrap().event, Adjusted)
