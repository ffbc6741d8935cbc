"""Folding: what each event does to the books. Total, deterministic, and never refusing.

`reduce` calls no policy, no chain, no clock and no randomness: what they said was written into the event. A hold takes
its credits from lots at once; a charge consumes its own hold's draws first, in their order, then the other draws that
it carries. Only `decide` chooses draws; here they are applied.
"""

from __future__ import annotations

from typing import TypeVar, assert_never, cast

from .accounts import (
    EMPTY,
    Account,
    Lot,
    Meter,
    OpenRequest,
    Reversal,
    share_terms,
)
from .amounts import SECOND, add_usage
from .books import Books
from .catalogue import Agent, Plan
from .events import (
    Adjusted,
    AgentRegistered,
    AgentRetired,
    AgentUpdated,
    Charged,
    CreditsLimit,
    Draws,
    EscrowAsset,
    EscrowFunding,
    Event,
    Extended,
    Frozen,
    Lapsed,
    PlanCreated,
    PlanRepriced,
    PlanRetired,
    Purchased,
    Recorded,
    RefusedRequests,
    Reheld,
    Reinstated,
    Released,
    Requested,
    Reversed,
    Settlement,
    Started,
    Unfrozen,
    Withdrawn,
    decode_one,
    encode,
)
from .identity import fact_digest, payment_digest, remember_key
from .lots import (
    EXPIRY_OF_REQUEST,
    START,
    correction_of,
    draw,
    forgive,
    hold,
    move_deadline,
    move_expiry,
    owe,
    pay_debts,
    put,
    rehold,
    schedule,
    spend,
    take,
    undraw,
    unfund,
    unhold,
    unschedule,
)
from .periods import kept
from .settlement.netting import lots_in, reduce_settlement
from .values import consume, total

E = TypeVar("E", bound=Event)


def reduce(books: Books, seq: int, at: int, event: Recorded) -> None:
    """Apply one event to the books, in the order of the log."""
    if event.key is not None:
        remember_key(books, seq, event)  # first, while the account of a request that it closes is still known
    match event:
        case Charged():  # nearly all that happens
            account = books.accounts[event.account]
            plan = books.plans[account.plan]
            if account.late:
                _forget_late(books, account, plan, at)
            _charged(account, plan, seq, at, event)
            if event.request:
                _forget_closed(books, account, event.request)
        case Requested():
            _reduce_account(books, seq, at, event)
        case PlanCreated():
            event = own(event)
            books.plans[event.plan] = Plan(event, (event.tariff,))
            if event.onchain_id:
                books.onchain[event.onchain_id] = event.plan
        case PlanRepriced():
            plan = books.plans[event.plan]
            books.plans[event.plan] = Plan(plan.terms, (*plan.tariffs, own(event).tariff), plan.retired)
        case PlanRetired():
            plan = books.plans[event.plan]
            books.plans[event.plan] = Plan(plan.terms, plan.tariffs, retired=True)
        case AgentUpdated() | AgentRegistered():
            books.agents[event.agent] = Agent(own(event))
            books.agent_names[event.name] = event.agent
            books.registered = max(books.registered, event.agent)
        case AgentRetired():
            books.agents[event.agent] = Agent(books.agents[event.agent].terms, retired=True)
        case RefusedRequests():
            pass
        case Settlement():
            reduce_settlement(books, seq, at, event)  # no balance of credits depends on it
        case _:
            _reduce_account(books, seq, at, event)
    books.seq = seq


def own(event: E) -> E:
    """The event as the books keep it: what its caller does with the parameters of the answer is not their matter."""
    return cast(E, decode_one(encode(event)))


def _reduce_account(books: Books, seq: int, at: int, event: Recorded) -> None:
    match event:
        case Requested():
            pass
        case Purchased():
            _open_account(books, seq, event)
        case Withdrawn() | Frozen() if event.fact is not None:
            books.payments[fact_digest(event.fact)] = (bytes.fromhex(event.fingerprint or ""), seq)
        case Reversed():
            funding = books.accounts[event.account].lots[event.lot].funding
            if isinstance(funding, EscrowFunding):
                # What a chain took back for good may come again, signed by the same hand: then it is a purchase again.
                books.payments.pop(payment_digest(funding, "") or b"", None)
    account = books.accounts[books.account_of(event)]
    plan = books.plans[account.plan]
    if account.late:
        _forget_late(books, account, plan, at)
    apply(account, plan, seq, at, event)
    match event:
        case Requested():
            books.open[seq] = account.number
        case Released():
            _forget_closed(books, account, event.request)


def _forget_late(books: Books, account: Account, plan: Plan, at: int) -> None:
    """Requests that expired and may no longer be charged are closed."""
    for closed in [name for name, late in account.late.items() if late_until(plan, late) <= at]:
        del account.late[closed]
        books.open.pop(closed, None)


def _forget_closed(books: Books, account: Account, request: int) -> None:
    if request not in account.requests and request not in account.late:
        books.open.pop(request, None)


def _open_account(books: Books, seq: int, event: Purchased) -> None:
    """An account is opened by its first purchase; a payment is remembered for ever."""
    if event.account > books.opened:
        books.opened = event.account
        plan = books.plans[event.plan].terms.plan  # the plan's own words, as in `share_terms`
        books.accounts[event.account] = Account(event.account, event.subscriber, plan)
        books.names[event.subscriber, plan] = event.account
    if (payment := payment_digest(event.funding, event.payment)) is not None:
        books.payments[payment] = (bytes.fromhex(event.fingerprint or ""), seq)


def late_until(plan: Plan, request: OpenRequest) -> int:
    """Until when an expired request may still be charged, half-open."""
    return request.deadline + plan.terms.late_seconds * SECOND


def apply(account: Account, plan: Plan, seq: int, at: int, event: Recorded) -> None:
    """Apply an account's event to the account alone."""
    match event:
        case Charged():
            _charged(account, plan, seq, at, event)
        case Requested():
            _requested(account, plan, seq, at, event)
        case Extended():
            move_deadline(account, account.requests[event.request], event.deadline)
        case Reheld():
            rehold(account, account.requests[event.request], event.draws)
        case Released():
            request = account.requests[event.request]
            unhold(account, request)
            _close(account, request)
            if event.reason == "expired":
                request.draws = ()
                if account.late is EMPTY:
                    account.late = {}
                account.late[request.id] = request
            pay_debts(account, event.repaid)
        case Purchased():
            _purchased(account, plan, seq, at, event)
        case Started():
            _started(account, account.lots[event.lot], event)
        case Adjusted():
            _adjusted(account, plan, seq, at, event)
        case Lapsed():
            lot = account.lots[event.lot]
            take(account, lot, event.credits)
            lot.lapsed += event.credits
        case Withdrawn():
            _withdrawn(account, at, event)
        case Reversed():
            _reversed(account, account.lots[event.lot], at, event)
            pay_debts(account, event.repaid)
        case Reinstated():
            _reinstated(account, account.lots[event.lot], event)
            pay_debts(account, event.repaid)
        case Frozen():
            account.frozen, account.leaving = True, account.leaving or event.fact is not None
        case Unfrozen():
            account.frozen = False
        case (
            PlanCreated()
            | PlanRepriced()
            | PlanRetired()
            | AgentRegistered()
            | AgentRetired()
            | RefusedRequests()
            | Settlement()
        ):
            raise TypeError(f"{type(event).__name__} is not about an account")
        case _:
            assert_never(event)


# -- purchases ---------------------------------------------------------------------------------------------------------


def _purchased(account: Account, plan: Plan, seq: int, at: int, event: Purchased) -> None:
    start = at if event.start is None else event.start
    account.tried = account.tried or event.kind == "trial"
    account.lots[seq] = lot = Lot(
        id=seq,
        kind=event.kind,
        credits=event.credits,
        seconds=event.seconds,
        start=start,
        expiry=event.expiry,
        priority=event.priority,
        asset=event.asset,
        cost=event.cost,
        shares=event.shares,
        funding=event.funding,
        payment=event.payment,
    )
    share_terms(lot, plan)
    schedule(account, start, START, seq)


def _started(account: Account, lot: Lot, event: Started) -> None:
    unschedule(account, lot.start, START, lot.id)
    lot.started = True
    if lot.kind != "gift":
        account.purchases = [*account.purchases[-1:], (lot.start, lot.id)]
    put(account, lot, lot.credits - lot.withdrawn)
    pay_debts(account, ((lot.id, total(event.draws)),))


def _withdrawn(account: Account, at: int, event: Withdrawn) -> None:
    for name, credits in event.draws:
        lot = account.lots[name]
        take(account, lot, credits)
        lot.withdrawn += credits
    for name, money in event.money.items():
        lot = account.lots[name]
        lot.refunded += money
        if lot.escrow is not None:
            _keep_unpaid(account, unpaid_name(EscrowAsset(lot.escrow.contract_ref, lot.asset)), money)
        if not lot.started:
            if lot.refunded == lot.cost:
                _remove(account, lot)  # it leaves whole, before it counted anywhere
        elif not lot.credits:
            lot.expiry = _ended(lot, at)
    if event.fact is not None:
        account.leaving = True
        escrow = EscrowAsset(event.fact.contract_ref, event.asset)
        _keep_unpaid(account, unpaid_name(escrow), -event.paid)
        for lot in lots_in(account, escrow):
            if lot.started:
                move_expiry(account, lot, _ended(lot, at))
                lot.exited = True


def unpaid_name(escrow: EscrowAsset) -> str:
    """Return the key in `Account.unpaid` of the money that left the account's lots and that this escrow still holds."""
    chain, contract = escrow.contract_ref.chain, escrow.contract_ref.contract
    return f"{len(chain)} {len(contract)} {chain} {contract} {escrow.asset}"


def _keep_unpaid(account: Account, escrow: str, change: int) -> None:
    """A chain holds so much more (or, below 0, less) of what left the account's lots."""
    rest = account.unpaid.get(escrow, 0) + change
    others = {name: money for name, money in account.unpaid.items() if name != escrow}
    account.unpaid = {**others, escrow: rest} if rest > 0 else others or EMPTY


def _ended(lot: Lot, at: int) -> int:
    """The expiry of a lot that is over at a time, if it was not before."""
    return at if lot.expiry is None else min(lot.expiry, at)


def _remove(account: Account, lot: Lot) -> None:
    """A lot that has not started goes, as if it had never been."""
    unschedule(account, lot.start, START, lot.id)
    del account.lots[lot.id]


def _reversed(account: Account, lot: Lot, at: int, event: Reversed) -> None:
    if lot.escrow is not None:
        # the chain never had the money
        _keep_unpaid(account, unpaid_name(EscrowAsset(lot.escrow.contract_ref, lot.asset)), -lot.refunded)
        if not lot.started:
            _remove(account, lot)
            return
    before, whole = lot.reversal or Reversal(0, 0, 0, whole=False), lot.refunded + event.money == lot.cost
    end = lot.expiry
    if event.expiry is not None:
        lot.expiry = event.expiry
    elif whole and lot.started and not lot.credits:
        lot.expiry = _ended(lot, at)
    time = before.time + (end - lot.expiry if end is not None and lot.expiry is not None else 0)
    lot.reversal = Reversal(before.credits + event.credits, before.money + event.money, time, whole)
    lot.refunded += event.money
    lot.withdrawn += event.credits
    if lot.started:
        unfund(account, lot, event.credits)
    elif whole:
        unschedule(account, lot.start, START, lot.id)


def _reinstated(account: Account, lot: Lot, event: Reinstated) -> None:
    assert lot.reversal is not None
    if lot.expiry is not None:
        lot.expiry += lot.reversal.time
    waited = lot.waits
    lot.reversal = None
    lot.refunded -= event.money
    lot.withdrawn -= event.credits
    if lot.started:
        put(account, lot, event.credits)
    elif not waited:
        schedule(account, lot.start, START, lot.id)


# -- requests and charges ----------------------------------------------------------------------------------------------


def _requested(account: Account, plan: Plan, seq: int, at: int, event: Requested) -> None:
    if account.requests is EMPTY:
        account.requests = {}
    period = kept(plan.terms.period, account.purchases, at)[0]
    account.requests[seq] = OpenRequest(
        seq,
        at,
        event.deadline,
        event.agent,
        event.tariff,
        {**event.estimate},
        {**event.labels},
        event.draws,
        period,
    )
    hold(account, event.draws)
    _arrive(account, plan, at)
    schedule(account, event.deadline, EXPIRY_OF_REQUEST, seq)


def _arrive(account: Account, plan: Plan, at: int) -> None:
    """GCRA: the theoretical arrival time of the next request, in microseconds times the limit's requests (so that it
    stays whole). ITU-T I.371, virtual scheduling."""
    if (rate := plan.terms.limits.rate) is not None:
        account.arrival = max(account.arrival, at * rate.requests) + rate.seconds * SECOND


def _charged(account: Account, plan: Plan, seq: int, at: int, event: Charged) -> None:
    draws = event.draws
    spend(account, _charge_request(account, seq, event) if event.request else draws, seq, event.period)
    if (limit := plan.terms.limits.credits) is not None:
        _count(account, limit, seq, at, event.credits)
    meters = account.meters
    meter = (
        meters[event.period] if len(meters) == 1 and event.period in meters else _meter(account, plan, at, event.period)
    )
    meter.charged, meter.net, usage = True, meter.net + event.credits, meter.usage
    meter.shortfall += event.shortfall
    for dimension, units in event.usage.items():
        if units:
            usage[dimension] = usage.get(dimension, 0) + units
    drawn = meter.drawn
    for name, credits in draws:
        drawn[name] = drawn.pop(name, 0) + credits  # as `draw`
    if event.unpriced:
        account.unpriced = add_usage(account.unpriced, event.unpriced)
    if event.repaid:
        pay_debts(account, event.repaid)


def _charge_request(account: Account, seq: int, event: Charged) -> Draws:
    """What a charge does to its request and to what that holds; the rest of the charge's draws."""
    request = account.requests.get(event.request)
    if request is None:
        if event.request in account.late:
            del account.late[event.request]
        return event.draws
    taken, rest = consume(request.draws, event.credits)
    for name, credits in taken:
        account.held -= credits
        if name:
            lot = account.lots[name]
            lot.held -= credits
            lot.spent += credits
        else:
            forgive(account, request.id, credits)
            owe(account, seq, credits, event.period)
    request.draws, request.charged = rest, True
    request.usage = add_usage(request.usage, event.usage)
    request.labels = {**event.labels}
    if event.deadline is not None:
        move_deadline(account, request, event.deadline)
    if event.final:
        unhold(account, request)
        _close(account, request)
    return consume(event.draws, total(taken))[1]


def _close(account: Account, request: OpenRequest) -> None:
    """A closed request leaves nothing behind."""
    unschedule(account, request.deadline, EXPIRY_OF_REQUEST, request.id)
    del account.requests[request.id]
    if not account.requests:
        account.requests = EMPTY


def _count(account: Account, limit: CreditsLimit, seq: int, at: int, credits: int) -> None:
    """Credits charged in the plan's current window; `seq` is the charge's own sequence."""
    window = at // (limit.seconds * SECOND)
    if window != account.window:
        account.window, account.window_credits, account.window_from = window, 0, seq
    account.window_credits += credits


def _recount(account: Account, limit: CreditsLimit, seq: int, at: int, event: Adjusted) -> None:
    """A correction counts in the window of its charge; one of a period in the current window.

    Invariant: a window's count is what stands of its charges, as far as they were corrected one by one, and never
    negative.
    """
    current = account.window == at // (limit.seconds * SECOND)
    if event.charge:
        if current and event.charge >= account.window_from:
            account.window_credits = max(0, account.window_credits + event.credits)
    elif current or event.credits > 0:
        _count(account, limit, seq, at, event.credits)
        account.window_credits = max(0, account.window_credits)


def kept_periods(account: Account, plan: Plan, at: int) -> tuple[str, ...]:
    """The periods whose meters are kept: the current one, the one before, and those in which requests were admitted
    that may still be charged."""
    admitted = [request.period for request in account.requests.values()]
    late = [request.period for request in account.late.values() if at < late_until(plan, request)]
    return (*kept(plan.terms.period, account.purchases, at), *admitted, *late)


def _meter(account: Account, plan: Plan, at: int, period: str) -> Meter:
    """The period's meter; those of periods that are no longer kept are dropped."""
    meters = account.meters
    periods = (period, *kept_periods(account, plan, at))
    for name in [name for name in meters if name not in periods]:
        del meters[name]
    return meters.setdefault(period, Meter())


# -- adjustments -------------------------------------------------------------------------------------------------------


def _adjusted(account: Account, plan: Plan, seq: int, at: int, event: Adjusted) -> None:
    period = event.period or event.metered
    if event.credits > 0:
        spend(account, event.draws, event.charge, period)
    else:
        _give_back(account, at, event)
    if event.charge:
        correction = correction_of(account, event.charge)
        sign = 1 if event.credits > 0 else -1
        correction.credits += event.credits
        correction.shortfall += event.shortfall
        correction.usage = add_usage(correction.usage, event.usage)
        correction.draws = (*correction.draws, *((name, sign * credits) for name, credits in event.draws))
    if (request := account.requests.get(event.request)) is not None:
        request.usage = add_usage(request.usage, event.usage)
    if period and (period in account.meters or event.usage):
        meter = _meter(account, plan, at, period)
        meter.usage = add_usage(meter.usage, event.usage)
        meter.charged = meter.charged or bool(event.usage)
        meter.net += event.credits
        meter.shortfall = max(0, meter.shortfall + event.shortfall)
        for name, credits in event.draws:
            (draw if event.credits > 0 else undraw)(meter, name, credits)
    if (limit := plan.terms.limits.credits) is not None:
        _recount(account, limit, seq, at, event)
    if event.unpriced:
        account.unpriced = add_usage(account.unpriced, event.unpriced) or EMPTY
    pay_debts(account, event.repaid)


def _give_back(account: Account, at: int, event: Adjusted) -> None:
    for name, credits in event.draws:
        if name == 0:
            forgive(account, event.charge, credits)
            continue
        lot = account.lots[name]
        if event.expiry is not None and lot.expiry is not None and lot.expiry <= at and not lot.exited:
            move_expiry(account, lot, event.expiry)
            lot.extended = True
        lot.spent -= credits
        put(account, lot, credits)
