"""Values in events and commands: amounts by lot, usage, terms of a plan, escrows.

Invariants of a value are checked in `__post_init__`, which runs when it is made and again when it is read back.
"""

from __future__ import annotations

import operator
from typing import Any, Literal, TypeAlias

import msgspec

from .amounts import MAX_ASSET_DECIMALS, MAX_CREDITS, check_credits, check_money

Draws: TypeAlias = tuple[tuple[int, int], ...]
"""Credits by lot, `((lot, credits), …)`: always positive, in the order in which they were taken."""

Usage: TypeAlias = dict[str, int]
"""Measured units by dimension: `input_tokens`, `seconds`, `calls`, …"""

Kind: TypeAlias = Literal["sale", "trial", "gift"]
Overrun: TypeAlias = Literal["cap", "debt"]
OnLapse: TypeAlias = Literal["earn", "refund"]
Metering: TypeAlias = Literal["month", "day", "purchase", "forever"]
ReleaseReason: TypeAlias = Literal["voided", "failed", "expired"]
AdjustReason: TypeAlias = Literal["correction", "refund", "true_up", "late", "tier"]
Unpriced: TypeAlias = Literal["refuse", "free"]
BillingMode: TypeAlias = Literal["prepaid", "postpaid"]
OnOverdue: TypeAlias = Literal["serve", "stop"]

DAY_SECONDS = 86_400
KEY_SECONDS = 35 * DAY_SECONDS
"""The time for which a key is remembered unless its plan says otherwise: a month, and time to find a mistake in it."""
MAX_AHEAD_SECONDS = 300
"""How far ahead of the log's time a command's `issued_at` may be, as the clock of a caller differs. Keys are remembered
so much longer, so that a command that was issued ahead is never done again either."""
MAX_DUE_DAYS = 3_650


def check(holds: bool, rule: str) -> None:
    """Raise ValueError with the rule if it does not hold."""
    if not holds:
        raise ValueError(rule)


def check_draws(draws: Draws, total: int) -> None:
    """Raise ValueError for invalid draws, and for draws that do not sum to `total`."""
    taken = 0
    for lot, amount in draws:
        if type(lot) is not int or type(amount) is not int or lot < 0 or amount <= 0:
            raise ValueError("a draw is a lot and a positive amount")
        taken += amount
    if taken != total:
        raise ValueError(f"the draws sum to {taken}, not to {total}")


def check_usage(usage: Usage) -> None:
    """Raise ValueError for invalid usage of one event."""
    for units in usage.values():
        if type(units) is not int or not 0 <= units <= MAX_CREDITS:
            raise ValueError("usage is whole numbers from 0 to 2^63-1")


def check_meter(usage: Usage) -> None:
    """Raise ValueError for an invalid meter. A meter may count for a lifetime, and has no upper bound."""
    for units in usage.values():
        if type(units) is not int or units < 0:
            raise ValueError("a meter is whole numbers from 0")


def check_signed(*amounts: int) -> None:
    """Raise ValueError for a change of more than 64 bits, either way."""
    for amount in amounts:
        check(type(amount) is int and abs(amount) <= MAX_CREDITS, "a change is a 64-bit whole number")


def check_asset_decimals(decimals: int | None) -> None:
    """Raise ValueError for decimals that no asset has; None is unknown."""
    known = decimals is None or (type(decimals) is int and 0 <= decimals <= MAX_ASSET_DECIMALS)
    check(known, "an asset's decimals are from 0 to 255")


def check_repaid(draws: Draws) -> None:
    """Raise ValueError for payments of debt that are not by lots."""
    check_draws(draws, sum(credits for _, credits in draws))
    check(all(lot > 0 for lot, _ in draws), "debt is paid by lots")


def _is_within(value: object, least: int) -> bool:
    """Return False for an int outside `least` to 2^63-1. Other types are errors where a command is admitted."""
    return not isinstance(value, int) or least <= value <= MAX_CREDITS


class Share(msgspec.Struct, frozen=True, gc=False):
    """A part of a price.

    Fields:
        receiver: Name of the receiver.
        amount: Money in the asset's smallest unit.
    """

    receiver: str
    amount: int

    def __post_init__(self) -> None:
        check_money(self.amount)


class Tariff(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A pricing policy with its parameters, in a numbered version.

    Fields:
        version: Version of the plan's tariff, from 1.
        policy: Name of the policy.
        policy_version: Version of the policy's arithmetic.
        parameters: Parameters in the policy's own form.
    """

    version: int
    policy: str
    policy_version: int
    parameters: dict[str, Any] = {}

    def __post_init__(self) -> None:
        check(type(self.version) is int and self.version >= 1, "tariff versions count from 1")


class RateLimit(msgspec.Struct, frozen=True, gc=False):
    """At most so many requests in a time: all in a burst at first, then evenly spaced (GCRA).

    Fields:
        requests: Number of requests, from 1.
        seconds: Time in seconds, from 1.
    """

    requests: int
    seconds: int

    def __post_init__(self) -> None:
        holds = _is_within(self.requests, 1) and _is_within(self.seconds, 1)
        check(holds, "a rate limit is at least 1 request in 1 second")


class CreditsLimit(msgspec.Struct, frozen=True, gc=False):
    """At most so many credits, charged or held, in each window (windows count from the epoch).

    Fields:
        credits: Credits, in the plan's smallest unit.
        seconds: Length of a window in seconds, from 1.
    """

    credits: int
    seconds: int

    def __post_init__(self) -> None:
        if not isinstance(self.credits, int) and hasattr(type(self.credits), "__index__"):  # of NumPy
            msgspec.structs.force_setattr(self, "credits", operator.index(self.credits))
        check_credits(self.credits)
        check(_is_within(self.seconds, 1), "a window is at least 1 second")


class Limits(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A plan's limits; None is no limit. They apply to requests only: finished work cannot be throttled.

    Fields:
        rate: Limit on the rate of requests (`rate_limited`).
        credits: Limit on the credits of a window (`window_exhausted`).
        open: Number of requests that may be open at once, from 1 (`too_many_open`).
    """

    rate: RateLimit | None = None
    credits: CreditsLimit | None = None
    open: int | None = None

    def __post_init__(self) -> None:
        check(_is_within(self.open, 1), "at least 1 open request must be allowed")


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """A pattern of the calls that an agent allows.

    Fields:
        method: HTTP method in capitals, or `*` for any.
        url: URL; in its path `*` stands for any characters within a segment, and `:name` for a whole one. The query is
            ignored.
    """

    method: str
    url: str


class ContractRef(msgspec.Struct, frozen=True, gc=False, order=True):
    """A settlement contract: its chain's CAIP-2 name, and its address or name on that chain."""

    chain: str
    contract: str

    def __str__(self) -> str:
        return f"{self.contract} on {self.chain}"


class EscrowAsset(msgspec.Struct, frozen=True, gc=False, order=True):
    """An asset that a contract holds in escrow. Each batch is about one of them."""

    contract_ref: ContractRef
    asset: str


class OnContract:
    """Base of values with the fields `chain` and `contract`, which name a settlement contract.

    Shared fields:
        chain: CAIP-2 name of the chain, such as `eip155:1` or `mock:local`.
        contract: Address or name of the contract on that chain.
    """

    __slots__ = ()

    chain: str
    contract: str

    @property
    def contract_ref(self) -> ContractRef:
        """The contract named by `chain` and `contract`."""
        return ContractRef(self.chain, self.contract)


class Escrow(OnContract, msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The escrow that holds a purchase's money.

    Fields:
        purchase: Id of the purchase there.
        block: Block of the purchase, if it was recorded before that was final; else 0.
    """

    chain: str
    contract: str
    purchase: str
    block: int = 0


class Fact(OnContract, msgspec.Struct, frozen=True, gc=False):
    """A fact of a contract on a chain. A ledger records each fact once, permanently.

    Fields:
        id: Id of the fact there, which never changes.
    """

    chain: str
    contract: str
    id: str


class EscrowFunding(msgspec.Struct, frozen=True, gc=False):
    """Funding by escrow, as events record it: `{"escrow": {…}}`.

    Fields:
        escrow: Escrow that holds the money.
    """

    escrow: Escrow


Funding: TypeAlias = EscrowFunding | Literal["direct", "none"]


class Line(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One line of a price's computation. The credits of a price's lines sum to the price.

    Fields:
        text: Meaning of a line that is about no dimension, such as `rounded up`.
        dimension: Dimension of the usage; None: the line has a text.
        units: Units of the dimension.
        rate: Price of a unit, in the smallest unit of credits: an exact fraction as text (`3/1000`, `7`).
        credits: Units times rate, or what a line with a text adds: an exact fraction as text.
    """

    text: str = ""
    dimension: str | None = None
    units: int = 0
    rate: str = "0"
    credits: str = "0"


def consume(draws: Draws, credits: int) -> tuple[Draws, Draws]:
    """Split draws after their first `credits`: return the consumed ones and the remainder, both in order."""
    taken: list[tuple[int, int]] = []
    for position, (lot, amount) in enumerate(draws):
        if amount > credits:
            head = ((lot, credits),) if credits else ()
            return (*taken, *head), ((lot, amount - credits), *draws[position + 1 :])
        taken.append((lot, amount))
        credits -= amount
    return tuple(taken), ()


def total(draws: Draws) -> int:
    """Return the sum of the draws' credits."""
    return draws[0][1] if len(draws) == 1 else sum(credits for _, credits in draws)
