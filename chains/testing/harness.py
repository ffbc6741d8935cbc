"""Test harness that a chain plugin provides: accounts that buy, and control over block production."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from ledger.events import Leaf, Payout
from ledger.plugins import Chain, ChainPlugin
from ledger.settlement.messages import Attempt, Batch


class Elsewhere(NamedTuple):
    """Names as good as those that are tried, and others: of a chain, of a contract, of an asset."""

    chain: str
    contract: str
    asset: str


class Harness(Protocol):
    """A kind of chain under test. Subclass it: what it can do without, it has here.

    What a method does is in a block when it returns, or in the next one that is mined; blocks may come by themselves
    as well. A method that is not written raises NotImplementedError: the rules that need it are reported as not tried,
    and so are those that an attribute's default rules out. Of `subscribers`, `plans` and `receivers` there are two or
    more, all that a leaf can name. On one contract a plan is always bought on the same terms. What a method is asked
    for that the contract refuses, it may refuse by any error, or do without effect.
    """

    plugin: ChainPlugin
    subscribers: Sequence[str]
    plans: Sequence[str]
    receivers: Sequence[str]
    asset: str
    elsewhere: Elsewhere
    purse: int = 10**21
    """The amount of the `asset`'s smallest unit that each subscriber can pay in all. Rules go nearly up to it."""
    window: bool = False
    """True if a batch waits in a challenge window between being recorded and being paid out."""
    publishes: bool = True
    """True if the chain leads to the leaf file of each batch."""
    depth: int = 0
    """The number of last blocks that are not final: so deep `reorganise` can go without undoing what is."""
    pauses: int = 0
    """The most pauses until what a chain mined is final; 0 where blocks do not come by themselves."""

    # -- what every harness must do ------------------------------------------------------------------------------------

    def fresh(self) -> Chain:
        """A connection, as operator, to a new contract that nobody has used, on a chain where all accounts have money.
        It may be the same chain again, and the contract may have the same name on another."""
        ...

    def again(self, chain: Chain) -> Chain:
        """Another connection to the same contract, made from nothing: what `chain` knows only in memory, it lacks."""
        ...

    def now(self, chain: Chain) -> int:
        """The chain's time, in UTC microseconds: that of its last block, or later. It never goes back."""
        ...

    def purchase(self, chain: Chain, subscriber: str, plan: str, shares: Mapping[str, int], credits: int) -> str:
        """A subscriber buys a plan once more, for the sum of the shares. The id of the purchase: always another."""
        ...

    def mine(self, chain: Chain) -> None:
        """One block, with all that can be mined."""
        ...

    def pass_time(self, chain: Chain) -> None:
        """Blocks, until all that is mined in the first of them is final, and the contract's own waits are over: a
        challenge window that has begun, the time from a request to leave to the first batch that serves it. Not the
        longer one after which a subscriber may leave without such a batch."""
        ...

    def paid(self, chain: Chain, receiver: str, asset: str) -> int:
        """The sum of what the contract has paid to a receiver and owes it: 0 at first. Read it without asking
        the plugin's `due` where you can."""
        ...

    # -- what a harness may lack ---------------------------------------------------------------------------------------

    def claim(self, chain: Chain, receiver: str) -> None:
        """The receiver is paid what is due to it in the `asset`."""
        raise NotImplementedError

    def request_exit(self, chain: Chain, subscriber: str, plan: str) -> None:
        """A subscriber asks to leave a plan: also one who never bought it, or has asked before."""
        raise NotImplementedError

    def leave(self, chain: Chain, subscriber: str, plan: str, leaf: Leaf, proof: Sequence[str]) -> None:
        """A subscriber takes the rest of its money by this leaf and its proof, in the `asset`: also without having
        asked, by a leaf that is not its own, or against the root of any earlier batch. Hand the contract what is given
        here, and let it judge; where it wants a batch's number as well, that of the batch with this leaf's root."""
        raise NotImplementedError

    def purchase_window(self, chain: Chain, subscriber: str, plan: str, shares: Mapping[str, int], seconds: int) -> str:
        """`purchase` of a plan that sells so many seconds, and no credits."""
        raise NotImplementedError

    def purchase_elsewhere(
        self, chain: Chain, subscriber: str, plan: str, shares: Mapping[str, int], credits: int
    ) -> str:
        """`purchase` of a plan whose price is in `elsewhere.asset`, on the same contract."""
        raise NotImplementedError

    def namesake(self, chain: Chain) -> Chain:
        """As `again`, but to the contract of the same name on the chain called `elsewhere.chain`. It may raise a
        LedgerError where there is none."""
        raise NotImplementedError

    def cut_off(self, chain: Chain) -> AbstractContextManager[object]:
        """While the context lasts, the chain cannot be reached by this connection: its node is down, its file locked or
        gone, its answers are broken. Afterwards all is as it was."""
        raise NotImplementedError

    def cancel(self, chain: Chain, number: int) -> None:
        """The contract's guardian calls off a batch that is recorded and not paid out. Needs `window`."""
        raise NotImplementedError

    def reorganise(self, chain: Chain, depth: int, keep: bool) -> None:
        """Replace the last `depth` blocks by as many others or more. Their transactions are lost; with `keep` they are
        mined again, as they are, in the new blocks or in those that follow, one block later or more where that can be.
        Needs `depth`."""
        raise NotImplementedError

    def lose(self, chain: Chain, attempt: Attempt) -> None:
        """Do what `chain.send(attempt)` does, and have the transaction vanish before it is mined."""
        raise NotImplementedError

    def steal_nonce(self, chain: Chain) -> None:
        """Another holder of the operator's key has the next nonce mined, in one block, with a transaction of no use."""
        raise NotImplementedError

    # -- calls of the contract that no plugin makes: for the differential test only ------------------------------------

    def reason(self, error: Exception) -> str:
        """Return the name of the contract's refusal, as chains/mock/contract.py spells it, or an empty string where
        the error does not say. Override it if every refused call raises: then a call that raises nothing counts as
        accepted."""
        return ""

    def purchase_again(self, chain: Chain, id: str) -> None:
        """Submit the order of an earlier purchase once more, unchanged. The contract must take no money for it."""
        raise NotImplementedError

    def record(self, chain: Chain, batch: Batch, *, stranger: bool = False) -> None:
        """Ask the contract to record a batch, and where it has no `window` to pay it out; as it is, without asking the
        plugin whether it is right. A `stranger` is not the operator."""
        raise NotImplementedError

    def execute(self, chain: Chain, batch: Batch, payouts: Sequence[Payout]) -> None:
        """Anyone asks the contract to pay a batch out: whatever its stage, with payouts that may not be the batch's."""
        raise NotImplementedError

    def cancel_as_stranger(self, chain: Chain, number: int) -> None:
        """`cancel` by an account that is neither guardian nor owner."""
        raise NotImplementedError

    def challenge(self, chain: Chain, batch: Batch, leaf: Leaf, proof: Sequence[str]) -> None:
        """Anyone asks the contract to cancel a batch by a leaf that charges more than its account paid in."""
        raise NotImplementedError

    def leave_without_leaf(self, chain: Chain, subscriber: str, plan: str) -> None:
        """A subscriber claims to have been charged nothing; if it has claimed that already, it asks to be paid."""
        raise NotImplementedError

    def refute(self, chain: Chain, leaf: Leaf, proof: Sequence[str]) -> None:
        """Anyone refutes the claim to have been charged nothing by a leaf of the last root that was paid out."""
        raise NotImplementedError

    def wait_for_exit(self, chain: Chain) -> None:
        """Let as much time pass as a subscriber waits to leave without a new batch. The differential test needs this
        wait to be longer than hundreds of calls of `pass_time`, and a challenge window longer than hundreds of blocks
        that `mine` mines: time must pass only where it lets it."""
        raise NotImplementedError
