"""A connection to the contract with the operator's key, by which the outbox simulates, signs, sends and confirms.

Nothing here is asynchronous: in an event loop, use a thread (`asyncio.to_thread(outbox.settle)`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3.types import TxParams

from ledger import ContractRef
from ledger.errors import BadData, ChainUnavailable, SettlementStopped
from ledger.settlement.messages import Attempt, Batch, Standing

from .. import leaf_file
from . import addresses, commitment, transactions
from .contract import SettlementContract, Stage
from .node import Header, Node
from .node_errors import CallReverted, TransactionRejected
from .publishing import LeafFiles
from .reverts import reason
from .transactions import Fees, Sent
from .view import ContractView

T = TypeVar("T")

GAS_MARGIN = 8
"""The gas limit is an eighth above the estimate; unused gas costs nothing."""

FIXED_GAS = 300_000
"""Fixed gas of a queued batch, which the node cannot estimate yet. Receivers and bytes are added."""

RECEIVER_GAS = 23_500
"""Gas of one receiver without its bytes: its due is stored, often for the first time."""

ZERO_GAS, BYTE_GAS = 4, 16
"""Gas of a zero byte and of any other byte of a call's data. A payout has 64 bytes, most of them zero."""

CLAIMED_GAS = 17_100
"""Additional gas of a receiver whose due is claimed between the estimate and the block: then the due is stored anew."""

MAX_GAS = 1 << 24
"""The gas limit of one transaction since Osaka."""

PAUSE_SECONDS = 2.0
"""Default duration of a pause."""


class Slot(NamedTuple):
    """The nonce and the fees of a transaction that is to be signed."""

    nonce: int
    fees: Fees


class EvmChain(ContractView):
    """A connection to one `UsageSettlement`. `account` is the operator's: without it the connection is read-only.

    `max_fee` is the maximum price of a unit of gas, in the coin's smallest unit. All methods raise ChainUnavailable.
    """

    def __init__(
        self,
        node: Node,
        contract: SettlementContract,
        files: LeafFiles,
        *,
        chain_id: int,
        account: LocalAccount | None = None,
        max_fee: int | None = None,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        super().__init__(node, contract, files, chain_id)
        self._key, self._max_fee, self._pause_seconds = account, max_fee, pause_seconds
        self._underpriced: set[str] = set()  # transactions that the node rejected for their fee

    # -- simulating ----------------------------------------------------------------------------------------------------

    def simulate(self, batch: Batch) -> str | None:
        """Return why the contract would refuse the batch's next step now; None if it would accept it.

        Batches of lower numbers in a challenge window count as paid out. Raises SettlementStopped if the key is not the
        operator's.
        """
        try:
            digest = self._digest(batch)
        except ValueError as error:
            return f"BatchMalformed({error})"
        refused = self._as_of_one_block(lambda _, head: self._refused(batch, digest, head))
        if refused is not None and refused.startswith("NotOperator("):
            self.check_operator()  # the key is at fault, so the batch must not fail
        return refused

    def _refused(self, batch: Batch, digest: str, head: Header) -> str | None:
        record = self._record(batch.number, head)
        if record.stage is Stage.committed and record.digest == digest:
            return self._refusal(self._contract.execute_data(batch), head)
        return self._refusal(self._contract.settle_data(batch, ""), head) or self._overspends(batch, head)

    def _digest(self, batch: Batch) -> str:
        """Return a batch's digest. Raises ValueError for a batch of another contract, whose calls this one would
        accept.
        """
        if batch.contract_ref != ContractRef(self.name, self.contract):
            raise ValueError(f"it is for {batch.contract} on {batch.chain}, not for {self.contract} on {self.name}")
        if self._token(batch.asset) is None:
            raise ValueError(f"{batch.asset} is not on {self.name}")
        return commitment.commitment_of(batch).digest

    def _refusal(self, data: bytes, head: Header) -> str | None:
        try:
            self._node.call(self._transaction_of(data), head.number)
        except CallReverted as reverted:
            return reason(reverted)
        return None

    def _overspends(self, batch: Batch, head: Header) -> str | None:
        """Return why a batch could not be paid out after its window. Without a window the contract's own check is
        enough."""
        if not self._contract.challenge_window:
            return None
        token = addresses.token(batch.asset)
        owed: dict[str, int] = {}
        moved = 0
        for number in range(self._contract.settled_number(head.number) + 1, batch.number):
            moved += self._moved(self._waiting(number, batch.asset, head), token, owed, head)
        moved += self._moved(batch, token, owed, head)
        held = self._contract.escrow(token, head.number)
        return f"EscrowShort({batch.asset}, {moved}, {held})" if moved > held else None

    def _waiting(self, number: int, asset: str, head: Header) -> Batch | None:
        """Return the committed batch of that number and asset; None if there is none, or its leaf file is not found."""
        record = self._record(number, head)
        data = self._published(number, record, head) if record.stage is Stage.committed else None
        batch = None if data is None else leaf_file.decode(data)
        return batch if batch is not None and batch.asset == asset else None

    def _moved(self, batch: Batch | None, token: str, owed: dict[str, int], head: Header) -> int:
        """Return the amount that a batch takes out of escrow: the change of the sum of positive dues.

        `owed` has the dues after the previous batches, and is updated.
        """
        moved = 0
        for payout in batch.payouts if batch is not None else ():
            if payout.receiver not in owed:
                owed[payout.receiver] = self._contract.due(token, payout.receiver, head.number)
            before = owed[payout.receiver]
            owed[payout.receiver] = before + payout.amount
            moved += max(before + payout.amount, 0) - max(before, 0)
        return moved

    # -- signing and sending -------------------------------------------------------------------------------------------

    def prepare(self, batch: Batch, attempts: Sequence[Attempt]) -> Attempt | None:
        """Publish the batch's leaf file, and return its next step, signed and unsent; None if it is better to wait.

        Raises ValueError for invalid leaves, BadData for attempts that are not this contract's, and ChainUnavailable if
        the operator's account cannot pay for the gas.
        """
        data = self._next_call(batch)
        if data is None:
            return None
        sent = [transactions.check_is_for(attempt, self._chain_id, self.contract) for attempt in attempts]
        mine = [one for one in sent if one.sender == self._account.address]
        latest, gas_price = self._node.nonce(self._account.address), self._node.fees()
        free = Slot(max(latest, transactions.first_free(mine)), self._fees(*gas_price))
        own = [one for one, attempt in zip(sent, attempts, strict=True) if attempt.number == batch.number]
        follows = own and own[-1] in mine
        slot = self._after(own[-1], mine, data, latest, gas_price.base, free) if follows else free
        if slot is None:
            return None
        count = 1 + max((attempt.attempt for attempt in attempts if attempt.number == batch.number), default=0)
        return self._sign(batch, data, slot, count)

    def _next_call(self, batch: Batch) -> bytes | None:
        """Return the call of the batch's next step; None if there is none now, or the chain has another batch of that
        number."""
        digest, found = self._digest(batch), self.find(batch.number)
        if found.stage == "absent":
            return self._contract.settle_data(batch, self._files.publish(leaf_file.encode(batch)))
        if found.stage == "committed" and found.digest == digest and found.ready:
            return self._contract.execute_data(batch)
        return None

    def _after(self, last: Sent, mine: Sequence[Sent], data: bytes, latest: int, base: int, free: Slot) -> Slot | None:
        """Return the nonce and the fees of a batch's next transaction; None if its last one should not be replaced
        now."""
        same_step = self._contract.is_execution(last.data) == self._contract.is_execution(data)
        standing = self._standing(last)
        if standing == "pending":
            if self._mined(last) is not None:
                return None if same_step else free  # the same step is signed again only once this one is final
            if self._is_behind_a_gap(last, mine, latest):
                return Slot(latest, free.fees)  # signed once more: whichever is mined first takes the number
            # A higher fee helps only the lowest open nonce: the others wait for it at any fee.
            stuck = last.nonce == latest and last.fees.are_low(base, free.fees.priority)
            return self._replacing(last, free.fees) if stuck else None
        if standing == "gone" and last.nonce >= latest:
            acceptable = last.hash not in self._underpriced and last.fees.max_fee >= base
            # An acceptable one is not replaced: the outbox sends it again.
            return None if same_step and acceptable else self._replacing(last, free.fees)
        return free

    def _replacing(self, last: Sent, fees: Fees) -> Slot | None:
        raised = last.fees.raised().at_least(fees)
        return None if self._max_fee is not None and raised.max_fee > self._max_fee else Slot(last.nonce, raised)

    def _is_behind_a_gap(self, last: Sent, mine: Sequence[Sent], latest: int) -> bool:
        """Return True if a transaction waits behind a nonce for which the node has no transaction, after a
        reorganisation."""
        return last.nonce > latest and not any(
            one.nonce == latest and self._node.transaction(one.hash) is not None for one in mine
        )

    def _sign(self, batch: Batch, data: bytes, slot: Slot, count: int) -> Attempt:
        gas = self._gas(batch, data)
        balance, cost = self._node.balance(self._account.address), gas * slot.fees.max_fee
        if balance < cost:
            raise ChainUnavailable(
                f"the operator {self._account.address} has {balance} of the coin's smallest unit, and the gas may cost "
                f"{cost}",
                "send it more, and run again",
            )
        raw, made = transactions.sign(
            self._account, chain_id=self._chain_id, to=self.contract, data=data, gas=gas, **slot._asdict()
        )
        return Attempt(batch.number, count, raw, made)

    def _gas(self, batch: Batch, data: bytes) -> int:
        """Return the gas limit: the node's estimate with a margin, or an upper bound for a queued batch, which cannot
        be estimated yet."""
        try:
            estimate = self._node.estimate_gas(self._transaction_of(data))
        except CallReverted:
            zeros = data.count(0)
            data_gas = ZERO_GAS * zeros + BYTE_GAS * (len(data) - zeros)
            return min(FIXED_GAS + data_gas + RECEIVER_GAS * len(batch.payouts), MAX_GAS)
        margin = -(-estimate // GAS_MARGIN) + CLAIMED_GAS * len(batch.payouts)
        return min(estimate + margin, MAX_GAS)

    def _transaction_of(self, data: bytes) -> TxParams:
        return {
            "from": to_checksum_address(self._account.address),
            "to": to_checksum_address(self.contract),
            "data": HexBytes(data),
        }

    def _fees(self, base: int, priority: int) -> Fees:
        """Return the suggested fees, with which the base fee may double."""
        max_fee = 2 * base + priority
        if self._max_fee is not None:
            max_fee = min(max_fee, self._max_fee)
        return Fees(max_fee, min(priority, max_fee))

    def send(self, attempt: Attempt) -> None:
        """Broadcast a transaction. One whose nonce or fee the node rejects is dropped without an error: `confirm` says
        so.

        Raises ChainUnavailable, SendUnknown, or BadData for an attempt that `prepare` cannot have made.
        """
        sent = transactions.check_is_for(attempt, self._chain_id, self.contract)
        try:
            self._node.send(attempt.raw)
        except TransactionRejected as refused:
            if refused.reason == "fee":
                self._underpriced.add(sent.hash)
            elif refused.reason != "nonce" and self._is_own(sent):
                raise

    def confirm(self, attempt: Attempt) -> Standing:
        return self._standing(transactions.check_is_for(attempt, self._chain_id, self.contract))

    def _is_own(self, sent: Sent) -> bool:
        """Return True if the transaction is of this key. An earlier operator's account may have no money,
        permanently."""
        return self._key is None or sent.sender == self._key.address

    def _standing(self, sent: Sent) -> Standing:
        # The final block is read first: otherwise a transaction that is mined in between could count as replaced.
        final = self.final_block()
        block = self._mined(sent)
        if block is not None:
            return "final" if block <= final else "pending"
        if self._node.transaction(sent.hash) is not None:
            return "pending"
        # The state of an old block is read only if necessary: not every node keeps it for long.
        spent = self._node.nonce(sent.sender) > sent.nonce and self._node.nonce(sent.sender, final) > sent.nonce
        return "replaced" if spent else "gone"

    def _mined(self, sent: Sent) -> int | None:
        """Return the number of the block that has a transaction; None if no block has it.

        A receipt may be of a block that a reorganisation has replaced, so its block's hash is compared.
        """
        receipt = self._node.receipt(sent.hash)
        if receipt is None:
            return None
        block = self._node.block(receipt["blockNumber"])
        is_canonical = block is not None and block.hash == HexBytes(receipt["blockHash"]).to_0x_hex()
        return receipt["blockNumber"] if is_canonical else None

    def pause(self) -> None:
        """Sleep for `pause_seconds`."""
        time.sleep(self._pause_seconds)

    def close(self) -> None:
        """Close the connection to the node. A second call does nothing."""
        self._node.close()

    @property
    def _account(self) -> LocalAccount:
        if self._key is None:
            raise BadData(
                "this connection is read-only: it has no operator's key", "set TOLLBOOK_EVM_KEY, and run again"
            )
        return self._key

    def check_operator(self) -> None:
        """Raise SettlementStopped if the key is not the operator's."""
        if (operator := self._contract.operator()) != self._account.address:
            raise SettlementStopped(
                f"the key is that of {self._account.address}, and the operator of {self.contract} is {operator}",
                "give the operator's key, or have the contract's owner name the new one",
            )
