"""The protocols of pricing policies (`pricing`), of stores and chains (`protocols`), and their registries (`registry`).

Plugins are found by entry point (groups `tollbook.pricing`, `tollbook.chains`, `tollbook.stores`) when a name is first
asked for. An entry point names a module with one hook, `register_policies(register)`, `register_chains(register)` or
`register_stores(register)`, that calls `register(name, factory)` for each plugin. After that, plugins are called
directly: a pluggy call costs about 2 µs, so it stays off the hot path. The built-ins are registered in the same way.

A plugin that cannot be loaded, or whose name is taken, harms no other (`discovery`): it is warned of once
(PluginWarning), `tollbook plugins` lists it, and using it raises PluginFailed.

    from ledger.plugins import hookimpl

    @hookimpl
    def register_policies(register):
        register("flat", Flat)
"""

from .discovery import Failure as Failure
from .discovery import Hooks as Hooks
from .discovery import Origin as Origin
from .discovery import Register as Register
from .discovery import hookimpl as hookimpl
from .discovery import hookspec as hookspec
from .pricing import DecimalFactory as DecimalFactory
from .pricing import DerivablePolicy as DerivablePolicy
from .pricing import ExactPolicy as ExactPolicy
from .pricing import PeakingPolicy as PeakingPolicy
from .pricing import Policy as Policy
from .pricing import PolicyFactory as PolicyFactory
from .pricing import Price as Price
from .pricing import ReadingPolicy as ReadingPolicy
from .pricing import Scope as Scope
from .pricing import SharingPolicy as SharingPolicy
from .protocols import AssetReader as AssetReader
from .protocols import Chain as Chain
from .protocols import ChainPlugin as ChainPlugin
from .protocols import HoldingStore as HoldingStore
from .protocols import IndexKeeper as IndexKeeper
from .protocols import KeyKeeper as KeyKeeper
from .protocols import LogReader as LogReader
from .protocols import PausingStore as PausingStore
from .protocols import ReadableStore as ReadableStore
from .protocols import Store as Store
from .protocols import StoreFactory as StoreFactory
from .registry import PluginWarning as PluginWarning
from .registry import Registry as Registry
from .registry import chain_plugin as chain_plugin
from .registry import chains as chains
from .registry import contract_of as contract_of
from .registry import policies as policies
from .registry import stores as stores
