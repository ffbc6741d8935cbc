"""Mock chains with one planted fault each. `breaks` names rules that must find it, and what their message must say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import ClassVar

from msgspec.structs import replace

from chains.mock import MockChain, MockPlugin, transactions
from chains.testing.mock_harness import MockHarness
from ledger.errors import ChainUnavailable
from ledger.settlement.messages import (
    Attempt,
    Batch,
    ChainFact,
    Found,
    Standing,
)


class Bad(MockChain):
    """What faults are planted in. `extra` is money that comes from nowhere, by receiver."""

    breaks: ClassVar[dict[str, str]] = {}
    window: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__(window=self.window)
        self.extra: dict[str, int] = {}
        self.sent: dict[str, int] = {}

    def twin(self) -> MockChain:
        """Another connection to the same chain; what is known only in memory goes with the fault."""
        return copy(self)

    def namesake(self, name: str) -> MockChain:
        """The contract of the same name on another chain."""
        return MockChain(name=name, contract=self.contract)

    def due(self, receiver: str, asset: str) -> int:
        return super().due(receiver, asset) + self.extra.get(receiver, 0)

    def pay(self, raw: str) -> None:
        """Pay what a transaction pays, whether it was mined or not."""
        call = transactions.read(raw).call
        for payout in call.payouts if isinstance(call, transactions.CommitCall) else ():
            self.extra[payout.receiver] = self.extra.get(payout.receiver, 0) + payout.amount


class Tells(Bad):
    """What is planted in a scan."""

    def facts(self, after: int = 0, confirmations: int | None = None) -> Iterable[ChainFact]:
        return self.reported(list(super().facts(after, confirmations)))

    def reported(self, facts: list[ChainFact]) -> list[ChainFact]:
        return facts


class BadPlugin(MockPlugin):
    breaks: ClassVar[dict[str, str]] = {}


def harness_of(kind: type[Bad] | type[BadPlugin]) -> MockHarness:
    """The harness on which a bad chain or a bad plugin is tried."""
    if issubclass(kind, BadPlugin):
        harness = MockHarness()
        harness.plugin = kind()
        return harness
    harness = MockHarness(kind, lambda chain: chain.twin() if isinstance(chain, Bad) else chain, window=kind.window)
    harness.namesake = lambda chain: chain.namesake(harness.elsewhere.chain)
    return harness


# -- money -------------------------------------------------------------------------------------------------------------


class PaysTwice(Bad):
    breaks: ClassVar = {
        "a batch pays once": "what receivers have: {'seller': 1200, 'platform': 120}, not {'seller': 300,",
        "what another has sent pays once": "10 credits, each transaction of which was sent twice: {'seller': 180,",
    }

    def send(self, attempt: Attempt) -> None:
        super().send(attempt)
        if attempt.raw in self.sent:
            self.pay(attempt.raw)
        self.sent[attempt.raw] = 1


class PaysForEachTransaction(Bad):
    breaks: ClassVar = {
        "two attempts pay once": "what receivers have: {'seller': 600,",
        "a number is taken once": "what receivers have: {'seller': 700,",
    }

    def send(self, attempt: Attempt) -> None:
        super().send(attempt)
        if attempt.number in self.sent and attempt.raw not in self.sent:
            self.pay(attempt.raw)
        self.sent |= {attempt.raw: 1, attempt.number: 1}  # type: ignore[dict-item]


class PaysNobody(Bad):
    breaks: ClassVar = {
        "a batch pays once": "what receivers have: {'seller': 0, 'platform': 0}, not {'seller': 300, 'platform': 30}",
        "what was earned is paid": "what receivers have after a charge of 33: {'seller': 0,",
        "what is due is signed": "what is due after payouts of 300 and -30: [0, 0], not [300, -30]",
    }

    def due(self, receiver: str, asset: str) -> int:
        return 0


class SwallowsNegativePayouts(Bad):
    breaks: ClassVar = {
        "payouts net below zero": "what receivers have: {'seller': 0, 'platform': 100}, not {'seller': -250,",
        "what is due is signed": "[300, 0], not [300, -30]",
    }

    def due(self, receiver: str, asset: str) -> int:
        return max(super().due(receiver, asset), 0)


class ForgetsRefunds(Bad):
    breaks: ClassVar = {"a refund nets": "what receivers have after a refund of 10 credits"}

    def send(self, attempt: Attempt) -> None:
        super().send(attempt)
        call = transactions.read(attempt.raw).call
        for payout in call.payouts if isinstance(call, transactions.CommitCall) else ():
            self.extra[payout.receiver] = self.extra.get(payout.receiver, 0) - min(payout.amount, 0)


class CountsIn64Bits(Bad):
    breaks: ClassVar = {"large amounts are paid exactly": "what is due: [1, 3], not ["}

    def due(self, receiver: str, asset: str) -> int:
        return super().due(receiver, asset) % 2**64


class OwesWhatWasClaimed(Bad):
    breaks: ClassVar = {"a claim takes what is due": "what is due once it was claimed: 300, not 0"}

    def due(self, receiver: str, asset: str) -> int:
        return super().due(receiver, asset) + self.balance(receiver, asset)


class LeaksWhatWasCancelled(Bad):
    window = 3
    breaks: ClassVar = {"a cancelled batch pays nothing": "what receivers have: {'seller': 300,"}

    def cancel(self, number: int, reason: str) -> None:
        super().cancel(number, reason)
        self.extra = {"seller": 300, "platform": 30}


class TakesWhatOverspends(Bad):
    breaks: ClassVar = {
        "a batch that overspends pays nothing": "simulate accepts a batch that pays 1400 out of an escrow of 1000",
        "money that is gone is not paid out": "simulate accepts a batch that pays out of a purchase",
    }

    def simulate(self, batch: Batch) -> str | None:
        reason = super().simulate(batch)
        return None if reason and reason.startswith("EscrowShort") else reason


class PaysWhatOverspends(Bad):
    breaks: ClassVar = {
        "a batch that overspends pays nothing": "what receivers have: {'seller': 900, 'platform': 500}",
        "escrow is spent once": "what receivers have: {'seller': 900, 'platform': 101}, not {'seller': 900, 'platform'",
    }

    def send(self, attempt: Attempt) -> None:
        super().send(attempt)
        if (self.reverted(attempt.transaction) or "").startswith("EscrowShort") and not self.extra:
            self.pay(attempt.raw)


# -- batches and their transactions ------------------------------------------------------------------------------------


class FinalAtOnce(Bad):
    breaks: ClassVar = {
        "final is up to the final block": "is called final, and the last final block is",
        "a batch only moves on": "the executed batch is final, and confirm that its transaction is pending",
        "what is final stays": "which undoes nothing final, leaves it absent, not final",
    }

    def find(self, number: int) -> Found:
        found = super().find(number)
        return replace(found, final=found.stage == "executed")


class CallsEveryBlockFinal(Bad):
    """Nothing contradicts it, until a reorganisation does."""

    breaks: ClassVar = {"what is final stays": "a batch was executed and final in block"}

    def _final(self, asked: object) -> int:
        return self.height


class FindsAnotherDigest(Bad):
    breaks: ClassVar = {
        "the chain has what was committed to": "digest and data hash of the executed batch: ('0xeeee",
        "a number is taken once": "stage and digest of the first one: ('executed', '0xeeee",
    }

    def find(self, number: int) -> Found:
        found = super().find(number)
        return found if found.stage == "absent" else replace(found, digest="0x" + "ee" * 32)


class FindsAnotherRoot(Bad):
    breaks: ClassVar = {"a reported root is the committed one": "the root of the executed batch is '0xeeee"}

    def find(self, number: int) -> Found:
        found = super().find(number)
        return found if found.stage == "absent" else replace(found, root="0x" + "ee" * 32)


class KnowsEveryNumber(Bad):
    breaks: ClassVar = {"a number is absent at first": "batch 2 of a new contract: Found(stage='pending'"}

    def find(self, number: int) -> Found:
        found = super().find(number)
        return Found(stage="pending") if found.stage == "absent" and number > 1 else found


class IsBehindAtTimes(Bad):
    """One of several nodes behind one address has not heard of the last blocks."""

    breaks: ClassVar = {
        "a batch only moves on": "a batch that was executed and not final is absent and not final later"
    }

    def find(self, number: int) -> Found:
        self.sent["asked"] = self.sent.get("asked", 0) + 1
        return Found(stage="absent") if self.sent["asked"] % 3 == 0 else super().find(number)


class ReportsGone(Bad):
    breaks: ClassVar = {
        "a batch only moves on": "find has the transaction in block 8, and confirm says gone, then gone",
        "a reorganised batch pays once": "the transaction that was sent again: 'gone', not 'final'",
    }

    def confirm(self, attempt: Attempt) -> Standing:
        super().confirm(attempt)
        return "gone"


class IsNeverReplaced(Bad):
    breaks: ClassVar = {
        "a stolen nonce is given up for good": "a transaction whose nonce another has used: 'gone', not 'replaced'"
    }

    def confirm(self, attempt: Attempt) -> Standing:
        standing = super().confirm(attempt)
        return "gone" if standing == "replaced" else standing


class IsReplacedTooSoon(Bad):
    breaks: ClassVar = {
        "a stolen nonce is given up for good": "is called replaced before the one with its nonce is final"
    }

    def confirm(self, attempt: Attempt) -> Standing:
        standing = super().confirm(attempt)
        nonce = transactions.read(attempt.raw).nonce or 0
        return "replaced" if standing == "gone" and nonce < self._node.next_nonce else standing


class KeepsAttemptsInMemory(Bad):
    """`raw` is a handle, and the bytes that it stands for go with the connection."""

    breaks: ClassVar = {
        "an attempt holds all that sending needs": "it raised ChainUnavailable: no such transaction: #1",
        "a crash anywhere pays once": "it raised ChainUnavailable: no such transaction",
        "two outboxes pay once": "it raised ChainUnavailable: no such transaction",
    }

    def twin(self) -> MockChain:
        other = copy(self)
        other.kept = {}
        return other

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Attempt] = {}

    def prepare(self, batch: Batch, attempts: Sequence[Attempt]) -> Attempt | None:
        made = super().prepare(batch, [self._whole(attempt) for attempt in attempts])
        if made is None:
            return None
        handle = f"#{len(self.kept) + 1}"
        self.kept[handle] = made
        return replace(made, raw=handle)

    def send(self, attempt: Attempt) -> None:
        super().send(self._whole(attempt))

    def confirm(self, attempt: Attempt) -> Standing:
        return super().confirm(self._whole(attempt))

    def _whole(self, attempt: Attempt) -> Attempt:
        if attempt.raw not in self.kept:
            raise ChainUnavailable(f"no such transaction: {attempt.raw}")
        return self.kept[attempt.raw]


class SendsWhilePreparing(Bad):
    breaks: ClassVar = {"preparing sends nothing": "a batch that was only prepared: 'executed', not 'absent'"}

    def prepare(self, batch: Batch, attempts: Sequence[Attempt]) -> Attempt | None:
        made = super().prepare(batch, attempts)
        if made is not None:
            self.send(made)
        return made


class SendsOnlyOnce(Bad):
    """What it has sent it takes for done."""

    breaks: ClassVar = {
        "a lost transaction is sent again": "it stays absent, not final, and its last transaction is gone",
        "a reorganised batch pays once": "it stays absent, not final, and its last transaction is gone",
        "a reorganisation on the way pays once": "the outbox does not finish: [(1, 'submitted')], step sent",
    }

    def send(self, attempt: Attempt) -> None:
        if attempt.raw not in self.sent:
            self.sent[attempt.raw] = 1
            super().send(attempt)


class PaysAgainWhatComesBack(Bad):
    breaks: ClassVar = {
        "a batch that comes back pays once": "what receivers have: {'seller': 600,",
    }

    def reorganise(self, depth: int, *, keep: bool = False, force: bool = False) -> None:
        super().reorganise(depth, keep=keep, force=force)
        if keep:
            self.extra = {"seller": 300, "platform": 30}


class ForgetsWhatIsInLine(Bad):
    breaks: ClassVar = {
        "batches can be queued": "the transaction of batch 2, which was sent behind those before it, is gone"
    }

    def prepare(self, batch: Batch, attempts: Sequence[Attempt]) -> Attempt | None:
        return super().prepare(batch, [attempt for attempt in attempts if attempt.number == batch.number])


class ExecutesOutOfOrder(Bad):
    breaks: ClassVar = {
        "batches go in order": "batch 2 is executed, and batch 1 is absent",
        "a batch builds on the one before": "a batch 2 that builds on no batch is executed",
    }

    def send(self, attempt: Attempt) -> None:
        super().send(attempt)
        reason = self.reverted(attempt.transaction) or ""
        if reason.startswith(("BatchOutOfOrder", "WrongPrevious")):
            self.pay(attempt.raw)
            self.sent[str(attempt.number)] = 1

    def find(self, number: int) -> Found:
        return Found(stage="executed", final=True) if str(number) in self.sent else super().find(number)


class TakesAnyPrevious(Bad):
    breaks: ClassVar = {"a batch builds on the one before": "simulate accepts a batch 2 that builds on another batch"}

    def simulate(self, batch: Batch) -> str | None:
        reason = super().simulate(batch)
        return None if reason and reason.startswith("WrongPrevious") else reason


class PublishesNothing(Bad):
    breaks: ClassVar = {"the leaf file is published": "the leaf file of a batch that is final is not found"}

    def published(self, number: int) -> bytes | None:
        return None


class PublishesItsOwnSpelling(Bad):
    breaks: ClassVar = {
        "the leaf file is published": "the leaf file cannot be read: the leaf file is not in its canonical encoding"
    }

    def published(self, number: int) -> bytes | None:
        data = super().published(number)
        return data and data.replace(b": ", b":")
