"""Which of a trace's dimensions the policies of the shop read: only those are reported to the ledger.

The demo's usage has dimensions beside those that a policy prices (a trace's tokens under a price by the call); a ledger
refuses a request with units that no rate reads. A dimension that the policy reads for another model stays: that this
model has no price is for the ledger to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ledger.errors import BadData
from ledger.plugins import Policy, ReadingPolicy
from replay.traces import Trace

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
        self._policies = policies
        self._reads = {plan: reads(policy, models(trace)) for plan, policy in policies.items()}

    def given(self, plan: str, usage: Mapping[str, int]) -> dict[str, int]:
        """The usage that is reported to the ledger: of dimensions that the plan's policy reads for some model."""
        read = self._reads[plan]
        return {name: units for name, units in usage.items() if read is None or name in read}

    def unread(self, plan: str, model: str | None, usage: Mapping[str, int]) -> dict[str, int]:
        """The units of a request that no rate reads, reported or not."""
        read = reads(self._policies[plan], [model])
        return {name: units for name, units in usage.items() if read is not None and name not in read}
