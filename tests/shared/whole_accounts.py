"""One account of the naive ledger: what happened to its credits, and what they come to.

An account is a dictionary of plain lists and dictionaries, and every number is a sum over a list. Credits are rows of
one table, `moves`: so many credits of a lot went from one place to another. The places are issued, left, held, spent,
lapsed and withdrawn. Lot 0 is debt: what is spent there was never left, so its `left` is below 0.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

SECOND = 1_000_000
DEBT = 0

Account = dict[str, Any]
Row = dict[str, Any]


class Refusal(Exception):
    """The command is refused, for this reason."""


def refuse_if(holds: bool, reason: str) -> None:
    if holds:
        raise Refusal(reason)


def split(total: int, weights: Sequence[int]) -> list[int]:
    """Part i is ⌊total·Sᵢ/S⌋ − ⌊total·Sᵢ₋₁/S⌋, Sᵢ the sum of the weights up to i; by nothing, the last takes all."""
    whole = sum(weights)
    if whole == 0:
        return [0] * (len(weights) - 1) + [total]
    upto = [total * sum(weights[:i]) // whole for i in range(len(weights) + 1)]
    return [upto[i + 1] - upto[i] for i in range(len(weights))]


# -- the table of moves ------------------------------------------------------------------------------------------------


def move(account: Account, lot: int, source: str, target: str, credits: int) -> None:
    if credits:
        account["moves"].append({"lot": lot, "source": source, "target": target, "credits": credits})


def on(account: Account, lot: int, place: str) -> int:
    """What stands in one place of a lot."""
    rows = [row for row in account["moves"] if row["lot"] == lot]
    came = sum(row["credits"] for row in rows if row["target"] == place)
    went = sum(row["credits"] for row in rows if row["source"] == place)
    return came - went


def debt(account: Account) -> int:
    return -on(account, DEBT, "left")


def started(account: Account) -> list[Row]:
    return [lot for lot in account["lots"].values() if lot["started"]]


def is_over(lot: Row, at: int) -> bool:
    return lot["expiry"] is not None and at >= lot["expiry"]


def burn_order(account: Account, at: int) -> list[Row]:
    """The lots that live, in the order in which they are used: priority, expiry (none last), start, number."""
    alive = [lot for lot in started(account) if not is_over(lot, at)]
    return sorted(
        alive, key=lambda lot: (lot["priority"], lot["expiry"] is None, lot["expiry"] or 0, lot["start"], lot["id"])
    )


def available(account: Account, at: int) -> int:
    return sum(on(account, lot["id"], "left") for lot in burn_order(account, at)) - debt(account)


def total(draws: Iterable[Row], *lots: int) -> int:
    """The credits of draws, of these lots or (none named) of all."""
    return sum(row["credits"] for row in draws if not lots or row["lot"] in lots)


def open_requests(account: Account) -> list[Row]:
    return [request for request in account["requests"].values() if request["ended"] is None]


# -- money -------------------------------------------------------------------------------------------------------------


def earned(account: Account, lot: Row, at: int) -> int:
    """What the seller has earned of a lot's cost by now."""
    kept = lot["cost"] - sum(lot["money_back"])
    if lot["credits"]:
        used = on(account, lot["id"], "spent") + on(account, lot["id"], "lapsed")
        return split(kept, [used, lot["credits"] - on(account, lot["id"], "withdrawn") - used])[0]
    if lot["cut"]:
        return kept
    elapsed = max(0, min(at, lot["expiry"]) - lot["start"])
    return split(kept, [elapsed, lot["expiry"] - lot["start"] - elapsed])[0]


def take_out(account: Account, lot: Row, credits: int) -> None:
    """Unused credits leave with their money."""
    used = on(account, lot["id"], "spent") + on(account, lot["id"], "lapsed")
    stays = lot["credits"] - on(account, lot["id"], "withdrawn") - used - credits
    kept = lot["cost"] - sum(lot["money_back"])
    unearned = split(kept, [used, stays + credits])[1]
    lot["money_back"].append(split(unearned, [credits, stays])[0])
    move(account, lot["id"], "left", "withdrawn", credits)


def cut_window(account: Account, lot: Row, at: int) -> None:
    """A window without credits ends now, and the money of its rest leaves."""
    lot["money_back"].append(lot["cost"] - earned(account, lot, at))
    lot["expiry"], lot["cut"] = min(lot["expiry"], max(at, lot["start"])), True


# -- time --------------------------------------------------------------------------------------------------------------


def as_due(account: Account, now: int) -> Account:
    """A copy of the account on which time has acted, one instant after another."""
    account = copy.deepcopy(account)
    while coming := sorted(entry for entry in time_table(account) if entry[0] <= now):
        instant, _, number, act = coming[0]
        act_of_time(account, act, number, instant)
    return account


def time_table(account: Account) -> Iterator[tuple[int, int, int, str]]:
    """What time will do: (instant, order, number, what)."""
    for lot in account["lots"].values():
        if not lot["started"] and not lot["gone"]:
            yield lot["start"], 0, lot["id"], "start"
        elif lot["started"] and lot["expiry"] is not None and on(account, lot["id"], "left"):
            yield lot["expiry"], 2, lot["id"], "lapse"
    for request in open_requests(account):
        yield request["deadline"], 1, request["id"], "release"


def act_of_time(account: Account, act: str, number: int, instant: int) -> None:
    if act == "start":
        start(account, account["lots"][number])
    elif act == "release":
        end_request(account, account["requests"][number], "expired", instant)
    else:
        lapse(account, account["lots"][number], on(account, number, "left"))


def start(account: Account, lot: Row) -> None:
    """A lot that starts pays debt first, oldest first: what was spent or held as debt, is now spent or held of it."""
    lot["started"] = True
    for owed in account["owed"]:
        part = min(owed["credits"], on(account, lot["id"], "left"))
        owed["credits"] -= part
        place = "held" if owed["request"] else "spent"
        move(account, lot["id"], "left", place, part)
        move(account, DEBT, place, "left", part)
        if owed["request"]:
            request = account["requests"][owed["request"]]
            request["draws"] = retaken(request["draws"], lot["id"], part)
        else:
            account["takes"] = retaken(account["takes"], lot["id"], part, charge=owed["charge"])
            count_in(account, owed["period"], DEBT, -part)
            count_in(account, owed["period"], lot["id"], part)


def lapse(account: Account, lot: Row, credits: int) -> None:
    if lot["refunds_lapses"]:
        take_out(account, lot, credits)
    else:
        move(account, lot["id"], "left", "lapsed", credits)


def end_request(account: Account, request: Row, how: str, at: int) -> None:
    """What it still holds returns to its lots; what returns to a lot that is over lapses."""
    for row in request["draws"]:
        move(account, row["lot"], "held", "left", row["credits"])
        if row["lot"] == DEBT:
            no_longer_owe(account, row["credits"], request=request["id"])
    for lot in dict.fromkeys(row["lot"] for row in request["draws"] if row["lot"] != DEBT):
        if is_over(account["lots"][lot], at):
            lapse(account, account["lots"][lot], total(request["draws"], lot))
    request["draws"], request["ended"] = [], how


# -- debt --------------------------------------------------------------------------------------------------------------


def owe(account: Account, credits: int, charge: int = 0, period: str = "", request: int = 0) -> None:
    """Debt, in the order in which it was made: spent by a charge, or held by a request whose lot turned out void."""
    account["owed"].append({"charge": charge, "period": period, "request": request, "credits": credits})


def no_longer_owe(account: Account, credits: int, **of: Any) -> None:
    """Debt is gone without being paid: that of this charge, period or request first, what was made last before."""
    own = [row for row in account["owed"] if all(row[name] == value for name, value in of.items())]
    rest = [row for row in account["owed"] if not row["request"] and row not in own]
    for row in [*reversed(own), *reversed(rest)]:
        part = min(credits, row["credits"])
        row["credits"] -= part
        credits -= part


def retaken(draws: list[Row], lot: int, credits: int, **of: Any) -> list[Row]:
    """The same draws with the first so many credits of debt become the lot's, which are so drawn last."""
    before, after = [], []
    for row in draws:
        is_theirs = row["lot"] == DEBT and all(row[name] == value for name, value in of.items())
        paid = min(credits, row["credits"]) if is_theirs else 0
        credits -= paid
        before.append({**row, "credits": row["credits"] - paid})
        after.append({**row, "lot": lot, "credits": paid})
    return [row for row in [*before, *after] if row["credits"]]


def debt_room(account: Account, plan: Row) -> int:
    return max(0, plan["debt_limit"] - debt(account)) if plan["overrun"] == "debt" else 0


# -- taking and giving back --------------------------------------------------------------------------------------------


def take(account: Account, at: int, credits: int, place: str) -> list[Row]:
    """Take from what is available, in burn order, as far as it goes: the draws."""
    draws, room = [], min(credits, max(0, available(account, at)))
    for lot in burn_order(account, at):
        part = min(room, on(account, lot["id"], "left"))
        room -= part
        draws.append({"lot": lot["id"], "credits": part})
        move(account, lot["id"], "left", place, part)
    return draws


def take_or_owe(account: Account, plan: Row, at: int, price: int) -> list[Row]:
    """Take from what is available, then as debt where the plan allows it; what the draws lack is the shortfall."""
    draws = take(account, at, price, "spent")
    borrowed = min(price - total(draws), debt_room(account, plan))
    move(account, DEBT, "left", "spent", borrowed)
    return [*draws, {"lot": DEBT, "credits": borrowed}]


def take_held(account: Account, request: Row, price: int) -> list[Row]:
    """Take a price from what the request holds, in the order in which it was held, as far as it goes: the draws."""
    draws = []
    for row in request["draws"]:
        part = min(row["credits"], price - total(draws))
        row["credits"] -= part
        draws.append({"lot": row["lot"], "credits": part})
        move(account, row["lot"], "held", "spent", part)
        if row["lot"] == DEBT:
            no_longer_owe(account, part, request=request["id"])
    return draws


def write_takes(account: Account, charge: int, period: str, draws: list[Row]) -> None:
    for row in draws:
        if row["credits"]:
            account["takes"].append({"charge": charge, **row})
            count_in(account, period, row["lot"], row["credits"])
    owe(account, total(draws, DEBT), charge=charge, period=period)


def give_back(account: Account, at: int, parts: list[Row], expiry: int | None) -> None:
    """Spent credits return: to the debt, to a lot that lives, or to one that is over. There they lapse at once: all
    that one correction gives a lot together, since money is parted once."""
    for row in parts:
        move(account, row["lot"], "spent", "left", row["credits"])
    for lot in dict.fromkeys(row["lot"] for row in parts if row["credits"] and row["lot"] != DEBT):
        if is_over(account["lots"][lot], at):
            if expiry is None:
                lapse(account, account["lots"][lot], total(parts, lot))
            else:
                account["lots"][lot]["expiry"] = expiry


def give_back_of_charge(account: Account, at: int, command: Any, metered: str, credits: int) -> None:
    """To the lots that the charge drew on, last drawn first, never more than was drawn."""
    parts: list[Row] = []
    for row in reversed([row for row in account["takes"] if row["charge"] == command.charge]):
        part = min(credits, row["credits"], on(account, row["lot"], "spent") - total(parts, row["lot"]))
        row["credits"] -= part
        credits -= part
        if row["lot"] == DEBT:
            no_longer_owe(account, part, charge=command.charge)
        count_in(account, metered, row["lot"], -part)
        parts.append({"lot": row["lot"], "credits": part})
    give_back(account, at, parts, command.expiry)
    refuse_if(credits > 0, "adjustment_exceeds")


def give_back_of_period(account: Account, at: int, period: str, credits: int, expiry: int | None) -> int:
    """To the lots drawn on in the period, most recently drawn first. Single charges keep their nets. What is left."""
    drawn = [row["lot"] for row in account["period_draws"] if row["period"] == period and row["credits"] > 0]
    for lot in dict.fromkeys(reversed(drawn)):
        part = min(credits, max(0, drawn_in(account, period, lot)), on(account, lot, "spent"))
        credits -= part
        if lot == DEBT:
            no_longer_owe(account, part, period=period)
        count_in(account, period, lot, -part)
        give_back(account, at, [{"lot": lot, "credits": part}], expiry)
    return credits


def count_in(account: Account, period: str, lot: int, credits: int) -> None:
    account["period_draws"].append({"period": period, "lot": lot, "credits": credits})


def drawn_in(account: Account, period: str, lot: int) -> int:
    """What was drawn on a lot in a period and not given back."""
    return total((row for row in account["period_draws"] if row["period"] == period), lot)


def void(account: Account, lot: Row, at: int) -> None:
    """A payment was void: the rest is withdrawn, and what was spent or is held there becomes debt."""
    number = lot["id"]
    move(account, number, "left", "withdrawn", on(account, number, "left"))
    spent = on(account, number, "spent")
    for place in ("spent", "held"):
        credits = on(account, number, place)
        move(account, number, place, "withdrawn", credits)
        move(account, DEBT, "left", place, credits)
    for row in account["takes"]:
        if row["lot"] == number:
            row |= {"lot": DEBT, "void": True}
            period = account["charges"][row["charge"]]["period"] if row["charge"] else ""
            owe(account, min(spent, row["credits"]), charge=row["charge"], period=period)
            spent -= min(spent, row["credits"])
    for row in account["period_draws"]:
        if row["lot"] == number:
            row |= {"lot": DEBT, "void": True}
    for request in open_requests(account):
        owe(account, total(request["draws"], number), request=request["id"])
        for row in request["draws"]:
            row["lot"] = DEBT if row["lot"] == number else row["lot"]
    shares = [(receiver, 0) for receiver, _ in lot["shares"]]
    lot |= {"reversed": True, "cost": 0, "shares": shares, "money_back": [], "gone": not lot["started"]}
    if not lot["credits"]:
        cut_window(account, lot, at)


# -- readings ----------------------------------------------------------------------------------------------------------


def balance(account: Account, at: int) -> dict[str, int]:
    """What an account comes to: lots that have started, and debt."""
    numbers = [lot["id"] for lot in started(account)]
    sums = {
        place: sum(on(account, lot, place) for lot in [*numbers, DEBT])
        for place in ("held", "spent", "lapsed", "withdrawn")
    }
    sums["issued"] = sum(account["lots"][lot]["credits"] for lot in numbers)
    sums |= {"available": available(account, at), "debt": debt(account)}
    return sums | {"open_requests": len(open_requests(account))}


def lot_reading(account: Account, lot: Row, at: int) -> dict[str, Any]:
    places = {place: on(account, lot["id"], place) for place in ("left", "held", "spent", "lapsed", "withdrawn")}
    if not lot["started"]:
        places["left"] = 0
    amount = earned(account, lot, at)
    parts = split(amount, [share for _, share in lot["shares"]]) if lot["shares"] else []
    shares = {receiver: part for (receiver, _), part in zip(lot["shares"], parts, strict=True)}
    terms = {name: lot[name] for name in ("id", "credits", "start", "expiry", "started")}
    return terms | places | {"earned": amount, "shares_earned": shares}
