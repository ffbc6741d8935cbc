"""Policies on the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import BadData
from pricing import parse
from pricing.notation import notation

READ: list[tuple[str, str, dict[str, Any]]] = [
    ("time", "time", {}),
    ("time:credits_per_second=1/60", "time", {"credits_per_second": "1/60"}),
    ("per_credit:credits=3,per=call", "per_credit", {"credits": 3, "per": "call"}),
    ("per_credit: credits = 3 , per = call", "per_credit", {"credits": 3, "per": "call"}),
    ("complexity:maximum=none", "complexity", {"maximum": None}),
    ("mine:fast=true,word='\\,x=-5", "mine", {"fast": True, "word": "'\\", "x": -5}),
    ('mine:word="none",digits="7",list="a,b"', "mine", {"word": "none", "digits": "7", "list": "a,b"}),
    (
        "complexity:weights.input_tokens=3/1000,weights.output_tokens=15/1000,minimum=1",
        "complexity",
        {"weights": {"input_tokens": "3/1000", "output_tokens": "15/1000"}, "minimum": 1},
    ),
    # The first dot ends the option's name; for models, the next ends the model's.
    (
        "complexity:weights.cache_read.input_tokens=1/1000",
        "complexity",
        {"weights": {"cache_read.input_tokens": "1/1000"}},
    ),
    (
        "complexity:models.large.cache_read.input_tokens=1",
        "complexity",
        {"models": {"large": {"cache_read.input_tokens": 1}}},
    ),
    (
        'complexity:models."gpt-4.1"."cache_read.input_tokens"=1/1000,models."gpt-4.1".calls=2',
        "complexity",
        {"models": {"gpt-4.1": {"cache_read.input_tokens": "1/1000", "calls": 2}}},
    ),
    ('complexity:weights."a,b=c \\"d\\""=1', "complexity", {"weights": {'a,b=c "d"': 1}}),
    # A tier begins with UPTO@, so the slash of a fraction is no end of a tier.
    (
        "complexity:weights.input_tokens=0.001,weights.output_tokens=3.00 per million,minimum=0.05",
        "complexity",
        {"weights": {"input_tokens": "0.001", "output_tokens": "3.00 per million"}, "minimum": "0.05"},
    ),
    (
        "volume:dimension=calls,tiers=10@0.5+1.25/inf@1+2",
        "volume",
        {
            "dimension": "calls",
            "tiers": [{"up_to": 10, "unit": "0.5", "flat": "1.25"}, {"up_to": None, "unit": "1", "flat": 2}],
        },
    ),
    (
        "graduated:dimension=calls,tiers=1000@3/1000/inf@1/1000",
        "graduated",
        {"dimension": "calls", "tiers": [{"up_to": 1000, "unit": "3/1000"}, {"up_to": None, "unit": "1/1000"}]},
    ),
    (
        "volume:dimension=calls,tiers=10@3/20@2+7/inf@1+0",
        "volume",
        {
            "dimension": "calls",
            "tiers": [
                {"up_to": 10, "unit": "3"},
                {"up_to": 20, "unit": "2", "flat": 7},
                {"up_to": None, "unit": "1", "flat": 0},
            ],
        },
    ),
]


@pytest.mark.parametrize(("text", "name", "parameters"), READ)
def test_a_policy_is_read_from_one_line(text: str, name: str, parameters: dict[str, Any]) -> None:
    assert parse(text) == (name, parameters)
    assert parse(notation(name, parameters)) == (name, parameters)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a policy"),
        ("time:", "is not a policy"),
        (":credits=1", "is not a policy"),
        ("per_credit:credits", "'credits' is not key=value"),
        ("per_credit:credits=", "'credits=' is not key=value"),
        ("per_credit:=1", "'=1' is not key=value"),
        ("per_credit:credits=1,", "an empty item between commas"),
        ("per_credit:credits=1,,per=call", "an empty item between commas"),
        ('per_credit:per="call', "an open quote"),
        ('per_credit:per="\\q"', "not quoted as in JSON"),
        ("per_credit:credits=1,credits=2", "credits is given twice"),
        ("complexity:weights.a=1,weights.a=2", "weights.a is given twice"),
        ("complexity:weights=1,weights.a=2", "weights is both a value and a map"),
        ("complexity:models.large=1", "models.large is not models.MODEL.DIMENSION"),
        ("complexity:weights.=1", "not key=value"),
        ("volume:tiers=1000", "'1000' is not a tier"),
        ("volume:tiers=10@1/2/3/inf@1", "'10@1/2/3' is not a tier"),
        ("volume:tiers=10@1./inf@1", "'10@1.' is not a tier"),
        (f"per_credit:credits={'9' * 5000}", "a number of 5000 digits is too long"),
    ],
)
def test_what_cannot_be_read_is_bad_data_with_a_hint(text: str, message: str) -> None:
    with pytest.raises(BadData, match=message) as raised:
        parse(text)
    assert raised.value.hint != BadData.hint


def test_parameters_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_text('{"weights": {"cache_read.input_tokens": "1/1000"}}', "utf-8")
    assert parse(f"complexity:@{file}") == ("complexity", {"weights": {"cache_read.input_tokens": "1/1000"}})


@pytest.mark.parametrize(
    ("content", "line"),
    [(b'{\n "weights": {\n', 3), (b"[1]", 1), (b"", 1), (b'"\xff"', None), (b"[" * 100_000, None)],
    ids=["cut off", "a list", "empty", "not UTF-8", "too deep"],
)
def test_a_file_that_is_no_json_object_is_named_with_its_line(tmp_path: Path, content: bytes, line: int | None) -> None:
    file = tmp_path / "prices.json"
    file.write_bytes(content)
    with pytest.raises(BadData) as raised:
        parse(f"complexity:@{file}")
    assert (raised.value.file, raised.value.line) == (str(file), line)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="No such file") as raised:
        parse(f"complexity:@{tmp_path / 'none.json'}")
    assert raised.value.file == str(tmp_path / "none.json")


options = st.text("abc_-7", min_size=1, max_size=8)
fractions = st.builds("{}/{}".format, st.integers(-99, 99), st.integers(0, 99))
values = st.one_of(st.integers(), fractions, st.text(), st.sampled_from([None, True, False, "none", "inf", "7", "@x"]))
rates = st.dictionaries(st.text(), values, min_size=1)
tiers = st.fixed_dictionaries(
    {"up_to": st.none() | st.integers(0), "unit": st.integers(0).map(str) | st.sampled_from(["3/1000", "1/3"])},
    optional={"flat": st.integers(0)},
)


@given(
    st.text("abc_-", min_size=1),
    st.dictionaries(options, values | rates),
    st.fixed_dictionaries(
        {},
        optional={
            "models": st.dictionaries(st.text(), rates, min_size=1),
            "tiers": st.lists(tiers, min_size=1),
        },
    ),
)
def test_writing_and_reading_again_changes_nothing(name: str, plain: dict[str, Any], special: dict[str, Any]) -> None:
    parameters = plain | special
    read = parse(notation(name, parameters))
    # As JSON, where true is not 1.
    assert json.dumps(read, sort_keys=True) == json.dumps((name, parameters), sort_keys=True)


@pytest.mark.parametrize(
    "parameters",
    [
        {"rate": 0.5},
        {"weights": {}},
        {"weights": {"a": {"b": 1}}},
        {"models": {"large": 1}},
        {"@file": 1},
        {"list": [1, 2]},
        {"tiers": [1]},
        {"tiers": [{"up_to": None, "unit": 1, "more": 2}]},
        {"tiers": [{"up_to": None, "unit": "1.5 per 10"}]},
    ],
)
def test_what_one_line_cannot_say_is_refused_and_not_bent(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cannot be written on one line"):
        notation("mine", parameters)
