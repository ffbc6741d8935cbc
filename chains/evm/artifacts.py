"""The compiled contracts, as they are checked in: running them needs no compiler."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec


class Immutable(msgspec.Struct, frozen=True):
    """The position, in bytes, of a value in the runtime code that is set at deployment."""

    start: int
    length: int


class Artifact(msgspec.Struct, frozen=True):
    """A contract's interface (ABI), its creation and runtime code (0x hex), and what it was compiled with."""

    name: str
    compiler: str
    settings: dict[str, Any]
    abi: list[dict[str, Any]]
    bytecode: str
    runtime: str
    immutables: tuple[Immutable, ...]

    def is_code(self, code: bytes) -> bool:
        """Return True if code that stands on a chain is this contract's, whatever was set at its deployment."""
        return self._masked(code) == self._masked(bytes.fromhex(self.runtime[2:]))

    def _masked(self, code: bytes) -> bytes:
        masked = bytearray(code)
        for each in self.immutables:
            masked[each.start : each.start + each.length] = bytes(each.length)
        return bytes(masked)


@cache
def load(name: str) -> Artifact:
    """Return the artifact of `UsageSettlement` or `TestToken`."""
    data = files(__package__).joinpath("artifacts", f"{name}.json").read_bytes()
    return msgspec.json.decode(data, type=Artifact)
