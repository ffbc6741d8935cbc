"""Events that move spent credits: charges, adjustments and lapses."""

from __future__ import annotations

from ..amounts import check_credits
from ..values import (
    AdjustReason,
    Draws,
    Line,
    Usage,
    check,
    check_draws,
    check_meter,
    check_repaid,
    check_signed,
    check_usage,
)
from .event import Event


class Charged(Event, frozen=True, kw_only=True, tag="charged"):
    """A charge of a request, or a direct one. The price is `credits + shortfall`; the draws sum to `credits`.

    `before` is the meter of the tariff's scope before this charge (of the request, or of the account in `period`);
    `continues` is True if the meter was charged before, which an empty meter does not show. `request` 0 is a direct
    charge: a request and its final charge in one. A partial charge moves its request's `deadline`. `lines` are the
    computation of the price, if it cannot be derived from the tariff, the usage and the meter, or if the plan records
    it. `unpriced` are the units of the usage that no rate of the tariff reads. `repaid` is the part of
    the account's debt that is paid by the rest of the hold, which returns at the final charge.
    """

    account: int
    request: int = 0
    agent: int = 0
    credits: int = 0
    draws: Draws = ()
    shortfall: int = 0
    usage: Usage = {}
    labels: dict[str, str] = {}
    tariff: int
    period: str
    before: Usage = {}
    continues: bool = False
    lines: tuple[Line, ...] = ()
    final: bool = True
    deadline: int | None = None
    late: bool = False
    occurred_at: int | None = None
    unpriced: Usage = {}
    repaid: Draws = ()

    def __post_init__(self) -> None:
        check_credits(self.credits, self.shortfall)
        check_draws(self.draws, self.credits)
        check_usage(self.usage)
        if self.before:
            check_meter(self.before)
        if self.unpriced:
            check_usage(self.unpriced)
        if self.repaid:
            check_repaid(self.repaid)
        if not self.final and self.request <= 0:
            raise ValueError("a direct charge is final")


class Adjusted(Event, frozen=True, kw_only=True, tag="adjusted"):
    """A signed correction of one charge, or of one account's period: `credits` > 0 takes more, < 0 gives back.

    The draws sum to |credits|: lots taken from, or given back to. The corrected charge or period owes `credits +
    shortfall` more: a correction downwards lowers the unpaid part first, so its shortfall is negative. A `usage` delta
    moves the meter, and that sum is total(before + usage) − total(before) under `tariff`. `metered` is the period whose
    meter and net a correction of a charge moves, `request` the open request whose meter it moves. `expiry` is a new
    expiry for expired lots that credits return to. `unpriced` are the units of the delta that no rate reads, `repaid`
    is the part of the account's debt that the returning credits pay.
    """

    account: int
    charge: int = 0
    period: str = ""
    credits: int = 0
    draws: Draws = ()
    shortfall: int = 0
    reason: AdjustReason
    usage: Usage = {}
    before: Usage = {}
    labels: dict[str, str] = {}
    tariff: int = 0
    metered: str = ""
    request: int = 0
    expiry: int | None = None
    note: str = ""
    unpriced: Usage = {}
    repaid: Draws = ()

    def __post_init__(self) -> None:
        check_signed(self.credits, self.shortfall, *self.usage.values(), *self.unpriced.values())
        check_draws(self.draws, abs(self.credits))
        check_meter(self.before)
        check_repaid(self.repaid)
        check(bool(self.charge) != bool(self.period), "an adjustment corrects a charge or a period")


class Lapsed(Event, frozen=True, kw_only=True, tag="lapsed"):
    """Credits of a lot expired unused."""

    account: int
    lot: int
    credits: int
    instant: int

    def __post_init__(self) -> None:
        check_credits(self.credits)
        check(self.credits > 0 and self.lot > 0, "a lot lapses by at least 1 credit")
