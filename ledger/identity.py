"""Identity: the digests under which the books know commands, payments and chain facts, so that each is done once.

An idempotency key is known in the scope of its account, for the `key_seconds` of its plan, or in that of an owner
(catalogue) or the ledger (settlement), for `KEY_SECONDS`; a payment id and a chain fact are known permanently. Each is
stored with the fingerprint of its command: the same content gets the first answer, other content is refused. A
subscription is known permanently too, by its account and limit (`decisions/invoices.py`).

Invariant: no two events have the same key in the same scope while the first is remembered: from its commit until
`key_end`. So a command that was issued up to `MAX_AHEAD_SECONDS` ahead is refused once its key is forgotten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeAlias

import msgspec

from .amounts import SECOND, duration_text
from .books import Books, KeyUse, key_end
from .commands import (
    Adjust,
    AnyCommand,
    Charge,
    Command,
    CreatePlan,
    Exit,
    Extend,
    Freeze,
    Give,
    PayInvoice,
    Purchase,
    RegisterAgent,
    Reinstate,
    Release,
    RepricePlan,
    Request,
    RetireAgent,
    RetirePlan,
    Reverse,
    SettlementCommand,
    Subscribe,
    Unfreeze,
    UpdateAgent,
    Withdraw,
    WriteOff,
)
from .events import (
    KEY_SECONDS,
    AgentRegistered,
    AgentRetired,
    Charged,
    EscrowFunding,
    Fact,
    Funding,
    PlanCreated,
    PlanRepriced,
    PlanRetired,
    Purchased,
    Recorded,
    Requested,
    Subscribed,
)
from .log import Entry
from .refusals import Reason, Refusal

_sorted = msgspec.json.Encoder(order="sorted")
_FACTUAL = (Purchase, PayInvoice, Freeze, Exit)
"""Commands that may carry a payment or a chain fact."""

OlderKey: TypeAlias = Callable[[bytes], KeyUse | None]
"""Finds the last use of a key before the books' own (`Books.keys_after`), by its digest."""


# -- digests -----------------------------------------------------------------------------------------------------------


def fingerprint(command: Command) -> str:
    """Return the digest of a command's content, without its key and `issued_at`, as 32 hexadecimal digits.

    Left out are the block of an escrow, since a reorganisation may move a purchase to another one, and an asset's
    decimals, which a chain does not always report.
    """
    command = msgspec.structs.replace(command, key=None, issued_at=None)
    if isinstance(command, Purchase) and isinstance(command.funding, EscrowFunding):
        escrow = msgspec.structs.replace(command.funding.escrow, block=0)
        terms = command.terms and msgspec.structs.replace(command.terms, asset_decimals=None)
        command = msgspec.structs.replace(command, funding=EscrowFunding(escrow), terms=terms)
    content = _sorted.encode(command)
    return hashlib.sha256(content).hexdigest()[:32]


@lru_cache(maxsize=16_384)
def digest(scope: str, name: str) -> bytes:
    """Return the 16 bytes under which a name is known in its scope.

    A key is digested when its command is decided, when that is drafted and when it is folded: hence the cache.
    """
    return hashlib.sha256(f"{len(scope)}:{scope}{name}".encode()).digest()[:16]


def owner_key(owner: str, key: str) -> bytes:
    """Return the digest of a catalogue command's key, scoped to the owner."""
    return digest(f"owner {owner}", key)


def account_key(account: int, key: str) -> bytes:
    """Return the digest of a key, scoped to its account (0 for settlement commands)."""
    return digest(f"account {account}", key)


def payment_id_digest(payment: str) -> bytes:
    """Return the digest of an off-chain payment id."""
    return digest("payment", payment)


def payment_digest(funding: Funding, payment: str) -> bytes | None:
    """Return the digest of a purchase's payment: that of its escrow, else of its payment id; None without either."""
    if isinstance(funding, EscrowFunding):
        escrow = funding.escrow
        return digest(f"{len(escrow.chain)} {escrow.chain} {escrow.contract}", escrow.purchase)
    return payment_id_digest(payment) if payment else None


def fact_digest(fact: Fact) -> bytes:
    """Return the digest of a chain fact."""
    return digest(f"fact {len(fact.chain)} {fact.chain} {fact.contract}", fact.id)


# -- of commands, when they are decided --------------------------------------------------------------------------------


def is_identified(command: AnyCommand) -> bool:
    """Return True if a command has a key, a payment or a chain fact, and so must be done only once."""
    return command.key is not None or (type(command) in _FACTUAL and _permanent_digest(command) is not None)


def earlier_answer(
    books: Books,
    command: AnyCommand,
    print_: str,
    at: int,
    evidence: Mapping[int, Entry],
    older_key: OlderKey,
    behind: int,
) -> int | None:
    """Return the sequence of the first answer to a command with the same identity and content; None if it is new.

    `print_` is the command's fingerprint, `at` the commit's time (UTC microseconds), `behind` how far the clock is
    behind it. A command without `issued_at` counts as issued on arrival. Raises Refusal where the identity
    was used with other content, where the key is too old to be known, and where the purchase was reversed since.
    """
    permanent = _permanent_digest(command)
    payment = None if permanent is None else books.payments.get(permanent)
    keyed = None if command.key is None else _last_use(books, command, at, evidence, older_key)
    for first_print, seq in filter(None, (payment, keyed)):
        if first_print.hex() == print_:
            _check_not_reversed(books, command, seq)
            return seq
        raise Refusal(Reason.key_reused, detail=f"used before with other content, at {seq}")
    age = behind if command.issued_at is None else at - command.issued_at
    if command.key is not None and age > 0:
        seconds = _key_seconds(books, _subject(books, command, evidence)[1])
        if age >= seconds * SECOND:
            since = "its arrival" if command.issued_at is None else "`issued_at`"
            detail = f"keys are remembered for {duration_text(seconds)} here, and {since} is older than that"
            raise Refusal(Reason.key_too_old, detail=detail)
    return None


def _last_use(
    books: Books, command: AnyCommand, at: int, evidence: Mapping[int, Entry], older_key: OlderKey
) -> tuple[bytes, int] | None:
    """Return the fingerprint and first sequence of a command's key; None if it is not remembered at that time."""
    digest = None if command.key is None else _scoped_digest(books, command, command.key, evidence)
    if digest is None:
        return None
    use = books.recall(digest)
    if use is None and books.keys_after:
        use = older_key(digest)
    return use[:2] if use is not None and at < use[2] else None


def referenced_seq(command: AnyCommand) -> int:
    """Return the sequence of the request or charge that a command names; 0 where it names an account."""
    match command:
        case Extend() | Release() | Charge():
            return command.request
        case Adjust():
            return command.charge
        case _:
            return 0


def _check_not_reversed(books: Books, command: AnyCommand, seq: int) -> None:
    """Refuse to buy again with a payment that turned out void."""
    if isinstance(command, Purchase | PayInvoice):
        account = books.find(command.subscriber, command.plan)
        lot = account.lots.get(seq) if account is not None else None
        if lot is not None and lot.reversed:
            detail = f"what was bought at {seq} was reversed: `Reinstate` it, or buy with another payment"
            raise Refusal(Reason.payment_reversed, detail=detail)


def _permanent_digest(command: AnyCommand) -> bytes | None:
    """Return the digest of a command's payment or chain fact; None without either."""
    match command:
        case Purchase() | PayInvoice():
            return payment_digest(command.funding, command.payment)
        case Freeze() | Exit() if command.fact is not None:
            return fact_digest(command.fact)
        case _:
            return None


def _scoped_digest(books: Books, command: AnyCommand, key: str, evidence: Mapping[int, Entry]) -> bytes | None:
    """Return the digest of a command's key, scoped to the owner or the account; None where that does not exist yet."""
    match command:
        case CreatePlan() | RegisterAgent():
            return owner_key(command.owner, key)
        case RepricePlan() | RetirePlan():
            plan = books.plans.get(command.plan)
            return owner_key(plan.terms.owner, key) if plan else None
        case UpdateAgent() | RetireAgent():
            agent = books.agents.get(books.agent_names.get(command.agent, 0))
            return owner_key(agent.terms.owner, key) if agent else None
        case SettlementCommand():
            return account_key(0, key)
        case _:
            number, _ = _subject(books, command, evidence)
            return account_key(number, key) if number else None


def _subject(books: Books, command: AnyCommand, evidence: Mapping[int, Entry]) -> tuple[int, str]:
    """Return the account of a command, 0 if there is none yet, and the name of its plan, empty if that is unknown."""
    match command:
        case Extend() | Release() | Charge() | Adjust() if seq := referenced_seq(command):
            number = books.open.get(seq) or _account_at(seq, evidence)
            return number, books.accounts[number].plan if number else ""
        case (
            Purchase()
            | Give()
            | Withdraw()
            | Reverse()
            | Reinstate()
            | Freeze()
            | Unfreeze()
            | Exit()
            | Subscribe()
            | PayInvoice()
            | WriteOff()
            | Request()
            | Charge()
            | Adjust()
        ):
            return books.names.get((command.subscriber, command.plan), 0), command.plan
        case _:
            return 0, ""


def _account_at(seq: int, evidence: Mapping[int, Entry]) -> int:
    entry = evidence.get(seq)
    return entry.event.account if entry is not None and isinstance(entry.event, (Requested, Charged)) else 0


def _key_seconds(books: Books, plan: str) -> int:
    """Return how long the keys of a plan's accounts are remembered; the default where there is no such plan."""
    known = books.plans.get(plan)
    return KEY_SECONDS if known is None else known.terms.key_seconds


# -- of events, when they are folded -----------------------------------------------------------------------------------


def remember_key(books: Books, seq: int, event: Recorded) -> None:
    """Record the key of a command's first event, in the books' next commit."""
    if event.key is not None and event.fingerprint is not None:
        digest, use = key_use(books, Entry(seq, books.at, event), books.account_of(event))
        books.keys[digest] = use


def key_use(books: Books, entry: Entry, account: int) -> tuple[bytes, KeyUse]:
    """Return the digest of the key of an event that has one, and its use. `account` is the event's, or 0.

    The books may be those before the event or later ones: neither owners nor a plan's `key_seconds` ever change.
    """
    seq, at, event = entry
    key, print_ = event.key or "", bytes.fromhex(event.fingerprint or "")
    match event:
        case PlanCreated() | AgentRegistered():
            return owner_key(event.owner, key), (print_, seq, key_end(at))
        case PlanRepriced() | PlanRetired():
            return owner_key(books.plans[event.plan].terms.owner, key), (print_, seq, key_end(at))
        case AgentRetired():
            return owner_key(books.agents[event.agent].terms.owner, key), (print_, seq, key_end(at))
    known = books.accounts.get(account)
    plan = known.plan if known is not None else event.plan if isinstance(event, Purchased | Subscribed) else ""
    return account_key(account, key), (print_, seq, key_end(at, _key_seconds(books, plan)))
