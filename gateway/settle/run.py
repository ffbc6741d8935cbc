"""One run of `settle`: import what the chain has seen into the log, then pay out what was earned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from time import monotonic
from typing import TypeAlias

from chains import Outbox, RejectedFact, Watcher
from ledger import ContractRef, Ledger, LedgerError, PaymentRequired, PurchaseMade, Reason
from ledger.errors import ChainUnavailable, NotWritten, SendUnknown
from ledger.events import Settlement
from ledger.plugins import Chain
from replay.batch_history import BatchHistory, BatchRecord
from replay.reports.exports import Progress

from ..errors import CommandRefused, UsageError
from ..spelling import as_known
from .target import blaming, connect, contracts_there

MAX_PAUSES = 1_000
"""Pauses of a mock chain take no time, so a batch that never ends there would be waited for too often."""

_IDS_SHOWN = 3
_WAITS = "an earlier fact of the same account was rejected"

Warn: TypeAlias = Callable[[str, str], None]
"""Called with a message and a hint about what went wrong and did not end the run."""


def pauses(wait: int, report: Progress) -> Iterator[int]:
    """Yield once for each pause in which the chain is waited for, until `wait` seconds are over."""
    end = monotonic() + wait
    for pause in range(MAX_PAUSES):
        if monotonic() >= end:
            return
        report("waiting for the chain", pause + 1, 0)
        yield pause


class SettlementRun:
    """A run on one chain. `batches` are those that it worked on, ended or still open, in the order of their openings.

    A `contract` that the log does not have yet is settled too.
    """

    def __init__(self, ledger: Ledger, log: Path, chain: str, contract: str | None = None, *, warn: Warn) -> None:
        self._ledger, self._log, self._chain, self._warn = ledger, log, chain, warn
        self._contract = contract
        self._read_upto = ledger.head.seq
        self._wrote = False
        self._met = BatchHistory(
            batch for contract in self._assets_of() for batch in ledger.batches(self._ref(contract))
        )

    @property
    def batches(self) -> list[BatchRecord]:
        """The batches as the log has them now."""
        for entry in self._ledger.events(self._read_upto):
            self._read_upto, self._wrote = entry.seq, True
            event = entry.event
            if isinstance(event, Settlement) and event.chain == self._chain:
                self._met.add(entry)
        return self._met.batches

    def settle(self, asset: str | None, adopt: bool, rests: Iterator[int]) -> None:
        """Settle in all contracts of the chain. A chain that becomes unavailable while a batch is under way is a
        warning, and the batch stays open.

        Raises ChainUnavailable, SettlementStopped, and UsageError for an unknown asset.
        """
        try:
            with ExitStack() as stack:
                boxes = self._prepare(adopt, stack)
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

    def _prepare(self, adopt: bool, stack: ExitStack) -> dict[str, Outbox]:
        """Connect to the contracts, import their facts and (with `adopt`) the batches that the log lacks.

        Every contract is reached, and checked to have what the log calls confirmed, before anything is written.
        """
        chains: dict[str, Chain] = {}
        asked = [] if self._contract is None else [self._contract]
        for contract in contracts_there(self._log, self._chain, [*self._assets_of(), *asked]):
            chain = stack.enter_context(closing(connect(self._log, self._ref(contract))))
            chains[chain.contract] = chain  # an address may be spelled otherwise than it was asked for
        boxes = {contract: Outbox(self._ledger, chain) for contract, chain in chains.items()}
        watchers = {contract: Watcher(self._ledger, chain) for contract, chain in chains.items()}
        for contract, box in boxes.items():
            with blaming(self._log, self._ref(contract)):
                box.check()
                watchers[contract].check()
        for contract, box in boxes.items():
            with blaming(self._log, self._ref(contract)):
                for message, hint in _rejections(watchers[contract].sync()):
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
            raise CommandRefused(error.refused, message, hint) from error

    def _is_under_way(self, error: LedgerError) -> bool:
        """True if a batch is open that this run may have brought on its way."""
        is_open = any(batch.ended is None for batch in self.batches)
        if isinstance(error, PaymentRequired):
            return is_open and error.refused.reason is Reason.batch_open
        return is_open and self._wrote

    # -- contracts and assets ------------------------------------------------------------------------------------------

    def _assets_of(self) -> dict[str, list[str]]:
        """The contracts of the chain in which the log has money, each with its assets."""
        assets: dict[str, list[str]] = {}
        for escrow in self._ledger.escrows():
            if escrow.contract_ref.chain == self._chain:
                assets.setdefault(escrow.contract_ref.contract, []).append(escrow.asset)
        return assets

    def _ref(self, contract: str) -> ContractRef:
        return ContractRef(self._chain, contract)

    def _wanted(self, asset: str | None) -> dict[str, list[str]]:
        there = self._assets_of()
        if asset is None:
            return there
        known = sorted({name for assets in there.values() for name in assets})
        asset = as_known(asset, known.__contains__, lambda: known)
        if asset not in known:
            hint = f"there is {', '.join(map(repr, known))}" if known else "leave --asset out: nothing is in escrow"
            raise UsageError(f"nothing of an asset {asset!r} is in escrow on {self._chain}", hint)
        return {contract: [asset] for contract, assets in there.items() if asset in assets}


def _rejections(rejected: Iterable[RejectedFact]) -> Iterator[tuple[str, str]]:
    """Yield a message and a hint about chain facts that the ledger rejected, once for each plan and reason."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for fact, reason in rejected:
        kind = "purchase" if isinstance(fact, PurchaseMade) else "exit"
        why = _WAITS if reason.startswith("it waits for ") else _detail(reason)
        groups.setdefault((kind, fact.plan, why), []).append(f"{fact.id} of {fact.subscriber}")
    for (kind, plan, reason), facts in groups.items():
        rest = len(facts) - _IDS_SHOWN
        shown = ", ".join(facts[:_IDS_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
        one = len(facts) == 1
        subject = f"the {kind} {shown} on {plan} was" if one else f"{len(facts)} {kind}s on {plan} ({shown}) were"
        message = f"{subject} rejected: {reason}"
        if reason.startswith("no plan"):
            yield message, f"create a plan of the name or onchain_id {plan}, and run again"
        else:
            yield message, "fix the reason, and run again: every run retries it"


def _detail(refused: str) -> str:
    """Return a refusal's own detail if it has one: `malformed: detail …` says no more than what follows."""
    return refused.partition(": detail ")[2] or refused
