"""Folding: what each event does to the books. Total, deterministic, and never refusing.

`reduce` calls no policy, no chain, no clock and no randomness: what they said was written into the event. A hold takes
its credits from lots at once; a charge consumes its own hold's draws first, in their order, then the other draws that
it carries. Only `decide` chooses draws; here they are applied.
"""

from __future__ import annotations

from bisect import insort
from typing import TypeVar, assert_never, cast

from .amounts import SECOND, add_usage
from .books import (
    NOTHING,
    Account,
    Agent,
    Books,
    Correction,
    Debt,
    Lot,
    Meter,
    OpenRequest,
    Plan,
    consume,
    digest,
    share_terms,
    total,
)
from .events import (
    Adjusted,
    AgentRegistered,
    AgentRetired,
    AgentUpdated,
    Charged,
    CreditsLimit,
    Draws,
    EscrowFunding,
    Event,
    Extended,
    Fact,
    Frozen,
    Funding,
    Lapsed,
    PlanCreated,
    PlanRepriced,
    PlanRetired,
    Purchased,
    Recorded,
    RefusedRequests,
    Released,
    Requested,
    Reversed,
    Settlement,
    Started,
    Withdrawn,
    decode_one,
    encode,
)
from .periods import kept
from .settlements import lots_in, reduce_settlement

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
            if account.next_due is not None and account.next_due <= at:
                account.next_due = _earliest(account)
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


def remember_key(books: Books, seq: int, event: Recorded) -> None:
    """Remember the key of a command's first event, in the scope of its account, or for the catalogue of its owner."""
    if event.key is not None and event.fingerprint is not None:
        books.remember(_key_digest(books, event, event.key), bytes.fromhex(event.fingerprint), seq)


def _key_digest(books: Books, event: Recorded, key: str) -> bytes:
    match event:
        case PlanCreated() | AgentRegistered():
            return owner_key(event.owner, key)
        case PlanRepriced() | PlanRetired():
            return owner_key(books.plans[event.plan].terms.owner, key)
        case AgentRetired():
            return owner_key(books.agents[event.agent].terms.owner, key)
        case _:
            return account_key(books.account_of(event), key)


def owner_key(owner: str, key: str) -> bytes:
    """The digest of a catalogue command's key, scoped to the builder."""
    return digest(f"owner {owner}", key)


def account_key(account: int, key: str) -> bytes:
    """The digest of a key, scoped to its account."""
    return digest(f"account {account}", key)


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


def payment_digest(funding: Funding, payment: str) -> bytes | None:
    """Under what the books remember a payment for ever: the escrow's purchase, or its own id; None without either."""
    if isinstance(funding, EscrowFunding):
        escrow = funding.escrow
        return digest(f"{len(escrow.chain)} {escrow.chain} {escrow.contract}", escrow.purchase)
    return digest("payment", payment) if payment else None


def fact_digest(fact: Fact) -> bytes:
    """Under what the books remember for ever what a chain said."""
    return digest(f"fact {len(fact.chain)} {fact.chain} {fact.contract}", fact.id)


def late_until(plan: Plan, request: OpenRequest) -> int:
    """Until when an expired request may still be charged, half-open."""
    return request.deadline + plan.terms.late_seconds * SECOND


def apply(account: Account, plan: Plan, seq: int, at: int, event: Recorded) -> None:
    """Apply an account's event to the account alone."""
    match event:
        case Charged():
            _charged(account, plan, seq, at, event)
        case Requested():
            if account.requests is NOTHING:
                account.requests = {}
            account.requests[seq] = OpenRequest(
                seq, at, event.deadline, event.agent, event.tariff, {**event.estimate}, {**event.labels}, event.draws
            )
            _hold(account, event.draws)
            _arrive(account, plan, at)
            _wake(account, event.deadline)
        case Extended():
            account.requests[event.request].deadline = event.deadline
            _wake(account, event.deadline)
        case Released():
            request = account.requests[event.request]
            _unhold(account, request)
            _close(account, request)
            if event.reason == "expired":
                request.draws = ()
                account.late = {**account.late, request.id: request}
        case Purchased():
            _purchased(account, plan, seq, at, event)
        case Started():
            _started(account, account.lots[event.lot], event)
        case Adjusted():
            _adjusted(account, plan, seq, at, event)
        case Lapsed():
            lot = account.lots[event.lot]
            _take(account, lot, event.credits)
            lot.lapsed += event.credits
        case Withdrawn():
            _withdrawn(account, at, event)
        case Reversed():
            _reversed(account, account.lots[event.lot], at)
        case Frozen():
            account.frozen = True
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
    if account.next_due is not None and account.next_due <= at:
        account.next_due = _earliest(account)


def _earliest(account: Account) -> int | None:
    """The next instant at which time does something: a lot starts, a hold ends, credits expire."""
    lots = account.lots.values()
    starts = [lot.start for lot in lots if not lot.started]
    deadlines = [request.deadline for request in account.requests.values()]
    expiries = [lot.expiry for lot in lots if lot.left and lot.expiry is not None]
    return min((*starts, *deadlines, *expiries), default=None)


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
    _wake(account, start)


def _started(account: Account, lot: Lot, event: Started) -> None:
    lot.started = True
    account.purchases = [*account.purchases[-1:], (lot.start, lot.id)]
    _put(account, lot, lot.credits)
    paid = total(event.draws)
    account.debt -= paid
    _take(account, lot, paid)
    while paid:
        debt = account.debts[0]
        part = min(paid, debt.credits)
        _repay(account, lot, debt, part)
        debt.credits -= part
        paid -= part
        if not debt.credits:
            account.debts.pop(0)


def _repay(account: Account, lot: Lot, debt: Debt, credits: int) -> None:
    """A debt draw becomes the lot's: of an open request it is held there, of anything else it is spent."""
    if (request := account.requests.get(debt.source)) is not None:
        lot.held += credits
        request.draws = _relabel(request.draws, lot.id, credits)
        return
    lot.spent += credits
    if debt.source:
        correction = _correction(account, debt.source)
        correction.draws = (*correction.draws, (0, -credits), (lot.id, credits))
    if (meter := account.meters.get(debt.period)) is not None:
        _undraw(meter, 0, credits)
        _draw(meter, lot.id, credits)


def _relabel(draws: Draws, lot: int, credits: int) -> Draws:
    """Draws in which the first `credits` drawn on debt are drawn on `lot` instead."""
    changed: list[tuple[int, int]] = []
    for name, amount in draws:
        part = min(amount, credits) if name == 0 else 0
        credits -= part
        changed += [(lot, part)] if part else []
        changed += [(name, amount - part)] if amount > part else []
    return tuple(changed)


def _withdrawn(account: Account, at: int, event: Withdrawn) -> None:
    for name, credits in event.draws:
        lot = account.lots[name]
        _take(account, lot, credits)
        lot.withdrawn += credits
    for name, money in event.money.items():
        lot = account.lots[name]
        lot.refunded += money
        if lot.escrow is not None:
            _keep_unpaid(account, unpaid_name(lot.escrow.chain, lot.escrow.contract, lot.asset), money)
        if not lot.started:
            if lot.refunded == lot.cost:
                del account.lots[name]  # it leaves whole, before it counted anywhere
        elif not lot.credits:
            lot.expiry = _ended(lot, at)
    if event.fact is not None:
        place = event.fact.chain, event.fact.contract, event.asset
        _keep_unpaid(account, unpaid_name(*place), -event.paid)
        for lot in lots_in(account, *place):
            if lot.started:
                lot.expiry, lot.exited = _ended(lot, at), True


def unpaid_name(chain: str, contract: str, asset: str) -> str:
    """Under what an account keeps the money that left its lots and that a chain still holds."""
    return f"{len(chain)} {len(contract)} {chain} {contract} {asset}"


def _keep_unpaid(account: Account, escrow: str, change: int) -> None:
    """A chain holds so much more (or, below 0, less) of what left the account's lots."""
    rest = account.unpaid.get(escrow, 0) + change
    others = {name: money for name, money in account.unpaid.items() if name != escrow}
    account.unpaid = {**others, escrow: rest} if rest > 0 else others or NOTHING


def _ended(lot: Lot, at: int) -> int:
    """The expiry of a lot that is over at a time, if it was not before."""
    return at if lot.expiry is None else min(lot.expiry, at)


def _reversed(account: Account, lot: Lot, at: int) -> None:
    if lot.escrow is not None:
        # the chain never had the money
        _keep_unpaid(account, unpaid_name(lot.escrow.chain, lot.escrow.contract, lot.asset), -lot.refunded)
    if not lot.started:
        del account.lots[lot.id]
        return
    rest, spent = lot.left, lot.spent
    _take(account, lot, rest)
    _owe(account, lot.id, spent, "")
    for request in account.requests.values():
        held = sum(credits for name, credits in request.draws if name == lot.id)
        if held:
            request.draws = tuple((0 if name == lot.id else name, credits) for name, credits in request.draws)
            _owe(account, request.id, held, "")
    lot.withdrawn += rest + spent + lot.held
    lot.spent = lot.held = 0
    lot.refunded = lot.cost
    lot.reversed = True
    if not lot.credits:
        lot.expiry = _ended(lot, at)


# -- requests and charges ----------------------------------------------------------------------------------------------


def _arrive(account: Account, plan: Plan, at: int) -> None:
    """GCRA: the theoretical arrival time of the next request, in microseconds times the limit's requests (so that it
    stays whole). ITU-T I.371, virtual scheduling."""
    if (rate := plan.terms.limits.rate) is not None:
        account.arrival = max(account.arrival, at * rate.requests) + rate.seconds * SECOND


def _hold(account: Account, draws: Draws) -> None:
    for name, credits in draws:
        lot = account.lots[name]
        _take(account, lot, credits)
        lot.held += credits
        account.held += credits


def _unhold(account: Account, request: OpenRequest) -> None:
    for name, credits in request.draws:
        account.held -= credits
        if name:
            lot = account.lots[name]
            lot.held -= credits
            _put(account, lot, credits)
        else:
            _forgive(account, request.id, credits)


def _charged(account: Account, plan: Plan, seq: int, at: int, event: Charged) -> None:
    draws = event.draws
    _spend(account, _charge_request(account, seq, event) if event.request else draws, seq, event.period)
    if (limit := plan.terms.limits.credits) is not None:
        _count(account, limit, at, event.credits)
    meters = account.meters
    meter = (
        meters[event.period] if len(meters) == 1 and event.period in meters else _meter(account, plan, at, event.period)
    )
    meter.charged, meter.net, usage = True, meter.net + event.credits, meter.usage
    for dimension, units in event.usage.items():
        if units:
            usage[dimension] = usage.get(dimension, 0) + units
    drawn = meter.drawn
    for name, credits in draws:
        drawn[name] = drawn.pop(name, 0) + credits  # as `_draw`


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
            _forgive(account, request.id, credits)
            _owe(account, seq, credits, event.period)
    request.draws, request.charged = rest, True
    request.usage = add_usage(request.usage, event.usage)
    request.labels = {**event.labels}
    if event.deadline is not None:
        request.deadline = event.deadline
        _wake(account, event.deadline)
    if event.final:
        _unhold(account, request)
        _close(account, request)
    return consume(event.draws, total(taken))[1]


def _close(account: Account, request: OpenRequest) -> None:
    """A closed request leaves nothing behind."""
    del account.requests[request.id]
    if not account.requests:
        account.requests = NOTHING


def _count(account: Account, limit: CreditsLimit, at: int, credits: int) -> None:
    """Credits charged in the plan's current window."""
    window = at // (limit.seconds * SECOND)
    if window != account.window:
        account.window, account.window_credits = window, 0
    account.window_credits += credits


def _meter(account: Account, plan: Plan, at: int, period: str) -> Meter:
    """The period's meter; those of periods that are no longer kept are dropped."""
    meters = account.meters
    periods = kept(plan.terms.period, account.purchases, at)
    for name in [name for name in meters if name not in periods]:
        del meters[name]
    return meters.setdefault(period, Meter())


# -- adjustments -------------------------------------------------------------------------------------------------------


def _adjusted(account: Account, plan: Plan, seq: int, at: int, event: Adjusted) -> None:
    period = event.period or event.metered
    if event.credits > 0:
        _spend(account, event.draws, event.charge, period)
    else:
        _give_back(account, at, event)
    if event.charge:
        correction = _correction(account, event.charge)
        sign = 1 if event.credits > 0 else -1
        correction.credits += event.credits
        correction.usage = add_usage(correction.usage, event.usage)
        correction.draws = (*correction.draws, *((name, sign * credits) for name, credits in event.draws))
    if (request := account.requests.get(event.request)) is not None:
        request.usage = add_usage(request.usage, event.usage)
    if period and (period in account.meters or event.usage):
        meter = _meter(account, plan, at, period)
        meter.usage = add_usage(meter.usage, event.usage)
        meter.charged = meter.charged or bool(event.usage)
        meter.net += event.credits
        for name, credits in event.draws:
            (_draw if event.credits > 0 else _undraw)(meter, name, credits)


def _give_back(account: Account, at: int, event: Adjusted) -> None:
    for name, credits in event.draws:
        if name == 0:
            _forgive(account, event.charge, credits)
            continue
        lot = account.lots[name]
        if event.expiry is not None and lot.expiry is not None and lot.expiry <= at and not lot.exited:
            lot.expiry = event.expiry
        lot.spent -= credits
        _put(account, lot, credits)


def _correction(account: Account, charge: int) -> Correction:
    if account.corrections is NOTHING:
        account.corrections = {}
    return account.corrections.setdefault(charge, Correction())


# -- what lots, debts and meters go through ----------------------------------------------------------------------------


def _put(account: Account, lot: Lot, credits: int) -> None:
    """Credits come to a lot's left; the lot joins the burn order if it had none."""
    if lot.expiry is not None:
        _wake(account, lot.expiry)
    if credits and not lot.left:
        insort(account.burn, lot.id, key=lambda name: account.lots[name].burn_order)
    lot.left += credits
    account.left += credits


def _take(account: Account, lot: Lot, credits: int) -> None:
    """Credits leave a lot's left; the lot leaves the burn order with its last."""
    lot.left -= credits
    account.left -= credits
    if not lot.left and credits:
        account.burn.remove(lot.id)


def _spend(account: Account, draws: Draws, source: int, period: str) -> None:
    for name, credits in draws:
        if name:
            lot = account.lots[name]
            lot.spent += credits
            lot.left -= credits
            account.left -= credits
            if not lot.left:
                account.burn.remove(name)
        else:
            _owe(account, source, credits, period)


def _owe(account: Account, source: int, credits: int, period: str) -> None:
    if credits:
        account.debts.append(Debt(source, credits, period))
        account.debt += credits


def _forgive(account: Account, source: int, credits: int) -> None:
    """Debt goes down, latest first: that of `source`; then of reversed lots; then any other that is not held."""
    account.debt -= credits
    own = [debt for debt in reversed(account.debts) if debt.source == source]
    others = [debt for debt in reversed(account.debts) if debt.source not in (source, *account.requests)]
    others.sort(key=lambda debt: debt.source not in account.lots)
    for debt in (*own, *others):
        part = min(debt.credits, credits)
        debt.credits -= part
        credits -= part
    account.debts = [debt for debt in account.debts if debt.credits]


def _draw(meter: Meter, lot: int, credits: int) -> None:
    meter.drawn[lot] = meter.drawn.pop(lot, 0) + credits  # the latest drawn stands last


def _undraw(meter: Meter, lot: int, credits: int) -> None:
    rest = meter.drawn.get(lot, 0) - credits
    if rest > 0:
        meter.drawn[lot] = rest
    else:
        meter.drawn.pop(lot, None)


def _wake(account: Account, instant: int) -> None:
    """Time has something to do at `instant`, if not before."""
    if account.next_due is None or instant < account.next_due:
        account.next_due = instant
