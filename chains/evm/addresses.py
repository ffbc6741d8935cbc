"""Names on EVM chains, each with one canonical spelling, so that one subscriber never has two accounts.

chain     eip155:8453                                      CAIP-2
address   0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed        EIP-55: a subscriber, a receiver, a contract
plan      0x and 64 lower-case hex digits                  the plan's id on the contract
asset     eip155:8453/erc20:0x…, eip155:8453/slip44:60     CAIP-19: a token, the chain's own coin
"""

from __future__ import annotations

import re

from ..leaves import checksummed

NAMESPACE = "eip155"

COIN = "0x0000000000000000000000000000000000000000"
"""The token address that means the chain's own coin."""

_SLIP44 = "slip44:60"
_CHAIN = re.compile(rf"{NAMESPACE}:([1-9][0-9]{{0,19}})")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_PLAN = re.compile(r"0x[0-9a-f]{64}")


def chain_name(chain_id: int) -> str:
    """Return the CAIP-2 name of a chain."""
    return f"{NAMESPACE}:{chain_id}"


def chain_id(chain: str) -> int:
    """Return the id of a chain from its CAIP-2 name. Raises ValueError for any other name."""
    match = _CHAIN.fullmatch(chain)
    if match is None:
        raise ValueError(f"{chain!r} is not the name of an EVM chain: {NAMESPACE}: and its number")
    return int(match[1])


def address(text: str) -> str:
    """Return the EIP-55 spelling of an address in any spelling. Raises ValueError for anything else, or a wrong
    checksum."""
    if not isinstance(text, str) or not _ADDRESS.fullmatch(text):
        raise ValueError(f"{text!r} is not an address: 0x and 40 hex digits")
    digits = text[2:]
    spelled = checksummed(digits)
    if digits not in (digits.lower(), digits.upper(), spelled):
        raise ValueError(f"{text!r} has a wrong checksum (EIP-55): a letter is mistyped, or in the wrong case")
    return f"0x{spelled}"


def check_address(text: str) -> None:
    """Raise ValueError for anything but an address in its EIP-55 spelling."""
    if (spelled := address(text)) != text:
        raise ValueError(f"{text!r} is not how that address is spelled here: write {spelled} (EIP-55)")


def plan_name(plan_id: int) -> str:
    """Return the name of a plan of the contract in the ledger (its `onchain_id`) and in leaves."""
    return f"0x{plan_id:064x}"


def plan_id(name: str) -> int:
    """Return a plan's id on the contract from its name. Raises ValueError for any other spelling."""
    if not isinstance(name, str) or not _PLAN.fullmatch(name):
        raise ValueError(f"{name!r} is not a plan of the contract: its id is 0x and 64 lower-case hex digits")
    return int(name, 16)


def asset_name(chain: str, token: str) -> str:
    """Return the CAIP-19 name of the token at an address; of the chain's own coin for the address 0."""
    return f"{chain}/{_SLIP44}" if int(token, 16) == 0 else f"{chain}/erc20:{address(token)}"


def token(asset: str) -> str:
    """Return the address of an asset's token, `COIN` for a chain's own coin. Raises ValueError for any other asset."""
    chain, _, name = asset.partition("/")
    kind, _, contract = name.partition(":")
    chain_id(chain)
    if name == _SLIP44:
        return COIN
    if kind != "erc20" or address(contract) != contract or contract == COIN:
        raise ValueError(
            f"{asset!r} is no asset on an EVM chain: write {chain}/erc20:0x… (EIP-55) or {chain}/{_SLIP44}"
        )
    return contract
