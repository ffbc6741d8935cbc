"""What the engine writes is clean: random commands on plans of every kind, audited at the end, in every way.

The audit computes everything again by itself, so this holds two writings of the same rules to each other: holds by
exposure, debts that returning credits pay, corrections that know the shortfall, windows, limits, reversals.
"""

from contextlib import closing

import pytest
from every_way import audit
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from plan_terms import consistent

from ledger import (
    Adjust,
    Charge,
    CreatePlan,
    CreditsLimit,
    Extend,
    Freeze,
    Give,
    Ledger,
    Limits,
    OpenSettlement,
    Purchase,
    RateLimit,
    Release,
    RepricePlan,
    Request,
    Reverse,
    Unfreeze,
    Withdraw,
)
from ledger.commands import Exit, Reinstate
from ledger.events import Escrow, EscrowFunding, Fact
from ledger.stores.memory import MemoryStore

pytestmark = pytest.mark.smoke

SECOND = 1_000_000
BEGIN = 1_701_388_680 * SECOND  # two minutes before December 2023
WHO = {"subscriber": "ann", "plan": "plan"}
PLACE = {"chain": "mock:local", "contract": "c"}

TARIFFS = (
    ("per_credit", {"credits": 2}),
    ("per_credit", {"credits": 1, "per": "call"}),
    ("complexity", {"weights": {"units": "2/3"}, "models": {"big": {"units": 2}}, "minimum": 2}),
    ("graduated", {"dimension": "units", "tiers": [{"up_to": 5, "unit": 1, "flat": 2}, {"up_to": None, "unit": 3}]}),
    ("graduated", {"dimension": "units", "tiers": [{"up_to": 6, "unit": 3}, {"up_to": None, "unit": "1/2"}]}),
    ("volume", {"dimension": "units", "tiers": [{"up_to": 7, "unit": 3}, {"up_to": None, "unit": 1}]}),
    ("volume", {"dimension": "units", "tiers": [{"up_to": 4, "unit": 1}, {"up_to": None, "unit": 2, "flat": 3}]}),
    ("package", {"dimension": "units", "size": 4, "credits": 3, "free": 2}),
)

few = st.integers(0, 3)
usages = st.dictionaries(st.sampled_from(["units", "units", "calls", "typo"]), st.integers(0, 9), max_size=2)
labels = st.sampled_from([{}, {}, {"model": "big"}])
moments = st.none() | st.integers(-20, 90)
plans = st.fixed_dictionaries(
    {
        "price": st.sampled_from([{}, {"acme": 950, "eve": 30, "fee": 20}, {"acme": 7, "fee": 1}]),
        "size": st.sampled_from([(12, 0), (30, 0), (30, 60), (0, 60), (1_000, 0)]),
        "tariff": st.sampled_from(TARIFFS),
        "on_lapse": st.sampled_from(["earn", "refund"]),
        "overrun": st.sampled_from(["cap", "debt"]),
        "debt_limit": st.integers(0, 12),
        "hold_seconds": st.integers(1, 40),
        "late_seconds": st.integers(0, 60),
        "period": st.sampled_from(["month", "day", "purchase", "forever"]),
        "unpriced": st.sampled_from(["refuse", "free"]),
        "limits": st.sampled_from(
            [Limits(), Limits(), Limits(rate=RateLimit(2, 20)), Limits(open=2), Limits(credits=CreditsLimit(20, 60))]
        ),
    }
).map(consistent)
commands = st.one_of(
    st.tuples(st.just("buy"), st.sampled_from(["none", "direct", "escrow"]), moments),
    st.tuples(st.just("give"), st.integers(0, 9), st.sampled_from([0, 0, 30]), moments),
    st.tuples(st.just("ask"), usages, labels),
    st.tuples(st.just("ask"), usages, labels),
    st.tuples(st.just("charge"), few, usages, labels, st.booleans(), moments),
    st.tuples(st.just("charge"), few, usages, labels, st.booleans(), moments),
    st.tuples(st.just("charge_directly"), usages, labels, moments),
    st.tuples(st.just("release"), few),
    st.tuples(st.just("extend"), few, st.integers(1, 60)),
    st.tuples(st.just("correct"), few, st.integers(-9, 9).filter(bool), moments),
    st.tuples(st.just("correct_usage"), few, st.integers(-9, 9).filter(bool)),
    st.tuples(st.just("correct_period"), st.integers(-9, 9).filter(bool), st.booleans()),
    st.tuples(st.just("withdraw"), st.none() | st.integers(1, 5)),
    st.tuples(st.just("reverse"), few, st.none() | st.integers(1, 600)),
    st.tuples(st.just("reinstate"), few),
    st.tuples(st.just("freeze")),
    st.tuples(st.just("unfreeze")),
    st.tuples(st.just("reprice"), st.sampled_from(TARIFFS)),
    st.tuples(st.just("settle")),
    st.tuples(st.just("leave"), st.integers(0, 900)),
    st.tuples(st.just("wait"), st.sampled_from([1, 7, 30, 61, 200])),
)


class Run:
    """Commands on one account; lots, requests and charges are counted back from the latest. Refusals are answers."""

    def __init__(self, terms):
        self.now, self.store = BEGIN, MemoryStore(id="random")
        self.ledger = Ledger(self.store, lambda: self.now)
        self.lots, self.requests, self.charges, self.purchases, self.left = [], [], [], 0, False
        policy, parameters = terms.pop("tariff")
        credits, seconds = terms.pop("size")
        said = {**terms, "credits": credits, "seconds": seconds, "policy": policy, "parameters": parameters}
        self.say(CreatePlan(plan="plan", owner="acme", longest_seconds=300, **said))

    def say(self, command, made=None):
        answer = self.ledger.execute(command)
        if answer and made is not None:
            made.append(answer.seq)

    def moment(self, seconds):
        return None if seconds is None else self.now + seconds * SECOND

    def buy(self, funding, start):
        self.purchases += 1
        if funding == "escrow":
            funding = EscrowFunding(Escrow(**PLACE, purchase=f"p{self.purchases}"))
        self.say(Purchase(**WHO, funding=funding, start=self.moment(start)), self.lots)

    def give(self, credits, seconds, expiry):
        self.say(Give(**WHO, credits=credits, seconds=seconds, expiry=self.moment(expiry)), self.lots)

    def ask(self, estimate, labels):
        self.say(Request(**WHO, estimate=estimate, labels=labels), self.requests)

    def charge(self, back, usage, labels, final, occurred):
        request = back_from(self.requests, back)
        moment = self.moment(occurred)
        self.say(Charge(request=request, usage=usage, labels=labels, final=final, occurred_at=moment), self.charges)

    def charge_directly(self, usage, labels, occurred):
        self.say(Charge(**WHO, usage=usage, labels=labels, occurred_at=self.moment(occurred)), self.charges)

    def release(self, back):
        self.say(Release(request=back_from(self.requests, back)))

    def extend(self, back, seconds):
        self.say(Extend(request=back_from(self.requests, back), seconds=seconds))

    def correct(self, back, credits, expiry):
        self.say(Adjust(charge=back_from(self.charges, back), credits=credits, expiry=self.moment(expiry)))

    def correct_usage(self, back, units):
        self.say(Adjust(charge=back_from(self.charges, back), usage={"units": units}))

    def correct_period(self, amount, by_usage):
        periods = ["2023-11", "2023-12", "2023-11-30", "2023-12-01", "forever", "0", *map(str, self.lots[-2:])]
        what = {"usage": {"units": amount}} if by_usage else {"credits": amount}
        for period in periods:
            self.say(Adjust(**WHO, period=period, **what))

    def withdraw(self, credits):
        self.say(Withdraw(**WHO, credits=credits))

    def reverse(self, back, amount):
        self.say(Reverse(**WHO, lot=back_from(self.lots, back), amount=amount))

    def reinstate(self, back):
        self.say(Reinstate(**WHO, lot=back_from(self.lots, back)))

    def freeze(self):
        self.say(Freeze(**WHO))

    def unfreeze(self):
        self.say(Unfreeze(**WHO))

    def reprice(self, tariff):
        policy, parameters = tariff
        self.say(RepricePlan(plan="plan", policy=policy, parameters=parameters))

    def settle(self):
        self.say(OpenSettlement(**PLACE, asset="USD"))

    def leave(self, amount):
        if not self.left:
            self.say(Exit(**WHO, fact=Fact(**PLACE, id="exit"), asset="USD", amount=amount))
            self.left = True

    def wait(self, seconds):
        self.now += seconds * SECOND


def back_from(numbers, n):
    return numbers[-1 - n % len(numbers)] if numbers else 10**9


@examples(100)
@given(plans, st.lists(commands, min_size=5, max_size=30))
def test_what_random_commands_wrote_is_clean(terms, said):
    run = Run({**terms})
    with closing(run.ledger):
        run.buy("escrow", None)
        for verb, *words in said:
            getattr(run, verb)(*words)
        run.wait(500)
        run.ledger.tick()
        assert audit(run.store).findings == ()
