"""The script of faults: what shall go wrong, as plain values that JSON can hold.

A script is read in order: each call to the chain consumes the first fault that applies to it, and only that one. Every
fault has `skip`, the number of calls to which it applies and that still go well before it strikes.
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
"""The calls that a fault can apply to: those that ask the node of a chain something."""

FINALITY_CALLS: frozenset[Call] = frozenset({"facts", "final_block", "find", "confirm"})
"""The calls that answer with what is final."""


class _Scripted(msgspec.Struct, frozen=True, kw_only=True, tag_field="do"):
    """The base of all faults."""

    skip: int = 0


class Drop(_Scripted, frozen=True, tag="drop"):
    """`send` says that all is well, and the transaction is lost."""


class Delay(_Scripted, frozen=True, tag="delay"):
    """A transaction that is sent waits in the pool: none of the next `blocks` blocks has it."""

    blocks: int = 1


class SettleThenTimeOut(_Scripted, frozen=True, tag="settle_then_time_out"):
    """`send` takes the transaction in and mines it, and then raises SendUnknown."""


class TimeOut(_Scripted, frozen=True, tag="time_out"):
    """`send` raises SendUnknown, and the transaction never reached the pool."""


class Reorganise(_Scripted, frozen=True, tag="reorganise"):
    """The last `depth` blocks are replaced by empty ones, `when` the call `on` begins or has ended.

    `keep` puts their transactions back in the pool. Deeper than finality only with `force`.
    """

    depth: int = 1
    on: Call = "send"
    when: Literal["before", "after"] = "after"
    keep: bool = False
    force: bool = False


class Duplicate(_Scripted, frozen=True, tag="duplicate"):
    """A transaction is broadcast twice: the second time it arrives `blocks` blocks later."""

    blocks: int = 0


class Refuse(_Scripted, frozen=True, tag="refuse"):
    """`simulate` refuses with the reason, or `send` raises ChainUnavailable with it and takes nothing in."""

    reason: str = "refused by the script"
    on: Literal["simulate", "send"] = "simulate"


class Lie(_Scripted, frozen=True, tag="lie"):
    """A receipt for the transaction that was sent last, which is in no block: `find` says executed but not final,
    `confirm` says pending. Applies only while that is untrue, and is never a lie about finality."""

    on: Literal["find", "confirm"] = "find"


class NodeDown(_Scripted, frozen=True, tag="node_down"):
    """The next `calls` calls, whichever they are, raise ChainUnavailable."""

    calls: int = 1


class NoFinality(_Scripted, frozen=True, tag="no_finality"):
    """The node cannot say what is final, so nothing is: for the next `calls` calls that would say it, and while the
    next `blocks` blocks are mined. It stands beside the script's other faults: they strike all the same."""

    calls: int = 0
    blocks: int = 0


Fault: TypeAlias = (
    Drop | Delay | SettleThenTimeOut | TimeOut | Reorganise | Duplicate | Refuse | Lie | NodeDown | NoFinality
)
"""One thing that goes wrong. As JSON its field `do` says which."""

Script: TypeAlias = tuple[Fault, ...]
"""The remaining faults, in order."""


def check(script: Script, finality: int) -> None:
    """Raise BadData for a fault that could never strike, or that no honest chain of this finality can show."""
    for fault in script:
        counts = [getattr(fault, name) for name in ("skip", "blocks", "calls") if hasattr(fault, name)]
        if min(counts) < 0:
            raise BadData(f"a fault counts from 0: {fault}")
        if isinstance(fault, NodeDown) and not fault.calls:
            raise BadData("a node is down for 1 call or more")
        if isinstance(fault, NoFinality) and not (fault.calls or fault.blocks):
            raise BadData("finality is missing for 1 call or block or more")
        if isinstance(fault, Reorganise):
            if fault.depth < 1:
                raise BadData("a re-organisation is 1 block deep or more")
            if fault.depth > finality and not fault.force:
                raise BadData(
                    f"a re-organisation {fault.depth} deep undoes what is final", "say force, or go less deep"
                )


def take(script: Script, call: Call, possible: Callable[[Fault], bool]) -> tuple[Fault | None, Script]:
    """Return the fault that strikes this call, and the script that is left. `possible` is asked for lies."""
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
    """Return whether a call that asks for finality finds none, and the script that is left."""
    for index, fault in enumerate(script):
        if isinstance(fault, NoFinality):
            if fault.skip:
                return False, _replaced(script, index, msgspec.structs.replace(fault, skip=fault.skip - 1))
            left = msgspec.structs.replace(fault, calls=max(fault.calls - 1, 0))
            return True, _replaced(script, index, left)
    return False, script


def after_block(script: Script) -> Script:
    """Return the script that is left once a block was mined."""
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
