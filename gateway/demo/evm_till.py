"""The shop's money on a local EVM chain: customers have keys and sign, somebody relays, the operator settles.

The chain's time is the trace's, as the ledger's is. Keys are made of names, so that the same run makes the same chain.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from eth_account import Account
from msgspec.structs import replace

from chains import Proof
from chains.commitment import to_hex
from chains.evm import addresses
from chains.evm.connecting import connect
from chains.evm.contract import SettlementContract
from chains.evm.deploying import Delays, Roles, deploy_settlement, deploy_token, publish_plan
from chains.evm.local import LocalChain, local_chain
from chains.evm.node import Node
from chains.evm.sending import Done, Sender
from chains.evm.tokens import Token
from chains.evm.wallet import Wallet
from chains.leaves import keccak
from ledger import ContractRef, CreatePlan, Ledger
from ledger.amounts import SECOND
from ledger.events import SettlementConfirmed, SettlementOpened, Share
from ledger.plugins import Chain
from ledger.settlement.messages import PurchaseMade

from .shop import Shop
from .story import TraceClock
from .summary import Gas, OnChain
from .till import Order, Till

FREEZE_DELAY, EXIT_DELAY = 60, 86_400
"""Seconds, of the demo's contract: a batch that ends a minute after an exit's request has all that was charged."""

DECIMALS = 6
_CENT = 10 ** (DECIMALS - 2)
_PURSE = 10**12
_PAUSE = 0.02
_TIMEOUT = 600
"""Seconds for one answer of the local node: a busy or suspended machine is no reason to give up on it."""
_COIN = 10**17
_LATER = 366 * 86_400
_OPERATOR, _SELLER, _RELAYER = 0, 1, 2
"""Which of the chain's accounts does what: nonces are counted for one sender a key."""


class Place(NamedTuple):
    """A local chain, a connection to its node, and what the seller has put there."""

    local: LocalChain
    node: Node
    seller: Sender
    contract: str
    asset: str


@contextmanager
def evm_till(
    ledger: Ledger, clock: TraceClock, leaves: Path, kind: Literal["anvil", "eth-tester"] | None
) -> Iterator[EvmTill]:
    """A till at a contract of its own on a new local chain, which ends with the context.

    Raises ChainUnavailable where the chain cannot be started.
    """
    start = clock.now // SECOND
    with (
        local_chain(kind, timestamp=start - EXIT_DELAY) as local,
        closing(Node(local.url, finality=0, timeout=_TIMEOUT)) as node,
    ):
        operator, seller = local.accounts[_OPERATOR], local.accounts[_SELLER]
        sender = Sender(node, seller.key, timeout=_TIMEOUT)
        local.set_next_time(start - EXIT_DELAY // 2)
        token = deploy_token(sender).contract
        local.set_next_time(start - FREEZE_DELAY)
        roles, delays = Roles(seller.address, operator.address), Delays(freeze=FREEZE_DELAY, exit=EXIT_DELAY)
        contract = deploy_settlement(sender, roles, delays).contract
        name = addresses.chain_name(local.chain_id)
        place = Place(local, node, sender, contract, addresses.asset_name(name, token))
        settings: dict[str, Any] = {
            "url": local.url,
            "key": operator.key,
            "finality": 0,
            "leaves": leaves,
            "pause": _PAUSE,
            "timeout": _TIMEOUT,
        }
        with closing(connect(ContractRef(name, contract), **settings)) as chain:
            yield EvmTill(ledger, clock, chain, place)


class EvmTill(Till):
    """A till at a contract on a local chain, for a token that is worth nothing."""

    pauses = range(int(_TIMEOUT / _PAUSE))  # anvil answers before it mines; on a busy machine long before

    def __init__(self, ledger: Ledger, clock: TraceClock, chain: Chain, place: Place) -> None:
        super().__init__(ledger, chain)
        self._clock, self._place, self._local = clock, place, place.local
        self._contract = SettlementContract(place.node, place.contract)
        self._token = Token(place.node, addresses.token(place.asset))
        self._relayer = Wallet(place.node, place.local.accounts[_RELAYER].key, place.contract, timeout=_TIMEOUT)
        self._wallets: dict[str, Wallet] = {}
        self._names: dict[str, str] = {}
        self._asked: dict[tuple[str, str], int] = {}
        self._sold: list[Done] = []

    # -- the shop on the chain -----------------------------------------------------------------------------------------

    def open(self, shop: Shop) -> Shop:
        """Plans that cost something are published, for the token; customers are addresses."""
        customers = {
            name: replace(customer, subscriber=self._address(customer.subscriber))
            for name, customer in shop.customers.items()
        }
        return replace(shop, plans={name: self._opened(plan) for name, plan in shop.plans.items()}, customers=customers)

    def _opened(self, plan: CreatePlan) -> CreatePlan:
        if not plan.price:
            return replace(plan, asset=self._place.asset)
        price = {self._address(name): cents * _CENT for name, cents in plan.price.items()}
        plan = replace(plan, asset=self._place.asset, price=price)
        self._turn()
        published = publish_plan(
            self._place.seller,
            self._contract,
            plan.plan,
            asset=plan.asset,
            price=price,
            credits=plan.credits,
            seconds=plan.seconds,
        )
        return replace(plan, onchain_id=published.id)

    def _address(self, name: str) -> str:
        """The address of whoever is called so in the shop."""
        address = str(Account.from_key(_key(name)).address)
        self._names[address] = name
        return address

    def _wallet(self, address: str) -> Wallet:
        """A customer's wallet, filled when it is first opened."""
        if address not in self._wallets:
            self._wallets[address] = Wallet(
                self._place.node, _key(self._names[address]), self._place.contract, timeout=_TIMEOUT
            )
            self._do(*self._token.mint(address, _PURSE))
        return self._wallets[address]

    # -- what customers do ---------------------------------------------------------------------------------------------

    def _buy(self, order: Order) -> PurchaseMade:
        """The customer signs and needs no coin for gas: somebody relays it."""
        wallet, plan = self._wallet(order.subscriber), order.plan
        salt = to_hex(len(self._sold).to_bytes(32, "big"))
        until = self._clock.now // SECOND + _LATER
        signed = wallet.sign_purchase(wallet.order(plan.onchain_id, salt=salt), valid_before=until)
        self._turn()
        bought = self._relayer.relay(signed)
        self._sold.append(bought.done)
        return PurchaseMade(
            id=bought.id,
            block=bought.done.block,
            subscriber=order.subscriber,
            plan=plan.onchain_id,
            asset=plan.asset,
            shares=tuple(Share(receiver, amount) for receiver, amount in sorted(plan.price.items())),
            credits=plan.credits,
            seconds=plan.seconds,
        )

    def _request_exit(self, subscriber: str, plan: CreatePlan) -> int:
        wallet = self._wallet(subscriber)
        self._do(subscriber, b"", _COIN)  # who asks to leave sends that by itself
        self._turn()
        block = wallet.request_exit(plan.onchain_id).block
        self._asked[subscriber, plan.plan] = self._local.now
        return block

    def _exit(self, subscriber: str, plan: CreatePlan, proof: Proof) -> int:
        wallet = self._wallet(subscriber)
        self._turn()
        return wallet.exit(proof.leaf, proof.proof).block

    def _may_leave(self, subscriber: str, plan: CreatePlan, batch: int) -> bool:
        return self._clock.now // SECOND >= self._asked[subscriber, plan.plan] + FREEZE_DELAY

    def settle(self) -> None:
        """As in every till; the batch's block has the trace's time."""
        self._turn()
        super().settle()

    def _do(self, to: str, data: bytes, value: int = 0) -> Done:
        self._turn()
        return self._place.seller.send(to, data, value)

    def _turn(self) -> None:
        """The next block has the trace's time, or comes a second after the last one."""
        self._local.set_next_time(max(self._clock.now // SECOND, self._local.now + 1))

    # -- what it has cost ----------------------------------------------------------------------------------------------

    def told(self) -> OnChain:
        """Who is who on the chain, and the gas that was used."""
        ours = [e.event for e in self.ledger.events() if isinstance(e.event, SettlementOpened | SettlementConfirmed)]
        confirmed = [event for event in ours if isinstance(event, SettlementConfirmed)]
        accounts = {event.number: event.accounts for event in ours if isinstance(event, SettlementOpened)}
        receipts = [self._place.node.receipt(event.transaction) for event in confirmed]
        return OnChain(
            kind=self._local.kind,
            contract=self._place.contract,
            asset=self._place.asset,
            symbol=self._token.symbol(),
            decimals=DECIMALS,
            names={name: self._names[name] for name in sorted(self._names, key=self._names.__getitem__)},
            gas=Gas(
                purchases=len(self._sold),
                purchases_gas=sum(done.gas for done in self._sold),
                batches=len(confirmed),
                batches_gas=sum(receipt["gasUsed"] for receipt in receipts if receipt is not None),
                accounts=sum(accounts[event.number] for event in confirmed),
                transfer=self._transfer_gas(),
            ),
        )

    def _transfer_gas(self) -> int:
        """What a transfer of the token uses, between two who have some: the cheapest there is."""
        first, second = (str(Account.from_key(_key(f"transfer {number}")).address) for number in range(2))
        for holder in (first, second, self._place.seller.address):
            self._do(*self._token.mint(holder, _CENT))
        return self._do(*self._token.transfer(first, 1)).gas


def _key(name: str) -> str:
    """A key that everybody can make: there is nothing to steal."""
    return to_hex(keccak(f"tollbook demo: {name}".encode()))
