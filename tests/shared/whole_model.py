"""A naive ledger for the engine to be held against, written from the design alone.

Plain dictionaries and lists of what happened; every number is computed from them anew. Time is not written down: each
command and each reading first lets time act on a copy of the account, as of its moment. From the engine the model
learns only the sequence numbers by which callers name lots, requests and charges.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from whole_accounts import (
    SECOND,
    Account,
    Refusal,
    Row,
    as_due,
    available,
    balance,
    burn_order,
    cut_window,
    debt,
    debt_room,
    end_request,
    give_back_of_charge,
    give_back_of_period,
    is_over,
    lot_reading,
    move,
    on,
    open_requests,
    refuse_if,
    started,
    take,
    take_held,
    take_out,
    total,
    void,
)
from whole_metering import (
    check_limits,
    check_nets,
    hold_of,
    is_known,
    kept_periods,
    last,
    may_be_charged,
    meter,
    metered_in,
    period_of,
    price_delta,
    raise_by,
    tier_refund,
    usage_of_request,
    write_charge,
)
from whole_prices import OF_A_PERIOD, on_top

from ledger.commands import Adjust, Charge, Command, Purchase, admit, fingerprint
from ledger.refusals import Refusal as BadlyTyped

KEY_WINDOW = 86_400 * SECOND


def is_well_typed(command: Command) -> bool:
    try:
        return admit(command) == command
    except BadlyTyped:
        return False


def makes_sense(command: Any, at: int) -> bool:
    """Whether the command says something that can be done, whoever asks."""
    match command.__struct_config__.tag:
        case "give":
            begins = max(at, command.start or at)
            grants = command.credits or command.seconds or command.expiry is not None
            return bool(grants) and (command.expiry is None or command.expiry > begins)
        case "charge" if command.request:
            return not (command.subscriber or command.plan or command.agent)
        case "charge":
            return bool(command.subscriber and command.plan and command.final)
        case "adjust":
            account, one_amount = (command.subscriber, command.plan), bool(command.credits) != bool(command.usage)
            one_thing = not command.charge and all(account) if command.period else command.charge and not any(account)
            return one_amount and bool(one_thing) and (command.expiry is None or command.expiry > at)
    return True


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
        asked = fingerprint(command)
        self.done += [{"name": name, "asked": asked, "seq": seq, "at": at} for name in self.names_of(command)]
        return "accepted", seq

    def done_before(self, command: Command, at: int) -> Row | None:
        """A key is remembered for a day, for its account, a payment for ever; said again, they get the first answer."""
        names = self.names_of(command)
        for row in reversed(self.done):
            if row["name"] in names and (row["name"][0] == "payment" or at - row["at"] < KEY_WINDOW):
                refuse_if(row["asked"] != fingerprint(command), "key_reused")
                return row
        too_old = command.issued_at is not None and at - command.issued_at > KEY_WINDOW
        refuse_if(command.key is not None and too_old, "key_too_old")
        return None

    def names_of(self, command: Any) -> list[tuple[Any, str]]:
        """By what a command is known when it is said again."""
        keys = [] if command.key is None else [(self.scope(command), command.key)]
        payments = [("payment", command.payment)] if isinstance(command, Purchase) and command.payment else []
        return [*keys, *payments]

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
        refuse_if(command.plan in self.plans, "key_reused")
        fields = {name: getattr(command, name) for name in command.__struct_fields__}
        tariff = {"policy": command.policy, "parameters": command.parameters}
        self.plans[command.plan] = {**fields, "tariffs": [tariff], "retired": False}

    def reprice_plan(self, command: Any, at: int, seq: int) -> None:
        plan = self.plan_on_sale(command.plan)
        plan["tariffs"].append({"policy": command.policy, "parameters": command.parameters})

    def retire_plan(self, command: Any, at: int, seq: int) -> None:
        self.plan_on_sale(command.plan)["retired"] = True

    def register_agent(self, command: Any, at: int, seq: int) -> None:
        refuse_if(command.agent in self.agents, "key_reused")
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
        in_order: Account = {"moves": [], "takes": [], "owed": [], "adjustments": [], "period_draws": []}
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
        period = period_of(account, plan, command.occurred_at if command.occurred_at is not None else at)
        period = period if period in kept_periods(account, plan, at) else period_of(account, plan, at)
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
                check_nets(account, command.charge, metered, -change)
                self.lower(account, command, at, metered, -change)
            else:
                change = raise_by(account, plan, command, at, metered, change)
            row = {"charge": command.charge, "metered": metered, "usage": command.usage, "credits": change}
            account["adjustments"].append(row)

    def lower(self, account: Account, command: Any, at: int, metered: str, credits: int) -> None:
        if command.charge:
            give_back_of_charge(account, at, command, metered, credits)
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

    def periods(self, key: tuple[str, str], at: int) -> list[str]:
        """An account's current metering period, the one before, and one that is not kept."""
        kept = kept_periods(as_due(self.opened(key), at), self.plans[key[1]], at)
        return [kept[0] if kept else "before all", kept[-1] if kept else "before all", "before all"]

    def is_undecided(self, command: Any) -> bool:
        """Whether the design leaves open what the command gives back: credits that were drawn on a lot since reversed.

        Who has paid which part of such a debt, and so where it returns, is the engine's to say; the totals are not.
        """
        if not isinstance(command, Adjust | Charge) or self.scope(command) not in self.accounts:
            return False
        account, plan = self.accounts[self.scope(command)], self.plans[self.scope(command)[1]]
        gives_back = isinstance(command, Adjust) or any(tariff["policy"] == "volume" for tariff in plan["tariffs"])
        return gives_back and any("void" in row for row in account["takes"])

    def instants(self, after: int, upto: int) -> list[int]:
        """When time does something, in a span of time."""
        lots = [lot for account in self.accounts.values() for lot in account["lots"].values()]
        deadlines = [request["deadline"] for account in self.accounts.values() for request in open_requests(account)]
        moments = {*deadlines, *(lot["start"] for lot in lots), *(lot["expiry"] or 0 for lot in lots)}
        return sorted(moment for moment in moments if after < moment <= upto)
