"""The plugin of EVM chains: names are addresses, and the digest is the contract's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ledger import ContractRef
from ledger.settlement.messages import Batch, Commitment

from ..leaves import EVM_LEAF, LeafTypes
from . import addresses, commitment
from .extra import missing

if TYPE_CHECKING:
    from .chain import EvmChain

MAX_RECEIVERS = 600
"""Limited by gas: one transaction may use 16,777,216 (Osaka), and a first payout to a receiver uses about 22,300."""

MAX_PRICE = 2**96 - 1
"""The maximum price of a plan of the contract, in the asset's smallest unit."""

MAX_PAYOUT = 2**95 - 1
"""The maximum that one batch pays one receiver or takes back: the contract's int96 (-2^95 is not used)."""


class EvmPlugin:
    """The plugin of EVM chains, registered under the namespace `eip155`."""

    @property
    def leaf_types(self) -> LeafTypes:
        return EVM_LEAF

    @property
    def max_receivers(self) -> int:
        return MAX_RECEIVERS

    @property
    def max_payout(self) -> int:
        return MAX_PAYOUT

    def check(self, subscriber: str, plan: str) -> None:
        """Raise ValueError for a subscriber that is not an address in its EIP-55 spelling (no address may have two
        accounts), and for a plan that is not an id of the contract."""
        addresses.check_address(subscriber)
        addresses.plan_id(plan)

    def check_money(self, contract_ref: ContractRef, asset: str, shares: Mapping[str, int]) -> None:
        """Raise ValueError for a contract, an asset or a receiver in another spelling, an asset of another chain, and a
        price beyond `MAX_PRICE`."""
        addresses.check_address(contract_ref.contract)
        addresses.token(asset)
        if not asset.startswith(f"{contract_ref.chain}/"):
            raise ValueError(f"{asset} is not on {contract_ref.chain}, the chain of the contract")
        for receiver in shares:
            addresses.check_address(receiver)
        if sum(shares.values()) > MAX_PRICE:
            raise ValueError(f"a price must be at most {MAX_PRICE} (uint96), not {sum(shares.values())}")

    def commitment(self, batch: Batch) -> Commitment:
        return commitment.commitment_of(batch)

    def connect(self, contract_ref: ContractRef, **options: Any) -> EvmChain:  # noqa: ANN401 - see settings.Settings
        """Connect to a contract.

        The node's URL and the operator's key are read from the environment (`TOLLBOOK_EVM_*`, see
        chains/evm/README.md); options named as in `settings.Settings` override it. Raises ChainUnavailable,
        MissingExtra, BadData for an invalid option, and SettlementStopped if the contract is missing or another one.
        """
        try:
            from .connecting import connect
        except ModuleNotFoundError as error:
            raise missing(error) from error
        return connect(contract_ref, **options)
