"""Worlds of tests: `Shop` is a ledger whose clock is set by hand, `ChainShop` one whose money is held by a chain.

A test's subject extends them with the verbs that it needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from chains import Outbox, Step, Watcher
from ledger import Charge, Command, Ledger
from ledger.events import Event, SettlementOpened, tag
from ledger.plugins import Store

SECOND = 1_000_000
OPENING = 1_700_006_400 * SECOND
"""2023-11-15T00:00:00Z."""


def copy_commits(source: Store, target: Store, upto: int) -> Store:
    """Append the commits up to that sequence, as a backup has them; return the target."""
    for commit in source.read():
        if commit.last_seq <= upto:
            target.append(target.head(), commit)
    return target


def declared_event(command: Command) -> Any:
    """Return the type of the event that a command says it is answered by: `Command[Charged]`."""
    (base,) = [base for base in type(command).__orig_bases__ if hasattr(base, "__args__")]  # type: ignore[attr-defined]
    return base.__args__[0]


class Shop:
    """A ledger at a path, in a store, or (by default) in memory; `now` is its clock, in UTC microseconds."""

    customer, dimension = "alice", "units"
    """Who uses a plan unless another subscriber is named, and what of."""

    def __init__(self, location: Path | Store | None = None, *, id: str = "shop", now: int = OPENING) -> None:
        self.opening = self.now = now
        self.location, self.id = location, id
        self.ledger = self.another()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.ledger.close()

    def another(self) -> Ledger:
        """Return one more ledger over the same log, with the same clock."""
        if self.location is None or isinstance(self.location, Path):
            return Ledger.open(self.location, clock=lambda: self.now, id=self.id)
        return Ledger(self.location, lambda: self.now)

    def at(self, seconds: float, microseconds: int = 0) -> Self:
        """Set the clock to so many seconds after the opening."""
        self.now = self.opening + int(seconds * SECOND) + microseconds
        return self

    def do(self, command: Command) -> int:
        """Execute a command that must be accepted; return the sequence of its event."""
        answer = self.ledger.execute(command)
        assert answer, f"{command} was refused: {answer}"
        assert isinstance(answer.event, declared_event(command))
        return answer.seq

    def use(self, units: int, subscriber: str | None = None, plan: str = "pro") -> int:
        """Charge a subscriber directly; return the charge's sequence."""
        return self.do(Charge(subscriber=subscriber or self.customer, plan=plan, usage={self.dimension: units}))

    def refusal(self, command: Command) -> Any:
        """Execute a command that must be refused; return the refusal."""
        answer = self.ledger.execute(command)
        assert not answer, f"{command} was accepted: {answer.event}"
        assert "None" not in str(answer), f"{answer} has a placeholder"
        return answer

    def event(self, seq: int) -> Any:
        return next(self.ledger.events(after=seq - 1)).event

    def events(self) -> list[Event]:
        return [entry.event for entry in self.ledger.events()]

    def lot(self, lot_id: int, subscriber: str | None = None, plan: str = "pro") -> Any:
        return next(lot for lot in self.ledger.lots(subscriber or self.customer, plan) if lot.id == lot_id)


class ChainShop(Shop):
    """A shop beside a settlement contract. Blocks come when the shop mines them."""

    asset = "USD"
    confirmations: int | None = None
    """The watcher's; None for the chain's finality."""

    def __init__(self, chain: Any, location: Path | Store | None = None, **options: Any) -> None:
        super().__init__(location, **options)
        self.chain = chain
        self.carriers()

    def carriers(self) -> None:
        """Carry money with a new outbox and a new watcher."""
        self.outbox = Outbox(self.ledger, self.chain)
        self.watcher = Watcher(self.ledger, self.chain, confirmations=self.confirmations)

    def crash(self) -> None:
        """Forget everything except log and chain, as a process that dies."""
        self.ledger = self.another()
        self.carriers()

    def mine(self, blocks: int = 1) -> None:
        self.chain.mine(blocks)

    def sync(self, blocks: int = 0) -> None:
        """Mine blocks, and record what the chain reports; nothing of it may be refused."""
        if blocks:
            self.mine(blocks)
        assert self.watcher.sync() == []

    def open(self) -> int | None:
        """Open a batch of the shop's asset; return its number."""
        return self.outbox.open(self.asset)

    def blocks(self, pauses: int = 40) -> Iterable[object]:
        """Return so many pauses; where blocks do not come by themselves, one comes with each."""
        return range(pauses)

    def finish(self, pauses: int = 40) -> None:
        """Carry all open batches to their end."""
        assert self.outbox.carry(self.blocks(pauses)), self.story()

    def settle(self, *assets: str) -> list[int]:
        """Settle what was earned; return the numbers of the batches."""
        return self.outbox.settle(assets or None)

    def until(self, *states: str, mine: bool = True) -> None:
        """Step until the last settlement event of the log is one of these."""
        for _ in range(60):
            if self.story()[-1] in states:
                return
            if self.outbox.step() is not Step.wrote and mine:
                self.mine()
        raise AssertionError(f"never {states}: {self.story()}")

    def story(self) -> list[str]:
        """Return what became of batches, in order."""
        tags = [tag(event) for event in self.events()]
        return [word.removeprefix("settlement_") for word in tags if word.startswith("settlement_")]

    def opened(self) -> list[SettlementOpened]:
        return [event for event in self.events() if isinstance(event, SettlementOpened)]
