"""Settlement on EVM chains: contracts, a node's client, and the plugin for chains called `eip155:…`.

Nothing here imports web3 until it is used: it comes with the extra `evm`.
"""
