"""Finds the name in a log that is the same EVM address in another spelling.

Wallets and explorers give addresses in lower case, chains in the spelling of EIP-55, and a log has the spelling of its
writer. A name that the log has is taken as it is, and only another one is compared as an address. Other names match in
their own spelling alone: "Alice" is not "alice". The ledger itself compares names as text; callers from Python have
`chains.evm.addresses.address`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from .errors import UsageError

_ADDRESS = re.compile(r"(?:0[xX]|.*/erc20:0[xX])[0-9a-fA-F]{40}", re.DOTALL)
_DIGITS = 42  # including 0x


def as_known(name: str, is_known: Callable[[str], bool], names: Callable[[], Iterable[str]]) -> str:
    """Return the log's spelling of a name: the name itself, or the one name that is the same address (of an asset: the
    same token). A name that the log lacks is returned as it is. `names` yields all names of the log, on demand.

    Raises UsageError if several names of the log are that address: they are different accounts.
    """
    if is_known(name) or not _ADDRESS.fullmatch(name):
        return name
    matches = sorted({other for other in names() if _ADDRESS.fullmatch(other) and _folded(other) == _folded(name)})
    if len(matches) > 1:
        message = f"the log has {name} in {len(matches)} spellings, each a name of its own: {', '.join(matches)}"
        raise UsageError(message, "give one of them exactly as it is spelled there")
    return matches[0] if matches else name


def _folded(name: str) -> str:
    """Return one text for all spellings of an address, or of an asset that ends with one."""
    return name[:-_DIGITS] + name[-_DIGITS:].lower()
