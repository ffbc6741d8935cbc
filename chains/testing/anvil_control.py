"""Control over an anvil that only tests of the EVM room need: base fees, balances, nonces and other accounts' keys."""

from __future__ import annotations

from ..evm.local import LocalChain
from ..evm.local.anvil import Anvil


def set_base_fee(chain: LocalChain, wei: int) -> None:
    """Set the next block's base fee."""
    chain.ask("anvil_setNextBlockBaseFeePerGas", hex(wei))


def set_balance(chain: LocalChain, address: str, wei: int) -> None:
    """Set an address's balance of the native coin."""
    chain.ask("anvil_setBalance", address, hex(wei))


def set_nonce(anvil: Anvil, address: str, nonce: int) -> None:
    """Set the nonce of an address's next transaction."""
    anvil.ask("anvil_setNonce", address, hex(nonce))


def impersonate(anvil: Anvil, address: str) -> None:
    """Accept unsigned transactions of an address (`eth_sendTransaction`) from now on."""
    anvil.ask("anvil_impersonateAccount", address)
