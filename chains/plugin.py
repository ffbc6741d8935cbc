"""Registration of the built-in chains: the entry point `builtin` of the group `tollbook.chains`."""

from ledger.plugins import ChainPlugin, Register, hookimpl

from .evm import EvmPlugin
from .mock import MockPlugin


@hookimpl
def register_chains(register: Register[ChainPlugin]) -> None:
    """Register each built-in kind of chain under its namespace."""
    register("mock", MockPlugin())
    register("eip155", EvmPlugin())
