"""The watcher: what a chain says becomes events, each fact once.

A purchase becomes credits on the chain's terms, an exit request freezes the account, an exit that was paid withdraws
what was unused. Facts are taken in when they are final. With `confirmations` purchases (and they alone, since a freeze
and a withdrawal cannot be undone) are granted earlier; one that a re-organisation takes away for good is reversed.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from ledger import (
    Command,
    ContractRef,
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
    Reason,
    Refused,
    Reverse,
    Terms,
)
from ledger.errors import SettlementStopped
from ledger.plugins import Chain, contract_of
from ledger.readings import EscrowedLot
from ledger.settlement.messages import ChainFact

MAX_TOGETHER = 500
"""Facts that are taken in in one commit."""


class Untaken(NamedTuple):
    """A fact that the ledger refused. It is tried again at each turn, until what stands in its way is mended."""

    fact: ChainFact
    reason: str


class Watcher:
    """Takes the facts of one contract into a ledger. A new one reads them all again; the ledger knows them."""

    def __init__(self, ledger: Ledger, chain: Chain, *, confirmations: int | None = None) -> None:
        """With `confirmations`, purchases are granted with so many blocks on top; without, once they are final."""
        self._ledger, self._chain, self._confirmations = ledger, chain, confirmations
        self._contract_ref = contract_of(chain)
        self._after, self._checked = 0, False
        self._waiting: list[ChainFact] = []
        self._final: set[str] = set()
        self._otherwise: set[str] = set()  # final purchases that the ledger has, and has otherwise
        self._early = True  # there may be purchases that were granted before they were final

    def sync(self) -> list[Untaken]:
        """Take in all that is new; returns the facts that could not be.

        Where a fact cannot be taken in, those of the same account that follow wait for it. Raises ChainUnavailable; and
        SettlementStopped, before anything is written, where the chain lacks a purchase that the log has from it.
        """
        self.check()
        final = self._chain.final_block()
        new = [fact for fact in self._facts() if _may_be_taken(fact)]
        self._early = self._early or not all(fact.final for fact in new)
        untaken = self._take_in([*self._waiting, *new])
        if self._reverse_changed():
            untaken = self._take_in([each.fact for each in untaken])
        if self._early:
            self._early = self._reverse_lost(final)
        self._waiting = [each.fact for each in untaken if each.fact.final]
        self._after = final
        return untaken

    def _facts(self) -> list[ChainFact]:
        """Those that are final, then those that are to be taken in before that, which may be fewer: a watcher that
        asks for more confirmations than finality takes must not go past what it has not been told."""
        facts = list(self._chain.facts(self._after))
        if self._confirmations is not None:
            told = {fact.id for fact in facts}
            facts += [fact for fact in self._chain.facts(self._after, self._confirmations) if fact.id not in told]
        return facts

    def _take_in(self, facts: list[ChainFact]) -> list[Untaken]:
        untaken: list[Untaken] = []
        together: dict[tuple[str, str], ChainFact] = {}
        for fact in facts:
            if (fact.subscriber, fact.plan) in together or len(together) == MAX_TOGETHER:
                untaken += self._take(list(together.values()), untaken)
                together = {}
            together[fact.subscriber, fact.plan] = fact
        return untaken + self._take(list(together.values()), untaken)

    def _take(self, facts: list[ChainFact], untaken: list[Untaken]) -> list[Untaken]:
        """Take in facts of different accounts in one commit; returns those that could not be."""
        behind = {(each.fact.subscriber, each.fact.plan): each.fact.id for each in untaken}
        refused: list[Untaken] = []
        commands: list[tuple[ChainFact, Command]] = []
        for fact in facts:
            plan = self._ledger.plan_on_chain(fact.plan)
            if (first := behind.get((fact.subscriber, fact.plan))) is not None:
                refused.append(Untaken(fact, f"it waits for {first} of the same account"))
            elif plan is None:
                refused.append(Untaken(fact, f"no plan is called {fact.plan} on the chain"))
            else:
                commands.append((fact, command_of(fact, plan, self._contract_ref)))
        outcomes = self._ledger.execute_many([command for _, command in commands]) if commands else []
        for (fact, _), outcome in zip(commands, outcomes, strict=True):
            if not outcome.accepted:
                refused.append(Untaken(fact, str(outcome)))
            if isinstance(outcome, Refused) and outcome.reason is Reason.key_reused and fact.final:
                self._otherwise.add(fact.id)
        return refused

    def check(self) -> None:
        """Raises SettlementStopped where the chain lacks a purchase that the log has from it, unless it was granted
        early. Every watcher asks that once before it takes anything in."""
        if self._checked:
            return
        known = {fact.id for fact in self._chain.facts(0, 0)}
        lost = [
            lot.escrow.purchase for lot in self._lots() if not lot.escrow.block and lot.escrow.purchase not in known
        ]
        if lost:
            raise SettlementStopped(
                f"{self._chain.name} does not know {len(lost)} of the purchases that the log has from it, such as "
                f"{lost[0]}: it is another chain, or was set back",
                "connect to the chain that sold them, or restore it; nothing was written",
            )
        self._checked = True

    def _reverse_changed(self) -> bool:
        """Reverse what was granted before it was final on other terms than it was bought on for good: a
        re-organisation lets a plan be published anew, under the same id. Returns whether there was any."""
        changed, self._otherwise = self._otherwise, set()
        lots = self._lots() if changed else []
        early = [lot for lot in lots if lot.escrow.block and lot.escrow.purchase in changed]
        for lot in early:
            self._ledger.execute(Reverse(subscriber=lot.subscriber, plan=lot.plan, lot=lot.id))
        return bool(early)

    def _reverse_lost(self, final: int) -> bool:
        """Reverse what was granted before it was final and is nowhere on the chain now that its block is. Returns
        whether anything is left that was granted early and is not known to be final."""
        early = [lot for lot in self._lots() if lot.escrow.block and lot.escrow.purchase not in self._final]
        settled = [lot for lot in early if lot.escrow.block <= final]
        if not settled:
            return bool(early)
        known = {fact.id: fact.final for fact in self._chain.facts(0, 0)}
        self._final.update(id for id, is_final in known.items() if is_final)
        for lot in settled:
            if lot.escrow.purchase not in known:
                # Refused where another watcher was quicker: a lot is reversed once.
                self._ledger.execute(Reverse(subscriber=lot.subscriber, plan=lot.plan, lot=lot.id))
        return True

    def _lots(self) -> list[EscrowedLot]:
        return self._ledger.escrowed(self._contract_ref)


def _may_be_taken(fact: ChainFact) -> bool:
    return fact.final or isinstance(fact, PurchaseMade)


def command_of(fact: ChainFact, plan: str, contract_ref: ContractRef) -> Command:
    """Return the command that imports a fact of that contract; `plan` is the ledger's name of the fact's plan."""
    chain, contract = contract_ref.chain, contract_ref.contract
    match fact:
        case PurchaseMade():
            shares: Counter[str] = Counter()
            for share in fact.shares:
                shares[share.receiver] += share.amount
            return Purchase(
                subscriber=fact.subscriber,
                plan=plan,
                funding=EscrowFunding(Escrow(chain, contract, fact.id, 0 if fact.final else fact.block)),
                terms=Terms(asset=fact.asset, shares=dict(shares), credits=fact.credits, seconds=fact.seconds),
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
