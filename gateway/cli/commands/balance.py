"""`tollbook balance`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..options import AsOf, Json, Log, OnePlan, OneSubscriber

if TYPE_CHECKING:
    from ledger.readings import Balance


def balance(
    log: Log, subscriber: OneSubscriber = None, plan: OnePlan = None, as_of: AsOf = None, json: Json = False
) -> None:
    """Who has how much: the position of every account, or of a subscriber's, or of a plan's.

    \b
    Examples:
      tollbook balance LOG
      tollbook balance LOG --subscriber alice --json
      tollbook balance LOG --plan pro --as-of 2023-11-16T19:00:00Z
      tollbook balance LOG --as-of now

    Without --as-of it is the position at the log's last entry. A later moment says what time does to it: what
    expires, which requests end. A filter that matches no account exits 2. An EVM address is found in any spelling.
    """
    from ledger.errors import NotFound

    from ... import answers
    from ...logs import opened, reading, subscriber_in
    from .. import render

    with opened(log) as store:
        now = reading(store, as_of)
        if subscriber is not None:
            subscriber = subscriber_in(now, subscriber)
        found = now.balances(subscriber, plan)
    if not found and (subscriber is not None or plan is not None):
        wanted = [f"subscriber {subscriber}"] * (subscriber is not None) + [f"plan {plan}"] * (plan is not None)
        raise NotFound(f"no account has {' and '.join(wanted)}", "`tollbook balance LOG` lists the accounts")
    answer = answers.balances(log, now, found)
    if json:
        render.json(answer)
        return
    title = f"{answer['log']} as of {now.seq}, {answer['as_of']['at']}"
    columns = ("subscriber", "plan", *(f">{place}" for place in _PLACES), ">open", "access until", "admits")
    render.table(columns, map(_row, found, answer["accounts"]), title)
    for each in found:
        if each.unpriced:
            units = ", ".join(f"{units} {name}" for name, units in sorted(each.unpriced.items()))
            render.line(f"no price for {units} of {each.subscriber} on {each.plan}")


_PLACES = ("available", "held", "spent", "lapsed", "withdrawn", "debt", "issued")


def _row(found: Balance, shape: dict[str, object]) -> tuple[object, ...]:
    from ..render import amount

    places = (amount(getattr(found, place), found.decimals) for place in _PLACES)
    until = shape["access_until"] or "-"
    return (found.subscriber, found.plan, *places, found.open_requests, until, "yes" if found.admits else "no")
