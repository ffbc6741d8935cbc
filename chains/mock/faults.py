"""The script of faults, as plain values that can be stored as JSON.

A script is read in order: each call to the chain consumes the first fault that applies to it, and only that one. Every
fault has `skip`, the number of matching calls that succeed before it takes effect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from ledger.errors import BadData

Call: TypeAlias = Literal[
    "facts",
    "final_block",
    "simulate",
    "prepare",
    "send",
    "find",
    "confirm",
    "published",
    "due",
    "claimed",
    "escrow",
]
"""The calls that a fault can apply to."""

FINALITY_CALLS: frozenset[Call] = frozenset({"facts", "final_block", "find", "confirm"})
"""The calls whose answers depend on finality."""


class _Scripted(msgspec.Struct, frozen=True, kw_only=True, tag_field="do"):
    """The base of all faults."""

    skip: int = 0


class Drop(_Scripted, frozen=True, tag="drop"):
    """`send` succeeds, and the transaction is lost."""


class Delay(_Scripted, frozen=True, tag="delay"):
    """A sent transaction stays in the pool for the next `blocks` blocks."""

    blocks: int = 1


class SettleThenTimeOut(_Scripted, frozen=True, tag="settle_then_time_out"):
    """`send` mines the transaction, and then raises SendUnknown."""


class TimeOut(_Scripted, frozen=True, tag="time_out"):
    """`send` raises SendUnknown, and the transaction never reaches the pool."""


class Reorganise(_Scripted, frozen=True, tag="reorganise"):
    """The last `depth` blocks are replaced by empty ones, before or after the call `on`.

    With `keep` their transactions go back into the pool. A depth beyond finality needs `force`.
    """

    depth: int = 1
    on: Call = "send"
    when: Literal["before", "after"] = "after"
    keep: bool = False
    force: bool = False


class Duplicate(_Scripted, frozen=True, tag="duplicate"):
    """A transaction is broadcast twice. The second broadcast arrives `blocks` blocks later."""

    blocks: int = 0


class Refuse(_Scripted, frozen=True, tag="refuse"):
    """`simulate` refuses with the reason, or `send` raises ChainUnavailable with it and sends nothing."""

    reason: str = "refused by the script"
    on: Literal["simulate", "send"] = "simulate"


class Lie(_Scripted, frozen=True, tag="lie"):
    """A false receipt for the last sent transaction, which is in no block: `find` returns executed but not final,
    `confirm` returns pending. Applies only while that is untrue, and never claims finality."""

    on: Literal["find", "confirm"] = "find"


class NodeDown(_Scripted, frozen=True, tag="node_down"):
    """The next `calls` calls of any kind raise ChainUnavailable."""

    calls: int = 1


class NoFinality(_Scripted, frozen=True, tag="no_finality"):
    """The node knows no final block, so nothing is final: for the next `calls` calls that depend on finality, and until
    the next `blocks` blocks are mined. The script's other faults apply as well."""

    calls: int = 0
    blocks: int = 0


Fault: TypeAlias = (
    Drop | Delay | SettleThenTimeOut | TimeOut | Reorganise | Duplicate | Refuse | Lie | NodeDown | NoFinality
)
"""A fault. As JSON its field `do` names the kind."""

Script: TypeAlias = tuple[Fault, ...]
"""The remaining faults, in order."""


def check(script: Script, finality: int) -> None:
    """Raise BadData for a fault that could never apply, or that contradicts this chain's finality."""
    for fault in script:
        counts = [getattr(fault, name) for name in ("skip", "blocks", "calls") if hasattr(fault, name)]
        if min(counts) < 0:
            raise BadData(f"the counts of a fault must be 0 or more: {fault}")
        if isinstance(fault, NodeDown) and not fault.calls:
            raise BadData("`calls` of NodeDown must be 1 or more")
        if isinstance(fault, NoFinality) and not (fault.calls or fault.blocks):
            raise BadData("`calls` or `blocks` of NoFinality must be 1 or more")
        if isinstance(fault, Reorganise):
            if fault.depth < 1:
                raise BadData("the depth of a reorganisation must be 1 or more")
            if fault.depth > finality and not fault.force:
                raise BadData(
                    f"a reorganisation {fault.depth} deep undoes what is final", "set `force`, or reduce `depth`"
                )


def take(script: Script, call: Call, possible: Callable[[Fault], bool]) -> tuple[Fault | None, Script]:
    """Return the fault that applies to this call, and the remaining script. `possible` decides whether a lie
    applies."""
    for index, fault in enumerate(script):
        if not _applies(fault, call) or (isinstance(fault, Lie) and not possible(fault)):
            continue
        if fault.skip:
            return None, _replaced(script, index, msgspec.structs.replace(fault, skip=fault.skip - 1))
        if isinstance(fault, NodeDown) and fault.calls > 1:
            return fault, _replaced(script, index, msgspec.structs.replace(fault, calls=fault.calls - 1))
        return fault, script[:index] + script[index + 1 :]
    return None, script


def take_finality(script: Script) -> tuple[bool, Script]:
    """Return whether finality is missing for this call, and the remaining script."""
    for index, fault in enumerate(script):
        if isinstance(fault, NoFinality):
            if fault.skip:
                return False, _replaced(script, index, msgspec.structs.replace(fault, skip=fault.skip - 1))
            left = msgspec.structs.replace(fault, calls=max(fault.calls - 1, 0))
            return True, _replaced(script, index, left)
    return False, script


def after_block(script: Script) -> Script:
    """Return the remaining script after a block was mined."""
    for index, fault in enumerate(script):
        if isinstance(fault, NoFinality) and fault.blocks and not fault.skip:
            return _replaced(script, index, msgspec.structs.replace(fault, blocks=fault.blocks - 1))
    return script


def _applies(fault: Fault, call: Call) -> bool:
    match fault:
        case NodeDown():
            return True
        case NoFinality():
            return False  # see take_finality
        case Reorganise() | Refuse() | Lie():
            return fault.on == call
        case _:
            return call == "send"


def _replaced(script: Script, index: int, fault: Fault) -> Script:
    spent = isinstance(fault, NoFinality) and not (fault.calls or fault.blocks)
    return script[:index] + (() if spent else (fault,)) + script[index + 1 :]
