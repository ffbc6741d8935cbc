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
    take_or_owe,
    total,
    write_takes,
)
from whole_prices import OF_A_PERIOD, on_top, plus

LONG_AGO = "long ago"
"""Stands for all periods that are no longer kept."""

# -- periods -----------------------------------------------------------------------------------------------------------


def period_of(account: Account, plan: Row, at: int) -> str:
    """The metering period of a moment: a month, a day, the time since the last sale that had started, or all time."""
    if plan["period"] == "purchase":
        return sales_by_start(account, at)[0]
    day = datetime.fromtimestamp(at // SECOND, UTC).date()
    return {"month": f"{day:%Y-%m}", "day": f"{day:%Y-%m-%d}", "forever": "forever"}[plan["period"]]


def kept_periods(account: Account, plan: Row, at: int) -> list[str]:
    """The current period, the one before, and those of requests that may still be charged."""
    asked = [row["period"] for row in account["requests"].values() if may_be_charged(row, plan, at)]
    return [*latest_periods(account, plan, at), *asked]


def latest_periods(account: Account, plan: Row, at: int) -> list[str]:
    """The current period, and the one before."""
    if plan["period"] == "purchase":
        return sales_by_start(account, at)[:2]
    today = datetime.fromtimestamp(at // SECOND, UTC).date()
    day_before = {"month": today.replace(day=1), "day": today, "forever": today}[plan["period"]] - timedelta(1)
    moment = int(datetime(day_before.year, day_before.month, day_before.day, tzinfo=UTC).timestamp()) * SECOND
    return [period_of(account, plan, at), period_of(account, plan, moment)]


def sales_by_start(account: Account, at: int) -> list[str]:
    """The sales and trials that had started by then, the latest first, and 0 for the time before all of them."""
    sales = [lot for lot in account["lots"].values() if lot["started"] and not lot["given"] and lot["began"] <= at]
    return [*(str(lot["id"]) for lot in sorted(sales, key=lambda lot: (lot["began"], lot["id"]), reverse=True)), "0"]


def is_known(account: Account, plan: Row, period: str, at: int) -> bool:
    """Whether the period is kept and anything was charged in it."""
    return period in kept_periods(account, plan, at) and meter(account, period) is not None


def metered_in(account: Account, plan: Row, command: Any, at: int) -> str:
    """The period whose meter and net a correction moves: the charge's own while it is kept, and no other one's."""
    period = account["charges"][command.charge]["period"] if command.charge else command.period
    return str(period) if period in kept_periods(account, plan, at) else LONG_AGO


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
    """All usage that was charged of a request, with corrections that were made while it was open; None where nothing
    was charged, or there is no request."""
    charges = {number: row for number, row in account["charges"].items() if request and row["request"] == request}
    deltas = [row for row in account["adjustments"] if row["charge"] in charges and row["while_open"]]
    return total_usage(row["usage"] for row in [*charges.values(), *deltas])


def is_open(account: Account, request: int) -> bool:
    """Whether the request is open; 0 is none."""
    return bool(request) and account["requests"][request]["ended"] is None


def usages_of_charge(account: Account, charge: int) -> list[dict[str, int]]:
    """A charge's usage, and its corrections."""
    deltas = [row["usage"] for row in account["adjustments"] if row["charge"] == charge]
    return [account["charges"][charge]["usage"], *deltas]


def charge_net(account: Account, charge: int) -> int:
    """What was paid of a charge."""
    adjusted = sum(row["credits"] for row in account["adjustments"] if row["charge"] == charge)
    return int(account["charges"][charge]["credits"] + adjusted)


def charge_short(account: Account, charge: int) -> int:
    """What of a charge was never paid."""
    adjusted = sum(row["shortfall"] for row in account["adjustments"] if row["charge"] == charge)
    return int(account["charges"][charge]["shortfall"] + adjusted)


def period_net(account: Account, period: str) -> int:
    charged = sum(charge["credits"] for charge in account["charges"].values() if charge["period"] == period)
    return charged + sum(row["credits"] for row in account["adjustments"] if row["metered"] == period)


def period_short(account: Account, period: str) -> int:
    """What of a period was never paid: never below 0, in the order in which it was charged and corrected."""
    short = 0
    for row in account["shorts"]:
        short = max(0, short + row["credits"]) if row["period"] == period else short
    return short


def check_nets(account: Account, charge: int, metered: str, credits: int) -> None:
    """Nothing is corrected below 0: neither a charge, nor the period whose net the correction moves."""
    refuse_if(bool(charge) and credits > charge_net(account, charge), "adjustment_exceeds")
    refuse_if(metered != LONG_AGO and credits > period_net(account, metered), "adjustment_exceeds")


# -- prices ------------------------------------------------------------------------------------------------------------


def price_delta(account: Account, plan: Row, command: Any, at: int, metered: str) -> int:
    """total(meter + delta) − total(meter), at the tariff of the charge, or the current one for a period."""
    charge = account["charges"].get(command.charge)
    tariff, labels = (charge["tariff"], charge["labels"]) if charge else (plan["tariffs"][-1], {})
    refuse_if(metered == LONG_AGO and tariff["policy"] in OF_A_PERIOD, "charge_unknown")
    base = meter(account, metered)
    refuse_if(metered != LONG_AGO and min(plus(base or {}, command.usage).values()) < 0, "adjustment_exceeds")
    if charge:
        counted = total_usage(usages_of_charge(account, command.charge)) or {}
        refuse_if(min(plus(counted, command.usage).values()) < 0, "adjustment_exceeds")
        if tariff["policy"] not in OF_A_PERIOD:
            base = plus(charge["before"] or {}, counted)
            if is_open(account, charge["request"]):
                base = usage_of_request(account, charge["request"])
    return on_top(tariff, base, command.usage, labels)


def shortfall_lowered(account: Account, command: Any, price: int) -> int:
    """How much of a lower price was never paid: that shrinks first."""
    if not command.usage:
        return 0
    number, period = command.charge, command.period
    paid = charge_net(account, number) if number else period_net(account, period)
    short = charge_short(account, number) if number else period_short(account, period)
    refuse_if(price > paid + short, "adjustment_exceeds")
    return min(short, price)


def write_charge(account: Account, plan: Row, at: int, seq: int, price: int, held: list[Row]) -> None:
    """Take what the hold did not cover, and write down what was taken, from which lots."""
    draws = [*held, *take_or_owe(account, plan, at, price - total(held))]
    charge = account["charges"][seq]
    charge |= {"credits": total(draws), "shortfall": price - total(draws)}
    fall_short(account, charge["period"], charge["shortfall"])
    count_in_window(account, at, at, charge["credits"])
    write_takes(account, seq, charge["period"], draws)


def fall_short(account: Account, period: str, credits: int) -> None:
    account["shorts"].append({"period": period, "credits": credits})


def raise_by(account: Account, plan: Row, command: Any, at: int, metered: str, credits: int) -> int:
    """Take more, by the overrun rule; what could be taken."""
    draws = take_or_owe(account, plan, at, credits)
    write_takes(account, command.charge, metered, draws)
    return total(draws)


def tier_refund(account: Account, at: int, period: str, price: int) -> None:
    """Where a charge makes its period cheaper, what was paid of the difference goes back, as far as there is anything
    to give back."""
    if price < 0:
        short = min(-price, period_short(account, period))
        wanted = min(-price - short, period_net(account, period))
        given = wanted - give_back_of_period(account, at, period, wanted, None)
        write_adjustment(account, at, 0, period, {}, -given, -short)


def write_adjustment(
    account: Account, at: int, charge: int, metered: str, usage: dict[str, int], credits: int, shortfall: int
) -> None:
    row = {"charge": charge, "metered": metered, "usage": usage, "credits": credits, "shortfall": shortfall}
    row["while_open"] = bool(charge) and is_open(account, account["charges"][charge]["request"])
    account["adjustments"].append(row)
    fall_short(account, metered, shortfall)
    count_in_window(account, at, account["charges"][charge]["at"] if charge else at, credits)


# -- requests and their limits -----------------------------------------------------------------------------------------


def check_limits(account: Account, limits: Any, at: int, hold: int) -> None:
    """Rate, credits in the window, requests open at once: in this order."""
    refuse_if(limits.rate is not None and is_too_fast(account, limits.rate, at), "rate_limited")
    if limits.credits is not None:
        used = used_in_window(account, limits.credits.seconds * SECOND, at)
        held = sum(total(request["draws"]) for request in open_requests(account))
        refuse_if(used + held + hold > limits.credits.credits, "window_exhausted")
    refuse_if(limits.open is not None and len(open_requests(account)) >= limits.open, "too_many_open")


def count_in_window(account: Account, at: int, charged_at: int, credits: int) -> None:
    account["counted"].append({"at": at, "charged_at": charged_at, "credits": credits})


def used_in_window(account: Account, width: int, at: int) -> int:
    """What was charged in the window, and what corrections made of it: those of its own charges, and of periods."""
    used = 0
    for row in account["counted"]:
        if row["at"] // width == row["charged_at"] // width == at // width:
            used = max(0, used + row["credits"])
    return used


def is_too_fast(account: Account, rate: Any, at: int) -> bool:
    """GCRA: each admitted request moves a mark one spacing on; the mark may be ahead by a burst, less one spacing."""
    return at < allowed_again(account, rate)


def allowed_again(account: Account, rate: Any) -> int:
    """When the rate allows the next request."""
    spacing, mark = -(-rate.seconds * SECOND // rate.requests), 0
    for request in account["requests"].values():
        mark = max(mark, request["at"]) + spacing
    return int(mark - (rate.requests - 1) * spacing)


def may_be_charged(request: Row, plan: Row, at: int) -> bool:
    """While it is open, and, where it expired, for a while after its deadline."""
    late = request["ended"] == "expired" and at < request["deadline"] + plan["late_seconds"] * SECOND
    return bool(request["ended"] is None or late)


def last(request: Row, plan: Row, until: int) -> None:
    """Move a deadline, never back, never beyond the longest request."""
    longest = request["at"] + plan["longest_seconds"] * SECOND
    request["deadline"] = max(request["deadline"], min(until, longest))
