"""What open requests of the naive ledger may still cost, and the credits that are held for that."""

from typing import Any

from whole_accounts import DEBT, Account, Row, available, burn_key, is_over, move, on, open_requests, started, total
from whole_metering import meter, period_net, period_of, period_short, total_usage, usage_of_request
from whole_prices import (
    OF_A_PERIOD,
    at_least,
    beyond,
    dearest,
    may_fall,
    peak,
    plus,
    rises,
    total_of,
    totals_on_the_way,
)


def is_of_a_period(request: Row) -> bool:
    return request["tariff"]["policy"] in OF_A_PERIOD


def has_had_a_meter(plan: Row) -> bool:
    """Whether any tariff of the plan was ever about a period, so that requests change what others may cost. Without
    one, each request holds its own."""
    return any(tariff["policy"] in OF_A_PERIOD for tariff in plan["tariffs"])


def held(requests: list[Row]) -> int:
    return sum(total(request["draws"]) for request in requests)


def exposure(account: Account, requests: list[Row], reserve: int = 1) -> int:
    """The most that these requests, which are open, may still cost within their estimates, in whatever order; and a
    reserve for each of which nothing is known."""
    if not account["plan"]["credits"]:
        return 0
    alone = sum(exposure_of_one(account, request, reserve) for request in requests if not is_of_a_period(request))
    periods = dict.fromkeys(request["period"] for request in requests)
    return alone + sum(
        exposure_in(account, period, [row for row in requests if row["period"] == period], reserve)
        for period in periods
    )


def is_unknown(account: Account, request: Row) -> bool:
    """Whether nobody knows what the request will use: it reserves a credit until it is charged."""
    return not any(request["estimate"].values()) and usage_of_request(account, request["id"]) is None


def exposure_of_one(account: Account, request: Row, reserve: int) -> int:
    used = usage_of_request(account, request["id"])
    whole = total_of(request["tariff"], at_least(request["estimate"], used or {}), request["labels"])
    return max(
        is_unknown(account, request),
        whole - (0 if used is None else total_of(request["tariff"], used, request["labels"])),
    )


def exposure_in(account: Account, period: str, requests: list[Row], reserve: int) -> int:
    """What the requests of one period cost that are priced by its meter. All of its requests move that."""
    rests: dict[int, dict[str, int]] = {}
    for request in requests:
        rest = beyond(request["estimate"], usage_of_request(account, request["id"]) or {})
        version = request["tariff"]["version"]
        rests[version] = plus(rests.get(version, {}), rest)
    of_the_period = [request for request in requests if is_of_a_period(request)]
    tariffs = {request["tariff"]["version"]: request["tariff"] for request in of_the_period}
    before, among = meter(account, period), total_usage(rests.values()) or {}
    first = sum(total_of(tariff, {}, {}) for tariff in tariffs.values()) if before is None else 0
    cost = 0
    for version, tariff in tariffs.items():
        dimension, own = tariff["parameters"]["dimension"], rests[version]
        if own.get(dimension, 0) == among.get(dimension, 0):
            cost += exposure_alone(account, period, tariff, own)
        else:
            cost += dearest(tariff, before or {}, own, among) + (total_of(tariff, {}, {}) if before is None else 0)
    unknown = sum(is_unknown(account, request) for request in of_the_period)
    return cost + max(0, reserve * unknown - first)


def exposure_alone(account: Account, period: str, tariff: Row, rest: dict[str, int]) -> int:
    """Where nobody else moves the meter, what falls on the way pays for what rises after it; but only what was paid
    can be given back."""
    before = meter(account, period)
    base = 0 if before is None else total_of(tariff, before, {})
    if may_fall(tariff) and (period_short(account, period) > 0 or period_net(account, period) < base):
        return sum(rises(totals_on_the_way(tariff, before or {}, rest.get(tariff["parameters"]["dimension"], 0))))
    return max(0, peak(tariff, before or {}, rest) - base)


def hold_of(account: Account, plan: Row, at: int, command: Any) -> int:
    """What a request must hold: its own price, or, where requests share meters, what all cost together beyond what the
    others hold; at least 1 where it is not known what will be used. A plan of time holds nothing."""
    if not plan["credits"]:
        return 0
    tariff, least = plan["tariffs"][-1], 0 if any(command.estimate.values()) else 1
    if not has_had_a_meter(plan):
        return max(least, total_of(tariff, command.estimate, command.labels))
    others, period = open_requests(account), period_of(account, plan, at)
    row = {"id": -1, "tariff": tariff, "period": period}
    row |= {"estimate": command.estimate, "labels": command.labels, "draws": []}
    return max(least, exposure(account, [*others, row]) - held(others))


def lend(account: Account, request: Row, price: int, at: int, final: bool) -> None:
    """Others hold more than they may still cost, and a charge costs more than there is: they give that up. What is
    reserved for those of which nothing is known is only given to one that stays within its estimate."""
    if not account["plan"]["credits"]:
        return
    others = [row for row in open_requests(account) if row is not request]
    used = usage_of_request(account, request["id"]) or {}
    reserve = int(any(units > request["estimate"].get(name, 0) for name, units in used.items()))
    spare = held(others) - exposure(account, others if final else [*others, request], reserve)
    missing = min(spare, price - total(request["draws"]) - max(0, available(account, at)))
    for giver in sorted(others, key=lambda row: row["id"], reverse=True):
        for row in reversed(giver["draws"]):
            part = max(0, min(missing, row["credits"])) if row["lot"] != DEBT else 0
            missing -= part
            row["credits"] -= part
            request["draws"] += [{"lot": row["lot"], "credits": part}] if part else []


def hold_more(account: Account, at: int, corrected: int) -> None:
    """Where less is held than open requests may still cost, and something is free, the oldest of them holds that too.
    Where each holds its own, only the request of which usage was corrected does so (0: none)."""
    requests = open_requests(account)
    if not has_had_a_meter(account["plan"]):
        requests = [request for request in requests if request["id"] == corrected]
    if requests:
        missing = exposure(account, requests) - held(requests)
        take_on_top(account, min(requests, key=lambda row: row["id"]), at, missing)


def take_on_top(account: Account, request: Row, at: int, credits: int) -> None:
    """Hold more, as far as it is free: first what is on lots that are over, which would lapse."""
    for lot in sorted(started(account), key=lambda lot: (not is_over(lot, at), *burn_key(lot))):
        part = max(0, min(credits, on(account, lot["id"], "left")))
        credits -= part
        move(account, lot["id"], "left", "held", part)
        request["draws"] += [{"lot": lot["id"], "credits": part}] if part else []
