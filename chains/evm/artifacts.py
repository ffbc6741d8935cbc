"""The compiled contracts, which are checked in: running them needs no compiler."""

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
    """A contract's interface (ABI), its creation and runtime code (0x hex), its compiler and settings."""

    name: str
    compiler: str
    settings: dict[str, Any]
    abi: list[dict[str, Any]]
    bytecode: str
    runtime: str
    immutables: tuple[Immutable, ...]

    def is_code(self, code: bytes) -> bool:
        """Return True if deployed code is this contract's, with any values of its immutables."""
        return self._masked(code) == self._masked(bytes.fromhex(self.runtime[2:]))

    def _masked(self, code: bytes) -> bytes:
        masked = bytearray(code)
        for immutable in self.immutables:
            masked[immutable.start : immutable.start + immutable.length] = bytes(immutable.length)
        return bytes(masked)


@cache
def load(name: str) -> Artifact:
    """Return the artifact of `UsageSettlement` or `TestToken`."""
    data = files(__package__).joinpath("artifacts", f"{name}.json").read_bytes()
    return msgspec.json.decode(data, type=Artifact)
