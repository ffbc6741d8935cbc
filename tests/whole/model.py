"""A naive ledger for the engine to be held against, written from the design alone.

Everything is a plain dictionary or a list of what happened, and every number is a sum over such a list. An account's
credits are rows of one table, `moves`: so many credits of a lot went from one place to another. The places are issued,
left, held, spent, lapsed and withdrawn. Lot 0 is debt: what is spent there was never left, so its `left` is below 0.

Time is not written down: each command and each reading first lets time act on a copy of the account, as of its moment.
From the engine the model learns only the sequence numbers by which callers name lots, requests and charges.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from whole_prices import OF_A_PERIOD, on_top, plus

from ledger.commands import Command, admit, fingerprint
from ledger.refusals import Refusal as BadlyTyped

SECOND = 1_000_000
KEY_WINDOW = 86_400 * SECOND
DEBT = 0

Account = dict[str, Any]
Row = dict[str, Any]


class Refusal(Exception):
    """The command is refused, for this reason."""


def refuse_if(holds: bool, reason: str) -> None:
    if holds:
        raise Refusal(reason)


def is_well_typed(command: Command) -> bool:
    try:
        return admit(command) == command
    except BadlyTyped:
        return False


def makes_sense(command: Any, at: int) -> bool:
    """Whether the command says something that can be done, whoever asks."""
    kind = command.__struct_config__.tag
    if kind == "give":
        return bool(command.credits or command.seconds or command.expiry is not None)
    if kind == "charge":
        return bool(command.final or command.request)
    if kind == "adjust":
        one_thing = bool(command.charge) != bool(command.period) and bool(command.credits) != bool(command.usage)
        return one_thing and (command.expiry is None or command.expiry > at)
    return True


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
            account["takes"] = retaken(account["takes"], lot["id"], part, charge=owed["charge"], period=owed["period"])


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
        elif is_over(account["lots"][row["lot"]], at):
            lapse(account, account["lots"][row["lot"]], row["credits"])
    request["draws"], request["ended"] = [], how


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


def debt_room(account: Account, plan: Row) -> int:
    return max(0, plan["debt_limit"] - debt(account)) if plan["overrun"] == "debt" else 0


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


def give_back(account: Account, at: int, lot: int, credits: int, expiry: int | None) -> None:
    """Spent credits return: to the debt, to a lot that lives, or to one that is over, where they lapse at once."""
    move(account, lot, "spent", "left", credits)
    if credits and lot != DEBT and is_over(account["lots"][lot], at):
        if expiry is None:
            lapse(account, account["lots"][lot], credits)
        else:
            account["lots"][lot]["expiry"] = expiry


def give_back_of_charge(account: Account, at: int, charge: int, credits: int, expiry: int | None) -> None:
    """To the lots that the charge drew on, last drawn first, never more than was drawn."""
    for row in reversed([row for row in account["takes"] if row["charge"] == charge]):
        part = min(credits, row["credits"], on(account, row["lot"], "spent"))
        row["credits"] -= part
        credits -= part
        if row["lot"] == DEBT:
            no_longer_owe(account, part, charge=charge)
        give_back(account, at, row["lot"], part, expiry)
    refuse_if(credits > 0, "adjustment_exceeds")


def give_back_of_period(account: Account, at: int, period: str, credits: int, expiry: int | None) -> int:
    """To the lots drawn on in the period, most recently drawn first. Single charges keep their nets. What is left."""
    drawn = [row["lot"] for row in account["takes"] if row["period"] == period]
    for lot in dict.fromkeys(reversed(drawn)):
        part = min(credits, drawn_in(account, period, lot), on(account, lot, "spent"))
        credits -= part
        account["period_refunds"].append({"period": period, "lot": lot, "credits": part})
        if lot == DEBT:
            no_longer_owe(account, part, period=period)
        give_back(account, at, lot, part, expiry)
    return credits


def drawn_in(account: Account, period: str, lot: int) -> int:
    drawn = sum(row["credits"] for row in account["takes"] if (row["period"], row["lot"]) == (period, lot))
    back = sum(r["credits"] for r in account["period_refunds"] if (r["period"], r["lot"]) == (period, lot))
    return max(0, drawn - back)


# -- periods, meters and nets ------------------------------------------------------------------------------------------


def period_of(plan: Row, at: int) -> str:
    day = datetime.fromtimestamp(at // SECOND, UTC).date()
    return {"month": f"{day:%Y-%m}", "day": f"{day:%Y-%m-%d}", "forever": "forever"}[plan["period"]]


def kept_periods(plan: Row, at: int) -> list[str]:
    """The current period, and the one before."""
    today = datetime.fromtimestamp(at // SECOND, UTC).date()
    last_day_before = {"month": today.replace(day=1), "day": today, "forever": today}[plan["period"]] - timedelta(1)
    return [period_of(plan, at), period_of(plan, moment_of(last_day_before))]


def moment_of(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * SECOND


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


def charge_net(account: Account, charge: int) -> int:
    adjusted = sum(row["credits"] for row in account["adjustments"] if row["charge"] == charge)
    return account["charges"][charge]["credits"] + adjusted


def period_net(account: Account, period: str) -> int:
    charged = sum(charge["credits"] for charge in account["charges"].values() if charge["period"] == period)
    return charged + sum(row["credits"] for row in account["adjustments"] if row["metered"] == period)


def usage_of_request(account: Account, request: int) -> dict[str, int] | None:
    """All usage that was charged of a request, corrections included; None where nothing was, or there is no request."""
    charges = [number for number, row in account["charges"].items() if request and row["request"] == request]
    return total_usage(usage for number in charges for usage in usages_of_charge(account, number))


def usages_of_charge(account: Account, charge: int) -> list[dict[str, int]]:
    """A charge's usage, and its corrections."""
    deltas = [row["usage"] for row in account["adjustments"] if row["charge"] == charge]
    return [account["charges"][charge]["usage"], *deltas]


# -- the ledger --------------------------------------------------------------------------------------------------------


class Model:
    """All plans, agents and accounts, as far as accepted commands have made them."""

    def __init__(self) -> None:
        self.plans: dict[str, Row] = {}
        self.agents: dict[str, Row] = {}
        self.accounts: dict[tuple[str, str], Account] = {}
        self.done: list[Row] = []

    def apply(self, command: Command, at: int, seq: int = 0) -> tuple[str, Any]:
        """Do the command at `at`. `seq` is the number that the engine gave it, or would have given it.

        Answers ("accepted", seq), ("refused", reason), or ("repeated", the seq of the first answer).
        """
        do = getattr(self, command.__struct_config__.tag)
        try:
            refuse_if(not is_well_typed(command) or not makes_sense(command, at), "malformed")
            if earlier := self.done_before(command, at):
                return "repeated", earlier["seq"]
            do(command, at, seq)
        except Refusal as refusal:
            return "refused", str(refusal)
        if command.key is not None:
            row = {"scope": self.scope(command), "key": command.key, "asked": fingerprint(command)}
            self.done.append({**row, "seq": seq, "at": at})
        return "accepted", seq

    def done_before(self, command: Command, at: int) -> Row | None:
        """A key is remembered for a day, for its account; with the same content it gets the first answer."""
        if command.key is None:
            return None
        for row in reversed(self.done):
            if (row["scope"], row["key"]) == (self.scope(command), command.key) and at - row["at"] < KEY_WINDOW:
                refuse_if(row["asked"] != fingerprint(command), "key_reused")
                return row
        refuse_if(command.issued_at is not None and at - command.issued_at > KEY_WINDOW, "key_too_old")
        return None

    def scope(self, command: Any) -> Any:
        """Whose key it is: the account's, or for the catalogue the owner's."""
        if getattr(command, "owner", ""):
            return command.owner
        if getattr(command, "request", 0):
            return self.account_with("requests", command.request)
        if getattr(command, "charge", 0):
            return self.account_with("charges", command.charge)
        return command.subscriber, command.plan

    def account_with(self, kind: str, number: int) -> tuple[str, str] | None:
        """The account that has this request or charge."""
        return next((key for key, account in self.accounts.items() if number in account[kind]), None)

    @contextmanager
    def writing(self, key: tuple[str, str], at: int) -> Iterator[Account]:
        """The account as due, to be changed; kept only if nothing refuses."""
        account = as_due(self.accounts[key], at)
        yield account
        self.accounts[key] = account

    # -- catalogue --

    def create_plan(self, command: Any, at: int, seq: int) -> None:
        refuse_if(command.plan in self.plans, "malformed")
        fields = {name: getattr(command, name) for name in command.__struct_fields__}
        tariff = {"policy": command.policy, "parameters": command.parameters}
        self.plans[command.plan] = {**fields, "tariffs": [tariff], "retired": False}

    def reprice_plan(self, command: Any, at: int, seq: int) -> None:
        plan = self.plan_on_sale(command.plan)
        plan["tariffs"].append({"policy": command.policy, "parameters": command.parameters})

    def retire_plan(self, command: Any, at: int, seq: int) -> None:
        self.plan_on_sale(command.plan)["retired"] = True

    def register_agent(self, command: Any, at: int, seq: int) -> None:
        refuse_if(command.agent in self.agents, "malformed")
        refuse_if(any(plan not in self.plans for plan in command.plans), "plan_unknown")
        urls = [endpoint.url for endpoint in command.endpoints]
        self.agents[command.agent] = {"plans": command.plans, "urls": urls, "retired": False}

    def update_agent(self, command: Any, at: int, seq: int) -> None:
        agent = self.agent_at_work(command.agent)
        refuse_if(any(plan not in self.plans for plan in command.plans or ()), "plan_unknown")
        if command.plans is not None:
            agent["plans"] = command.plans
        if command.endpoints is not None:
            agent["urls"] = [endpoint.url for endpoint in command.endpoints]

    def retire_agent(self, command: Any, at: int, seq: int) -> None:
        self.agent_at_work(command.agent)["retired"] = True

    def plan_known(self, name: str) -> Row:
        refuse_if(name not in self.plans, "plan_unknown")
        return self.plans[name]

    def plan_on_sale(self, name: str) -> Row:
        plan = self.plan_known(name)
        refuse_if(plan["retired"], "plan_retired")
        return plan

    def agent_at_work(self, name: str) -> Row:
        refuse_if(name not in self.agents, "agent_unknown")
        refuse_if(self.agents[name]["retired"], "agent_retired")
        return self.agents[name]

    def check_agent(self, command: Any, url: str) -> None:
        """The agent works, behind this plan, at this endpoint. No agent and no endpoint are not checked."""
        if command.agent:
            agent = self.agent_at_work(command.agent)
            refuse_if(command.plan not in agent["plans"], "agent_not_in_plan")
            refuse_if(bool(url and agent["urls"]) and url not in agent["urls"], "endpoint_not_allowed")

    # -- purchases --

    def purchase(self, command: Any, at: int, seq: int) -> None:
        plan, key = self.plan_on_sale(command.plan), (command.subscriber, command.plan)
        tried = [lot for lot in self.opened(key)["lots"].values() if lot["trial"]]
        refuse_if(plan["trial"] and bool(tried), "trial_used")
        begin = max(command.start or at, at)
        if plan["seconds"]:
            begin = max(begin, self.last_window_end(key))
        expiry = begin + plan["seconds"] * SECOND if plan["seconds"] else None
        lot = {"credits": plan["credits"], "start": begin, "expiry": expiry, "priority": plan["priority"]}
        lot["seconds"] = plan["seconds"]
        shares = list(plan["price"].items())
        self.add_lot(key, at, {**lot, "id": seq, "shares": shares, "trial": plan["trial"], "payment": command.payment})

    def give(self, command: Any, at: int, seq: int) -> None:
        plan, key = self.plan_on_sale(command.plan), (command.subscriber, command.plan)
        begin = max(command.start or at, at)
        if command.seconds:
            begin = max(begin, self.last_window_end(key))
        expiry = begin + command.seconds * SECOND if command.seconds else None
        expiry = expiry if command.expiry is None else command.expiry
        refuse_if(expiry is not None and expiry <= begin, "malformed")
        priority = plan["priority"] if command.priority is None else command.priority
        lot = {"credits": command.credits, "start": begin, "expiry": expiry, "priority": priority}
        lot["seconds"] = command.seconds
        self.add_lot(key, at, {**lot, "id": seq, "shares": [], "trial": False, "payment": ""})

    def opened(self, key: tuple[str, str]) -> Account:
        by_number: Account = {"lots": {}, "requests": {}, "charges": {}}
        in_order: Account = {"moves": [], "takes": [], "owed": [], "adjustments": [], "period_refunds": []}
        return self.accounts.get(key, by_number | in_order | {"frozen": False})

    def last_window_end(self, key: tuple[str, str]) -> int:
        lots = self.opened(key)["lots"].values()
        return max((lot["expiry"] for lot in lots if lot["seconds"] and not lot["gone"]), default=0)

    def add_lot(self, key: tuple[str, str], at: int, lot: Row) -> None:
        self.accounts.setdefault(key, self.opened(key))
        with self.writing(key, at) as account:
            lot |= {"cost": sum(amount for _, amount in lot["shares"]), "money_back": [], "cut": False}
            lot |= {"started": False, "gone": False, "reversed": False}
            lot["refunds_lapses"] = self.plans[key[1]]["on_lapse"] == "refund"
            account["lots"][lot["id"]] = lot
            move(account, lot["id"], "issued", "left", lot["credits"])

    def subscribed(self, command: Any) -> tuple[str, str]:
        """The account of a subscriber who once bought the plan."""
        self.plan_known(command.plan)
        refuse_if((command.subscriber, command.plan) not in self.accounts, "not_subscribed")
        return command.subscriber, command.plan

    def withdraw(self, command: Any, at: int, seq: int) -> None:
        with self.writing(self.subscribed(command), at) as account:
            known = [number for number, lot in account["lots"].items() if not lot["gone"]]
            refuse_if(command.lot not in (0, *known), "malformed")
            chosen = [account["lots"][number] for number in known if command.lot in (0, number)]
            living = [lot for lot in burn_order(account, at) if lot in chosen]
            unheld = min(sum(on(account, lot["id"], "left") for lot in living), max(0, available(account, at)))
            wanted = unheld if command.credits is None else command.credits
            whole = command.credits is None
            windows = [lot for lot in living if whole and not lot["credits"]]
            waiting = [lot for lot in chosen if whole and not lot["started"]]
            refuse_if(wanted > unheld or not (wanted or windows or waiting), "insufficient_credits")
            for lot in living:
                part = min(wanted, on(account, lot["id"], "left"))
                wanted -= part
                if part:
                    take_out(account, lot, part)
            for lot in windows:
                cut_window(account, lot, at)
            for lot in waiting:
                lot["gone"] = True

    def reverse(self, command: Any, at: int, seq: int) -> None:
        with self.writing(self.subscribed(command), at) as account:
            sold = [lot for lot in account["lots"].values() if not lot["reversed"] and not lot["gone"]]
            lots = [lot for lot in sold if command.lot == lot["id"] or command.payment == lot["payment"] != ""]
            refuse_if(not lots, "malformed")
            for lot in lots:
                void(account, lot, at)

    def freeze(self, command: Any, at: int, seq: int) -> None:
        with self.writing(self.subscribed(command), at) as account:
            account["frozen"] = True

    # -- requests --

    def serving(self, account: Account, at: int) -> None:
        """The account is subscribed, not frozen and not expired."""
        refuse_if(not started(account), "not_subscribed")
        refuse_if(account["frozen"], "frozen")
        refuse_if(all(is_over(lot, at) for lot in started(account)), "expired")

    def request(self, command: Any, at: int, seq: int) -> None:
        plan = self.plan_known(command.plan)
        self.check_agent(command, command.url)
        with self.writing(self.subscribed(command), at) as account:
            self.serving(account, at)
            hold = hold_of(account, plan, at, command.estimate)
            refuse_if(debt(account) > 0, "in_debt")
            check_limits(account, plan["limits"], at, hold)
            refuse_if(available(account, at) < hold, "insufficient_credits")
            row = {"id": seq, "at": at, "deadline": at + plan["hold_seconds"] * SECOND, "ended": None}
            row |= {"draws": take(account, at, hold, "held"), "tariff": plan["tariffs"][-1]}
            account["requests"][seq] = row | {"estimate": command.estimate}

    @contextmanager
    def with_request(self, number: int, at: int) -> Iterator[tuple[Account, Row, Row]]:
        """The account, the plan and the row of a request that was made."""
        key = self.account_with("requests", number)
        refuse_if(key is None, "request_unknown")
        assert key is not None
        with self.writing(key, at) as account:
            yield account, self.plans[key[1]], account["requests"][number]

    def extend(self, command: Any, at: int, seq: int) -> None:
        with self.with_request(command.request, at) as (_, plan, request):
            refuse_if(request["ended"] is not None, "request_closed")
            last(request, plan, at + command.seconds * SECOND)

    def release(self, command: Any, at: int, seq: int) -> None:
        with self.with_request(command.request, at) as (account, _, request):
            refuse_if(request["ended"] is not None, "request_closed")
            end_request(account, request, command.reason, at)

    # -- charges --

    def charge(self, command: Any, at: int, seq: int) -> None:
        if not command.request:
            return self.charge_directly(command, at, seq)
        with self.with_request(command.request, at) as (account, plan, request):
            refuse_if(not may_be_charged(request, plan, at), "request_closed")
            refuse_if(request["ended"] is not None and not command.final, "request_closed")
            price = self.meter_charge(account, plan, command, at, seq, request["tariff"])
            write_charge(account, plan, at, seq, max(0, price), take_held(account, request, max(0, price)))
            if command.final:
                end_request(account, request, "charged", at)
            else:
                last(request, plan, at + plan["hold_seconds"] * SECOND)
            tier_refund(account, at, account["charges"][seq]["period"], price)

    def charge_directly(self, command: Any, at: int, seq: int) -> None:
        plan = self.plan_known(command.plan)
        self.check_agent(command, "")
        with self.writing(self.subscribed(command), at) as account:
            self.serving(account, at)
            price = self.meter_charge(account, plan, command, at, seq, plan["tariffs"][-1])
            short = max(0, price) - max(0, available(account, at))
            refuse_if(short > debt_room(account, plan), "insufficient_credits")
            write_charge(account, plan, at, seq, max(0, price), [])
            tier_refund(account, at, account["charges"][seq]["period"], price)

    def meter_charge(self, account: Account, plan: Row, command: Any, at: int, seq: int, tariff: Row) -> int:
        """Price the usage, and write the charge down, with nothing taken yet."""
        period = period_of(plan, command.occurred_at if command.occurred_at is not None else at)
        period = period if period in kept_periods(plan, at) else period_of(plan, at)
        whole_period = tariff["policy"] in OF_A_PERIOD
        before = meter(account, period) if whole_period else usage_of_request(account, command.request)
        row = {"request": command.request, "at": at, "period": period, "tariff": tariff, "before": before}
        account["charges"][seq] = row | {"usage": command.usage, "credits": 0}
        return on_top(tariff, before, command.usage)

    # -- adjustments --

    def adjust(self, command: Any, at: int, seq: int) -> None:
        key = self.account_with("charges", command.charge) if command.charge else self.subscribed(command)
        refuse_if(key is None, "charge_unknown")
        assert key is not None
        plan = self.plans[key[1]]
        with self.writing(key, at) as account:
            metered = metered_in(account, plan, command, at)
            refuse_if(bool(command.period) and not is_known(account, plan, command.period, at), "charge_unknown")
            change = price_delta(account, plan, command, at, metered) if command.usage else command.credits
            if change < 0:
                check_nets(account, plan, command, at, metered, -change)
                self.lower(account, command, at, -change)
            else:
                change = raise_by(account, plan, command, at, metered, change)
            row = {"charge": command.charge, "metered": metered, "usage": command.usage, "credits": change}
            account["adjustments"].append(row)

    def lower(self, account: Account, command: Any, at: int, credits: int) -> None:
        if command.charge:
            give_back_of_charge(account, at, command.charge, credits, command.expiry)
        else:
            rest = give_back_of_period(account, at, command.period, credits, command.expiry)
            refuse_if(rest > 0, "adjustment_exceeds")

    def tick(self, command: Any, at: int, seq: int) -> None:
        """Time acts whether anyone writes it down or not."""

    # -- readings --

    def read(self, key: tuple[str, str], at: int) -> dict[str, Any]:
        """Everything that is to be said of an account: its balance, its lots and its open requests."""
        account = as_due(self.accounts[key], at)
        lots = [lot_reading(account, lot, at) for lot in account["lots"].values() if not lot["gone"]]
        requests = [
            {"id": row["id"], "hold": total(row["draws"]), "deadline": row["deadline"]}
            for row in open_requests(account)
        ]
        return {"balance": balance(account, at), "lots": lots, "requests": requests}

    def instants(self, after: int, upto: int) -> list[int]:
        """When time does something, in a span of time."""
        lots = [lot for account in self.accounts.values() for lot in account["lots"].values()]
        deadlines = [request["deadline"] for account in self.accounts.values() for request in open_requests(account)]
        moments = {*deadlines, *(lot["start"] for lot in lots), *(lot["expiry"] or 0 for lot in lots)}
        return sorted(moment for moment in moments if after < moment <= upto)


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
            row["lot"] = DEBT
            owe(account, min(spent, row["credits"]), charge=row["charge"], period=row["period"])
            spent -= min(spent, row["credits"])
    for request in open_requests(account):
        owe(account, total(request["draws"], number), request=request["id"])
        for row in request["draws"]:
            row["lot"] = DEBT if row["lot"] == number else row["lot"]
    shares = [(receiver, 0) for receiver, _ in lot["shares"]]
    lot |= {"reversed": True, "cost": 0, "shares": shares, "money_back": [], "gone": not lot["started"]}
    if not lot["credits"]:
        cut_window(account, lot, at)


def hold_of(account: Account, plan: Row, at: int, estimate: dict[str, int]) -> int:
    """What the estimate would cost now, or after all open requests, whichever is more. A plan of time holds nothing."""
    if not plan["credits"]:
        return 0
    tariff, before = plan["tariffs"][-1], None
    quotes = [on_top(tariff, None, estimate)]
    if tariff["policy"] in OF_A_PERIOD:
        before = meter(account, period_of(plan, at))
        pending = total_usage([before or {}, *(request["estimate"] for request in open_requests(account))])
        quotes = [on_top(tariff, before, estimate)]
        if before is not None or open_requests(account):
            quotes.append(on_top(tariff, pending, estimate))
    return max(*quotes, 0 if estimate else 1, 0)


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


def write_charge(account: Account, plan: Row, at: int, seq: int, price: int, held: list[Row]) -> None:
    """Take what the hold did not cover, and write down what was taken, from which lots."""
    draws = [*held, *take_or_owe(account, plan, at, price - total(held))]
    account["charges"][seq] |= {"credits": total(draws), "shortfall": price - total(draws)}
    write_takes(account, seq, account["charges"][seq]["period"], draws)


def write_takes(account: Account, charge: int, period: str, draws: list[Row]) -> None:
    account["takes"] += [{"charge": charge, "period": period, **row} for row in draws if row["credits"]]
    owe(account, total(draws, DEBT), charge=charge, period=period)


def tier_refund(account: Account, at: int, period: str, price: int) -> None:
    """Where a charge makes its period cheaper, the difference goes back, as far as there is anything to give back."""
    if price < 0:
        wanted = min(-price, period_net(account, period))
        rest = give_back_of_period(account, at, period, wanted, None)
        account["adjustments"].append({"charge": 0, "metered": period, "usage": {}, "credits": rest - wanted})


def is_known(account: Account, plan: Row, period: str, at: int) -> bool:
    """Whether the period is kept and anything was charged in it."""
    return period in kept_periods(plan, at) and meter(account, period) is not None


def metered_in(account: Account, plan: Row, command: Any, at: int) -> str:
    """The period whose meter and net a correction moves: the charge's own while it is kept; for usage, else today's."""
    period = account["charges"][command.charge]["period"] if command.charge else command.period
    if period in kept_periods(plan, at):
        return str(period)
    return period_of(plan, at) if command.usage else "long ago"


def price_delta(account: Account, plan: Row, command: Any, at: int, metered: str) -> int:
    """total(meter + delta) − total(meter), at the tariff of the charge, or the current one for a period."""
    charge = account["charges"].get(command.charge)
    tariff = charge["tariff"] if charge else plan["tariffs"][-1]
    base = meter(account, metered) or {}
    refuse_if(min(plus(base, command.usage).values()) < 0, "adjustment_exceeds")
    if charge:
        counted = total_usage(usages_of_charge(account, command.charge)) or {}
        refuse_if(min(plus(counted, command.usage).values()) < 0, "adjustment_exceeds")
        if tariff["policy"] not in OF_A_PERIOD:
            base = plus(charge["before"] or {}, counted)
            if charge["request"] and may_be_charged(account["requests"][charge["request"]], plan, at):
                base = usage_of_request(account, charge["request"]) or {}
    return on_top(tariff, base, command.usage)


def check_nets(account: Account, plan: Row, command: Any, at: int, metered: str, credits: int) -> None:
    """Nothing is corrected below 0: neither a charge, nor a period that is still kept."""
    refuse_if(bool(command.charge) and credits > charge_net(account, command.charge), "adjustment_exceeds")
    period = account["charges"][command.charge]["period"] if command.charge else command.period
    refuse_if(period == metered and credits > period_net(account, period), "adjustment_exceeds")


def raise_by(account: Account, plan: Row, command: Any, at: int, metered: str, credits: int) -> int:
    """Take more, by the overrun rule; what could be taken."""
    draws = take_or_owe(account, plan, at, credits)
    write_takes(account, command.charge, metered, draws)
    return total(draws)
