"""Conformance of a pricing policy, as one function that needs no test framework.

    from pricing.testing.conformance import check

    check(Flat, {"credits": 2})     # raises ConformanceError, which names each rule that is broken

On the command line: `python -m pricing.testing.conformance NAME:key=value,…` for a policy that is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import islice
from typing import Any

from ledger.errors import LedgerError
from ledger.plugins import PolicyFactory, policies
from ledger.testing.conformance import ConformanceError as ConformanceError
from ledger.testing.conformance import Failure as Failure

from ..notation import parse
from .rules import MADE, RULES
from .samples import labels_for, usages_for
from .subject import Labels, Subject, Usage

_EXAMPLES = 3


def check(
    factory: PolicyFactory,
    parameters: Mapping[str, Any],
    *,
    usages: Iterable[Usage] | None = None,
    labels: Iterable[Labels] | None = None,
    seed: int = 0,
) -> None:
    """Check the policy that `factory` makes from `parameters` against all `RULES`. Raises ConformanceError.

    Usages and labels are guessed from the parameters if none are given. The same arguments give the same checks. Clocks
    and the random generator are patched for the whole process during one rule (`purity`), and restored.
    """
    subject = Subject(
        factory,
        deepcopy(dict(parameters)),
        tuple(usages_for(parameters, seed) if usages is None else usages),
        tuple(labels_for(parameters, seed) if labels is None else labels),
        seed,
    )
    failures: list[Failure] = []
    for name, rule in RULES.items():
        failures += [Failure(name, case) for case in islice(rule(subject), _EXAMPLES)]
        if failures and name == MADE:
            break  # no other rule can be checked
    if failures:
        raise ConformanceError(failures)


def main(arguments: Sequence[str]) -> int:
    """Check one installed policy. Return 0 if it conforms, 1 if it does not, 2 if it could not be checked."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m pricing.testing.conformance NAME:key=value,…\n")
        return 2
    try:
        name, parameters = parse(arguments[0])
        check(policies.get(name), parameters)
    except LedgerError as error:
        sys.stderr.write(f"{error}; {error.hint}\n")
        return 2
    except ConformanceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{name} conforms\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
