"""Sending one account's transactions and waiting for them, for every role but the operator, who has the outbox.

A call that would be refused is refused before it is sent, and costs nothing. A receipt's block is compared with the
chain's, since a reorganisation may have replaced it.
"""

from __future__ import annotations

import threading
import time
from typing import NamedTuple, NoReturn

from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from web3.types import TxParams, TxReceipt, Wei

from ledger.errors import ChainUnavailable, SendUnknown

from ..commitment import to_hex
from . import transactions
from .addresses import address
from .keys import from_key
from .node import Node
from .node_errors import CallReverted
from .reverts import reason
from .transactions import Fees

GAS_MARGIN = 4
"""The gas limit is a quarter above the estimate, since the state may change. Unused gas costs nothing."""

_FIRST_PAUSE, _MAX_PAUSE = 0.02, 2.0
_CHECK_FIRST = "check the transaction's outcome before sending another one"


class Done(NamedTuple):
    """A successful transaction: its block, the gas that it used, and the cost of that in the coin's smallest unit.
    `contract` is the address of the contract that it created, if any.

    For a transaction that was not waited for, all fields but `transaction` are empty.
    """

    transaction: str
    block: int = 0
    gas: int = 0
    cost: int = 0
    contract: str = ""


class Quote(NamedTuple):
    """The gas and the fees of a transaction that is not sent yet, without its value."""

    gas: int
    fees: Fees

    @property
    def max_cost(self) -> int:
        """The maximum cost, in the coin's smallest unit."""
        return self.gas * self.fees.max_fee


class Sender:
    """An account with its key, and a node. It may be used by several threads; no other sender may have the same key.

    `max_fee` is the maximum price of a unit of gas, in the coin's smallest unit; `timeout` is how long to wait for a
    transaction, in seconds.
    """

    def __init__(
        self,
        node: Node,
        account: LocalAccount | str,
        *,
        chain_id: int | None = None,
        max_fee: int | None = None,
        timeout: float = 120,
    ) -> None:
        self.node, self._max_fee, self._timeout = node, max_fee, timeout
        self._account = from_key(account) if isinstance(account, str) else account
        self._chain_id = node.chain_id() if chain_id is None else chain_id
        self._sending = threading.Lock()

    @property
    def address(self) -> str:
        """The account's address."""
        return str(self._account.address)

    @property
    def account(self) -> LocalAccount:
        """The account, which can sign."""
        return self._account

    @property
    def chain_id(self) -> int:
        """The chain's id, which is signed with every transaction."""
        return self._chain_id

    def quote(self, to: str | None, data: bytes, value: int = 0) -> Quote:
        """Return the current cost of a transaction. Raises CallReverted if it would be refused."""
        try:
            estimate = self.node.estimate_gas(self._transaction(to, data, value))
        except CallReverted as refused:
            raise CallReverted(reason(refused), refused.data) from None
        base, priority = self.node.fees()
        max_fee = 2 * base + priority
        if self._max_fee is not None and self._max_fee < max_fee:
            max_fee = self._max_fee
            if max_fee < base:
                raise ChainUnavailable(
                    f"a unit of gas costs {base} now, more than the maximum of {max_fee}",
                    "wait until it is cheaper, or raise max_fee",
                )
        return Quote(estimate + estimate // GAS_MARGIN, Fees(max_fee, min(priority, max_fee)))

    def _transaction(self, to: str | None, data: bytes, value: int) -> TxParams:
        transaction: TxParams = {"from": to_checksum_address(self.address), "data": data, "value": Wei(value)}
        return transaction if to is None else {**transaction, "to": to_checksum_address(to)}

    def send(self, to: str | None, data: bytes, value: int = 0, *, wait: bool = True) -> Done:
        """Call a contract, or create one (`to` None). Without `wait`, only the transaction's hash is returned.

        Raises CallReverted if the contract refuses, ChainUnavailable if the account cannot pay for it (nothing was sent
        then), and SendUnknown if the outcome is unknown.
        """
        with self._sending:
            quote = self.quote(to, data, value)
            self.check_can_pay(quote.max_cost + value)
            raw, hash = transactions.sign(
                self._account,
                chain_id=self._chain_id,
                to=to,
                data=data,
                value=value,
                nonce=self.node.nonce(self.address, "pending"),
                gas=quote.gas,
                fees=quote.fees,
            )
            try:
                self.node.send(raw)
            except SendUnknown as error:
                raise SendUnknown(f"{error} (the transaction is {hash})", _CHECK_FIRST) from error
        if not wait:
            return Done(hash)
        done = self.wait(hash)
        return done or self._raise_revert(to, data, value, hash)

    def check_can_pay(self, max_cost: int) -> None:
        """Raise ChainUnavailable if the account has less than that amount of the coin's smallest unit."""
        if (balance := self.node.balance(self.address)) < max_cost:
            message = f"{self.address} has {balance} of the coin's smallest unit, and this may cost {max_cost}"
            raise ChainUnavailable(message, "send it more, and try again")

    def wait(self, transaction: str) -> Done | None:
        """Return a mined transaction; None if it was reverted. Raises SendUnknown if it is not mined in time."""
        end, pause = time.monotonic() + self._timeout, _FIRST_PAUSE
        while True:
            receipt = self.node.receipt(transaction)
            if receipt is not None and self._is_canonical(receipt):
                return _done(transaction, receipt) if receipt["status"] else None
            if time.monotonic() >= end:
                raise SendUnknown(
                    f"the transaction {transaction} was sent, and is not mined yet",
                    _CHECK_FIRST,
                )
            time.sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE)

    def _is_canonical(self, receipt: TxReceipt) -> bool:
        """Return True if the block of a receipt is still the chain's."""
        block = self.node.block(receipt["blockNumber"])
        return block is not None and block.hash == to_hex(bytes(receipt["blockHash"]))

    def _raise_revert(self, to: str | None, data: bytes, value: int, transaction: str) -> NoReturn:
        """Raise CallReverted for a mined transaction, with the reason of a new estimate."""
        why, revert_data = "the reason is no longer known", b""
        try:
            self.node.estimate_gas(self._transaction(to, data, value))
        except CallReverted as refused:
            why, revert_data = reason(refused), refused.data
        raise CallReverted(f"{why} (the transaction {transaction} was reverted, and its gas is spent)", revert_data)


def _done(transaction: str, receipt: TxReceipt) -> Done:
    gas, contract = int(receipt["gasUsed"]), receipt["contractAddress"]
    cost = gas * int(receipt["effectiveGasPrice"])
    return Done(transaction, int(receipt["blockNumber"]), gas, cost, address(contract) if contract else "")
