"""A naive ledger for the engine to be held against, written from the design alone.

Plain dictionaries and lists of what happened; every number is computed from them anew. Time is not written down: each
command and each reading first lets time act on a copy of the account, as of its moment. From the engine the model
learns only the sequence numbers by which callers name lots, requests and charges.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from whole_accounts import (
    DEBT,
    SECOND,
    Account,
    Refusal,
    Row,
    available,
    balance,
    burn_order,
    cut_window,
    debt,
    end_request,
    give_back_of_charge,
    give_back_of_period,
    is_over,
    kept,
    lot_reading,
    move,
    on,
    open_requests,
    pay_debts,
    refuse_if,
    reinstate_lot,
    reverse_lot,
    started,
    take,
    take_held,
    take_out,
    total,
)
from whole_holds import hold_of, lend
from whole_metering import (
    allowed_again,
    check_limits,
    check_nets,
    is_known,
    kept_periods,
    last,
    latest_periods,
    may_be_charged,
    meter,
    metered_in,
    period_of,
    price_delta,
    raise_by,
    shortfall_lowered,
    tier_refund,
    usage_of_request,
    write_adjustment,
    write_charge,
)
from whole_prices import OF_A_PERIOD, on_top, plus, unread
from whole_time import as_due, settle

from ledger.commands import Charge, Command, Purchase, Request
from ledger.identity import fingerprint

KEY_SECONDS = 35 * 86_400
AHEAD = 300
"""So many seconds may clocks differ: keys are remembered so much longer."""
"""How long a key of the catalogue is remembered, and one of a plan that says nothing else."""
MOST = 2**63 - 1
HINTED = (
    "not_subscribed",
    "expired",
    "in_debt",
    "rate_limited",
    "window_exhausted",
    "too_many_open",
    "insufficient_credits",
)
"""Refusals of work that more credits, or waiting, may let pass."""
NEXT = 2**62
"""A number that nothing has yet."""


def makes_sense(command: Any, at: int) -> bool:
    """Whether the command says something that can be done, whoever asks."""
    match command.__struct_config__.tag:
        case "give":
            begins = max(at, command.start or at)
            grants = command.credits or command.seconds or command.expiry is not None
            return bool(grants) and (command.expiry is None or command.expiry > begins)
        case "charge" if command.occurred_at is not None and command.occurred_at > at + 60 * SECOND:
            return False
        case "charge" if command.request:
            return not (command.subscriber or command.plan or command.agent)
        case "charge":
            return bool(command.subscriber and command.plan and command.final)
        case "adjust":
            account, one_amount = (command.subscriber, command.plan), bool(command.credits) != bool(command.usage)
            one_thing = not command.charge and all(account) if command.period else command.charge and not any(account)
            return one_amount and bool(one_thing) and (command.expiry is None or command.expiry > at)
        case "withdraw":
            return command.credits != 0
    return True


class Model:
    """All plans, agents and accounts, as far as accepted commands have made them."""

    def __init__(self) -> None:
        self.plans: dict[str, Row] = {}
        self.agents: dict[str, Row] = {}
        self.accounts: dict[tuple[str, str], Account] = {}
        self.done: list[Row] = []

    def apply(self, command: Command, at: int, seq: int = 0, arrived: int | None = None) -> tuple[str, Any]:
        """Do the command at `at`. `seq` is the number that the engine gave it, or would have given it; it arrived when
        the clock says, which may be behind.

        Answers ("accepted", seq), ("refused", reason), or ("repeated", the seq of the first answer).
        """
        do = getattr(self, command.__struct_config__.tag)
        try:
            ahead = command.key is not None and (command.issued_at or 0) > at + AHEAD * SECOND
            refuse_if(ahead or not makes_sense(command, at), "malformed")
            if earlier := self.done_before(command, at, at if arrived is None else arrived):
                return "repeated", earlier["seq"]
            do(command, at, seq)
        except Refusal as refusal:
            return "refused", str(refusal)
        asked = fingerprint(command)
        self.done += [{"name": name, "asked": asked, "seq": seq, "at": at} for name in self.names_of(command)]
        return "accepted", seq

    def done_before(self, command: Command, at: int, arrived: int) -> Row | None:
        """A key is remembered as long as its plan says, a payment for ever; said again, they get the first answer."""
        remembered = 0 if command.key is None else self.key_seconds(command) * SECOND
        names = self.names_of(command)
        for row in reversed(self.done):
            if row["name"] in names and (row["name"][0] == "payment" or at - row["at"] < remembered + AHEAD * SECOND):
                refuse_if(row["asked"] != fingerprint(command), "key_reused")
                refuse_if(self.is_reversed(command, row["seq"]), "payment_reversed")
                return row
        too_old = at - (arrived if command.issued_at is None else command.issued_at) >= remembered
        refuse_if(command.key is not None and too_old, "key_too_old")
        return None

    def is_reversed(self, command: Any, seq: int) -> bool:
        """Whether the command is a purchase whose payment was void as a whole."""
        if not isinstance(command, Purchase):
            return False
        return bool(self.accounts[command.subscriber, command.plan]["lots"][seq]["void"])

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

    def key_seconds(self, command: Any) -> int:
        """How long the command's key is remembered."""
        scope = self.scope(command)
        plan = scope[1] if isinstance(scope, tuple) else None
        return int(self.plans[plan]["key_seconds"]) if plan in self.plans else KEY_SECONDS

    def account_with(self, kind: str, number: int) -> tuple[str, str] | None:
        """The account that has this request or charge."""
        return next((key for key, account in self.accounts.items() if number in account[kind]), None)

    @contextmanager
    def writing(self, key: tuple[str, str], at: int, corrected: int = 0) -> Iterator[Account]:
        """The account as due, to be changed; kept only if nothing refuses. `corrected` is the request, if any, of which
        usage is corrected."""
        account = as_due(self.accounts[key], at)
        yield account
        settle(account, at, corrected)
        self.accounts[key] = account

    # -- catalogue --

    def create_plan(self, command: Any, at: int, seq: int) -> None:
        refuse_if(command.plan in self.plans, "key_reused")
        fields = {name: getattr(command, name) for name in command.__struct_fields__}
        policy = command.policy or ("per_credit" if command.credits else "time")
        tariff = {"policy": policy, "parameters": command.parameters, "version": 1}
        self.plans[command.plan] = {**fields, "tariffs": [tariff], "retired": False}

    def reprice_plan(self, command: Any, at: int, seq: int) -> None:
        plan = self.plan_on_sale(command.plan)
        tariff = {"policy": command.policy, "parameters": command.parameters, "version": len(plan["tariffs"]) + 1}
        plan["tariffs"].append(tariff)

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
        account = self.opened(key)
        tried = [lot for lot in account["lots"].values() if lot["trial"]]
        refuse_if(plan["trial"] and bool(tried), "trial_used")
        refuse_if(account["frozen"], "frozen")
        refuse_if(self.outstanding(account, at) + plan["credits"] > MOST, "overflow")
        begin = max(command.start or at, at)
        if plan["seconds"]:
            begin = max(begin, self.last_window_end(account, at))
        expiry = begin + plan["seconds"] * SECOND if plan["seconds"] else None
        lot = {"credits": plan["credits"], "start": begin, "expiry": expiry, "priority": plan["priority"]}
        lot |= {"seconds": plan["seconds"], "given": False, "shares": list(plan["price"].items())}
        self.add_lot(key, at, {**lot, "id": seq, "trial": plan["trial"], "payment": command.payment})

    def give(self, command: Any, at: int, seq: int) -> None:
        plan, key = self.plan_known(command.plan), (command.subscriber, command.plan)
        refuse_if(bool(command.credits) and not plan["credits"], "malformed")
        self.plan_on_sale(command.plan)
        account = self.opened(key)
        begin = max(command.start or at, at)
        if command.seconds:
            begin = max(begin, self.last_window_end(account, at))
        expiry = begin + command.seconds * SECOND if command.seconds else None
        expiry = expiry if command.expiry is None else command.expiry
        refuse_if(expiry is not None and expiry <= begin, "malformed")
        refuse_if(self.outstanding(account, at) + command.credits > MOST, "overflow")
        priority = plan["priority"] if command.priority is None else command.priority
        lot = {"credits": command.credits, "start": begin, "expiry": expiry, "priority": priority}
        lot |= {"seconds": command.seconds, "given": True, "shares": []}
        self.add_lot(key, at, {**lot, "id": seq, "trial": False, "payment": ""})

    def opened(self, key: tuple[str, str]) -> Account:
        by_number: Account = {"lots": {}, "requests": {}, "charges": {}, "unpriced": {}, "plan": self.plans[key[1]]}
        in_order: Account = {"moves": [], "takes": [], "owed": [], "adjustments": [], "period_draws": []}
        in_order |= {"shorts": [], "counted": [], "paid_for": []}
        return self.accounts.get(key, by_number | in_order | {"frozen": False})

    def last_window_end(self, account: Account, at: int) -> int:
        """The end of the last window that still gives access; those that are over do not matter."""
        account = as_due(account, at)
        return max(
            (lot["expiry"] for lot in account["lots"].values() if self.is_queued_behind(account, lot)), default=0
        )

    def is_queued_behind(self, account: Account, lot: Row) -> bool:
        is_window = lot["seconds"] or (lot["given"] and lot["expiry"] is not None)
        is_void = lot["gone"] or lot["void"] or lot["extended"]
        there = on(account, lot["id"], "left") + on(account, lot["id"], "held")
        is_exhausted = lot["credits"] and lot["started"] and not there
        return bool(is_window and not is_void and not is_exhausted)

    def outstanding(self, account: Account, at: int) -> int:
        """All credits of an account that are open: unused, held (as debt, too), owed, and of lots that are to start."""
        account = as_due(account, at)
        lots = [number for number, lot in account["lots"].items() if not lot["gone"]]
        free = sum(on(account, lot, "left") for lot in lots)
        return free + sum(on(account, lot, "held") for lot in [*lots, DEBT]) + debt(account)

    def add_lot(self, key: tuple[str, str], at: int, lot: Row) -> None:
        self.accounts.setdefault(key, self.opened(key))
        with self.writing(key, at) as account:
            lot |= {"cost": sum(amount for _, amount in lot["shares"]), "money_back": [], "reversals": []}
            lot |= {"started": False, "gone": False, "void": False, "extended": False, "was_disputed": False}
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
            waiting = [lot for lot in chosen if whole and not lot["started"] and not lot["void"]]
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
            lots = [lot for lot in self.named(account, command) if not lot["void"]]
            refuse_if(not lots, "malformed")
            for lot in lots:
                refuse_if(command.amount is not None and command.amount > kept(lot), "malformed")
                reverse_lot(account, lot, at, command.amount)

    def reinstate(self, command: Any, at: int, seq: int) -> None:
        with self.writing(self.subscribed(command), at) as account:
            lots = [lot for lot in self.named(account, command) if lot["reversals"]]
            refuse_if(not lots, "malformed")
            for lot in lots:
                reinstate_lot(account, lot, at)

    def named(self, account: Account, command: Any) -> list[Row]:
        """The lots of this number, or of this payment."""
        lots = [lot for lot in account["lots"].values() if not lot["gone"]]
        return [lot for lot in lots if command.lot == lot["id"] or command.payment == lot["payment"] != ""]

    def freeze(self, command: Any, at: int, seq: int) -> None:
        with self.writing(self.subscribed(command), at) as account:
            account["frozen"] = True

    def unfreeze(self, command: Any, at: int, seq: int) -> None:
        with self.writing(self.subscribed(command), at) as account:
            refuse_if(not account["frozen"], "malformed")
            account["frozen"] = False

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
            tariff = plan["tariffs"][-1]
            unpriced = unread(tariff, command.estimate, command.labels)
            refuse_if(bool(unpriced) and plan["unpriced"] != "free", "unpriced")
            hold = hold_of(account, plan, at, command)
            refuse_if(debt(account) > 0, "in_debt")
            check_limits(account, plan["limits"], at, hold)
            refuse_if(available(account, at) < hold, "insufficient_credits")
            row = {"id": seq, "at": at, "deadline": at + plan["hold_seconds"] * SECOND, "ended": None}
            row |= {"draws": take(account, at, hold, "held"), "tariff": tariff, "period": period_of(account, plan, at)}
            account["requests"][seq] = row | {"estimate": command.estimate, "labels": command.labels}

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
            end_request(account, request, command.reason)

    # -- charges --

    def charge(self, command: Any, at: int, seq: int) -> None:
        if not command.request:
            return self.charge_directly(command, at, seq)
        with self.with_request(command.request, at) as (account, plan, request):
            refuse_if(not may_be_charged(request, plan, at), "request_closed")
            refuse_if(request["ended"] is not None and not command.final, "request_closed")
            labels = command.labels or request["labels"]
            period = request["period"]
            price = self.meter_charge(account, command, at, seq, request["tariff"], labels, period)
            if request["ended"] is None:
                account["charges"][seq]["credits"] = max(0, price)  # as it will be
                lend(account, request, max(0, price), at, command.final)
            write_charge(account, plan, at, seq, max(0, price), take_held(account, request, max(0, price)))
            if command.final:
                end_request(account, request, "charged")
            else:
                last(request, plan, at + plan["hold_seconds"] * SECOND)
            pay_debts(account, at)
            tier_refund(account, at, period, price)

    def charge_directly(self, command: Any, at: int, seq: int) -> None:
        plan = self.plan_known(command.plan)
        self.check_agent(command, "")
        with self.writing(self.subscribed(command), at) as account:
            if not self.is_in_grace(account, plan, command, at):
                self.serving(account, at)
            then = at if command.occurred_at is None else min(command.occurred_at, at)
            period = period_of(account, plan, then)
            period = period if period in latest_periods(account, plan, at) else period_of(account, plan, at)
            price = self.meter_charge(account, command, at, seq, plan["tariffs"][-1], command.labels, period)
            write_charge(account, plan, at, seq, max(0, price), [])
            tier_refund(account, at, period, price)

    def is_in_grace(self, account: Account, plan: Row, command: Any, at: int) -> bool:
        """Whether access is over, but not for long, and the work was not done after that."""
        lots = started(account)
        if account["frozen"] or not lots or not all(is_over(lot, at) for lot in lots):
            return False
        end = max(lot["expiry"] for lot in lots)
        in_time = command.occurred_at is None or command.occurred_at < end
        return bool(in_time and at < end + plan["late_seconds"] * SECOND)

    def meter_charge(
        self, account: Account, command: Any, at: int, seq: int, tariff: Row, labels: dict[str, str], period: str
    ) -> int:
        """Price the usage, and write the charge down, with nothing taken yet."""
        whole_period = tariff["policy"] in OF_A_PERIOD
        before = meter(account, period) if whole_period else usage_of_request(account, command.request)
        row = {"request": command.request, "at": at, "period": period, "tariff": tariff, "before": before}
        account["charges"][seq] = row | {"usage": command.usage, "labels": labels, "credits": 0, "shortfall": 0}
        self.count_unpriced(account, tariff, command.usage, labels)
        return on_top(tariff, before, command.usage, labels)

    def count_unpriced(self, account: Account, tariff: Row, usage: dict[str, int], labels: dict[str, str]) -> None:
        if account["plan"]["unpriced"] != "free":
            account["unpriced"] = plus(account["unpriced"], unread(tariff, usage, labels))

    # -- adjustments --

    def adjust(self, command: Any, at: int, seq: int) -> None:
        key = self.account_with("charges", command.charge) if command.charge else self.subscribed(command)
        refuse_if(key is None, "charge_unknown")
        assert key is not None
        plan = self.plans[key[1]]
        charge = self.accounts[key]["charges"].get(command.charge) if key in self.accounts and command.usage else None
        with self.writing(key, at, corrected=charge["request"] if charge else 0) as account:
            metered = metered_in(account, plan, command, at)
            refuse_if(bool(command.period) and not is_known(account, plan, command.period, at), "charge_unknown")
            change = price_delta(account, plan, command, at, metered) if command.usage else command.credits
            if change < 0:
                short = shortfall_lowered(account, command, -change)
                change += short
                check_nets(account, command.charge, metered, -change)
                there = self.outstanding(account, at)
                self.lower(account, command, at, metered, -change)
                refuse_if(there - change > MOST, "overflow")
                write_adjustment(account, at, command.charge, metered, command.usage, change, -short)
            else:
                paid = raise_by(account, plan, command, at, metered, change)
                write_adjustment(account, at, command.charge, metered, command.usage, paid, change - paid)
            charge = account["charges"].get(command.charge)
            tariff, labels = (charge["tariff"], charge["labels"]) if charge else (plan["tariffs"][-1], {})
            self.count_unpriced(account, tariff, command.usage, labels)

    def lower(self, account: Account, command: Any, at: int, metered: str, credits: int) -> None:
        if command.charge:
            give_back_of_charge(account, at, command, metered, credits)
        else:
            rest = give_back_of_period(account, at, command.period, credits, command.expiry)
            refuse_if(rest > 0, "adjustment_exceeds")

    def tick(self, command: Any, at: int, seq: int) -> None:
        """Time acts whether anyone writes it down or not."""

    # -- what a refusal says --

    def hints(self, command: Any, reason: str, at: int) -> dict[str, int]:
        """What would let refused work pass: the fewest credits bought now, the least wait."""
        if not isinstance(command, Request | Charge) or reason not in HINTED or getattr(command, "request", 0):
            return {}
        hints = {"top_up": self.least_top_up(command, reason, at), "retry_after_us": self.least_wait(command, at)}
        return {name: value for name, value in hints.items() if value is not None}

    def passes(self, command: Any, at: int, bought_at: int = 0, credits: int = 0) -> bool:
        """Whether the command passes then, on a copy; with so many credits bought before."""
        copy, key = Model(), (command.subscriber, command.plan)
        copy.plans, copy.agents, copy.accounts = self.plans, self.agents, dict(self.accounts)
        try:
            if credits:
                lot = {
                    "credits": credits,
                    "start": bought_at,
                    "expiry": None,
                    "priority": self.plans[key[1]]["priority"],
                }
                lot |= {"seconds": 0, "given": False, "shares": [], "trial": False, "payment": ""}
                copy.add_lot(key, bought_at, lot | {"id": NEXT})
            getattr(copy, command.__struct_config__.tag)(command, at, NEXT + 1)
        except Refusal:
            return False
        return True

    def least_top_up(self, command: Any, reason: str, at: int) -> int | None:
        """By halving: more credits never refuse what fewer let pass."""
        plan, account = self.plans[command.plan], self.opened((command.subscriber, command.plan))
        tried = plan["trial"] and any(lot["trial"] for lot in account["lots"].values())
        is_asleep = plan["seconds"] and self.last_window_end(account, at) > at
        of_credits = reason in ("insufficient_credits", "in_debt", "expired", "not_subscribed")
        if not of_credits or not plan["credits"] or plan["retired"] or tried or account["frozen"] or is_asleep:
            return None
        if not self.passes(command, at, at, MOST):
            return None
        few, enough = 0, 1
        while not self.passes(command, at, at, enough):
            few, enough = enough, 2 * enough
        while enough - few > 1:
            half = (few + enough) // 2
            few, enough = (few, half) if self.passes(command, at, at, half) else (half, enough)
        return enough if self.outstanding(account, at) + enough <= MOST else None

    def least_wait(self, command: Any, at: int) -> int | None:
        """Of all moments at which anything changes for the account, the first at which the command passes."""
        account = self.accounts.get((command.subscriber, command.plan))
        moments = sorted(self.turns(account, at)) if account else []
        return next((moment - at for moment in moments if self.passes(command, moment)), None)

    def turns(self, account: Account, at: int) -> set[int]:
        limits, plan = account["plan"]["limits"], account["plan"]
        moments = {lot[name] for lot in account["lots"].values() for name in ("start", "expiry")}
        moments |= {request["deadline"] for request in open_requests(account)}
        if limits.rate:
            moments.add(allowed_again(account, limits.rate))
        if limits.credits:
            width = limits.credits.seconds * SECOND
            moments.add((at // width + 1) * width)
        if plan["period"] in ("day", "month"):
            day = 86_400 * SECOND
            days = range(at // day + 1, at // day + 64)
            moments |= {
                day * n for n in days if period_of(account, plan, day * n) != period_of(account, plan, day * n - 1)
            }
        return {moment for moment in moments if moment is not None and moment > at}

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
        return [kept[0], kept[min(1, len(kept) - 1)], "long ago"]

    def instants(self, after: int, upto: int) -> list[int]:
        """When time does something, in a span of time."""
        lots = [lot for account in self.accounts.values() for lot in account["lots"].values()]
        deadlines = [request["deadline"] for account in self.accounts.values() for request in open_requests(account)]
        moments = {*deadlines, *(lot["start"] for lot in lots), *(lot["expiry"] or 0 for lot in lots)}
        return sorted(moment for moment in moments if after < moment <= upto)
