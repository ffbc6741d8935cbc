"""Usage of the demo's requests: what each uses, what a service estimates beforehand, and what a plan's policy reads.

The demo's usage has dimensions beside those that a policy prices (a trace's tokens under a price by the call), and a
ledger refuses a request with units that no rate reads. So only dimensions that the policy reads are reported; the
others are counted. A request of which nothing is read keeps what the policy reads for other models: the ledger then
says that its own model has no price.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ledger.amounts import MAX_CREDITS, SECOND
from ledger.errors import BadData
from ledger.plugins import Policy
from ledger.rating import reads
from replay.workload.traces import Row, Trace

MAX_DURATION = 600 * SECOND
"""The longest duration of a request (microseconds); a longer one in a trace is cut to this."""

_ADDED = frozenset({"calls"})
"""The dimension that the demo adds to each request's usage."""

_TO_FIRST_TOKEN = SECOND // 5
_OUTPUT_TOKEN = SECOND // 50
_FIRST_ESTIMATE = 256


class Work(NamedTuple):
    """The work behind a request: its usage, and how many microseconds it took."""

    usage: dict[str, int]
    duration: int


def is_timed(trace: Trace) -> bool:
    """True if the seconds of requests are generated with their tokens. A trace has its own, or none: no price is made
    of seconds that were not measured."""
    return trace.source.kind == "generated"


def work_of(row: Row, timed: bool) -> Work:
    """Return a row's usage with `calls`, and `seconds` if they are generated (`is_timed`), beside its tokens.

    A request takes a second for 50 output tokens; a row's own `seconds` or `calls` come first.
    """
    seconds = row.usage.get("seconds")
    if seconds is None:
        duration = _TO_FIRST_TOKEN + row.usage.get("output_tokens", 0) * _OUTPUT_TOKEN
    else:
        duration = max(_TO_FIRST_TOKEN, seconds * SECOND)
    duration = min(duration, MAX_DURATION)
    generated = {"seconds": -(-duration // SECOND)} if timed else {}
    return Work({"calls": 1, **generated, **row.usage}, duration)


def known_after(dimension: str) -> bool:
    """True if a dimension is known only when the work is done; the others are known when the request is made."""
    return dimension == "seconds" or dimension.endswith("output_tokens")


def first_half(usage: dict[str, int]) -> dict[str, int]:
    """Return what a service reports half-way: all that was known before, and half of the rest."""
    return {name: units // 2 if known_after(name) else units for name, units in usage.items()}


class Estimator:
    """Estimates a request's usage: what is known before it, and the mean so far, by model, of what is not."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str | None, str], tuple[int, int]] = defaultdict(lambda: (0, 0))

    def estimate(self, model: str | None, usage: dict[str, int]) -> dict[str, int]:
        """Return the estimate with which a request of this usage is made."""
        return {name: self._mean(model, name) if known_after(name) else units for name, units in usage.items()}

    def learn(self, model: str | None, usage: dict[str, int]) -> None:
        """Add the usage of a finished request to the means."""
        for name, units in usage.items():
            if known_after(name):
                number, total = self._seen[model, name]
                self._seen[model, name] = (number + 1, total + units)

    def _mean(self, model: str | None, name: str) -> int:
        number, total = self._seen[model, name]
        if number:
            return min(-(-total // number), MAX_CREDITS)
        return _FIRST_ESTIMATE if name != "seconds" else _FIRST_ESTIMATE * _OUTPUT_TOKEN // SECOND


# -- what a policy reads -----------------------------------------------------------------------------------------------


def labels(model: str | None) -> dict[str, str]:
    """Return the labels of a request to that model."""
    return {} if model is None else {"model": model}


def models(trace: Trace) -> set[str | None]:
    """Return the models of a trace's requests; None is among them where a request has none."""
    return {row.model for row in trace.rows}


def dimensions_read(policy: Policy, models: Iterable[str | None]) -> frozenset[str] | None:
    """Return the dimensions that some rate of the policy reads for any of these models; None where the policy reads
    all of them, or does not declare what it reads."""
    dimensions: frozenset[str] = frozenset()
    for model in models:
        if (read := reads(policy, labels(model))) is None:
            return None
        dimensions |= read
    return dimensions


def check_priced(trace: Trace, name: str, policy: Policy) -> None:
    """Raise BadData where the policy reads no dimension of the trace, so that all of it would be free."""
    read = dimensions_read(policy, models(trace))
    if read is None or read & {*trace.dimensions, *_ADDED, *(["seconds"] if is_timed(trace) else [])}:
        return
    columns = ", ".join((*trace.dimensions, *trace.source.ignored)) or "no usage"
    dimensions = ", ".join(sorted(read)) or "nothing"
    by_model = dimensions_read(policy, [None]) != read  # else the models do not matter
    of = ", ".join(sorted(model for model in models(trace) if model is not None)) if by_model else ""
    message = f"the policy {name} reads {dimensions}" + (f" (of the models {of[:200]})" if of else "")
    hint = "name the columns as the policy does, or price one of them by --policy (and --column)"
    raise BadData(f"{message}, and the trace has {columns}: nothing of it would be charged", hint, trace.source.file)


class PricedDimensions:
    """The dimensions of a trace that the plans' policies read, by plan and model."""

    def __init__(self, policies: Mapping[str, Policy], trace: Trace) -> None:
        every = models(trace)
        self._of_plan = {plan: dimensions_read(policy, every) for plan, policy in policies.items()}
        self._of_model = {
            (plan, model): dimensions_read(policy, [model]) for plan, policy in policies.items() for model in every
        }

    def reported(self, plan: str, model: str | None, usage: Mapping[str, int]) -> dict[str, int]:
        """Return the usage that is reported to the ledger: the dimensions that the plan's policy reads."""
        read = self._of_model[plan, model]
        if read is not None and not any(usage.get(name) for name in read):
            read = self._of_plan[plan]
        return {name: units for name, units in usage.items() if read is None or name in read}

    def unread(self, plan: str, model: str | None, usage: Mapping[str, int]) -> dict[str, int]:
        """Return the units of a request that no rate reads, reported or not."""
        read = self._of_model[plan, model]
        return {name: units for name, units in usage.items() if read is not None and name not in read}
