"""The result of a run: a report, or a failure with the command that repeats it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class SimulationReport(msgspec.Struct, frozen=True, kw_only=True):
    """A run in which every law held. The same seed and options give the same report, to the last bit.

    `commands` counts answered commands by type, `refused` refusals by reason, `failed` commands by error, `unheard`
    callers that got no answer since their process crashed, `faults` those that struck, by kind. `head` is the hash at
    the end of the log.
    """

    seed: int
    steps: int
    policies: tuple[str, ...]
    actions: dict[str, int]
    commands: dict[str, int]
    refused: dict[str, int]
    failed: dict[str, int]
    unheard: int
    faults: dict[str, int]
    restarts: int
    events: dict[str, int]
    commits: int
    batches: int
    seq: int
    head: str


class SimulationFailed(AssertionError):
    """A law did not hold, in the run of this seed, at this step.

    `law` names it, `found` has the violating values, `trace` the last actions; `faults` are the kinds that the run
    needs, and `command` is the command line that repeats it.
    """

    def __init__(
        self,
        *,
        seed: int,
        step: int,
        steps: int,
        law: str,
        found: str,
        faults: frozenset[str],
        trace: Sequence[str],
        command: str,
    ) -> None:
        self.seed, self.step, self.steps, self.law, self.found = seed, step, steps, law, found
        self.faults, self.trace, self.command = faults, tuple(trace), command
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}, step {self.step}: {self.law}",
            f"  {self.found}",
            "the last steps:",
            *(f"  {line}" for line in self.trace),
            f"repeat it with: {self.command}",
        ]
        return "\n".join(lines)
