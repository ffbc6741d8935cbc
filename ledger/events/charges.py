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
    """A charge of a request, or a direct one. Its price is `credits + shortfall`; the draws sum to `credits`. Its
    sequence is the charge's number.

    Fields:
        request: Request, by the sequence of its event. 0: a direct charge, a request and its final charge in one.
        credits: Credits that were taken, in the smallest unit.
        draws: The same by lot, in the order drawn; lot 0 is debt.
        shortfall: Part of the price that is not owed, in credits.
        usage: Units by dimension.
        period: Metering period of the charge.
        before: Meter of the tariff's scope before this charge (of the request, or of the account in `period`), in units
            by dimension.
        continues: True: the meter was charged before, which an empty one does not show.
        lines: Computation of the price, if it cannot be derived from tariff, usage and meter, or if the plan records
            it.
        final: True: the request ends, and the rest of its hold returns.
        deadline: New deadline of the request after a partial charge, in UTC microseconds. None: it does not move.
        late: True: after the request had expired, after the end of access, or so long after the work that it is metered
            in the current period instead of the work's.
        occurred_at: Time of the work as the command said it, in UTC microseconds.
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
    """A signed correction of one charge, or of one account's period.

    The corrected charge or period owes `credits + shortfall` more: a correction downwards lowers the unpaid part first,
    so its shortfall is negative. For a `usage` delta that sum is total(before + usage) − total(before) under `tariff`.

    Fields:
        charge: Charge, by the sequence of its event. 0: a period is corrected.
        period: Metering period that is corrected; empty: a charge is.
        credits: Credits: above 0 more is taken, below 0 is given back.
        draws: |credits| by lot: lots taken from, or given back to; lot 0 is debt.
        shortfall: Change of the part that is not owed, in credits.
        reason: "correction", "refund", "true_up" or "late" as the command said it; "tier": the ledger's own, as a
            volume tier made earlier usage cheaper.
        usage: Change of the measured usage, in units by dimension; it moves the meter.
        before: Meter before this correction by usage, in units by dimension.
        tariff: Version of the tariff of a correction by usage; 0: by credits.
        metered: Period whose meter and net a correction of a charge moves: the charge's. Empty: it is no longer kept.
        request: Open request whose meter a correction by usage moves; 0: none.
        expiry: New end of expired lots to which credits return, in UTC microseconds. None: those credits lapse.
        note: Note for people.
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
    """Credits of a lot expired unused.

    Fields:
        credits: Credits that lapse.
    """

    account: int
    lot: int
    credits: int
    instant: int

    def __post_init__(self) -> None:
        check_credits(self.credits)
        check(self.credits > 0 and self.lot > 0, "a lot lapses by at least 1 credit")
