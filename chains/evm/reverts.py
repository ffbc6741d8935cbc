"""The reason for which a contract refused a call, decoded from the node's answer: `BatchExists(seq=3, digest=0x…)`.

Nodes return the bytes that the contract reverted with: its own error or a token's (EIP-6093), a text (`require` with a
message), or a compiler's panic. Each kind of node has its own format for them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from ..leaves import keccak
from .addresses import address, plan_name
from .artifacts import load

_SELECTOR = 4
_BARE = "reverted without a reason"
_HEX = re.compile(r"0x((?:[0-9a-fA-F]{2})*)")
_PYTHON_BYTES = re.compile(r"""execution reverted: (b'.*'|b".*")\Z""", re.DOTALL)
_NO_REASON = re.compile(r"""[^:]*revert[^:]*(: *(b''|b""|0x))?|0x|b''|""")
_PANICS = {
    0x01: "an assertion failed",
    0x11: "a number is too large, or below zero",
    0x12: "a division by zero",
    0x21: "a value outside its enum",
    0x32: "an index beyond the end of an array",
    0x41: "too much memory is allocated",
}
"""The meaning of Solidity's panic codes."""


class Revert(NamedTuple):
    """A contract's error: its name, and its arguments by name."""

    name: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={_shown(value)}" for name, value in self.arguments.items())
        return f"{self.name}({arguments})"


def reason(error: object, abi: Iterable[Mapping[str, Any]] | None = None) -> str:
    """Return why a call was refused, on one line.

    `error` is the exception of a web3 provider, the `error` of a JSON-RPC answer, or the bytes that a contract reverted
    with. `abi` has the known errors; the default is those of the contract and its test token. For an error that is not
    a revert, its own message is returned.
    """
    data = revert_data(error)
    if data is None:
        return " ".join(_message(error).split()) or type(error).__name__
    if not data:
        return _unexplained(error)
    revert = read(data, abi)
    if revert is None:
        return f"reverted with {_shown(data)}, an error of another contract"
    if revert.name == "Error":
        return " ".join(str(revert.arguments["message"]).split())
    if revert.name == "Panic":
        code = revert.arguments["code"]
        return f"Panic({code:#04x}): {_PANICS.get(code, 'see the panics of Solidity')}"
    return str(revert)


def read(data: bytes, abi: Iterable[Mapping[str, Any]] | None = None) -> Revert | None:
    """Return the error that a contract reverted with, decoded; None if it is not a known one.

    `require` with a message is `Error(message)`, a compiler's panic `Panic(code)`.
    """
    known = _known() if abi is None else _errors(abi)
    shape = known.get(data[:_SELECTOR])
    if shape is None:
        return None
    try:
        values = decode([kind for _, kind in shape.inputs], data[_SELECTOR:])
    except DecodingError:
        return None
    given = zip(shape.inputs, values, strict=True)
    return Revert(shape.name, {name: _spelled(name, kind, value) for (name, kind), value in given})


def _spelled(name: str, kind: str, value: Any) -> Any:  # noqa: ANN401 - of that kind
    """Return a value in its canonical spelling, see `addresses`."""
    if kind == "address":
        return address(value)
    return plan_name(value) if name == "planId" else value


def revert_data(error: object) -> bytes | None:
    """Return the bytes that a contract reverted with; empty if it gave none, None if the error is not a revert."""
    for part in _parts(error):
        if isinstance(part, bytes | bytearray):
            return bytes(part)
        if isinstance(part, str) and (match := _HEX.fullmatch(part)):
            return bytes.fromhex(match[1])
    return b"" if "revert" in _message(error).lower() else None


def _parts(error: object) -> Iterator[object]:
    """Yield the parts of an error that may hold the bytes, the most reliable first. Some nodes nest them one object
    deeper."""
    if isinstance(error, bytes | bytearray | str):
        yield error
    elif isinstance(error, Mapping):
        yield from _parts(error.get("data"))
        yield from _parts(error.get("error"))
        yield from _in_text(error.get("message"))
    elif isinstance(error, BaseException):
        yield from _parts(getattr(error, "data", None))
        yield from _parts(getattr(error, "rpc_response", None))
        for argument in error.args:
            yield from _in_text(argument)


def _in_text(text: object) -> Iterator[object]:
    """Yield bytes in a message: eth-tester writes them as a Python literal."""
    if isinstance(text, str) and (match := _PYTHON_BYTES.search(text)):
        yield ast.literal_eval(match[1])


def _unexplained(error: object) -> str:
    """Return the node's message if it says more than that the call reverted, such as that the gas ran out."""
    message = " ".join(_message(error).split())
    return _BARE if _NO_REASON.fullmatch(message) else message


def _message(error: object) -> str:
    if isinstance(error, Mapping):
        within = error.get("error")
        return _message(within) if isinstance(within, Mapping) else str(error.get("message", ""))
    if isinstance(error, BaseException):
        answer = getattr(error, "rpc_response", None)
        return _message(answer) if isinstance(answer, Mapping) else str(error.args[0] if error.args else "")
    return str(error)


# -- known errors ------------------------------------------------------------------------------------------------------


class _Shape(NamedTuple):
    name: str
    inputs: tuple[tuple[str, str], ...]


_SOLIDITY_ERRORS = (_Shape("Error", (("message", "string"),)), _Shape("Panic", (("code", "uint256"),)))


@cache
def _known() -> dict[bytes, _Shape]:
    return _errors([*load("UsageSettlement").abi, *load("TestToken").abi])


def _errors(abi: Iterable[Mapping[str, Any]]) -> dict[bytes, _Shape]:
    shapes = [
        _Shape(entry["name"], tuple((argument["name"], argument["type"]) for argument in entry["inputs"]))
        for entry in abi
        if entry["type"] == "error"
    ]
    return {_selector(shape): shape for shape in (*_SOLIDITY_ERRORS, *shapes)}


def _selector(shape: _Shape) -> bytes:
    kinds = ",".join(kind for _, kind in shape.inputs)
    return keccak(f"{shape.name}({kinds})".encode())[:_SELECTOR]


def _shown(value: object) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
