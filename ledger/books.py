"""The books: the state of the whole ledger, folded from the log.

Books are mutable, and only `reducers.reduce` changes them. They stay small: of closed requests and charges they hold
only the net of each corrected charge, the digests of the latest keys (`KEY_GENERATION`), and payment ids.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from .accounts import Account
from .amounts import SECOND
from .catalogue import Agent, Plan
from .events import KEY_SECONDS, MAX_AHEAD_SECONDS, ContractRef, Event
from .settlement.state import Settling

KEY_GENERATION = 32_768
"""Number of keys after which the books begin a new generation, and forget the one before the last."""

KeyUse: TypeAlias = tuple[bytes, int, int]
"""The use of a key: the command's fingerprint, the sequence of its first event, and the time until which the key is
remembered (UTC microseconds)."""

VERSION = "12"
"""The version of the reducers: a snapshot of another version is ignored."""


def key_end(at: int, seconds: int = KEY_SECONDS) -> int:
    """Return the time (UTC microseconds, exclusive) until which a key is remembered that was committed at a time, on a
    plan with these `key_seconds`."""
    return at + (seconds + MAX_AHEAD_SECONDS) * SECOND


class Books(msgspec.Struct):
    """The state of a ledger, as of `seq` and `at`.

    `names` gives accounts by (subscriber, plan), `open` the account of each request that may still be charged.
    `keys` gives by digest the last use of a key, `older_keys` those of the generation before, which ends at `keys_end`.
    Together they hold every key that was used after the sequence `keys_after`; an earlier use is found in `OlderKeys`.
    Both depend on the log alone, and not on where earlier keys are, so that equal logs have equal books. `payments`
    gives the fingerprint and first sequence of payment ids and chain facts, permanently. `settlings` is by contract,
    `onchain` gives plans by their id on chains, `assets` the decimals of assets, where they are known. `opened` and
    `registered` count the accounts and the agents.
    """

    seq: int = 0
    at: int = 0
    opened: int = 0
    registered: int = 0
    plans: dict[str, Plan] = msgspec.field(default_factory=dict)
    agents: dict[int, Agent] = msgspec.field(default_factory=dict)
    agent_names: dict[str, int] = msgspec.field(default_factory=dict)
    accounts: dict[int, Account] = msgspec.field(default_factory=dict)
    names: dict[tuple[str, str], int] = msgspec.field(default_factory=dict)
    open: dict[int, int] = msgspec.field(default_factory=dict)
    keys: dict[bytes, KeyUse] = msgspec.field(default_factory=dict)
    older_keys: dict[bytes, KeyUse] = msgspec.field(default_factory=dict)
    keys_end: int = 0
    keys_after: int = 0
    payments: dict[bytes, tuple[bytes, int]] = msgspec.field(default_factory=dict)
    settlings: dict[ContractRef, Settling] = msgspec.field(default_factory=dict)
    onchain: dict[str, str] = msgspec.field(default_factory=dict)
    assets: dict[str, int] = msgspec.field(default_factory=dict)

    def recall(self, digest: bytes) -> KeyUse | None:
        """Return the last use of a key, also one whose time is over; None if there was none after `keys_after`."""
        return self.keys.get(digest) or self.older_keys.get(digest)

    def advance(self, at: int) -> dict[bytes, KeyUse]:
        """Set the time of the next commit. Return the keys that the books forget, those up to `keys_after`: a whole
        generation, or most often none."""
        self.at = at
        if len(self.keys) < KEY_GENERATION:
            return {}
        forgotten, self.older_keys, self.keys = self.older_keys, self.keys, {}
        self.keys_after, self.keys_end = self.keys_end, self.seq
        return forgotten

    def account_of(self, event: Event) -> int:
        """Return the number of an event's account; 0 for events of the catalogue and of settlements."""
        number = getattr(event, "account", 0)
        return number or self.open.get(getattr(event, "request", 0), 0)

    def find(self, subscriber: str, plan: str) -> Account | None:
        """Return the account of a subscriber on a plan; None if it was never opened."""
        number = self.names.get((subscriber, plan))
        return None if number is None else self.account(number)

    def account(self, number: int) -> Account:
        """Return the account of that number. Raises KeyError if there is none."""
        return self.accounts[number]

    def decimals(self, asset: str) -> int:
        """Return the decimals of an asset; 0 if they are unknown."""
        return self.assets.get(asset, 0)

    def settling(self, contract_ref: ContractRef) -> Settling:
        """Return the settlement state of a contract; an empty one if no batch was ever opened there."""
        return self.settlings.get(contract_ref) or Settling(contract_ref=contract_ref)

    def dump(self) -> bytes:
        """Return the books as canonical JSON: equal books give equal bytes."""
        return _encoder.encode(_as_stored(self))

    @classmethod
    def load(cls, body: bytes) -> Books:
        """Return the books that `dump` wrote. Raises msgspec.MsgspecError for invalid bytes."""
        stored = _decoder.decode(body)
        books = cls(**{name: getattr(stored, name) for name in _PLAIN})
        for digest, print_, seq, until in stored.keys:
            generation = books.keys if seq > books.keys_end else books.older_keys
            generation[bytes.fromhex(digest)] = (bytes.fromhex(print_), seq, until)
        books.payments = {
            bytes.fromhex(digest): (bytes.fromhex(print_), seq) for digest, print_, seq in stored.payments
        }
        books.settlings = {settling.contract_ref: settling for settling in stored.settlings}
        for account in books.accounts.values():
            account.share(books.plans[account.plan])
        books.names = {(account.subscriber, account.plan): number for number, account in books.accounts.items()}
        books.open = {
            request: number
            for number, account in books.accounts.items()
            for request in (*account.requests, *account.late)
        }
        return books


class _Stored(msgspec.Struct):
    seq: int
    at: int
    opened: int
    registered: int
    keys_end: int
    keys_after: int
    onchain: dict[str, str]
    assets: dict[str, int]
    plans: dict[str, Plan]
    agents: dict[int, Agent]
    agent_names: dict[str, int]
    accounts: dict[int, Account]
    keys: list[tuple[str, str, int, int]]
    payments: list[tuple[str, str, int]]
    settlings: list[Settling]


_PLAIN = (
    "seq",
    "at",
    "opened",
    "registered",
    "keys_end",
    "keys_after",
    "onchain",
    "assets",
    "plans",
    "agents",
    "agent_names",
    "accounts",
)
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Stored)


def _as_stored(books: Books) -> _Stored:
    known = (*books.older_keys.items(), *books.keys.items())
    keys = [(digest.hex(), print_.hex(), seq, until) for digest, (print_, seq, until) in known]
    payments = [(digest.hex(), print_.hex(), seq) for digest, (print_, seq) in books.payments.items()]
    settlings = list(books.settlings.values())
    return _Stored(keys=keys, payments=payments, settlings=settlings, **{name: getattr(books, name) for name in _PLAIN})
