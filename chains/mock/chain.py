"""The mock chain: the protocol of chains, with users' calls and with controls for tests."""

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
    """A chain with one settlement contract, in memory or in the file `where`, connected with the operator's key.

    `finality` is the number of blocks on top that make one final, `window` the challenge window, and `exit_delay` the
    wait for an exit without the operator, all in blocks. These and the names are fixed when a chain is made; opening a
    file with others raises BadData, and those not given are the file's. With `automine` a sent transaction is mined
    immediately. The faults of `script` are added to those that the file still has.
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
                raise BadData(f"{key} must be a whole number, 0 or more, not {number!r}")
        fixed: dict[str, object] = {"name": name, "contract": contract, "finality": finality}
        fixed |= {"window": window, "exit_delay": exit_delay}
        given = {key: value for key, value in fixed.items() if value is not None}
        try:
            deployment = msgspec.convert(given, MockDeployment)
        except msgspec.ValidationError as error:
            raise BadData(f"the names of a chain and its contract must be text: {error}") from error
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
        return self._node.deployment.name

    @property
    def contract(self) -> str:
        return self._node.deployment.contract

    def facts(self, after: int = 0, confirmations: int | None = None) -> Iterable[ChainFact]:
        with self._calling("facts") as asked:
            final = self._final(asked)
            last = final if confirmations is None else self._node.height - confirmations
            all_facts, block_of = self._node.state.facts, lambda fact: fact.block
            first, end = (bisect_right(all_facts, block, key=block_of) for block in (after, last))
            facts = all_facts[first:end]
            return [fact if fact.block <= final else msgspec.structs.replace(fact, final=False) for fact in facts]

    def final_block(self) -> int:
        """Return the number of the last final block; 0, the genesis, if none is known to be final."""
        with self._calling("final_block") as asked:
            return self._final(asked)

    def simulate(self, batch: Batch) -> str | None:
        """Return why the chain would refuse the batch's next step now; None if it would accept it.

        Batches of lower numbers in the pool or in their window count as paid out.
        """
        with self._calling("simulate") as asked:
            if isinstance(asked.fault, Refuse):
                return asked.fault.reason
            return batches.simulate(self._node, batch)

    def prepare(self, batch: Batch, attempts: Sequence[Attempt]) -> Attempt | None:
        """Publish the batch's leaf file, and return its next step, signed and unsent; None if it is better to wait.

        Raises ValueError for invalid leaves, and BadData for attempts that are not this chain's.
        """
        with self._calling("prepare"):
            attempt = batches.prepare(self._node, batch, attempts)
            if attempt is not None:
                file = leaf_file.encode(batch)
                self._shared.publish(to_hex(keccak(file)), file)
            return attempt

    def send(self, attempt: Attempt) -> None:
        """Broadcast a transaction. One that the chain rejects is dropped without an error: `confirm` then says so.

        Raises ChainUnavailable, SendUnknown, or BadData for an attempt that `prepare` cannot have made.
        """
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
        sent = transactions.read(attempt.raw)
        with self._calling("confirm", transaction=sent) as asked:
            if isinstance(asked.fault, Lie):
                return "pending"
            return batches.standing(self._node, sent, self._final(asked))

    def published(self, number: int) -> bytes | None:
        with self._calling("published"):
            recorded = self._node.state.batches.get(number)
            return self._shared.published(recorded.commitment.data_hash) if recorded else None

    def due(self, receiver: str, asset: str) -> int:
        with self._calling("due"):
            return self._node.state.due[asset].get(receiver, 0)

    def claimed(self, receiver: str, asset: str) -> int:
        with self._calling("claimed"):
            return self._node.state.paid_out.get((receiver, asset), 0)

    def escrow(self, asset: str) -> int:
        with self._calling("escrow"):
            return self._node.state.escrow.get(asset, 0)

    def decimals(self, asset: str) -> int | None:
        """Return the decimals that `set_decimals` gave the asset; None if it gave none."""
        return self._shared.now().pending.decimals.get(asset)

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
