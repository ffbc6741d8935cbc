"""The transactions of a mock chain's users: subscribers, receivers, the guardian, and challengers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from ledger.amounts import is_whole
from ledger.errors import BadData, LedgerError
from ledger.events import Leaf, Share
from ledger.settlement.messages import ChainFact, ExitPaid, ExitRequested, PurchaseMade

from . import effects, refusals, transactions
from .connection import Connection
from .node import MockNode
from .transactions import Call


class Reverted(LedgerError):
    """The contract refuses a call of a user or the guardian; no transaction was sent. The message is its custom
    error."""

    code = "refused"
    hint = "the contract's rules are in chains/mock/contract.py"


class Users(Connection):
    """The calls of the contract's users. A call that the contract would revert raises Reverted, and is not sent."""

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

        The same order under the same id buys once; another order under that id is always refused. Without an id it gets
        a new one. The returned block is 0 while it is in the pool. Raises Reverted, or BadData.
        """
        for word in (subscriber, plan, asset):
            _check_name(word)
        if not (is_whole(credits) and is_whole(seconds)):
            raise BadData("credits and seconds must be whole numbers, 0 or more")
        if id is not None and (not id or id.startswith("exit:")):
            raise BadData(f"{id!r} cannot be the id of a purchase", "give one that does not begin with exit:")
        for receiver, amount in shares.items():
            _check_name(receiver)
            if not is_whole(amount, maximum=None):
                raise BadData(f"a share must be a whole number, 0 or more, not {amount!r}")
        with self._shared.changing():
            order = transactions.PurchaseCall(
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
            return fact if isinstance(fact, PurchaseMade) else _unmined(effects.purchase_fact(order, 0))

    def request_exit(self, subscriber: str, plan: str) -> ExitRequested:
        """Ask to leave a plan, as subscriber. The returned block is 0 while it is in the pool. Raises Reverted."""
        with self._transacting(transactions.RequestExitCall(subscriber=subscriber, plan=plan)):
            id = effects.exit_id("requested", subscriber, plan)
            fact = self._fact(id)
            if isinstance(fact, ExitRequested):
                return fact
            return ExitRequested(id=id, block=0, subscriber=subscriber, plan=plan, final=False)

    def exit(
        self, subscriber: str, plan: str, asset: str, leaf: Leaf | None = None, proof: Sequence[str] = ()
    ) -> ExitPaid | None:
        """Take the unspent remainder: by a leaf and its proof against the asset's final root, or, after the exit delay,
        without a leaf. The latter claims that nothing was charged; called again one more delay later it pays, unless it
        was refuted. Return None if nothing was paid yet. Raises Reverted.
        """
        call = transactions.ExitCall(subscriber=subscriber, plan=plan, asset=asset, leaf=leaf, proof=tuple(proof))
        with self._transacting(call):
            fact = self._fact(effects.exit_id("paid", subscriber, plan, asset))
            return fact if isinstance(fact, ExitPaid) else None

    def refute(self, leaf: Leaf, proof: Sequence[str]) -> None:
        """Refute an account's claim that nothing was charged, by its leaf in a final root. Raises Reverted."""
        with self._transacting(transactions.RefuteCall(leaf=leaf, proof=tuple(proof))):
            pass

    def claim(self, receiver: str, asset: str) -> int:
        """Have a receiver paid its due, and return the amount. Raises Reverted if nothing is due."""
        call = transactions.ClaimCall(receiver=receiver, asset=asset)
        _refuse(self._shared.now(), call)
        with self._shared.changing():
            due = self._node.state.due[asset].get(receiver, 0)
            self._make(call)
            return due

    def cancel(self, number: int, reason: str) -> None:
        """Cancel a committed batch that is not executed, as guardian. Raises Reverted."""
        with self._transacting(transactions.CancelCall(number=number, reason=reason)):
            pass

    def challenge(self, number: int, leaf: Leaf, proof: Sequence[str]) -> None:
        """Cancel a committed batch by a leaf that charges more than its account paid in. Raises Reverted."""
        with self._transacting(transactions.ChallengeCall(number=number, leaf=leaf, proof=tuple(proof))):
            pass

    def call(self, call: Call) -> None:
        """Make any call of the contract, by anyone. Raises Reverted where the contract refuses it."""
        with self._transacting(call):
            pass

    @contextmanager
    def _transacting(self, call: Call) -> Iterator[None]:
        """Send a user's transaction, and read its effects inside the context, in one change. A refused call waits for
        no lock."""
        _refuse(self._shared.now(), call)
        with self._shared.changing():
            self._make(call)
            yield

    def _make(self, call: Call) -> None:
        """Send a user's transaction, unless the contract would revert it now."""
        _refuse(self._node, call)
        self._node.offer(self._node.sign_for_anyone(call))
        self._automine()

    def _fact(self, id: str) -> ChainFact | None:
        """Return the latest fact of that id."""
        node = self._node
        for fact in reversed(node.state.facts):
            if fact.id == id:
                return fact if fact.block <= node.final else msgspec.structs.replace(fact, final=False)
        return None

    def _new_purchase(self) -> str:
        """Return an id that no purchase of this chain ever had."""
        while True:
            self._node.pending.purchases += 1
            id = f"purchase-{self._node.pending.purchases}"
            if id not in self._node.state.purchases:
                return id


def _refuse(node: MockNode, call: Call) -> None:
    """Raise Reverted if the contract would revert the call in the next block."""
    reason = refusals.refusal(node.state, node.deployment, call, node.height + 1)
    if reason is not None:
        raise Reverted(reason)


def _check_name(word: str) -> None:
    if not isinstance(word, str) or not word:
        raise BadData(f"a name must be non-empty text, not {word!r}")


def _unmined(fact: PurchaseMade) -> PurchaseMade:
    return msgspec.structs.replace(fact, final=False)
