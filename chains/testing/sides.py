"""Two contracts side by side: the same calls on both, and a comparison of the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from ledger.events import Leaf, Payout
from ledger.settlement.messages import Batch, ChainFact, ExitPaid, PurchaseMade

from ..proofs import prove
from .harness import Harness
from .steps import short

Account: TypeAlias = tuple[int, int]
"""A subscriber and a plan, by their positions in the harness."""

_SAME_REASON = {
    "BatchNotNext": "too early",
    "BatchOutOfOrder": "too early",
    "WindowOpen": "too early",
    "ExitDelay": "too early",
    "BatchAwaitsExecution": "too early",
    "BatchNotOpen": "no such open batch",
    "BatchUnknown": "no such open batch",
}
"""Reasons that count as equal, since contracts may check these rules in another order."""

_NO_BATCH = "0x" + "11" * 32
_REFUSED = "refused"
_LAST_BATCHES = 4
"""The number of last batches that are compared after each step."""


class Difference(Exception):
    """The two contracts differ, as the message says."""


class Draft(NamedTuple):
    """A batch in terms that are the same on every chain: accounts and receivers by their positions, and
    `ahead` in microseconds after the chain's time."""

    number: int
    elsewhere: bool
    leaves: tuple[tuple[Account, int, int], ...]
    payouts: tuple[tuple[int, int], ...]
    ahead: int
    previous: int | None
    """The number of the batch whose digest it names as the previous one; None for a digest of no batch."""


class Side:
    """One contract, with its own names for subscribers, plans and receivers."""

    def __init__(self, harness: Harness) -> None:
        self.harness, self.chain = harness, harness.fresh()
        self.always_raises = type(harness).reason is not Harness.reason
        self.recorded: dict[int, str] = {}

    def account(self, account: Account) -> tuple[str, str]:
        """Return the names of a subscriber and a plan."""
        return self.harness.subscribers[account[0]], self.harness.plans[account[1]]

    def asset(self, elsewhere: bool) -> str:
        """Return the asset of the first plan, or of the second with `elsewhere`."""
        return self.harness.elsewhere.asset if elsewhere else self.harness.asset

    def attempt(self, act: Callable[[Side], object]) -> str:
        """Make a call. Return why it was refused, or an empty string if nothing was raised."""
        try:
            act(self)
        except NotImplementedError:
            raise
        except Exception as error:  # noqa: BLE001 - a harness may raise any error
            return self.harness.reason(error) or _REFUSED
        return ""

    def batch(self, draft: Draft) -> Batch:
        """Return the draft as a batch with this side's names."""
        leaves = [Leaf(*self.account(account), *counters) for account, *counters in draft.leaves]
        payouts = [Payout(self.harness.receivers[number], amount) for number, amount in draft.payouts if amount]
        return Batch(
            ledger="differential",
            chain=self.chain.name,
            contract=self.chain.contract,
            number=draft.number,
            asset=self.asset(draft.elsewhere),
            at=self.harness.now(self.chain) + draft.ahead,
            covers={"main": draft.number},
            head_seq=draft.number,
            head_hash="ab" * 32,
            previous=_NO_BATCH if draft.previous is None else self.recorded.get(draft.previous, ""),
            leaves=tuple(sorted(leaves, key=lambda leaf: (leaf.subscriber, leaf.plan))),
            payouts=tuple(sorted(payouts, key=lambda payout: payout.receiver)),
        )

    def digest(self, batch: Batch) -> str:
        """Return the digest of a batch on this contract."""
        return self.harness.plugin.commitment(batch).digest

    def proof(self, batch: Batch, account: Account) -> tuple[Leaf, tuple[str, ...]]:
        """Return an account's leaf in a batch, and its proof."""
        proof = prove(batch, self.harness.plugin.leaf_types, *self.account(account))
        return proof.leaf, proof.proof

    def observe(self) -> Iterator[tuple[str, object]]:
        """Yield the readings of the contract, in terms that are the same on every chain."""
        for number in range(max(self.recorded, default=0) + 1, 0, -1)[:_LAST_BATCHES]:
            found = self.chain.find(number)
            ready = "ready" if found.stage == "committed" and found.ready else "not ready"
            digest = "another's digest" if self.recorded.get(number) not in (None, found.digest) else "its digest"
            yield f"batch {number}", (found.stage, ready, digest)
        for name, elsewhere in (("the first asset", False), ("the second asset", True)):
            asset = self.asset(elsewhere)
            yield f"escrow of {name}", self.chain.escrow(asset)
            yield f"holdings of {name}", self.chain.holdings(asset)
            for number, receiver in enumerate(self.harness.receivers[:2]):
                yield f"due to receiver {number} in {name}", self.chain.due(receiver, asset)
                yield f"claimed by receiver {number} in {name}", self.chain.claimed(receiver, asset)
                yield f"paid and due to receiver {number} in {name}", self.harness.paid(self.chain, receiver, asset)
        yield "facts", [self._plain(fact) for fact in self.chain.facts(confirmations=0)]

    def _plain(self, fact: ChainFact) -> tuple[object, ...]:
        harness, kind = self.harness, type(fact).__name__
        account = (_index(harness.subscribers, fact.subscriber), _index(harness.plans, fact.plan))
        match fact:
            case PurchaseMade():
                shares = sorted((_index(harness.receivers, share.receiver), share.amount) for share in fact.shares)
                return kind, account, fact.asset == harness.asset, shares, fact.credits
            case ExitPaid():
                return kind, account, fact.asset == harness.asset, fact.amount
            case _:
                return kind, account


class Pair:
    """The reference and the subject, each with a new contract."""

    def __init__(self, reference: Harness, subject: Harness) -> None:
        self.reference, self.subject = Side(reference), Side(subject)

    @property
    def sides(self) -> tuple[Side, Side]:
        """Reference and subject."""
        return self.reference, self.subject

    def close(self) -> None:
        """Close both connections."""
        for side in self.sides:
            side.chain.close()

    def pass_time(self) -> None:
        """Let windows end on both sides, and mined blocks become final."""
        for side in self.sides:
            side.harness.pass_time(side.chain)

    def wait_for_exit(self) -> None:
        """Let the exit delay pass on both sides."""
        for side in self.sides:
            side.harness.wait_for_exit(side.chain)

    def call(self, act: Callable[[Side], object]) -> bool:
        """Make a call on both sides, each in a block. Return True if it was accepted.

        Raises Difference if only one side accepted it, if the reasons differ, or if the contracts differ afterwards.
        """
        reference, subject = (side.attempt(act) for side in self.sides)
        for side in self.sides:
            side.harness.mine(side.chain)
        if subject and not reference:
            raise Difference(f"the reference accepts it; refused here: {subject}")
        if reference and not subject and self.subject.always_raises:
            raise Difference(f"it is accepted; the reference refuses it: {reference}")
        if _differ(reference, subject):
            raise Difference(f"it is refused for {subject}; the reference refuses it for {reference}")
        self.compare()
        return not reference

    def compare(self) -> None:
        """Raise Difference if any reading differs."""
        for (name, expected), (_, found) in zip(self.reference.observe(), self.subject.observe(), strict=True):
            if found != expected:
                raise Difference(f"{name}: {short(found)}, not {short(expected)}")


def _differ(reference: str, subject: str) -> bool:
    if not reference or not subject or _REFUSED in (reference, subject):
        return False
    return _SAME_REASON.get(reference, reference) != _SAME_REASON.get(subject, subject)


def _index(names: Sequence[str], name: str) -> int | str:
    return list(names).index(name) if name in names else name
