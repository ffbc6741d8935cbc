"""The operator's transactions: their nonces, fees and bytes. Every one is an attempt at a batch's next step.

One sender has a key: nonces are counted in the log, the chain's latest is the floor, and what a node says of its pool
is never trusted for one.
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
    """The fees of a unit of gas (EIP-1559), in the coin's smallest unit: the maximum, and the block maker's part."""

    max_fee: int
    priority: int

    def raised(self) -> Fees:
        """Return an eighth more of both, rounded up: nodes take a replacement from a tenth more on."""
        return Fees(*(fee + -(-fee // 8) for fee in self))

    def are_low(self, base: int, priority: int) -> bool:
        """Return True if a block with that base fee leaves its maker so little that an eighth more would be below what
        others give, if it can be in that block at all."""
        left = min(self.priority, self.max_fee - base)
        return left < 0 or 9 * left < 8 * priority

    def at_least(self, other: Fees) -> Fees:
        """Return the higher of both, one by one."""
        return Fees(max(self.max_fee, other.max_fee), max(self.priority, other.priority))


class Sent(NamedTuple):
    """A signed transaction as its bytes say it."""

    hash: str
    chain_id: int
    sender: str
    to: str
    data: bytes
    nonce: int
    fees: Fees


@lru_cache(maxsize=256)
def read(raw: str) -> Sent:
    """Return what a signed transaction (0x hex) says.

    Raises BadData for anything but an EIP-1559 call of a contract.
    """
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
    except Exception as error:  # the decoder raises whatever its parsers do
        raise BadData(f"this is no signed transaction: {raw[:80]!r}", "give what `prepare` made") from error


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
    """Return a signed transaction that calls a contract, or makes one (`to` None): its bytes and its hash, both as 0x
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
    """Return the first nonce above all of theirs."""
    return max((one.nonce + 1 for one in sent), default=0)


def check_is_for(attempt: Attempt, chain_id: int, contract: str) -> Sent:
    """Return the attempt as its bytes say it.

    Raises BadData for one that calls another contract, or on another chain.
    """
    sent = read(attempt.raw)
    if (sent.chain_id, sent.to, sent.hash) != (chain_id, contract, attempt.transaction):
        raise BadData(
            f"the transaction {attempt.transaction} does not call {contract} on {addresses.chain_name(chain_id)}",
            "give what `prepare` made for this contract",
        )
    return sent
