"""Conformance of a pricing policy, as one function that needs no test framework.

    from pricing.testing.conformance import check

    check(Flat, {"credits": 2})     # raises ConformanceError, which names each rule that is broken

On the command line: `python -m pricing.testing.conformance NAME:key=value,…` for a policy that is installed; `--help`
lists the rules.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import islice
from typing import Any

from ledger.errors import LedgerError
from ledger.plugins import PolicyFactory, policies
from ledger.plugins.discovery import described
from ledger.testing.conformance import ConformanceError as ConformanceError
from ledger.testing.conformance import Failure as Failure

from ..notation import parse
from .rules import MADE, RULES
from .samples import labels_for, usages_for
from .subject import Labels, Subject, Usage

_EXAMPLES = 3
_CODES = "\n\nexit codes: 0 it conforms; 1 it does not; 2 it could not be checked"


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
    cause: BaseException | None = None
    for name, rule in RULES.items():
        try:
            for case in islice(rule(subject), _EXAMPLES):
                failures.append(Failure(name, case))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code, which fails where the rule looks at it
            failures.append(Failure(name, f"cannot be checked: {described(error)}"))
            cause = cause or error
        if failures and name == MADE:
            break  # no other rule can be checked
    if failures:
        raise ConformanceError(failures) from cause


def main(arguments: Sequence[str]) -> int:
    """Check one installed policy. Return 0 if it conforms, 1 if it does not, 2 if it could not be checked."""
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as end:
        return 2 if end.code else 0
    try:
        name, parameters = parse(options.policy)
        check(policies.get(name), parameters, seed=options.seed)
    except LedgerError as error:
        sys.stderr.write(f"{error}; {error.hint}\n")
        return 2
    except ConformanceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{name} conforms\n")
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m pricing.testing.conformance",
        description="Check an installed pricing policy against the rules that every policy must keep.",
        epilog="the rules are:\n" + "\n".join(f"  {name}" for name in RULES) + _CODES,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "policy", metavar="NAME:key=value,…", help="the policy with its parameters, as --policy of `tollbook demo`"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="draw other usages and labels (0)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
