"""Draft of the books: the state after a group's commands, before any of it is written.

The books themselves do not change, so a failed append leaves nothing to undo. An account is copied only when a second
command of the group reads it, since most groups touch most accounts once. The first accepted command needs no draft.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from .accounts import Account
from .books import Books
from .events import Charged, Extended, Recorded, Released, Requested
from .identity import remember_key
from .reducers import reduce

K = TypeVar("K")
V = TypeVar("V")

_LATER = (Requested, Extended, Released, Charged)
"""Events that are applied only when their account is read again: nothing else can refer to them before they are
written."""


class _Overlay(dict[K, V]):
    """A dict over another: missing keys are read from the other; changes and removals are kept here only."""

    def __init__(self, under: dict[K, V]) -> None:
        super().__init__()
        self._under = under
        self._removed: set[K] = set()

    def __missing__(self, name: K) -> V:
        if name in self._removed:
            raise KeyError(name)
        return self._under[name]

    def get(self, name: K, default: V | None = None) -> V | None:  # type: ignore[override]
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (name not in self._removed and name in self._under)

    def pop(self, name: K, default: V | None = None) -> V | None:  # type: ignore[override]
        value = self.get(name, default)
        self._removed.add(name)
        super().pop(name, None)
        return value


class Draft(Books):
    """Books over other books. `record` adds the events of one command after the other.

    `waiting` are events not yet applied, by account; `copied` the accounts that this draft may change.
    """

    waiting: dict[int, list[tuple[int, Recorded]]] = msgspec.field(default_factory=dict)
    copied: set[int] = msgspec.field(default_factory=set)
    owns_catalogue: bool = False

    @classmethod
    def over(cls, books: Books, at: int) -> Draft:
        """Return a draft of the next commit at time `at` (UTC microseconds)."""
        return cls(
            seq=books.seq,
            at=at,
            opened=books.opened,
            registered=books.registered,
            plans=books.plans,
            agents=books.agents,
            agent_names=books.agent_names,
            accounts=_Overlay(books.accounts),
            names=_Overlay(books.names),
            open=_Overlay(books.open),
            keys=_Overlay(books.keys),
            older_keys=books.older_keys,
            keys_end=books.keys_end,
            keys_after=books.keys_after,
            payments=_Overlay(books.payments),
            settlings=books.settlings,
            onchain=books.onchain,
            assets=_Overlay(books.assets),
        )

    def account(self, number: int) -> Account:
        """Return the account with the group's events applied. It may be the books' own: read it, do not change it."""
        waiting = self.waiting.pop(number, None)
        if waiting is None:
            return self.accounts[number]
        self._own(number)
        latest = self.seq
        for seq, event in waiting:
            reduce(self, seq, self.at, event)
        self.seq = latest
        return self.accounts[number]

    def record(self, event: Recorded) -> int:
        """Add the next event. Return its sequence."""
        seq = self.seq + 1
        number = self.account_of(event)
        if isinstance(event, _LATER):
            if event.key is not None:
                remember_key(self, seq, event)
            if number in self.waiting:
                self.waiting[number].append((seq, event))
            else:
                self.waiting[number] = [(seq, event)]
            if isinstance(event, Requested):
                self.open[seq] = number
        else:
            if not number:
                self._own_catalogue()
            elif number > self.opened:
                self.copied.add(number)  # a new account, which the books do not have
            else:
                self.account(number)
                self._own(number)
            reduce(self, seq, self.at, event)
        self.seq = seq
        return seq

    def _own_catalogue(self) -> None:
        """Copy the catalogue and the settlements, which few events change and nearly all decisions read."""
        if not self.owns_catalogue:
            self.owns_catalogue = True
            for name in ("plans", "agents", "agent_names", "settlings", "onchain"):
                setattr(self, name, dict(getattr(self, name)))

    def _own(self, number: int) -> None:
        if number not in self.copied:
            self.accounts[number] = self.accounts[number].clone()
            self.copied.add(number)
