"""The mock chain: what the ledger asks of a chain, what its users do there, and what a test makes happen to it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from ledger.amounts import is_whole
from ledger.errors import BadData, ChainUnavailable, LedgerError, SendUnknown
from ledger.events import Leaf, Share
from ledger.plugins import contract_of
from ledger.settlement.messages import (
    Attempt,
    Batch,
    ChainFact,
    ExitPaid,
    ExitRequested,
    Found,
    PurchaseMade,
    Standing,
)

from .. import leaf_file
from ..commitment import to_hex
from ..leaves import keccak
from . import batches, contract, faults, transactions
from .faults import (
    Delay,
    Drop,
    Duplicate,
    Fault,
    Lie,
    NodeDown,
    Refuse,
    Reorganise,
    SettleThenTimeOut,
    TimeOut,
)
from .node import Deployment, Node, Sent, Waiting
from .shared import SharedNode
from .storage import Storage
from .transactions import Call, Commit, Transaction


class Reverted(LedgerError):
    """The contract refuses a call of a user or the guardian; nothing was sent. The message is its custom error."""

    code = "refused"
    hint = "the contract's rules are in chains/mock/contract.py"


class _Asked:
    """One call under way: the fault that strikes it, whether finality is missing, and what it raises at its end."""

    def __init__(self, fault: Fault | None, blind: bool) -> None:
        self.fault, self.blind = fault, blind
        self.trouble: LedgerError | None = None


class MockChain:
    """A chain with one settlement contract, in memory or in the file `where`, spoken to with the operator's key.

    `finality` is the blocks on top that make one final, `window` the challenge window and `exit_delay` the wait of an
    exit without help, all in blocks. These and the names are fixed when a chain is made; opening a file with others
    raises BadData, and what is not given is the file's. `automine`: what is sent is mined at once. `base_fee`: the
    least fee that gets mined, in the chain's own coin. `script`: faults, added to those the file still has.
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
        base_fee: int | None = None,
        script: Iterable[Fault] = (),
    ) -> None:
        numbers = {"finality": finality, "window": window, "exit_delay": exit_delay, "base_fee": base_fee}
        for key, number in numbers.items():
            if number is not None and not is_whole(number):
                raise BadData(f"{key} is a whole number, 0 or more, not {number!r}")
        lasting: dict[str, object] = {"name": name, "contract": contract, "finality": finality}
        lasting |= {"window": window, "exit_delay": exit_delay}
        given = {key: value for key, value in lasting.items() if value is not None}
        try:
            deployment = msgspec.convert(given, Deployment)
        except msgspec.ValidationError as error:
            raise BadData(f"a chain and its contract have names: {error}") from error
        if not (deployment.name.startswith("mock:") and deployment.name[5:] and deployment.contract):
            raise BadData(f"{deployment.name!r} is not the name of a mock chain", "write mock: and a name")
        storage = Storage(None if where is None else Path(where), deployment, frozenset(given))
        self._shared = SharedNode(storage)
        try:
            with self.together():
                if automine is not None:
                    self.automine = automine
                if base_fee is not None:
                    self.base_fee = base_fee
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
        with self._asked("facts") as asked:
            final = self._final(asked)
            last = final if confirmations is None else self._node.height - confirmations
            found, place = self._node.state.facts, lambda fact: fact.block
            facts = found[bisect_right(found, after, key=place) : bisect_right(found, last, key=place)]
            return [fact if fact.block <= final else msgspec.structs.replace(fact, final=False) for fact in facts]

    def final_block(self) -> int:
        """The number of the last final block; 0, the genesis, where none is known to be."""
        with self._asked("final_block") as asked:
            return self._final(asked)

    def simulate(self, batch: Batch) -> str | None:
        """Why the chain would refuse the batch's next step now; None where it would take it.

        Batches of lower numbers that are on their way are taken as having come, in the pool or in their window.
        """
        with self._asked("simulate") as asked:
            if isinstance(asked.fault, Refuse):
                return asked.fault.reason
            return batches.simulate(self._node, batch)

    def prepare(self, batch: Batch, attempts: Sequence[Attempt]) -> Attempt | None:
        """The batch's next step, signed and unsent, or None where it is best to wait. Its leaf file is published first.

        Raises ValueError for a batch that cannot be committed to, and BadData for attempts that are not this chain's.
        """
        with self._asked("prepare"):
            attempt = batches.prepare(self._node, batch, attempts)
            if attempt is not None:
                file = leaf_file.encode(batch)
                self._shared.publish(to_hex(keccak(file)), file)
            return attempt

    def send(self, attempt: Attempt) -> None:
        """Broadcast it; the same one again is harmless. One that the chain does not want is not taken in, silently:
        `confirm` tells. Raises ChainUnavailable, SendUnknown, or BadData for what `prepare` cannot have made."""
        sent = transactions.read(attempt.raw)
        transactions.check_operators(sent.signed, contract_of(self), self._shared.published)
        with self._asked("send") as asked, self._shared.changing():
            fault = asked.fault
            if isinstance(fault, Refuse):
                asked.trouble = ChainUnavailable(fault.reason)
                return
            self._node.loose.sent = _sent(sent)
            if isinstance(fault, SettleThenTimeOut | TimeOut):
                asked.trouble = SendUnknown("no answer came in time")
            if isinstance(fault, Drop | TimeOut):
                return
            self._node.offer(sent, self._node.height + 1 + (fault.blocks if isinstance(fault, Delay) else 0))
            if isinstance(fault, Duplicate):
                self._node.loose.arriving.append(Waiting(sent, self._node.height + 1 + fault.blocks))
            if isinstance(fault, SettleThenTimeOut) and not self._node.loose.automine:
                self._node.mine()
            self._automine()

    def find(self, number: int) -> Found:
        """How the chain has the batch of that number."""
        with self._asked("find", number=number) as asked:
            sent = self._node.loose.sent
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
        """What became of a transaction."""
        sent = transactions.read(attempt.raw)
        with self._asked("confirm", transaction=sent) as asked:
            if isinstance(asked.fault, Lie):
                return "pending"
            return batches.standing(self._node, sent, self._final(asked))

    def published(self, number: int) -> bytes | None:
        """The leaf file that was published with a batch; None where no block has it."""
        with self._asked("published"):
            recorded = self._node.state.batches.get(number)
            return self._shared.published(recorded.seal.data_hash) if recorded else None

    def access(self, subscriber: str, plan: str) -> bool:
        """Whether the subscriber has bought the plan and not asked to leave. Time windows are the ledger's."""
        with self._asked("access"):
            account, state = (subscriber, plan), self._node.state
            return account in state.buyers and account not in state.leaving

    def due(self, receiver: str, asset: str) -> int:
        """What the contract owes a receiver, signed: below 0 later payouts fill it first."""
        with self._asked("due"):
            return self._node.state.due[asset].get(receiver, 0)

    def claimed(self, receiver: str, asset: str) -> int:
        """What the contract has paid to a receiver of what was due to it, so far."""
        with self._asked("claimed"):
            return self._node.state.paid_out.get((receiver, asset), 0)

    def escrow(self, asset: str) -> int:
        """What of the contract's money is nobody's due yet, in the asset's smallest unit."""
        with self._asked("escrow"):
            return self._node.state.escrow.get(asset, 0)

    def pause(self) -> None:
        """Mine one block."""
        self.mine()

    def close(self) -> None:
        """Let go of the file. A second call does nothing."""
        self._shared.close()

    def __enter__(self) -> MockChain:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what users and the guardian do --------------------------------------------------------------------------------

    def purchase(
        self,
        subscriber: str,
        plan: str,
        asset: str,
        shares: Mapping[str, int],
        *,
        credits: int = 0,
        seconds: int = 0,
        id: str | None = None,
    ) -> PurchaseMade:
        """Buy a plan: the shares, by receiver and in the asset's smallest unit, go into escrow.

        The same order under the same id buys once, and another under it is refused for ever. Without an id it gets one
        of its own. The answer's block is 0 while it waits in the pool. Raises Reverted, or BadData.
        """
        for word in (subscriber, plan, asset):
            _check_name(word)
        if not (is_whole(credits) and is_whole(seconds)):
            raise BadData("credits and seconds are whole numbers, 0 or more")
        if id is not None and (not id or id.startswith("exit:")):
            raise BadData(f"{id!r} cannot be the id of a purchase", "give one that does not begin with exit:")
        for receiver, amount in shares.items():
            _check_name(receiver)
            if not is_whole(amount, maximum=None):
                raise BadData(f"a share is a whole number, 0 or more, not {amount!r}")
        with self._shared.changing():
            order = transactions.Purchase(
                id=self._new_purchase() if id is None else id,
                subscriber=subscriber,
                plan=plan,
                asset=asset,
                shares=tuple(Share(receiver, amount) for receiver, amount in shares.items()),
                credits=credits,
                seconds=seconds,
            )
            if self._node.state.purchases.get(order.id) != order:
                self._make(order)
            fact = self._fact(order.id)
            return fact if isinstance(fact, PurchaseMade) else _unmined(contract.purchase_fact(order, 0))

    def request_exit(self, subscriber: str, plan: str) -> ExitRequested:
        """A subscriber asks to leave. The answer's block is 0 while it waits in the pool. Raises Reverted."""
        with self._doing(transactions.RequestExit(subscriber=subscriber, plan=plan)):
            id = contract.exit_id("requested", subscriber, plan)
            fact = self._fact(id)
            if isinstance(fact, ExitRequested):
                return fact
            return ExitRequested(id=id, block=0, subscriber=subscriber, plan=plan, final=False)

    def exit(
        self, subscriber: str, plan: str, asset: str, leaf: Leaf | None = None, proof: Sequence[str] = ()
    ) -> ExitPaid | None:
        """Take the unspent rest: by a leaf and its proof against the final root of the asset, or, after the exit delay,
        without a leaf. That claims that nothing was charged; called again one more delay later it pays, unless it was
        refuted. None where nothing was paid yet. Raises Reverted.
        """
        call = transactions.Exit(subscriber=subscriber, plan=plan, asset=asset, leaf=leaf, proof=tuple(proof))
        with self._doing(call):
            fact = self._fact(contract.exit_id("paid", subscriber, plan, asset))
            return fact if isinstance(fact, ExitPaid) else None

    def refute(self, leaf: Leaf, proof: Sequence[str]) -> None:
        """Anyone shows the leaf, in a final root, of an account that claims an exit without one. Raises Reverted."""
        with self._doing(transactions.Refute(leaf=leaf, proof=tuple(proof))):
            pass

    def claim(self, receiver: str, asset: str) -> int:
        """Anyone has a receiver paid what is due to it: that amount. Raises Reverted where nothing is."""
        call = transactions.Claim(receiver=receiver, asset=asset)
        _refuse(self._shared.now(), call)
        with self._shared.changing():
            due = self._node.state.due[asset].get(receiver, 0)
            self._make(call)
            return due

    def cancel(self, number: int, reason: str) -> None:
        """The guardian calls off a batch that is committed and not executed. Raises Reverted."""
        with self._doing(transactions.Cancel(number=number, reason=reason)):
            pass

    def challenge(self, number: int, leaf: Leaf, proof: Sequence[str]) -> None:
        """Anyone calls off a committed batch by a leaf that charges more than its account paid in. Raises Reverted."""
        with self._doing(transactions.Challenge(number=number, leaf=leaf, proof=tuple(proof))):
            pass

    def call(self, call: Call) -> None:
        """Make any call of the contract, by anyone. Raises Reverted where the contract refuses it."""
        with self._doing(call):
            pass

    # -- what a test makes happen --------------------------------------------------------------------------------------

    def mine(self, blocks: int = 1) -> None:
        """Mine blocks; the first has all of the pool that may be mined."""
        with self._shared.changing():
            for _ in range(blocks):
                self._node.mine()

    def reorganise(self, depth: int, *, keep: bool = False, force: bool = False) -> None:
        """Replace the last `depth` blocks by as many empty ones. Their transactions are lost unless `keep` puts them
        back in the pool. Raises ValueError for more blocks than there are, or, without `force`, for final ones."""
        with self._shared.changing():
            if not 0 < depth <= self._node.height:
                raise ValueError(f"there are {self._node.height} blocks to re-organise, not {depth}")
            if depth > self._node.deployment.finality and not force:
                raise ValueError(f"the last {depth} blocks cannot go: {self._node.deployment.finality} are not final")
            self._node.reorganise(depth, keep)

    def steal_nonce(self) -> None:
        """Another holder of the operator's key mines a transaction with its next nonce, in a block of its own."""
        with self._shared.changing():
            self._node.steal_nonce()

    def script(self, *script: Fault) -> None:
        """Add faults to the script. Raises BadData for one that cannot strike."""
        faults.check(script, self._node.deployment.finality)
        if script:
            with self._shared.changing():
                self._node.loose.script += script

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is done inside is written in one go at its end; an error that leaves it undoes all of it."""
        with self._shared.changing():
            yield

    @property
    def base_fee(self) -> int:
        """The least fee that gets mined, in the chain's own coin."""
        return self._shared.now().loose.base_fee

    @base_fee.setter
    def base_fee(self, fee: int) -> None:
        if not is_whole(fee):
            raise BadData(f"a fee is a whole number, 0 or more, not {fee!r}")
        with self._shared.changing():
            self._node.loose.base_fee = fee

    @property
    def automine(self) -> bool:
        """Whether what is sent is mined at once, each transaction in a block of its own."""
        return self._shared.now().loose.automine

    @automine.setter
    def automine(self, on: bool) -> None:
        with self._shared.changing():
            self._node.loose.automine = on

    # -- what a test looks at; no fault strikes here -------------------------------------------------------------------

    @property
    def height(self) -> int:
        """The last block's number; 0 is the genesis."""
        return self._shared.now().height

    @property
    def faults_left(self) -> tuple[Fault, ...]:
        """What of the script is still to come."""
        return self._shared.now().loose.script

    @property
    def pool(self) -> tuple[str, ...]:
        """The hashes of the transactions that wait, in the order in which they came."""
        return tuple(waiting.transaction.hash for waiting in self._shared.now().loose.pool)

    @property
    def fees_paid(self) -> int:
        """What the operator has paid for transactions, in the chain's own coin."""
        return self._shared.now().state.fees_paid

    def block_hash(self, number: int) -> str:
        """The hash of a block. Raises LookupError where there is none."""
        blocks = self._shared.now().blocks
        if not 0 <= number < len(blocks):
            raise LookupError(f"there is no block {number}")
        return blocks[number].hash

    def batches(self) -> dict[int, Found]:
        """All batches that a block has, by number."""
        node = self._shared.now()
        return {number: batches.find(node, number, node.final) for number in node.state.batches}

    def reverted(self, transaction: str) -> str | None:
        """Why a mined transaction was reverted; empty where it was not, None where no block has it."""
        receipt = self._shared.now().state.receipts.get(transaction)
        return receipt.reverted if receipt else None

    def balance(self, holder: str, asset: str) -> int:
        """What the contract has paid to a receiver or a subscriber, in the asset's smallest unit."""
        return self._shared.now().state.balances.get((holder, asset), 0)

    def holdings(self, asset: str) -> int:
        """All of the contract's money, in the asset's smallest unit."""
        return self._shared.now().state.holdings.get(asset, 0)

    def final_root(self, asset: str) -> str:
        """The root against which exits are proven: that of the last executed batch, 0x hex, or empty."""
        root = self._shared.now().state.roots.get(asset)
        return root.root if root else ""

    # -- transactions of users -----------------------------------------------------------------------------------------

    @contextmanager
    def _doing(self, call: Call) -> Iterator[None]:
        """A user's transaction and what is read after it, in one change. What is refused anyway waits for no lock."""
        _refuse(self._shared.now(), call)
        with self._shared.changing():
            self._make(call)
            yield

    def _make(self, call: Call) -> None:
        """Send a user's transaction, unless the contract would revert it now."""
        _refuse(self._node, call)
        self._node.offer(self._node.sign_for_anyone(call))
        self._automine()

    def _automine(self) -> None:
        if self._node.loose.automine:
            self._node.mine_ready()

    def _fact(self, id: str) -> ChainFact | None:
        """The latest fact of that id, as it is now."""
        node = self._node
        for fact in reversed(node.state.facts):
            if fact.id == id:
                return fact if fact.block <= node.final else msgspec.structs.replace(fact, final=False)
        return None

    def _new_purchase(self) -> str:
        """An id that no purchase of this chain ever had."""
        while True:
            self._node.loose.purchases += 1
            id = f"purchase-{self._node.loose.purchases}"
            if id not in self._node.state.purchases:
                return id

    # -- calls ---------------------------------------------------------------------------------------------------------

    @property
    def _node(self) -> Node:
        return self._shared.node

    @contextmanager
    def _asked(self, call: faults.Call, number: int = 0, transaction: Transaction | None = None) -> Iterator[_Asked]:
        """A call of the ledger's, in which a fault may strike."""
        with self._shared.lock:
            if not self._shared.now().loose.script:
                yield _Asked(None, False)
                return
            with self._shared.changing():
                asked = self._strike(call, number, transaction)
                if asked.trouble is None:
                    yield asked
                    self._shake(asked.fault, "after")
            if asked.trouble is not None:
                raise asked.trouble

    def _strike(self, call: faults.Call, number: int, transaction: Transaction | None) -> _Asked:
        loose = self._node.loose
        fault, loose.script = faults.take(loose.script, call, lambda _: self._can_lie(number, transaction))
        blind = False
        if call in faults.FINALITY_CALLS and not isinstance(fault, NodeDown):
            blind, loose.script = faults.take_finality(loose.script)
        asked = _Asked(fault, blind)
        if isinstance(fault, NodeDown):
            asked.trouble = ChainUnavailable("the node is down")
        self._shake(fault, "before")
        return asked

    def _can_lie(self, number: int, transaction: Transaction | None) -> bool:
        sent = self._node.loose.sent
        if sent is None or sent.transaction in self._node.state.receipts:
            return False
        if transaction is not None:
            return (
                transaction.hash == sent.transaction
                and batches.standing(self._node, transaction, self._node.final) == "gone"
            )
        return number == sent.number and number not in self._node.state.batches

    def _shake(self, fault: Fault | None, when: Literal["before", "after"]) -> None:
        if isinstance(fault, Reorganise) and fault.when == when and self._node.height:
            self._node.reorganise(min(fault.depth, self._node.height), fault.keep)

    def _final(self, asked: _Asked) -> int:
        return 0 if asked.blind else self._node.final


def _refuse(node: Node, call: Call) -> None:
    """Raises Reverted where the contract would revert the call in the next block."""
    reason = contract.refusal(node.state, node.deployment, call, node.height + 1)
    if reason is not None:
        raise Reverted(reason)


def _check_name(word: str) -> None:
    if not isinstance(word, str) or not word:
        raise BadData(f"a name is text that is not empty, not {word!r}")


def _sent(transaction: Transaction) -> Sent:
    call = transaction.call
    if not isinstance(call, Commit):
        return Sent(transaction.hash)
    return Sent(transaction.hash, call.number, call.seal.digest, call.seal.data_hash, call.seal.root)


def _unmined(fact: PurchaseMade) -> PurchaseMade:
    return msgspec.structs.replace(fact, final=False)
