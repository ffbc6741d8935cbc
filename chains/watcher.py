"""The watcher imports a chain's facts into the ledger, each of them once.

A purchase becomes credits on the chain's terms, an exit request freezes the account, a paid exit withdraws the unused
credits. Facts are imported when they are final. With `confirmations`, purchases (and only they, since a freeze and a
withdrawal cannot be undone) are granted earlier; one that a reorganisation removes permanently is reversed.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from msgspec.structs import replace

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
from ledger.commands import admit
from ledger.errors import SettlementStopped, WrongType, WrongValue
from ledger.plugins import AssetReader, Chain, contract_of
from ledger.readings import EscrowedLot
from ledger.settlement.messages import ChainFact

MAX_TOGETHER = 500
"""Facts that are imported in one commit."""


class RejectedFact(NamedTuple):
    """A chain event that the ledger refused, with its reason. It is retried on every sync."""

    fact: ChainFact
    reason: str


class Watcher:
    """Imports the facts of one contract into a ledger.

    A new watcher reads all facts of the contract again; the ledger ignores those that it has.
    """

    def __init__(self, ledger: Ledger, chain: Chain, *, confirmations: int | None = None) -> None:
        """With `confirmations`, purchases are granted once they have that many blocks on top; otherwise once they are
        final."""
        self._ledger, self._chain, self._confirmations = ledger, chain, confirmations
        self._contract_ref = contract_of(chain)
        self._after, self._checked = 0, False
        self._waiting: list[ChainFact] = []
        self._final: set[str] = set()
        self._changed: set[str] = set()  # final purchases that the ledger has on other terms
        self._decimals: dict[str, int | None] = {}  # by asset, as the chain reports them
        self._early = True  # there may be purchases that were granted before they were final

    def sync(self) -> list[RejectedFact]:
        """Import all new facts; return those that the ledger rejected.

        Later facts of the same account wait for a rejected one. Raises ChainUnavailable; and
        SettlementStopped, before anything is written, if the chain lacks a purchase that the log has from it.
        """
        self.check()
        final = self._chain.final_block()
        new = [fact for fact in self._facts() if _is_importable(fact)]
        self._early = self._early or not all(fact.final for fact in new)
        rejected = self._import([*self._waiting, *new])
        if self._reverse_changed():
            rejected = self._import([entry.fact for entry in rejected])
        if self._early:
            self._early = self._reverse_lost(final)
        self._waiting = [entry.fact for entry in rejected if entry.fact.final]
        self._after = final
        return rejected

    def _facts(self) -> list[ChainFact]:
        """Return the final facts, then those to import before they are final.

        The latter may end earlier: a watcher that asks for more confirmations than finality takes must not miss any.
        """
        facts = list(self._chain.facts(self._after))
        if self._confirmations is not None:
            known = {fact.id for fact in facts}
            facts += [fact for fact in self._chain.facts(self._after, self._confirmations) if fact.id not in known]
        return facts

    def _import(self, facts: list[ChainFact]) -> list[RejectedFact]:
        rejected: list[RejectedFact] = []
        together: dict[tuple[str, str], ChainFact] = {}
        for fact in facts:
            if (fact.subscriber, fact.plan) in together or len(together) == MAX_TOGETHER:
                rejected += self._import_together(list(together.values()), rejected)
                together = {}
            together[fact.subscriber, fact.plan] = fact
        return rejected + self._import_together(list(together.values()), rejected)

    def _import_together(self, facts: list[ChainFact], rejected: list[RejectedFact]) -> list[RejectedFact]:
        """Import facts of different accounts in one commit; return those that were rejected."""
        behind = {(entry.fact.subscriber, entry.fact.plan): entry.fact.id for entry in rejected}
        refused: list[RejectedFact] = []
        commands: list[tuple[ChainFact, Command]] = []
        for fact in facts:
            plan = self._ledger.plan_on_chain(fact.plan)
            if (first := behind.get((fact.subscriber, fact.plan))) is not None:
                refused.append(RejectedFact(fact, f"it waits for {first} of the same account"))
            elif plan is None:
                refused.append(RejectedFact(fact, f"no plan is called {fact.plan} on the chain"))
            else:
                try:
                    commands.append((fact, admit(self._command(fact, plan))))
                except (WrongType, WrongValue) as error:  # one such fact must not keep the others from being imported
                    refused.append(RejectedFact(fact, str(error)))
        outcomes = self._ledger.execute_many([command for _, command in commands]) if commands else []
        for (fact, _), outcome in zip(commands, outcomes, strict=True):
            if not outcome.accepted:
                refused.append(RejectedFact(fact, str(outcome)))
            if isinstance(outcome, Refused) and outcome.reason is Reason.key_reused and fact.final:
                self._changed.add(fact.id)
        return refused

    def _command(self, fact: ChainFact, plan: str) -> Command:
        """Return a fact's command. A chain that reports the decimals of its assets is asked once for each of them."""
        command = command_of(fact, plan, self._contract_ref)
        if isinstance(command, Purchase) and command.terms is not None and isinstance(self._chain, AssetReader):
            asset = command.terms.asset
            if asset not in self._decimals:
                self._decimals[asset] = self._chain.decimals(asset)
            return replace(command, terms=replace(command.terms, asset_decimals=self._decimals[asset]))
        return command

    def check(self) -> None:
        """Raise SettlementStopped if the chain lacks a purchase that the log has from it, unless it was granted early.
        Every watcher checks this once, before it imports anything."""
        if self._checked:
            return
        known = {fact.id for fact in self._chain.facts(0, 0)}
        lost = [
            lot.escrow.purchase for lot in self._lots() if not lot.escrow.block and lot.escrow.purchase not in known
        ]
        if lost:
            raise SettlementStopped(
                f"{self._chain.name} lacks {len(lost)} of the purchases that the log has from it, such as "
                f"{lost[0]}: it is another chain, or was reset",
                "connect to the chain that sold them, or restore it; nothing was written",
            )
        self._checked = True

    def _reverse_changed(self) -> bool:
        """Reverse purchases that were granted early on terms that differ from the final ones: after a reorganisation
        a plan can be published with other terms under the same id. Return True if there was any."""
        changed, self._changed = self._changed, set()
        lots = self._lots() if changed else []
        early = [lot for lot in lots if lot.escrow.block and lot.escrow.purchase in changed]
        for lot in early:
            self._ledger.execute(Reverse(subscriber=lot.subscriber, plan=lot.plan, lot=lot.id))
        return bool(early)

    def _reverse_lost(self, final: int) -> bool:
        """Reverse early purchases whose block is final now and that the chain lacks. Return True if any early purchase
        remains that is not known to be final."""
        early = [lot for lot in self._lots() if lot.escrow.block and lot.escrow.purchase not in self._final]
        settled = [lot for lot in early if lot.escrow.block <= final]
        if not settled:
            return bool(early)
        known = {fact.id: fact.final for fact in self._chain.facts(0, 0)}
        self._final.update(id for id, is_final in known.items() if is_final)
        for lot in settled:
            if lot.escrow.purchase not in known:
                # Refused if another watcher was first: a lot is reversed once.
                self._ledger.execute(Reverse(subscriber=lot.subscriber, plan=lot.plan, lot=lot.id))
        return True

    def _lots(self) -> list[EscrowedLot]:
        return self._ledger.escrowed(self._contract_ref)


def _is_importable(fact: ChainFact) -> bool:
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
