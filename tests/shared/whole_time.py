"""What time does to an account of the naive ledger, one instant after another."""

import copy
from collections.abc import Iterator

from whole_accounts import Account, end_request, lapse_over, on, open_requests, pay_debts, start
from whole_holds import hold_more


def settle(account: Account, at: int, corrected: int = 0) -> None:
    """What returned to its lots pays debt; of the rest is held what open requests may still cost, of which one may have
    had its usage corrected; what is left on lots that are over lapses."""
    pay_debts(account, at)
    hold_more(account, at, corrected)
    lapse_over(account, at)


def as_due(account: Account, now: int) -> Account:
    """A copy of the account on which time has acted, one instant after another. Its plan is not copied."""
    plan = account["plan"]
    account = copy.deepcopy(account, {id(shared): shared for shared in (plan, *plan["tariffs"])})
    while coming := sorted(entry for entry in time_table(account) if entry[0] <= now):
        instant, _, number, act = coming[0]
        act_of_time(account, act, number, instant)
    return account


def time_table(account: Account) -> Iterator[tuple[int, int, int, str]]:
    """What time will do: (instant, order, number, what)."""
    for lot in account["lots"].values():
        if not lot["started"] and not lot["gone"] and not lot["void"]:
            yield lot["start"], 0, lot["id"], "start"
        elif lot["started"] and lot["expiry"] is not None and on(account, lot["id"], "left"):
            yield lot["expiry"], 2, lot["id"], "lapse"
    for request in open_requests(account):
        yield request["deadline"], 1, request["id"], "release"


def act_of_time(account: Account, act: str, number: int, instant: int) -> None:
    if act == "start":
        start(account, account["lots"][number], instant)
        settle(account, instant)
    elif act == "release":
        end_request(account, account["requests"][number], "expired")
        settle(account, instant)
    else:
        lapse_over(account, instant)
