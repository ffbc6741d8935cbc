"""Commands of the catalogue: plans and agents."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from ..events import (
    DAY_SECONDS,
    KEY_SECONDS,
    MAX_DUE_DAYS,
    AgentRegistered,
    AgentRetired,
    AgentUpdated,
    BillingMode,
    Endpoint,
    Limits,
    Metering,
    OnLapse,
    OnOverdue,
    Overrun,
    PlanCreated,
    PlanRepriced,
    PlanRetired,
    Unpriced,
)
from .command import (
    MAX_SECONDS,
    AssetDecimals,
    Command,
    Name,
    Priority,
    Seconds,
    Text,
    WrittenCredits,
    WrittenPrice,
)


class CreatePlan(Command[PlanCreated], frozen=True, kw_only=True, tag="create_plan"):
    """Put a plan on sale: its price, what one purchase brings, its first tariff, and its rules.

    A plan grants credits, a window of time (`seconds`), or both. Amounts and the prices of `parameters` are whole
    numbers of the smallest unit, or text or a Decimal in whole credits (`credits="10.00"`) or in the asset
    (`price={"acme": "9.50"}`). With more `decimals` the same written prices are charged more finely.

    With `billing="postpaid"` nothing is bought in advance: `price` is the money of `credits`, what a subscriber has
    used is invoiced at the end of each `period`, and up to `credit_limit` may be owed.

    Fields:
        plan: Name of the plan, new in the ledger.
        owner: Name of the seller. It earns only what `price` names it for.
        asset: Asset of the price: an ISO 4217 code, or a token by its name on the chain.
        asset_decimals: Decimals of the asset: 2 if the smallest unit is a cent. None: as the ledger
            knows the asset already, else as in ISO 4217, else unknown.
        price: Money of one purchase, by receiver, in the asset's smallest unit, or written in the asset. A fee is one
            receiver's part. On a postpaid plan, the money of `credits` that were used.
        credits: Credits of one purchase. 0: the plan sells only time.
        seconds: Length in seconds of the window of one purchase, at whose end its credits expire. Windows of an account
            follow each other. 0: no window, and credits that do not expire.
        policy: Pricing policy of the first tariff, by name. None: `per_credit` (1 credit a request), or `time` without
            a rate if the plan sells only time.
        parameters: Parameters of the policy. Prices are exact: text ("0.001", "3.00 per million"), Decimals and
            Fractions are in credits, whole numbers in their smallest unit.
        decimals: Decimals of a credit. 2: amounts are hundredths of a credit, and prices are rounded up to hundredths.
        priority: Order in which lots are drawn: the lowest first, then the one that expires first.
        trial: True: a trial, which has no price and is sold once to a subscriber.
        on_lapse: Rule for the money of credits that expire unused. "earn": the receivers earn it. "refund": it is
            withdrawn with the credits.
        limits: Limits on requests. Charges are never limited.
        hold_seconds: Seconds from a request's admission, or from a partial charge, to its deadline; then it expires and
            its hold returns. From 1.
        longest_seconds: Seconds from a request's admission to the last deadline that it can be given. At least
            `hold_seconds`.
        late_seconds: Seconds after its deadline in which an expired request may still be charged, and after the end of
            access in which a direct charge is accepted. It does not decide the period: `Charge.occurred_at` does.
        overrun: Rule for the part of a charge that exceeds the available credits. "cap": it is not owed, and the
            charge's `shortfall` records it. "debt": it is owed up to `debt_limit`, and credits that come later pay it
            first.
        debt_limit: Credits that an account may owe under `overrun="debt"`. While it owes any, requests are refused
            (`in_debt`). Under "cap" it has no effect, and a warning says so.
        period: Metering period of policies with tiers or packages, and of invoices. "month" and "day": of the calendar,
            in UTC. "purchase": from one purchase to the next. "forever": one that never ends. A postpaid plan has a
            month or a day.
        record_refusals: True: refused requests are counted in the log, by events of type `refused`.
        record_lines: True: every charge has the lines of its price. False: only where they cannot be computed again.
        unpriced: Rule for units that no rate of the tariff reads. "refuse": a request with such an estimate is refused
            (`unpriced`), and finished work is charged for its other units. "free": they cost nothing.
        billing: "prepaid": credits are bought before they are used. "postpaid": subscribers use first, and are
            invoiced.
        credit_limit: Credits that a postpaid account may owe: used, held and invoiced. 0 on a prepaid plan, at least 1
            on a postpaid one.
        due_days: Days from the end of an invoice's period to its due time.
        overdue: Rule for requests while an invoice is overdue. "serve": they are admitted. "stop": they are refused
            (`overdue`).
        onchain_id: Id of the plan on a chain, if that is not its name; new in the ledger.
        key_seconds: Seconds for which the idempotency keys of the plan's accounts are remembered.

    Example:
        CreatePlan(
            plan="pro",
            owner="acme",
            price={"acme": "9.50", "platform": "0.50"},
            credits="1000.00",
            decimals=2,
            policy="complexity",
            parameters={"weights": {"output_tokens": "3.00 per thousand"}},
        )
        CreatePlan(
            plan="payg",
            owner="acme",
            price={"acme": "10.00"},
            credits=1_000,
            billing="postpaid",
            credit_limit=5_000,
            due_days=14,
        )
    """

    plan: Name
    owner: Name
    asset: Name = "USD"
    asset_decimals: AssetDecimals | None = None
    price: WrittenPrice = {}
    credits: WrittenCredits = 0
    seconds: Seconds = 0
    policy: Name | None = None
    parameters: dict[str, Any] = {}
    decimals: Annotated[int, Meta(ge=0, le=36)] = 0
    priority: Priority = 0
    trial: bool = False
    on_lapse: OnLapse = "earn"
    limits: Limits = Limits()
    hold_seconds: Seconds = 600
    longest_seconds: Seconds = DAY_SECONDS
    late_seconds: Seconds = DAY_SECONDS
    overrun: Overrun = "cap"
    debt_limit: WrittenCredits = 0
    period: Metering = "month"
    record_refusals: bool = False
    record_lines: bool = False
    unpriced: Unpriced = "refuse"
    billing: BillingMode = "prepaid"
    credit_limit: WrittenCredits = 0
    due_days: Annotated[int, Meta(ge=0, le=MAX_DUE_DAYS)] = 30
    overdue: OnOverdue = "serve"
    onchain_id: Text = ""
    key_seconds: Annotated[int, Meta(ge=1, le=MAX_SECONDS)] = KEY_SECONDS


class RepricePlan(Command[PlanRepriced], frozen=True, kw_only=True, tag="reprice_plan"):
    """Give a plan its next tariff. Requests admitted before keep the tariff of their admission.

    Fields:
        policy: Pricing policy of the new tariff, by name.
        parameters: Parameters of the policy, as in `CreatePlan`.

    Example:
        RepricePlan(
            plan="pro",
            policy="time",
            parameters={"credits_per_second": "1/60"},
        )
    """

    plan: Name
    policy: Name
    parameters: dict[str, Any] = {}


class RetirePlan(Command[PlanRetired], frozen=True, kw_only=True, tag="retire_plan"):
    """Stop selling a plan. Lots bought before may still be used.

    Example:
        RetirePlan(plan="pro")
    """

    plan: Name


class RegisterAgent(Command[AgentRegistered], frozen=True, kw_only=True, tag="register_agent"):
    """Offer an agent, a service, to subscribers of plans.

    Fields:
        agent: Name of the agent, new in the ledger.
        owner: Name of the agent's owner.
        plans: Names of the plans that it serves. A request or charge under another plan is refused
            (`agent_not_in_plan`).
        endpoints: Endpoints that requests may call. Empty: all are allowed.
        open_endpoints: Further endpoints that are allowed, where `endpoints` names any.
        metadata: Anything else about the agent, as JSON; nothing is decided by it.

    Example:
        RegisterAgent(
            agent="writer",
            owner="acme",
            plans=("pro",),
            endpoints=(Endpoint("POST", "https://api.acme.example/v1/*"),),
        )
    """

    agent: Name
    owner: Name
    plans: tuple[Name, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    open_endpoints: tuple[Endpoint, ...] = ()
    metadata: dict[str, Any] = {}


class UpdateAgent(Command[AgentUpdated], frozen=True, kw_only=True, tag="update_agent"):
    """Change an agent's terms. What is None stays as it is.

    Fields:
        plans: Names of all plans that it serves.
        endpoints: All endpoints that requests may call.
        open_endpoints: All further endpoints that are allowed.
        metadata: Anything else about the agent, as JSON.

    Example:
        UpdateAgent(agent="writer", plans=("pro", "payg"))
    """

    agent: Name
    plans: tuple[Name, ...] | None = None
    endpoints: tuple[Endpoint, ...] | None = None
    open_endpoints: tuple[Endpoint, ...] | None = None
    metadata: dict[str, Any] | None = None


class RetireAgent(Command[AgentRetired], frozen=True, kw_only=True, tag="retire_agent"):
    """Let an agent take no new requests.

    Example:
        RetireAgent(agent="writer")
    """

    agent: Name
