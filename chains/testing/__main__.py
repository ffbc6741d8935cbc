"""Check a chain. Exit code 0 if it conforms, 1 if not, 2 if it could not be tried.

python -m chains.testing MODULE:HARNESS [RULE]…                                    # the conformance rules
python -m chains.testing MODULE:HARNESS --differential [--seed N --walks N --steps N]   # beside the mock chain
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from importlib import import_module
from traceback import format_exception

from . import RULES, Harness, Outcome, UnusableHarness, outcomes
from .availability import require_usable
from .differential import DifferenceFound, compare
from .run import no_rule


def main(arguments: Sequence[str]) -> int:
    """Try the named harness, and return the exit code. The name is of a class or function without arguments."""
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as end:
        return 2 if end.code else 0
    if unknown := [name for name in options.rules if name not in RULES]:
        for name in unknown:
            sys.stderr.write(f"{no_rule(name)}\n")
        sys.stderr.write("--help lists all rules\n")
        return 2
    try:
        harness = _harness(options.harness)
        if options.differential:
            return _differential(harness, options)
        ends = [_report(end, options.traceback) for end in outcomes(harness, *options.rules)]
    except UnusableHarness as error:
        _trace(error.__cause__, options.traceback)
        sys.stderr.write(f"{options.harness}: {error}\n")
        return 2
    return _sum_up(options.harness, ends)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m chains.testing",
        description="Try a chain against the rules that every chain must keep.",
        epilog="the rules are:\n" + "\n".join(f"  {name}" for name in RULES),
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("harness", metavar="MODULE:HARNESS", help="a harness's class, or a function that returns one")
    parser.add_argument("rules", metavar="RULE", nargs="*", help="only these rules, each by its whole name in quotes")
    parser.add_argument("--differential", action="store_true", help="compare random steps with the mock chain's")
    for name, default, help in (
        ("seed", 0, "the first walk's seed"),
        ("walks", 5, "number of walks"),
        ("steps", 40, "steps of each walk"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{help} ({default})")
    parser.add_argument("-v", "--traceback", action="store_true", help="show where the chain or the harness raised")
    return parser


def _differential(harness: Harness, options: Namespace) -> int:
    """Run the differential test, and return the exit code. Raises UnusableHarness."""
    require_usable(harness, installed=False)
    try:
        done = compare(harness, seed=options.seed, walks=options.walks, steps=options.steps)
    except DifferenceFound as error:
        sys.stderr.write(f"{options.harness} differs from the mock chain: {error}\n")
        return 1
    except ValueError as error:
        raise UnusableHarness(str(error)) from error
    for action in done.lacking:
        sys.stdout.write(f"not tried: {action}: the harness lacks a method for it\n")
    sys.stdout.write(f"{options.harness} does what the mock chain does: {done.steps} steps\n")
    return 0


def _harness(path: str) -> Harness:
    """Return the harness of that name. Raises UnusableHarness if there is none."""
    module, _, attribute = path.partition(":")
    if not module or not attribute:
        raise UnusableHarness("this names no harness; write MODULE:HARNESS, such as my_package.harness:MyHarness")
    try:
        make = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UnusableHarness(f"there is no such harness: {error}; correct the name, or install its package") from error
    except Exception as error:
        raise UnusableHarness(f"{module} cannot be imported: {type(error).__name__}: {error}; see -v") from error
    if not callable(make):
        raise UnusableHarness(f"{attribute} is no class or function; name one that returns a harness without arguments")
    try:
        harness: Harness = make()
    except Exception as error:
        what = f"making it raised {type(error).__name__}: {error}"
        raise UnusableHarness(f"{what}; name a class or function that needs no arguments, and see -v") from error
    return harness


def _report(end: Outcome, traceback: bool) -> Outcome:
    for found in end.found:
        sys.stderr.write(f"broken: {end.rule}: {found}\n")
    _trace(end.error, traceback)
    return end


def _trace(error: BaseException | None, wanted: bool) -> None:
    if wanted and error is not None:
        sys.stderr.writelines(format_exception(error))


def _sum_up(harness: str, ends: Sequence[Outcome]) -> int:
    broken, untried = [end for end in ends if end.found], [end for end in ends if end.lacking]
    for end in untried:
        sys.stdout.write(f"not tried: {end.rule}: {end.lacking}\n")
    parts = [f"{len(ends) - len(broken) - len(untried)} of {len(ends)} rules kept"]
    parts += [f"{len(some)} {kind}" for some, kind in ((broken, "broken"), (untried, "not tried")) if some]
    verdict = "does not conform" if broken else "conforms in what was tried" if untried else "conforms"
    sys.stdout.write(f"{harness} {verdict}: {', '.join(parts)}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
