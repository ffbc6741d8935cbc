"""Customer profiles: JSON that says how often each client of a service calls it, how unevenly, and with how much usage.

    {"quantiles": [0.01, …, 0.999],
     "clients": [{"group": "language/m-large", "client": "0", "rate_per_hour": [1050.0, …], "cv": 1.2,
                  "q": {"input_tokens": [136, …], "output_tokens": [21, …]}}]}

It is the shape of `servegen_clients.json` (ServeGen, NSDI 2026). `rate_per_hour` is requests an hour, for each hour
from the start; `cv` the variation of the times between requests (1 is a Poisson process, more is burstier, null is
unknown); `q` units by dimension at each level of `quantiles`. Other keys are passed over.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from ledger.amounts import MAX_CREDITS
from ledger.errors import BadData

from .lines import opened, shown, text

Name: TypeAlias = Annotated[str, Meta(min_length=1)]
Units: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_CREDITS)]
Rate: TypeAlias = Annotated[float, Meta(ge=0, le=1e12)]
Level: TypeAlias = Annotated[float, Meta(gt=0, lt=1)]
TEN_YEARS = 10 * 366 * 24
"""The most hours that a profile may describe."""


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A client, named within its group: requests for each hour, their variation, and quantiles of their usage."""

    group: Name
    client: Name
    rate_per_hour: Annotated[tuple[Rate, ...], Meta(min_length=1, max_length=TEN_YEARS)]
    cv: Annotated[float, Meta(ge=0)] | None = None
    q: Annotated[dict[Name, tuple[Units, ...]], Meta(min_length=1)]

    def __post_init__(self) -> None:
        for dimension, units in self.q.items():
            if any(left > right for left, right in pairwise(units)):
                raise ValueError(f"the quantiles of {shown(dimension)} must not fall")

    @property
    def hours(self) -> list[int]:
        """The rates in whole millionths of a request, which add up and compare exactly."""
        return [round(rate * 1e6) for rate in self.rate_per_hour]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Clients, and the levels, rising between 0 and 1, of all their quantiles."""

    quantiles: Annotated[tuple[Level, ...], Meta(min_length=1)]
    clients: Annotated[tuple[Client, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        if any(left >= right for left, right in pairwise(self.quantiles)):
            raise ValueError("the levels of `quantiles` must rise")
        seen = set()
        for number, client in enumerate(self.clients):
            if (client.group, client.client) in seen:
                raise ValueError(f"clients[{number}] has the group and name of an earlier client")
            seen.add((client.group, client.client))
            for dimension, units in client.q.items():
                if len(units) != len(self.quantiles):
                    found = f"clients[{number}] has {len(units)} quantiles of {shown(dimension)}"
                    raise ValueError(f"{found}, for {len(self.quantiles)} levels")
        if not any(any(client.hours) for client in self.clients):
            raise ValueError("no client makes a request: all rates are 0")


def read_profile(path: Path | str) -> Profile:
    """Read a customer profile. NotFound where there is no file; BadData for all else, with the line where one is known.

    A wrong value is named by its path in the JSON, such as `$.clients[3].cv`.
    """
    with opened(Path(path)) as file:
        raw = file.read()
    try:
        return msgspec.json.decode(text(raw).removeprefix("\ufeff"), type=Profile)
    except BadData as problem:
        problem.file = str(path)
        raise
    except msgspec.ValidationError as error:
        hint = "correct it; a profile has `quantiles` and `clients`, each with group, client, rate_per_hour, cv, q"
        raise BadData(f"not a customer profile: {error}", hint, str(path)) from None
    except msgspec.DecodeError as error:
        raise BadData(f"not valid JSON: {error}", "correct the JSON", str(path), _line(raw, str(error))) from None
    except RecursionError:
        raise BadData("the JSON is nested too deeply", "give a customer profile", str(path)) from None


def _line(raw: bytes, message: str) -> int:
    """The line of what msgspec complains of: it names the byte, or says that the input ended too soon."""
    offset = re.search(r"\(byte (\d+)\)", message)
    return raw.count(b"\n", 0, int(offset[1]) if offset else len(raw)) + 1
