"""One account's transactions, sent and waited for: for every role but the operator, who has the outbox.

What would be refused is refused before it is sent, and costs nothing. What was mined is looked at once more when its
block is known: a re-organisation may have taken it.
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
"""A quarter more gas than was estimated: the state may have changed by then. What is not used is not paid."""

_FIRST_PAUSE, _MAX_PAUSE = 0.02, 2.0
_LOOK_FIRST = "see what became of it before you send another"


class Done(NamedTuple):
    """A transaction that did what it should: in which block it is, the gas that it used, and what that has cost in the
    coin's smallest unit. `contract` is the address of the contract that it made, if it made one.

    For one that was not waited for, all but `transaction` is empty.
    """

    transaction: str
    block: int = 0
    gas: int = 0
    cost: int = 0
    contract: str = ""


class Quote(NamedTuple):
    """The gas and the fees of a transaction that is not sent yet, without the money it sends."""

    gas: int
    fees: Fees

    @property
    def max_cost(self) -> int:
        """The maximum cost, in the coin's smallest unit."""
        return self.gas * self.fees.max_fee


class Sender:
    """An account with its key, and a node. It may be used by several threads; no other sender may have the same key.

    `max_fee` is the most that a unit of gas may cost, in the coin's smallest unit; `timeout` the seconds for which a
    transaction is waited for.
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
        """Return what a transaction would cost now. Raises CallReverted where it would be refused."""
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
                    f"a unit of gas costs {base} now, and may cost {max_fee} at most",
                    "wait until it is cheaper, or allow more",
                )
        return Quote(estimate + estimate // GAS_MARGIN, Fees(max_fee, min(priority, max_fee)))

    def _transaction(self, to: str | None, data: bytes, value: int) -> TxParams:
        asked: TxParams = {"from": to_checksum_address(self.address), "data": data, "value": Wei(value)}
        return asked if to is None else {**asked, "to": to_checksum_address(to)}

    def send(self, to: str | None, data: bytes, value: int = 0, *, wait: bool = True) -> Done:
        """Call a contract, or make one (`to` None). Unless it is to `wait`, only what was sent is told.

        Raises CallReverted where the contract refuses, ChainUnavailable where the account cannot pay for it (nothing
        was sent then), and SendUnknown where it cannot be told what became of it.
        """
        with self._sending:
            quote = self.quote(to, data, value)
            self.check_can_pay(quote.max_cost + value)
            raw, made = transactions.sign(
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
                raise SendUnknown(f"{error} (it is {made})", _LOOK_FIRST) from error
        if not wait:
            return Done(made)
        done = self.wait(made)
        return done or self._refuse(to, data, value, made)

    def check_can_pay(self, max_cost: int) -> None:
        """Raise ChainUnavailable where the account has less than so much of the coin's smallest unit."""
        if (has := self.node.balance(self.address)) < max_cost:
            message = f"{self.address} has {has} of the coin's smallest unit, and this may take {max_cost}"
            raise ChainUnavailable(message, "send it more, and try again")

    def wait(self, transaction: str) -> Done | None:
        """Return what became of a transaction; None where it was reverted.

        Raises SendUnknown where no block has it yet.
        """
        end, pause = time.monotonic() + self._timeout, _FIRST_PAUSE
        while True:
            receipt = self.node.receipt(transaction)
            if receipt is not None and self._stands(receipt):
                return _done(transaction, receipt) if receipt["status"] else None
            if time.monotonic() >= end:
                raise SendUnknown(
                    f"the transaction {transaction} was sent, and is in no block yet",
                    _LOOK_FIRST,
                )
            time.sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE)

    def _stands(self, receipt: TxReceipt) -> bool:
        """Return True if the block of a receipt is still the chain's."""
        block = self.node.block(receipt["blockNumber"])
        return block is not None and block.hash == to_hex(bytes(receipt["blockHash"]))

    def _refuse(self, to: str | None, data: bytes, value: int, transaction: str) -> NoReturn:
        """Return why a mined transaction was reverted: the contract is asked once more."""
        why, given = "the reason is not known any more", b""
        try:
            self.node.estimate_gas(self._transaction(to, data, value))
        except CallReverted as refused:
            why, given = reason(refused), refused.data
        raise CallReverted(f"{why} (the transaction {transaction} was reverted, and its gas is spent)", given)


def _done(transaction: str, receipt: TxReceipt) -> Done:
    gas, contract = int(receipt["gasUsed"]), receipt["contractAddress"]
    cost = gas * int(receipt["effectiveGasPrice"])
    return Done(transaction, int(receipt["blockNumber"]), gas, cost, address(contract) if contract else "")
