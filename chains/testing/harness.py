"""Test harness that a chain plugin provides: accounts that buy, and control over block production."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from ledger.events import Leaf, Payout
from ledger.plugins import Chain, ChainPlugin
from ledger.settlement.messages import Attempt, Batch


class Elsewhere(NamedTuple):
    """Other valid names: of another chain, another contract, another asset."""

    chain: str
    contract: str
    asset: str


class Harness(Protocol):
    """A kind of chain under test. Subclass it; optional methods and attributes have defaults here.

    The effect of a method is in a block when it returns, or in the next mined one; blocks may also be mined without a
    call. An optional method that is missing raises NotImplementedError: the rules that need it are reported as not
    tried, and so are those that an attribute's default excludes. There are two or more `subscribers`, `plans` and
    `receivers`, valid in leaves. On one contract a plan is always bought on the same terms. For a call that the
    contract refuses, a method may raise any error, or return without effect.
    """

    plugin: ChainPlugin
    subscribers: Sequence[str]
    plans: Sequence[str]
    receivers: Sequence[str]
    asset: str
    elsewhere: Elsewhere
    purse: int = 10**21
    """The amount that each subscriber can pay in total, in the `asset`'s smallest unit. Rules use nearly all of it."""
    window: bool = False
    """True if a batch waits in a challenge window between being recorded and being paid out."""
    publishes: bool = True
    """True if the leaf file of each batch can be found from the chain."""
    depth: int = 0
    """The number of last blocks that are not final: the maximum depth of `reorganise`."""
    pauses: int = 0
    """Maximum number of pauses until a mined block is final; 0 if blocks are mined only on request."""

    # -- required ------------------------------------------------------------------------------------------------------

    def fresh(self) -> Chain:
        """Return a connection, as operator, to a new, unused contract, on a chain where all accounts have money. It may
        be the same chain again, and the contract may have the name of one on another chain."""
        ...

    def again(self, chain: Chain) -> Chain:
        """Return another connection to the same contract, without any state that `chain` has only in memory."""
        ...

    def now(self, chain: Chain) -> int:
        """Return the chain's time, in UTC microseconds: that of its last block, or later. It never goes back."""
        ...

    def purchase(self, chain: Chain, subscriber: str, plan: str, shares: Mapping[str, int], credits: int) -> str:
        """Buy a plan for a subscriber, for the sum of the shares. Return the id of the purchase, which is always
        new."""
        ...

    def mine(self, chain: Chain) -> None:
        """Mine one block, with all transactions that can be mined."""
        ...

    def pass_time(self, chain: Chain) -> None:
        """Mine blocks until the first of them is final, and the contract's shorter delays are over: a challenge window
        that has begun, and the freeze delay after a request to leave. Not the exit delay, after which a subscriber may
        leave without a new batch."""
        ...

    def paid(self, chain: Chain, receiver: str, asset: str) -> int:
        """Return the sum of a receiver's claims and due, 0 at first. Read it without the plugin's `due` if possible."""
        ...

    # -- optional ------------------------------------------------------------------------------------------------------

    def claim(self, chain: Chain, receiver: str) -> None:
        """Pay a receiver its due in the `asset`."""
        raise NotImplementedError

    def request_exit(self, chain: Chain, subscriber: str, plan: str) -> None:
        """Ask to leave a plan, as subscriber; also for one who never bought it, or has asked before."""
        raise NotImplementedError

    def leave(self, chain: Chain, subscriber: str, plan: str, leaf: Leaf, proof: Sequence[str]) -> None:
        """Take a subscriber's unspent money in the `asset`, by this leaf and its proof; also without a request, by
        another's leaf, or against the root of an earlier batch. Pass the arguments to the contract unchecked; if it
        also needs a batch's number, pass that of the batch with this leaf's root."""
        raise NotImplementedError

    def purchase_window(self, chain: Chain, subscriber: str, plan: str, shares: Mapping[str, int], seconds: int) -> str:
        """Buy a plan that sells that many seconds, and no credits, as `purchase` does."""
        raise NotImplementedError

    def purchase_elsewhere(
        self, chain: Chain, subscriber: str, plan: str, shares: Mapping[str, int], credits: int
    ) -> str:
        """Buy a plan whose price is in `elsewhere.asset`, on the same contract, as `purchase` does."""
        raise NotImplementedError

    def namesake(self, chain: Chain) -> Chain:
        """Return a connection to the contract of the same name on the chain `elsewhere.chain`. Raise a LedgerError if
        there is none."""
        raise NotImplementedError

    def cut_off(self, chain: Chain) -> AbstractContextManager[object]:
        """Make the chain unreachable for this connection while the context lasts: its node is down, its file is locked,
        its answers are broken. Afterwards the chain is as before."""
        raise NotImplementedError

    def cancel(self, chain: Chain, number: int) -> None:
        """Cancel a committed batch that is not paid out, as guardian. Needs `window`."""
        raise NotImplementedError

    def reorganise(self, chain: Chain, depth: int, keep: bool) -> None:
        """Replace the last `depth` blocks by as many others or more. Their transactions are lost; with `keep` they are
        mined again unchanged in the new blocks or later ones, one block later or more if possible. Needs `depth`."""
        raise NotImplementedError

    def lose(self, chain: Chain, attempt: Attempt) -> None:
        """Send an attempt as `chain.send` does, and drop the transaction before it is mined."""
        raise NotImplementedError

    def steal_nonce(self, chain: Chain) -> None:
        """Mine a block with an unrelated transaction by another holder of the operator's key, which takes the next
        nonce."""
        raise NotImplementedError

    # -- calls of the contract that no plugin makes: for the differential test only ------------------------------------

    def reason(self, error: Exception) -> str:
        """Return the name of the contract's refusal, as in chains/mock/refusals.py, or an empty string if the error has
        none. Override it if every refused call raises: then a call that raises nothing counts as accepted."""
        return ""

    def purchase_again(self, chain: Chain, id: str) -> None:
        """Submit the order of an earlier purchase once more, unchanged. The contract must take no money for it."""
        raise NotImplementedError

    def record(self, chain: Chain, batch: Batch, *, stranger: bool = False) -> None:
        """Ask the contract to record a batch, and without a `window` to pay it out, without the plugin's checks. A
        `stranger` is not the operator."""
        raise NotImplementedError

    def execute(self, chain: Chain, batch: Batch, payouts: Sequence[Payout]) -> None:
        """Ask the contract, as anyone, to pay a batch out, at any stage, with payouts that may not be the batch's."""
        raise NotImplementedError

    def cancel_as_stranger(self, chain: Chain, number: int) -> None:
        """Ask the contract to cancel a batch, as neither guardian nor owner."""
        raise NotImplementedError

    def challenge(self, chain: Chain, batch: Batch, leaf: Leaf, proof: Sequence[str]) -> None:
        """Ask the contract, as anyone, to cancel a batch by a leaf that charges more than its account paid in."""
        raise NotImplementedError

    def leave_without_leaf(self, chain: Chain, subscriber: str, plan: str) -> None:
        """Claim, as subscriber, to have been charged nothing; after an earlier claim, ask for the exit's payment."""
        raise NotImplementedError

    def refute(self, chain: Chain, leaf: Leaf, proof: Sequence[str]) -> None:
        """Refute, as anyone, a claim to have been charged nothing, by a leaf of the last final root."""
        raise NotImplementedError

    def wait_for_exit(self, chain: Chain) -> None:
        """Let the exit delay pass. The differential test needs it to be longer than hundreds of calls of `pass_time`,
        and the challenge window to be longer than hundreds of calls of `mine`, so that they end only on its request."""
        raise NotImplementedError
