"""The harness of the mock chain, also an example for other plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from ledger import ContractRef
from ledger.errors import ChainUnavailable
from ledger.events import Leaf, Payout
from ledger.plugins import Chain
from ledger.settlement.messages import Attempt, Batch, PurchaseMade

from ..mock import Drop, MockChain, MockPlugin, NodeDown, Reverted, transactions
from ..mock.state import Rules
from .harness import Elsewhere, Harness

START = 1_700_000_000_000_000
BLOCK = 12_000_000


class MockHarness(Harness):
    """Mock chains; `connect` returns a new one at each call. `again` connects anew to a chain in a file; a chain in
    memory has only one connection, which is used again. `finality`, `window` and `exit_delay` are those of the chains,
    in blocks."""

    plugin = MockPlugin()
    subscribers: Sequence[str] = ("alice", "bob")
    plans: Sequence[str] = ("small", "large")
    receivers: Sequence[str] = ("seller", "platform")
    asset = "USD"
    elsewhere = Elsewhere("mock:elsewhere", "another", "EUR")
    purse = 2**200

    def __init__(
        self,
        connect: Callable[[], MockChain] = MockChain,
        again: Callable[[MockChain], MockChain] = lambda chain: chain,
        *,
        finality: int = 2,
        window: int = 0,
        exit_delay: int = Rules().exit_delay,
    ) -> None:
        self._connect, self._again, self._exit_delay = connect, again, exit_delay
        self.depth, self.window, self._blocks = finality, window > 0, finality + window + 1
        self.pauses = self._blocks

    def fresh(self) -> Chain:
        """Return a new mock chain: it has one contract, and its accounts have unlimited money."""
        return self._connect()

    def again(self, chain: Chain) -> Chain:
        return self._again(mock(chain))

    def now(self, chain: Chain) -> int:
        """Return the time of the last block: mock chains have no clock, so a block is 12 seconds here."""
        return START + BLOCK * mock(chain).height

    def purchase(self, chain: Chain, subscriber: str, plan: str, shares: Mapping[str, int], credits: int) -> str:
        return mock(chain).purchase(subscriber, plan, self.asset, shares, credits=credits).id

    def purchase_window(self, chain: Chain, subscriber: str, plan: str, shares: Mapping[str, int], seconds: int) -> str:
        return mock(chain).purchase(subscriber, plan, self.asset, shares, seconds=seconds).id

    def purchase_elsewhere(
        self, chain: Chain, subscriber: str, plan: str, shares: Mapping[str, int], credits: int
    ) -> str:
        return mock(chain).purchase(subscriber, plan, self.elsewhere.asset, shares, credits=credits).id

    def mine(self, chain: Chain) -> None:
        mock(chain).mine()

    def pass_time(self, chain: Chain) -> None:
        mock(chain).mine(self._blocks)

    def paid(self, chain: Chain, receiver: str, asset: str) -> int:
        return mock(chain).balance(receiver, asset) + mock(chain).due(receiver, asset)

    def claim(self, chain: Chain, receiver: str) -> None:
        mock(chain).claim(receiver, self.asset)

    def request_exit(self, chain: Chain, subscriber: str, plan: str) -> None:
        mock(chain).request_exit(subscriber, plan)

    def leave(self, chain: Chain, subscriber: str, plan: str, leaf: Leaf, proof: Sequence[str]) -> None:
        mock(chain).exit(subscriber, plan, self.asset, leaf, proof)

    def cancel(self, chain: Chain, number: int) -> None:
        mock(chain).cancel(number, "for a test")

    def reorganise(self, chain: Chain, depth: int, keep: bool) -> None:
        mock(chain).reorganise(depth, keep=keep)

    def lose(self, chain: Chain, attempt: Attempt) -> None:
        mock(chain).script(Drop())
        chain.send(attempt)

    def steal_nonce(self, chain: Chain) -> None:
        mock(chain).steal_nonce()

    def namesake(self, chain: Chain) -> Chain:
        """Return a chain in memory under the other name, which is a different chain."""
        return self.plugin.connect(ContractRef(self.elsewhere.chain, chain.contract))

    @contextmanager
    def cut_off(self, chain: Chain) -> Iterator[None]:
        """Script a fault for more calls than will be made, and consume the remainder at the end."""
        mock(chain).script(NodeDown(calls=100))
        try:
            yield
        finally:
            while mock(chain).faults_left:
                with suppress(ChainUnavailable):
                    chain.final_block()

    # -- calls of the contract that no plugin makes --------------------------------------------------------------------

    def reason(self, error: Exception) -> str:
        return str(error).partition("(")[0] if isinstance(error, Reverted) else ""

    def purchase_again(self, chain: Chain, id: str) -> None:
        """Submit the order again: the mock accepts it without effect, so Reverted is raised here."""
        facts = mock(chain).facts(confirmations=0)
        fact = next(fact for fact in facts if isinstance(fact, PurchaseMade) and fact.id == id)
        shares = {share.receiver: share.amount for share in fact.shares}
        mock(chain).purchase(fact.subscriber, fact.plan, fact.asset, shares, credits=fact.credits, id=id)
        raise Reverted(f"PurchaseExists({id})")

    def record(self, chain: Chain, batch: Batch, *, stranger: bool = False) -> None:
        """Record a batch. Raises Reverted for a stranger: only the operator's key can sign a batch on a mock chain."""
        if stranger:
            raise Reverted("NotOperator()")
        mock(chain).call(transactions.commit(batch))

    def execute(self, chain: Chain, batch: Batch, payouts: Sequence[Payout]) -> None:
        """Execute a batch. The mock has its payouts and is not given them again, so others raise Reverted here."""
        digest = self.plugin.commitment(batch).digest
        if tuple(payouts) != batch.payouts:
            raise Reverted("")
        mock(chain).call(transactions.ExecuteCall(number=batch.number, digest=digest))

    def cancel_as_stranger(self, chain: Chain, number: int) -> None:
        """Raise Reverted: only the guardian can sign this on a mock chain."""
        raise Reverted("NotGuardian()")

    def challenge(self, chain: Chain, batch: Batch, leaf: Leaf, proof: Sequence[str]) -> None:
        """Challenge a batch. The mock is given only the number, so another digest raises Reverted here."""
        if mock(chain).find(batch.number).digest != self.plugin.commitment(batch).digest:
            raise Reverted("BatchUnknown()")
        mock(chain).challenge(batch.number, leaf, proof)

    def leave_without_leaf(self, chain: Chain, subscriber: str, plan: str) -> None:
        """Claim, or ask for payment: the mock has one call for both."""
        mock(chain).exit(subscriber, plan, self.asset)

    def refute(self, chain: Chain, leaf: Leaf, proof: Sequence[str]) -> None:
        mock(chain).refute(leaf, proof)

    def wait_for_exit(self, chain: Chain) -> None:
        mock(chain).mine(self._exit_delay + 1)


def mock(chain: Chain) -> MockChain:
    """Return the chain as a MockChain, with its controls."""
    assert isinstance(chain, MockChain)
    return chain
