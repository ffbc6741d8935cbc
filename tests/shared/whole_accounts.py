"""One account of the naive ledger: what happened to its credits, and what they come to.

An account is a dictionary of plain lists and dictionaries, and every number is a sum over a list. Credits are rows of
one table, `moves`: so many credits of a lot went from one place to another. The places are issued, left, held, spent,
lapsed and withdrawn. Lot 0 is debt: what is spent there was never left, so its `left` is below 0.
"""

from collections.abc import Iterable, Sequence
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
    return sorted((lot for lot in started(account) if not is_over(lot, at)), key=burn_key)


def burn_key(lot: Row) -> tuple[Any, ...]:
    return lot["priority"], lot["expiry"] is None, lot["expiry"] or 0, lot["start"], lot["id"]


def available(account: Account, at: int) -> int:
    return sum(on(account, lot["id"], "left") for lot in burn_order(account, at)) - debt(account)


def total(draws: Iterable[Row], *lots: int) -> int:
    """The credits of draws, of these lots or (none named) of all."""
    return sum(row["credits"] for row in draws if not lots or row["lot"] in lots)


def open_requests(account: Account) -> list[Row]:
    return [request for request in account["requests"].values() if request["ended"] is None]


# -- money -------------------------------------------------------------------------------------------------------------


def kept(lot: Row) -> int:
    """What of a lot's cost was not given back."""
    return int(lot["cost"] - sum(lot["money_back"]) - sum(row["money"] for row in lot["reversals"]))


def rest_of(account: Account, lot: Row) -> int:
    """The credits of a lot that are neither used nor withdrawn."""
    return int(lot["credits"] - sum(on(account, lot["id"], place) for place in ("withdrawn", "spent", "lapsed")))


def is_used_up(account: Account, lot: Row, at: int) -> bool:
    return rest_of(account, lot) == 0 if lot["credits"] else at >= lot["expiry"]


def earned(account: Account, lot: Row, at: int) -> int:
    """What the seller has earned of a lot's cost by now."""
    if is_used_up(account, lot, at):
        return kept(lot)
    if lot["credits"]:
        used = on(account, lot["id"], "spent") + on(account, lot["id"], "lapsed")
        return kept(lot) * used // (used + rest_of(account, lot))
    elapsed = max(0, min(at, lot["expiry"]) - lot["start"])
    return kept(lot) * elapsed // max(1, lot["expiry"] - lot["start"])


def shares_earned(account: Account, lot: Row, at: int) -> dict[str, int]:
    """Each receiver's part: its share rounded down, and exactly parted once the lot is used up."""
    amount, shares = earned(account, lot, at), [share for _, share in lot["shares"]]
    if lot["cost"] == 0:
        parts = [0 for _ in shares]
    elif is_used_up(account, lot, at):
        parts = split(amount, shares)
    else:
        parts = [amount * share // lot["cost"] for share in shares]
    return {receiver: part for (receiver, _), part in zip(lot["shares"], parts, strict=True)}


def take_out(account: Account, lot: Row, credits: int) -> None:
    """Unused credits leave with their money."""
    used, rest = on(account, lot["id"], "spent") + on(account, lot["id"], "lapsed"), rest_of(account, lot)
    unearned = split(kept(lot), [used, rest])[1]
    lot["money_back"].append(split(unearned, [credits, rest - credits])[0])
    move(account, lot["id"], "left", "withdrawn", credits)


def cut_window(account: Account, lot: Row, at: int) -> None:
    """A window without credits ends now, and the money of its rest leaves."""
    lot["money_back"].append(kept(lot) - earned(account, lot, at))
    lot["expiry"] = min(lot["expiry"], max(at, lot["start"]))


# -- beginnings and ends -----------------------------------------------------------------------------------------------


def start(account: Account, lot: Row, instant: int) -> None:
    """A lot that starts pays debt first."""
    lot["started"], lot["began"] = True, instant
    pay_with(account, lot)


def lapse(account: Account, lot: Row, credits: int) -> None:
    if lot["refunds_lapses"]:
        take_out(account, lot, credits)
    else:
        move(account, lot["id"], "left", "lapsed", credits)


def lapse_over(account: Account, at: int) -> None:
    """What is left on lots that are over lapses: all that one lot has together, since money is parted once."""
    for lot in started(account):
        if is_over(lot, at) and on(account, lot["id"], "left"):
            lapse(account, lot, on(account, lot["id"], "left"))


def end_request(account: Account, request: Row, how: str) -> None:
    """What it still holds returns to its lots, and what it held of a debt is owed no longer."""
    for row in request["draws"]:
        move(account, row["lot"], "held", "left", row["credits"])
        if row["lot"] == DEBT:
            no_longer_owe(account, row["credits"], request=request["id"])
    request["draws"], request["ended"] = [], how


# -- debt --------------------------------------------------------------------------------------------------------------


def owe(account: Account, credits: int, charge: int = 0, period: str = "", request: int = 0, lot: int = 0) -> None:
    """Debt, in the order in which it was made: spent by a charge or of a lot that turned out void, or held by a request
    whose lot did."""
    account["owed"].append({"charge": charge, "period": period, "request": request, "lot": lot, "credits": credits})


def pay_debts(account: Account, at: int) -> None:
    """Credits that returned pay debt: first those of lots that are over, which would lapse, then in burn order."""
    lots = sorted(started(account), key=lambda lot: (not is_over(lot, at), *burn_key(lot)))
    for lot in lots:
        pay_with(account, lot)


def pay_with(account: Account, lot: Row) -> None:
    """What a lot has left pays debt, oldest first: what was spent or held as debt, is now spent or held of it."""
    for owed in account["owed"]:
        part = min(owed["credits"], on(account, lot["id"], "left"))
        owed["credits"] -= part
        place = "held" if owed["request"] else "spent"
        move(account, lot["id"], "left", place, part)
        move(account, DEBT, place, "left", part)
        if owed["request"]:
            request = account["requests"][owed["request"]]
            request["draws"] = retaken(request["draws"], lot["id"], part)
        elif owed["lot"]:
            account["paid_for"].append({"source": owed["lot"], "lot": lot["id"], "credits": part})
        else:
            account["takes"] = retaken(account["takes"], lot["id"], part, charge=owed["charge"])
            count_in(account, owed["period"], DEBT, -part)
            count_in(account, owed["period"], lot["id"], part)


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
    """Spent credits return to the debt and to their lots; one that is over may be given a new expiry."""
    for row in parts:
        move(account, row["lot"], "spent", "left", row["credits"])
        if row["credits"] and row["lot"] != DEBT and expiry is not None:
            lot = account["lots"][row["lot"]]
            if is_over(lot, at):
                lot |= {"expiry": expiry, "extended": True}


def give_back_of_charge(account: Account, at: int, command: Any, metered: str, credits: int) -> None:
    """To the lots that the charge drew on, last drawn first, never more than was drawn."""
    parts: list[Row] = []
    for row in reversed([row for row in account["takes"] if row["charge"] == command.charge]):
        drawn = row["credits"]
        for lot, bound in goes_to(account, row["lot"]):
            part = max(0, min(credits, drawn, bound, on(account, lot, "spent") - total(parts, lot)))
            row["credits"] = max(0, row["credits"] - part)
            credits -= part
            if lot == DEBT:
                no_longer_owe(account, part, charge=command.charge)
            took_back(account, row["lot"], lot, part)
            count_in(account, metered, lot, -part)
            parts.append({"lot": lot, "credits": part})
    give_back(account, at, parts, command.expiry)
    refuse_if(credits > 0, "adjustment_exceeds")


def give_back_of_period(account: Account, at: int, period: str, credits: int, expiry: int | None) -> int:
    """To the lots drawn on in the period, most recently drawn first. Single charges keep their nets. What is left."""
    drawn = [row["lot"] for row in account["period_draws"] if row["period"] == period and row["credits"] > 0]
    for drawn_on in dict.fromkeys(reversed(drawn)):
        there = max(0, drawn_in(account, period, drawn_on))
        for lot, bound in goes_to(account, drawn_on):
            part = max(0, min(credits, there, bound, on(account, lot, "spent")))
            credits -= part
            if lot == DEBT:
                no_longer_owe(account, part, period=period)
            took_back(account, drawn_on, lot, part)
            count_in(account, period, lot, -part)
            give_back(account, at, [{"lot": lot, "credits": part}], expiry)
    return credits


def goes_to(account: Account, lot: int) -> list[tuple[int, int]]:
    """Where goes what was drawn on a lot, and how much at most: to itself; if its payment was disputed, first to the
    debt, then to the lots that paid what it owed, last paid first."""
    itself = (lot, on(account, lot, "spent"))
    if lot == DEBT or not account["lots"][lot]["was_disputed"]:
        return [itself]
    owed = sum(row["credits"] for row in account["owed"] if not row["request"])
    payers = [(row["lot"], row["credits"]) for row in reversed(account["paid_for"]) if row["source"] == lot]
    return [(DEBT, owed), *payers, itself]


def took_back(account: Account, source: int, lot: int, credits: int) -> None:
    """What a lot paid for another is lowered, last paid first."""
    for row in reversed(account["paid_for"]):
        if (row["source"], row["lot"]) == (source, lot):
            part = min(credits, row["credits"])
            row["credits"] -= part
            credits -= part


def count_in(account: Account, period: str, lot: int, credits: int) -> None:
    account["period_draws"].append({"period": period, "lot": lot, "credits": credits})


def drawn_in(account: Account, period: str, lot: int) -> int:
    """What was drawn on a lot in a period and not given back."""
    return total((row for row in account["period_draws"] if row["period"] == period), lot)


# -- disputes ----------------------------------------------------------------------------------------------------------


def reverse_lot(account: Account, lot: Row, at: int, amount: int | None) -> None:
    """A payment was void, or (an amount) a part of it: as large a part of the credits is withdrawn, from what is left,
    then from what was spent, then from what is held; what was spent or held is owed."""
    number, whole = lot["id"], amount is None or amount == kept(lot)
    money = kept(lot) if amount is None else amount
    places = {place: on(account, number, place) for place in ("left", "spent", "held")}
    credits = sum(places.values())
    if not whole:
        credits = min(credits, (lot["credits"] - on(account, number, "withdrawn")) * money // kept(lot))
    end = lot["expiry"]
    if not lot["credits"]:
        shorten(lot, at, money, whole)
    lot["reversals"].append({"credits": credits, "money": money, "time": (end or 0) - (lot["expiry"] or 0)})
    lot |= {"void": whole, "was_disputed": True}
    for place, there in places.items():
        part = min(credits, there)
        credits -= part
        move(account, number, place, "withdrawn", part)
        if place == "spent" and part:
            move(account, DEBT, "left", "spent", part)
            owe(account, part, lot=number)
        if place == "held":
            move(account, DEBT, "left", "held", part)
            hold_as_debt(account, number, part)


def shorten(lot: Row, at: int, money: int, whole: bool) -> None:
    """A window without credits ends now, or earlier by as large a part as was reversed."""
    if whole:
        lot["expiry"] = min(lot["expiry"], at) if lot["started"] else lot["expiry"]
    else:
        duration = (lot["expiry"] - lot["start"]) * (kept(lot) - money) // kept(lot)
        lot["expiry"] = min(lot["expiry"], max(at if lot["started"] else 0, lot["start"] + duration))


def hold_as_debt(account: Account, lot: int, credits: int) -> None:
    """Open requests hold credits of a lot no longer but owe them: by number, the last draws first."""
    for request in sorted(open_requests(account), key=lambda request: request["id"]):
        part = min(credits, total(request["draws"], lot))
        credits -= part
        owe(account, part, request=request["id"])
        draws = []
        for row in reversed(request["draws"]):
            owed = min(part, row["credits"]) if row["lot"] == lot else 0
            part -= owed
            draws += [{"lot": DEBT, "credits": owed}, {**row, "credits": row["credits"] - owed}]
        request["draws"] = [row for row in reversed(draws) if row["credits"]]


def reinstate_lot(account: Account, lot: Row, at: int) -> None:
    """A dispute was won: the lot has again what its reversals took."""
    move(account, lot["id"], "withdrawn", "left", sum(row["credits"] for row in lot["reversals"]))
    if not lot["credits"]:
        lot["expiry"] += sum(row["time"] for row in lot["reversals"])
    lot |= {"reversals": [], "void": False}
    if not lot["started"] and lot["start"] <= at:
        start(account, lot, at)


# -- readings ----------------------------------------------------------------------------------------------------------


def balance(account: Account, at: int) -> dict[str, Any]:
    """What an account comes to: lots that have started, and debt."""
    numbers = [lot["id"] for lot in started(account)]
    sums: dict[str, Any] = {
        place: sum(on(account, lot, place) for lot in [*numbers, DEBT])
        for place in ("held", "spent", "lapsed", "withdrawn")
    }
    sums["issued"] = sum(account["lots"][lot]["credits"] for lot in numbers)
    sums |= {"available": available(account, at), "debt": debt(account)}
    sums["shortfall"] = sum(row["credits"] for row in account["shorts"])
    sums["unpriced"] = {name: units for name, units in account["unpriced"].items() if units}
    return sums | {"open_requests": len(open_requests(account))}


def lot_reading(account: Account, lot: Row, at: int) -> dict[str, Any]:
    places = {place: on(account, lot["id"], place) for place in ("left", "held", "spent", "lapsed", "withdrawn")}
    if not lot["started"]:
        places["left"] = 0
    terms = {name: lot[name] for name in ("id", "credits", "start", "expiry", "started")}
    money = {"earned": earned(account, lot, at), "shares_earned": shares_earned(account, lot, at)}
    return terms | places | money
