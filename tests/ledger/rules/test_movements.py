"""Two roads to one number: what random commands come to by `movements`, by `reduce`, and in the statements.

After any commands: the legs of every event sum to zero unit by unit; the journal's totals are the books' lots and the
balances, for credits and for money; the books are the fold of the log; and a statement's opening and changes come to
its closing, which is the balance.
"""

from collections import defaultdict

from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_terms import consistent

from ledger.events import (
    Adjusted,
    Charged,
    Payout,
    Purchased,
    Reheld,
    Reinstated,
    Released,
    Requested,
    Reversed,
    SettlementConfirmed,
    SettlementFailed,
    SettlementOpened,
    Share,
    Started,
)
from ledger.log import Entry
from ledger.movements import Journal
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
).map(consistent)
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


def check_statement(ledger, since, upto=None):
    """Opening and changes come to the closing, line by line; the closing is the balance, then or now."""
    told = ledger.statement("alice", "pro", since=since, upto=upto)
    balance = (ledger if upto is None else ledger.as_of(seq=upto)).balance("alice", "pro")
    if balance is None:
        assert told is None
        return None
    running = told.opening
    for line in told.lines:
        running = running.plus(line.change)
        assert line.balance == running
    assert told.closing == running
    if since is None:
        assert told.shortfall == balance.shortfall
    assert {name: getattr(running, name) for name in BALANCE} == {name: getattr(balance, name) for name in BALANCE}
    return told


@examples(60)
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
    """Where one ends the other opens, and together they have the lines of the whole. One up to any sequence ends with
    the balance there."""
    shop = open_shop()
    shop.given(shop.plan(**terms))
    run = Run(shop)
    for verb, *words in (*BEGINNING, *said):
        run.do(verb, *words)
    half = min(half, shop.ledger.head.seq)
    whole, rest = check_statement(shop.ledger, None), check_statement(shop.ledger, half)
    first = check_statement(shop.ledger, None, half)
    assert rest.opening == (first.closing if first is not None else Amounts())
    earlier = () if first is None else first.lines
    # What was due at `half` and written later has a sequence in the whole, and none in the first part.
    assert [line.change for line in (*earlier, *rest.lines)] == [line.change for line in whole.lines]
    for upto in range(shop.ledger.head.seq + 1):
        check_statement(shop.ledger, None, upto)
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


# -- what an event means, posted by hand -------------------------------------------------------------------------------

BUY = {"account": 1, "subscriber": "alice", "plan": "pro", "credits": 10, "asset": "USD", "cost": 100}
SHARES = (Share("acme", 95), Share("eve", 3), Share("fee", 2))
A, B = 1, 3


class Posted:
    """A journal and the events posted to it, numbered from 1; each event's legs sum to zero."""

    def __init__(self, *events):
        self.journal, self.seq = Journal(), 0
        self.then(*events)

    def then(self, *events):
        for event in events:
            self.seq += 1
            sums = defaultdict(int)
            for leg in self.journal.post(Entry(self.seq, 0, event)):
                sums[leg.unit] += leg.amount
            assert not any(sums.values()), event
        return self

    def lot(self, lot):
        """Available, held, spent, lapsed, withdrawn; of lot 0 what is owed: spent and held."""
        return tuple(self.journal.states(1, lot)[1:])

    def settled(self):
        return {key[4]: amount for key, amount in self.journal.money.items() if key[1] == "settled"}


def bought(**more):
    return Purchased(**{**BUY, "shares": SHARES, "funding": "direct", **more})


def started(lot, *draws):
    return Started(account=1, lot=lot, draws=draws, instant=0)


def requested(*draws):
    return Requested(account=1, hold=sum(n for _, n in draws), draws=draws, deadline=9, tariff=1)


def charged(request, *draws, **more):
    credits = sum(n for _, n in draws)
    return Charged(account=1, request=request, credits=credits, draws=draws, tariff=1, period="2023-11", **more)


def test_what_a_request_holds_changes_net_by_lot():
    """It holds A 4; then A 1 and B 3: three return to A, three are taken of B."""
    posted = Posted(bought(), started(A), bought(), started(B), requested((A, 4)))
    posted.then(Reheld(account=1, request=5, draws=((A, 1), (B, 3))))
    assert posted.lot(A) == (9, 1, 0, 0, 0)
    assert posted.lot(B) == (7, 3, 0, 0, 0)
    assert posted.journal.moved == [(1, A, 2, 1, 3), (1, B, 1, 2, 3)]
    posted.then(charged(5, (A, 1), (B, 2)))
    assert (posted.lot(A), posted.lot(B)) == ((9, 0, 1, 0, 0), (8, 0, 2, 0, 0))


def test_what_returns_pays_the_oldest_debt_first():
    """Charges owe 2 and 3. A hold of 4 is released and pays 4 of it: all of the first, 2 of the second."""
    posted = Posted(bought(), started(A), requested((A, 4)), charged(0, (A, 6), (0, 2)), charged(0, (0, 3)))
    assert posted.lot(0) == (-5, 0, 5, 0, 0)
    posted.then(Released(request=3, reason="voided", repaid=((A, 4),)))
    assert posted.lot(A) == (0, 0, 10, 0, 0)
    assert posted.lot(0) == (-1, 0, 1, 0, 0)


def test_the_rest_of_a_hold_and_what_a_correction_gives_back_pay_debt():
    posted = Posted(bought(), started(A), requested((A, 4)), charged(0, (A, 6), (0, 5)))
    posted.then(charged(3, (A, 1), repaid=((A, 3),)))
    assert (posted.lot(A), posted.lot(0)) == ((0, 0, 10, 0, 0), (-2, 0, 2, 0, 0))
    posted.then(Adjusted(account=1, charge=5, credits=-1, draws=((A, 1),), reason="refund", repaid=((A, 1),)))
    assert (posted.lot(A), posted.lot(0)) == ((0, 0, 10, 0, 0), (-1, 0, 1, 0, 0))


def test_a_part_of_a_payment_is_reversed_from_what_is_left_then_spent_then_held():
    """Of 10, 2 are left, 3 spent, and two requests hold 4 and 1. 8 are reversed: 3 of them held, the oldest first."""
    posted = Posted(bought(), started(A), charged(0, (A, 3)), requested((A, 4)), requested((A, 1)))
    posted.then(Reversed(account=1, lot=A, credits=8, money=80))
    assert posted.lot(A) == (0, 2, 0, 0, 8)
    assert posted.lot(0) == (-6, 3, 3, 0, 0)
    posted.then(Released(request=4, reason="voided"))  # it held A 1 and 3 of debt
    assert posted.lot(A) == (1, 1, 0, 0, 8)
    assert posted.lot(0) == (-3, 0, 3, 0, 0)


def test_a_reversal_makes_debts_in_order_that_another_lot_pays():
    """What was spent is owed first, then each request's hold by its id; lot B pays 4: what was spent, and 1 that is
    held, which is a hold on B from then on."""
    posted = Posted(bought(), started(A), bought(), started(B), charged(0, (A, 3)), requested((A, 7)))
    posted.then(Reversed(account=1, lot=A, credits=10, money=100, repaid=((B, 4),)))
    assert posted.lot(A) == (0, 0, 0, 0, 10)
    assert posted.lot(B) == (6, 1, 3, 0, 0)
    assert posted.lot(0) == (-6, 6, 0, 0, 0)
    posted.then(charged(6, (B, 1), (0, 1)))
    assert posted.lot(B) == (6, 0, 4, 0, 0)
    assert posted.lot(0) == (-1, 0, 1, 0, 0)


def test_a_reinstated_lot_has_what_its_reversals_took_and_pays_what_is_owed():
    posted = Posted(bought(), started(A), charged(0, (A, 3)), Reversed(account=1, lot=A, credits=10, money=100))
    assert posted.lot(0) == (-3, 0, 3, 0, 0)
    assert posted.settled() == {"acme": 0, "eve": 0, "fee": 0}
    posted.then(Reinstated(account=1, lot=A, credits=10, money=100, repaid=((A, 3),)))
    assert posted.lot(A) == (7, 0, 3, 0, 0)
    assert posted.lot(0) == (0, 0, 0, 0, 0)
    assert posted.settled() == {"acme": 95, "eve": 3, "fee": 2}


def test_a_lot_reversed_before_its_start_is_issued_without_what_left_it():
    posted = Posted(bought(), Reversed(account=1, lot=A, credits=4, money=40))
    assert posted.lot(A) == (0, 0, 0, 0, 0)
    posted.then(started(A))
    assert posted.lot(A) == (6, 0, 0, 0, 4)
    assert posted.journal.states(1, A)[0] == -10


def test_a_lot_reinstated_before_its_start_is_issued_whole():
    posted = Posted(bought(), Reversed(account=1, lot=A, credits=10, money=100))
    posted.then(Reinstated(account=1, lot=A, credits=10, money=100), started(A))
    assert posted.lot(A) == (10, 0, 0, 0, 0)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_no_receiver_gives_back_more_than_it_had(parts):
    """Parts of a payment are reversed one by one; whatever they are, each receiver has from 0 to its share left, and at
    the end what all of it would have given back at once."""
    posted = Posted(bought(), started(A))
    given = 0
    for part in parts:
        part = min(part, 100 - given)
        given += part
        posted.then(Reversed(account=1, lot=A, credits=0, money=part))
        assert sum(posted.settled().values()) == 100 - given
        assert all(0 <= posted.settled()[share.receiver] <= share.amount for share in SHARES)
    at_once = Posted(bought(), started(A), Reversed(account=1, lot=A, money=given))
    assert posted.settled() == at_once.settled()
