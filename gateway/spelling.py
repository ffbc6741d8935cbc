"""Addresses of EVM chains in any spelling, where the command line asks for one: wallets and explorers paste them in
lower case, chains spell them as EIP-55 says, and a log has them as whoever wrote it did.

What a log has a name for is that name, whatever it looks like: only a name that it does not have is tried as an
address. Other names are found in their own spelling alone: "Alice" is not "alice". The ledger itself knows nothing of
this (a name is a name there); callers from Python have `chains.evm.addresses.address`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from .errors import UsageError

_ADDRESS = re.compile(r"(?:0[xX]|.*/erc20:0[xX])[0-9a-fA-F]{40}", re.DOTALL)
_DIGITS = 42  # with the 0x before them


def as_known(name: str, is_known: Callable[[str], bool], names: Callable[[], Iterable[str]]) -> str:
    """The name as the log has it: itself, or the one name that is the same address (of an asset: has the same token);
    else itself. `names` are all that the log has, asked for only where they are needed.

    Raises UsageError where several names of the log are that address: they are different accounts.
    """
    if is_known(name) or not _ADDRESS.fullmatch(name):
        return name
    found = sorted({each for each in names() if _ADDRESS.fullmatch(each) and _one(each) == _one(name)})
    if len(found) > 1:
        message = f"the log has {name} in {len(found)} spellings, each a name of its own: {', '.join(found)}"
        raise UsageError(message, "give one of them exactly as it is spelled there")
    return found[0] if found else name


def _one(name: str) -> str:
    """The same text for all spellings of an address, and of an asset that ends with one."""
    return name[:-_DIGITS] + name[-_DIGITS:].lower()
