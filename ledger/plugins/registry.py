"""The registries of plugins: found by entry point when a name is first asked for, each name once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Generic, TypeVar

from .. import forking
from ..errors import LedgerError, PluginFailed, UnknownPlugin
from ..events import ContractRef
from .discovery import Failure, Found, Origin, find, unsuitable
from .pricing import PolicyFactory
from .protocols import Chain, ChainPlugin, StoreFactory

F = TypeVar("F")

_LISTED = "`tollbook plugins` lists what is installed"


class PluginWarning(UserWarning):
    """A plugin that is installed cannot be used; all others can. `hint` says what to do."""

    hint = f"repair or uninstall its package; {_LISTED}"


class Registry(Generic[F]):
    """The plugins of one kind, by name, loaded on first use. `fits` says whether an object can be one of them."""

    def __init__(self, kind: str, group: str, hook: str, fits: Callable[[object], bool] = callable) -> None:
        self.kind, self.group, self._hook, self._fits = kind, group, hook, fits
        self._found: Found[F] | None = None

    def register(self, name: str, factory: F) -> None:
        """Register a plugin in code, beside those that are installed. Raise LedgerError for a name that is taken, and
        for what cannot be a plugin."""
        found = self._load()
        if reason := unsuitable(self.kind, name, factory, self._fits):
            raise LedgerError(reason, "correct what is registered")
        if name in found.factories:
            raise LedgerError(f"a {self.kind} {name!r} is registered twice", f"choose another name; {_LISTED}")
        found.factories[name], found.origins[name] = factory, Origin()

    def get(self, name: str) -> F:
        """Return the factory of that name. Raise PluginFailed, from the cause, if it is installed and cannot be used;
        UnknownPlugin if none is installed."""
        found = self._load()
        if name in found.factories:
            return found.factories[name]
        for each in found.failures:
            if name in each.names or (not each.names and name == each.origin.point):
                message = f"the {self.kind} {name!r} of {each.origin} cannot be used: {each.reason}"
                raise PluginFailed(message) from each.error
        failed = "; ".join(f"{_named(each)}: {each.reason}" for each in found.failures if not each.names)
        message = f"there is no {self.kind} {name!r}" + (f" (not loaded: {failed})" if failed else "")
        raise UnknownPlugin(message, f"installed are: {', '.join(sorted(found.factories)) or 'none'}")

    def names(self) -> list[str]:
        """Return all names that can be used, sorted."""
        return sorted(self._load().factories)

    def origins(self) -> dict[str, Origin]:
        """Return where each plugin comes from, by its name, sorted."""
        return dict(sorted(self._load().origins.items()))

    def failures(self) -> list[Failure]:
        """Return what is installed and cannot be used."""
        return list(self._load().failures)

    def _load(self) -> Found[F]:
        if self._found is None:
            with forking.loading:
                if self._found is None:
                    self._found = find(self.kind, self.group, self._hook, self._fits)
                    for each in self._found.failures:
                        message = f"the plugin {_named(each)} cannot be used as a {self.kind}: {each.reason}"
                        warnings.warn(PluginWarning(message), stacklevel=4)
        return self._found


def _named(failure: Failure) -> str:
    named = ", ".join(failure.names) or failure.origin.point
    return f"{named} of {failure.origin}" if named else str(failure.origin)


policies: Registry[PolicyFactory] = Registry("pricing policy", "tollbook.pricing", "register_policies")
stores: Registry[StoreFactory] = Registry("store", "tollbook.stores", "register_stores")
chains: Registry[ChainPlugin] = Registry(
    "chain", "tollbook.chains", "register_chains", lambda plugin: isinstance(plugin, ChainPlugin)
)


def contract_of(chain: Chain) -> ContractRef:
    """Return which contract a connection is to."""
    return ContractRef(chain.name, chain.contract)


def chain_plugin(chain: str) -> ChainPlugin:
    """Return the plugin of a chain's CAIP-2 name. Raise PluginFailed or UnknownPlugin if none can be used."""
    return chains.get(chain.partition(":")[0])
