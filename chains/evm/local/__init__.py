"""Local chains with funded accounts, for tests and demonstrations.

    from chains.evm.local import local_chain

    with local_chain() as chain:                  # anvil where it is installed, else eth-tester in this process
        node = chain.node()
        operator = chain.accounts[0].key          # a published key: never use it elsewhere
        chain.mine(3)

Both kinds are nodes over HTTP with the same answers. They mine each transaction when it arrives, with `automine=False`
on request. eth-tester (pure Python, from PyPI) is some ten times slower than anvil.
"""

from __future__ import annotations

from typing import Any, Literal

from .chain import CHAIN_ID, DEV_ACCOUNTS, MINED_SECONDS, DevAccount, LocalChain

__all__ = ["CHAIN_ID", "DEV_ACCOUNTS", "MINED_SECONDS", "DevAccount", "LocalChain", "local_chain"]


def local_chain(kind: Literal["anvil", "eth-tester"] | None = None, **options: Any) -> LocalChain:  # noqa: ANN401
    """Return a new chain of that kind; without a kind, anvil if it is installed, else eth-tester. `options` are those
    of its class.

    Raises ChainUnavailable if anvil was asked for and is not installed, MissingExtra if eth-tester is not.
    """
    from .anvil import Anvil, find_anvil

    if kind == "anvil" or (kind is None and find_anvil() is not None):
        return Anvil(**options)
    from .tester import Tester

    return Tester(**options)
