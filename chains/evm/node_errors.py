"""Errors of a node of an EVM chain. Nodes word their rejections differently, so patterns classify them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from ledger.errors import ChainUnavailable, LedgerError

if TYPE_CHECKING:
    from web3.types import RPCResponse

Reason: TypeAlias = Literal["funds", "fee", "nonce", "other"]
"""The reason of a rejected transaction: too little money, fees too low, its nonce spent by another, or any other."""

RATE_LIMITED = re.compile(r"rate.?limit|too many requests|requests? (count|limit)|throughput|capacity|quota")
ALREADY_KNOWN = re.compile(r"already ?(known|imported|exists|in )|known transaction")
NONCE_SPENT = re.compile(r"nonce (is )?too low|old ?nonce|nonce.*(less|lower) than")
REJECTED: tuple[tuple[Reason, re.Pattern[str]], ...] = (
    ("funds", re.compile(r"insufficient ?(funds|balance)|upfront cost|not enough (funds|balance)")),
    ("fee", re.compile(r"underpriced|fee ?cap|base ?fee|fee ?too ?low|(gas price|max fee|\btip\b).*(low|less|below)")),
    (
        "other",
        re.compile(
            r"nonce (is )?too (high|far)|nonce ?gap|intrinsic|gas ?limit|gas too|chain ?id|invalid (sender|signature)"
            r"|decod|\brlp\b|revert|not supported|unsupported|oversized|initcode|pool is full|configured cap"
        ),
    ),
)
NOT_BEGUN = (-32700, -32600, -32601, -32602)
"""JSON-RPC's error codes of a request that was not executed."""


class RangeTooWide(ChainUnavailable):
    """The node refuses to search that many blocks for logs in one request."""

    hint = "ask for fewer blocks at once"


class Contradiction(ChainUnavailable):
    """Two answers of the node contradict each other."""


class TransactionRejected(ChainUnavailable):
    """The node rejects a transaction and does not have it. `reason` classifies the node's message."""

    def __init__(self, message: str, reason: Reason, hint: str | None = None) -> None:
        super().__init__(message, hint or _HINTS[reason])
        self.reason = reason


_HINTS: dict[Reason, str] = {
    "funds": "give the account more of the chain's native coin",
    "fee": "send it with higher fees",
    "nonce": "stop other programs from sending with this key",
    "other": "correct the transaction",
}


class CallReverted(LedgerError):
    """A contract refused a call. `data` has the bytes that it reverted with: an ABI-encoded error, or none."""

    code = "refused"
    hint = "see the contract's error"

    def __init__(self, message: str, data: bytes) -> None:
        super().__init__(message)
        self.data = data


class ErrorAnswer(Exception):
    """A node's answer that is an error."""

    def __init__(self, answer: RPCResponse) -> None:
        error = cast(dict[str, Any], answer["error"])
        self.code, self.message = error.get("code"), str(error.get("message") or "no reason given")
        super().__init__(self.message)

    @property
    def rate_limited(self) -> bool:
        """True if the node limits the rate of requests, so that the same one may succeed later."""
        return self.code == 429 or bool(RATE_LIMITED.search(self.message.lower()))
