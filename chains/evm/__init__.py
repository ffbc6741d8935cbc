"""Settlement on EVM chains: the contract `UsageSettlement` and the plugin that uses it. See README.md.

Commitments and names need no Ethereum library. Modules that use a node need the extra `evm`.
"""

from .plugin import EvmPlugin

__all__ = ["EvmPlugin"]
