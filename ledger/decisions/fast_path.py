"""Fast path for direct charges with a plain price that one lot pays whole, which most charges are.

Invariant, property-tested: a charge that is decided here is equal to what `charges` decides. Everything else, and every
refusal, is left to `charges`.
"""

from __future__ import annotations

from ..accounts import Account, Lot
from ..catalogue import Plan
from ..commands import Charge
from ..events import Charged
from ..periods import kept
from ..rating import declares_dimensions, derivable
from .context import Context, PriceList


def fast_charge(context: Context, command: Charge) -> Charged | None:
    """Return the event of a direct charge that the fast path can decide; None for any other."""
    plan = context.books.plans.get(command.plan)
    if plan is None or command.agent or command.occurred_at is not None:
        return None
    prices = context.prices.get(command.plan)
    if prices is None or prices.plan is not plan:
        prices = context.prices[command.plan] = _prices(context, plan)
    account = context.books.find(command.subscriber, command.plan)
    usage = command.usage
    if prices.credits_of is None or account is None or 0 in usage.values():
        return None
    try:
        if (
            prices.reads is not None
            and (read := prices.reads(command.labels)) is not None
            and not read.issuperset(usage)
        ):
            return None
        price = prices.credits_of({**usage}, {**command.labels})
    except Exception:  # noqa: BLE001 - `charges` reports what is wrong with the policy
        return None
    lot = _first_lot(account, context.at)
    if lot is None or type(price) is not int or not 0 <= price <= lot.left or price > account.available:
        return None
    return Charged(
        account=account.number,
        credits=price,
        draws=((lot.id, price),) if price else (),
        usage=usage,
        labels=command.labels,
        tariff=prices.version,
        period=prices.period,
    )


def _first_lot(account: Account, at: int) -> Lot | None:
    """Return the lot that is drawn on first; None if anything is due on the account or keeps it from being charged."""
    if account.frozen or not account.burn or (account.next_due is not None and account.next_due <= at):
        return None
    lot = account.lots[account.burn[0]]
    return lot if lot.expiry is None or at < lot.expiry else None


def _prices(context: Context, plan: Plan) -> PriceList:
    """Return what the fast path needs of a plan at the context's time."""
    terms, version = plan.terms, plan.tariff.version
    if terms.record_lines or terms.period == "purchase" or not terms.grants_credits or context.tariffs.any_period(plan):
        return PriceList(plan)
    try:
        policy = context.tariffs.policy(plan, version)
        if policy.scope == "request" and derivable(policy):
            reads = policy.reads if terms.unpriced == "refuse" and declares_dimensions(policy) else None
            return PriceList(plan, policy.credits_of, reads, version, kept(terms.period, (), context.at)[0])
    except Exception:  # noqa: BLE001 - foreign code; `charges` reports what is wrong with it, in its place
        pass
    return PriceList(plan)
