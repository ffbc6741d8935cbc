"""The chain's side of a run: purchases, exits and claims, faults of the chain itself, and what it has paid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Protocol, runtime_checkable

from chains import leaf_file, prove
from chains.mock import MockChain
from chains.testing import Harness
from chains.testing.mock_harness import MockHarness
from ledger.errors import ChainUnavailable, NotFound
from ledger.events import SettlementOpened
from ledger.plugins import Chain, chain_plugin

WINDOWS = (0, 0, 1, 3)
"""Blocks of a mock chain's challenge window."""

LEAST_FEE, MAX_FEE = 1, 9
_MAX_COST = 40
_MAX_LEFT = 20


class MockMarket(MockHarness):
    """The mock chain with three subscribers, and names for as many plans as a run may sell."""

    subscribers: Sequence[str] = ("ann", "ben", "cat")
    plans: Sequence[str] = tuple(f"p{number}" for number in range(1, 9))
    receivers: Sequence[str] = ("acme", "fee", "zoe")


def mock_market(random: Random) -> Harness:
    """Return a mock chain with a random window, finality and way of mining."""
    window, finality, automine = random.choice(WINDOWS), random.randint(1, 3), bool(random.randrange(2))
    return MockMarket(
        lambda: MockChain(window=window, finality=finality, automine=automine), finality=finality, window=window
    )


@runtime_checkable
class ListsExecuted(Protocol):
    """A harness whose contract can list its executed batches in one call: the simulator does so after each step."""

    def executed(self, chain: Chain) -> Mapping[int, str]:
        """Return the digests of all batches that the contract has paid out, by number."""
        ...


class Market:
    """A harness with its chain. An action that the contract refuses is skipped."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.chain: Chain = harness.fresh()
        self.terms: dict[str, tuple[dict[str, int], int, int]] = {}
        self._leaving: list[tuple[str, str]] = []

    def connect(self) -> Chain:
        """Return a connection for one more process."""
        return self.harness.again(self.chain)

    # -- subscribers and receivers -------------------------------------------------------------------------------------

    def buy(self, random: Random) -> str:
        """Buy a plan for a subscriber, always on the same terms."""
        harness = self.harness
        if not self.terms:
            return "nothing is sold on the chain"
        plan, subscriber = random.choice(sorted(self.terms)), random.choice(harness.subscribers)
        shares, credits, seconds = self.terms[plan]
        if seconds and not credits:
            self._try(harness.purchase_window, self.chain, subscriber, plan, shares, seconds)
        else:
            self._try(harness.purchase, self.chain, subscriber, plan, shares, credits)
        return f"{subscriber} buys {plan} on the chain"

    def sell(self, random: Random, plan: str, credits: int, seconds: int) -> None:
        """Put a plan on sale, at a random price."""
        shares = {name: random.randint(0, _MAX_COST) for name in self.harness.receivers[: random.randint(1, 3)]}
        self.terms[plan] = shares, credits, seconds

    def leave_or_claim(self, random: Random) -> str:
        """Request an exit, exit, or claim."""
        return random.choice((self.ask_to_leave, self.leave, self.leave, self.leave, self.claim))(random)

    def ask_to_leave(self, random: Random) -> str:
        """Request a subscriber's exit from a plan."""
        if not self.terms:
            return "nothing is sold on the chain"
        subscriber, plan = random.choice(self.harness.subscribers), random.choice(sorted(self.terms))
        self._try(self.harness.request_exit, self.chain, subscriber, plan)
        self._leaving.append((subscriber, plan))
        return f"{subscriber} requests an exit from {plan}"

    def leave(self, random: Random) -> str:
        """Exit with a proof by the last batch that was paid out."""
        data = self._last_leaves() if self.terms else None
        if data is None:
            return "no exit is possible yet"
        any_account = random.choice(self.harness.subscribers), random.choice(sorted(self.terms))
        subscriber, plan = random.choice([*self._leaving, any_account])
        types = chain_plugin(self.chain.name).leaf_types
        try:
            proof = prove(leaf_file.decode(data), types, subscriber, plan)
        except (NotFound, ValueError):
            return f"{subscriber} has no leaf on {plan}"
        self._try(self.harness.leave, self.chain, subscriber, plan, proof.leaf, proof.proof)
        return f"{subscriber} exits from {plan}"

    def claim(self, random: Random) -> str:
        """Claim for a receiver what is due to it."""
        receiver = random.choice(self.harness.receivers)
        self._try(self.harness.claim, self.chain, receiver)
        return f"{receiver} claims"

    # -- the chain itself ----------------------------------------------------------------------------------------------

    def mine(self, blocks: int) -> str:
        """Mine blocks."""
        for _ in range(blocks):
            self.harness.mine(self.chain)
        return f"{blocks} blocks are mined"

    def reorganise(self, random: Random) -> str:
        """Replace the last blocks, at most as many as are not final."""
        if not self.harness.depth:
            return "every block is final"
        depth, keep = random.randint(1, self.harness.depth), bool(random.randrange(2))
        self._try(self.harness.reorganise, self.chain, depth, keep)
        return f"the last {depth} blocks are replaced"

    def trouble_the_operator(self, random: Random) -> str:
        """Use the operator's next nonce, change the fee, or cancel a batch."""
        trouble = random.randrange(3)
        if trouble == 0:
            self._try(self.harness.steal_nonce, self.chain)
        elif trouble == 1 and isinstance(self.chain, MockChain):
            self.chain.base_fee = random.randint(LEAST_FEE, MAX_FEE)
        elif trouble == 2:
            self.cancel()
        return ("the operator's nonce is taken", "fees change", "the guardian cancels batches")[trouble]

    def cancel(self) -> None:
        """Cancel as the guardian all batches in their challenge windows."""
        number = 1
        while (stage := self._known(number)) in ("committed", "executed", "cancelled"):
            if stage == "committed":
                self._try(self.harness.cancel, self.chain, number)
            number += 1

    def pass_time(self) -> None:
        """Mine until all transactions are final."""
        self.harness.pass_time(self.chain)

    def calm(self) -> None:
        """Stop all faults of the chain."""
        if isinstance(self.chain, MockChain):
            self.chain.base_fee = LEAST_FEE
            self.exhaust()

    def exhaust(self) -> None:
        """Use up the read faults in a mock chain's script."""
        for _ in range(_MAX_LEFT):
            if isinstance(self.chain, MockChain) and self.chain.faults_left:
                with suppress(ChainUnavailable):
                    self.chain.find(1)

    # -- payments ------------------------------------------------------------------------------------------------------

    def executed(self, opened: dict[str, SettlementOpened]) -> dict[int, str]:
        """Return the digests of the batches that the chain has paid out, by number."""
        if isinstance(self.chain, MockChain):
            found = self.chain.batches()
        else:
            if isinstance(self.harness, ListsExecuted):
                return dict(self.harness.executed(self.chain))
            found = {number: self.chain.find(number) for number in {event.number for event in opened.values()}}
        return {number: batch.digest for number, batch in sorted(found.items()) if batch.stage == "executed"}

    def paid(self, asset: str) -> dict[str, int]:
        """Return each receiver's amount, claimed or due, in the asset's smallest unit."""
        amounts = {name: self.harness.paid(self.chain, name, asset) for name in self.harness.receivers}
        return {name: amount for name, amount in amounts.items() if amount}

    def owing(self) -> bool:
        """True if a receiver was paid for charges that were corrected since, so that it owes the escrow."""
        return any(self.chain.due(name, self.harness.asset) < 0 for name in self.harness.receivers)

    def close(self) -> None:
        """Let go of the chain."""
        self.chain.close()

    def _last_leaves(self) -> bytes | None:
        number = 0
        while self._known(number + 1) == "executed":
            number += 1
        return self.chain.published(number) if number else None

    def _known(self, number: int) -> str:
        if isinstance(self.chain, MockChain):
            found = self.chain.batches().get(number)
            return "absent" if found is None else found.stage
        return self.chain.find(number).stage

    def _try(self, act: Callable[..., object], *arguments: object) -> None:
        """Do an action that the contract may refuse, with any error, or that the harness may lack."""
        try:
            act(*arguments)
        except AssertionError:  # the chain itself is broken
            raise
        except Exception:  # noqa: BLE001 - a harness says how a contract refuses
            pass


def payouts(opened: dict[str, SettlementOpened], executed: dict[int, str], asset: str) -> dict[str, int]:
    """Return what the executed batches of an asset pay, by receiver. Raises KeyError for a batch that the log lacks."""
    due: Counter[str] = Counter()
    for digest in executed.values():
        event = opened[digest]
        if event.asset == asset:
            due.update({payout.receiver: payout.amount for payout in event.payouts})
    return {name: amount for name, amount in due.items() if amount}
