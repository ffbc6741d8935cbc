"""`tollbook balance`: who has how much, at any moment."""

import time

import pytest

from ledger import Charge, CreatePlan, Ledger, Purchase

pytestmark = pytest.mark.smoke

KEYS = [
    "account", "subscriber", "plan", "decimals", "issued", "available", "held", "spent", "lapsed", "withdrawn",
    "debt", "shortfall", "open_requests", "access_until", "admits",
]  # fmt: skip
ALICE = {
    "account": 1, "subscriber": "alice", "plan": "pro", "decimals": 2, "issued": 10_500, "available": 10_000, "held": 0,
    "spent": 201, "lapsed": 299, "withdrawn": 0, "debt": 0, "shortfall": 0, "open_requests": 0, "access_until": None,
    "admits": True,
}  # fmt: skip


@pytest.mark.smoke
def test_it_has_the_contracts_keys_in_their_order(tollbook, told):
    answer = tollbook("balance", told.log, "--json").json
    assert list(answer) == ["log", "as_of", "accounts"]
    assert answer["log"] == str(told.log)
    assert answer["as_of"] == {"seq": told.seq["head"], "at": "2023-11-16T20:00:01.000000Z"}
    assert [list(account) for account in answer["accounts"]] == [KEYS, KEYS]
    assert answer["accounts"][0] == ALICE


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), ["alice", "bob"]),
        (("--subscriber", "bob"), ["bob"]),
        (("--plan", "pro"), ["alice"]),
        (("--subscriber", "alice", "--plan", "pro"), ["alice"]),
    ],
)
def test_filters_choose_accounts(tollbook, told, words, found):
    accounts = tollbook("balance", told.log, *words, "--json").json["accounts"]
    assert [account["subscriber"] for account in accounts] == found


@pytest.mark.parametrize(
    "words", [("--subscriber", "carol"), ("--plan", "x"), ("--subscriber", "bob", "--plan", "pro")]
)
def test_a_filter_that_matches_nothing_is_an_error(tollbook, told, words):
    assert tollbook("balance", told.log, *words, "--json").error["code"] == "not_found"


def test_an_empty_log_has_no_accounts_and_that_is_no_error(tollbook, tmp_path):
    Ledger.open(tmp_path / "new.db").close()
    answer = tollbook("balance", tmp_path / "new.db", "--json").json
    assert answer["accounts"] == []
    assert answer["as_of"]["seq"] == 0


def test_as_of_a_sequence_is_right_after_that_event(tollbook, told):
    answer = tollbook("balance", told.log, "--as-of", told.seq["request"], "--json").json
    assert answer["as_of"] == {"seq": told.seq["request"], "at": "2023-11-16T18:00:06.000000Z"}
    assert [(each["available"], each["held"], each["open_requests"]) for each in answer["accounts"]] == [
        (10_199, 301, 1)
    ]
    assert answer["accounts"][0]["access_until"] is None


def test_as_of_a_time_applies_what_time_has_done_whether_or_not_it_was_written(tollbook, told):
    """The open request ends at 18:10:09 and the gift at 19:00, but both were written at 20:00."""
    at = {"2023-11-16T18:10:08.999999Z": (7, 0), "2023-11-16T18:10:09Z": (0, 0), "2023-11-16T19:00:00Z": (0, 299)}
    for moment, expected in at.items():
        account = tollbook("balance", told.log, "--subscriber", "alice", "--as-of", moment, "--json").json["accounts"][
            0
        ]
        assert (account["held"], account["lapsed"]) == expected


@pytest.mark.parametrize(
    ("moment", "at"),
    [
        ("2023-11-16T18:00:15.000000Z", "2023-11-16T18:00:15.000000Z"),
        ("2023-11-16T18:00:15Z", "2023-11-16T18:00:15.000000Z"),
        ("2023-11-16T18:00:15", "2023-11-16T18:00:15.000000Z"),
        ("2023-11-16 18:00:15.5", "2023-11-16T18:00:15.500000Z"),
        ("2023-11-16T19:00:15+01:00", "2023-11-16T18:00:15.000000Z"),
        ("2999-01-01T00:00:00Z", "2999-01-01T00:00:00.000000Z"),
    ],
)
def test_a_moment_is_a_time_with_or_without_fraction_and_zone_utc_where_it_says_none(tollbook, told, moment, at):
    assert tollbook("balance", told.log, "--as-of", moment, "--json").json["as_of"]["at"] == at


def test_now_is_a_moment(tollbook, told):
    assert tollbook("balance", told.log, "--as-of", "now", "--json").json["as_of"]["at"] > "2023-11-16T20:00:01"


def test_now_has_all_that_is_in_a_log_that_is_ahead_of_this_clock(tollbook, tmp_path):
    """Written by a machine whose clock is ahead, or beyond a leap that was accepted."""
    ahead = (time.time_ns() + 3_600 * 10**9) // 1_000
    with Ledger.open(tmp_path / "toll.db", clock=lambda: ahead) as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", credits=10)).unwrap()
        ledger.execute(Purchase(subscriber="ann", plan="pro")).unwrap()
        ledger.execute(Charge(subscriber="ann", plan="pro", usage={"calls": 1})).unwrap()
    command = ("balance", tmp_path / "toll.db", "--json")
    now, end = tollbook(*command, "--as-of", "now").json, tollbook(*command).json
    assert now["accounts"] == end["accounts"]
    assert end["accounts"][0]["spent"] == 1


@pytest.mark.parametrize("moment", ["21", "9" * 19, "9" * 5000, "yesterday", "-1", "2023-02-30", "1.5", ""])
def test_what_is_no_moment_of_this_log_is_a_usage_error(tollbook, told, moment):
    assert tollbook("balance", told.log, f"--as-of={moment}", "--json").error["code"] == "usage"


def test_before_the_first_event_there_is_nothing_and_a_time_before_it_is_an_error(tollbook, told):
    assert tollbook("balance", told.log, "--as-of", 0, "--json").json["accounts"] == []
    error = tollbook("balance", told.log, "--as-of", "2020-01-01", "--json").error
    assert error["code"] == "bad_data"
    assert error["message"].startswith("2020-01-01 is before the first event, which is of 2023-11-16T18:")


def test_the_table_shows_credits_with_the_plans_decimals(tollbook, told):
    header, alice, bob = tollbook("balance", told.log).out.splitlines()[1:]
    assert header.split() == ["subscriber", "plan", "available", "spent", "lapsed", "withdrawn", "issued", "admits"]
    assert alice.split()[:6] == ["alice", "pro", "100.00", "2.01", "2.99", "0.00"]
    assert bob.split()[:3] == ["bob", "coins", "7.50"]


def test_a_name_cannot_steer_the_terminal(tollbook, tmp_path):
    from ledger import CreatePlan, Give

    with Ledger.open(tmp_path / "log.db") as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", credits=1)).unwrap()
        ledger.execute(Give(subscriber="\x1b[31mred\n", plan="pro", credits=1)).unwrap()
    done = tollbook("balance", tmp_path / "log.db")
    assert "\x1b" not in done.out
    assert "\\x1b[31mred\\n" in done.out
