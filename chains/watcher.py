"""The watcher: what a chain says becomes events, each fact once.

A purchase becomes credits on the chain's terms, an exit request freezes the account, an exit that was paid withdraws
what was unused. Facts are taken in when they are final, or (with `confirmations`) earlier; then a purchase that a
re-organisation takes away for good is reversed.
"""

from __future__ import annotations

from typing import NamedTuple

from ledger import (
    Command,
    Escrow,
    EscrowFunding,
    Exit,
    ExitPaid,
    ExitRequested,
    Fact,
    Freeze,
    Ledger,
    Purchase,
    PurchaseMade,
    Refused,
    Reverse,
    Terms,
)
from ledger.batches import ChainFact
from ledger.errors import SettlementStopped
from ledger.plugins import Chain


class Untaken(NamedTuple):
    """A fact that the ledger refused. It is tried again at each turn, until what stands in its way is mended."""

    fact: ChainFact
    reason: str


class Watcher:
    """Takes the facts of one contract into a ledger. A new one reads them all again; the ledger knows them."""

    def __init__(self, ledger: Ledger, chain: Chain, *, confirmations: int | None = None) -> None:
        """Without `confirmations` facts are taken in once they are final; with them, with so many blocks on top."""
        self._ledger, self._chain, self._confirmations = ledger, chain, confirmations
        self._after, self._checked = 0, False

    def sync(self) -> list[Untaken]:
        """Take in all that is new; returns the facts that could not be.

        Raises ChainUnavailable, and SettlementStopped, before anything is written, where the chain does not know a
        purchase that the log has from it.
        """
        if not self._checked:
            self._check()
        final = self._chain.final_block()
        facts = list(self._chain.facts(self._after, self._confirmations))
        untaken = []
        for fact in facts:
            if (reason := self._take(fact)) is not None:
                untaken.append(Untaken(fact, reason))
        if self._confirmations is not None:
            self._reverse_lost(final)
        # Refused facts are asked for again, and so are all that are not final: they may yet move.
        if not untaken:
            self._after = final
        return untaken

    def _check(self) -> None:
        """What was granted early may be gone; all else that the log has from this contract must be there."""
        known = {fact.id for fact in self._chain.facts(0, 0)}
        lots = self._ledger.escrowed(self._chain.name, self._chain.contract)
        lost = [lot.escrow.purchase for lot in lots if not lot.escrow.block and lot.escrow.purchase not in known]
        if lost:
            raise SettlementStopped(
                f"{self._chain.name} does not know {len(lost)} of the purchases that the log has from it, such as "
                f"{lost[0]}: it is another chain, or was set back",
                "connect to the chain that sold them, or restore it; nothing was written",
            )
        self._checked = True

    def _take(self, fact: ChainFact) -> str | None:
        plan = self._ledger.plan_on_chain(fact.plan)
        if plan is None:
            return f"no plan is called {fact.plan} on the chain"
        outcome = self._ledger.execute(command_of(fact, plan, self._chain.name, self._chain.contract))
        return str(outcome) if isinstance(outcome, Refused) else None

    def _reverse_lost(self, final: int) -> None:
        """Reverse what was granted before it was final and is not on the chain now that its block is."""
        lots = [
            lot
            for lot in self._ledger.escrowed(self._chain.name, self._chain.contract)
            if self._after < lot.escrow.block <= final
        ]
        if not lots:
            return
        first = min(lot.escrow.block for lot in lots)
        known = {fact.id for fact in self._chain.facts(first - 1, 0) if isinstance(fact, PurchaseMade)}
        for lot in lots:
            if lot.escrow.purchase not in known:
                self._ledger.execute(Reverse(subscriber=lot.subscriber, plan=lot.plan, lot=lot.id)).unwrap()


def command_of(fact: ChainFact, plan: str, chain: str, contract: str) -> Command:
    """The command that takes in what a contract said; `plan` is the ledger's name of the fact's plan."""
    match fact:
        case PurchaseMade():
            return Purchase(
                subscriber=fact.subscriber,
                plan=plan,
                funding=EscrowFunding(Escrow(chain, contract, fact.id, 0 if fact.final else fact.block)),
                terms=Terms(
                    asset=fact.asset,
                    shares={share.receiver: share.amount for share in fact.shares},
                    credits=fact.credits,
                    seconds=fact.seconds,
                ),
            )
        case ExitRequested():
            return Freeze(subscriber=fact.subscriber, plan=plan, fact=Fact(chain, contract, fact.id))
        case ExitPaid():
            return Exit(
                subscriber=fact.subscriber,
                plan=plan,
                fact=Fact(chain, contract, fact.id),
                asset=fact.asset,
                amount=fact.amount,
            )
