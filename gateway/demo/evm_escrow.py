"""The demo's money on a local EVM chain: customers have keys and sign, a relayer sends, the operator settles.

The chain's time is the trace's, as the ledger's is. Keys are derived from names, so that the same run gives the same
chain.
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
from chains.evm.local import MINED_SECONDS, LocalChain, local_chain
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
from replay.reports.exports import Progress

from ..waiting import reported
from .escrow import Escrow, Order
from .shop import DAY, Shop, price_of
from .summary import Gas, OnChain
from .trace_clock import TraceClock

FREEZE_DELAY, EXIT_DELAY = 60, DAY
"""The contract's delays in seconds: a batch a minute after an exit's request has all that was charged before it."""

DECIMALS = 6
_CENT = 10 ** (DECIMALS - 2)
_MINTED = 10**12
_COIN = 10**17
_VALID_SECONDS = 366 * DAY
_PAUSE = 0.02

_OPERATOR, _SELLER, _RELAYER = 0, 1, 2
"""The local chain's accounts by role: nonces are counted by one sender for each key."""


class Deployment(NamedTuple):
    """A local chain, a connection to its node, and the contract and token that the seller deployed there."""

    local: LocalChain
    node: Node
    seller: Sender
    contract: str
    asset: str


@contextmanager
def evm_escrow(
    ledger: Ledger,
    clock: TraceClock,
    leaves: Path,
    kind: Literal["anvil", "eth-tester"] | None,
    progress: Progress,
) -> Iterator[EvmEscrow]:
    """Yield the escrow at a new contract on a new local chain, which is closed at the end of the context.

    Long waits for the chain are reported. Raises ChainUnavailable where the chain
    cannot be started.
    """
    start = clock.now // SECOND
    with (
        local_chain(kind, timestamp=start - EXIT_DELAY) as local,
        reported(local, progress),
        closing(local.node(finality=0)) as node,
    ):
        operator, seller = local.accounts[_OPERATOR], local.accounts[_SELLER]
        sender = Sender(node, seller.key, timeout=MINED_SECONDS)
        local.set_next_time(start - EXIT_DELAY // 2)
        token = deploy_token(sender).contract
        local.set_next_time(start - FREEZE_DELAY)
        roles, delays = Roles(seller.address, operator.address), Delays(freeze=FREEZE_DELAY, exit=EXIT_DELAY)
        contract = deploy_settlement(sender, roles, delays).contract
        name = addresses.chain_name(local.chain_id)
        settings: dict[str, Any] = {"key": operator.key, "leaves": leaves, "pause": _PAUSE}
        with closing(connect(ContractRef(name, contract), node=local.node(finality=0), **settings)) as chain:
            deployed = Deployment(local, node, sender, contract, addresses.asset_name(name, token))
            yield EvmEscrow(ledger, clock, chain, deployed)


class EvmEscrow(Escrow):
    """The settlement contract on a local chain, with a token that is worth nothing."""

    max_pauses = int(MINED_SECONDS / _PAUSE)

    def __init__(self, ledger: Ledger, clock: TraceClock, chain: Chain, deployed: Deployment) -> None:
        super().__init__(ledger, chain)
        self._clock, self._deployed, self._local, self._node = clock, deployed, deployed.local, deployed.node
        self._contract = SettlementContract(self._node, deployed.contract)
        self._token = Token(self._node, addresses.token(deployed.asset))
        self._relayer = self._wallet_of(self._local.accounts[_RELAYER].key)
        self._wallets: dict[str, Wallet] = {}
        self._names: dict[str, str] = {}
        self._exit_requested: dict[tuple[str, str], int] = {}
        self._purchases: list[Done] = []

    # -- the shop on the chain -----------------------------------------------------------------------------------------

    def publish(self, shop: Shop) -> Shop:
        """Publish the plans that have a price, in the token; name customers by their addresses."""
        customers = {
            name: replace(customer, subscriber=self._address(customer.subscriber))
            for name, customer in shop.customers.items()
        }
        return replace(
            shop, plans={name: self._published(plan) for name, plan in shop.plans.items()}, customers=customers
        )

    def _published(self, plan: CreatePlan) -> CreatePlan:
        asset = self._deployed.asset
        if not plan.price:
            return replace(plan, asset=asset, asset_decimals=DECIMALS)
        price = {self._address(name): cents * _CENT for name, cents in price_of(plan).items()}
        terms: dict[str, Any] = {"asset": asset, "price": price, "credits": plan.credits, "seconds": plan.seconds}
        self._set_block_time()
        published = publish_plan(self._deployed.seller, self._contract, plan.plan, **terms)
        return replace(plan, asset=asset, asset_decimals=DECIMALS, price=price, onchain_id=published.id)

    def _address(self, name: str) -> str:
        """Return the address of that name of the shop, and remember the name."""
        address = str(Account.from_key(_key(name)).address)
        self._names[address] = name
        return address

    def _wallet(self, address: str) -> Wallet:
        """Return a customer's wallet, with tokens from its first use on."""
        if address not in self._wallets:
            self._wallets[address] = self._wallet_of(_key(self._names[address]))
            self._send(*self._token.mint(address, _MINTED))
        return self._wallets[address]

    def _wallet_of(self, key: str) -> Wallet:
        return Wallet(self._node, key, self._deployed.contract, timeout=MINED_SECONDS)

    # -- customers -----------------------------------------------------------------------------------------------------

    def _buy(self, order: Order) -> PurchaseMade:
        """Sign an order as the customer, who needs no coin for gas, and relay it."""
        wallet, plan = self._wallet(order.subscriber), order.plan
        salt = to_hex(len(self._purchases).to_bytes(32, "big"))
        until = self._clock.now // SECOND + _VALID_SECONDS
        signed = wallet.sign_purchase(wallet.order(plan.onchain_id, salt=salt), valid_before=until)
        self._set_block_time()
        bought = self._relayer.relay(signed)
        self._purchases.append(bought.done)
        return PurchaseMade(
            id=bought.id,
            block=bought.done.block,
            subscriber=order.subscriber,
            plan=plan.onchain_id,
            asset=plan.asset,
            shares=tuple(Share(receiver, amount) for receiver, amount in sorted(price_of(plan).items())),
            credits=int(plan.credits),
            seconds=plan.seconds,
        )

    def _request_exit(self, subscriber: str, plan: CreatePlan) -> int:
        wallet = self._wallet(subscriber)
        self._send(subscriber, b"", _COIN)  # exits are sent by the customer, who needs gas for them
        self._set_block_time()
        block = wallet.request_exit(plan.onchain_id).block
        self._exit_requested[subscriber, plan.plan] = self._local.now
        return block

    def _exit(self, subscriber: str, plan: CreatePlan, proof: Proof) -> int:
        wallet = self._wallet(subscriber)
        self._set_block_time()
        return wallet.exit(proof.leaf, proof.proof).block

    def _may_exit(self, subscriber: str, plan: CreatePlan) -> bool:
        return self._clock.now // SECOND >= self._exit_requested[subscriber, plan.plan] + FREEZE_DELAY

    def settle(self) -> None:
        """Settle in blocks of the trace's time, from the first on."""
        self._set_block_time()
        super().settle()

    def _send(self, to: str, data: bytes, value: int = 0) -> Done:
        self._set_block_time()
        return self._deployed.seller.send(to, data, value)

    def _set_block_time(self) -> None:
        """Give the next block the trace's time, or a second after the last block's where that is later."""
        self._local.set_next_time(max(self._clock.now // SECOND, self._local.now + 1))

    # -- the summary ---------------------------------------------------------------------------------------------------

    def onchain(self) -> OnChain:
        """Return the addresses' names in the shop, and the gas that was used."""
        events = [entry.event for entry in self.ledger.events()]
        accounts = {event.number: event.accounts for event in events if isinstance(event, SettlementOpened)}
        confirmed = [event for event in events if isinstance(event, SettlementConfirmed)]
        receipts = [self._node.receipt(event.transaction) for event in confirmed]
        return OnChain(
            kind=self._local.kind,
            contract=self._deployed.contract,
            asset=self._deployed.asset,
            symbol=self._token.symbol(),
            decimals=DECIMALS,
            names={name: self._names[name] for name in sorted(self._names, key=self._names.__getitem__)},
            gas=Gas(
                purchases=len(self._purchases),
                purchases_gas=sum(done.gas for done in self._purchases),
                batches=len(confirmed),
                batches_gas=sum(receipt["gasUsed"] for receipt in receipts if receipt is not None),
                accounts=sum(accounts[event.number] for event in confirmed),
                transfer=self._transfer_gas(),
            ),
        )

    def _transfer_gas(self) -> int:
        """Return the gas of the cheapest transfer of the token: between two that have some already."""
        first, second = (str(Account.from_key(_key(f"transfer {number}")).address) for number in range(2))
        for holder in (first, second, self._deployed.seller.address):
            self._send(*self._token.mint(holder, _CENT))
        return self._send(*self._token.transfer(first, 1)).gas


def _key(name: str) -> str:
    """Derive a private key that is public: it holds nothing of value."""
    return to_hex(keccak(f"tollbook demo: {name}".encode()))
