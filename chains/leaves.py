"""Leaves as a chain has them: their ABI encoding, their hash, and the key of their account.

The encoder has the four kinds of types that leaves and digests need, so that this needs no Ethereum library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from eth_hash.auto import keccak as _keccak

from ledger.events import Leaf

LeafTypes: TypeAlias = tuple[str, str, str, str]
"""The ABI types of a leaf's subscriber, plan, charged and credited."""

TEXT_LEAF: LeafTypes = ("string", "string", "uint256", "uint256")
"""Leaves of chains on which subscribers and plans have any names."""

EVM_LEAF: LeafTypes = ("address", "uint256", "uint128", "uint128")
"""Leaves of EVM chains: subscribers are addresses, plans the numbers that their contract gave them."""

WORD = 32
"""The length of an ABI word and of a hash, in bytes."""

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_WHOLE = re.compile(r"[0-9]{1,78}|0x[0-9a-fA-F]{1,64}")
_WHOLE_TYPE = re.compile(r"u?int([0-9]{1,3})")


def keccak(data: bytes) -> bytes:
    """Return Ethereum's Keccak-256 of the data, 32 bytes. It is not SHA3-256, which pads differently."""
    return _keccak(data)


def leaf_hash(leaf: Leaf, types: LeafTypes) -> bytes:
    """Return OpenZeppelin's standard leaf hash: hashed twice, so that no inner node of a tree can pass for a leaf.

    Raises ValueError if the leaf does not fit its types.
    """
    return keccak(keccak(abi_encode(types, (leaf.subscriber, leaf.plan, leaf.charged, leaf.credited))))


def account_key(subscriber: str, plan: str, types: LeafTypes) -> bytes:
    """Return the ABI encoding of an account: the same for all spellings of one address or number, different otherwise.

    Raises ValueError if no leaf of those types can name the subscriber or the plan.
    """
    return abi_encode(types[:2], (subscriber, plan))


def check_unique(leaves: Iterable[Leaf], types: LeafTypes) -> None:
    """Raise ValueError if two leaves are of one account, in any spelling, or if one names no account."""
    seen: dict[bytes, Leaf] = {}
    for leaf in leaves:
        key = account_key(leaf.subscriber, leaf.plan, types)
        if first := seen.get(key):
            named = (f"{one.subscriber!r} on {one.plan!r}" for one in (first, leaf))
            raise ValueError(f"an account has two leaves: {' and '.join(named)}")
        seen[key] = leaf


def abi_encode(types: Sequence[str], values: Sequence[str | int | bytes]) -> bytes:
    """Return Solidity's `abi.encode` of values of the types string, address, bytes32, uintN and intN.

    A string is any text, an address 0x and 40 hex digits, a number an int or its text in decimal or 0x hex. Raises
    ValueError for a value that its type cannot hold, and for another type.
    """
    heads: list[bytes] = []
    tails: list[bytes] = []
    offset = WORD * len(types)
    for kind, value in zip(types, values, strict=True):
        if kind == "string":
            heads.append(offset.to_bytes(WORD, "big"))
            tails.append(_string(value))
            offset += len(tails[-1])
        else:
            heads.append(_word(kind, value))
    return b"".join(heads + tails)


def _string(value: str | int | bytes) -> bytes:
    """Return the tail of a string: its length in bytes, then the bytes, padded to whole words."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    try:
        text = value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{value!r} is not text that UTF-8 can hold") from None
    return len(text).to_bytes(WORD, "big") + text + bytes(-len(text) % WORD)


def _word(kind: str, value: str | int | bytes) -> bytes:
    if kind == "address":
        return _address(value).rjust(WORD, b"\0")
    if kind == "bytes32":
        if not isinstance(value, bytes) or len(value) != WORD:
            raise ValueError(f"{value!r} is not {WORD} bytes")
        return value
    return _whole(kind, value)


def _address(value: str | int | bytes) -> bytes:
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise ValueError(f"{value!r} is not an address: 0x and 40 hex digits")
    digits = value[2:]
    if digits not in (digits.lower(), digits.upper(), checksummed(digits)):
        raise ValueError(f"{value!r} has a wrong checksum (EIP-55): a letter is mistyped, or in the wrong case")
    return bytes.fromhex(digits)


def checksummed(digits: str) -> str:
    """Return an address's hex digits in the case that EIP-55 gives them: upper where the digit of the hash is 8 or
    more."""
    low = digits.lower()
    return "".join(
        digit.upper() if int(mark, 16) >= 8 else digit
        for digit, mark in zip(low, keccak(low.encode()).hex(), strict=False)
    )


def _whole(kind: str, value: str | int | bytes) -> bytes:
    """Return a whole number in one word, two's complement where the type is signed."""
    match = _WHOLE_TYPE.fullmatch(kind)
    bits = int(match[1]) if match else 0
    if not 8 <= bits <= 256 or bits % 8:
        raise ValueError(f"{kind!r} is not a type that this encoder has: string, address, bytes32, uintN or intN")
    if isinstance(value, str):
        if not _WHOLE.fullmatch(value):
            raise ValueError(f"{value!r} is not a number that fits {kind}: decimal digits, or 0x and hex digits")
        value = int(value, 16 if value.startswith("0x") else 10)
    if type(value) is not int:
        raise ValueError(f"{value!r} is not a whole number")
    signed = not kind.startswith("u")
    lowest, highest = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if not lowest <= value <= highest:
        raise ValueError(f"{value} does not fit {kind}")
    return value.to_bytes(WORD, "big", signed=signed)
