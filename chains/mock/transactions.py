"""The transactions in a mock chain's blocks: calls of the settlement contract, as JSON text with a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from ledger.errors import BadData
from ledger.events import ContractRef, Leaf, OnContract, Payout, Share
from ledger.settlement.messages import Batch, Commitment

from .. import leaf_file
from ..commitment import commitment_of
from ..leaves import TEXT_LEAF


class _Call(msgspec.Struct, frozen=True, kw_only=True, tag_field="call"):
    """The base of all calls."""


class PurchaseCall(_Call, frozen=True, kw_only=True, tag="purchase"):
    """Buy a plan: the sum of the shares goes into escrow."""

    id: str
    subscriber: str
    plan: str
    asset: str
    shares: tuple[Share, ...]
    credits: int = 0
    seconds: int = 0


class RequestExitCall(_Call, frozen=True, kw_only=True, tag="request_exit"):
    """Ask to leave a plan; an exit may follow."""

    subscriber: str
    plan: str


class ExitCall(_Call, frozen=True, kw_only=True, tag="exit"):
    """Take the unspent remainder by a leaf and its proof; without a leaf, claim that nothing was ever charged."""

    subscriber: str
    plan: str
    asset: str
    leaf: Leaf | None = None
    proof: tuple[str, ...] = ()


class RefuteCall(_Call, frozen=True, kw_only=True, tag="refute"):
    """Refute a claim that nothing was charged, by a leaf and its proof."""

    leaf: Leaf
    proof: tuple[str, ...]


class ClaimCall(_Call, frozen=True, kw_only=True, tag="claim"):
    """Pay a receiver its due."""

    receiver: str
    asset: str


class CommitCall(_Call, frozen=True, kw_only=True, tag="commit"):
    """Record a batch whose leaf file is published; without a challenge window, pay it out as well."""

    number: int
    asset: str
    previous: str
    payouts: tuple[Payout, ...]
    commitment: Commitment = msgspec.field(name="seal")


class ExecuteCall(_Call, frozen=True, kw_only=True, tag="execute"):
    """Pay out a batch whose challenge window is over."""

    number: int
    digest: str


class CancelCall(_Call, frozen=True, kw_only=True, tag="cancel"):
    """Cancel a batch that is not executed, as guardian."""

    number: int
    reason: str


class ChallengeCall(_Call, frozen=True, kw_only=True, tag="challenge"):
    """Cancel a batch by a leaf that charges more than its account ever paid in."""

    number: int
    leaf: Leaf
    proof: tuple[str, ...]


class SpendNonceCall(_Call, frozen=True, kw_only=True, tag="nothing"):
    """Spend a nonce."""


Call: TypeAlias = (
    PurchaseCall
    | RequestExitCall
    | ExitCall
    | RefuteCall
    | ClaimCall
    | CommitCall
    | ExecuteCall
    | CancelCall
    | ChallengeCall
    | SpendNonceCall
)
"""A call of the contract. As JSON its field `call` names the kind."""


class Signed(OnContract, msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call as a transaction: the operator's have a nonce and a fee, others a serial number."""

    chain: str
    contract: str
    nonce: int | None = None
    fee: int = 0
    serial: int = 0
    call: Call


class Transaction:
    """A signed call, its JSON text, and the text's hash (0x hex)."""

    __slots__ = ("hash", "raw", "signed")

    def __init__(self, raw: str, signed: Signed) -> None:
        self.raw, self.hash, self.signed = raw, hash_of(raw), signed

    @property
    def call(self) -> Call:
        """The call of the contract."""
        return self.signed.call

    @property
    def nonce(self) -> int | None:
        """The operator's nonce; None for a user's transaction."""
        return self.signed.nonce

    @property
    def fee(self) -> int:
        """The fee that the operator pays, in the smallest unit of the chain's coin."""
        return self.signed.fee


_signed: msgspec.json.Decoder[Signed] = msgspec.json.Decoder(Signed)


def sign(signed: Signed) -> Transaction:
    """Return the transaction of a call."""
    return Transaction(msgspec.json.encode(signed).decode(), signed)


def read(raw: str) -> Transaction:
    """Return the transaction of a JSON text. Raises BadData for any other text."""
    try:
        return Transaction(raw, _signed.decode(raw))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadData(f"this is not a transaction of a mock chain: {error}") from error


def hash_of(text: str) -> str:
    """Return the SHA-256 of a text as 0x hex: the hash of transactions and blocks of mock chains."""
    return "0x" + hashlib.sha256(text.encode()).hexdigest()


def commit(batch: Batch) -> CommitCall:
    """Return the call that records a batch. Raises ValueError for invalid leaves."""
    return CommitCall(
        number=batch.number,
        asset=batch.asset,
        previous=batch.previous,
        payouts=batch.payouts,
        commitment=commitment_of(batch, TEXT_LEAF),
    )


def check_operators(signed: Signed, contract_ref: ContractRef, published: Callable[[str], bytes | None]) -> None:
    """Raise BadData for a transaction that the operator of this contract cannot have prepared.

    A batch is compared here with its leaf file (`published` returns it by hash); it is not checked again when its block
    is folded.
    """
    if signed.contract_ref != contract_ref:
        raise BadData(f"this transaction is for {signed.contract!r} on {signed.chain!r}")
    if signed.nonce is None or signed.nonce < 0 or signed.fee < 0:
        raise BadData("an operator's transaction needs a nonce and a fee, both 0 or more")
    match signed.call:
        case ExecuteCall():
            return
        case CommitCall() as call:
            file = published(call.commitment.data_hash)
            if file is None:
                raise BadData(f"the leaf file of batch {call.number} is not published", "prepare it on this chain")
            batch = leaf_file.decode(file)
            if batch.contract_ref != contract_ref or commit(batch) != call:
                raise BadData(f"batch {call.number} differs from its leaf file")
        case _:
            raise BadData(f"the operator makes no such call: {type(signed.call).__name__}")
