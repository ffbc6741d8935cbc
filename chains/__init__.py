"""Settlement: earned money is paid out on a chain, exactly once.

    from chains import Outbox, Watcher
    from ledger import ContractRef
    from ledger.plugins import chain_plugin

    chain = chain_plugin("mock:local").connect(ContractRef("mock:local", "tollbook"), where="toll.db.mock")
    Watcher(ledger, chain).sync()        # purchases and exits on the chain become events
    Outbox(ledger, chain).settle()       # earnings since the last batch are sent as a new batch, and confirmed

A chain is a plugin: `ledger.plugins.Chain` says what it implements, `chains.testing` checks it, and README.md in
this room says how to write one. `mock` is a chain without a network, to test settlement with.
"""

from .evm import extra as _extra  # noqa: F401 - reads Python's recursion limit before a package of `evm` raises it
from .outbox import Outbox, Step
from .proofs import Proof, prove, verify
from .watcher import RejectedFact, Watcher, command_of

__all__ = ["Outbox", "Proof", "RejectedFact", "Step", "Watcher", "command_of", "prove", "verify"]
