"""Law: if every open request uses no more than its estimate, none has a shortfall, however they end (issue, law 4).

Requests are admitted as long as they are; what is free beside them is withdrawn at any time. They are charged in parts
or at once, released, expire and are charged late, over a month's end and under tariffs that change meanwhile.
"""

from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from ledger.holds import exposure

DAY = 86_400
COUNTED = {"dimension": "units"}
rates = st.sampled_from([0, 1, 2, 3, 7, "1/2", "5/3"])


@st.composite
def tier_lists(draw):
    bounds = sorted(draw(st.sets(st.integers(1, 20), min_size=1, max_size=3)))
    flats = st.sampled_from([0, 0, 0, 5])
    return [{"up_to": bound, "unit": draw(rates), "flat": draw(flats)} for bound in (*bounds, None)]


tiers = st.builds(
    lambda policy, tiers: (policy, COUNTED | {"tiers": tiers}), st.sampled_from(["graduated", "volume"]), tier_lists()
)
packages = st.builds(
    lambda size, credits, free: ("package", COUNTED | {"size": size, "credits": credits, "free": free}),
    st.integers(1, 12),
    st.integers(0, 9),
    st.integers(0, 5),
)
by_the_unit = st.builds(
    lambda rate, least: ("complexity", {"weights": {"units": rate}, "minimum": least}), rates, st.integers(0, 6)
)
by_the_request = st.builds(lambda credits: ("per_credit", {"credits": credits}), st.integers(0, 5))
tariffs = tiers | tiers | tiers | packages | by_the_unit | by_the_request
which, units = st.integers(0, 3), st.integers(0, 15)
asks = st.tuples(st.just("ask"), units)
ends = st.one_of(
    st.tuples(st.just("part"), which, units),
    st.tuples(st.just("end"), which, units),
    st.tuples(st.just("release"), which),
)
steps = st.one_of(
    asks,
    asks,
    ends,
    ends,
    st.tuples(st.just("extend"), which),
    st.tuples(st.just("gift"), st.integers(1, 60)),
    st.tuples(st.just("withdraw")),
    st.tuples(st.just("reprice"), tariffs),
    st.tuples(st.just("wait"), st.sampled_from([1, 40, 40, 20 * DAY])),
)


class Run:
    """An account whose requests never use more than their estimates."""

    def __init__(self, shop):
        self.shop, self.time, self.rest = shop, 0, {}

    def do(self, verb, *said):
        getattr(self, verb)(*said)
        self.rest = {name: self.rest[name] for name in self.rest if name in self.open()}
        self.check()

    def open(self):
        return {request.id for request in self.shop.ledger.requests()}

    def one(self, which):
        names = sorted(self.rest)
        return names[which % len(names)] if names else None

    def ask(self, units):
        answer = self.shop.ledger.execute(self.shop.ask(units))
        if answer:
            self.rest[answer.seq] = units

    def part(self, which, units, final=False):
        if (name := self.one(which)) is None:
            return
        used = min(units, self.rest[name])
        self.shop.when(self.shop.charge(name, used, final=final))
        self.rest[name] -= used
        charged = [
            entry.event for kind, entry in zip(self.shop.types, self.shop.wrote, strict=True) if kind == "charged"
        ]
        assert [event.shortfall for event in charged] == [0]

    def end(self, which, units):
        self.part(which, units, final=True)

    def release(self, which):
        if (name := self.one(which)) is not None:
            self.shop.when(self.shop.release(name))

    def extend(self, which):
        if (name := self.one(which)) is not None:
            self.shop.when(self.shop.extend(name, 100))

    def gift(self, credits):
        self.shop.when(self.shop.gift(credits))

    def withdraw(self):
        self.shop.ledger.execute(self.shop.withdraw())

    def reprice(self, tariff):
        policy, parameters = tariff
        self.shop.when(self.shop.reprice(policy=policy, **parameters))

    def wait(self, seconds):
        self.time += seconds
        self.shop.at(self.time).tick()

    def check(self):
        """What is held together is what may be needed. What is reserved for who estimates nothing may have been lent;
        and under several tariffs what may be needed is only bounded, at times more loosely than before."""
        books, tariffs = self.shop.ledger._writer.books, self.shop.ledger._writer.tariffs
        plan = books.plans["pro"]
        for account in books.accounts.values() if len(plan.tariffs) == 1 else ():
            assert account.held >= exposure(account, plan, tariffs, reserves=False)


@examples(120)
@given(
    tariffs,
    st.sampled_from(["month", "day", "purchase", "forever"]),
    st.integers(0, 300),
    st.lists(asks, min_size=1, max_size=3),
    st.none() | st.tuples(tariffs, asks),
    st.sampled_from([0, 40]),
    st.lists(steps, max_size=12),
    st.permutations(range(6)),
)
def test_within_their_estimates_no_request_has_a_shortfall(
    open_shop, tariff, period, credits, asked, later, pause, said, order
):
    policy, parameters = tariff
    shop = open_shop()
    terms = {"hold_seconds": 60, "longest_seconds": 90 * DAY, "late_seconds": 0, "period": period, "unpriced": "free"}
    shop.given(shop.plan(policy=policy, parameters=parameters, **terms), shop.gift(credits + 1))
    run = Run(shop)
    repriced = [] if later is None else [("reprice", later[0]), later[1]]
    ends = [("end", which, 15) for which in order]
    pauses = [("wait", pause)] if pause else []
    for step in (*asked, *pauses, *repriced, *said, ("withdraw",), *pauses, ("withdraw",), *ends):
        run.do(*step)
    shop.close()
