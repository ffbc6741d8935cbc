"""The plugin of mock chains, on which any text is a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ledger import ContractRef
from ledger.errors import BadData
from ledger.settlement.messages import Batch, Commitment

from ..commitment import MAX_PAYOUT, commitment_of
from ..leaves import TEXT_LEAF, LeafTypes, abi_encode, account_key
from .chain import MockChain
from .faults import Fault

MAX_PRICE = 2**192
"""Maximum price of a sale, in the asset's smallest unit: a leaf can count more than 2^63 of them."""


class _Options(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    where: str | None = None
    finality: int | None = None
    window: int | None = None
    exit_delay: int | None = None
    automine: bool | None = None
    base_fee: int | None = None
    script: Sequence[Fault] = ()


class MockPlugin:
    """The plugin of mock chains, registered under the namespace `mock`."""

    @property
    def leaf_types(self) -> LeafTypes:
        return TEXT_LEAF

    @property
    def max_receivers(self) -> int:
        """The maximum number of receivers of one batch, in the range of real chains."""
        return 1_500

    @property
    def max_payout(self) -> int:
        return MAX_PAYOUT

    def check(self, subscriber: str, plan: str) -> None:
        """Raise ValueError for a name that is empty or not text."""
        for name in (subscriber, plan):
            if not isinstance(name, str) or not name:
                raise ValueError(f"a name must be non-empty text, not {name!r}")
        account_key(subscriber, plan, TEXT_LEAF)

    def check_money(self, contract_ref: ContractRef, asset: str, shares: Mapping[str, int]) -> None:
        """Raise ValueError for a name that is not text, and for a price beyond `MAX_PRICE`."""
        names = (contract_ref.chain, contract_ref.contract, asset, *shares)
        abi_encode(("string",) * len(names), names)
        if sum(shares.values()) > MAX_PRICE:
            raise ValueError("a price on a mock chain is 2^192 at most")

    def commitment(self, batch: Batch) -> Commitment:
        return commitment_of(batch, TEXT_LEAF)

    def connect(self, contract_ref: ContractRef, **options: Any) -> MockChain:  # noqa: ANN401 - see _Options
        """Connect to the chain of that name in the file `where`, or to a new one in memory.

        The other options are those of `MockChain`, and `base_fee`, the lowest fee that is mined. Numbers may be text,
        and the script JSON values. Raises ChainUnavailable, and BadData for an option that does not exist, is invalid,
        or contradicts the chain in the file.
        """
        if isinstance(where := options.get("where"), Path):
            options["where"] = str(where)
        try:
            parsed = msgspec.convert(options, _Options, strict=False)
        except msgspec.ValidationError as error:
            raise BadData(f"invalid option for a mock chain: {error}", "see chains/mock/README.md") from error
        chain = MockChain(
            None if parsed.where is None else Path(parsed.where),
            name=contract_ref.chain,
            contract=contract_ref.contract,
            finality=parsed.finality,
            window=parsed.window,
            exit_delay=parsed.exit_delay,
            automine=parsed.automine,
            script=parsed.script,
        )
        if parsed.base_fee is not None:
            try:
                chain.base_fee = parsed.base_fee
            except BaseException:
                chain.close()
                raise
        return chain
