"""The contract on an EVM chain as the outbox and the watcher ask it, with the operator's key.

A node's answers are as of different moments, and a re-organisation may come between them. So what is put together from
several is read as of one block, and read again where the chain has another block there at the end.

Nothing here is asynchronous: in an event loop, let a thread ask (`asyncio.to_thread(outbox.settle)`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3.types import LogReceipt, TxParams

from ledger.errors import BadData, ChainUnavailable, SettlementStopped
from ledger.settlement.messages import Attempt, Batch, ChainFact, Found, Standing
from ledger.settlement.messages import Stage as FoundStage

from .. import leaf_file
from ..commitment import to_hex
from . import addresses, commitment, transactions
from .contract import Committed, Record, SettlementContract, Stage
from .facts import MAX_TRIES, Scan
from .logs import Logs, hash_of
from .node import Contradiction, Header, Node, NotTaken, Reverted
from .publishing import LeafFiles
from .reverts import reason
from .tokens import Token
from .transactions import Fees, Sent

T = TypeVar("T")

GAS_MARGIN = 8
"""An eighth more gas than was estimated: what is not used is not paid."""

FIXED_GAS = 300_000
"""What a batch may use besides its receivers and its bytes, where the node cannot estimate it: it stands in line."""

RECEIVER_GAS = 23_500
"""What one receiver may use besides its bytes: its due is stored, often for the first time."""

ZERO_GAS, BYTE_GAS = 4, 16
"""What a byte of a call's data uses: one that is 0, and any other. A payout has 64, and most are 0 of a small one."""

CLAIMED_GAS = 17_100
"""What one receiver uses more if it is paid all that it is owed between the estimate and the block: anyone may do that,
and its due is stored anew."""

MAX_GAS = 1 << 24
"""Osaka's limit for one transaction."""

PAUSE_SECONDS = 2.0
"""How long a pause is, unless the settings say otherwise."""


class Slot(NamedTuple):
    """The place of a transaction: its nonce, and what it pays for gas."""

    nonce: int
    fees: Fees


class Claims(NamedTuple):
    """What receivers have claimed of a token as of a block: the token and the block's hash, and amounts by receiver."""

    block: tuple[str, str]
    amounts: Counter[str]


class EvmChain:
    """One `UsageSettlement`. `account` is the operator's; without one nothing can be simulated, signed or sent.

    `max_fee` is the most that a unit of gas may cost, in the coin's smallest unit. All methods raise ChainUnavailable.
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
        self._node, self._contract, self._files, self._chain_id = node, contract, files, chain_id
        self._key, self._max_fee, self._pause_seconds = account, max_fee, pause_seconds
        self._logs = Logs(node, contract.address)
        self._scan = Scan(contract, self.name, self._logs)
        self._final = self._height = 0
        self._claims = Claims(("", ""), Counter())
        self._unwanted: set[str] = set()  # transactions that the node found too cheap to take in

    @property
    def name(self) -> str:
        """The chain's CAIP-2 name."""
        return addresses.chain_name(self._chain_id)

    @property
    def contract(self) -> str:
        """The contract's address, in its one spelling."""
        return self._contract.address

    # -- what the chain tells ------------------------------------------------------------------------------------------

    def facts(self, after: int = 0, confirmations: int | None = None) -> Iterable[ChainFact]:
        """Purchases and exits in blocks after `after`, in order: final ones, or those with that many blocks on top."""
        final = self.final_block()
        last = final if confirmations is None else self._head().number - confirmations
        return self._scan.facts(after, last, final)

    def final_block(self) -> int:
        """The number of the last final block. It never goes back while the connection lasts."""
        self._final = max(self._final, self._node.final_block())
        return self._final

    def find(self, number: int) -> Found:
        """How the chain has the batch of that number."""
        return self._as_of_one_block(lambda final, head: self._find(number, final, head))

    def _find(self, number: int, final: int, head: Header) -> Found:
        record = self._record(number, head)
        if record.stage is Stage.absent:
            return Found(stage="absent")
        committed = self._committed(number, record, head)
        moved = committed.transaction
        if record.stage is not Stage.committed:
            event = "BatchExecuted" if record.stage is Stage.executed else "BatchCancelled"
            moved = self._transaction(event, number, record.moved_block)
        return Found(
            stage=_STAGES[record.stage],
            digest=record.digest,
            data_hash=to_hex(committed.batch.data_hash),
            root=to_hex(committed.batch.usage_root),
            transaction=moved,
            block=record.moved_block,
            final=record.moved_block <= final,
            ready=record.stage is not Stage.committed or self._is_ready(number, record, head),
        )

    def published(self, number: int) -> bytes | None:
        """The leaf file that was published with a batch: from the operator's folder, or from where its uri leads."""

        return self._as_of_one_block(lambda _, head: self._published(number, self._record(number, head), head))

    def _published(self, number: int, record: Record, head: Header) -> bytes | None:
        if record.stage is Stage.absent:
            return None
        committed = self._committed(number, record, head)
        return self._files.find(to_hex(committed.batch.data_hash), committed.uri)

    def access(self, subscriber: str, plan: str) -> bool:
        """Whether the subscriber has bought the plan and not asked to leave. Time windows are the ledger's."""
        return self._contract.has_access(addresses.address(subscriber), addresses.plan_id(plan))

    def due(self, receiver: str, asset: str) -> int:
        """What the contract owes a receiver, signed: below 0 later payouts fill it first."""
        token = self._token(asset)
        return 0 if token is None else self._contract.due(token, addresses.address(receiver))

    def claimed(self, receiver: str, asset: str) -> int:
        """What the contract has paid to a receiver of what was due to it, so far."""
        if (token := self._token(asset)) is None:
            return 0

        def read(_: int, head: Header) -> int:
            if self._claims.block != (token, head.hash):
                self._claims = Claims((token, head.hash), self._claimed_by_all(token, head))
            return self._claims.amounts[addresses.address(receiver)]

        return self._as_of_one_block(read)

    def _claimed_by_all(self, token: str, head: Header) -> Counter[str]:
        """What every receiver has claimed of a token: who asks for one mostly asks for all."""
        amounts: Counter[str] = Counter()
        topics = [self._contract.topic("Claimed"), _word(token)]
        for log in self._logs.between(topics, self._contract.deployed_block, head.number):
            receiver = addresses.address(to_hex(bytes(log["topics"][2][-20:])))
            amounts[receiver] += int.from_bytes(bytes(log["data"]), "big")
        return amounts

    def escrow(self, asset: str) -> int:
        """What the contract holds for who bought: what was paid in, less exits and what has moved to dues."""
        token = self._token(asset)
        return 0 if token is None else self._contract.escrow(token)

    def holdings(self, asset: str) -> int:
        """What the contract has of a token, as the token says, or of the chain's own coin."""
        token = self._token(asset)
        return 0 if token is None else Token(self._node, token).balance(self.contract)

    def _token(self, asset: str) -> str | None:
        """The asset's token; None for an asset of another chain, of which nothing can be here."""
        token = addresses.token(asset)
        return token if asset.startswith(f"{self.name}/") else None

    def _record(self, number: int, head: Header) -> Record:
        return self._contract.record(number, head.number)

    def _is_ready(self, number: int, record: Record, head: Header) -> bool:
        """Whether a batch's window is over, and it is the first that waits."""
        first = self._contract.settled_number(head.number) + 1
        while first < number and self._record(first, head).stage is Stage.cancelled:
            first += 1
        return first == number and head.timestamp >= record.committed_at + self._contract.challenge_window

    def _committed(self, number: int, record: Record, head: Header) -> Committed:
        digest, committed = self._contract.committed(self._log("BatchCommitted", number, record.committed_block))
        if digest != record.digest:
            raise ChainUnavailable(f"the node's log of batch {number} is not what it has recorded", "ask another node")
        return committed

    def _transaction(self, event: str, number: int, block: int) -> str:
        return hash_of(self._log(event, number, block))

    def _log(self, event: str, number: int, block: int) -> LogReceipt:
        """The one log of that event of a batch, which the contract says is in that block."""
        topics = [self._contract.topic(event), f"0x{number:064x}"]
        logs = self._node.logs(block, block, self.contract, topics)
        if len(logs) != 1:
            raise ChainUnavailable(
                f"the node has no log {event} of batch {number} in block {block}, where the contract has recorded it",
                "ask a node that keeps its logs",
            )
        return logs[0]

    def _as_of_one_block(self, read: Callable[[int, Header], T]) -> T:
        """What `read` makes of the last final block's number and of a block that is the chain's before and after.

        It may be told that it reads nonsense, or that a block is not there: one node behind a load balancer knows less
        than another. So it is done again.
        """
        trouble = ChainUnavailable("the chain changes faster than it can be read", "run again, or ask another node")
        for _ in range(MAX_TRIES):
            final = self.final_block()  # first, so that a head below it shows a node that contradicts itself
            head = self._head()
            try:
                answer = read(final, head)
            except ChainUnavailable as error:
                trouble = error
                continue
            found = self._node.block(head.number)
            if found is not None and found.hash == head.hash:
                return answer
        raise trouble

    def _head(self) -> Header:
        """The last block. One that is below the last one seen is believed when the node has said so again and again:
        behind a load balancer there are nodes that lag."""
        for left in reversed(range(MAX_TRIES)):
            try:
                head = self._node.head()
            except Contradiction:
                if not left:
                    raise
                continue
            if head.number >= self._height:
                break
        self._height = head.number
        return head

    # -- what is sent --------------------------------------------------------------------------------------------------

    def simulate(self, batch: Batch) -> str | None:
        """Why the contract would refuse the batch's next step now; None where it would take it.

        Where batches wait in a challenge window, they are taken as having been paid out. Raises SettlementStopped where
        the key is not the operator's.
        """
        try:
            digest = self._digest(batch)
        except ValueError as error:
            return f"BatchMalformed({error})"
        refused = self._as_of_one_block(lambda _, head: self._refused(batch, digest, head))
        if refused is not None and refused.startswith("NotOperator("):
            self.check_operator()  # the batch is right, and stays open for who may send it
        return refused

    def _refused(self, batch: Batch, digest: str, head: Header) -> str | None:
        record = self._record(batch.number, head)
        if record.stage is Stage.committed and record.digest == digest:
            return self._refusal(self._contract.execute_data(batch), head)
        return self._refusal(self._contract.settle_data(batch, ""), head) or self._overspends(batch, head)

    def _digest(self, batch: Batch) -> str:
        """A batch's digest. Raises ValueError for one that is not for this contract: its calls would be taken here."""
        if (batch.chain, batch.contract) != (self.name, self.contract):
            raise ValueError(f"it is for {batch.contract} on {batch.chain}, not for {self.contract} on {self.name}")
        if self._token(batch.asset) is None:
            raise ValueError(f"{batch.asset} is not on {self.name}")
        return commitment.commitment_of(batch).digest

    def _refusal(self, data: bytes, head: Header) -> str | None:
        try:
            self._node.call(self._transaction_of(data), head.number)
        except Reverted as reverted:
            return reason(reverted)
        return None

    def _overspends(self, batch: Batch, head: Header) -> str | None:
        """Why a windowed batch could not be paid out: a contract without a window finds that out by itself."""
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
        """A batch of that asset that waits to be paid out; None where there is none, or its leaf file is not found."""
        record = self._record(number, head)
        data = self._published(number, record, head) if record.stage is Stage.committed else None
        batch = None if data is None else leaf_file.decode(data)
        return batch if batch is not None and batch.asset == asset else None

    def _moved(self, batch: Batch | None, token: str, owed: dict[str, int], head: Header) -> int:
        """What a batch takes out of escrow: the change of what is due above 0. `owed` goes on from batch to batch."""
        moved = 0
        for payout in batch.payouts if batch is not None else ():
            if payout.receiver not in owed:
                owed[payout.receiver] = self._contract.due(token, payout.receiver, head.number)
            before = owed[payout.receiver]
            owed[payout.receiver] = before + payout.amount
            moved += max(before + payout.amount, 0) - max(before, 0)
        return moved

    def prepare(self, batch: Batch, attempts: Sequence[Attempt]) -> Attempt | None:
        """The batch's next step, signed and unsent, or None where it is best to wait. Its leaf file is published first.

        Raises ValueError for a batch that cannot be committed to, BadData for attempts that are not this contract's,
        and ChainUnavailable where the operator's account could not pay for it.
        """
        data = self._next_call(batch)
        if data is None:
            return None
        sent = [transactions.check_is_for(each, self._chain_id, self.contract) for each in attempts]
        mine = [one for one in sent if one.sender == self._account.address]
        latest, gas_price = self._node.nonce(self._account.address), self._node.fees()
        free = Slot(max(latest, transactions.first_free(mine)), self._fees(*gas_price))
        own = [one for one, attempt in zip(sent, attempts, strict=True) if attempt.number == batch.number]
        follows = own and own[-1] in mine
        slot = self._after(own[-1], mine, data, latest, gas_price.base, free) if follows else free
        if slot is None:
            return None
        count = 1 + max((each.attempt for each in attempts if each.number == batch.number), default=0)
        return self._sign(batch, data, slot, count)

    def _next_call(self, batch: Batch) -> bytes | None:
        """The step that the chain waits for; None where it waits for none, or has another batch of that number."""
        digest, found = self._digest(batch), self.find(batch.number)
        if found.stage == "absent":
            return self._contract.settle_data(batch, self._files.publish(leaf_file.encode(batch)))
        if found.stage == "committed" and found.digest == digest and found.ready:
            return self._contract.execute_data(batch)
        return None

    def _after(self, last: Sent, mine: Sequence[Sent], data: bytes, latest: int, base: int, free: Slot) -> Slot | None:
        """The nonce and the fees of what follows a batch's last transaction; None where that is best left alone."""
        same_step = self._contract.is_execution(last.data) == self._contract.is_execution(data)
        standing = self._standing(last)
        if standing == "pending":
            if self._mined(last) is not None:
                return None if same_step else free  # the same step not before that is final
            if self._is_behind_a_gap(last, mine, latest):
                return Slot(latest, free.fees)  # the same batch once more: the number is taken once, by whichever comes
            # Only the lowest open nonce is worth raising: the others wait for it, whatever they pay.
            stuck = last.nonce == latest and last.fees.are_low(base, free.fees.priority)
            return self._replacing(last, free.fees) if stuck else None
        if standing == "gone" and last.nonce >= latest:
            wanted = last.hash not in self._unwanted and last.fees.most >= base
            # As it is, it is sent again by who has it.
            return None if same_step and wanted else self._replacing(last, free.fees)
        return free

    def _replacing(self, last: Sent, fees: Fees) -> Slot | None:
        raised = last.fees.raised().at_least(fees)
        return None if self._max_fee is not None and raised.most > self._max_fee else Slot(last.nonce, raised)

    def _is_behind_a_gap(self, last: Sent, mine: Sequence[Sent], latest: int) -> bool:
        """Whether it waits for a nonce that nothing of ours has that the node knows: a re-organisation took that."""
        return last.nonce > latest and not any(
            one.nonce == latest and self._node.transaction(one.hash) is not None for one in mine
        )

    def _sign(self, batch: Batch, data: bytes, slot: Slot, count: int) -> Attempt:
        gas = self._gas(batch, data)
        has, needs = self._node.balance(self._account.address), gas * slot.fees.most
        if has < needs:
            raise ChainUnavailable(
                f"the operator {self._account.address} has {has} of the coin's smallest unit, and the batch's gas may "
                f"cost {needs}",
                "send it more, and run again",
            )
        raw, made = transactions.sign(
            self._account, chain_id=self._chain_id, to=self.contract, data=data, gas=gas, **slot._asdict()
        )
        return Attempt(batch.number, count, raw, made)

    def _gas(self, batch: Batch, data: bytes) -> int:
        """As the node estimates it; what stands in line behind another cannot be tried yet, and gets what is enough."""
        try:
            estimate = self._node.estimate_gas(self._transaction_of(data))
        except Reverted:
            zeros = data.count(0)
            given = ZERO_GAS * zeros + BYTE_GAS * (len(data) - zeros)
            return min(FIXED_GAS + given + RECEIVER_GAS * len(batch.payouts), MAX_GAS)
        margin = -(-estimate // GAS_MARGIN) + CLAIMED_GAS * len(batch.payouts)
        return min(estimate + margin, MAX_GAS)

    def _transaction_of(self, data: bytes) -> TxParams:
        return {
            "from": to_checksum_address(self._account.address),
            "to": to_checksum_address(self.contract),
            "data": HexBytes(data),
        }

    def _fees(self, base: int, priority: int) -> Fees:
        """The suggested fees: room for the base fee to double."""
        most = 2 * base + priority
        if self._max_fee is not None:
            most = min(most, self._max_fee)
        return Fees(most, min(priority, most))

    def send(self, attempt: Attempt) -> None:
        """Broadcast it; the same one again is harmless. One that the node does not want is not taken in, silently:
        `confirm` tells. Raises ChainUnavailable, SendUnknown, or BadData for what `prepare` cannot have made."""
        sent = transactions.check_is_for(attempt, self._chain_id, self.contract)
        try:
            self._node.send(attempt.raw)
        except NotTaken as refused:
            if refused.reason == "fee":
                self._unwanted.add(sent.hash)
            elif refused.reason != "nonce" and self._is_own(sent):
                raise

    def confirm(self, attempt: Attempt) -> Standing:
        """What became of a transaction."""
        return self._standing(transactions.check_is_for(attempt, self._chain_id, self.contract))

    def _is_own(self, sent: Sent) -> bool:
        """Whether it can be mended with this key: that of an operator before may be out of money for ever."""
        return self._key is None or sent.sender == self._key.address

    def _standing(self, sent: Sent) -> Standing:
        # What is final is asked for first: were it later, one that is mined in between might pass for replaced.
        final = self.final_block()
        block = self._mined(sent)
        if block is not None:
            return "final" if block <= final else "pending"
        if self._node.transaction(sent.hash) is not None:
            return "pending"
        # The state of an old block is asked for only where it matters: not every node keeps it for long.
        spent = self._node.nonce(sent.sender) > sent.nonce and self._node.nonce(sent.sender, final) > sent.nonce
        return "replaced" if spent else "gone"

    def _mined(self, sent: Sent) -> int | None:
        """The block that has a transaction; None where the chain has none. A receipt alone may be of a block that a
        re-organisation has replaced."""
        receipt = self._node.receipt(sent.hash)
        if receipt is None:
            return None
        block = self._node.block(receipt["blockNumber"])
        stands = block is not None and block.hash == HexBytes(receipt["blockHash"]).to_0x_hex()
        return receipt["blockNumber"] if stands else None

    def pause(self) -> None:
        """Sleep for about as long as there may be no news."""
        time.sleep(self._pause_seconds)

    def close(self) -> None:
        """Let go of the node. A second call does nothing."""
        self._node.close()

    @property
    def _account(self) -> LocalAccount:
        if self._key is None:
            raise BadData("this connection only reads: it has no operator's key", "set TOLLBOOK_EVM_KEY, and run again")
        return self._key

    def check_operator(self) -> None:
        """Raises SettlementStopped where the key is not the operator's."""
        if (operator := self._contract.operator()) != self._account.address:
            raise SettlementStopped(
                f"the key is that of {self._account.address}, and the operator of {self.contract} is {operator}",
                "give the operator's key, or have the contract's owner name the new one",
            )


_STAGES: dict[Stage, FoundStage] = {
    Stage.committed: "committed",
    Stage.executed: "executed",
    Stage.cancelled: "cancelled",
}


def _word(address: str) -> str:
    """An address as a log's topic."""
    return f"0x{int(address, 16):064x}"
