"""Settlement on EVM chains: the contract `UsageSettlement` and the plugin that uses it. See README.md.

Sealing and naming need no Ethereum library. What speaks to a node (`chain`, `wallet`, `local`) needs the extra `evm`.
"""

from .plugin import EvmPlugin

__all__ = ["EvmPlugin"]
