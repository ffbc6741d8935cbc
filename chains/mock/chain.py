"""The mock chain: what the ledger asks of a chain, what its users do there, and what a test makes happen to it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from ledger.amounts import is_whole
from ledger.errors import BadData, ChainUnavailable, SendUnknown
from ledger.plugins import contract_of
from ledger.settlement.messages import (
    Attempt,
    Batch,
    ChainFact,
    Found,
    Standing,
)

from .. import leaf_file
from ..commitment import to_hex
from ..leaves import keccak
from . import batches, transactions
from .controls import Controls
from .faults import (
    Delay,
    Drop,
    Duplicate,
    Fault,
    Lie,
    Refuse,
    SettleThenTimeOut,
    TimeOut,
)
from .node import LastSent, MockDeployment, Waiting
from .shared import SharedNode
from .storage import Storage
from .transactions import CommitCall, Transaction
from .users import Users


class MockChain(Users, Controls):
    """A chain with one settlement contract, in memory or in the file `where`, spoken to with the operator's key.

    `finality` is the blocks on top that make one final, `window` the challenge window and `exit_delay` the wait of an
    exit without help, all in blocks. These and the names are fixed when a chain is made; opening a file with others
    raises BadData, and what is not given is the file's. `automine`: what is sent is mined at once. `script`: faults,
    added to those the file still has.
    """

    def __init__(
        self,
        where: Path | str | None = None,
        *,
        name: str | None = None,
        contract: str | None = None,
        finality: int | None = None,
        window: int | None = None,
        exit_delay: int | None = None,
        automine: bool | None = None,
        script: Iterable[Fault] = (),
    ) -> None:
        numbers = {"finality": finality, "window": window, "exit_delay": exit_delay}
        for key, number in numbers.items():
            if number is not None and not is_whole(number):
                raise BadData(f"{key} is a whole number, 0 or more, not {number!r}")
        lasting: dict[str, object] = {"name": name, "contract": contract, "finality": finality}
        lasting |= {"window": window, "exit_delay": exit_delay}
        given = {key: value for key, value in lasting.items() if value is not None}
        try:
            deployment = msgspec.convert(given, MockDeployment)
        except msgspec.ValidationError as error:
            raise BadData(f"a chain and its contract have names: {error}") from error
        if not (deployment.name.startswith("mock:") and deployment.name[5:] and deployment.contract):
            raise BadData(f"{deployment.name!r} is not the name of a mock chain", "write mock: and a name")
        storage = Storage(None if where is None else Path(where), deployment, frozenset(given))
        super().__init__(SharedNode(storage))
        try:
            with self.together():
                if automine is not None:
                    self.automine = automine
                self.script(*script)
        except BaseException:
            self.close()
            raise

    # -- the protocol of chains ----------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The chain's CAIP-2 name."""
        return self._node.deployment.name

    @property
    def contract(self) -> str:
        """The settlement contract's name there."""
        return self._node.deployment.contract

    def facts(self, after: int = 0, confirmations: int | None = None) -> Iterable[ChainFact]:
        """Purchases and exits in blocks after `after`, in order: final ones, or those with that many blocks on top."""
        with self._calling("facts") as asked:
            final = self._final(asked)
            last = final if confirmations is None else self._node.height - confirmations
            all_facts, block_of = self._node.state.facts, lambda fact: fact.block
            first, end = (bisect_right(all_facts, block, key=block_of) for block in (after, last))
            facts = all_facts[first:end]
            return [fact if fact.block <= final else msgspec.structs.replace(fact, final=False) for fact in facts]

    def final_block(self) -> int:
        """Return the number of the last final block; 0, the genesis, where none is known to be."""
        with self._calling("final_block") as asked:
            return self._final(asked)

    def simulate(self, batch: Batch) -> str | None:
        """Return why the chain would refuse the batch's next step now; None where it would take it.

        Batches of lower numbers that are on their way are taken as having come, in the pool or in their window.
        """
        with self._calling("simulate") as asked:
            if isinstance(asked.fault, Refuse):
                return asked.fault.reason
            return batches.simulate(self._node, batch)

    def prepare(self, batch: Batch, attempts: Sequence[Attempt]) -> Attempt | None:
        """Return the batch's next step, signed and unsent, or None where it is best to wait. Its leaf file is published
        first.

        Raises ValueError for a batch that cannot be committed to, and BadData for attempts that are not this chain's.
        """
        with self._calling("prepare"):
            attempt = batches.prepare(self._node, batch, attempts)
            if attempt is not None:
                file = leaf_file.encode(batch)
                self._shared.publish(to_hex(keccak(file)), file)
            return attempt

    def send(self, attempt: Attempt) -> None:
        """Broadcast it; the same one again is harmless. One that the chain rejects is dropped silently:
        `confirm` shows it. Raises ChainUnavailable, SendUnknown, or BadData for what `prepare` cannot have made."""
        sent = transactions.read(attempt.raw)
        transactions.check_operators(sent.signed, contract_of(self), self._shared.published)
        with self._calling("send") as asked, self._shared.changing():
            fault = asked.fault
            if isinstance(fault, Refuse):
                asked.trouble = ChainUnavailable(fault.reason)
                return
            self._node.pending.sent = _sent(sent)
            if isinstance(fault, SettleThenTimeOut | TimeOut):
                asked.trouble = SendUnknown("no answer came in time")
            if isinstance(fault, Drop | TimeOut):
                return
            self._node.offer(sent, self._node.height + 1 + (fault.blocks if isinstance(fault, Delay) else 0))
            if isinstance(fault, Duplicate):
                self._node.pending.arriving.append(Waiting(sent, self._node.height + 1 + fault.blocks))
            if isinstance(fault, SettleThenTimeOut) and not self._node.pending.automine:
                self._node.mine()
            self._automine()

    def find(self, number: int) -> Found:
        """Return how the chain has the batch of that number."""
        with self._calling("find", number=number) as asked:
            sent = self._node.pending.sent
            if isinstance(asked.fault, Lie) and sent is not None:
                return Found(
                    stage="executed",
                    digest=sent.digest,
                    data_hash=sent.data_hash,
                    root=sent.root,
                    transaction=sent.transaction,
                    block=self._node.height,
                )
            return batches.find(self._node, number, self._final(asked))

    def confirm(self, attempt: Attempt) -> Standing:
        """Return what became of a transaction."""
        sent = transactions.read(attempt.raw)
        with self._calling("confirm", transaction=sent) as asked:
            if isinstance(asked.fault, Lie):
                return "pending"
            return batches.standing(self._node, sent, self._final(asked))

    def published(self, number: int) -> bytes | None:
        """Return the leaf file that was published with a batch; None where no block has it."""
        with self._calling("published"):
            recorded = self._node.state.batches.get(number)
            return self._shared.published(recorded.commitment.data_hash) if recorded else None

    def due(self, receiver: str, asset: str) -> int:
        """Return what the contract owes a receiver, signed: below 0 later payouts fill it first."""
        with self._calling("due"):
            return self._node.state.due[asset].get(receiver, 0)

    def claimed(self, receiver: str, asset: str) -> int:
        """Return what the contract has paid to a receiver of what was due to it, so far."""
        with self._calling("claimed"):
            return self._node.state.paid_out.get((receiver, asset), 0)

    def escrow(self, asset: str) -> int:
        """Return the contract's money that is not due to receivers, in the asset's smallest unit."""
        with self._calling("escrow"):
            return self._node.state.escrow.get(asset, 0)

    def pause(self) -> None:
        """Mine one block."""
        self.mine()


def _sent(transaction: Transaction) -> LastSent:
    call = transaction.call
    if not isinstance(call, CommitCall):
        return LastSent(transaction.hash)
    return LastSent(
        transaction.hash, call.number, call.commitment.digest, call.commitment.data_hash, call.commitment.root
    )
