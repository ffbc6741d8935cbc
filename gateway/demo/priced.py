"""Which of a trace's dimensions the policies of the shop read: only those are reported to the ledger.

The demo's usage has dimensions beside those that a policy prices (a trace's tokens under a price by the call), and a
ledger refuses a request with units that no rate reads. What is left out is counted. A request of which nothing is read
keeps what the policy reads for other models: that its own has no price is for the ledger to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ledger.errors import BadData
from ledger.plugins import Policy, ReadingPolicy
from replay.workload.traces import Trace

BESIDE = ("calls", "seconds")
"""What the demo adds to each request's usage."""


def reads(policy: Policy, models: Iterable[str | None]) -> frozenset[str] | None:
    """The dimensions that some rate of the policy reads for any of these models; None where it does not tell units
    that it prices from others."""
    if not isinstance(policy, ReadingPolicy):
        return None
    found: frozenset[str] = frozenset()
    for model in models:
        if (read := policy.reads(labels(model))) is None:
            return None
        found |= read
    return found


def labels(model: str | None) -> dict[str, str]:
    """The labels of a request to that model."""
    return {} if model is None else {"model": model}


def models(trace: Trace) -> set[str | None]:
    """The models that a trace names; None where a request names none."""
    return {row.model for row in trace.rows}


def check_priced(trace: Trace, name: str, policy: Policy) -> None:
    """Raises BadData where no rate of the policy reads anything of the trace, so that all of it would cost nothing."""
    read = reads(policy, models(trace))
    found = {*trace.dimensions, *BESIDE}
    if read is None or read & found:
        return
    columns = ", ".join((*trace.dimensions, *trace.source.ignored)) or "no usage"
    named = ", ".join(sorted(read)) or "nothing"
    of = ", ".join(sorted(model for model in models(trace) if model is not None))
    message = f"the policy {name} reads {named}" + (f" (of the models {of[:200]})" if of else "")
    hint = "name the columns as the policy does, or price one of them by --policy (and --dimension)"
    raise BadData(f"{message}, and the trace has {columns}: nothing of it would be charged", hint, trace.source.file)


class Priced:
    """What the plans' policies read of a trace, by the plans' names."""

    def __init__(self, policies: Mapping[str, Policy], trace: Trace) -> None:
        named = models(trace)
        self._any = {plan: reads(policy, named) for plan, policy in policies.items()}
        self._own = {(plan, model): reads(policy, [model]) for plan, policy in policies.items() for model in named}

    def given(self, plan: str, model: str | None, usage: Mapping[str, int]) -> dict[str, int]:
        """The usage that is reported to the ledger: of dimensions that the plan's policy reads for the model."""
        read = self._own[plan, model]
        if read is not None and not any(usage.get(name) for name in read):
            read = self._any[plan]
        return {name: units for name, units in usage.items() if read is None or name in read}

    def unread(self, plan: str, model: str | None, usage: Mapping[str, int]) -> dict[str, int]:
        """The units of a request that no rate reads, reported or not."""
        read = self._own[plan, model]
        return {name: units for name, units in usage.items() if read is not None and name not in read}
