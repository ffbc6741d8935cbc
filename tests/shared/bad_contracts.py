"""Mock chains whose contract does what it must not: with its money, with who leaves, with what is not for it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from bad_chains import Bad, Tells

from chains.mock import Reverted
from chains.proofs import verify
from ledger.events import Leaf
from ledger.settlement.messages import (
    Attempt,
    Batch,
    ChainFact,
    ExitPaid,
    ExitRequested,
    PurchaseMade,
)

# -- escrow ------------------------------------------------------------------------------------------------------------


class Overlooks(Bad):
    """Overlooks that escrow is short, where `overlooks` says so."""

    def simulate(self, batch: Batch) -> str | None:
        reason = super().simulate(batch)
        short = reason is not None and reason.startswith("EscrowShort")
        return None if short and self.overlooks(sum(max(each.amount, 0) for each in batch.payouts)) else reason

    def overlooks(self, paid: int) -> bool:
        return False


class NeverDebitsEscrow(Overlooks):
    breaks: ClassVar = {
        "escrow is spent once": "accepts a batch that pays 101, and 100 are left in escrow after a batch of 900",
        "a refund returns to escrow": "accepts a batch that pays 501, and 500 are left in escrow after a refund of 600",
        "an exit needs a request": "pays 1601, and 1600 are left in escrow when no subscriber has left",
    }

    def overlooks(self, paid: int) -> bool:
        bought = [fact for fact in super().facts(0, 0) if isinstance(fact, PurchaseMade)]
        return paid <= sum(share.amount for fact in bought for share in fact.shares)


class OverlooksWhatWaits(Overlooks):
    """What is in its window is not paid out yet, and so it counts for nothing."""

    window = 3
    breaks: ClassVar = {
        "escrow is spent once": "simulate accepts a batch of 101 out of 1000, while one of 900 waits in its window"
    }

    def overlooks(self, paid: int) -> bool:
        return paid <= self.escrow("USD")


class RefillsEscrowByClaims(Overlooks):
    breaks: ClassVar = {
        "what was claimed is spent": "a batch that pays 101, and 100 are left in escrow after a batch of 900 that"
    }

    def overlooks(self, paid: int) -> bool:
        return paid <= self.escrow("USD") + self.balance("seller", "USD")


class NeverDebitsExits(Overlooks):
    breaks: ClassVar = {
        "what a leaver took is spent": "accepts a batch that pays 901, and 900 are left in escrow after an exit of 800"
    }

    def overlooks(self, paid: int) -> bool:
        return paid <= self.escrow("USD") + self.balance("alice", "USD")


class KeepsAReserve(Bad):
    """Its escrow never goes below ten units: the last subscriber to leave is not paid."""

    breaks: ClassVar = {
        "the last one leaves with the rest": "what 2 of two subscribers left with who had so much unspent: ["
    }

    def exit(self, subscriber: str, plan: str, asset: str, leaf: Leaf | None = None, proof: Any = ()) -> Any:
        with suppress(Reverted), self.together():
            super().exit(subscriber, plan, asset, leaf, proof)
            if self._node.state.escrow[asset] < 10:
                raise Reverted("EscrowShort")
        return None


class RoundsPayoutsUp(Bad):
    """To the next ten units, out of escrow."""

    breaks: ClassVar = {"the last one leaves with the rest": "of each of two subscribers, who have "}

    def escrow(self, asset: str) -> int:
        return super().escrow(asset) - sum(-due % 10 for due in self._node.state.due[asset].values())


class LosesRefunds(Bad):
    breaks: ClassVar = {
        "a refund returns to escrow": "refuses a batch that pays 400, which a refund has brought back to escrow: Escrow"
    }

    def simulate(self, batch: Batch) -> str | None:
        reason = super().simulate(batch)
        lost = any(each.amount < 0 for each in batch.payouts) or self.sent.get("lost", 0)
        self.sent["lost"] = int(lost)
        return "EscrowShort" if lost and reason is None and sum(each.amount for each in batch.payouts) > 0 else reason

    def prepare(self, batch: Batch, *arguments: Any) -> Attempt | None:
        self.simulate(batch)
        return super().prepare(batch, *arguments)


class HasOneEscrow(Overlooks):
    breaks: ClassVar = {
        "each asset has its own escrow": "simulate accepts a batch that pays 330 EUR, and escrow has only USD",
        "each asset has its own dues": "accepts a batch that pays 671, and 670 are left in escrow of one asset",
    }

    def overlooks(self, paid: int) -> bool:
        return paid <= self.escrow("USD") + self.escrow("EUR")


class PaysFromAnotherAsset(Bad):
    """Another asset's batch is refused, and pays all the same."""

    breaks: ClassVar = {
        "each asset has its own escrow": "what receivers have in EUR, in which no purchase was made: [300, 30], not"
    }

    def send(self, attempt: Attempt) -> None:
        super().send(attempt)
        if (self.reverted(attempt.transaction) or "").startswith("EscrowShort(EUR") and not self.extra:
            self.pay(attempt.raw)


class ClaimsAllAssetsAtOnce(Bad):
    breaks: ClassVar = {"each asset has its own dues": "what is due in two assets once one was claimed: [0, 0], not"}

    def claim(self, receiver: str, asset: str) -> int:
        self.sent[receiver] = 1
        return super().claim(receiver, asset)

    def due(self, receiver: str, asset: str) -> int:
        return 0 if receiver in self.sent else super().due(receiver, asset)


class CountsIn128Bits(Bad):
    breaks: ClassVar = {"large amounts are paid exactly": "what is due: [170141183460469231731687303715884105727, "}

    def due(self, receiver: str, asset: str) -> int:
        return max(-(2**127), min(super().due(receiver, asset), 2**127 - 1))


class TellsHoldingsAsEscrow(Bad):
    """What moved to dues is still counted."""

    breaks: ClassVar = {
        "the escrow is reported": "the escrow after a payout of 900: 2000, not 1100",
        "what was claimed is reported": "the escrow after a claim: 1700, not 2000",
    }

    def escrow(self, asset: str) -> int:
        return self.holdings(asset)


class HoldsOnlyEscrow(Bad):
    breaks: ClassVar = {
        "the escrow is reported": "what it has after a payout of 900: 1100, not 2000",
        "what was claimed is reported": "what it has after a claim: ",
    }

    def holdings(self, asset: str) -> int:
        return super().escrow(asset)


class CountsReceivablesInEscrow(Bad):
    breaks: ClassVar = {"the escrow is reported": "the escrow after a payout of -600: 1900, not 2000"}

    def escrow(self, asset: str) -> int:
        return super().escrow(asset) + sum(min(due, 0) for due in self._node.state.due[asset].values())


class CountsEscrowOnce(Bad):
    """All assets together."""

    breaks: ClassVar = {"the escrow is reported": "the escrow of an asset without purchases: 1850, not 0"}

    def escrow(self, asset: str) -> int:
        return sum(super(CountsEscrowOnce, self).escrow(each) for each in ("USD", "EUR"))


class TellsTheLastClaim(Bad):
    breaks: ClassVar = {"what was claimed is reported": "what was claimed after payouts of (50, 5): {'seller': 50,"}

    def claim(self, receiver: str, asset: str) -> int:
        self.sent[receiver] = super().claim(receiver, asset)
        return self.sent[receiver]

    def claimed(self, receiver: str, asset: str) -> int:
        return self.sent.get(receiver, 0) if super().claimed(receiver, asset) else 0


class TellsDuesAsClaimed(Bad):
    breaks: ClassVar = {
        "what was claimed is reported": "{'seller': 300, 'platform': 30}, not {'seller': 300, 'platform': 0}"
    }

    def claimed(self, receiver: str, asset: str) -> int:
        return super().claimed(receiver, asset) + max(self.due(receiver, asset), 0)


class CountsExitsAsClaims(Bad):
    breaks: ClassVar = {"what a leaver took is spent": "what a leaver has claimed: 800, not 0"}

    def claimed(self, receiver: str, asset: str) -> int:
        return self.balance(receiver, asset)


# -- leaving -----------------------------------------------------------------------------------------------------------


class LetsGo(Tells):
    """Lets subscribers leave whom the contract refuses for `overlooked`."""

    overlooked: ClassVar[str] = "nothing"

    def __init__(self) -> None:
        super().__init__()
        self.invented: list[ChainFact] = []

    def reported(self, facts: list[ChainFact]) -> list[ChainFact]:
        return facts + self.invented

    def exit(self, subscriber: str, plan: str, asset: str, leaf: Leaf | None = None, proof: Any = ()) -> Any:
        try:
            return super().exit(subscriber, plan, asset, leaf, proof)
        except Reverted as error:
            if not str(error).startswith(self.overlooked) or leaf is None or not self.serves(leaf, proof):
                raise
        where = {"id": f"exit-{subscriber}", "block": self.height, "subscriber": subscriber, "plan": plan}
        self.invented.append(ExitPaid(**where, asset=asset, amount=1000 - leaf.charged + leaf.credited))
        return self.invented[-1]

    def serves(self, leaf: Leaf, proof: Any) -> bool:
        return any(verify(each.commitment.root, leaf, proof) for each in self._node.state.batches.values())


class LetsAnyoneGo(LetsGo):
    overlooked = "ExitNotRequested"
    breaks: ClassVar = {"an exit needs a request": "a subscriber leaves without having asked to"}


class TakesAnyLeaf(LetsGo):
    overlooked = "ProofInvalid"
    breaks: ClassVar = {
        "a subscriber leaves by proof": "a subscriber leaves by the leaf of another",
        "the last root after a request serves": "a subscriber leaves by a root from before its request",
    }


class TakesOlderRoots(TakesAnyLeaf):
    """All of those after the request."""

    breaks: ClassVar = {
        "the last root after a request serves": "a subscriber leaves by a root after its request, but not the last one"
    }

    def serves(self, leaf: Leaf, proof: Any) -> bool:
        asked = self._node.state.leaving[leaf.subscriber, leaf.plan]
        roots = [
            each.commitment.root for each in self._node.state.batches.values() if each.committed.order > asked.order
        ]
        return any(verify(root, leaf, proof) for root in roots)


class TakesEarlyRoots(LetsGo):
    overlooked = "ExitDelay"
    breaks: ClassVar = {
        "the last root after a request serves": "leaves by a root from before its request, though a batch after it can"
    }


class LeavesSilently(LetsGo):
    """Nothing is reported of it, and the money is gone."""

    overlooked = "ExitNotRequested"
    breaks: ClassVar = {"an exit needs a request": "refuses a batch that pays the 1600 which are left in escrow"}

    def reported(self, facts: list[ChainFact]) -> list[ChainFact]:
        return facts

    def simulate(self, batch: Batch) -> str | None:
        return "EscrowShort" if self.invented else super().simulate(batch)


class TellsAnyRequest(LetsGo):
    breaks: ClassVar = {
        "a request to leave is reported once": "who asks to leave: [('alice', 'small'), ('bob', 'small'), ('alice', 'l"
    }
    heard: ClassVar[str] = "NothingBought"

    def request_exit(self, subscriber: str, plan: str) -> ExitRequested:
        try:
            return super().request_exit(subscriber, plan)
        except Reverted as error:
            if not str(error).startswith(self.heard):
                raise
        id = f"request-{len(self.invented)}"
        self.invented.append(ExitRequested(id=id, block=self.height, subscriber=subscriber, plan=plan))
        return self.invented[-1]  # type: ignore[return-value]


class TellsRequestsAgain(TellsAnyRequest):
    heard = "ExitAlreadyRequested"
    breaks: ClassVar = {
        "a request to leave is reported once": "who asks to leave: [('alice', 'small'), ('alice', 'small')], not",
        "a subscriber leaves by proof": "how many requests to leave are reported in the end: 2, not 1",
    }


class SellsToLeavers(LetsGo):
    breaks: ClassVar = {
        "a leaving subscriber buys no more": "who buys, one of whom has asked to leave: ['alice', 'bob', 'a"
    }

    def purchase(self, subscriber: str, plan: str, asset: str, shares: Mapping[str, int], **terms: Any) -> PurchaseMade:
        try:
            return super().purchase(subscriber, plan, asset, shares, **terms)
        except Reverted:
            where = {"id": "late", "block": self.height, "subscriber": subscriber, "plan": plan}
            self.invented.append(PurchaseMade(**where, asset=asset, shares=()))
            return self.invented[-1]  # type: ignore[return-value]
