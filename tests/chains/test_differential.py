"""The differential test finds what is planted in a mock chain, says it in few steps, and says what it cannot try."""

import sys
from types import SimpleNamespace
from typing import Any

import bad_contracts
import pytest
from bad_chains import Bad, LeaksWhatWasCancelled, PaysNobody, SwallowsNegativePayouts

from chains.mock import Reverted
from chains.testing import Harness
from chains.testing.__main__ import main
from chains.testing.differential import DifferenceFound, compare, reference
from chains.testing.mock_harness import MockHarness, mock

STEPS = 30


def harness_of(kind: Any, window: bool = False) -> MockHarness:
    """The reference's harness, over chains of another kind."""
    harness = reference(window, STEPS)
    right = harness.fresh

    def fresh() -> Any:
        chain = right()
        chain.__class__ = kind
        chain.extra, chain.sent, chain.invented = {}, {}, []  # type: ignore[attr-defined]
        return chain

    harness.fresh = fresh  # type: ignore[method-assign]
    return harness


class ForgetsDelays(Bad):
    """Leaving is refused for nothing but a proof."""

    def exit(self, subscriber: str, plan: str, asset: str, leaf: Any = None, proof: Any = ()) -> Any:
        try:
            return super().exit(subscriber, plan, asset, leaf, proof)
        except Reverted as error:
            if not str(error).startswith("ExitDelay"):
                raise
        return None


class GivesAnotherReason(Bad):
    def claim(self, receiver: str, asset: str) -> int:
        try:
            return super().claim(receiver, asset)
        except Reverted:
            raise Reverted("EscrowShort()") from None


@pytest.mark.parametrize("window", [False, True])
def test_a_chain_like_the_reference_differs_in_nothing(window: bool) -> None:
    done = compare(reference(window, STEPS), seed=7, walks=2, steps=STEPS)
    assert (done.steps, done.lacking) == (2 * STEPS, ())


@pytest.mark.parametrize(
    ("kind", "window"),
    [
        *((kind, False) for kind in (PaysNobody, SwallowsNegativePayouts, ForgetsDelays, GivesAnotherReason)),
        (LeaksWhatWasCancelled, True),
        *(
            (kind, False)
            for kind in (
                bad_contracts.TellsHoldingsAsEscrow,
                bad_contracts.CountsReceivablesInEscrow,
                bad_contracts.TellsTheLastClaim,
                bad_contracts.ClaimsAllAssetsAtOnce,
                bad_contracts.LetsAnyoneGo,
                bad_contracts.TakesEarlyRoots,
                bad_contracts.TellsRequestsAgain,
                bad_contracts.SellsToLeavers,
                bad_contracts.KeepsAReserve,
            )
        ),
    ],
)
def test_a_planted_fault_is_found_in_few_steps(kind: Any, window: bool) -> None:
    with pytest.raises(DifferenceFound) as caught:
        compare(harness_of(kind, window), walks=12, steps=STEPS)
    assert len(caught.value.steps) <= 6
    assert str(caught.value).startswith(
        f"seed {caught.value.seed}, after these steps:\n  1. subscriber 0 buys plan 0\n"
    )
    assert str(caught.value).endswith(f"\n{caught.value.difference}")


def test_what_is_found_is_found_again_from_its_seed() -> None:
    told = []
    for seed in (0, 0):
        with pytest.raises(DifferenceFound) as caught:
            compare(harness_of(SwallowsNegativePayouts), seed=seed, walks=12, steps=STEPS)
        told.append(str(caught.value))
    assert told[0] == told[1]


class Fewest(MockHarness):
    """What every harness has, and batches."""

    def __init__(self) -> None:
        super().__init__()
        model = reference(False)
        self._connect, self._exit_delay = model._connect, model._exit_delay

    claim = Harness.claim
    purchase_again = Harness.purchase_again
    request_exit = Harness.request_exit
    reason = Harness.reason


def test_what_a_harness_lacks_is_not_tried_and_said(monkeypatch: Any, capsys: Any) -> None:
    unable = type("Unable", (Fewest,), {"record": Harness.record})
    monkeypatch.setitem(sys.modules, "harnesses", SimpleNamespace(Fewest=Fewest, Unable=unable))
    assert main(["harnesses:Fewest", "--differential", "--walks", "1"]) == 0
    lacking = ("buy_again", "claim", "request_exit", "leave", "leave_without_leaf", "refute")
    assert capsys.readouterr().out.splitlines() == [
        *(f"not tried: {action}: the harness lacks a method for it" for action in lacking),
        "harnesses:Fewest does what the mock chain does: 40 steps",
    ]
    assert main(["harnesses:Unable", "--differential"]) == 2
    assert "the harness lacks `record`" in capsys.readouterr().err


def test_the_command_says_the_steps_to_a_difference(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setitem(sys.modules, "harnesses", SimpleNamespace(bad=lambda: harness_of(PaysNobody)))
    assert main(["harnesses:bad", "--differential", "--seed", "3", "--steps", str(STEPS)]) == 1
    told = capsys.readouterr().err
    assert told.startswith("harnesses:bad differs from the mock chain: seed 3, after these steps:\n  1. ")


def test_a_refusal_that_raises_nothing_is_one_if_nothing_has_happened() -> None:
    class Silent(MockHarness):
        reason = Harness.reason

        def claim(self, chain: Any, receiver: str) -> None:
            if mock(chain).due(receiver, self.asset) > 0:
                super().claim(chain, receiver)

    model = reference(False)
    harness = Silent(model._connect, exit_delay=model._exit_delay)
    compare(harness, walks=1)
