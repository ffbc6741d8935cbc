"""The node of a mock chain: blocks, the pool of what is not mined yet, mining, and re-organisations. In memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from . import contract, faults
from .contract import Rules, State
from .faults import Script
from .transactions import Call, Commit, Nothing, Signed, Transaction, hash_of, sign


class Deployment(Rules, frozen=True, kw_only=True):
    """What a chain is made with and keeps for life; `finality` is the blocks on top that make one final."""

    name: str = "mock:local"
    contract: str = "tollbook"
    finality: int = 2


class Waiting(msgspec.Struct, frozen=True):
    """A transaction in the pool, or on its way there: from block `block` on."""

    transaction: Transaction
    block: int


class Block(msgspec.Struct, frozen=True):
    """A block: its number, its hash (0x hex, which covers the block before it), and its transactions."""

    number: int
    hash: str
    transactions: tuple[Transaction, ...]


class WaitingCommit(NamedTuple):
    """A batch in the pool, and its transaction's hash."""

    call: Commit
    hash: str


class Sent(msgspec.Struct, frozen=True):
    """What was sent last, for a node that lies about it. `number` is 0 where it records no batch."""

    transaction: str
    number: int = 0
    digest: str = ""
    data_hash: str = ""
    root: str = ""


class Loose(msgspec.Struct, kw_only=True):
    """All that a node holds beside its blocks. The counters only grow, so that nothing is ever made twice."""

    base_fee: int = 1
    automine: bool = True
    serial: int = 0
    purchases: int = 0
    forks: int = 0
    pool: list[Waiting] = []
    arriving: list[Waiting] = []
    script: Script = ()
    sent: Sent | None = None


class Node:
    """Blocks from genesis (number 0) on, what the contract makes of them, and what waits.

    `stored` is the number up to which blocks are in the file as they are here.
    """

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.loose = Loose()
        genesis = hash_of(f"{deployment.name} {deployment.contract}")
        self.blocks = [Block(0, genesis, ())]
        self.state = State()
        self.stored = -1

    @property
    def height(self) -> int:
        """The last block's number."""
        return len(self.blocks) - 1

    @property
    def final(self) -> int:
        """The last final block's number."""
        return max(self.height - self.deployment.finality, 0)

    @property
    def next_nonce(self) -> int:
        """The nonce that the operator's next mined transaction has."""
        return len(self.state.nonces)

    def add(self, block: Block) -> None:
        """Fold one block more."""
        self.blocks.append(block)
        for transaction in block.transactions:
            contract.apply(self.state, self.deployment, transaction, block.number)

    def find(self, hash: str) -> Transaction | None:
        """A transaction of the pool."""
        return next((waiting.transaction for waiting in self.loose.pool if waiting.transaction.hash == hash), None)

    def sign_for_anyone(self, call: Call) -> Transaction:
        """A transaction of somebody who is not the operator."""
        self.loose.serial += 1
        return sign(self._signed(call, serial=self.loose.serial))

    def sign_for_operator(self, call: Call, nonce: int, fee: int) -> Transaction:
        """A transaction of the operator's key."""
        return sign(self._signed(call, nonce=nonce, fee=fee))

    # -- the pool ------------------------------------------------------------------------------------------------------

    def offer(self, transaction: Transaction, block: int = 0) -> None:
        """Take a transaction into the pool, to be mined in block `block` or later.

        One that is there or whose nonce is spent is not wanted, as is one that pays less than 12.5 % more than another
        with its nonce: `confirm` says what became of it.
        """
        pool, nonce = self.loose.pool, transaction.nonce
        if nonce is not None:
            if nonce < self.next_nonce:
                return
            for place, other in enumerate(pool):
                if other.transaction.nonce == nonce:
                    if other.transaction.hash != transaction.hash and transaction.fee >= raised(other.transaction.fee):
                        pool[place] = Waiting(transaction, block)
                    return
        pool.append(Waiting(transaction, block))

    def waiting_commits(self, below: int) -> list[Commit]:
        """The batches of lower numbers that wait in the pool, in order."""
        calls = [waiting.transaction.call for waiting in self.loose.pool]
        return sorted(
            (call for call in calls if isinstance(call, Commit) and call.number < below), key=lambda call: call.number
        )

    def waiting_commit(self, number: int) -> WaitingCommit | None:
        """The batch of that number in the pool."""
        for waiting in self.loose.pool:
            call = waiting.transaction.call
            if isinstance(call, Commit) and call.number == number:
                return WaitingCommit(call, waiting.transaction.hash)
        return None

    def ready(self) -> list[Transaction]:
        """What the next block may hold, in the order in which it goes in: arrival, and the operator's by nonce."""
        number, nonce, taken = self.height + 1, self.next_nonce, []
        left = [waiting.transaction for waiting in self.loose.pool if waiting.block <= number]
        while True:
            passed = []
            for transaction in left:
                if transaction.nonce is None:
                    taken.append(transaction)
                elif transaction.nonce == nonce and transaction.fee >= self.loose.base_fee:
                    taken.append(transaction)
                    nonce += 1
                else:
                    passed.append(transaction)
            if len(passed) == len(left):
                return taken
            left = passed

    # -- blocks --------------------------------------------------------------------------------------------------------

    def mine(self, most: int | None = None) -> None:
        """One block, with all that is ready or at most so many of it."""
        number = self.height + 1
        arrived = [waiting for waiting in self.loose.arriving if waiting.block <= number]
        self.loose.arriving = [waiting for waiting in self.loose.arriving if waiting.block > number]
        for waiting in arrived:
            self.offer(waiting.transaction)
        self._seal(self.ready()[:most])

    def mine_ready(self) -> None:
        """What is ready, each in a block of its own."""
        while self.ready():
            self.mine(1)

    def steal_nonce(self) -> None:
        """One block with a transaction by another holder of the operator's key."""
        self._seal([self.sign_for_operator(Nothing(), self.next_nonce, self.loose.base_fee)])

    def reorganise(self, depth: int, keep: bool) -> None:
        """Replace the last blocks by as many empty ones; `keep` puts what they held back in the pool."""
        dropped = self.blocks[-depth:]
        kept = self.blocks[1:-depth]
        self.loose.forks += 1
        self.stored = min(self.stored, self.height - depth)
        self.refold(kept)
        pool = self.loose.pool
        self.loose.pool = []
        for transaction in [one for block in dropped for one in block.transactions] if keep else []:
            self.offer(transaction)
        for waiting in pool:
            self.offer(waiting.transaction, waiting.block)
        for _ in range(depth):
            self._seal([])

    def refold(self, blocks: Iterable[Block]) -> None:
        """Fold the chain anew from these blocks, genesis left out."""
        del self.blocks[1:]
        self.state = State()
        for block in blocks:
            self.add(block)

    def _seal(self, transactions: list[Transaction]) -> None:
        number, before = self.height + 1, self.blocks[-1].hash
        content = " ".join([before, str(number), str(self.loose.forks), *(one.hash for one in transactions)])
        self.add(Block(number, hash_of(content), tuple(transactions)))
        mined = {transaction.hash for transaction in transactions}
        self.loose.pool = [
            waiting
            for waiting in self.loose.pool
            if waiting.transaction.hash not in mined
            and (waiting.transaction.nonce is None or waiting.transaction.nonce >= self.next_nonce)
        ]
        self.loose.script = faults.after_block(self.loose.script)

    def _signed(self, call: Call, nonce: int | None = None, fee: int = 0, serial: int = 0) -> Signed:
        name, address = self.deployment.name, self.deployment.contract
        return Signed(chain=name, contract=address, nonce=nonce, fee=fee, serial=serial, call=call)


def raised(fee: int) -> int:
    """The least fee that replaces a transaction with this one: 12.5 % more, rounded up."""
    return max(-(-fee * 9 // 8), fee + 1)
