"""A deterministic chain with one settlement contract, to test the path of money offline. See README.md beside this."""

from .chain import MockChain
from .contract import InvariantBroken
from .faults import (
    Delay,
    Drop,
    Duplicate,
    Fault,
    Lie,
    NodeDown,
    NoFinality,
    Refuse,
    Reorganise,
    SettleThenTimeOut,
    TimeOut,
)
from .plugin import MockPlugin
from .users import Reverted

__all__ = [
    "Delay",
    "Drop",
    "Duplicate",
    "Fault",
    "InvariantBroken",
    "Lie",
    "MockChain",
    "MockPlugin",
    "NoFinality",
    "NodeDown",
    "Refuse",
    "Reorganise",
    "Reverted",
    "SettleThenTimeOut",
    "TimeOut",
]
