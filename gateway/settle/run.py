"""One run of `settle`: what the chain has seen comes into the log, and what was earned goes out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from time import monotonic

from chains import Outbox, Untaken, Watcher
from ledger import ContractRef, Ledger, LedgerError, PaymentRequired, PurchaseMade, Reason
from ledger.errors import ChainUnavailable, NotWritten, SendUnknown
from ledger.events import Settlement
from ledger.plugins import Chain
from replay.reports.batches import Batches, BatchTold

from ..cli import errors
from ..cli.progress import Progress
from ..cli.spelling import as_known
from .connecting import blaming, connect
from .target import contracts_there

MAX_PAUSES = 1_000
"""A mock chain's pauses take no time, so a batch that never ends there would be waited for all too often."""

_IDS_SHOWN = 3
_WAITS = "what the same account did before was not taken in either"


def pauses(wait: int, told: Progress) -> Iterator[int]:
    """One for each time that a chain may be waited for, until so many seconds are over."""
    end = monotonic() + wait
    for pause in range(MAX_PAUSES):
        if monotonic() >= end:
            return
        told("waiting for the chain", pause + 1, 0)
        yield pause


class Run:
    """A run on one chain. `batches` are those that it met, ended by now or still open, in the order of their openings.

    A `contract` that the log knows nothing of yet is settled in as well. With `as_json`, what is told on the way is
    JSON too.
    """

    def __init__(
        self, ledger: Ledger, log: Path, chain: str, contract: str | None = None, as_json: bool = False
    ) -> None:
        self._ledger, self._log, self._chain, self._as_json = ledger, log, chain, as_json
        self._contract = contract
        self._read_upto = ledger.head.seq
        self._wrote = False
        self._met = Batches(batch for contract in self._places() for batch in ledger.batches(self._ref(contract)))

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
                boxes = self._reach(adopt, stack)
                wanted = self._wanted(asset)
                for contract, box in boxes.items():
                    with blaming(self._log, self._ref(contract)):
                        box.settle(wanted.get(contract, []), pauses=rests)
        except (ChainUnavailable, SendUnknown, PaymentRequired) as error:
            if not self._is_under_way(error):
                raise
            self._warn(str(error), SendUnknown.hint if isinstance(error, PaymentRequired) else error.hint)
        except NotWritten as error:
            raise NotWritten(f"{self._log}: {error}", error.hint) from error

    def _reach(self, adopt: bool, stack: ExitStack) -> dict[str, Outbox]:
        """The contracts, their facts taken in and (with `adopt`) their batches that the log lacks.

        Each must be there, and have what the log calls confirmed, before anything is written.
        """
        chains: dict[str, Chain] = {}
        asked = [] if self._contract is None else [self._contract]
        for contract in contracts_there(self._log, self._chain, [*self._places(), *asked]):
            chain = stack.enter_context(closing(connect(self._log, self._ref(contract))))
            chains[chain.contract] = chain  # which may be spelled otherwise than what was asked for
        boxes = {contract: Outbox(self._ledger, chain) for contract, chain in chains.items()}
        watchers = {contract: Watcher(self._ledger, chain) for contract, chain in chains.items()}
        for contract, box in boxes.items():
            with blaming(self._log, self._ref(contract)):
                box.check()
                watchers[contract].check()
        for contract, box in boxes.items():
            with blaming(self._log, self._ref(contract)):
                for message, hint in _not_taken(watchers[contract].sync()):
                    self._warn(message, hint)
                if adopt:
                    self._adopt(contract, box)
        return boxes

    def _adopt(self, contract: str, box: Outbox) -> None:
        try:
            box.adopt()
        except PaymentRequired as error:
            message = f"{self._chain} has a batch of {contract} that this log cannot adopt: {_detail(str(error))}"
            hint = "compare the log with the chain: is it this log that was settled there?"
            raise errors.Refusal(error.refused, message, hint) from error

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
        for escrow in self._ledger.escrows():
            if escrow.contract_ref.chain == self._chain:
                places.setdefault(escrow.contract_ref.contract, []).append(escrow.asset)
        return places

    def _ref(self, contract: str) -> ContractRef:
        return ContractRef(self._chain, contract)

    def _wanted(self, asset: str | None) -> dict[str, list[str]]:
        places = self._places()
        if asset is None:
            return places
        known = sorted({each for assets in places.values() for each in assets})
        asset = as_known(asset, known.__contains__, lambda: known)
        if asset not in known:
            there = ", ".join(map(repr, known))
            hint = f"there is {there}" if known else "leave --asset out: nothing is in escrow there"
            raise errors.Usage(f"nothing of an asset {asset!r} is in escrow on {self._chain}", hint)
        return {contract: [asset] for contract, assets in places.items() if asset in assets}


def _not_taken(untaken: Iterable[Untaken]) -> Iterator[tuple[str, str]]:
    """What to tell of facts that the ledger refused, and what to do about it: once for each plan and reason."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for fact, reason in untaken:
        what = "purchase" if isinstance(fact, PurchaseMade) else "exit"
        why = _WAITS if reason.startswith("it waits for ") else _detail(reason)
        groups.setdefault((what, fact.plan, why), []).append(f"{fact.id} of {fact.subscriber}")
    for (what, plan, reason), facts in groups.items():
        rest = len(facts) - _IDS_SHOWN
        shown = ", ".join(facts[:_IDS_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
        one = len(facts) == 1
        subject = f"the {what} {shown} on {plan} was" if one else f"{len(facts)} {what}s on {plan} ({shown}) were"
        message = f"{subject} not taken in: {reason}"
        if reason.startswith("no plan"):
            yield message, f"create a plan of the name or onchain_id {plan}, and run again"
        else:
            yield message, "mend what stands in its way, and run again: it is tried at each run"


def _detail(refused: str) -> str:
    """A refusal's own words, where it has some: `malformed: detail …` says no more than what follows."""
    return refused.partition(": detail ")[2] or refused
