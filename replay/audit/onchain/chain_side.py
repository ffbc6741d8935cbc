"""The chain's side of the comparison, read while it moves: blocks come, and the last ones may be replaced.

Final facts and batches are read once and kept. The rest is read anew for each reading, and values that are compared
with each other are read so that none of them moved between a reading before and a reading after.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from msgspec.structs import replace

from ledger.errors import BadData, ChainUnavailable
from ledger.plugins import Chain
from ledger.settlement.messages import ChainFact, Found, PurchaseMade

MAX_READINGS = 20
"""How often what moves while it is read is read again."""


class Balance(NamedTuple):
    """Money that the contract owes a receiver in an asset, signed, and the money that it has paid to it so far."""

    due: int
    claimed: int


Balances: TypeAlias = Mapping[str, Mapping[str, Balance]]
"""By asset and receiver."""


@dataclass(slots=True)
class ChainReading:
    """A contract at one moment. `facts` are all that are mined, `final` a block that was final before they were read.
    `batches` are those that it has recorded, by number, `escrow` and `holdings` are by asset."""

    final: int
    facts: list[ChainFact]
    batches: dict[int, Found]
    balances: Balances
    escrow: dict[str, int]
    holdings: dict[str, int]


class ChainSide:
    """A contract on its chain. Every method raises ChainUnavailable where it cannot be asked."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._upto = 0
        self._final_facts: list[ChainFact] = []
        self._final_batches: dict[int, Found] = {}

    def read(self, receivers: Mapping[str, Iterable[str]], numbers: Collection[int]) -> ChainReading:
        """The contract as it is now: with the receivers that the log has, by asset, and those that purchases name; with
        the batches under the numbers that the log has, and all others."""
        for _ in range(MAX_READINGS):
            self._keep_final()
            before = self._batches(numbers)
            named = _named(receivers, [*self._final_facts, *self._tail()])
            balances = {
                asset: {receiver: self._balance(receiver, asset) for receiver in sorted(each)}
                for asset, each in named.items()
            }
            facts, escrow = self._escrow(named)
            # What came in since then makes it more, which is no difference; what went out makes none in two looks.
            holdings = {asset: self._held(self.chain.holdings, asset) for asset in named}
            if _stages(before) == _stages(self._batches(numbers)):
                return ChainReading(self._upto, facts, before, balances, escrow, holdings)
        raise self._moving()

    def _keep_final(self) -> None:
        """Read the facts that have become final."""
        final = self.chain.final_block()
        if final > self._upto:  # by that block alone, since a node that knew it may not know it at the next question
            self._final_facts += [replace(fact, final=True) for fact in self._tail() if fact.block <= final]
            self._upto = final

    def _tail(self) -> list[ChainFact]:
        """The facts after those that are kept, as far as they are mined."""
        return list(self.chain.facts(self._upto, 0))

    def _batches(self, numbers: Collection[int]) -> dict[int, Found]:
        """Read the batches that the chain has, which numbers them one by one; a log may have any numbers."""
        batches: dict[int, Found] = {}
        number = 1
        while self._find(number, batches):
            number += 1
        for each in numbers:
            if each > number:
                self._find(each, batches)
        return batches

    def _find(self, number: int, batches: dict[int, Found]) -> bool:
        found = self._final_batches.get(number) or self.chain.find(number)
        if not found.is_recorded:
            return False
        batches[number] = found
        if found.final and found.stage != "committed":
            self._final_batches[number] = found
        return True

    def _balance(self, receiver: str, asset: str) -> Balance:
        try:
            return Balance(self.chain.due(receiver, asset), self.chain.claimed(receiver, asset))
        except (BadData, ValueError):  # no name that this chain could pay
            return Balance(0, 0)

    def _escrow(self, assets: Iterable[str]) -> tuple[list[ChainFact], dict[str, int]]:
        """The escrow of each asset, and the facts that it follows from: no purchase or exit came between."""
        for _ in range(MAX_READINGS):
            before = self._tail()
            escrow = {asset: self._held(self.chain.escrow, asset) for asset in assets}
            after = self._tail()
            if _what(before) == _what(after):
                return [*self._final_facts, *before], escrow
        raise self._moving()

    @staticmethod
    def _held(what: Callable[[str], int], asset: str) -> int:
        try:
            return what(asset)
        except (BadData, ValueError):  # no asset that this chain could hold
            return 0

    def _moving(self) -> ChainUnavailable:
        message = f"{self.chain.contract} on {self.chain.name} moved whenever it was read"
        return ChainUnavailable(message, "run again when there is less going on there")


def _named(receivers: Mapping[str, Iterable[str]], facts: Iterable[ChainFact]) -> dict[str, set[str]]:
    named = {asset: set(each) for asset, each in sorted(receivers.items())}
    for fact in facts:
        if isinstance(fact, PurchaseMade):
            named.setdefault(fact.asset, set()).update(share.receiver for share in fact.shares)
    return named


def _stages(batches: Mapping[int, Found]) -> dict[int, tuple[str, str]]:
    return {number: (found.stage, found.digest) for number, found in batches.items()}


def _what(facts: Iterable[ChainFact]) -> list[ChainFact]:
    """Facts without what becomes otherwise when only time passes."""
    return [replace(fact, block=0, final=True) for fact in facts]
