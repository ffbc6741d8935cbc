"""Corrections of a charge, or of an account's period."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..accounts import Account, Correction, Meter
from ..amounts import MAX_CREDITS, add_usage, amount_text
from ..catalogue import Plan
from ..commands import Adjust, whole
from ..events import Adjusted, Charged, Draws, Recorded, Usage
from ..expiry import due
from ..rating import difference, unpriced
from ..reducers import kept_periods
from ..refusals import Reason, Refusal
from ..values import total
from .consequences import with_consequences
from .context import Context, Decision, account_of, overrun, plan_of, shown_with, take
from .windows import OPEN_CREDITS_LIMIT, open_credits


@dataclass(slots=True)
class _Target:
    """The charge or period that is corrected: its tariff, the meter that a usage delta moves, the credits it has paid
    (`net`) and left unpaid (`shortfall`), and its outstanding draws. `period` is empty where its meter is not kept."""

    account: Account
    plan: Plan
    due: list[Recorded]
    tariff: int
    labels: dict[str, str]
    net: int
    shortfall: int
    draws: Draws
    usage: Usage
    charge: int = 0
    before: Usage | None = None
    request: int = 0
    period: str = ""
    meter: Meter | None = None


def adjust(context: Context, command: Adjust) -> Decision:
    """Correct by credits, or by a usage delta that is priced on the meter of what it corrects, never on another one."""
    if command.expiry is not None and command.expiry <= context.at:
        raise Refusal(Reason.malformed, detail="the new expiry lies in the past: give a later one")
    target = _charge(context, command) if command.charge else _period(context, command)
    credits = _priced(context, target, command.usage) if command.usage else whole(command.credits)
    if credits > 0:
        draws, shortfall = _upward(target, credits)
    else:
        draws, shortfall = _downward(target, -credits, by_usage=bool(command.usage))
    adjusted = Adjusted(
        account=target.account.number,
        charge=target.charge,
        period=command.period,
        credits=total(draws) if credits > 0 else -total(draws),
        draws=draws,
        shortfall=shortfall,
        reason=command.reason,
        usage=command.usage,
        before=(target.before or {}) if command.usage else {},
        labels=target.labels if command.usage else {},
        tariff=target.tariff if command.usage else 0,
        metered=target.period if target.charge else "",
        request=target.request if command.usage else 0,
        expiry=command.expiry,
        note=command.note,
        unpriced=_unpriced(context, target, command.usage),
    )
    # After this point, the command must succeed.
    returned = [] if credits > 0 else [target.account.lots[lot_id] for lot_id, _ in draws if lot_id]
    lapsing = [lot.id for lot in returned if lot.exited or command.expiry is None]
    return Decision(target.due, with_consequences(context, target.account, target.plan, adjusted, lapsing))


def _charge(context: Context, command: Adjust) -> _Target:
    entry = context.evidence.get(command.charge)
    if entry is None or not isinstance(entry.event, Charged):
        raise Refusal(Reason.charge_unknown, detail=f"there is no charge {command.charge}")
    event = entry.event
    account = context.books.account(event.account)
    plan = context.books.plans[account.plan]
    account, events = due(account, plan, context.at, context.tariffs)
    correction = account.corrections.get(command.charge, Correction())
    # Credits need no meter, and so no policy, which may be installed no more.
    in_period = bool(command.usage) and context.tariffs.policy(plan, event.tariff).scope == "period"
    period = event.period if event.period in kept_periods(account, plan, context.at) else ""
    if in_period and not period:
        detail = f"the meter of {event.period}, by which charge {command.charge} was priced, is no longer kept"
        raise Refusal(Reason.charge_unknown, detail=f"{detail}: correct it by `credits`")
    meter = account.meters.get(period)
    target = _Target(
        account=account,
        plan=plan,
        due=events,
        tariff=event.tariff,
        labels=event.labels,
        net=event.credits + correction.credits,
        shortfall=event.shortfall + correction.shortfall,
        draws=_outstanding(account, event.draws, correction),
        usage=add_usage(event.usage, correction.usage),
        charge=command.charge,
        period=period,
        meter=meter,
    )
    request = account.requests.get(event.request)
    target.request = request.id if request is not None else 0
    if in_period:
        target.before = meter.before if meter is not None else None
    elif request is not None:
        target.before = request.usage
    else:
        target.before = add_usage(add_usage(event.before, event.usage), correction.usage)
    return target


def _period(context: Context, command: Adjust) -> _Target:
    plan = plan_of(context, command.plan)
    account, events = account_of(context, command.subscriber, plan)
    meter, periods = account.meters.get(command.period), dict.fromkeys(kept_periods(account, plan, context.at))
    if meter is None or command.period not in periods:
        kept = ", ".join(name for name in periods if name in account.meters)
        detail = f"the period {command.period!r} has no meter, or its meter is no longer kept"
        todo = f"kept are {kept}" if kept else "none is kept"
        raise Refusal(Reason.charge_unknown, detail=f"{detail} ({todo}): correct its charges one by one, by `credits`")
    return _Target(
        account=account,
        plan=plan,
        due=events,
        tariff=plan.tariff.version,
        labels={},
        net=meter.net,
        shortfall=meter.shortfall,
        draws=tuple(meter.drawn.items()),
        usage=meter.usage,
        before=meter.before,
        period=command.period,
        meter=meter,
    )


def _priced(context: Context, target: _Target, delta: Usage) -> int:
    """Return total(meter + delta) − total(meter) on the target's meter, in credits."""
    metered = [] if not target.period else [target.meter.usage if target.meter is not None else {}]
    for usage in (target.usage, target.before or {}, *metered):
        for dimension, units in delta.items():
            if usage.get(dimension, 0) + units < 0:
                detail = f"the correction takes {-units} {dimension}, and only {usage.get(dimension, 0)} are metered"
                raise Refusal(Reason.adjustment_exceeds, detail=detail)
    policy = context.tariffs.policy(target.plan, target.tariff)
    return difference(policy, target.before, delta, target.labels)


def _upward(target: _Target, credits: int) -> tuple[Draws, int]:
    """Return draws of `credits` on available lots, beyond them as the plan's overrun rule says, and the shortfall."""
    draws = take(target.account, credits)
    debt, shortfall = overrun(target.account, target.plan, credits - total(draws))
    return (*draws, *debt), shortfall


def _downward(target: _Target, credits: int, by_usage: bool) -> tuple[Draws, int]:
    """Return draws of `credits` back to the lots that the target drew on, and the change of its shortfall.

    The target's net, and its period's while kept, stay 0 or more. A usage correction lowers first what was never paid:
    only what was paid beyond the right price returns.
    """
    unpaid = min(target.shortfall, credits) if by_usage else 0
    wanted = credits - unpaid
    net = target.net if target.meter is None else min(target.net, target.meter.net)
    draws = give_back(target.account, list(target.draws), min(wanted, net))
    if total(draws) < wanted:
        facts: dict[str, int | str] = {"needed": wanted, "available": total(draws), **shown_with(target.plan)}
        if by_usage:
            worth, most = (amount_text(credits, target.plan.terms.decimals) for credits in (wanted, total(draws)))
            facts["detail"] = f"the usage correction is worth {worth} credits, and only {most} can be returned"
        raise Refusal(Reason.adjustment_exceeds, **facts)
    if open_credits(target.account) + wanted > MAX_CREDITS:
        raise Refusal(Reason.overflow, detail=OPEN_CREDITS_LIMIT)
    return draws, -unpaid


def _unpriced(context: Context, target: _Target, delta: Usage) -> Usage:
    if not delta or target.plan.terms.unpriced == "free":
        return {}
    return unpriced(context.tariffs.policy(target.plan, target.tariff), delta, target.labels)


def give_back(account: Account, drawn: list[tuple[int, int]], credits: int) -> Draws:
    """Draws by which up to `credits` return, last drawn first, never more than is spent on a lot, or owed.

    What was drawn on a lot that was reversed since is debt, or is with the lots that paid that debt.
    """
    bounds = {name: lot.spent for name, lot in account.lots.items()} | {0: account.debt_spent}
    back: list[tuple[int, int]] = []
    for lot, amount in _resolved(account, reversed(drawn)):
        part = min(amount, bounds[lot], credits)
        if part > 0:
            bounds[lot] -= part
            credits -= part
            back.append((lot, part))
    return _merged(back)


def _resolved(account: Account, drawn: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the draws to which each draw may return, in order: a draw on a reversed lot has become debt, or a draw on
    the lots that paid that debt, or is still on its lot."""
    resolved: list[tuple[int, int]] = []
    for lot, amount in drawn:
        if lot and (account.lots[lot].reversal is not None or lot in account.corrections):
            paid = account.corrections.get(lot, Correction()).draws
            resolved += [(0, amount), *((payer, min(part, amount)) for payer, part in reversed(paid) if payer)]
        resolved.append((lot, amount))
    return resolved


def _outstanding(account: Account, draws: Draws, correction: Correction) -> Draws:
    """Return a charge's draws after its corrections, in the order drawn."""
    stack = list(draws)
    for lot, amount in correction.draws:
        if amount > 0:
            stack.append((lot, amount))
            continue
        back = -amount
        for position in reversed(range(len(stack))):
            lot_id, credits = stack[position]
            replaced = lot_id and (account.lots[lot_id].reversal is not None or lot_id in account.corrections)
            if lot_id == lot or replaced:
                part = min(credits, back)
                stack[position] = (lot_id, credits - part)
                back -= part
    return tuple((lot, amount) for lot, amount in stack if amount)


def _merged(draws: list[tuple[int, int]]) -> Draws:
    merged: dict[int, int] = {}
    for lot, amount in draws:
        merged[lot] = merged.get(lot, 0) + amount
    return tuple(merged.items())
