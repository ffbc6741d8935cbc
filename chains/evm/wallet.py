"""Subscriber, receiver and guardian operations on the contract.

with Wallet("http://127.0.0.1:8545", key, contract) as alice:
    alice.approve(asset, 1_000_000)
    bought = alice.purchase(plan)                     # plan: the id that `publish_plan` gave it
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
    """A purchase before it is made: a plan's id, for whom, and a salt that makes it unique (0x hex)."""

    plan: str
    subscriber: str
    salt: str


class SignedOrder(NamedTuple):
    """An order with an EIP-3009 authorization of `payer` for exactly its price, which buys this order and nothing else.
    It is valid between two Unix times, which do not belong to it."""

    order: PurchaseOrder
    payer: str
    valid_after: int
    valid_before: int
    v: int
    r: str
    s: str


class Bought(NamedTuple):
    """A purchase: its id, which is that of the fact that the ledger hears of, and its transaction."""

    id: str
    done: Done


class Wallet:
    """One account, over a node, at one settlement contract.

    `node` is its URL or a `Node`, `account` its private key (0x hex) or an eth-account's; `options` are `Sender`'s.
    Every call is simulated before it is sent, and waits for its block unless `wait` is False. It raises `CallReverted`
    with the contract's own error where that refuses, ChainUnavailable where nothing was sent, SendUnknown where the
    outcome is unknown, and BadData or ValueError for arguments that no contract takes.
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
        """Let go of the node, if it was opened here. A second call does nothing."""
        if self._is_own:
            self._node.close()

    @property
    def address(self) -> str:
        """The account's address."""
        return self._sender.address

    @property
    def contract(self) -> SettlementContract:
        """The contract, to read it."""
        return self._contract

    def wait(self, transaction: str) -> Done | None:
        """Return what became of a transaction that was not waited for; None where it was reverted."""
        return self._sender.wait(transaction)

    # -- money ---------------------------------------------------------------------------------------------------------

    def balance(self, asset: str) -> int:
        """Return what the account has of an asset, in its smallest unit."""
        return self._token(asset).balance(self.address)

    def approve(self, asset: str, amount: int, *, wait: bool = True) -> Done:
        """Let the contract take so much of a token for purchases from now on."""
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
        """Return an order of a plan, for this account or another, of which there is no other."""
        addresses.plan_id(plan)
        return PurchaseOrder(plan, addresses.address(subscriber or self.address), salt or "0x" + secrets.token_hex(32))

    def purchase_id(self, order: PurchaseOrder) -> str:
        """Return what the contract calls an order: each is bought once."""
        words = (self._sender.chain_id, self._contract.address, *_order(order))
        return to_hex(keccak(abi_encode(("uint256", "address", "uint256", "address", "bytes32"), words)))

    def purchase(self, order: PurchaseOrder | str, *, wait: bool = True) -> Bought:
        """Buy an order, or a plan once more, for this account's money: the coin, or a token of which it has approved
        enough."""
        order = order if isinstance(order, PurchaseOrder) else self.order(order)
        terms = self._terms(order.plan)
        value = _price(terms) if terms.token == addresses.COIN else 0
        return Bought(self.purchase_id(order), self._call("purchase", _order(order), value=value, wait=wait))

    def sign_purchase(
        self, order: PurchaseOrder, *, valid_after: int = 0, valid_before: int | None = None
    ) -> SignedOrder:
        """Authorize an order's price (EIP-3009), so that anyone may relay it, within an hour unless times are given.

        Nothing is sent. Raises BadData for a plan that is sold for the coin, and for a token that is no EIP-3009 one.
        """
        terms = self._terms(order.plan)
        if terms.token == addresses.COIN:
            raise BadData("the chain's own coin cannot be authorized", "call `purchase`, which sends it along")
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

    # -- what was bought -----------------------------------------------------------------------------------------------

    def has_access(self, plan: str) -> bool:
        """Return True if this account has bought a plan and not asked to leave.

        What is left of it, the ledger knows.
        """
        return self._contract.has_access(self.address, addresses.plan_id(plan))

    def spendable(self, leaf: Leaf, proof: Sequence[str]) -> int:
        """Return what an account has left of its money as of the last final root, in the asset's smallest unit, by its
        leaf there. Raises CallReverted where the proof does not hold."""
        try:
            return self._contract.spendable(_leaf(leaf), _proof(proof))
        except CallReverted as refused:
            raise CallReverted(reason(refused), refused.data) from None

    # -- leaving -------------------------------------------------------------------------------------------------------

    def request_exit(self, plan: str, *, wait: bool = True) -> Done:
        """Ask to leave a plan: the ledger freezes the account permanently."""
        return self._call("requestExit", addresses.plan_id(plan), wait=wait)

    def exit(self, leaf: Leaf, proof: Sequence[str], *, wait: bool = True) -> Done:
        """Leave with the unspent rest, by this account's leaf in the last final root. See `chains.prove`."""
        if leaf.subscriber != self.address:
            raise BadData(
                f"the leaf is of {leaf.subscriber}, and the wallet of {self.address}", "prove the own account"
            )
        counters = addresses.plan_id(leaf.plan), leaf.charged, leaf.credited
        return self._call("exit", *counters, _proof(proof), wait=wait)

    def claim_uncharged(self, plan: str, *, wait: bool = True) -> Done:
        """Claim to have been charged nothing, the exit delay after the request, where there is no leaf to prove by."""
        return self._call("claimUncharged", addresses.plan_id(plan), wait=wait)

    def refute(self, leaf: Leaf, proof: Sequence[str], *, wait: bool = True) -> Done:
        """Show a leaf of the last final root that refutes a claim to have been charged nothing."""
        return self._call("refuteUncharged", _leaf(leaf), _proof(proof), wait=wait)

    def exit_uncharged(self, plan: str, *, wait: bool = True) -> Done:
        """Leave with all that was paid in, the exit delay after a claim that was not refuted."""
        return self._call("exitUncharged", addresses.plan_id(plan), wait=wait)

    # -- payouts and batches -------------------------------------------------------------------------------------------

    def claim(self, asset: str, receiver: str | None = None, *, wait: bool = True) -> Done:
        """Have a receiver (this account, unless another is named) paid all that is due to it."""
        self._token(asset)
        return self._call("claim", addresses.token(asset), addresses.address(receiver or self.address), wait=wait)

    def challenge(self, batch: Batch, leaf: Leaf, proof: Sequence[str], *, wait: bool = True) -> Done:
        """Call off a batch in its window, by a leaf of it that charges an account more than it ever paid in."""
        return self._call(
            "challengeOverdraw", tuple(commitment.contract_batch(batch)), _leaf(leaf), _proof(proof), wait=wait
        )

    def cancel(self, number: int, reason: str, *, wait: bool = True) -> Done:
        """Call off a batch in its window, as guardian or owner."""
        return self._call("cancelBatch", number, reason, wait=wait)

    def execute(self, batch: Batch, *, wait: bool = True) -> Done:
        """Pay a batch out after its window: anyone may, also where the operator is gone."""
        payouts = [(payout.receiver, payout.amount) for payout in batch.payouts]
        return self._call("executeBatch", tuple(commitment.contract_batch(batch)), payouts, wait=wait)

    def _call(self, name: str, *arguments: object, value: int = 0, wait: bool) -> Done:
        with _encodable(name):
            data = self._contract.encode(name, *arguments)
        return self._sender.send(self._contract.address, data, value, wait=wait)


@contextmanager
def _encodable(name: str) -> Iterator[None]:
    """Turn a value that the ABI has no room for (such as a counter beyond 128 bits) into an error of the caller."""
    from eth_abi.exceptions import EncodingError
    from web3.exceptions import MismatchedABI

    try:
        yield
    except (EncodingError, MismatchedABI, TypeError, OverflowError) as error:
        raise BadData(
            f"{name} cannot be called with that: {str(error).splitlines()[0]}", "see the contract's types"
        ) from error


def _price(terms: PlanTerms) -> int:
    return sum(share.amount for share in terms.shares)


def _order(order: PurchaseOrder) -> tuple[int, str, bytes]:
    return addresses.plan_id(order.plan), order.subscriber, bytes.fromhex(order.salt.removeprefix("0x"))


def _leaf(leaf: Leaf) -> tuple[str, int, int, int]:
    return leaf.subscriber, addresses.plan_id(leaf.plan), leaf.charged, leaf.credited


def _proof(proof: Sequence[str]) -> list[bytes]:
    return [bytes.fromhex(sibling.removeprefix("0x")) for sibling in proof]
