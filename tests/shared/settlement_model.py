"""What the settlement contract must do, told a second time: from histories, where the contract keeps running sums.

Each method is a call. It returns the name of the error that must revert it, or None where it passes and is remembered.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import IntEnum

from evm_machine import COIN
from settlement_world import GUARDIAN, OPERATOR, OWNER, Batch

from ledger.events import Leaf

Account = tuple[str, int]
"""A subscriber's address, and a plan."""


class Stage(IntEnum):
    """Where a batch is."""

    COMMITTED = 1
    EXECUTED = 2
    CANCELLED = 3


@dataclass
class Plan:
    """What is sold."""

    owner: str
    token: str
    price: int
    retired: bool = False


@dataclass
class Recorded:
    """A batch that the contract took."""

    batch: Batch
    time: int
    stage: Stage


@dataclass
class Leaving:
    """How far an account is on its way out."""

    asked: int
    claimed: int = 0
    left: bool = False


@dataclass
class Model:
    """All that happened on a contract."""

    window: int
    freeze: int
    delay: int
    address: str
    plans: dict[int, Plan] = field(default_factory=dict)
    orders: dict[tuple[int, str, bytes], int] = field(default_factory=dict)  # what was bought, and its price
    records: list[Recorded] = field(default_factory=list)
    executed: dict[str, list[Recorded]] = field(default_factory=lambda: defaultdict(list))  # by token, in order
    claims: Counter[tuple[str, str]] = field(default_factory=Counter)  # token and receiver: all that was claimed
    leaving: dict[Account, Leaving] = field(default_factory=dict)
    exits: dict[Account, int] = field(default_factory=dict)  # what was paid to those who left
    wealth: Counter[tuple[str, str]] = field(default_factory=Counter)  # token and holder: since the beginning
    refusing: set[str] = field(default_factory=set)  # who takes no coin

    # -- readings -----------------------------------------------------------------------------------------------------

    def paid(self, account: Account) -> int:
        """All that was paid in for an account."""
        return sum(price for (plan, subscriber, _), price in self.orders.items() if (subscriber, plan) == account)

    def due(self, token: str, receiver: str) -> int:
        """All payouts less all claims."""
        earned = sum(amount for each in self.executed[token] for name, amount in each.batch.payouts if name == receiver)
        return earned - self.claims[token, receiver]

    def receivers(self, token: str) -> set[str]:
        """Whoever was paid anything in any batch."""
        return {name for each in self.executed[token] for name, _ in each.batch.payouts}

    def holdings(self, token: str) -> int:
        """All that came in less all that went out."""
        bought = sum(price for (plan, *_), price in self.orders.items() if self.plans[plan].token == token)
        left = sum(amount for (_, plan), amount in self.exits.items() if self.plans[plan].token == token)
        return bought - left - sum(amount for (name, _), amount in self.claims.items() if name == token)

    def escrow(self, token: str) -> int:
        """What is held and due to nobody."""
        return self.holdings(token) - sum(max(0, self.due(token, each)) for each in self.receivers(token))

    @property
    def waiting(self) -> int:
        """How many batches are neither executed nor cancelled."""
        return sum(each.stage == Stage.COMMITTED for each in self.records)

    @property
    def settled(self) -> int:
        """Up to which number none waits."""
        first = next((each.batch.number for each in self.records if each.stage == Stage.COMMITTED), None)
        return len(self.records) if first is None else first - 1

    # -- plans and purchases ------------------------------------------------------------------------------------------

    def retire(self, caller: str, plan: int) -> str | None:
        """Only who published it may."""
        if self.plans[plan].owner != caller:
            return "PlanUnknown"
        if self.plans[plan].retired:
            return "PlanIsRetired"
        self.plans[plan].retired = True
        return None

    def buy(self, payer: str, order: tuple[int, str, bytes], value: int, authorized: str = "") -> str | None:
        """With the caller's money, or by an authorization that is good ("yes") or not ("no")."""
        plan, subscriber, _ = order
        if plan not in self.plans:
            return "PlanUnknown"
        token, price = self.plans[plan].token, self.plans[plan].price
        if self.plans[plan].retired:
            return "PlanIsRetired"
        if order in self.orders:
            return "PurchaseExists"
        if (subscriber, plan) in self.leaving:
            return "Leaving"
        if authorized and token == COIN:
            return "CoinCannotBeAuthorized"
        if authorized == "no":
            return "ERC3009InvalidSignature"
        if value != (price if token == COIN else 0):
            return "WrongValue"
        self.orders[order] = price
        self.wealth[token, payer] -= price
        return None

    # -- batches ------------------------------------------------------------------------------------------------------

    def commit(self, caller: str, batch: Batch, previous: bool, now: int) -> str | None:
        """Record a batch; `previous` is whether it names the digest of the last one."""
        refusal = self._refuses(caller, batch, previous)
        if refusal is None:
            self.records.append(Recorded(batch, now, Stage.COMMITTED))
        return refusal

    def settle(self, caller: str, batch: Batch, payouts: object, previous: bool, now: int) -> str | None:
        """Record it and execute it."""
        if caller == OPERATOR.address and self.window:
            return "WindowRequired"
        refusal = self._refuses(caller, batch, previous)
        if refusal is not None:
            return refusal
        if self.waiting:
            return "BatchAwaitsExecution"
        record = Recorded(batch, now, Stage.COMMITTED)
        self.records.append(record)
        refusal = self._executes(record, payouts)
        if refusal is not None:
            self.records.pop()
        return refusal

    def execute(self, batch: Batch, payouts: object, now: int) -> str | None:
        """Whoever calls."""
        record = self._open(batch)
        if isinstance(record, str):
            return record
        if now < record.time + self.window:
            return "WindowOpen"
        if batch.number != self.settled + 1:
            return "BatchOutOfOrder"
        return self._executes(record, payouts)

    def cancel(self, caller: str, number: int) -> str | None:
        """By owner or guardian."""
        if caller not in (OWNER.address, GUARDIAN.address):
            return "NotGuardian"
        if not 1 <= number <= len(self.records):
            return "BatchUnknown"
        record = self._open(self.records[number - 1].batch)
        if isinstance(record, str):
            return record
        record.stage = Stage.CANCELLED
        return None

    def challenge(self, batch: Batch, leaf: Leaf, proven: bool) -> str | None:
        """By a leaf of the batch."""
        record = self._open(batch)
        if isinstance(record, str):
            return record
        if not proven:
            return "ProofInvalid"
        if not self.overdraws(batch, leaf):
            return "NotOverdrawn"
        record.stage = Stage.CANCELLED
        return None

    def overdraws(self, batch: Batch, leaf: Leaf) -> bool:
        """Whether a leaf of the batch charges its account more than was paid in of the batch's token."""
        plan = self.plans[int(leaf.plan)]
        paid = self.paid((leaf.subscriber, int(leaf.plan))) if plan.token == batch.fields[3] else 0
        return max(0, leaf.charged - leaf.credited) > paid

    def _refuses(self, caller: str, batch: Batch, previous: bool) -> str | None:
        if caller != OPERATOR.address:
            return "NotOperator"
        if 1 <= batch.number <= len(self.records):
            return "BatchExists"
        if batch.number != len(self.records) + 1:
            return "BatchOutOfOrder"
        return None if previous else "WrongPrevious"

    def _open(self, batch: Batch) -> Recorded | str:
        if not 1 <= batch.number <= len(self.records) or self.records[batch.number - 1].batch != batch:
            return "BatchUnknown"
        record = self.records[batch.number - 1]
        return record if record.stage == Stage.COMMITTED else "BatchNotOpen"

    def _executes(self, record: Recorded, payouts: object) -> str | None:
        if payouts != record.batch.payouts:
            return "WrongPayouts"
        token = record.batch.fields[3]
        self.executed[token].append(record)
        if self.escrow(token) < 0:
            self.executed[token].pop()
            return "EscrowShort"
        record.stage = Stage.EXECUTED
        return None

    # -- money out ----------------------------------------------------------------------------------------------------

    def claim(self, token: str, receiver: str) -> str | None:
        """Whoever calls, the receiver is paid."""
        if receiver in (COIN, self.address):
            return "CannotReceive"
        amount = self.due(token, receiver)
        if amount <= 0:
            return "NothingDue"
        if not self._takes(token, receiver):
            return "CoinNotSent"
        self.claims[token, receiver] += amount
        self.wealth[token, receiver] += amount
        return None

    def request_exit(self, caller: str, plan: int, now: int) -> str | None:
        """By who bought."""
        if not self.paid((caller, plan)):
            return "NothingBought"
        if (caller, plan) in self.leaving:
            return "ExitAlreadyRequested"
        self.leaving[caller, plan] = Leaving(now)
        return None

    def exit(self, caller: str, plan: int, leaf: Leaf, proven: bool, now: int) -> str | None:
        """By a leaf; `proven` is whether the last final root of the plan's token has it."""
        leaving = self._on_its_way((caller, plan))
        if isinstance(leaving, str):
            return leaving
        if not proven:
            return "ProofInvalid"
        last = self.executed[self.plans[plan].token][-1]
        if min(last.batch.fields[1], last.time) < leaving.asked + self.freeze:
            if now < leaving.asked + self.delay:
                return "ExitDelay"
            if self.waiting and now < leaving.asked + 2 * self.delay + self.window:
                return "BatchAwaitsExecution"
        net = max(0, leaf.charged - leaf.credited)
        return self._leaves((caller, plan), max(0, self.paid((caller, plan)) - net))

    def claim_uncharged(self, caller: str, plan: int, now: int) -> str | None:
        """By who has no leaf."""
        leaving = self._on_its_way((caller, plan))
        if isinstance(leaving, str):
            return leaving
        if leaving.claimed:
            return "UnchargedAlreadyClaimed"
        if now < leaving.asked + self.delay:
            return "ExitDelay"
        leaving.claimed = now
        return None

    def refute(self, leaf: Leaf, proven: bool) -> str | None:
        """Whoever calls; `proven` is whether the last final root of the plan's token has the leaf."""
        leaving = self.leaving.get((leaf.subscriber, int(leaf.plan)))
        if leaving is None or not leaving.claimed or leaving.left:
            return "UnchargedNotClaimed"
        if not proven:
            return "ProofInvalid"
        if leaf.charged == leaf.credited == 0:
            return "NothingRefuted"
        leaving.claimed = 0
        return None

    def exit_uncharged(self, caller: str, plan: int, now: int) -> str | None:
        """With all that was paid in."""
        leaving = self._on_its_way((caller, plan))
        if isinstance(leaving, str):
            return leaving
        if not leaving.claimed:
            return "UnchargedNotClaimed"
        if now < leaving.claimed + self.delay:
            return "ExitDelay"
        return self._leaves((caller, plan), self.paid((caller, plan)))

    def _on_its_way(self, account: Account) -> Leaving | str:
        leaving = self.leaving.get(account)
        if leaving is None:
            return "ExitNotRequested"
        return "ExitAlreadyPaid" if leaving.left else leaving

    def _leaves(self, account: Account, rest: int) -> str | None:
        subscriber, plan = account
        token = self.plans[plan].token
        if rest > self.escrow(token):
            return "EscrowShort"
        if rest and not self._takes(token, subscriber):
            return "CoinNotSent"
        self.leaving[account].left = True
        self.exits[account] = rest
        self.wealth[token, subscriber] += rest
        return None

    def _takes(self, token: str, receiver: str) -> bool:
        return token != COIN or receiver not in self.refusing
