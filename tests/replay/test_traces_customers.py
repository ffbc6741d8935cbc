"""Customers and usage that are drawn: the same for the same seed, as skewed, bursty and large as was published."""

from __future__ import annotations

import hashlib
import json
import os
from bisect import bisect_right
from collections import Counter
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median, pstdev
from time import process_time

import msgspec
import pytest

from replay.workload import customers
from replay.workload.customers import DAY, DAYS, LEVELS, START, USAGE, assign, demand, draw, generate
from replay.workload.moments import HOUR
from replay.workload.profiles import Client, Profile, read_profile
from replay.workload.traces import Row, Source, Trace, read

TOKENS = {"input_tokens": (100, 200, 300), "output_tokens": (10, 10, 90)}


def published(name: str) -> Path:
    """A file of TOLLBOOK_TRACES, the folder of the real traces."""
    folder = os.environ.get("TOLLBOOK_TRACES")
    if not folder:
        pytest.skip(f"set TOLLBOOK_TRACES to a folder with {name} to test on the real data")
    path = Path(folder, name)
    if not path.exists():
        pytest.skip(f"there is no {name} in TOLLBOOK_TRACES ({folder})")
    return path


def client(name: str, rates: tuple[float, ...], cv: float | None = 1.0, **usage: tuple[int, ...]) -> Client:
    return Client(group="chat/large", client=name, rate_per_hour=rates, cv=cv, q=usage or TOKENS)


def profile(*clients: Client) -> Profile:
    return Profile(quantiles=(0.1, 0.5, 0.9), clients=clients)


def trace_of(*rows: Row) -> Trace:
    return Trace(source=Source(kind="csv", file="trace.csv", rows=len(rows)), rows=list(rows))


def requests_by_customer(trace: Trace) -> Counter[str | None]:
    return Counter(row.subscriber for row in trace.rows)


def share_of_top_ten(trace: Trace) -> float:
    return sum(number for _, number in requests_by_customer(trace).most_common(10)) / len(trace.rows)


def digest(trace: Trace) -> str:
    return hashlib.sha256(msgspec.json.encode(trace.rows)).hexdigest()


# Drawing from a seed


def drawn(kind: str, seed: int) -> Trace:
    if kind == "generate":
        return generate(2_000, 50, seed)
    if kind == "draw":
        return draw(profile(client("0", (60.0, 0, 30)), client("1", (5.0,), cv=3.0)), 2_000, seed)
    return assign(trace_of(*(Row(at=at, usage={}) for at in range(2_000))), 50, seed)


@pytest.mark.parametrize("kind", ["generate", "draw", "assign"])
def test_the_same_seed_draws_the_same_and_another_does_not(kind):
    assert drawn(kind, 7) == drawn(kind, 7)
    assert drawn(kind, 7).rows != drawn(kind, 8).rows
    assert drawn(kind, 7).source.seed == 7


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("generate", "07f8075f4038370f3a19d001ce576b3f74538a6c0667408a3339db1f65e3e7a5"),
        ("draw", "79440d0747cd369899b140e07f76eafe83519da1af5c537ee5290904f46468a5"),
        ("assign", "c3453bef20c3ed5e91f36db8a19738169cfa0e525bea2a11e34991fa10bdf59f"),
    ],
)
def test_draws_are_the_same_on_every_machine_and_python(kind, expected):
    """Whoever changes a draw on purpose changes the heads of all demos, and says so in the change log."""
    assert digest(drawn(kind, 0)) == expected


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["generate", "draw"])
def test_drawn_rows_are_in_the_order_of_time_and_as_many_as_asked(kind, seed):
    trace = drawn(kind, seed)
    assert len(trace.rows) == trace.source.rows == 2_000
    assert all(left.at <= right.at for left, right in pairwise(trace.rows))
    assert trace.rows[0].at >= START


@pytest.mark.parametrize("numbers", [(0, 5), (5, 0), (-1, 5)])
def test_nothing_is_drawn_for_nobody(numbers):
    with pytest.raises(ValueError, match="must be at least 1"):
        generate(*numbers, seed=0)


# Skew


@pytest.mark.parametrize("subscribers", [18, 50, 1_000])
@pytest.mark.parametrize("seed", range(3))
def test_the_ten_largest_customers_make_63_to_93_percent(subscribers, seed):
    """The range that ServeGen found for the services of its trace."""
    rows = [Row(at=at, usage={}) for at in range(20_000)]
    assert 0.63 <= share_of_top_ten(generate(20_000, subscribers, seed)) <= 0.93
    assert 0.63 <= share_of_top_ten(assign(trace_of(*rows), subscribers, seed)) <= 0.94  # a draw of its own each


def test_requests_fall_with_the_rank_to_the_power_of_one_and_a_half():
    numbers = requests_by_customer(generate(200_000, 50, 0))
    assert numbers["subscriber-01"] / numbers["subscriber-04"] == pytest.approx(4**1.5, rel=0.01)
    assert numbers["subscriber-01"] / numbers["subscriber-25"] == pytest.approx(25**1.5, rel=0.01)


def test_fewer_requests_than_customers():
    assert len(generate(3, 50, 0).rows) == 3


def test_customers_of_the_trace_are_kept():
    trace = assign(trace_of(Row(at=1, subscriber="ann", usage={}), Row(at=2, usage={})), 1, 0)
    assert [row.subscriber for row in trace.rows] == ["ann", "subscriber-1"]


def test_assigning_changes_nothing_else():
    row = Row(at=1, plan="pro", agent="search", model="m", usage={"calls": 1})
    [given] = assign(trace_of(row), 50, 0).rows
    assert msgspec.structs.replace(given, subscriber=None) == row


# Bursts


@pytest.mark.parametrize("variation", [0.3, 1.0, 1.2, 1.4, 3.0])
def test_gaps_vary_as_asked(variation):
    gaps = customers._gaps(variation, 50_000, customers.Random(1))
    assert pstdev(gaps) / fmean(gaps) == pytest.approx(variation, rel=0.05)


@pytest.mark.parametrize("variation", [0.0, 102.0, 1e300])
def test_extreme_variations_can_be_drawn(variation):
    assert len(draw(profile(client("0", (1.0,), cv=variation)), 500, 0).rows) == 500


@pytest.mark.parametrize("variation", [0.5, 1.0, 2.5])
def test_arrivals_vary_as_the_profile_says(variation):
    times = [row.at for row in draw(profile(client("0", (5.0,), cv=variation)), 20_000, 1).rows]
    gaps = [right - left for left, right in pairwise(times)]
    assert pstdev(gaps) / fmean(gaps) == pytest.approx(variation, rel=0.1)


def test_generated_arrivals_are_as_bursty_as_published():
    """On the clock on which all hours weigh the same, as the variation was measured within short windows."""
    upto = [sum(DAY[:hour]) for hour in range(24)]

    def weighed(at: int) -> float:
        hours, rest = divmod(at - START, HOUR)
        return hours // 24 * sum(DAY) + upto[hours % 24] + DAY[hours % 24] * rest / HOUR

    found = []
    trace = generate(200_000, 20, 0)
    for name in requests_by_customer(trace):
        gaps = [b - a for a, b in pairwise(weighed(row.at) for row in trace.rows if row.subscriber == name)]
        found.append(pstdev(gaps) / fmean(gaps))
    assert 0.95 <= min(found) <= max(found) <= 1.5


def test_the_bursts_of_customers_do_not_begin_together():
    """With the gaps counted from the start, 0.13 of all requests would come in the first twentieth of the time."""
    bursty = profile(*(client(str(number), (1.0,) * 100, cv=5.0) for number in range(200)))
    early = [row for row in draw(bursty, 10_000, 0).rows if row.at < START + 5 * HOUR]
    assert len(early) / 10_000 == pytest.approx(0.05, abs=0.03)


def test_generated_usage_follows_the_hours_of_the_day_for_two_weeks():
    trace = generate(100_000, 50, 0)
    hours = Counter((row.at - START) // HOUR % 24 for row in trace.rows)
    assert fmean(hours[hour] for hour in range(18, 24)) / fmean(hours[hour] for hour in range(2, 7)) == pytest.approx(
        fmean(DAY[18:24]) / fmean(DAY[2:7]), rel=0.1
    )
    assert DAYS - 1 < (trace.rows[-1].at - trace.rows[0].at) / (24 * HOUR) < DAYS


# Tokens


@pytest.mark.parametrize("model", USAGE)
def test_generated_tokens_have_the_quantiles_of_the_table(model):
    rows = [row for row in generate(100_000, 9, 0).rows if row.model == model]
    for dimension, quantiles in USAGE[model].items():
        drawn = sorted(row.usage[dimension] for row in rows)
        for level, units in zip(LEVELS, quantiles, strict=True):
            spread = 4 * (level * (1 - level) / len(drawn)) ** 0.5
            lower, upper = (drawn[int(max(0, min(1, level + by)) * (len(drawn) - 1))] for by in (-spread, spread))
            assert lower <= units <= upper
        assert quantiles[0] == drawn[0] <= drawn[-1] == quantiles[-1]


def test_tokens_lie_between_the_quantiles_by_straight_lines():
    rows = draw(profile(client("0", (1.0,), calls=(100, 200, 400))), 50_000, 0).rows
    drawn = sorted(row.usage["calls"] for row in rows)
    assert bisect_right(drawn, 100) / 50_000 == pytest.approx(0.1, abs=0.01)
    assert bisect_right(drawn, 150) / 50_000 == pytest.approx(0.3, abs=0.01)
    assert bisect_right(drawn, 300) / 50_000 == pytest.approx(0.7, abs=0.01)
    assert drawn.count(400) / 50_000 == pytest.approx(0.1, abs=0.01)


def test_the_largest_quantiles_stay_whole():
    for row in draw(profile(client("0", (1.0,), calls=(2**63 - 2, 2**63 - 1, 2**63 - 1))), 500, 0).rows:
        assert row.usage["calls"] in (2**63 - 2, 2**63 - 1)


# Profiles


def test_clients_are_drawn_in_proportion_to_their_rates():
    trace = draw(profile(client("busy", (90.0,)), client("idle", (0.0,)), client("calm", (10.0,))), 1_000, 0)
    assert requests_by_customer(trace) == {"chat/large/busy": 900, "chat/large/calm": 100}
    assert {row.model for row in trace.rows} == {"large"}


def test_requests_come_in_the_hours_of_the_rates():
    hours = Counter((row.at - START) // HOUR for row in draw(profile(client("0", (10.0, 0, 30.0))), 10_000, 0).rows)
    assert set(hours) == {0, 2}
    assert hours[2] / hours[0] == pytest.approx(3, rel=0.1)


def test_rates_of_fewer_hours_repeat():
    trace = draw(profile(client("long", (1.0,) * 4), client("short", (0, 2.0))), 1_000, 0)
    assert requests_by_customer(trace) == {"chat/large/long": 500, "chat/large/short": 500}
    assert {(row.at - START) // HOUR for row in trace.rows if row.subscriber == "chat/large/short"} == {1, 3}


def test_only_the_largest_clients_take_part():
    trace = draw(profile(client("a", (1.0,)), client("b", (3.0,)), client("c", (2.0,))), 500, 0, subscribers=2)
    assert requests_by_customer(trace) == {"chat/large/b": 300, "chat/large/c": 200}


def test_rates_below_one_an_hour_are_drawn():
    trace = draw(profile(client("0", (0.003, 0.0)), client("1", (0.001,))), 1_000, 0)
    assert requests_by_customer(trace) == {"chat/large/0": 600, "chat/large/1": 400}


def test_text_tokens_are_input_tokens_and_other_kinds_keep_their_names():
    usage = {"text_tokens": (1, 1, 1), "image_tokens": (2, 2, 2), "audio_tokens": (0, 0, 0), "output_tokens": (3, 3, 3)}
    [row] = draw(profile(client("0", (1.0,), **usage)), 1, 0).rows
    assert row.usage == {"input_tokens": 1, "image_tokens": 2, "output_tokens": 3}


def test_text_tokens_beside_input_tokens_keep_their_name():
    [row] = draw(profile(client("0", (1.0,), input_tokens=(5, 5, 5), text_tokens=(1, 1, 1))), 1, 0).rows
    assert row.usage == {"input_tokens": 5, "text_tokens": 1}


# One way to all of them


def test_demand_is_generated_where_there_is_no_file():
    trace = demand(requests=100, subscribers=5, seed=3)
    assert trace == generate(100, 5, 3)
    assert trace.source == Source(kind="generated", file=None, rows=100, seed=3)


def test_demand_is_drawn_from_a_profile(tmp_path):
    path = tmp_path / "profile.JSON"
    path.write_bytes(msgspec.json.encode(profile(client("0", (1.0,)), client("1", (2.0,)))))
    trace = demand(path, requests=100, subscribers=1, seed=3)
    assert trace.source == Source(kind="profile", file=str(path), rows=100, seed=3)
    assert requests_by_customer(trace) == {"chat/large/1": 100}


def test_demand_is_read_from_a_trace_and_gets_customers(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("timestamp,calls\n2026-01-25,1\nbad,1\n2026-01-26,2\n")
    trace = demand(path, requests=100, subscribers=5, seed=3, skip_bad=True)
    assert trace.source == Source(kind="csv", file=str(path), rows=2, skipped=1, seed=3, drawn=2)
    assert all(row.subscriber for row in trace.rows)


def test_the_default_demand_takes_about_a_second_at_most():
    before = process_time()
    assert len(demand().rows) == 20_000
    assert process_time() - before < 2  # 0.06 s where it was written; the rest is for a busy machine


# The real data


def test_servegen_clients_can_be_drawn():
    """One of the 367 never makes a request, one has no variation, and 35 have text, image, audio and video tokens."""
    path = published("servegen_clients.json")
    trace = demand(path, requests=50_000, subscribers=367)
    assert trace.source == Source(kind="profile", file=str(path), rows=50_000)
    assert {"m-large", "m-mid", "m-small", "deepseek-r1", "mm-image"} == {row.model for row in trace.rows}
    assert {dimension for row in trace.rows for dimension in row.usage} == {
        "input_tokens",
        "output_tokens",
        "image_tokens",
    }
    assert 0.63 <= share_of_top_ten(demand(path)) <= 0.93


def test_the_customers_of_the_azure_trace():
    trace = demand(published("azure_llm_conv_2023.csv"))
    assert len(requests_by_customer(trace)) == 50
    assert 0.63 <= share_of_top_ten(trace) <= 0.93


def test_the_table_of_conversations_is_that_of_the_azure_trace():
    rows = read(published("azure_llm_conv_2023.csv")).rows
    for dimension, quantiles in USAGE["conversation"].items():
        found = sorted(row.usage[dimension] for row in rows)
        assert tuple(found[int(level * (len(found) - 1))] for level in LEVELS) == quantiles


@pytest.mark.parametrize(("model", "groups"), [("language", "language/"), ("reasoning", "reason/")])
def test_the_other_tables_are_those_of_the_median_client(model, groups):
    data = read_profile(published("servegen_clients.json"))
    assert data.quantiles == LEVELS
    clients = [one for one in data.clients if one.group.startswith(groups)]
    for dimension, quantiles in USAGE[model].items():
        assert (
            tuple(round(median(level)) for level in zip(*(one.q[dimension] for one in clients), strict=True))
            == quantiles
        )


def test_the_hours_of_the_day_are_those_of_a_published_trace():
    clients = json.loads(published("servegen_clients.json").read_bytes())["clients"]
    rates = [one["rate_per_hour"] for one in clients if one["group"] == "language/m-small"]
    hours = [sum(sum(rate[hour::24]) for rate in rates) for hour in range(24)]
    assert tuple(round(100 * hour / fmean(hours)) for hour in hours) == DAY
