"""EVM chains as a kind of chain: names that are addresses, the contract's digest, and how to connect to one."""

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
"""Osaka lets one transaction use 16,777,216 gas, and a receiver that was never paid before takes about 22,300."""

MAX_PRICE = 2**96 - 1
"""The maximum price of a plan of the contract, in the asset's smallest unit."""

MAX_PAYOUT = 2**95 - 1
"""The maximum that one batch pays one receiver or takes back: the contract's int96 (-2^95 is not used)."""


class EvmPlugin:
    """EVM chains: registered under the namespace `eip155`."""

    @property
    def leaf_types(self) -> LeafTypes:
        """The ABI types of a leaf: subscriber, plan, charged, credited."""
        return EVM_LEAF

    @property
    def max_receivers(self) -> int:
        """The maximum number of receivers of one batch."""
        return MAX_RECEIVERS

    @property
    def max_payout(self) -> int:
        """The maximum that one batch pays one receiver, or takes back."""
        return MAX_PAYOUT

    def check(self, subscriber: str, plan: str) -> None:
        """Raise ValueError for a subscriber that is no address in its one spelling (EIP-55), so that no address has two
        accounts, and for a plan that is no id of the contract's."""
        addresses.check_address(subscriber)
        addresses.plan_id(plan)

    def check_money(self, contract_ref: ContractRef, asset: str, shares: Mapping[str, int]) -> None:
        """Raise ValueError for a contract, an asset or a receiver that is not spelled as here, an asset of another
        chain, and a price for which a plan of the contract has no room."""
        addresses.check_address(contract_ref.contract)
        addresses.token(asset)
        if not asset.startswith(f"{contract_ref.chain}/"):
            raise ValueError(f"{asset} is not on {contract_ref.chain}, where its money should be")
        for receiver in shares:
            addresses.check_address(receiver)
        if sum(shares.values()) > MAX_PRICE:
            raise ValueError(f"a price is {MAX_PRICE} at most (uint96), not {sum(shares.values())}")

    def commitment(self, batch: Batch) -> Commitment:
        """Return the root, the leaf file's hash and the digest.

        Raises ValueError for leaves that cannot be committed to.
        """
        return commitment.commitment_of(batch)

    def connect(self, contract_ref: ContractRef, **options: Any) -> EvmChain:  # noqa: ANN401 - see settings.Settings
        """Connect to a contract.

        Where the node is and which key signs comes from the environment (`TOLLBOOK_EVM_*`, see README.md beside this);
        options of the names in `settings.Settings` come before it. Raises ChainUnavailable, MissingExtra, BadData for a
        wrong option, and SettlementStopped where the contract is not there or is another.
        """
        try:
            from .connecting import connect
        except ModuleNotFoundError as error:
            raise missing(error) from error
        return connect(contract_ref, **options)
