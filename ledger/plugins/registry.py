"""The registries of plugins: found by entry point when a name is first asked for, loaded through pluggy."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Generic, TypeAlias, TypeVar

import pluggy

from .. import forking
from ..errors import LedgerError, UnknownPlugin
from ..events import ContractRef
from .pricing import PolicyFactory
from .protocols import Chain, ChainPlugin, StoreFactory

F = TypeVar("F")
Register: TypeAlias = Callable[[str, F], None]

hookspec = pluggy.HookspecMarker("tollbook")
hookimpl = pluggy.HookimplMarker("tollbook")


class Hooks:
    """The hooks that a plugin module may implement."""

    @hookspec
    def register_policies(self, register: Register[PolicyFactory]) -> None:
        """Call `register(name, factory)` for each pricing policy."""

    @hookspec
    def register_chains(self, register: Register[ChainPlugin]) -> None:
        """Call `register(namespace, plugin)` for each kind of chain."""

    @hookspec
    def register_stores(self, register: Register[StoreFactory]) -> None:
        """Call `register(name, factory)` for each store."""


class Registry(Generic[F]):
    """The plugins of one kind, by name, loaded on first use."""

    def __init__(self, kind: str, group: str, hook: str) -> None:
        self.kind, self.group, self._hook = kind, group, hook
        self._installed: dict[str, F] | None = None

    def register(self, name: str, factory: F) -> None:
        """Register a plugin in code, beside those that are installed. Raise LedgerError for a name that is taken."""
        _register(self._load(), self.kind, name, factory)

    def get(self, name: str) -> F:
        """Return the factory of that name. Raise UnknownPlugin if none is installed."""
        installed = self._load()
        if name not in installed:
            raise UnknownPlugin(f"there is no {self.kind} {name!r}", f"installed are: {', '.join(sorted(installed))}")
        return installed[name]

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._load())

    def _load(self) -> dict[str, F]:
        if self._installed is None:
            with forking.loading:
                self._installed = self._find()
        return self._installed

    def _find(self) -> dict[str, F]:
        if self._installed is None:
            # pluggy takes only the first of two entry points of one name, and says nothing: look for that ourselves.
            points = Counter(point.name for point in entry_points(group=self.group))
            if twice := [name for name, times in points.items() if times > 1]:
                raise LedgerError(f"two plugins in {self.group} are called {twice[0]!r}", "uninstall one of them")
            installed: dict[str, F] = {}
            for point in entry_points(group=self.group):
                try:
                    self._collect(point.name, point.load(), installed)
                except LedgerError:
                    raise
                except Exception as error:
                    message = f"the plugin {point.name!r} of {self.group} cannot be loaded: {error!r}"
                    raise LedgerError(message, f"repair or uninstall the package that has {point.value}") from error
            return installed
        return self._installed

    def _collect(self, name: str, plugin: object, installed: dict[str, F]) -> None:
        manager = pluggy.PluginManager("tollbook")
        manager.add_hookspecs(Hooks)
        manager.register(plugin, name)
        manager.check_pending()
        getattr(manager.hook, self._hook)(register=lambda name, factory: _register(installed, self.kind, name, factory))


def _register(installed: dict[str, F], kind: str, name: str, factory: F) -> None:
    if not re.fullmatch("[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise LedgerError(f"{name!r} cannot name a {kind}", "use letters, digits, `_`, `.` and `-`")
    if name in installed:
        raise LedgerError(f"a {kind} {name!r} is registered twice", "uninstall one of the two packages")
    installed[name] = factory


policies: Registry[PolicyFactory] = Registry("pricing policy", "tollbook.pricing", "register_policies")
stores: Registry[StoreFactory] = Registry("store", "tollbook.stores", "register_stores")
chains: Registry[ChainPlugin] = Registry("chain", "tollbook.chains", "register_chains")


def contract_of(chain: Chain) -> ContractRef:
    """Return which contract a connection is to."""
    return ContractRef(chain.name, chain.contract)


def chain_plugin(chain: str) -> ChainPlugin:
    """Return the plugin of a chain's CAIP-2 name. Raise UnknownPlugin if none is installed."""
    return chains.get(chain.partition(":")[0])
