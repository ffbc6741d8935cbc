"""Subscriber, receiver and guardian operations on the contract.

with Wallet("http://127.0.0.1:8545", key, contract) as alice:
    alice.approve(asset, 1_000_000)
    bought = alice.purchase(plan)                     # plan: the id that `publish_plan` returned
    signed = alice.sign_purchase(alice.order(plan))   # or without gas: another account relays it

with Wallet(url, other_key, contract) as relayer:
    relayer.relay(signed)
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self

from eth_account.signers.local import LocalAccount

from ledger.errors import BadData
from ledger.events import Leaf
from ledger.settlement.messages import Batch

from ..commitment import to_hex
from ..leaves import abi_encode, keccak
from . import addresses, commitment
from .contract import PlanTerms, SettlementContract
from .node import Node
from .node_errors import CallReverted
from .reverts import reason
from .sending import Done, Sender
from .tokens import Token

_HOUR = 3600


class PurchaseOrder(NamedTuple):
    """An order: the plan's id, the subscriber, and a salt that makes it unique (0x hex)."""

    plan: str
    subscriber: str
    salt: str


class SignedOrder(NamedTuple):
    """An order with an EIP-3009 authorization of `payer` for exactly its price, which buys only this order. It is valid
    strictly between two Unix times."""

    order: PurchaseOrder
    payer: str
    valid_after: int
    valid_before: int
    v: int
    r: str
    s: str


class Bought(NamedTuple):
    """A purchase: its id, which is also the id of the chain fact, and its transaction."""

    id: str
    done: Done


class Wallet:
    """One account, over a node, at one settlement contract.

    `node` is its URL or a `Node`, `account` its private key (0x hex) or an eth-account's; `options` are `Sender`'s.
    Every call is simulated before it is sent, and waits for its block unless `wait` is False. It raises `CallReverted`
    with the contract's error if it refuses, ChainUnavailable if nothing was sent, SendUnknown if the outcome is
    unknown, and BadData or ValueError for invalid arguments.
    """

    def __init__(self, node: Node | str, account: LocalAccount | str, contract: str, **options: Any) -> None:  # noqa: ANN401
        self._is_own = isinstance(node, str)
        self._node = Node(node) if isinstance(node, str) else node
        self._contract = SettlementContract(self._node, addresses.address(contract))
        self._sender = Sender(self._node, account, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the node, if it was opened here. A second call does nothing."""
        if self._is_own:
            self._node.close()

    @property
    def address(self) -> str:
        """The account's address."""
        return self._sender.address

    @property
    def contract(self) -> SettlementContract:
        """The contract, for reading."""
        return self._contract

    def wait(self, transaction: str) -> Done | None:
        """Wait for a transaction that was sent without waiting, and return it; None if it was reverted."""
        return self._sender.wait(transaction)

    # -- money ---------------------------------------------------------------------------------------------------------

    def balance(self, asset: str) -> int:
        """Return the account's balance of an asset, in its smallest unit."""
        return self._token(asset).balance(self.address)

    def approve(self, asset: str, amount: int, *, wait: bool = True) -> Done:
        """Approve an amount of a token for purchases, in its smallest unit."""
        return self._sender.send(*self._token(asset).approve(self._contract.address, amount), wait=wait)

    def _token(self, asset: str) -> Token:
        chain, _, _ = asset.partition("/")
        if chain != addresses.chain_name(self._sender.chain_id):
            raise BadData(
                f"{asset} is not on {addresses.chain_name(self._sender.chain_id)}", "give an asset of this chain"
            )
        return Token(self._node, addresses.token(asset))

    # -- purchases -----------------------------------------------------------------------------------------------------

    def order(self, plan: str, subscriber: str | None = None, salt: str | None = None) -> PurchaseOrder:
        """Return a new order of a plan, for this account or another subscriber."""
        addresses.plan_id(plan)
        return PurchaseOrder(plan, addresses.address(subscriber or self.address), salt or "0x" + secrets.token_hex(32))

    def purchase_id(self, order: PurchaseOrder) -> str:
        """Return the contract's id of an order. Each order is bought once."""
        words = (self._sender.chain_id, self._contract.address, *_order(order))
        return to_hex(keccak(abi_encode(("uint256", "address", "uint256", "address", "bytes32"), words)))

    def purchase(self, order: PurchaseOrder | str, *, wait: bool = True) -> Bought:
        """Buy an order, or a new order of a plan, with this account's money: the coin, or a token that it has
        approved."""
        order = order if isinstance(order, PurchaseOrder) else self.order(order)
        terms = self._terms(order.plan)
        value = _price(terms) if terms.token == addresses.COIN else 0
        return Bought(self.purchase_id(order), self._call("purchase", _order(order), value=value, wait=wait))

    def sign_purchase(
        self, order: PurchaseOrder, *, valid_after: int = 0, valid_before: int | None = None
    ) -> SignedOrder:
        """Authorize an order's price (EIP-3009), so that anyone may relay it, by default within an hour.

        Nothing is sent. Raises BadData for a plan that is sold for the coin, and for a token without EIP-3009.
        """
        terms = self._terms(order.plan)
        if terms.token == addresses.COIN:
            raise BadData("the chain's own coin cannot be authorized", "call `purchase`, which sends it as the value")
        before = self._node.head().timestamp + _HOUR if valid_before is None else valid_before
        signed = Token(self._node, terms.token).authorize(
            self._sender.account,
            chain_id=self._sender.chain_id,
            to=self._contract.address,
            amount=_price(terms),
            valid_after=valid_after,
            valid_before=before,
            nonce=self.purchase_id(order),
        )
        return SignedOrder(order, self.address, valid_after, before, *signed)

    def relay(self, signed: SignedOrder, *, wait: bool = True) -> Bought:
        """Buy an order that its payer has signed, with the payer's money and this account's gas."""
        authorization = (
            signed.payer,
            signed.valid_after,
            signed.valid_before,
            signed.v,
            bytes.fromhex(signed.r.removeprefix("0x")),
            bytes.fromhex(signed.s.removeprefix("0x")),
        )
        done = self._call("purchaseWithAuthorization", _order(signed.order), authorization, wait=wait)
        return Bought(self.purchase_id(signed.order), done)

    def _terms(self, plan: str) -> PlanTerms:
        terms = self._contract.plan(addresses.plan_id(plan))
        if terms is None:
            raise BadData(
                f"no plan {plan} is published on {self._contract.address}", "check the contract and the plan's id"
            )
        return terms

    # -- readings of an account ----------------------------------------------------------------------------------------

    def has_access(self, plan: str) -> bool:
        """Return True if this account has bought a plan and not asked to leave. Its balance is in the ledger."""
        return self._contract.has_access(self.address, addresses.plan_id(plan))

    def spendable(self, leaf: Leaf, proof: Sequence[str]) -> int:
        """Return an account's unspent money as of the last final root, in the asset's smallest unit, by its leaf there.
        Raises CallReverted for an invalid proof."""
        try:
            return self._contract.spendable(_leaf(leaf), _proof(proof))
        except CallReverted as refused:
            raise CallReverted(reason(refused), refused.data) from None

    # -- leaving -------------------------------------------------------------------------------------------------------

    def request_exit(self, plan: str, *, wait: bool = True) -> Done:
        """Ask to leave a plan: the ledger freezes the account permanently."""
        return self._call("requestExit", addresses.plan_id(plan), wait=wait)

    def exit(self, leaf: Leaf, proof: Sequence[str], *, wait: bool = True) -> Done:
        """Leave with the unspent remainder, by this account's leaf in the last final root. See `chains.prove`."""
        if leaf.subscriber != self.address:
            raise BadData(
                f"the leaf is of {leaf.subscriber}, and the wallet of {self.address}", "prove the wallet's own account"
            )
        counters = addresses.plan_id(leaf.plan), leaf.charged, leaf.credited
        return self._call("exit", *counters, _proof(proof), wait=wait)

    def claim_uncharged(self, plan: str, *, wait: bool = True) -> Done:
        """Claim to have been charged nothing, once the exit delay after the request is over. For an account without a
        leaf."""
        return self._call("claimUncharged", addresses.plan_id(plan), wait=wait)

    def refute(self, leaf: Leaf, proof: Sequence[str], *, wait: bool = True) -> Done:
        """Refute a claim to have been charged nothing, by a leaf of the last final root."""
        return self._call("refuteUncharged", _leaf(leaf), _proof(proof), wait=wait)

    def exit_uncharged(self, plan: str, *, wait: bool = True) -> Done:
        """Leave with the full price of all purchases, once the exit delay after a claim that was not refuted is
        over."""
        return self._call("exitUncharged", addresses.plan_id(plan), wait=wait)

    # -- payouts and batches -------------------------------------------------------------------------------------------

    def claim(self, asset: str, receiver: str | None = None, *, wait: bool = True) -> Done:
        """Have a receiver (by default this account) paid its whole due."""
        self._token(asset)
        return self._call("claim", addresses.token(asset), addresses.address(receiver or self.address), wait=wait)

    def challenge(self, batch: Batch, leaf: Leaf, proof: Sequence[str], *, wait: bool = True) -> Done:
        """Cancel a batch in its window, by a leaf of it that charges an account more than it ever paid in."""
        return self._call(
            "challengeOverdraw", tuple(commitment.contract_batch(batch)), _leaf(leaf), _proof(proof), wait=wait
        )

    def cancel(self, number: int, reason: str, *, wait: bool = True) -> Done:
        """Cancel a batch in its window, as guardian or owner."""
        return self._call("cancelBatch", number, reason, wait=wait)

    def execute(self, batch: Batch, *, wait: bool = True) -> Done:
        """Pay a batch out after its window. Anyone may do this."""
        payouts = [(payout.receiver, payout.amount) for payout in batch.payouts]
        return self._call("executeBatch", tuple(commitment.contract_batch(batch)), payouts, wait=wait)

    def _call(self, name: str, *arguments: object, value: int = 0, wait: bool) -> Done:
        with _encodable(name):
            data = self._contract.encode(name, *arguments)
        return self._sender.send(self._contract.address, data, value, wait=wait)


@contextmanager
def _encodable(name: str) -> Iterator[None]:
    """Raise BadData for a value that the ABI cannot encode, such as a counter beyond 128 bits."""
    from eth_abi.exceptions import EncodingError
    from web3.exceptions import MismatchedABI

    try:
        yield
    except (EncodingError, MismatchedABI, TypeError, OverflowError) as error:
        raise BadData(
            f"{name} cannot be called with these arguments: {str(error).splitlines()[0]}", "see the contract's types"
        ) from error


def _price(terms: PlanTerms) -> int:
    return sum(share.amount for share in terms.shares)


def _order(order: PurchaseOrder) -> tuple[int, str, bytes]:
    return addresses.plan_id(order.plan), order.subscriber, bytes.fromhex(order.salt.removeprefix("0x"))


def _leaf(leaf: Leaf) -> tuple[str, int, int, int]:
    return leaf.subscriber, addresses.plan_id(leaf.plan), leaf.charged, leaf.credited


def _proof(proof: Sequence[str]) -> list[bytes]:
    return [bytes.fromhex(sibling.removeprefix("0x")) for sibling in proof]
