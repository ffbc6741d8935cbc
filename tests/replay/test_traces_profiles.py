"""Customer profiles: what is said about each kind of bad one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.errors import BadData, NotFound
from replay.workload.profiles import Profile, read_profile


def client(name: str = "0", **changes: Any) -> dict[str, Any]:
    usage = {"input_tokens": [10, 20, 30], "output_tokens": [0, 5, 5]}
    return {"group": "chat/large", "client": name, "rate_per_hour": [60.0, 0, 30], "cv": 1.2, "q": usage, **changes}


def profile(*clients: Any, **changes: Any) -> dict[str, Any]:
    return {"quantiles": [0.1, 0.5, 0.9], "clients": list(clients), **changes}


def without(value: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name != key}


@pytest.fixture
def file(tmp_path: Path):
    def write(content: Any) -> Path:
        path = tmp_path / "profile.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write


def test_a_profile(file):
    found = read_profile(file(profile(client("0"), client("1", cv=None, q={"calls": [1, 1, 1]}), source="made up")))
    assert found.quantiles == (0.1, 0.5, 0.9)
    assert [one.client for one in found.clients] == ["0", "1"]
    assert found.clients[0].rate_per_hour == (60.0, 0.0, 30.0)
    assert (found.clients[1].cv, found.clients[1].q) == (None, {"calls": (1, 1, 1)})


def test_a_byte_order_mark_is_passed_over(file):
    assert read_profile(file(b"\xef\xbb\xbf" + json.dumps(profile(client())).encode())).clients


HUGE = (
    b'{"quantiles": [0.5], "clients": [{"group": "g", "client": "c", "rate_per_hour": [1e999], "q": {"calls": [1]}}]}'
)

BAD_VALUES = {
    "a list": ([], "Expected `object`, got `array`"),
    "no quantiles": (without(profile(client()), "quantiles"), "missing required field `quantiles`"),
    "no clients key": (without(profile(), "clients"), "missing required field `clients`"),
    "no clients": (profile(), "length >= 1 - at `$.clients`"),
    "clients by name": (profile(clients={"0": client()}), "Expected `array`, got `object` - at `$.clients`"),
    "a client that is none": (profile(client(), 7), "Expected `object`, got `int` - at `$.clients[1]`"),
    "a client without rates": (
        profile(client(), without(client("1"), "rate_per_hour")),
        "missing required field `rate_per_hour` - at `$.clients[1]`",
    ),
    "a client without usage": (profile(without(client(), "q")), "missing required field `q`"),
    "a client without a name": (profile(client("")), "at `$.clients[0].client`"),
    "a number for a name": (profile(client(client=0)), "Expected `str`, got `int` - at `$.clients[0].client`"),
    "the same client twice": (profile(client(), client()), "clients[1] has the group and name of an earlier client"),
    "no rates": (profile(client(rate_per_hour=[])), "at `$.clients[0].rate_per_hour`"),
    "rates for 100 years": (profile(client(rate_per_hour=[1] * 900_000)), "at `$.clients[0].rate_per_hour`"),
    "a negative rate": (profile(client(rate_per_hour=[1, -1])), "at `$.clients[0].rate_per_hour["),
    "a huge rate": (profile(client(rate_per_hour=[1e300])), "at `$.clients[0].rate_per_hour["),
    "an infinite rate": (HUGE, "Number out of range"),
    "text for a rate": (profile(client(rate_per_hour=["1"])), "Expected `float`, got `str`"),
    "a truth for a rate": (profile(client(rate_per_hour=[True])), "Expected `float`, got `bool`"),
    "rates that come to nothing": (profile(client(rate_per_hour=[1e-9])), "no client makes a request"),
    "rates of 0 only": (profile(client(rate_per_hour=[0, 0.0])), "no client makes a request"),
    "a negative variation": (profile(client(cv=-1)), "at `$.clients[0].cv`"),
    "text for a variation": (profile(client(cv="high")), "at `$.clients[0].cv`"),
    "no dimension": (profile(client(q={})), "at `$.clients[0].q`"),
    "fewer quantiles": (
        profile(client(), client("1", q={"calls": [1, 2]})),
        "clients[1] has 2 quantiles of 'calls', for 3 levels",
    ),
    "falling quantiles": (profile(client(q={"calls": [1, 3, 2]})), "the quantiles of 'calls' must not fall"),
    "negative quantiles": (profile(client(q={"calls": [-1, 3, 2]})), "at `$.clients[0].q[...]["),
    "fractional quantiles": (profile(client(q={"calls": [1, 1.5, 2]})), "Expected `int`, got `float`"),
    "quantiles beyond 64 bits": (profile(client(q={"calls": [1, 2, 2**63]})), "at `$.clients[0].q[...]["),
    "levels that fall": (profile(client(), quantiles=[0.1, 0.9, 0.5]), "the levels of `quantiles` must rise"),
    "a level of 1": (profile(client(), quantiles=[0.1, 0.5, 1]), "at `$.quantiles[2]`"),
    "no levels": (profile(client(), quantiles=[]), "at `$.quantiles`"),
    "text for levels": (profile(client(), quantiles="many"), "Expected `array`, got `str` - at `$.quantiles`"),
}


@pytest.mark.parametrize("kind", BAD_VALUES)
def test_a_wrong_value_is_named_by_its_place(file, kind):
    content, fragment = BAD_VALUES[kind]
    path = file(content)
    with pytest.raises(BadData) as raised:
        read_profile(path)
    assert raised.value.file == str(path)
    assert "not a customer profile: " in str(raised.value)
    assert fragment in str(raised.value)
    assert "`quantiles` and `clients`" in raised.value.hint


BAD_JSON = {
    "an empty file": (b"", 1, "Input data was truncated"),
    "a file that ends too soon": (b'{\n"quantiles": [0.5],\n"clients": [', 3, "Input data was truncated"),
    "a missing comma": (b'{\n"quantiles": [0.5]\n"clients": []}', 3, "not valid JSON"),
    "not a number": (b'{"quantiles": [0.5],\n\n"clients": [NaN]}', 3, "not valid JSON"),
    "CSV": (b"timestamp,calls\n2026-01-25,1\n", 1, "not valid JSON"),
    "two values": (json.dumps(profile(client())).encode() + b"\n{}", 2, "not valid JSON"),
    "UTF-16": ("{}".encode("utf-16"), 1, "this is UTF-16 text"),
    "a NUL byte": (b'{\n"quantiles": \x00', 2, "there is a NUL byte"),
    "latin-1": ('{\n\n"größe": 1}'.encode("latin-1"), 3, "byte 0xf6 is not UTF-8 text"),
    "deep nesting": (b'{"x":' + b"[" * 100_000, None, "nested too deeply"),
}


@pytest.mark.parametrize("kind", BAD_JSON)
def test_what_is_not_json_is_named_by_its_line(file, kind):
    content, line, fragment = BAD_JSON[kind]
    path = file(content)
    with pytest.raises(BadData) as raised:
        read_profile(path)
    assert (raised.value.file, raised.value.line) == (str(path), line)
    assert fragment in str(raised.value)
    assert raised.value.hint != BadData.hint


def test_no_such_profile(tmp_path):
    with pytest.raises(NotFound):
        read_profile(tmp_path / "nowhere.json")


def test_a_folder(tmp_path):
    with pytest.raises(BadData, match="cannot be read: is a directory"):
        read_profile(tmp_path)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(["group", "client", "rate_per_hour", "cv", "q"]), value=ANYTHING)
def test_any_value_is_a_profile_or_bad_data(file, place, value):
    path = file(profile(client("0"), client("1", **{place: value})))
    try:
        assert isinstance(read_profile(path), Profile)
    except BadData as raised:
        problem = raised
    else:
        return
    assert problem.file == str(path)
