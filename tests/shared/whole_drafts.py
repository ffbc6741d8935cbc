"""What the state machine asks for: commands drawn at random, small enough that they collide.

A draft is a command that says its references relatively, since sequence numbers and times are only known in the run:
`request`, `charge` and `lot` count back from the latest of their kind (1), `start`, `expiry` and `occurred_at` count
seconds from now, `period` is 0 for the current one, 1 for the one before, and -1 for one that is long over.
"""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace
from whole_accounts import SECOND
from whole_model import Model

from ledger.commands import (
    Adjust,
    Charge,
    CreatePlan,
    Extend,
    Freeze,
    Give,
    Purchase,
    RegisterAgent,
    Reinstate,
    Release,
    RepricePlan,
    Request,
    RetireAgent,
    RetirePlan,
    Reverse,
    Tick,
    Unfreeze,
    UpdateAgent,
    Withdraw,
)
from ledger.events import CreditsLimit, Endpoint, Limits, RateLimit

NEVER = 1_000_000_000
"""Stands for a reference to something that is not there."""

ENDPOINT = "https://bot.example/ask"
TIERS = [{"up_to": 5, "unit": "3/2", "flat": 2}, {"up_to": None, "unit": "1/2", "flat": 1}]
RISING = [{"up_to": 6, "unit": "1/2"}, {"up_to": 14, "unit": "1", "flat": 1}, {"up_to": None, "unit": "5/2"}]
CHEAPER = [{"up_to": 6, "unit": "2", "flat": 0}, {"up_to": None, "unit": "1/2", "flat": 1}]
UP_AND_DOWN = [
    {"up_to": 4, "unit": "1"},
    {"up_to": 8, "unit": "3"},
    {"up_to": 12, "unit": "1"},
    {"up_to": None, "unit": "2"},
]
BY_MODEL = {"weights": {"tokens": "1"}, "models": {"big": {"tokens": "3", "calls": "1/2"}}}
TARIFFS: list[tuple[str, dict[str, Any]]] = [
    ("per_credit", {"credits": 2}),
    ("per_credit", {"credits": 1, "per": "call"}),
    ("complexity", {"weights": {"tokens": "2/3", "calls": "1"}, "minimum": 2, "maximum": 9}),
    ("complexity", {"weights": {"tokens": "1"}}),
    ("graduated", {"dimension": "tokens", "tiers": TIERS}),
    ("volume", {"dimension": "tokens", "tiers": CHEAPER}),
    ("package", {"dimension": "tokens", "size": 4, "credits": 3, "free": 2}),
    ("graduated", {"dimension": "tokens", "tiers": RISING}),
    ("volume", {"dimension": "tokens", "tiers": UP_AND_DOWN}),
    ("package", {"dimension": "calls", "size": 3, "credits": 4}),
    ("complexity", BY_MODEL),
    ("cost_plus", {"costs": {"tokens": "2/3", "calls": "1/4"}, "margin": "1/5"}),
]
HUGE = 2**62


def kind(tariff: int, **terms: Any) -> CreatePlan:
    """A plan that has no name yet."""
    policy, parameters = TARIFFS[tariff]
    usual = {"price": {"bob": 7, "fee": 1}, "hold_seconds": 10, "longest_seconds": 25, "late_seconds": 20}
    usual |= {"parameters": parameters, "unpriced": "free"}
    return CreatePlan(plan="?", owner="bob", policy=policy, **(usual | terms))


LASTING = {"hold_seconds": 90_000, "longest_seconds": 3_000_000}
"""Requests that stay open over the ends of days and months."""

CAPPED = kind(3, credits=10, limits=Limits(open=2), period="day", unpriced="refuse")
OWING = kind(1, credits=8, overrun="debt", debt_limit=6)
HYBRID = kind(4, credits=12, seconds=40, on_lapse="refund", limits=Limits(credits=CreditsLimit(15, 30)))
TIERED = kind(5, credits=40, overrun="debt", debt_limit=9, period="day")
DEARER = kind(7, credits=45, **LASTING)
WAVY = kind(8, credits=40, period="day", **LASTING)
PACKED = kind(6, credits=20, period="purchase", price={"bob": 950, "fee": 30, "eve": 20})
TRIAL = kind(0, credits=5, price={}, trial=True, limits=Limits(rate=RateLimit(2, 8)))
WINDOW = CreatePlan(plan="?", owner="bob", price={"bob": 100}, seconds=60, late_seconds=20)
ENDLESS = kind(
    1, credits=HUGE, parameters={"credits": 2**59, "per": "call"}, price={"bob": 10**20, "fee": 3}, overrun="debt"
)

odd_kinds = st.builds(
    kind,
    st.integers(0, len(TARIFFS) - 1),
    price=st.dictionaries(st.sampled_from(["bob", "fee", "eve"]), st.integers(0, 10**20), max_size=3),
    credits=st.integers(1, 20),
    seconds=st.sampled_from([0, 0, 15, 50]),
    priority=st.integers(-1, 1),
    on_lapse=st.sampled_from(["earn", "refund"]),
    overrun=st.sampled_from(["cap", "debt"]),
    debt_limit=st.integers(0, 8),
    hold_seconds=st.integers(1, 20),
    longest_seconds=st.integers(20, 40),
    late_seconds=st.integers(0, 40),
    period=st.sampled_from(["month", "day", "purchase", "forever"]),
    limits=st.builds(
        Limits,
        rate=st.none() | st.builds(RateLimit, st.integers(1, 3), st.sampled_from([6, 12])),
        credits=st.none() | st.builds(CreditsLimit, st.integers(0, 20), st.integers(5, 40)),
        open=st.none() | st.integers(1, 3),
    ),
    record_refusals=st.booleans(),
    record_lines=st.booleans(),
    unpriced=st.sampled_from(["refuse", "free"]),
    key_seconds=st.sampled_from([1, 20, 35 * 86_400]),
).map(lambda plan: plan if plan.overrun == "debt" else replace(plan, debt_limit=0))
usual_kinds = st.sampled_from([CAPPED, OWING, HYBRID, TIERED, DEARER, WAVY, PACKED, TRIAL, WINDOW, ENDLESS])
kinds = usual_kinds | odd_kinds
offers = st.tuples(kinds, kinds, kinds).map(
    lambda three: [replace(plan, plan=name) for name, plan in zip("abc", three, strict=True)]
)
"""Three plans, `a` to `c`."""

few = st.integers(0, 12)
back = st.integers(1, 4)
keys = st.sampled_from([None] * 8 + ["k", "l"])
on_sale = st.sampled_from("aaabbc")
accounts = {"subscriber": st.sampled_from(["ann"] * 5 + ["ben"]), "plan": on_sale}
usages = st.dictionaries(st.sampled_from(["tokens", "calls"]), st.integers(1, 9), max_size=2)
labels = st.sampled_from([{}, {}, {"model": "big"}, {"model": "unheard of"}])
deltas = st.dictionaries(st.sampled_from(["tokens", "calls"]), st.integers(-6, 6).filter(bool), min_size=1, max_size=2)
periods = st.sampled_from(["0", "0", "0", "1", "1", "-1"])
soon = st.none() | st.integers(-5, 70)
given = st.none() | st.integers(1, 70)
agents = st.sampled_from([""] * 8 + ["bot", "bot", "other", "nobody"])
urls = st.sampled_from(["", "", "", ENDPOINT, "https://bot.example/not"])

payments = st.sampled_from([""] * 6 + ["paid", "wired"])
purchases = st.builds(Purchase, **accounts, start=st.none() | st.none() | st.integers(-5, 40), key=keys) | st.builds(
    Purchase, **accounts, payment=payments
)
gifts = st.builds(
    Give,
    **accounts,
    credits=few,
    seconds=st.sampled_from([0, 0, 20]),
    start=soon,
    expiry=given,
    priority=st.none() | st.integers(-1, 1),
)
withdrawals = st.builds(Withdraw, **accounts, lot=st.integers(0, 3), credits=few | few | st.none())
amounts = st.none() | st.integers(1, 9) | st.sampled_from([100, 500, 1000, 10**19])
reversals = st.builds(Reverse, **accounts, lot=back, amount=amounts) | st.builds(
    Reverse, **accounts, payment=payments, amount=amounts
)
reinstatements = st.builds(Reinstate, **accounts, lot=back) | st.builds(Reinstate, **accounts, payment=payments)
requests = st.builds(Request, **accounts, agent=agents, url=urls, estimate=usages, labels=labels, key=keys)
occurred = st.none() | st.integers(-90_000, 90)
charges = st.builds(Charge, request=back, usage=usages, final=st.booleans(), occurred_at=occurred, key=keys)
direct_charges = st.builds(
    Charge,
    **accounts,
    agent=agents,
    usage=usages,
    labels=labels,
    occurred_at=occurred,
    key=keys,
)
endings = st.builds(Release, request=back, reason=st.sampled_from(["voided", "failed"])) | st.builds(
    Extend, request=back, seconds=st.integers(0, 30)
)
crowds = st.lists(st.builds(Request, **accounts, estimate=usages, labels=labels), min_size=2, max_size=4)
ends = st.lists(charges | charges | st.builds(Release, request=back), min_size=2, max_size=7)
corrections = st.builds(Adjust, charge=back, credits=st.integers(-9, 9).filter(bool), expiry=given) | st.builds(
    Adjust, charge=back, usage=deltas, expiry=given
)
period_corrections = st.builds(
    Adjust, **accounts, period=periods, credits=st.integers(-9, 9).filter(bool), expiry=given
) | st.builds(Adjust, **accounts, period=periods, usage=deltas)
tariffs = st.sampled_from(TARIFFS)
repricings = st.builds(
    lambda plan, tariff: RepricePlan(plan=plan, policy=tariff[0], parameters=tariff[1]), on_sale, tariffs
)
catalogue = st.one_of(
    repricings,
    st.builds(RetirePlan, plan=st.sampled_from(["b", "c", "nowhere"])),
    st.builds(RetireAgent, agent=st.sampled_from(["other", "nobody"])),
    st.builds(UpdateAgent, agent=st.sampled_from(["bot", "other"]), plans=st.lists(on_sale, unique=True).map(tuple)),
)
nonsense = st.sampled_from(
    [
        Purchase(subscriber="ann", plan="nowhere"),
        Request(subscriber="nobody", plan="a"),
        Request(subscriber="ann", plan="nowhere", agent="nobody"),
        Give(subscriber="ann", plan="a"),
        Charge(request=NEVER, usage={"tokens": 1}),
        Charge(usage={"tokens": 1}),
        Charge(request=1, agent="bot"),
        CreatePlan(plan="a", owner="bob", credits=1),
        RegisterAgent(agent="bot", owner="eve"),
        Charge(subscriber="ann", plan="a", final=False),
        Extend(request=NEVER, seconds=1),
        Release(request=NEVER),
        Adjust(charge=NEVER, credits=1),
        Adjust(charge=1, credits=1, usage={"tokens": 1}),
        Adjust(charge=1),
        Adjust(credits=1),
        Adjust(charge=1, subscriber="ann", credits=1),
        Adjust(charge=1, credits=-1, expiry=-1),
    ]
)
spans = st.sampled_from([1, 2, 3, 5, 8, 11] * 2 + [20, 30, 60, 100, 86_400, 20 * 86_400, 32 * 86_400])
frozen = {"subscriber": st.sampled_from(["ann", "ben", "nobody"]), "plan": st.sampled_from(["b", "c"])}
freezes = st.builds(Freeze, **frozen)
thaws = st.builds(Unfreeze, **frozen)
ticks = st.just(Tick())
everything = st.one_of(
    purchases,
    gifts,
    requests,
    charges,
    direct_charges,
    endings,
    corrections,
    period_corrections,
    withdrawals,
    reversals,
    reinstatements,
    catalogue,
    nonsense,
    ticks,
)

AGENTS = (
    RegisterAgent(agent="bot", owner="bob", plans=("a", "b"), endpoints=(Endpoint("*", ENDPOINT),)),
    RegisterAgent(agent="other", owner="eve", plans=("b", "c")),
)


@dataclass
class Names:
    """The sequence numbers that one ledger gave, and so what a draft's references mean there."""

    lots: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    requests: list[int] = field(default_factory=list)
    charges: list[int] = field(default_factory=list)

    @property
    def numbers(self) -> list[int]:
        """All that readings name: lots and requests."""
        return [*(lot for lots in self.lots.values() for lot in lots), *self.requests]

    def spell_out(self, draft: Any, now: int, model: Model, learnt_from: "Names") -> Any:
        """The command that the draft means, at this moment of this ledger. The model has its numbers from another."""
        said: dict[str, Any] = {}
        for name in {"start", "expiry", "occurred_at"} & set(draft.__struct_fields__):
            if (seconds := getattr(draft, name)) is not None:
                said[name] = max(0, now + seconds * SECOND)
        if getattr(draft, "request", 0):
            said["request"] = nth_back(self.requests, draft.request)
        if getattr(draft, "charge", 0):
            said["charge"] = nth_back(self.charges, draft.charge)
        if getattr(draft, "lot", 0):
            said["lot"] = nth_back(self.lots.get((draft.subscriber, draft.plan), []), draft.lot)
        if getattr(draft, "period", "") and isinstance(draft, Adjust):
            period = model.periods((draft.subscriber, draft.plan), now)[int(draft.period)]
            mine = zip(learnt_from.numbers, self.numbers, strict=True)
            said["period"] = next((str(number) for theirs, number in mine if str(theirs) == period), period)
        return replace(draft, **said)

    def learn(self, command: Any, seq: int) -> None:
        """The answer to a command that makes something names it."""
        if isinstance(command, Purchase | Give):
            self.lots.setdefault((command.subscriber, command.plan), []).append(seq)
        elif isinstance(command, Request):
            self.requests.append(seq)
        elif isinstance(command, Charge):
            self.charges.append(seq)

    def in_terms_of(self, other: "Names", read: dict[str, Any]) -> dict[str, Any]:
        """What this ledger says of an account, in the other's numbers."""
        number = dict(zip(self.numbers, other.numbers, strict=True))
        return read | {
            table: [row | {"id": number[row["id"]]} for row in read[table]] for table in ("lots", "requests")
        }


def nth_back(numbers: list[int], n: int) -> int:
    """The n-th from the end, counting round where there are fewer."""
    return numbers[-1 - (n - 1) % len(numbers)] if numbers and n != NEVER else NEVER
