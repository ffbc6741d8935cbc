"""What a bench must have before any rule is worth trying, said in one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ledger.errors import LedgerError, UnknownPlugin
from ledger.plugins import ChainPlugin, chain_plugin

from .harness import Bench, Elsewhere

_ATTRIBUTES = ("plugin", "subscribers", "plans", "receivers", "asset", "elsewhere")
_METHODS = ("fresh", "again", "now", "purchase", "mine", "pass_time", "paid")
_PLUGIN = tuple(name for name in vars(ChainPlugin) if not name.startswith("_"))


class UnusableBench(ValueError):
    """The bench or its chain is not ready, so that no rule would say anything of it. The message says what to do."""


def require_usable(bench: Bench, *, installed: bool) -> None:
    """Raises UnusableBench for what can be seen of a bench without a chain; `installed`: its plugin must be, too."""
    for look in (_kind, _lacking, _parts, _names, *([_not_installed] if installed else [])):
        for wrong in look(bench):  # what one finds, the next need not be ready for
            raise UnusableBench(f"the bench cannot be used: {wrong}")


def _kind(bench: Bench) -> Iterator[str]:
    if isinstance(bench, type):
        yield f"{bench.__name__} is a class; make one of it: {bench.__name__}()"
    elif Bench not in type(bench).__mro__:
        yield f"a {type(bench).__name__} is no Bench; subclass chains.testing.Bench"


def _lacking(bench: Bench) -> Iterator[str]:
    name = type(bench).__name__
    if lacking := [each for each in _ATTRIBUTES if not hasattr(bench, each)]:
        yield f"{name} lacks {_listed(lacking)}; set what chains/README.md says of the bench"
    if lacking := [each for each in _METHODS if getattr(type(bench), each) is getattr(Bench, each)]:
        yield f"{name} lacks {_listed(f'{each}()' for each in lacking)}; write what chains/README.md says of the bench"


def _parts(bench: Bench) -> Iterator[str]:
    if lacking := [each for each in Elsewhere._fields if not hasattr(bench.elsewhere, each)]:
        yield f"`elsewhere` lacks {_listed(lacking)}; set it to Elsewhere(chain, contract, asset)"
    if lacking := [each for each in _PLUGIN if not hasattr(bench.plugin, each)]:
        yield f"its plugin lacks {_listed(lacking)}; set `plugin` to an object like ledger.plugins.ChainPlugin"


def _names(bench: Bench) -> Iterator[str]:
    for each in ("subscribers", "plans", "receivers"):
        names = getattr(bench, each)
        if isinstance(names, str) or not isinstance(names, Sequence) or len(set(names)) < max(len(names), 2):
            yield f"`{each}` is {names!r}; name two or more, all different"
    if bench.asset == bench.elsewhere.asset:
        yield f"`asset` and `elsewhere.asset` are both {bench.asset!r}; name two different ones"


def _not_installed(bench: Bench) -> Iterator[str]:
    try:
        chain_plugin(bench.elsewhere.chain)
    except UnknownPlugin as error:
        yield (
            f"{error}, for a ledger to find; install the plugin's package into this environment (`pip install -e .`),"
            " with an entry point in the group tollbook.chains"
        )
    except LedgerError as error:
        yield f"{error}; {error.hint}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
