"""The outbox: it sends batches from the log to their chain, so that money moves exactly once.

    opened (the intent is in the log) ▸ find it on the chain ▸ simulate ▸ sign, and store the raw bytes in the log
    ▸ send ▸ committed ▸ executed and final: confirmed | failed | unknown

Everything that must survive a crash is an event: the intent before anything is signed, the signed bytes before they
are sent. An outbox keeps no other state, so a new one continues where the last one stopped, and several may run on one
log. Each step reads the chain first and then does one thing: it writes one event, or it sends one transaction (and
stores a better one if the chain rejects it). A stored transaction that the chain does not have is sent again; that is
safe, since a chain accepts a number once. A missing answer is never a reason to sign a new batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import Any

from ledger import (
    AdoptSettlement,
    Attempt,
    BatchReading,
    Command,
    CommitSettlement,
    ConfirmSettlement,
    FailSettlement,
    Found,
    Ledger,
    MarkSettlementUnknown,
    OpenSettlement,
    PaymentRequired,
    Reason,
    Refused,
    SubmitSettlement,
)
from ledger.errors import SendUnknown, SettlementStopped
from ledger.events import SettlementOpened
from ledger.plugins import Chain, chain_plugin, contract_of
from ledger.settlement.state import Settling

from . import leaf_file
from .commitment import to_hex
from .leaves import keccak

_ADOPT = "if the log was restored from a backup, adopt the batches that it lost (`tollbook settle LOG --adopt`)"

MAX_WRITTEN = 100
"""Maximum number of events between two pauses: a node whose answers alternate must not fill the log."""


class Step(Enum):
    """The result of a step."""

    wrote = auto()
    """One event was written."""
    sent = auto()
    """A transaction was sent; the chain needs time to include it."""
    waiting = auto()
    """The chain must move first: a block, finality, a challenge window."""
    idle = auto()
    """No batch is open."""


class Outbox:
    """Sends and confirms the batches of one contract. All methods raise ChainUnavailable if the chain cannot be
    read."""

    def __init__(self, ledger: Ledger, chain: Chain) -> None:
        self._ledger, self._chain = ledger, chain
        self._contract_ref = contract_of(chain)
        self._checked = False

    def check(self) -> None:
        """Raise SettlementStopped if the chain lacks the log's last confirmed batch: then it is not the chain on which
        this log settles, or it was reset. Every outbox checks this once, before it does anything."""
        if not self._checked:
            number, digest = self._settling().confirmed
            if number:
                found = self._chain.find(number)
                if (found.stage, found.digest) != ("executed", digest):
                    raise SettlementStopped(
                        f"{self._chain.name} does not have batch {number} of {self._chain.contract}, which the log has "
                        "confirmed there: it is another chain, or was reset",
                        "connect to the chain on which this log settles, or restore that chain; nothing was written",
                    )
            self._checked = True

    # -- settling ------------------------------------------------------------------------------------------------------

    def settle(self, assets: Iterable[str] | None = None, *, pauses: Iterable[object] = range(100)) -> list[int]:
        """Finish open batches, open new ones for earnings since then, and finish those. Return the numbers of all of
        them.

        Without `assets`, every asset that this contract holds. It waits for the chain once for each of `pauses`, and
        returns after the last one: the next call finishes batches that are still open. Raises SettlementStopped; and
        PaymentRequired if no batch of an asset can be opened, after the others are settled.
        """
        pauses_left = iter(pauses)
        numbers = set(self._open_numbers())
        done = self.carry(pauses_left)
        refused: PaymentRequired | None = None
        for asset in self._assets() if assets is None else assets:
            more = True  # payouts beyond what one batch may pay
            while done and more:
                try:
                    opened = self._open(asset)
                except PaymentRequired as error:
                    refused = refused or error
                    break
                numbers |= opened
                more = any(self._is_full(batch) for batch in self._batches() if batch.batch.number in opened)
                done = self.carry(pauses_left)
                more = more and asset not in self._settling().failed
        if refused is not None:
            raise refused
        return sorted(numbers)

    def _open(self, asset: str) -> set[int]:
        """Open a batch and return its number, if there is anything to settle. If another outbox was first, return the
        numbers of the open batches."""
        try:
            opened = self.open(asset)
        except PaymentRequired as error:
            if error.refused.reason is not Reason.batch_open:
                raise
            return set(self._open_numbers())
        return set() if opened is None else {opened}

    def _is_full(self, batch: BatchReading) -> bool:
        """Return True if payouts may have been left out of the batch because of the chain's limits."""
        plugin, payouts = chain_plugin(self._chain.name), batch.batch.payouts
        largest = plugin.max_payout
        return len(payouts) >= plugin.max_receivers or any(abs(payout.amount) == largest for payout in payouts)

    def carry(self, pauses: Iterable[object]) -> bool:
        """Step until no batch is open, or until there are no `pauses` left. Return True if no batch is open."""
        pauses_left, written = iter(pauses), 0
        while (step := self.step()) is not Step.idle:
            written += step is Step.wrote
            if step is Step.wrote and written < MAX_WRITTEN:
                continue
            if next(pauses_left, None) is None:
                return False
            self._chain.pause()
            written = 0
        return True

    def open(self, asset: str) -> int | None:
        """Open the next batch of an asset, and return its number; None if there is nothing to settle.

        Raises SettlementStopped if the chain already has a batch under the next number, and PaymentRequired
        (`batch_open`) if too many batches are queued.

        No batch is queued behind one that takes back refunds: if that one were cancelled, the next one would pay out of
        escrow that belongs to others.
        """
        self.check()
        for batch in (reading.batch for reading in self._batches()):
            if batch.asset == asset and any(payout.amount < 0 for payout in batch.payouts):
                detail = f"batch {batch.number} takes back refunds, and must be final before the next one"
                raise PaymentRequired(Refused(Reason.batch_open, {"detail": detail}))
        number = self._next_number()
        if self._chain.find(number).stage != "absent" and number == self._next_number():
            raise SettlementStopped(
                f"{self._chain.name} has a batch {number} of {self._chain.contract} that the log lacks",
                _ADOPT,
            )
        command = OpenSettlement(chain=self._chain.name, contract=self._chain.contract, asset=asset)
        event = self._ledger.execute(command).unwrap().event
        return event.number if isinstance(event, SettlementOpened) else None

    # -- steps ---------------------------------------------------------------------------------------------------------

    def step(self) -> Step:
        """Take the next step of the first batch that has one. Raises SettlementStopped."""
        self.check()
        batches = self._batches()
        follows = True
        for batch in batches:
            found = self._chain.find(batch.batch.number)
            if found.is_recorded and found.digest != batch.digest:
                if not found.final:
                    return Step.waiting  # the node may be wrong, or a reorganisation may undo it
                raise SettlementStopped(
                    f"{self._chain.name} has another batch {batch.batch.number}: {found.digest}, not {batch.digest}",
                    _ADOPT,
                )
            step = self._step(batch, found, batches, follows)
            if step is not Step.waiting:
                return step
            follows = follows and found.is_recorded
        return Step.waiting if batches else Step.idle

    def _step(self, batch: BatchReading, found: Found, queued: Sequence[BatchReading], follows: bool) -> Step:
        """Take the batch's next step. `follows`: the chain has recorded all batches before it, so a simulation is
        conclusive."""
        if not found.is_recorded:
            if batch.state == "committed":
                return self._mark_unknown(batch, "a reorganisation took it off the chain")
            return self._advance(batch, found, queued, follows)
        if found.stage == "cancelled" and found.final:
            return self._fail(batch, "it was cancelled on the chain", used=True)
        if found.stage == "executed" and found.final and batch is queued[0]:
            return self._write(
                batch, ConfirmSettlement(**self._batch_fields(batch), transaction=found.transaction, block=found.block)
            )
        if batch.state == "unknown" or (batch.transaction, batch.block) != (found.transaction, found.block):
            return self._write(
                batch, CommitSettlement(**self._batch_fields(batch), transaction=found.transaction, block=found.block)
            )
        if found.stage == "committed" and found.ready:
            return self._advance(batch, found, queued, follows)
        return Step.waiting

    def _advance(self, batch: BatchReading, found: Found, queued: Sequence[BatchReading], follows: bool) -> Step:
        """Bring the batch's next transaction onto the chain: the last stored one, or a new one."""
        last = batch.attempts[-1] if batch.attempts else None
        if last is not None and last.transaction != found.transaction:
            standing = self._chain.confirm(last)
            if standing == "gone":
                return self._send_again(batch, last, queued)
            if standing == "pending":
                return self._submit(batch, queued)  # with higher fees, if the chain asks for that
        if follows and (refused := self._chain.simulate(batch.batch)) is not None:
            return self._refused(batch, found, refused)
        return self._submit(batch, queued)

    def _send_again(self, batch: BatchReading, last: Attempt, queued: Sequence[BatchReading]) -> Step:
        """Send the stored transaction again; if the chain rejects its fee or its nonce, store a better one."""
        step = self._send(batch, last)
        if step is Step.sent and self._chain.confirm(last) == "gone" and self._submit(batch, queued) is Step.wrote:
            return Step.wrote
        return step

    def _refused(self, batch: BatchReading, found: Found, reason: str) -> Step:
        """Fail the batch if none of its transactions can be mined any more. Its number is used again."""
        if self._chain.find(batch.batch.number) != found:
            return Step.waiting  # another outbox has recorded it meanwhile: that is why it was refused
        if found.stage == "committed":
            raise SettlementStopped(
                f"{self._chain.name} has batch {batch.batch.number} and will not pay it out: {reason}",
                "have the contract's guardian cancel it; the next batch then has its payouts",
            )
        if found.stage == "pending":
            return Step.waiting  # a transaction that the log lacks (a restored backup) may still be mined
        for attempt in batch.attempts:
            standing = self._chain.confirm(attempt)
            if standing == "gone":
                return self._send(batch, attempt)  # once it is mined and reverted, it cannot be executed later
            if standing == "pending":
                return Step.waiting
        if self._chain.find(batch.batch.number) != found:
            return Step.waiting  # an earlier answer came from a node that lags
        return self._fail(batch, reason, used=False)

    def _submit(self, batch: BatchReading, queued: Sequence[BatchReading]) -> Step:
        taken = [attempt for reading in queued for attempt in reading.attempts]
        attempt = self._chain.prepare(batch.batch, taken)
        if attempt is None:
            return Step.waiting
        return self._write(
            batch,
            SubmitSettlement(
                **self._batch_fields(batch), attempt=attempt.attempt, raw=attempt.raw, transaction=attempt.transaction
            ),
        )

    def _send(self, batch: BatchReading, attempt: Attempt) -> Step:
        try:
            self._chain.send(attempt)
        except SendUnknown as error:
            return Step.sent if batch.state == "unknown" else self._mark_unknown(batch, str(error))
        return Step.sent

    def _fail(self, batch: BatchReading, reason: str, *, used: bool) -> Step:
        failed = FailSettlement(**self._batch_fields(batch), reason=reason, used=used, attempts=len(batch.attempts))
        return self._write(batch, failed)

    def _mark_unknown(self, batch: BatchReading, reason: str) -> Step:
        return self._write(batch, MarkSettlementUnknown(**self._batch_fields(batch), reason=reason))

    def _write(self, batch: BatchReading, command: Command) -> Step:
        outcome = self._ledger.execute(command)
        if not outcome.accepted and batch in self._batches():
            outcome.unwrap()  # refused for another reason than that another outbox was first
        return Step.wrote

    def _batch_fields(self, batch: BatchReading) -> dict[str, Any]:
        return {"chain": self._chain.name, "contract": self._chain.contract, "number": batch.batch.number}

    # -- adopting batches after a backup was restored ------------------------------------------------------------------

    def adopt(self) -> list[int]:
        """Adopt the batches that the chain has and the log lacks, from their published leaf files. Return their
        numbers.

        An open batch of the log fails if the chain has another one under its number; the next batch has its payouts.
        Raises SettlementStopped if a leaf file is missing or is not the one that the chain committed to, and if a batch
        to adopt is not final yet.
        """
        self.check()
        for batch in self._batches():
            found = self._chain.find(batch.batch.number)
            if found.is_recorded and found.digest != batch.digest and self._is_final(found):
                self._fail(batch, "the chain has another batch under its number", used=False)
                break  # the batches after it have failed with it
        adopted: list[int] = []
        while True:
            number = self._next_number()
            found = self._chain.find(number)
            if not found.is_recorded or not self._is_final(found):
                return adopted
            self._adopt(number, found)
            adopted.append(number)

    def _is_final(self, found: Found) -> bool:
        if not found.final:
            raise SettlementStopped(
                "a batch to adopt is not final on the chain yet", "wait for finality, and run again"
            )
        return True

    def _adopt(self, number: int, found: Found) -> None:
        data = self._chain.published(number)
        if data is None:
            raise SettlementStopped(
                f"the leaf file of batch {number} is not published", "publish it again, or restore a later backup"
            )
        if to_hex(keccak(data)) != found.data_hash:
            raise SettlementStopped(
                f"the published leaf file of batch {number} is not the one that the chain committed to",
                "publish the file whose hash the chain has",
            )
        batch = leaf_file.decode(data)
        root = chain_plugin(self._chain.name).commitment(batch).root
        command = AdoptSettlement(
            chain=self._chain.name, contract=self._chain.contract, batch=batch, root=root, digest=found.digest
        )
        outcome = self._ledger.execute(command)
        if not outcome.accepted and number == self._next_number():
            outcome.unwrap()  # refused for another reason than that another outbox was first

    # -- readings of the log -------------------------------------------------------------------------------------------

    def _batches(self) -> list[BatchReading]:
        return self._ledger.batches(self._contract_ref)

    def _settling(self) -> Settling:
        return self._ledger.settling(self._contract_ref)

    def _next_number(self) -> int:
        return self._settling().number + 1

    def _open_numbers(self) -> list[int]:
        return [reading.batch.number for reading in self._batches()]

    def _assets(self) -> list[str]:
        return [escrow.asset for escrow in self._ledger.escrows() if escrow.contract_ref == self._contract_ref]
