"""The node of a mock chain, in memory: blocks, mempool, mining and reorganisations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from . import contract, faults
from .faults import Script
from .state import Rules, State
from .transactions import Call, CommitCall, Signed, SpendNonceCall, Transaction, hash_of, sign


class MockDeployment(Rules, frozen=True, kw_only=True):
    """The parameters of a chain, which never change; `finality` is the number of blocks on top that make one final."""

    name: str = "mock:local"
    contract: str = "tollbook"
    finality: int = 2


class Waiting(msgspec.Struct, frozen=True):
    """A transaction in the pool, or on its way there, which can be mined from block `block` on."""

    transaction: Transaction
    block: int


class MockBlock(msgspec.Struct, frozen=True):
    """A block: its number, its hash (0x hex, which covers the previous block's hash), and its transactions."""

    number: int
    hash: str
    transactions: tuple[Transaction, ...]


class WaitingCommit(NamedTuple):
    """A batch in the pool, and its transaction's hash."""

    call: CommitCall
    hash: str


class LastSent(msgspec.Struct, frozen=True):
    """The transaction that was sent last, for a node that lies about it. `number` is 0 if it records no batch."""

    transaction: str
    number: int = 0
    digest: str = ""
    data_hash: str = ""
    root: str = ""


class PendingState(msgspec.Struct, kw_only=True):
    """Mempool, base fee, decimals of assets, fault script and id counters. The counters only grow, so that no id is
    used twice."""

    base_fee: int = 1
    decimals: dict[str, int] = {}
    automine: bool = True
    serial: int = 0
    purchases: int = 0
    forks: int = 0
    pool: list[Waiting] = []
    arriving: list[Waiting] = []
    script: Script = ()
    sent: LastSent | None = None


class MockNode:
    """Blocks from genesis (number 0) on, the contract's state after them, and the pending state.

    `stored` is the number of the last block that is stored in the file.
    """

    def __init__(self, deployment: MockDeployment) -> None:
        self.deployment = deployment
        self.pending = PendingState()
        genesis = hash_of(f"{deployment.name} {deployment.contract}")
        self.blocks = [MockBlock(0, genesis, ())]
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
        """The nonce of the operator's next transaction, as of mined blocks."""
        return len(self.state.nonces)

    def add(self, block: MockBlock) -> None:
        """Append a block, and fold its transactions."""
        self.blocks.append(block)
        for transaction in block.transactions:
            contract.apply(self.state, self.deployment, transaction, block.number)

    def find(self, hash: str) -> Transaction | None:
        """Return the transaction of that hash in the pool; None if there is none."""
        return next((waiting.transaction for waiting in self.pending.pool if waiting.transaction.hash == hash), None)

    def sign_for_anyone(self, call: Call) -> Transaction:
        """Return a call as a user's transaction."""
        self.pending.serial += 1
        return sign(self._signed(call, serial=self.pending.serial))

    def sign_for_operator(self, call: Call, nonce: int, fee: int) -> Transaction:
        """Return a call as a transaction of the operator."""
        return sign(self._signed(call, nonce=nonce, fee=fee))

    # -- the pool ------------------------------------------------------------------------------------------------------

    def offer(self, transaction: Transaction, block: int = 0) -> None:
        """Add a transaction to the pool, to be mined in block `block` or later.

        It is dropped without an error if the pool has it, if its nonce is spent, or if the pool has another one with
        its nonce and it does not pay 12.5 % more.
        """
        pool, nonce = self.pending.pool, transaction.nonce
        if nonce is not None:
            if nonce < self.next_nonce:
                return
            for index, other in enumerate(pool):
                if other.transaction.nonce == nonce:
                    if other.transaction.hash != transaction.hash and transaction.fee >= raised(other.transaction.fee):
                        pool[index] = Waiting(transaction, block)
                    return
        pool.append(Waiting(transaction, block))

    def waiting_commits(self, below: int) -> list[CommitCall]:
        """Return the batches of lower numbers in the pool, by number."""
        calls = [waiting.transaction.call for waiting in self.pending.pool]
        return sorted(
            (call for call in calls if isinstance(call, CommitCall) and call.number < below),
            key=lambda call: call.number,
        )

    def waiting_commit(self, number: int) -> WaitingCommit | None:
        """Return the batch of that number in the pool; None if there is none."""
        for waiting in self.pending.pool:
            call = waiting.transaction.call
            if isinstance(call, CommitCall) and call.number == number:
                return WaitingCommit(call, waiting.transaction.hash)
        return None

    def ready(self) -> list[Transaction]:
        """Return the transactions that the next block can have: users' by arrival, and the operator's by nonce."""
        number, nonce, taken = self.height + 1, self.next_nonce, []
        left = [waiting.transaction for waiting in self.pending.pool if waiting.block <= number]
        while True:
            passed = []
            for transaction in left:
                if transaction.nonce is None:
                    taken.append(transaction)
                elif transaction.nonce == nonce and transaction.fee >= self.pending.base_fee:
                    taken.append(transaction)
                    nonce += 1
                else:
                    passed.append(transaction)
            if len(passed) == len(left):
                return taken
            left = passed

    # -- blocks --------------------------------------------------------------------------------------------------------

    def mine(self, limit: int | None = None) -> None:
        """Mine one block, with all ready transactions or at most `limit`."""
        number = self.height + 1
        arrived = [waiting for waiting in self.pending.arriving if waiting.block <= number]
        self.pending.arriving = [waiting for waiting in self.pending.arriving if waiting.block > number]
        for waiting in arrived:
            self.offer(waiting.transaction)
        self._append_block(self.ready()[:limit])

    def mine_ready(self) -> None:
        """Mine all ready transactions, each in a separate block."""
        while self.ready():
            self.mine(1)

    def steal_nonce(self) -> None:
        """Mine one block with a transaction by another holder of the operator's key."""
        self._append_block([self.sign_for_operator(SpendNonceCall(), self.next_nonce, self.pending.base_fee)])

    def reorganise(self, depth: int, keep: bool) -> None:
        """Replace the last blocks by as many empty ones; `keep` puts their transactions back into the pool."""
        dropped = self.blocks[-depth:]
        kept = self.blocks[1:-depth]
        self.pending.forks += 1
        self.stored = min(self.stored, self.height - depth)
        self.refold(kept)
        pool = self.pending.pool
        self.pending.pool = []
        for transaction in [mined for block in dropped for mined in block.transactions] if keep else []:
            self.offer(transaction)
        for waiting in pool:
            self.offer(waiting.transaction, waiting.block)
        for _ in range(depth):
            self._append_block([])

    def refold(self, blocks: Iterable[MockBlock]) -> None:
        """Fold the chain again from these blocks, which do not include genesis."""
        del self.blocks[1:]
        self.state = State()
        for block in blocks:
            self.add(block)

    def _append_block(self, transactions: list[Transaction]) -> None:
        number, before = self.height + 1, self.blocks[-1].hash
        content = " ".join(
            [before, str(number), str(self.pending.forks), *(transaction.hash for transaction in transactions)]
        )
        self.add(MockBlock(number, hash_of(content), tuple(transactions)))
        mined = {transaction.hash for transaction in transactions}
        self.pending.pool = [
            waiting
            for waiting in self.pending.pool
            if waiting.transaction.hash not in mined
            and (waiting.transaction.nonce is None or waiting.transaction.nonce >= self.next_nonce)
        ]
        self.pending.script = faults.after_block(self.pending.script)

    def _signed(self, call: Call, nonce: int | None = None, fee: int = 0, serial: int = 0) -> Signed:
        name, address = self.deployment.name, self.deployment.contract
        return Signed(chain=name, contract=address, nonce=nonce, fee=fee, serial=serial, call=call)


def raised(fee: int) -> int:
    """Return the lowest fee that replaces a transaction of this fee: 12.5 % more, rounded up."""
    return max(-(-fee * 9 // 8), fee + 1)
