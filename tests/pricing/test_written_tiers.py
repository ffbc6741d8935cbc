"""Tiers as they are written: values in Python, or text as on the command line; a wrong form says the right one."""

import pytest

from pricing.per_period import Graduated

VALUES = [{"up_to": 100, "unit": "3", "flat": 5}, {"up_to": None, "unit": "1"}]


def test_text_is_the_same_tiers() -> None:
    written = Graduated({"dimension": "calls", "tiers": "100@3+5/inf@1"})
    assert written == Graduated({"dimension": "calls", "tiers": VALUES})
    assert written.parameters["tiers"][1] == {"up_to": None, "unit": "1"}


def test_text_is_the_same_tiers_with_decimals() -> None:
    written = Graduated.with_decimals({"dimension": "calls", "tiers": "100@0.03/inf@0.01"}, 2)
    assert written.credits_of({"calls": 101}, {}) == 301


@pytest.mark.parametrize("tiers", [7, None, {}, [(100, "3"), (None, "1")], ["100@3", "inf@1"]])
def test_another_form_says_the_right_one(tiers: object) -> None:
    with pytest.raises(ValueError, match="graduated: tiers: write") as raised:
        Graduated({"dimension": "calls", "tiers": tiers})
    message = str(raised.value)
    assert '`[{"up_to": 100, "unit": "3"}, {"up_to": None, "unit": "1"}]`, or as text `"100@3/inf@1"`' in message


@pytest.mark.parametrize("tiers", ["", "100@3", "100", "100@3;inf@1", "inf@x"])
def test_text_that_is_no_tiers_is_refused(tiers: str) -> None:
    with pytest.raises(ValueError, match="tiers: "):
        Graduated({"dimension": "calls", "tiers": tiers})
