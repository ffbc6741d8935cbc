"""Addresses of EVM chains in any spelling, where the command line asks for one: wallets and explorers paste them in
lower case, and a log has them as EIP-55 spells them.

What a log has a name for is that name, whatever it looks like: only a name that it does not have is tried as an
address. Other names are found in their own spelling alone: "Alice" is not "alice". The ledger itself knows nothing of
this (a name is a name there); callers from Python have `chains.evm.addresses.address`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from chains.leaves import checksummed

_ADDRESS = re.compile(r"0[xX]([0-9a-fA-F]{40})")
_IN_ASSET = re.compile(r"(?<=/erc20:)0[xX][0-9a-fA-F]{40}\Z")


def as_known(name: str, is_known: Callable[[str], bool]) -> str:
    """The name as the log has it: itself, or the same address as EIP-55 spells it; else itself."""
    found = _ADDRESS.fullmatch(name)
    if found is None or is_known(name):
        return name
    spelled = f"0x{checksummed(found[1])}"
    return spelled if is_known(spelled) else name


def asset_as_known(name: str, is_known: Callable[[str], bool]) -> str:
    """The same for an asset: the address of its token."""
    if is_known(name):
        return name
    spelled = _IN_ASSET.sub(lambda found: f"0x{checksummed(found[0][2:])}", name)
    return spelled if is_known(spelled) else name
