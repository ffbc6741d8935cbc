"""Checks of a harness before any rule is tried. Each finding is one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ledger.errors import LedgerError, UnknownPlugin
from ledger.plugins import ChainPlugin, chain_plugin

from .harness import Elsewhere, Harness

_ATTRIBUTES = ("plugin", "subscribers", "plans", "receivers", "asset", "elsewhere")
_METHODS = ("fresh", "again", "now", "purchase", "mine", "pass_time", "paid")
_PLUGIN = tuple(name for name in vars(ChainPlugin) if not name.startswith("_"))


class UnusableHarness(ValueError):
    """The harness or its chain is not ready, so that no rule can be tried. The message says what to do."""


def require_usable(harness: Harness, *, installed: bool) -> None:
    """Raise UnusableHarness for defects that are visible without a chain. `installed`: its plugin must be installed."""
    for find_defects in (_kind, _lacking, _parts, _names, *([_not_installed] if installed else [])):
        for defect in find_defects(harness):  # a check may rely on the ones before it
            raise UnusableHarness(f"the harness cannot be used: {defect}")


def _kind(harness: Harness) -> Iterator[str]:
    if isinstance(harness, type):
        yield f"{harness.__name__} is a class; make one of it: {harness.__name__}()"
    elif Harness not in type(harness).__mro__:
        yield f"a {type(harness).__name__} is no Harness; subclass chains.testing.Harness"


def _lacking(harness: Harness) -> Iterator[str]:
    name = type(harness).__name__
    if lacking := [each for each in _ATTRIBUTES if not hasattr(harness, each)]:
        yield f"{name} lacks {_listed(lacking)}; set it as chains/README.md describes"
    if lacking := [each for each in _METHODS if getattr(type(harness), each) is getattr(Harness, each)]:
        yield f"{name} lacks {_listed(f'{each}()' for each in lacking)}; write them as chains/README.md says"


def _parts(harness: Harness) -> Iterator[str]:
    if lacking := [each for each in Elsewhere._fields if not hasattr(harness.elsewhere, each)]:
        yield f"`elsewhere` lacks {_listed(lacking)}; set it to Elsewhere(chain, contract, asset)"
    if lacking := [each for each in _PLUGIN if not hasattr(harness.plugin, each)]:
        yield f"its plugin lacks {_listed(lacking)}; set `plugin` to an object like ledger.plugins.ChainPlugin"


def _names(harness: Harness) -> Iterator[str]:
    for each in ("subscribers", "plans", "receivers"):
        names = getattr(harness, each)
        if isinstance(names, str) or not isinstance(names, Sequence) or len(set(names)) < max(len(names), 2):
            yield f"`{each}` is {names!r}; name two or more, all different"
    if harness.asset == harness.elsewhere.asset:
        yield f"`asset` and `elsewhere.asset` are both {harness.asset!r}; name two different ones"


def _not_installed(harness: Harness) -> Iterator[str]:
    try:
        chain_plugin(harness.elsewhere.chain)
    except UnknownPlugin as error:
        yield (
            f"{error}, for a ledger to find; install the plugin's package into this environment (`pip install -e .`),"
            " with an entry point in the group tollbook.chains"
        )
    except LedgerError as error:
        yield f"{error}; {error.hint}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
