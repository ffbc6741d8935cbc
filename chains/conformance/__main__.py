"""`python -m chains.conformance MODULE:BENCH [RULE]…`: 0 if the chain conforms, 1 if not, 2 if none was tried."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from . import RULES, ConformanceError, check


def main(arguments: Sequence[str]) -> int:
    """Try the bench that is named: a class without arguments, or any function that gives one."""
    place, *names = arguments or [""]
    module, _, attribute = place.partition(":")
    if not module or not attribute or any(name not in RULES for name in names):
        sys.stderr.write("usage: python -m chains.conformance MODULE:BENCH [RULE]…\nthe rules are:\n")
        sys.stderr.writelines(f"  {name}\n" for name in RULES)
        return 2
    try:
        bench = getattr(import_module(module), attribute)()
    except (ImportError, AttributeError) as error:
        sys.stderr.write(f"there is no bench {place}: {error}\n")
        return 2
    try:
        untried = check(bench, *names)
    except ConformanceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for rule, reason in untried:
        sys.stdout.write(f"not tried: {rule}: {reason}\n")
    sys.stdout.write(f"{place} conforms\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
