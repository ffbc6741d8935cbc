"""What the naive ledger charges: periods, meters, nets, prices, and the limits that guard requests."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from whole_accounts import (
    SECOND,
    Account,
    Row,
    give_back_of_period,
    open_requests,
    refuse_if,
    started,
    take_or_owe,
    total,
    write_takes,
)
from whole_prices import OF_A_PERIOD, on_top, plus

LONG_AGO = "long ago"
"""Stands for all periods that are no longer kept."""

# -- periods -----------------------------------------------------------------------------------------------------------


def period_of(account: Account, plan: Row, at: int) -> str:
    """The metering period of a moment: a month, a day, the time since the last lot that had started, or all time."""
    if plan["period"] == "purchase":
        return next((lot for lot in lots_by_start(account, at)), "before all")
    day = datetime.fromtimestamp(at // SECOND, UTC).date()
    return {"month": f"{day:%Y-%m}", "day": f"{day:%Y-%m-%d}", "forever": "forever"}[plan["period"]]


def kept_periods(account: Account, plan: Row, at: int) -> list[str]:
    """The current period, and the one before."""
    if plan["period"] == "purchase":
        return lots_by_start(account, at)[:2]
    today = datetime.fromtimestamp(at // SECOND, UTC).date()
    day_before = {"month": today.replace(day=1), "day": today, "forever": today}[plan["period"]] - timedelta(1)
    moment = int(datetime(day_before.year, day_before.month, day_before.day, tzinfo=UTC).timestamp()) * SECOND
    return [period_of(account, plan, at), period_of(account, plan, moment)]


def lots_by_start(account: Account, at: int) -> list[str]:
    """The lots that had started by then, the latest first."""
    lots = sorted(started(account), key=lambda lot: (lot["start"], lot["id"]), reverse=True)
    return [str(lot["id"]) for lot in lots if lot["start"] <= at]


def is_known(account: Account, plan: Row, period: str, at: int) -> bool:
    """Whether the period is kept and anything was charged in it."""
    return period in kept_periods(account, plan, at) and meter(account, period) is not None


def metered_in(account: Account, plan: Row, command: Any, at: int) -> str:
    """The period whose meter and net a correction moves: the charge's own while it is kept; for usage, else today's."""
    period = account["charges"][command.charge]["period"] if command.charge else command.period
    if period in kept_periods(account, plan, at):
        return str(period)
    return period_of(account, plan, at) if command.usage else LONG_AGO


# -- meters and nets ---------------------------------------------------------------------------------------------------


def total_usage(usages: Iterable[dict[str, int]]) -> dict[str, int] | None:
    """The sum of all usages; None where there are none."""
    total = None
    for usage in usages:
        total = plus(total or {}, usage)
    return total


def meter(account: Account, period: str) -> dict[str, int] | None:
    """All usage that is metered in a period, corrections included; None where nothing was charged in it."""
    charges = [charge["usage"] for charge in account["charges"].values() if charge["period"] == period]
    deltas = [row["usage"] for row in account["adjustments"] if row["metered"] == period]
    return total_usage([*charges, *deltas])


def usage_of_request(account: Account, request: int) -> dict[str, int] | None:
    """All usage that was charged of a request, corrections included; None where nothing was, or there is no request."""
    charges = [number for number, row in account["charges"].items() if request and row["request"] == request]
    return total_usage(usage for number in charges for usage in usages_of_charge(account, number))


def usages_of_charge(account: Account, charge: int) -> list[dict[str, int]]:
    """A charge's usage, and its corrections."""
    deltas = [row["usage"] for row in account["adjustments"] if row["charge"] == charge]
    return [account["charges"][charge]["usage"], *deltas]


def charge_net(account: Account, charge: int) -> int:
    adjusted = sum(row["credits"] for row in account["adjustments"] if row["charge"] == charge)
    return account["charges"][charge]["credits"] + adjusted


def period_net(account: Account, period: str) -> int:
    charged = sum(charge["credits"] for charge in account["charges"].values() if charge["period"] == period)
    return charged + sum(row["credits"] for row in account["adjustments"] if row["metered"] == period)


def check_nets(account: Account, charge: int, metered: str, credits: int) -> None:
    """Nothing is corrected below 0: neither a charge, nor the period whose net the correction moves."""
    refuse_if(bool(charge) and credits > charge_net(account, charge), "adjustment_exceeds")
    refuse_if(metered != LONG_AGO and credits > period_net(account, metered), "adjustment_exceeds")


# -- prices ------------------------------------------------------------------------------------------------------------


def hold_of(account: Account, plan: Row, at: int, estimate: dict[str, int]) -> int:
    """What the estimate would cost now, or after all open requests, whichever is more. A plan of time holds nothing."""
    if not plan["credits"]:
        return 0
    tariff, before = plan["tariffs"][-1], None
    quotes = [on_top(tariff, None, estimate)]
    if tariff["policy"] in OF_A_PERIOD:
        before = meter(account, period_of(account, plan, at))
        pending = total_usage([before or {}, *(request["estimate"] for request in open_requests(account))])
        quotes = [on_top(tariff, before, estimate)]
        if before is not None or open_requests(account):
            quotes.append(on_top(tariff, pending, estimate))
    return max(*quotes, 0 if estimate else 1, 0)


def price_delta(account: Account, plan: Row, command: Any, at: int, metered: str) -> int:
    """total(meter + delta) − total(meter), at the tariff of the charge, or the current one for a period."""
    charge = account["charges"].get(command.charge)
    tariff = charge["tariff"] if charge else plan["tariffs"][-1]
    base = meter(account, metered)
    refuse_if(min(plus(base or {}, command.usage).values()) < 0, "adjustment_exceeds")
    if charge:
        counted = total_usage(usages_of_charge(account, command.charge)) or {}
        refuse_if(min(plus(counted, command.usage).values()) < 0, "adjustment_exceeds")
        if tariff["policy"] not in OF_A_PERIOD:
            base = plus(charge["before"] or {}, counted)
            if charge["request"] and may_be_charged(account["requests"][charge["request"]], plan, at):
                base = usage_of_request(account, charge["request"])
    return on_top(tariff, base, command.usage)


def write_charge(account: Account, plan: Row, at: int, seq: int, price: int, held: list[Row]) -> None:
    """Take what the hold did not cover, and write down what was taken, from which lots."""
    draws = [*held, *take_or_owe(account, plan, at, price - total(held))]
    account["charges"][seq] |= {"credits": total(draws), "shortfall": price - total(draws)}
    write_takes(account, seq, account["charges"][seq]["period"], draws)


def raise_by(account: Account, plan: Row, command: Any, at: int, metered: str, credits: int) -> int:
    """Take more, by the overrun rule; what could be taken."""
    draws = take_or_owe(account, plan, at, credits)
    write_takes(account, command.charge, metered, draws)
    return total(draws)


def tier_refund(account: Account, at: int, period: str, price: int) -> None:
    """Where a charge makes its period cheaper, the difference goes back, as far as there is anything to give back."""
    if price < 0:
        wanted = min(-price, period_net(account, period))
        rest = give_back_of_period(account, at, period, wanted, None)
        account["adjustments"].append({"charge": 0, "metered": period, "usage": {}, "credits": rest - wanted})


# -- requests and their limits -----------------------------------------------------------------------------------------


def check_limits(account: Account, limits: Any, at: int, hold: int) -> None:
    """Rate, credits in the window, requests open at once: in this order."""
    refuse_if(limits.rate is not None and is_too_fast(account, limits.rate, at), "rate_limited")
    if limits.credits is not None:
        width = limits.credits.seconds * SECOND
        charges = [charge for charge in account["charges"].values() if charge["at"] // width == at // width]
        used = sum(charge["credits"] for charge in charges)
        held = sum(total(request["draws"]) for request in open_requests(account))
        refuse_if(used + held + hold > limits.credits.credits, "window_exhausted")
    refuse_if(limits.open is not None and len(open_requests(account)) >= limits.open, "too_many_open")


def is_too_fast(account: Account, rate: Any, at: int) -> bool:
    """GCRA: each admitted request moves a mark one spacing on; the mark may be ahead by a burst, less one spacing."""
    spacing, mark = rate.seconds * SECOND // rate.requests, 0
    for request in account["requests"].values():
        mark = max(mark, request["at"]) + spacing
    return mark - at > (rate.requests - 1) * spacing


def may_be_charged(request: Row, plan: Row, at: int) -> bool:
    """While it is open, and, where it expired, for a while after its deadline."""
    late = request["ended"] == "expired" and at < request["deadline"] + plan["late_seconds"] * SECOND
    return request["ended"] is None or late


def last(request: Row, plan: Row, until: int) -> None:
    """Move a deadline, never back, never beyond the longest request."""
    longest = request["at"] + plan["longest_seconds"] * SECOND
    request["deadline"] = max(request["deadline"], min(until, longest))
