"""What is decided at a glance is what the rules decide: on accounts of every standing, and whatever is asked."""

from collections import Counter
from random import Random

from msgspec.structs import replace
from standing_clock import BEGIN, SECOND, Clock

from ledger import Adjust, Charge, CreatePlan, Ledger, Purchase, Request
from ledger.amounts import MAX_CREDITS
from ledger.commands import Command, Freeze, Give, Reinstate, RepricePlan, Reverse, Unfreeze
from ledger.decisions.charges import charge_directly
from ledger.decisions.context import Context
from ledger.decisions.fast_path import fast_charge

UNITS = {"weights": {"units": 1}}
HALVES = {"weights": {"units": "1/2"}, "models": {"big": {"units": 3}}, "minimum": 2}
TIERS = {"dimension": "units", "tiers": [{"up_to": 10, "unit": 2}, {"up_to": None, "unit": 1}]}
TARIFFS = [("complexity", UNITS), ("complexity", UNITS), ("complexity", HALVES), ("volume", TIERS)]


def a_plan(random: Random) -> CreatePlan:
    policy, parameters = random.choice(TARIFFS)
    overrun = random.choice(["cap", "debt"])
    return CreatePlan(
        plan="pro",
        owner="acme",
        credits=40,
        seconds=random.choice([0, 0, 30]),
        policy=policy,
        parameters=parameters,
        period=random.choice(["month", "day", "forever", "purchase"]),
        overrun=overrun,
        debt_limit=15 if overrun == "debt" else 0,
        record_lines=random.random() < 0.1,
        unpriced=random.choice(["refuse", "free"]),
    )


def a_charge(random: Random) -> Charge:
    units = random.choice([0, 1, 2, 3, 4, 5, 6, 7, 12, 41, MAX_CREDITS - 5])
    return Charge(
        subscriber="nobody" if random.random() < 0.05 else "ann",
        plan="none" if random.random() < 0.05 else "pro",
        usage={"units": units} if random.random() < 0.8 else {"free": random.choice([1, MAX_CREDITS - 9, 20])},
        labels=random.choice([{}, {"model": "big"}]),
        occurred_at=BEGIN - 86_400 * SECOND if random.random() < 0.1 else None,
    )


def an_act(random: Random) -> Command:
    if random.random() < 0.65:
        return a_charge(random)
    rare = [
        Purchase(subscriber="ann", plan="pro"),
        Give(subscriber="ann", plan="pro", credits=5, priority=-1, expiry=BEGIN + random.choice([9, 20, 90]) * SECOND),
        Request(subscriber="ann", plan="pro", estimate={"units": 6}),
        Adjust(subscriber="ann", plan="pro", period="forever", usage={"free": MAX_CREDITS - 20}),
        RepricePlan(plan="pro", policy="per_credit", parameters={"credits": 3}),
        RepricePlan(plan="pro", policy="complexity", parameters=UNITS),
        RepricePlan(plan="pro", policy="volume", parameters=TIERS),
        Reverse(subscriber="ann", plan="pro", lot=2),
        Reinstate(subscriber="ann", plan="pro", lot=2),
        Freeze(subscriber="ann", plan="pro"),
        Unfreeze(subscriber="ann", plan="pro"),
    ]
    return random.choices(rare, weights=[6, 9, 5, 2, 1, 1, 1, 1, 1, 1, 2])[0]


def glances(random: Random, seen: Counter[str]) -> None:
    """A story of one account. Each direct charge of it is decided at a glance and by the rules, and then done."""
    clock = Clock()
    with Ledger.open(clock=clock) as ledger:
        ledger.execute_many([a_plan(random), Purchase(subscriber="ann", plan="pro")])
        for _ in range(12):
            clock.now += random.choice([0, 0, 0, 4, 12]) * SECOND
            command = an_act(random)
            if isinstance(command, Charge):
                before = ledger.state()
                context = Context(ledger._writer.books, clock.now, ledger._writer.tariffs, ledger.id, ledger.head)
                glance = fast_charge(context, command)
                seen["ordinary" if glance is not None else "left to the rules"] += 1
                if glance is not None:
                    decision = charge_directly(context, command)
                    assert (decision.due, decision.own) == ([], [glance])
                assert ledger.state() == before
            ledger.execute(command)


def test_an_ordinary_charge_is_what_the_rules_say() -> None:
    seen: Counter[str] = Counter()
    for seed in range(500):
        try:
            glances(Random(seed), seen)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    assert min(seen["ordinary"], seen["left to the rules"]) > 500, "otherwise this would say little"


def test_the_charges_that_most_people_make_are_ordinary() -> None:
    clock = Clock()
    with Ledger.open(clock=clock) as ledger:
        ledger.execute_many([CreatePlan(plan="pro", owner="acme", credits=40, policy="complexity", parameters=UNITS)])
        ledger.execute(Purchase(subscriber="ann", plan="pro"))
        context = Context(ledger._writer.books, clock.now, ledger._writer.tariffs, ledger.id, ledger.head)
        assert fast_charge(context, Charge(subscriber="ann", plan="pro", usage={"units": 40})) is not None
        assert fast_charge(context, Charge(subscriber="ann", plan="pro", usage={"units": 41})) is None


def test_a_charge_with_units_that_no_rate_reads_is_not_ordinary() -> None:
    """It must say which they are. Where the plan says that they are free, there is nothing to say."""
    with Ledger.open(clock=Clock()) as ledger:
        for plan, unpriced in (("pro", "refuse"), ("free", "free")):
            terms = {"owner": "acme", "credits": 40, "policy": "complexity", "parameters": UNITS, "unpriced": unpriced}
            ledger.execute_many([CreatePlan(plan=plan, **terms), Purchase(subscriber="ann", plan=plan)])
        context = Context(ledger._writer.books, ledger.head.at, ledger._writer.tariffs, ledger.id, ledger.head)
        unread = Charge(subscriber="ann", plan="pro", usage={"units": 1, "pages": 1})
        assert fast_charge(context, unread) is None
        assert fast_charge(context, replace(unread, plan="free")) is not None


def test_after_a_tariff_about_a_period_no_charge_of_the_plan_is_ordinary() -> None:
    """What is open under that tariff may have to hold more by it."""
    with Ledger.open(clock=Clock()) as ledger:
        tiers = RepricePlan(plan="pro", policy="volume", parameters=TIERS)
        units = RepricePlan(plan="pro", policy="complexity", parameters=UNITS)
        plan = CreatePlan(plan="pro", owner="acme", credits=40, policy="complexity", parameters=UNITS)
        ledger.execute_many([plan, Purchase(subscriber="ann", plan="pro"), tiers, units])
        context = Context(ledger._writer.books, ledger.head.at, ledger._writer.tariffs, ledger.id, ledger.head)
        assert fast_charge(context, Charge(subscriber="ann", plan="pro", usage={"units": 1})) is None


def test_a_new_tariff_holds_for_the_next_charge_of_the_same_commit() -> None:
    with Ledger.open(clock=Clock()) as ledger:
        charge = Charge(subscriber="ann", plan="pro", usage={"units": 1})
        dearer = RepricePlan(plan="pro", policy="per_credit", parameters={"credits": 3})
        plan = CreatePlan(plan="pro", owner="acme", credits=40, policy="complexity", parameters=UNITS)
        answers = ledger.execute_many([plan, Purchase(subscriber="ann", plan="pro"), charge, dearer, charge])
        assert [(answers[at].event.tariff, answers[at].event.credits) for at in (2, 4)] == [(1, 1), (2, 3)]
