"""Decide commands: `decide(context, command)` returns events, a replay or a refusal, and changes nothing.

A command is decided on its account as it is due; the due events go before its own in the same commit. Idempotency comes
first: a known key or payment id gets its first answer, or is refused if the content differs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ..amounts import SECOND, duration_text
from ..commands import (
    Adjust,
    AdoptSettlement,
    AnyCommand,
    Charge,
    CommitSettlement,
    ConfirmSettlement,
    CreatePlan,
    Exit,
    Extend,
    FailSettlement,
    Freeze,
    Give,
    MarkSettlementUnknown,
    OpenSettlement,
    PayInvoice,
    Purchase,
    RegisterAgent,
    Reinstate,
    Release,
    RepricePlan,
    Request,
    RetireAgent,
    RetirePlan,
    Reverse,
    SubmitSettlement,
    Subscribe,
    Tick,
    Unfreeze,
    UpdateAgent,
    Withdraw,
    WriteOff,
)
from ..events import MAX_AHEAD_SECONDS, EscrowFunding, Recorded
from ..identity import earlier_answer, fingerprint, is_identified
from ..rating import PolicyFailed, PriceTooLarge
from ..refusals import Reason, Refusal, Refused
from ..settlement import decide as settlement
from . import catalogue, exits, invoices, purchases, reversals
from .adjustments import adjust
from .charges import charge, check_occurred
from .context import Context, Decision, Replay, refusal_of
from .refusal_facts import with_clock_skew
from .requests import extend, release, request

_CATALOGUE: dict[type, Callable[[Context, Any], list[Recorded]]] = {
    CreatePlan: catalogue.create_plan,
    RepricePlan: catalogue.reprice_plan,
    RetirePlan: catalogue.retire_plan,
    RegisterAgent: catalogue.register_agent,
    UpdateAgent: catalogue.update_agent,
    RetireAgent: catalogue.retire_agent,
}
_DECISIONS: dict[type, Callable[[Context, Any], Decision]] = {
    Purchase: purchases.purchase,
    Give: purchases.give,
    Withdraw: purchases.withdraw,
    Reverse: reversals.reverse,
    Reinstate: reversals.reinstate,
    Freeze: exits.freeze,
    Unfreeze: exits.unfreeze,
    Exit: exits.exit_escrow,
    Subscribe: invoices.subscribe,
    PayInvoice: invoices.pay,
    WriteOff: invoices.write_off,
    Request: request,
    Extend: extend,
    Release: release,
    Charge: charge,
    Adjust: adjust,
    OpenSettlement: settlement.open_settlement,
    SubmitSettlement: settlement.submit,
    CommitSettlement: settlement.commit,
    ConfirmSettlement: settlement.confirm,
    FailSettlement: settlement.fail,
    MarkSettlementUnknown: settlement.mark_unknown,
    AdoptSettlement: settlement.adopt,
    Tick: lambda context, command: Decision(settlement.all_due(context)[1], []),
}


def decide(context: Context, command: AnyCommand) -> Decision | Replay | Refused:
    """Return the events of a command, a replay if it was executed before, or a refusal.

    After a Decision is returned, the command must succeed: reducing its events cannot fail.
    """
    outcome = _decide(context, command)
    return with_clock_skew(outcome, context.behind) if isinstance(outcome, Refused) else outcome


def _decide(context: Context, command: AnyCommand) -> Decision | Replay | Refused:
    try:
        _check_issued(context, command)
        if (check := _CONTENT.get(type(command))) is not None:
            check(context, command)
        print_ = fingerprint(command) if is_identified(command) else ""
        if (seq := _earlier_answer(context, command, print_)) is not None:
            return Replay(seq)
        if (in_catalogue := _CATALOGUE.get(type(command))) is not None:
            decision = Decision([], in_catalogue(context, command))
        else:
            decision = _DECISIONS[type(command)](context, command)
        if print_ and decision.own:
            decision.own[0] = msgspec.structs.replace(decision.own[0], key=command.key, fingerprint=print_)
        return decision
    except (Refusal, PolicyFailed, PriceTooLarge) as error:
        return refusal_of(error).refused
    except ValueError as error:  # an event's own invariants are the last check
        return Refused(Reason.malformed, {"detail": str(error)})


def _earlier_answer(context: Context, command: AnyCommand, print_: str) -> int | None:
    if isinstance(command, Subscribe) and (seq := invoices.earlier_subscription(context, command)) is not None:
        return seq
    if not print_:
        return None
    return earlier_answer(
        context.books, command, print_, context.at, context.evidence, context.older_key, context.behind
    )


# Checks that need no books: `malformed` is first in precedence.


def _check_issued(context: Context, command: AnyCommand) -> None:
    if command.key is None or command.issued_at is None:
        return
    ahead = command.issued_at - context.at
    if ahead > MAX_AHEAD_SECONDS * SECOND:
        allowed = duration_text(MAX_AHEAD_SECONDS)
        detail = (
            f"issued_at: {command.issued_at} is {ahead} microseconds after the ledger's time: {allowed} are allowed"
        )
        raise Refusal(Reason.malformed, detail=detail)


def _check_adjust(context: Context, command: Adjust) -> None:
    if bool(command.credits) == bool(command.usage):
        raise Refusal(Reason.malformed, detail="give either `credits` or a `usage` delta")
    if bool(command.charge) == bool(command.period):
        raise Refusal(Reason.malformed, detail="name either a `charge` or a `period` to correct")
    if command.reason == "tier":
        raise Refusal(Reason.malformed, detail="the reason `tier` is reserved for the ledger: give another")
    if command.charge and (command.subscriber or command.plan):
        raise Refusal(Reason.malformed, detail="a charge has its account: leave out `subscriber` and `plan`")
    _check_named(command.charge, command)


def _check_charge(context: Context, command: Charge) -> None:
    if command.request and (command.subscriber or command.plan or command.agent):
        raise Refusal(
            Reason.malformed, detail="a request has its account and agent: leave out `subscriber`, `plan` and `agent`"
        )
    _check_named(command.request, command)
    check_occurred(context.at, command)
    if not command.request and not command.final:
        raise Refusal(Reason.malformed, detail="a direct charge is final: leave out `final`, or charge a request")


def _check_named(number: int, command: Adjust | Charge) -> None:
    if not number and not (command.subscriber and command.plan):
        raise Refusal(Reason.malformed, detail="name a request or a charge, or a subscriber and a plan")


def _check_purchase(context: Context, command: Purchase) -> None:
    if command.terms is None:
        return
    if not isinstance(command.funding, EscrowFunding):
        raise Refusal(Reason.malformed, detail="only a purchase funded by an escrow may have its own `terms`")
    if not (command.terms.credits or command.terms.seconds):
        raise Refusal(Reason.malformed, detail="the terms need `credits`, a window (`seconds`), or both")


def _check_give(context: Context, command: Give) -> None:
    if not command.credits and not command.seconds and command.expiry is None:
        raise Refusal(Reason.malformed, detail="give `credits`, a window (`seconds` or `expiry`), or both")
    if command.start is not None and command.expiry is not None and command.expiry <= command.start:
        raise Refusal(Reason.malformed, detail="the expiry lies before the start")


def _check_withdraw(context: Context, command: Withdraw) -> None:
    if command.credits is not None and not command.credits:
        raise Refusal(Reason.malformed, detail="credits: 0 are withdrawn: give 1 or more, or leave it out for all")


def _check_named_once(context: Context, command: Reverse | Reinstate) -> None:
    if command.lot and command.payment:
        raise Refusal(Reason.malformed, detail="name either a `lot` or a `payment`")


def _check_tariff(context: Context, command: CreatePlan | RepricePlan) -> None:
    catalogue.tariff(context, 1, command)


_CONTENT: dict[type, Callable[[Context, Any], None]] = {
    Adjust: _check_adjust,
    Charge: _check_charge,
    Purchase: _check_purchase,
    Give: _check_give,
    Withdraw: _check_withdraw,
    Reverse: _check_named_once,
    Reinstate: _check_named_once,
    CreatePlan: _check_tariff,
    RepricePlan: _check_tariff,
}
