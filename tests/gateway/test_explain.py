"""`tollbook explain`: why a charge cost what it cost."""

import pytest


def test_it_has_the_contracts_keys_in_their_order(tollbook, told):
    answer = tollbook("explain", told.log, told.seq["part"], "--json").json
    assert answer == {
        "charge": told.seq["part"],
        "at": "2023-11-16T18:00:07.000000Z",
        "account": 1,
        "subscriber": "alice",
        "plan": "pro",
        "decimals": 2,
        "request": told.seq["request"],
        "final": False,
        "usage": {"input_tokens": 10_001},
        "labels": {"model": "m"},
        "before": {},
        "tariff": {"version": 1, "policy": "complexity", "parameters": {"weights": {"input_tokens": "1/10000"}}},
        "lines": [
            {
                "text": "10001 input_tokens at 1/100",
                "dimension": "input_tokens",
                "units": 10_001,
                "rate": "1/100",
                "credits": "10001/100",
            },
            {"text": "rounded up", "dimension": None, "units": 0, "rate": "0", "credits": "99/100"},
        ],
        "credits": 101,
        "shortfall": 0,
        "exact": "10001/100",
        "recomputed": 101,
        "agrees": True,
        "fault": None,
        "draws": [[told.seq["gift"], 101]],
        "adjustments": [],
        "net": 101,
    }
    assert list(answer) == [
        "charge", "at", "account", "subscriber", "plan", "decimals", "request", "final", "usage", "labels", "before",
        "tariff", "lines", "credits", "shortfall", "exact", "recomputed", "agrees", "fault", "draws", "adjustments",
        "net",
    ]  # fmt: skip


def test_the_final_part_stands_on_the_meter_of_the_first(tollbook, told):
    answer = tollbook("explain", told.log, told.seq["final"], "--json").json
    assert (answer["before"], answer["usage"], answer["credits"]) == ({"input_tokens": 10_001}, {"input_tokens": 5}, 0)


def test_adjustments_come_to_the_net(tollbook, told):
    answer = tollbook("explain", told.log, told.seq["direct"], "--json").json
    refund = {"seq": told.seq["refund"], "at": "2023-11-16T18:00:11.000000Z", "credits": -24, "reason": "refund"}
    assert (answer["credits"], answer["adjustments"], answer["net"]) == (124, [refund], 100)


@pytest.mark.parametrize("charge", [1, 8, 13, 21, 2**63, 10**30])
def test_what_is_not_a_charge_is_not_found(tollbook, told, charge):
    assert tollbook("explain", told.log, charge, "--json").error["code"] == "not_found"


@pytest.mark.parametrize("charge", [0, -1, "x"])
def test_what_is_no_sequence_is_a_usage_error(tollbook, told, charge):
    assert tollbook("explain", told.log, "--json", "--", charge).error["code"] == "usage"


def test_a_charge_that_disagrees_exits_1(tollbook, shop, spoil):
    """A forger who also mends the hashes is caught by the price."""
    spoil(shop.log, '"usage":{"input_tokens":12345}', '"usage":{"input_tokens":22345}', mend=True)
    done = tollbook("explain", shop.log, shop.seq["direct"], "--json")
    assert done.code == 1
    assert (done.json["recomputed"], done.json["agrees"]) == (224, False)
    assert "DISAGREES" in tollbook("explain", shop.log, shop.seq["direct"]).out


def test_a_policy_that_is_not_installed_computes_nothing_and_neither_agrees_nor_disagrees(tollbook, shop, spoil):
    spoil(shop.log, '"policy":"complexity"', '"policy":"elsewhere"', mend=True)
    done = tollbook("explain", shop.log, shop.seq["direct"], "--json")
    assert (done.code, done.json["recomputed"], done.json["agrees"]) == (0, None, None)
    assert "not computed again" in tollbook("explain", shop.log, shop.seq["direct"]).out


def test_the_text_tells_the_whole_story(tollbook, told):
    out = tollbook("explain", told.log, told.seq["direct"]).out
    for part in ("alice on pro", "complexity", "12,345 input_tokens at 0.0001", "price 1.24", "from lot 6", "net 1.00"):
        assert part in out
