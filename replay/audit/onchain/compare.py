"""The comparison of log and chain: values that must be equal, and values that are on their way.

Invariants, each of a contract; what is not final on the chain is on its way, and breaks none of them.

- chain_batch: a batch that the log calls confirmed is executed, and one that the log calls cancelled is cancelled, with
  the log's digest and root. The log has every final batch of the chain under its number.
- chain_purchase: the purchases, requests to leave and paid exits that are final on the chain, of plans that the log
  has, are those that the log has, one for one and field for field. One that was granted early is on the chain, or its
  block is not final yet. Of plans that the log lacks they are not the log's: on some chains any account may publish
  plans on a contract, which must not make an audit fail. They are counted as unverified.
- chain_payout: due + claimed of a receiver == Σ its payouts in the log's batches that the chain has executed.
- chain_escrow: the contract's money is what came in less what went out,
  escrow + Σ max(due, 0) == Σ purchases − Σ exits − Σ claimed, by the purchases and exits that the log has. Where
  chain_purchase finds that the log has one otherwise, or not, the chain's counts here, so that it is found once.
  And what it has of the asset, as who keeps that says, is not less than Σ purchases − Σ exits − Σ claimed.
- solvency: escrow is not less than what subscribers have unspent by the last batch that is executed, Σ purchases −
  Σ exits − what was earned by that batch, except for what receivers owe who have claimed more than they are due.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from ledger import ContractRef
from ledger.amounts import money_text
from ledger.settlement.messages import ChainFact, ExitPaid, ExitRequested, Found, PurchaseMade

from ...batch_history import BatchRecord
from .chain_side import ChainReading
from .log_side import LoggedExit, LoggedPurchase, LogSide

BATCH, PURCHASE, PAYOUT, ESCROW = "chain_batch", "chain_purchase", "chain_payout", "chain_escrow"
SOLVENCY = "solvency"
"""A kind of finding that the log alone may give, too."""

EarnedByBatch: TypeAlias = Mapping[ContractRef, Mapping[str, int]]
"""By contract and digest, what all lots of a batch's asset had earned by the log when it was opened."""

KINDS = (BATCH, PURCHASE, PAYOUT, ESCROW)
"""The kinds of findings that join the others where a log is compared with its chain, in the order of the report."""

_IMPORT_HINT = "`tollbook settle` imports it, or reports why not"
_END = {"confirmed": ("confirmed", "executed"), "failed": ("cancelled", "cancelled")}
"""By the state of a batch that has ended: how messages call it, and the stage that the chain must have it in."""


class Difference(NamedTuple):
    """A difference between log and chain. `subject` is a batch's number, a fact's id, or a receiver and asset; `by` is
    the difference of amounts, which stays the same while both move."""

    kind: str
    seq: int | None
    field: str
    subject: str
    expected: Any
    found: Any
    message: str
    by: int | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Return the value by which it is the same difference in two readings."""
        apart = (repr(self.expected), repr(self.found)) if self.by is None else self.by
        return self.kind, self.seq, self.field, self.subject, apart


class Comparison:
    """Compares one contract, by a reading of it and the log as read after that.

    `compared` counts the comparisons of each kind, `foreign` the facts of plans that the log lacks. `earned` is, by a
    batch's digest, the money that was earned when it was opened.
    """

    def __init__(
        self, contract_ref: ContractRef, log: LogSide, reading: ChainReading, earned: Mapping[str, int]
    ) -> None:
        self._log, self._reading, self._own = log, reading, log.contract(contract_ref)
        self._earned = earned
        self._where = str(contract_ref)
        self.compared = dict.fromkeys(KINDS, 0)
        self.foreign = 0

    def differences(self) -> Iterator[Difference]:
        """All of them, kind by kind."""
        yield from self._batches()
        yield from self._purchases()
        yield from self._leaving("exit_requested", self._own.requests, ExitRequested)
        yield from self._leaving("exit_paid", self._own.exits, ExitPaid)
        yield from self._payouts()
        yield from self._escrow()
        yield from self._solvency()

    # -- batches -------------------------------------------------------------------------------------------------------

    def _batches(self) -> Iterator[Difference]:
        for number in sorted({*self._own.batches, *self._reading.batches}):
            found, batch = self._reading.batches.get(number), self._own.standing(number)
            self.compared[BATCH] += 1
            if batch is None:
                yield from self._unknown(number, found)
            else:
                yield from self._batch(number, batch, found)

    def _unknown(self, number: int, found: Found | None) -> Iterator[Difference]:
        """The log has no batch under the number, or gave it back."""
        if found is None or not found.final:
            return
        if (given_up := self._own.with_digest(number, found.digest)) is not None:
            message = f"{self._where} has batch {number} {found.stage}, and the log gave its number back"
            yield Difference(BATCH, given_up.seq, "stage", str(number), "absent", found.stage, message)
        else:
            message = f"{self._where} has a batch {number}, and the log has none; `tollbook settle --adopt` imports it"
            yield Difference(BATCH, None, "number", str(number), None, number, message)

    def _batch(self, number: int, batch: BatchRecord, found: Found | None) -> Iterator[Difference]:
        stage = "absent" if found is None else found.stage
        state, expected = _END.get(batch.state, (batch.state, stage))
        if stage != expected:
            message = f"the log has batch {number} {state}, and {self._where} has it {stage}"
            yield Difference(BATCH, batch.seq, "stage", str(number), expected, stage, message)
        if found is None or not found.final:
            return
        for field, due, there in (("digest", batch.digest, found.digest), ("root", batch.root, found.root)):
            if there != due and (there or field == "digest"):
                message = f"{self._where} has batch {number} with another {field} than the log"
                yield Difference(BATCH, batch.seq, field, str(number), due, there, message)

    # -- purchases and exits -------------------------------------------------------------------------------------------

    def _purchases(self) -> Iterator[Difference]:
        there = {fact.id: fact for fact in self._reading.facts if isinstance(fact, PurchaseMade)}
        for id, fact in there.items():
            if not fact.final or self._is_foreign(fact, self._own.purchases):
                continue
            self.compared[PURCHASE] += 1
            if (lot := self._own.purchases.get(id)) is None:
                message = f"purchase {id} is final in {self._where}, and the log lacks it; {_IMPORT_HINT}"
                yield Difference(PURCHASE, None, "purchase", id, None, id, message)
            else:
                yield from self._purchase(id, lot, fact)
        for id, lot in self._own.purchases.items():
            if id in there or lot.block > self._reading.final:
                continue  # one that was granted early may still come
            self.compared[PURCHASE] += 1
            settled = "; it was granted early, and `tollbook settle` reverses it" if lot.block else ""
            message = f"the log has purchase {id}, and {self._where} does not know it{settled}"
            yield Difference(PURCHASE, lot.seq, "purchase", id, id, None, message)

    def _purchase(self, id: str, lot: LoggedPurchase, fact: PurchaseMade) -> Iterator[Difference]:
        shares: dict[str, int] = {}
        for share in fact.shares:
            shares[share.receiver] = shares.get(share.receiver, 0) + share.amount
        pairs = {
            "subscriber": (lot.subscriber, fact.subscriber),
            "plan": self._plans(lot.plan, fact.plan),
            "asset": (lot.asset, fact.asset),
            "shares": (lot.shares, {receiver: amount for receiver, amount in shares.items() if amount}),
            "credits": (lot.credits, fact.credits),
            "seconds": (lot.seconds, fact.seconds),
        }
        yield from self._fields(f"purchase {id}", "", id, lot.seq, pairs)

    def _leaving(
        self, name: str, own: Mapping[str, LoggedExit], kind: type[ExitRequested | ExitPaid]
    ) -> Iterator[Difference]:
        fact_name = name.replace("_", " ")
        there = {fact.id: fact for fact in self._reading.facts if isinstance(fact, kind)}
        for id, fact in there.items():
            if not fact.final or self._is_foreign(fact, own):
                continue
            self.compared[PURCHASE] += 1
            if (logged := own.get(id)) is None:
                where = f"of {fact.subscriber} is final in {self._where}"
                message = f"{fact_name} {id} {where}, and the log lacks it; {_IMPORT_HINT}"
                yield Difference(PURCHASE, None, name, id, None, id, message)
                continue
            pairs: dict[str, tuple[object, object]] = {
                "subscriber": (logged.subscriber, fact.subscriber),
                "plan": self._plans(logged.plan, fact.plan),
            }
            if isinstance(fact, ExitPaid):
                pairs |= {"asset": (logged.asset, fact.asset), "amount": (logged.amount, fact.amount)}
            yield from self._fields(f"{fact_name} {id}", f"{name}.", id, logged.seq, pairs)
        for id, logged in own.items():
            if id not in there:
                self.compared[PURCHASE] += 1
                message = f"the log has {fact_name} {id} of {logged.subscriber}, and {self._where} does not know it"
                yield Difference(PURCHASE, logged.seq, name, id, id, None, message)

    def _is_foreign(self, fact: ChainFact, own: Collection[str]) -> bool:
        """True if a fact is of a plan that the log lacks, and so not its own; count it."""
        foreign = fact.id not in own and self._log.plan_of(fact.plan) is None
        self.foreign += foreign
        return foreign

    def _fields(
        self, what: str, prefix: str, id: str, seq: int, pairs: Mapping[str, tuple[object, object]]
    ) -> Iterator[Difference]:
        for field, (expected, found) in pairs.items():
            if expected != found:
                message = f"{what} has another {field} in {self._where} than in the log"
                yield Difference(PURCHASE, seq, f"{prefix}{field}", id, expected, found, message)

    def _plans(self, logged: str, there: str) -> tuple[str, str]:
        """A plan as the log and as the chain name it; equal where they mean the same."""
        return (there if self._log.plan_of(there) == logged else self._log.chain_name(logged)), there

    # -- money ---------------------------------------------------------------------------------------------------------

    def _payouts(self) -> Iterator[Difference]:
        paid: dict[tuple[str, str], int] = {}
        for number, found in self._reading.batches.items():
            batch = self._own.with_digest(number, found.digest) or self._own.standing(number)
            if found.stage == "executed" and batch is not None:
                for payout in batch.payouts:
                    receiver_of_asset = batch.asset, payout.receiver
                    paid[receiver_of_asset] = paid.get(receiver_of_asset, 0) + payout.amount
        for asset, receivers in self._reading.balances.items():
            for receiver, (due, claimed) in receivers.items():
                self.compared[PAYOUT] += 1
                amount = paid.get((asset, receiver), 0)
                if due + claimed != amount:
                    who = {"receiver": receiver, "asset": asset}
                    has, owed, took, paid_out = (
                        self._money(each, asset) for each in (due + claimed, due, claimed, amount)
                    )
                    message = (
                        f"{receiver} has {has} of {self._where} ({owed} due, {took} claimed), and the log's batches "
                        f"that it has executed pay {paid_out}"
                    )
                    yield Difference(
                        PAYOUT,
                        None,
                        "amount",
                        f"{asset} {receiver}",
                        {**who, "amount": amount},
                        {**who, "amount": due + claimed, "due": due, "claimed": claimed},
                        message,
                        by=due + claimed - amount,
                    )

    def _escrow(self) -> Iterator[Difference]:
        for asset, found in self._reading.escrow.items():
            self.compared[ESCROW] += 1
            expected = self._came_in(asset)
            for balance in self._reading.balances.get(asset, {}).values():
                expected -= balance.claimed + max(balance.due, 0)
            if found != expected:
                message = (
                    f"{self._where} has {self._money(found, asset)} in escrow, and what came in and went out leaves "
                    f"{self._money(expected, asset)}"
                )
                due, there = ({"asset": asset, "amount": amount} for amount in (expected, found))
                yield Difference(ESCROW, None, "escrow", asset, due, there, message, by=found - expected)
            yield from self._holdings(asset)

    def _holdings(self, asset: str) -> Iterator[Difference]:
        """Compare the contract's holdings: a token may be taken from it by other means; tokens sent there unasked are
        not counted."""
        found, claims = self._reading.holdings[asset], self._reading.balances.get(asset, {}).values()
        expected = self._came_in(asset) - sum(balance.claimed for balance in claims)
        if found < expected:
            there = self._money(found, asset)
            message = f"{self._where} has {there}, and what came in and went out leaves {self._money(expected, asset)}"
            due, holds = ({"asset": asset, "amount": amount} for amount in (expected, found))
            yield Difference(ESCROW, None, "holdings", asset, due, holds, message, by=found - expected)

    def _solvency(self) -> Iterator[Difference]:
        last: dict[str, tuple[int, int]] = {}
        for number, there in sorted(self._reading.batches.items()):
            batch = self._own.with_digest(number, there.digest)
            if there.stage == "executed" and batch is not None and there.digest in self._earned:
                last[batch.asset] = number, self._earned[there.digest]
        for asset, (number, earned) in last.items():
            owed = sum(max(-balance.due, 0) for balance in self._reading.balances.get(asset, {}).values())
            unspent, found = self._came_in(asset) - earned, self._reading.escrow.get(asset, 0)
            if found + owed < unspent:
                message = (
                    f"{self._where} has {self._money(found, asset)} in escrow, and {self._money(unspent, asset)} are "
                    f"unspent by batch {number}"
                )
                due, there_is = ({"asset": asset, "amount": amount} for amount in (unspent - owed, found))
                yield Difference(SOLVENCY, None, "escrow", asset, due, there_is, message, by=found + owed - unspent)

    def _money(self, amount: int, asset: str) -> str:
        return money_text(amount, asset, self._log.assets.get(asset, 0))

    def _came_in(self, asset: str) -> int:
        """Return the money of purchases less that of exits."""
        money = 0
        for fact in self._reading.facts:
            if isinstance(fact, PurchaseMade) and fact.asset == asset:
                money += sum(share.amount for share in fact.shares)
            elif isinstance(fact, ExitPaid) and fact.asset == asset:
                money -= fact.amount
        return money
