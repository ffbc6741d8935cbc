"""The books: what the log comes to. Plans, agents, accounts with their lots, and what is still open.

Books are mutable inside a fold and never leave it: `reducers.reduce` alone changes them. They stay small: of what is
closed they hold only the net of each corrected charge, the digests of recent keys, and payment ids.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, Literal, NoReturn, TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace

from .amounts import SECOND, split
from .events import (
    AgentRegistered,
    AgentUpdated,
    ContractRef,
    Draws,
    Escrow,
    EscrowFunding,
    Event,
    Funding,
    Kind,
    Leaf,
    Payout,
    PlanCreated,
    Share,
    Tariff,
    Usage,
)
from .settlement.messages import Attempt

KEY_WINDOW = 86_400 * SECOND
"""How long (of commit time, in microseconds) a key is remembered."""

VERSION = "7"
"""The version of the reducers: a snapshot of another one is ignored."""

T = TypeVar("T")


class Reversal(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What the reversals of a lot have taken in all: credits, money, time of a window (microseconds), and whether that
    is everything."""

    credits: int
    money: int
    time: int
    whole: bool


class Lot(msgspec.Struct, array_like=True, gc=False):
    """Credits or a window of time on an account, with its money.

    `exited`: a chain has paid its subscriber, who left. It is over, and what returns to it lapses and is earned.
    `extended`: its expiry was brought by a refund, so that no window queues behind it.

    Invariant, once started: credits == left + held + spent + lapsed + withdrawn, and none of them is negative.
    """

    id: int
    kind: Kind
    credits: int
    seconds: int
    start: int
    expiry: int | None
    priority: int
    asset: str
    cost: int
    shares: tuple[Share, ...]
    funding: Funding
    payment: str
    started: bool = False
    left: int = 0
    held: int = 0
    spent: int = 0
    lapsed: int = 0
    withdrawn: int = 0
    refunded: int = 0
    reversal: Reversal | None = None
    exited: bool = False
    extended: bool = False

    @property
    def reversed(self) -> bool:
        """Whether the whole payment was void."""
        return self.reversal is not None and self.reversal.whole

    @property
    def waits(self) -> bool:
        """Whether the lot is still to start."""
        return not self.started and not self.reversed

    @property
    def burn_order(self) -> tuple[int, bool, int, int, int]:
        """Priority, expiry (none last), start, id: a total order."""
        return (self.priority, self.expiry is None, self.expiry or 0, self.start, self.id)

    @property
    def used(self) -> int:
        """Credits that are gone for good: spent or lapsed."""
        return self.spent + self.lapsed

    @property
    def escrow(self) -> Escrow | None:
        """Where a chain holds the money, if one does."""
        return self.funding.escrow if isinstance(self.funding, EscrowFunding) else None

    def lives(self, at: int) -> bool:
        """Whether the lot counts at a time: start ≤ at < expiry."""
        return self.started and self.start <= at and (self.expiry is None or at < self.expiry)

    def earned(self, at: int) -> int:
        """What the lot has earned, of its cost less what was refunded, in the asset's smallest unit.

        Invariant: a lot that is used up, or a window that is over, has earned exactly that.
        """
        cost = self.cost - self.refunded
        if not self.started or cost == 0:
            return 0
        if self.credits:
            rest = self.credits - self.withdrawn - self.used
            return split(cost, [self.used, rest])[0] if rest else cost
        assert self.expiry is not None  # a lot without credits is a window
        duration = self.expiry - self.start
        elapsed = min(max(at - self.start, 0), duration)
        return split(cost, [elapsed, duration - elapsed])[0] if duration else cost

    def is_used_up(self, at: int) -> bool:
        """Whether there is nothing more that the lot could earn: no credit is unused, or the window is over."""
        if not self.started:
            return False
        if self.credits:
            return self.credits == self.withdrawn + self.used
        return self.expiry is not None and self.expiry <= at

    def shares_earned(self, at: int) -> dict[str, int]:
        """What each receiver has earned: ⌊earned · share / cost⌋, and once the lot is used up all that it has earned.

        Invariant: nobody's part falls while what the lot has earned does not. The floors come to less than that at
        times; what they leave stays deferred until the lot is used up, when the parts of `split`, none of which is
        less than its floor, come to all of it.
        """
        earned = self.earned(at)
        if self.is_used_up(at) and self.shares:
            parts = split(earned, [share.amount for share in self.shares])
            return {share.receiver: part for share, part in zip(self.shares, parts, strict=True)}
        return {share.receiver: earned * share.amount // self.cost if self.cost else 0 for share in self.shares}


class OpenRequest(msgspec.Struct, array_like=True, gc=False):
    """An admitted call. `draws` is what it still holds, in the order drawn; `usage` what was charged of it so far;
    `period` that of its admission, in which it is metered."""

    id: int
    at: int
    deadline: int
    agent: int
    tariff: int
    estimate: Usage
    labels: dict[str, str]
    draws: Draws
    period: str
    usage: Usage = {}
    charged: bool = False

    @property
    def hold(self) -> int:
        """The credits that it still holds."""
        return sum(credits for _, credits in self.draws)


class Meter(msgspec.Struct, array_like=True, gc=False):
    """What one account was charged in one period: usage, the net credits that were paid, what of the price was not
    (`shortfall`), and what was paid by lot (most recently drawn last)."""

    usage: Usage = msgspec.field(default_factory=dict)
    charged: bool = False
    net: int = 0
    drawn: dict[int, int] = msgspec.field(default_factory=dict)
    shortfall: int = 0

    @property
    def before(self) -> Usage | None:
        """The usage so far, to keep: the meter itself counts on. None where nothing was charged yet."""
        return {**self.usage} if self.charged else None


class Correction(msgspec.Struct, array_like=True, gc=False):
    """What became of a closed charge since: net credits, usage, draws added (+) or given back (−), in order, and what
    it owes unpaid more or (−) less."""

    credits: int = 0
    usage: Usage = {}
    draws: tuple[tuple[int, int], ...] = ()
    shortfall: int = 0


class Debt(msgspec.Struct, array_like=True, gc=False):
    """Credits owed for one charge, one open request's hold, or one reversed lot (`source` is its sequence)."""

    source: int
    credits: int
    period: str = ""


class _Nothing(dict[Any, Any]):
    def _refuse(self, *arguments: object, **named: object) -> NoReturn:
        raise TypeError("what all accounts share cannot be changed")

    __setitem__ = setdefault = update = __ior__ = _refuse


NOTHING: dict[Any, Any] = _Nothing()
"""No entries: what an account has of something rare before it has any. One for all, so that it costs no memory."""


def share_terms(lot: Lot, plan: Plan) -> None:
    """A lot on its plan's own terms holds them once, with the plan."""
    if lot.asset == plan.terms.asset:
        lot.asset = plan.terms.asset
    if lot.shares == plan.terms.price:
        lot.shares = plan.terms.price


class Account(msgspec.Struct, array_like=True, gc=False):
    """One subscriber's position on one plan.

    `unpaid` is money that left its escrow-funded lots and that the chain still holds for the subscriber, by escrow.
    `agenda` is what time will do, in its order: (instant, family, name) of lots that start, requests that expire and
    credits that lapse. `window` is the plan's current window of credits, `window_from` the sequence of the first charge
    in it. `purchases` are (start, sequence) of the last two sales or trials that started. `unpriced` are the units that
    no rate has read, in all. `leaving`: a chain has asked for the freeze.

    Invariants: `held` is the sum of the open requests' holds; `left` the sum of the started lots' left; `debt` the sum
    of `debts`; after every commit debt or left is 0; `agenda` is sorted, and has exactly what `reducers` puts there.
    """

    number: int
    subscriber: str
    plan: str
    lots: dict[int, Lot] = msgspec.field(default_factory=dict)
    burn: list[int] = msgspec.field(default_factory=list)
    requests: dict[int, OpenRequest] = msgspec.field(default_factory=lambda: NOTHING)
    late: dict[int, OpenRequest] = msgspec.field(default_factory=lambda: NOTHING)
    meters: dict[str, Meter] = msgspec.field(default_factory=dict)
    purchases: list[tuple[int, int]] = msgspec.field(default_factory=list)
    corrections: dict[int, Correction] = msgspec.field(default_factory=lambda: NOTHING)
    debts: list[Debt] = msgspec.field(default_factory=list)
    left: int = 0
    held: int = 0
    debt: int = 0
    frozen: bool = False
    tried: bool = False
    arrival: int = 0
    window: int = 0
    window_credits: int = 0
    window_from: int = 0
    agenda: list[tuple[int, int, int]] = msgspec.field(default_factory=list)
    unpaid: dict[str, int] = msgspec.field(default_factory=lambda: NOTHING)
    unpriced: Usage = msgspec.field(default_factory=lambda: NOTHING)
    leaving: bool = False

    @property
    def next_due(self) -> int | None:
        """When time next does something; None where it never will."""
        return self.agenda[0][0] if self.agenda else None

    @property
    def available(self) -> int:
        """What a request may hold or a charge may take: what the lots have left, less the debt."""
        return self.left - self.debt

    @property
    def debt_spent(self) -> int:
        """The debt that charges owe; the rest of it is held by open requests (after a reversal)."""
        return sum(debt.credits for debt in self.debts if debt.source not in self.requests)

    def share(self, plan: Plan) -> None:
        """Hold what it says in common with its plan, and what it has none of, only once for all accounts."""
        self.plan = plan.terms.plan
        for name in ("requests", "late", "corrections", "unpaid", "unpriced"):
            if not getattr(self, name):
                setattr(self, name, NOTHING)
        for lot in self.lots.values():
            share_terms(lot, plan)

    def clone(self) -> Account:
        """A copy that can be changed without this one changing. What is inside nested values is never changed."""
        twin = replace(self)
        twin.lots = {name: replace(lot) for name, lot in self.lots.items()}
        twin.requests = {name: replace(request) for name, request in self.requests.items()}
        twin.late = dict(self.late)
        twin.unpaid = dict(self.unpaid)
        twin.unpriced = dict(self.unpriced)
        twin.meters = {
            name: Meter({**meter.usage}, meter.charged, meter.net, {**meter.drawn}, meter.shortfall)
            for name, meter in self.meters.items()
        }
        twin.corrections = {name: replace(correction) for name, correction in self.corrections.items()}
        twin.debts = [replace(debt) for debt in self.debts]
        twin.burn, twin.purchases, twin.agenda = list(self.burn), list(self.purchases), list(self.agenda)
        return twin


class Plan(msgspec.Struct):
    """A plan as it was created, and its tariffs, oldest first."""

    terms: PlanCreated
    tariffs: tuple[Tariff, ...]
    retired: bool = False

    @property
    def tariff(self) -> Tariff:
        """The tariff of new requests and direct charges."""
        return self.tariffs[-1]


class Agent(msgspec.Struct):
    """An agent as it was last registered or updated."""

    terms: AgentRegistered | AgentUpdated
    retired: bool = False


BatchState: TypeAlias = Literal["opened", "submitted", "committed", "unknown", "confirmed", "failed"]
"""How far a batch has come, as the log has it."""


class OpenBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that is neither confirmed nor failed. `seq` and `at` are those of the event that opened it."""

    number: int
    asset: str
    seq: int
    at: int
    covers: dict[str, int]
    head_seq: int
    head_hash: str
    previous: str
    root: str
    digest: str
    leaves: tuple[Leaf, ...]
    payouts: tuple[Payout, ...]
    state: BatchState = "opened"
    attempts: tuple[Attempt, ...] = ()
    transaction: str = ""
    block: int = 0


class Settling(msgspec.Struct, frozen=True, kw_only=True):
    """What was settled, and is being settled, in one contract on one chain. The rest is by asset.

    `number` and `digest` are the last batch's that stands, `confirmed` those of the last one confirmed. `leaves` are
    those of the last opening, whatever became of it: counters are never rolled back. `paid` is by receiver the sum of
    the payouts in batches that were opened and have not failed, `settled` in those that are confirmed; `covered` has
    the last confirmed one's covered sequence and time. `failed` names the assets whose last batch failed, so that
    nobody has their leaves yet.
    """

    contract_ref: ContractRef
    number: int = 0
    digest: str = ""
    confirmed: tuple[int, str] = (0, "")
    open: dict[int, OpenBatch] = {}
    leaves: dict[str, tuple[Leaf, ...]] = {}
    paid: dict[str, dict[str, int]] = {}
    settled: dict[str, dict[str, int]] = {}
    covered: dict[str, tuple[int, int]] = {}
    failed: tuple[str, ...] = ()


def copied(settling: Settling) -> Settling:
    """The same, to give away: what is done with its dicts is no matter of the books."""
    return replace(
        settling,
        open={number: replace(each, covers={**each.covers}) for number, each in settling.open.items()},
        leaves={**settling.leaves},
        paid={asset: {**amounts} for asset, amounts in settling.paid.items()},
        settled={asset: {**amounts} for asset, amounts in settling.settled.items()},
        covered={**settling.covered},
    )


class Books(msgspec.Struct):
    """All of a ledger's state, as of `seq` and `at`.

    `names` gives accounts by (subscriber, plan), `open` the account of each request that may still be charged.
    `keys` gives by digest the fingerprint, first sequence and time of a keyed command, `older_keys` those of the window
    before; together they hold every key of the last window. `payments` is the like for payment ids and what chains
    said, for ever. `settlings` is by contract, `onchain` gives plans by their id on chains. `opened` and
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
    keys: dict[bytes, tuple[bytes, int, int]] = msgspec.field(default_factory=dict)
    older_keys: dict[bytes, tuple[bytes, int, int]] = msgspec.field(default_factory=dict)
    payments: dict[bytes, tuple[bytes, int]] = msgspec.field(default_factory=dict)
    settlings: dict[ContractRef, Settling] = msgspec.field(default_factory=dict)
    onchain: dict[str, str] = msgspec.field(default_factory=dict)

    def remember(self, name: bytes, print_: bytes, seq: int) -> None:
        """Remember a key for a window of commit time."""
        self.keys[name] = (print_, seq, self.at)

    def recall(self, name: bytes, at: int) -> tuple[bytes, int] | None:
        """The fingerprint and first sequence under a key, if the window still holds it."""
        known = self.keys.get(name) or self.older_keys.get(name)
        return None if known is None or at - known[2] >= KEY_WINDOW else known[:2]

    def advance(self, at: int) -> None:
        """Let the time of the next commit be `at`: keys of two windows ago are forgotten as a whole."""
        windows = at // KEY_WINDOW - self.at // KEY_WINDOW
        if windows > 0:
            self.older_keys = self.keys if windows == 1 else {}
            self.keys = {}
        self.at = at

    def account_of(self, event: Event) -> int:
        """The number of the account that an event is about; 0 for the catalogue's and the settlements' events."""
        number = getattr(event, "account", 0)
        return number or self.open.get(getattr(event, "request", 0), 0)

    def find(self, subscriber: str, plan: str) -> Account | None:
        """The account of that subscriber on that plan, if it was ever opened."""
        number = self.names.get((subscriber, plan))
        return None if number is None else self.account(number)

    def account(self, number: int) -> Account:
        """The account of that number."""
        return self.accounts[number]

    def settling(self, contract_ref: ContractRef) -> Settling:
        """Return what is settled in a contract; empty where no batch was ever opened there."""
        return self.settlings.get(contract_ref) or Settling(contract_ref=contract_ref)

    def dump(self) -> bytes:
        """The books as canonical JSON: equal books give equal bytes."""
        return _encoder.encode(_as_stored(self))

    @classmethod
    def load(cls, body: bytes) -> Books:
        """The books that `dump` wrote. Raises msgspec.MsgspecError where the bytes are not that."""
        stored = _decoder.decode(body)
        books = cls(**{name: getattr(stored, name) for name in _PLAIN})
        for name, print_, seq, at in stored.keys:
            recent = at // KEY_WINDOW == books.at // KEY_WINDOW
            generation = books.keys if recent else books.older_keys
            generation[bytes.fromhex(name)] = (bytes.fromhex(print_), seq, at)
        books.payments = {bytes.fromhex(name): (bytes.fromhex(print_), seq) for name, print_, seq in stored.payments}
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
    plans: dict[str, Plan]
    agents: dict[int, Agent]
    agent_names: dict[str, int]
    accounts: dict[int, Account]
    keys: list[tuple[str, str, int, int]]
    payments: list[tuple[str, str, int]]
    settlings: list[Settling]


_PLAIN = ("seq", "at", "opened", "registered", "onchain", "plans", "agents", "agent_names", "accounts")
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Stored)


def _as_stored(books: Books) -> _Stored:
    known = (*books.older_keys.items(), *books.keys.items())
    keys = [(name.hex(), print_.hex(), seq, at) for name, (print_, seq, at) in known]
    payments = [(name.hex(), print_.hex(), seq) for name, (print_, seq) in books.payments.items()]
    settlings = list(books.settlings.values())
    return _Stored(keys=keys, payments=payments, settlings=settlings, **{name: getattr(books, name) for name in _PLAIN})


@lru_cache(maxsize=16_384)
def digest(scope: str, name: str) -> bytes:
    """The 16 bytes under which a key or a payment id is remembered in its scope.

    A key is digested when its command is decided, when that is drafted and when it is folded: kept for so long.
    """
    return hashlib.sha256(f"{len(scope)}:{scope}{name}".encode()).digest()[:16]


def consume(draws: Draws, credits: int) -> tuple[Draws, Draws]:
    """Part draws after their first `credits`: what is consumed, and the rest, both in order."""
    taken: list[tuple[int, int]] = []
    for position, (lot, amount) in enumerate(draws):
        if amount > credits:
            head = ((lot, credits),) if credits else ()
            return (*taken, *head), ((lot, amount - credits), *draws[position + 1 :])
        taken.append((lot, amount))
        credits -= amount
    return tuple(taken), ()


def total(draws: Draws) -> int:
    """The credits of all draws."""
    return draws[0][1] if len(draws) == 1 else sum(credits for _, credits in draws)
