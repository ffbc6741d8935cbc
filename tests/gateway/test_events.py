"""`tollbook events`: what happened, one a line."""

import json

import pytest

from ledger import Ledger
from ledger.events import decode_one


@pytest.fixture
def events(tollbook, told):
    def run(*words):
        done = tollbook("events", told.log, *words, "--json")
        assert done.code == 0, done.err
        return [json.loads(line) for line in done.out.splitlines()]

    return run


def test_a_line_is_the_event_in_its_place(events, told):
    with Ledger.open(told.log, read_only=True) as ledger:
        entries = list(ledger.events())
    found = events()
    assert [list(line) for line in found] == [["seq", "at", "event"]] * len(entries)
    assert [line["seq"] for line in found] == [entry.seq for entry in entries]
    assert [decode_one(json.dumps(line["event"]).encode()) for line in found] == [entry.event for entry in entries]
    assert all(next(iter(line["event"])) == "type" for line in found)


def test_fields_at_their_default_are_left_out(events, told):
    released = events()[told.seq["released"] - 1]
    assert released == {
        "seq": told.seq["released"],
        "at": "2023-11-16T18:00:13.000000Z",
        "event": {"type": "released", "request": told.seq["voided"], "reason": "voided"},
    }


def test_money_beyond_64_bits_keeps_its_digits(events, told):
    assert events()[told.seq["bob"] - 1]["event"]["cost"] == 10**20


def test_after_and_limit_choose_a_part(events):
    assert [line["seq"] for line in events("--after", 7, "--limit", 3)] == [8, 9, 10]
    assert events("--after", 20) == []


def test_types_may_be_given_again(events, told):
    found = events("--type", "charged", "--type", "adjusted")
    assert [line["seq"] for line in found] == [told.seq[name] for name in ("part", "final", "direct", "refund")]


def test_an_account_has_its_releases_too_though_they_name_only_their_request(events, told):
    found = [line["seq"] for line in events("--account", 1)]
    assert found == [*range(4, 16), 19, 20]
    assert [line["seq"] for line in events("--account", 1, "--type", "released", "--after", 15)] == [19]


@pytest.mark.parametrize("words", [("--account", 3), ("--type", "reversed"), ("--account", 2, "--type", "lapsed")])
def test_filters_that_match_nothing_give_no_lines(events, words):
    assert events(*words) == []
    assert events(*words, "--after", 19) == []


@pytest.mark.parametrize(
    "words", [("--after", 21), ("--after", -1), ("--limit", 0), ("--type", "x"), ("--account", "a")]
)
def test_what_cannot_be_asked_is_a_usage_error(tollbook, told, words):
    assert tollbook("events", told.log, *words, "--json").error["code"] == "usage"


def test_the_text_has_a_line_an_event(tollbook, told):
    lines = tollbook("events", told.log).out.splitlines()
    assert len(lines) == told.seq["head"]
    direct = lines[told.seq["direct"] - 1].split()
    assert direct[:6] == ["12", "2023-11-16T18:00:10.000000Z", "charged", "alice", "on", "pro"]


def test_the_text_has_money_and_credits_with_their_decimals(tollbook, told):
    out = tollbook("events", told.log).out
    assert "sale of 100.00 credits for 10.00 USD" in out
    assert "request held 3.01" in out


def test_a_damaged_log_can_still_be_looked_at(tollbook, shop, spoil):
    spoil(shop.log, '"credits":124', '"credits":125')
    assert tollbook("events", shop.log, "--json").code == 2  # the draws no longer come to the credits
    assert tollbook("events", shop.log, "--json", "--limit", 11).code == 0
