"""The protocols of pricing policies, stores and chains (`protocols`), and their registries (`registry`).

Plugins are found by entry point (groups `tollbook.pricing`, `tollbook.chains`, `tollbook.stores`) when a name is first
asked for. An entry point names a module with one hook, `register_policies(register)`, `register_chains(register)` or
`register_stores(register)`, that calls `register(name, factory)` for each plugin. After that, plugins are called
directly: a pluggy call costs about 2 µs, so it stays off the hot path. The built-ins are registered in the same way.

    from ledger.plugins import hookimpl

    @hookimpl
    def register_policies(register):
        register("flat", Flat)
"""

from .protocols import Chain as Chain
from .protocols import ChainPlugin as ChainPlugin
from .protocols import DerivablePolicy as DerivablePolicy
from .protocols import HoldingStore as HoldingStore
from .protocols import IndexKeeper as IndexKeeper
from .protocols import KeyKeeper as KeyKeeper
from .protocols import LogReader as LogReader
from .protocols import PausingStore as PausingStore
from .protocols import PeakingPolicy as PeakingPolicy
from .protocols import Policy as Policy
from .protocols import PolicyFactory as PolicyFactory
from .protocols import Price as Price
from .protocols import ReadableStore as ReadableStore
from .protocols import ReadingPolicy as ReadingPolicy
from .protocols import Scope as Scope
from .protocols import SharingPolicy as SharingPolicy
from .protocols import Store as Store
from .protocols import StoreFactory as StoreFactory
from .registry import Hooks as Hooks
from .registry import Register as Register
from .registry import Registry as Registry
from .registry import chain_plugin as chain_plugin
from .registry import chains as chains
from .registry import contract_of as contract_of
from .registry import hookimpl as hookimpl
from .registry import hookspec as hookspec
from .registry import policies as policies
from .registry import stores as stores
