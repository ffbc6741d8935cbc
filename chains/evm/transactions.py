"""The operator's transactions: their nonces, fees and bytes. Each is an attempt at a batch's next step.

Only one sender may have a key: its nonces are counted in the log, with the chain's latest as the lower bound. A node's
mempool is never trusted for a nonce.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes

from ledger.errors import BadData
from ledger.settlement.messages import Attempt

from ..commitment import to_hex
from ..leaves import keccak
from . import addresses


class Fees(NamedTuple):
    """The fees of a unit of gas (EIP-1559), in the coin's smallest unit: the maximum, and the priority fee."""

    max_fee: int
    priority: int

    def raised(self) -> Fees:
        """Return both fees raised by an eighth, rounded up: nodes accept a replacement from a tenth more on."""
        return Fees(*(fee + -(-fee // 8) for fee in self))

    def are_low(self, base: int, priority: int) -> bool:
        """Return True if a block with that base fee cannot have the transaction, or if its effective priority fee,
        raised by an eighth, is below `priority`."""
        effective = min(self.priority, self.max_fee - base)
        return effective < 0 or 9 * effective < 8 * priority

    def at_least(self, other: Fees) -> Fees:
        """Return the maximum of each fee."""
        return Fees(max(self.max_fee, other.max_fee), max(self.priority, other.priority))


class Sent(NamedTuple):
    """A signed transaction, decoded from its bytes."""

    hash: str
    chain_id: int
    sender: str
    to: str
    data: bytes
    nonce: int
    fees: Fees


@lru_cache(maxsize=256)
def read(raw: str) -> Sent:
    """Return a signed transaction, decoded from 0x hex. Raises BadData unless it is an EIP-1559 call."""
    try:
        data = HexBytes(raw)
        fields: Mapping[str, Any] = TypedTransaction.from_bytes(data).as_dict()
        return Sent(
            hash=to_hex(keccak(bytes(data))),
            chain_id=int(fields["chainId"]),
            sender=addresses.address(str(Account.recover_transaction(data))),
            to=addresses.address(to_hex(bytes(fields["to"]))),
            data=bytes(fields["data"]),
            nonce=int(fields["nonce"]),
            fees=Fees(int(fields["maxFeePerGas"]), int(fields["maxPriorityFeePerGas"])),
        )
    except Exception as error:  # the decoder passes on any error of its parsers
        raise BadData(f"not a signed transaction: {raw[:80]!r}", "pass an attempt that `prepare` returned") from error


def sign(
    account: LocalAccount,
    *,
    chain_id: int,
    to: str | None,
    data: bytes,
    nonce: int,
    gas: int,
    fees: Fees,
    value: int = 0,
) -> tuple[str, str]:
    """Return a signed transaction that calls a contract, or creates one (`to` None): its bytes and its hash, as 0x
    hex."""
    signed = account.sign_transaction(
        {
            "type": 2,
            "chainId": chain_id,
            "to": to_checksum_address(to) if to else b"",
            "data": data,
            "value": value,
            "nonce": nonce,
            "gas": gas,
            "maxFeePerGas": fees.max_fee,
            "maxPriorityFeePerGas": fees.priority,
        }
    )
    return to_hex(bytes(signed.raw_transaction)), to_hex(bytes(signed.hash))


def first_free(sent: Iterable[Sent]) -> int:
    """Return the first nonce above those of the transactions."""
    return max((one.nonce + 1 for one in sent), default=0)


def check_is_for(attempt: Attempt, chain_id: int, contract: str) -> Sent:
    """Return an attempt, decoded. Raises BadData if it calls another contract or is for another chain."""
    sent = read(attempt.raw)
    if (sent.chain_id, sent.to, sent.hash) != (chain_id, contract, attempt.transaction):
        raise BadData(
            f"the transaction {attempt.transaction} does not call {contract} on {addresses.chain_name(chain_id)}",
            "pass an attempt that `prepare` returned for this contract",
        )
    return sent
