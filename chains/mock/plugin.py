"""Mock chains as a kind of chain: names that are any text, and how to connect to one."""

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
"""The most that a sale may cost, in the asset's smallest unit: a leaf has room for 2^63 of them."""


class _Options(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    where: str | None = None
    finality: int | None = None
    window: int | None = None
    exit_delay: int | None = None
    automine: bool | None = None
    base_fee: int | None = None
    script: Sequence[Fault] = ()


class MockPlugin:
    """The mock chains: registered under the namespace `mock`."""

    @property
    def leaf_types(self) -> LeafTypes:
        """The ABI types of a leaf: subscriber, plan, charged, credited."""
        return TEXT_LEAF

    @property
    def max_receivers(self) -> int:
        """The maximum number of receivers of one batch: about as many as fit one transaction on an EVM chain."""
        return 1_500

    @property
    def max_payout(self) -> int:
        """The maximum payout that a digest has room for."""
        return MAX_PAYOUT

    def check(self, subscriber: str, plan: str) -> None:
        """Raise ValueError for an empty name, or one that is no text: any other will do."""
        for name in (subscriber, plan):
            if not isinstance(name, str) or not name:
                raise ValueError(f"a name is text that is not empty, not {name!r}")
        account_key(subscriber, plan, TEXT_LEAF)

    def check_money(self, contract_ref: ContractRef, asset: str, shares: Mapping[str, int]) -> None:
        """Raise ValueError for a name that is no text, and for a price of which many sales would not fit the 256 bits
        of a leaf."""
        names = (contract_ref.chain, contract_ref.contract, asset, *shares)
        abi_encode(("string",) * len(names), names)
        if sum(shares.values()) > MAX_PRICE:
            raise ValueError("a price on a mock chain is 2^192 at most")

    def commitment(self, batch: Batch) -> Commitment:
        """Return the root, the leaf file's hash and the digest.

        Raises ValueError for leaves that cannot be committed to.
        """
        return commitment_of(batch, TEXT_LEAF)

    def connect(self, contract_ref: ContractRef, **options: Any) -> MockChain:  # noqa: ANN401 - see _Options
        """Connect to the chain of that name: in the file `where`, or a new one in memory.

        The other options are `MockChain`'s, and `base_fee`, the least fee that gets mined. Numbers may be text, and the
        script JSON values. Raises ChainUnavailable, and BadData for an option that does not exist, is wrong, or
        contradicts the chain in the file.
        """
        if isinstance(where := options.get("where"), Path):
            options["where"] = str(where)
        try:
            read = msgspec.convert(options, _Options, strict=False)
        except msgspec.ValidationError as error:
            raise BadData(f"a wrong option for a mock chain: {error}", "see chains/mock/README.md") from error
        chain = MockChain(
            None if read.where is None else Path(read.where),
            name=contract_ref.chain,
            contract=contract_ref.contract,
            finality=read.finality,
            window=read.window,
            exit_delay=read.exit_delay,
            automine=read.automine,
            script=read.script,
        )
        if read.base_fee is not None:
            try:
                chain.base_fee = read.base_fee
            except BaseException:
                chain.close()
                raise
        return chain
