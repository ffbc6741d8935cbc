"""One run of `settle`: what the chain has seen comes into the log, and what was earned goes out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from time import monotonic
from urllib.parse import quote

from chains import Outbox, Untaken, Watcher
from ledger import Ledger, LedgerError, PaymentRequired, PurchaseMade, Reason
from ledger.errors import ChainUnavailable, SendUnknown
from ledger.events import Settlement
from ledger.plugins import Chain, ChainPlugin

from . import errors
from .progress import Progress
from .settling import Batches, BatchTold

MOST_PAUSES = 1_000
"""A mock chain's pauses take no time, so a batch that never ends there would be waited for all too often."""

CONTRACT = "tollbook"
"""The contract of the mock chain that lives in LOG.mock."""


def pauses(wait: int, told: Progress) -> Iterator[int]:
    """One for each time that a chain may be waited for, until so many seconds are over."""
    end = monotonic() + wait
    for pause in range(MOST_PAUSES):
        if monotonic() >= end:
            return
        told("waiting for the chain", pause + 1, 0)
        yield pause


class Run:
    """A run on one chain. `batches` are those that it met, ended by now or still open, in the order of their openings.

    With `as_json`, what is told on the way is JSON too.
    """

    def __init__(self, ledger: Ledger, log: Path, chain: str, plugin: ChainPlugin, as_json: bool = False) -> None:
        self._ledger, self._log, self._chain, self._plugin, self._as_json = ledger, log, chain, plugin, as_json
        self._read_upto = ledger.head.seq
        self._wrote = False
        self._met = Batches(batch for contract in self._places() for batch in ledger.batches(chain, contract))

    @property
    def batches(self) -> list[BatchTold]:
        """The batches as the log has them now."""
        for entry in self._ledger.events(self._read_upto):
            self._read_upto, self._wrote = entry.seq, True
            event = entry.event
            if isinstance(event, Settlement) and event.chain == self._chain:
                self._met.take(entry)
        return self._met.told

    def settle(self, asset: str | None, adopt: bool, rests: Iterator[int]) -> None:
        """Settle in all contracts of the chain. Where the chain goes away while a batch is under way, that is told, and
        the batch is left open. Raises ChainUnavailable, SettlementStopped, or Usage for an asset that is not there."""
        try:
            with ExitStack() as stack:
                boxes = {contract: self._reach(contract, adopt, stack) for contract in self._contracts()}
                wanted = self._wanted(asset)
                for contract, box in boxes.items():
                    box.settle(wanted.get(contract, []), pauses=rests)
        except (ChainUnavailable, SendUnknown, PaymentRequired) as error:
            if not self._is_under_way(error):
                raise
            self._warn(str(error), "run again: what the chain has is read before anything is sent")

    def _reach(self, contract: str, adopt: bool, stack: ExitStack) -> Outbox:
        """A contract, its facts taken in and (with `adopt`) its batches that the log lacks."""
        chain = stack.enter_context(closing(self._connect(contract)))
        for untaken in Watcher(self._ledger, chain).sync():
            self._warn(*_not_taken(untaken))
        box = Outbox(self._ledger, chain)
        if adopt:
            box.adopt()
        return box

    def _is_under_way(self, error: LedgerError) -> bool:
        """Whether a batch is open that this run may have brought on its way."""
        is_open = any(batch.ended is None for batch in self.batches)
        if isinstance(error, PaymentRequired):
            return is_open and error.refused.reason is Reason.batch_open
        return is_open and self._wrote

    def _warn(self, message: str, hint: str) -> None:
        sys.stderr.write(errors.warning(message, hint, as_json=self._as_json) + "\n")

    # -- contracts and assets ------------------------------------------------------------------------------------------

    def _places(self) -> dict[str, list[str]]:
        """The contracts of the chain in which the log has money, each with its assets."""
        places: dict[str, list[str]] = {}
        for chain, contract, asset in self._ledger.escrows():
            if chain == self._chain:
                places.setdefault(contract, []).append(asset)
        return places

    def _wanted(self, asset: str | None) -> dict[str, list[str]]:
        places = self._places()
        if asset is None:
            return places
        known = sorted({each for assets in places.values() for each in assets})
        if asset not in known:
            hint = f"there is {', '.join(known)}" if known else "leave --asset out: nothing is in escrow there"
            raise errors.Usage(f"no {asset} is in escrow on {self._chain}", hint)
        return {contract: [asset] for contract, assets in places.items() if asset in assets}

    def _contracts(self) -> list[str]:
        """Those in which the log has money; and that of the mock chain beside it, which may have sold something."""
        found = set(self._places())
        if self._is_mock and self._file(CONTRACT).exists():
            found.add(CONTRACT)
        return sorted(found)

    def _connect(self, contract: str) -> Chain:
        if not self._is_mock:
            return self._plugin.connect(self._chain, contract)
        where = self._file(contract)
        if not where.exists() and self._ledger.settling(self._chain, contract).number:
            message = f"{where} is not there, and the log has batches on the chain that lived in it"
            raise ChainUnavailable(message, "put it back beside the log, and run again")
        return self._plugin.connect(self._chain, contract, where=where)

    @property
    def _is_mock(self) -> bool:
        return self._chain.startswith("mock:")

    def _file(self, contract: str) -> Path:
        """Where the mock chain with that contract lives: such a file has one contract."""
        other = "" if contract == CONTRACT else f".{quote(contract, safe='')}"
        return self._log.with_name(f"{self._log.name}{other}.mock")


def _not_taken(untaken: Untaken) -> tuple[str, str]:
    """What to tell of a fact that the ledger refused, and what to do about it."""
    fact = untaken.fact
    what = "the purchase" if isinstance(fact, PurchaseMade) else "the exit"
    message = f"{what} {fact.id} of {fact.subscriber} on {fact.plan} was not taken in: {untaken.reason}"
    if untaken.reason.startswith("no plan"):
        return message, f"create a plan of the name or onchain_id {fact.plan}, and run again"
    return message, "mend what stands in its way, and run again: it is tried at each run"
