"""Customers where a trace has none, and usage where there is no trace: seeded, skewed, bursty.

The figures come from two publications, and tests compare them with the data:

- ServeGen (Alibaba; NSDI 2026): the requests of a service's customers follow Zipf's law with an exponent of 1.5 to 2.9,
  and the ten largest make 63 to 93 % of them. Here it is 1.5, by which the ten largest of 50 make 86 %; their share
  stays in that range for any number of customers from 18 up. The times between a customer's requests are Weibull
  distributed, with a coefficient of variation of 1.0 to 1.4. Hours of the day weigh as in its trace `m-small`.
- The Azure LLM inference trace 2023 (Splitwise; ISCA 2024), of conversations: quantiles of its tokens.

The same seed gives the same rows on every machine and Python: all draws are `random.random()`, and the one thing that
could differ in its last bit elsewhere (a power of a logarithm) is cut to a whole number at once; what follows from it
is integer arithmetic.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import accumulate
from math import exp, isqrt, lgamma, log
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec

from ledger.amounts import split

from .moments import HOUR, midnight
from .profiles import Client, Profile, read_profile
from .row_store import ordered
from .traces import Row, Source, Trace, has_json_lines, read

START = midnight(2026, 1, 25)
"""Where drawn usage begins, in UTC microseconds: a week before a month ends, so that monthly meters roll over."""

LEVELS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
"""Levels of the quantiles in `USAGE`: those of `servegen_clients.json`."""

USAGE: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "conversation": {  # the Azure trace
        "input_tokens": (29, 181, 207, 387, 403, 703, 1020, 1071, 1130, 1315, 2734, 4083, 4098, 4142, 6122),
        "output_tokens": (16, 41, 54, 77, 91, 103, 129, 177, 384, 400, 424, 451, 540, 601, 954),
    },
    "language": {  # ServeGen, the median client of its language models
        "input_tokens": (144, 186, 219, 284, 342, 414, 543, 650, 795, 1127, 1409, 1622, 1859, 2134, 3168),
        "output_tokens": (6, 9, 13, 21, 27, 38, 60, 71, 81, 115, 155, 227, 293, 370, 558),
    },
    "reasoning": {  # ServeGen, the median client of its reasoning model
        "input_tokens": (61, 98, 106, 123, 140, 182, 259, 276, 371, 572, 741, 843, 1015, 1191, 1858),
        "output_tokens": (153, 224, 274, 332, 409, 479, 542, 643, 747, 878, 1031, 1271, 1700, 1873, 2995),
    },
}
"""Quantiles of generated usage by model, in tokens; customers use one model each, in turn."""

DAY = (92, 86, 87, 80, 80, 71, 74, 88, 99, 105, 114, 111, 108, 104, 99, 100, 107, 111, 111, 112, 117, 117, 117, 108)
"""How the hours of a day weigh in generated usage, in percent of the mean hour."""

DAYS = 14
"""Days that generated usage takes, as many as ServeGen's trace has."""


def demand(
    path: Path | str | None = None,
    *,
    requests: int = 20_000,
    subscribers: int = 50,
    seed: int = 0,
    skip_bad: bool = False,
    dimensions: Collection[str] = (),
    reads: Collection[str] = (),
    subscriber: str = "",
) -> Trace:
    """Requests that each have a customer: read from a trace, drawn from a `.json` profile, or generated (no path).

    `requests` counts only where usage is drawn or generated; `skip_bad`, `dimensions`, `reads` and `subscriber` (see
    `traces.read`) only where it is read.
    """
    if path is None:
        return generate(requests, subscribers, seed)
    if Path(path).suffix.lower() == ".json" and not has_json_lines(path):
        return draw(read_profile(path), requests, seed, subscribers=subscribers, file=str(path))
    trace = read(path, skip_bad=skip_bad, dimensions=dimensions, reads=reads, subscriber=subscriber)
    return assign(trace, subscribers, seed)


def assign(trace: Trace, subscribers: int, seed: int) -> Trace:
    """Give each row without a customer one of `subscribers`, drawn by Zipf's law; `subscriber-01` is the largest."""
    _count(subscribers=subscribers)
    names = _names(subscribers)
    upto = list(accumulate(_zipf(subscribers)))
    rng, drawn = Random(seed), 0

    def assigned() -> Iterator[Row]:
        nonlocal drawn
        for row in trace.rows:
            if row.subscriber is not None:
                yield row
                continue
            drawn += 1
            yield msgspec.structs.replace(row, subscriber=names[bisect_right(upto, int(rng.random() * upto[-1]))])

    rows = ordered(assigned())
    source = msgspec.structs.replace(trace.source, seed=seed, drawn=drawn)
    return msgspec.structs.replace(trace, source=source, rows=rows)


def generate(requests: int, subscribers: int, seed: int) -> Trace:
    """Usage of customers who follow Zipf's law, over `DAYS` days, each with a burstiness and a model of their own."""
    _count(requests=requests, subscribers=subscribers)
    rng = Random(seed)
    models = list(USAGE)
    customers = [
        _Customer(name, model := models[rank % len(models)], weight, DAY, 1.0 + 0.4 * rng.random(), USAGE[model])
        for rank, (name, weight) in enumerate(zip(_names(subscribers), _zipf(subscribers), strict=True))
    ]
    rows = _requests(customers, LEVELS, DAYS * 24, requests, rng)
    source = Source(kind="generated", file=None, rows=len(rows), seed=seed)
    return Trace(source=source, rows=rows, dimensions=_dimensions(customers))


def draw(
    profile: Profile, requests: int, seed: int, *, subscribers: int | None = None, file: str | None = None
) -> Trace:
    """Draw requests of a profile's clients, in proportion to their rates.

    A subscriber is `group/client`, and its model the last part of the group's name (`m-large` of `language/m-large`).
    Only the `subscribers` largest clients take part, so that those who do are heard; those whose share is less than
    one request may still have none. Rates of fewer hours than the longest repeat. Dimensions are drawn independently,
    as a profile knows nothing else, and keep their names, but `text_tokens` are `input_tokens`, as other clients call
    the same thing; `image_tokens` and the like stand beside them, not within them. `file` is for the trace's source.
    """
    _count(requests=requests, subscribers=1 if subscribers is None else subscribers)
    span = max(len(client.rate_per_hour) for client in profile.clients)
    customers = sorted((_customer(client, span) for client in profile.clients), key=lambda one: -one.weight)
    rows = _requests(customers[:subscribers], profile.quantiles, span, requests, Random(seed))
    source = Source(kind="profile", file=file, rows=len(rows), seed=seed)
    return Trace(source=source, rows=rows, dimensions=_dimensions(customers))


class _Customer(NamedTuple):
    """Whose requests are drawn: `weight` is the share of all requests, `hours` the weights of hours, which repeat."""

    name: str
    model: str
    weight: int
    hours: Sequence[int]
    variation: float
    usage: Mapping[str, Sequence[int]]


def _customer(client: Client, span: int) -> _Customer:
    hours = client.hours
    usage = {
        "input_tokens" if dimension == "text_tokens" and "input_tokens" not in client.q else dimension: units
        for dimension, units in client.q.items()
        if units[-1]  # else the client never has this kind of usage
    }
    model = client.group.rsplit("/", 1)[-1]
    variation = 1.0 if client.cv is None else client.cv
    return _Customer(f"{client.group}/{client.client}", model, sum(hours) * span // len(hours), hours, variation, usage)


def _dimensions(customers: Sequence[_Customer]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(dimension for customer in customers for dimension in customer.usage))


def _requests(
    customers: Sequence[_Customer], levels: Sequence[float], span: int, requests: int, rng: Random
) -> list[Row]:
    shares = split(requests, [customer.weight for customer in customers])
    rows = [
        Row(
            at=START + after,
            subscriber=customer.name,
            model=customer.model,
            usage={dimension: _units(levels, units, rng) for dimension, units in customer.usage.items()},
        )
        for customer, share in zip(customers, shares, strict=True)
        for after in _arrivals(customer, share, span, rng)
    ]
    rows.sort(key=lambda row: row.at)
    return rows


def _arrivals(customer: _Customer, number: int, span: int, rng: Random) -> list[int]:
    """Microseconds from the start, of `number` requests within `span` hours, in no order.

    The gaps between them are laid around a circle, from a point at random, so that the bursts of all customers do not
    begin together; once around are the microseconds of all hours, each as wide as the hour's weight.
    """
    if not number:
        return []
    weights = [customer.hours[hour % len(customer.hours)] for hour in range(span)]
    edges = [0, *accumulate(weight * HOUR for weight in weights)]
    round_about = edges[-1]
    start = int(rng.random() * round_about)
    passed = list(accumulate(_gaps(customer.variation, number, rng)))
    times = []
    for gap in passed:
        place = (start + round_about * gap // passed[-1]) % round_about
        hour = bisect_right(edges, place) - 1
        times.append(hour * HOUR + (place - edges[hour]) // weights[hour])
    return times


def _gaps(variation: float, number: int, rng: Random) -> list[int]:
    """Weibull distributed times of this coefficient of variation, in a unit of no meaning; at least 1."""
    exponent = 1 / _shape(variation)
    return [1 + int(1e6 * (-log(1.0 - rng.random())) ** exponent) for _ in range(number)]


def _shape(variation: float) -> float:
    """The shape of a Weibull distribution of this coefficient of variation, which falls with it: by bisection.

    The ends are a variation of 15.8 and of 0.06. What is beyond is drawn as these: a few hundred requests of a still
    greater one would all fall into one moment.
    """
    low, high = 0.2, 20.0
    for _ in range(40):
        shape = (low + high) / 2
        if exp(lgamma(1 + 2 / shape) - 2 * lgamma(1 + 1 / shape)) - 1 > variation * variation:
            low = shape
        else:
            high = shape
    return round(low, 6)


def _units(levels: Sequence[float], units: Sequence[int], rng: Random) -> int:
    """Units drawn between quantiles, by straight lines; beyond the lowest and the highest level, those quantiles."""
    level = rng.random()
    above = bisect_right(levels, level)
    if above in (0, len(levels)):
        return units[min(above, len(units) - 1)]
    left, right = levels[above - 1], levels[above]
    part = int((level - left) / (right - left) * 2**32)
    return units[above - 1] + ((units[above] - units[above - 1]) * part >> 32)


def _zipf(number: int) -> list[int]:
    """Weights of ranks 1 to `number`, proportional to rank^-1.5."""
    return [10**18 // isqrt(10**12 * rank**3) for rank in range(1, number + 1)]


def _names(number: int) -> list[str]:
    width = len(str(number))
    return [f"subscriber-{rank:0{width}}" for rank in range(1, number + 1)]


def _count(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} is {number}, and must be at least 1")
