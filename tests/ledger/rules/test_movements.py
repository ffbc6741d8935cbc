"""Two roads to one number: what random commands come to by `movements`, by `reduce`, and in the statements.

After any commands: the legs of every event sum to zero unit by unit; the journal's totals are the books' lots and the
balances, for credits and for money; the books are the fold of the log; and a statement's opening and changes come to
its closing, which is the balance.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.events import Payout, SettlementConfirmed, SettlementFailed, SettlementOpened
from ledger.log import Entry
from ledger.statements import Amounts

NEVER = 10**9
BEGINNING = (("buy", "none", None), ("charge_directly", 3), ("ask", 2))
BALANCE = ("issued", "available", "held", "spent", "lapsed", "withdrawn", "debt")

terms = st.fixed_dictionaries(
    {
        "price": st.dictionaries(st.sampled_from(["acme", "fee", "eve"]), st.integers(0, 10**21), max_size=3),
        "credits": st.integers(1, 40),
        "seconds": st.sampled_from([0, 0, 30]),
        "on_lapse": st.sampled_from(["earn", "refund"]),
        "overrun": st.sampled_from(["cap", "debt"]),
        "debt_limit": st.integers(0, 20),
        "hold_seconds": st.integers(1, 20),
        "longest_seconds": st.just(40),
        "late_seconds": st.integers(0, 30),
    }
)
tariffs = st.sampled_from([None, ((5, 1), (None, 3)), ((5, 3), (None, 1)), ((6, "1/2", 2), (None, "1/3"))])
few, some = st.integers(1, 3), st.integers(0, 12)
soon = st.none() | st.none() | st.integers(1, 60)
corrections = st.integers(-9, 9).filter(bool)

commands = st.one_of(
    st.tuples(st.just("buy"), st.sampled_from(["none", "direct"]), soon),
    st.tuples(st.just("gift"), some, soon),
    st.tuples(st.just("ask"), some),
    st.tuples(st.just("ask"), few),
    st.tuples(st.just("charge"), few, some, st.booleans()),
    st.tuples(st.just("charge_directly"), some),
    st.tuples(st.just("charge_directly"), few),
    st.tuples(st.just("release"), few),
    st.tuples(st.just("correct"), few, corrections, soon),
    st.tuples(st.just("correct"), few, st.integers(-4, -1), soon),
    st.tuples(st.just("correct_usage"), few, corrections),
    st.tuples(st.just("correct_period"), corrections),
    st.tuples(st.just("withdraw"), few),
    st.tuples(st.just("reverse"), few, st.none() | st.integers(1, 10**21)),
    st.tuples(st.just("reverse"), few, st.none() | st.integers(1, 30)),
    st.tuples(st.just("reinstate"), few),
    st.tuples(st.just("freeze"), st.booleans()),
    st.tuples(st.just("charge_unread"), few),
    st.tuples(st.just("wait"), st.integers(1, 12)),
)


def create(shop, terms, tiers, volume):
    """The plan, priced by the unit, or in tiers by volume or gradually."""
    if tiers is None:
        return shop.plan(**terms)
    return shop.tiers(*tiers, policy="volume" if volume else "graduated", **terms)


class Run:
    """Commands on a shop; lots, requests and charges are counted back from the latest."""

    def __init__(self, shop):
        self.shop, self.time, self.lots, self.requests, self.charges = shop, 0, [], [], []

    def later(self, seconds):
        return None if seconds is None else self.time + seconds

    def do(self, verb, *said):
        getattr(self, verb)(*said)

    def say(self, command, made=None):
        answer = self.shop.ledger.execute(command)
        if answer and made is not None:
            made.append(answer.seq)

    def buy(self, funding, start):
        self.say(self.shop.buy(funding=funding, start=self.later(start)), self.lots)

    def gift(self, credits, expiry):
        self.say(self.shop.gift(credits, expiry=self.later(expiry)), self.lots)

    def ask(self, units):
        self.say(self.shop.ask(units), self.requests)

    def charge(self, back, units, final):
        self.say(self.shop.charge(nth_back(self.requests, back), units, final=final), self.charges)

    def charge_directly(self, units):
        self.say(self.shop.charge_directly(units), self.charges)

    def release(self, back):
        self.say(self.shop.release(nth_back(self.requests, back)))

    def correct(self, back, credits, expiry):
        self.say(self.shop.correct(nth_back(self.charges, back), credits, expiry=self.later(expiry)))

    def correct_usage(self, back, units):
        self.say(self.shop.correct(nth_back(self.charges, back), usage={"units": units}))

    def correct_period(self, credits):
        self.say(self.shop.correct_period("2023-11", credits))

    def withdraw(self, credits):
        self.say(self.shop.withdraw(credits=credits))

    def reverse(self, back, amount):
        self.say(self.shop.reverse(nth_back(self.lots, back), amount=amount))

    def reinstate(self, back):
        self.say(self.shop.reinstate(nth_back(self.lots, back)))

    def freeze(self, frozen):
        self.say(self.shop.freeze() if frozen else self.shop.unfreeze())

    def charge_unread(self, units):
        self.say(self.shop.charge_directly({"units": units, "pages": units}), self.charges)

    def wait(self, seconds):
        self.time += seconds
        self.shop.at(self.time)


def nth_back(numbers, n):
    return numbers[-1 - n % len(numbers)] if numbers else NEVER


def check_statement(ledger, since):
    """Opening and changes come to the closing, line by line; the closing is the balance."""
    told, balance = ledger.statement("alice", "pro", since=since), ledger.balance("alice", "pro")
    running = told.opening
    for line in told.lines:
        running = running.plus(line.change)
        assert line.balance == running
    assert told.closing == running
    assert {name: getattr(running, name) for name in BALANCE} == {name: getattr(balance, name) for name in BALANCE}
    return told


@settings(max_examples=200, deadline=None)
@given(terms, tariffs, st.booleans(), st.lists(commands, min_size=10, max_size=30))
def test_movements_and_reduce_come_to_the_same_numbers(open_shop, terms, tiers, volume, said):
    shop = open_shop()
    shop.given(create(shop, terms, tiers, volume))
    run = Run(shop)
    for verb, *words in (*BEGINNING, *said):
        run.do(verb, *words)
        check_statement(shop.ledger, None)
    shop.close()


@settings(max_examples=50, deadline=None)
@given(terms, st.lists(commands, min_size=5, max_size=20), st.integers(0, 40))
def test_two_parts_of_a_statement_add(open_shop, terms, said, half):
    """Where one ends the other opens, and together they have the lines of the whole."""
    shop = open_shop()
    shop.given(shop.plan(**terms))
    run = Run(shop)
    for verb, *words in (*BEGINNING, *said):
        run.do(verb, *words)
    half = min(half, shop.ledger.head.seq)
    whole, rest = check_statement(shop.ledger, None), check_statement(shop.ledger, half)
    first = [line for line in whole.lines if line.seq is not None and line.seq <= half]
    assert rest.opening == (first[-1].balance if first else Amounts())
    assert (*first, *rest.lines) == whole.lines
    shop.close()


def test_settlements_move_money_from_deferred_to_settled(shop):
    """By hand, since no command settles yet: 1000 are deferred; 300 are due, then settled; 200 are due, and fail."""
    shop.given(shop.plan(), shop.buy())
    journal, place = shop.journal(), {"chain": "mock", "contract": "c"}

    def money():
        where = ("payer", "deferred", "due", "settled")
        return [sum(amount for key, amount in journal.totals.items() if key[:2] == ("USD", each)) for each in where]

    def opened(number, amount):
        payouts = (Payout("acme", amount - 10), Payout("fee", 10))
        return SettlementOpened(number=number, **place, asset="USD", covers={"main": 3}, root="0x0", payouts=payouts)

    seen = []
    events = [
        opened(1, 300),
        SettlementConfirmed(number=1, **place),
        opened(2, 200),
        SettlementFailed(number=2, **place),
    ]
    for seq, event in enumerate(events, 4):
        journal.post(Entry(seq, 0, event))
        seen.append(money())
    assert seen == [[-1000, 700, 300, 0], [-1000, 700, 0, 300], [-1000, 500, 200, 300], [-1000, 700, 0, 300]]
