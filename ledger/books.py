"""The books: the state of the whole ledger, folded from the log.

Books are mutable, and only `reducers.reduce` changes them. They stay small: of closed requests and charges they hold
only the net of each corrected charge, the digests of recent keys, and payment ids.
"""

from __future__ import annotations

import msgspec

from .accounts import Account
from .amounts import SECOND
from .catalogue import Agent, Plan
from .events import ContractRef, Event
from .settlement.state import Settling

KEY_WINDOW = 86_400 * SECOND
"""The time for which a key is kept, in microseconds of commit time."""

VERSION = "9"
"""The version of the reducers: a snapshot of another version is ignored."""


class Books(msgspec.Struct):
    """The state of a ledger, as of `seq` and `at`.

    `names` gives accounts by (subscriber, plan), `open` the account of each request that may still be charged.
    `keys` gives by digest the fingerprint, first sequence and time of a keyed command, `older_keys` those of the window
    before; together they hold every key of the last window. `payments` is the same for payment ids and chain
    facts, permanently. `settlings` is by contract, `onchain` gives plans by their id on chains, `assets` the decimals
    of assets, where they are known. `opened` and `registered` count the accounts and the agents.
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
    keys: dict[bytes, tuple[bytes, int, int]] = msgspec.field(default_factory=dict)
    older_keys: dict[bytes, tuple[bytes, int, int]] = msgspec.field(default_factory=dict)
    payments: dict[bytes, tuple[bytes, int]] = msgspec.field(default_factory=dict)
    settlings: dict[ContractRef, Settling] = msgspec.field(default_factory=dict)
    onchain: dict[str, str] = msgspec.field(default_factory=dict)
    assets: dict[str, int] = msgspec.field(default_factory=dict)

    def remember(self, digest: bytes, print_: bytes, seq: int) -> None:
        """Record a key for a window of commit time."""
        self.keys[digest] = (print_, seq, self.at)

    def recall(self, digest: bytes, at: int) -> tuple[bytes, int] | None:
        """Return the fingerprint and first sequence of a key; None if the window no longer has it."""
        known = self.keys.get(digest) or self.older_keys.get(digest)
        return None if known is None or at - known[2] >= KEY_WINDOW else known[:2]

    def advance(self, at: int) -> None:
        """Set the time of the next commit, and drop the keys of two windows ago as a whole."""
        windows = at // KEY_WINDOW - self.at // KEY_WINDOW
        if windows > 0:
            self.older_keys = self.keys if windows == 1 else {}
            self.keys = {}
        self.at = at

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
        for digest, print_, seq, at in stored.keys:
            recent = at // KEY_WINDOW == books.at // KEY_WINDOW
            generation = books.keys if recent else books.older_keys
            generation[bytes.fromhex(digest)] = (bytes.fromhex(print_), seq, at)
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
    onchain: dict[str, str]
    assets: dict[str, int]
    plans: dict[str, Plan]
    agents: dict[int, Agent]
    agent_names: dict[str, int]
    accounts: dict[int, Account]
    keys: list[tuple[str, str, int, int]]
    payments: list[tuple[str, str, int]]
    settlings: list[Settling]


_PLAIN = ("seq", "at", "opened", "registered", "onchain", "assets", "plans", "agents", "agent_names", "accounts")
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Stored)


def _as_stored(books: Books) -> _Stored:
    known = (*books.older_keys.items(), *books.keys.items())
    keys = [(digest.hex(), print_.hex(), seq, at) for digest, (print_, seq, at) in known]
    payments = [(digest.hex(), print_.hex(), seq) for digest, (print_, seq) in books.payments.items()]
    settlings = list(books.settlings.values())
    return _Stored(keys=keys, payments=payments, settlings=settlings, **{name: getattr(books, name) for name in _PLAIN})
