"""What time will do to an account stands on its agenda, whatever happened; and the state is what the log says."""

from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from plan_terms import consistent

from ledger.books import Books
from ledger.folding import refold
from ledger.lots import EXPIRY_OF_LOT, EXPIRY_OF_REQUEST, START
from ledger.reducers import reduce

from_the_log = examples(60)

few, some = st.integers(1, 3), st.integers(0, 12)
soon = st.none() | st.integers(1, 60)
commands = st.one_of(
    st.tuples(st.just("buy"), soon),
    st.tuples(st.just("gift"), st.integers(1, 12), soon, st.integers(-1, 1)),
    st.tuples(st.just("ask"), some),
    st.tuples(st.just("ask"), some),
    st.tuples(st.just("charge"), few, some, st.booleans()),
    st.tuples(st.just("charge_directly"), some),
    st.tuples(st.just("release"), few),
    st.tuples(st.just("extend"), few, st.integers(1, 40)),
    st.tuples(st.just("correct"), few, st.integers(-9, 9).filter(bool), soon),
    st.tuples(st.just("correct_usage"), few, st.integers(-9, 9).filter(bool)),
    st.tuples(st.just("withdraw"), few),
    st.tuples(st.just("withdraw_lot"), few),
    st.tuples(st.just("reverse"), few, st.none() | st.integers(1, 900)),
    st.tuples(st.just("reinstate"), few),
    st.tuples(st.just("wait"), st.integers(1, 25)),
    st.tuples(st.just("tick")),
)
terms = (
    st.fixed_dictionaries(
        {
            "credits": st.sampled_from([0, 20]),
            "seconds": st.sampled_from([0, 30]),
            "on_lapse": st.sampled_from(["earn", "refund"]),
            "overrun": st.sampled_from(["cap", "debt"]),
            "debt_limit": st.just(15),
            "period": st.sampled_from(["forever", "purchase"]),
            "hold_seconds": st.integers(5, 20),
            "longest_seconds": st.just(40),
            "late_seconds": st.integers(0, 30),
        }
    )
    .map(consistent)
    .filter(lambda terms: terms["credits"] or terms["seconds"])
)
tiers = st.sampled_from([((5, 1), (None, 3)), ((5, 3), (None, 1)), ((None, 1),)])


def nth_back(numbers, n):
    return numbers[-1 - n % len(numbers)] if numbers else 10**9


class Run:
    """Commands on a shop; lots, requests and charges are counted back from the latest."""

    def __init__(self, shop):
        self.shop, self.time, self.lots, self.requests, self.charges = shop, 0, [], [], []

    def later(self, seconds):
        return None if seconds is None else self.time + seconds

    def do(self, verb, *said):
        shop = self.shop
        match verb, *said:
            case "buy", start:
                self.say(shop.buy(start=self.later(start)), self.lots)
            case "gift", credits, expiry, priority:
                self.say(shop.gift(credits, expiry=self.later(expiry), priority=priority), self.lots)
            case "ask", units:
                self.say(shop.ask(units), self.requests)
            case "charge", back, units, final:
                self.say(shop.charge(nth_back(self.requests, back), units, final=final), self.charges)
            case "charge_directly", units:
                self.say(shop.charge_directly(units), self.charges)
            case "release", back:
                self.say(shop.release(nth_back(self.requests, back)))
            case "extend", back, seconds:
                self.say(shop.extend(nth_back(self.requests, back), seconds))
            case "correct", back, credits, expiry:
                self.say(shop.correct(nth_back(self.charges, back), credits, expiry=self.later(expiry)))
            case "correct_usage", back, units:
                self.say(shop.correct(nth_back(self.charges, back), usage={"units": units}))
            case "withdraw", credits:
                self.say(shop.withdraw(credits=credits))
            case "withdraw_lot", back:
                self.say(shop.withdraw(lot=nth_back(self.lots, back)))
            case "reverse", back, amount:
                self.say(shop.reverse(nth_back(self.lots, back), amount=amount))
            case "reinstate", back:
                self.say(shop.reinstate(nth_back(self.lots, back)))
            case "wait", seconds:
                self.time += seconds
                shop.at(self.time)
            case _:
                shop.tick()

    def say(self, command, made=None):
        answer = self.shop.ledger.execute(command)
        if answer and made is not None:
            made.append(answer.seq)


def will_happen(account):
    """What time will do, from the account's lots and requests: waiting lots start, open requests and lots that have
    something left expire."""
    lots = account.lots.values()
    starts = [(lot.start, START, lot.id) for lot in lots if not lot.started and not lot.reversed]
    ends = [(lot.expiry, EXPIRY_OF_LOT, lot.id) for lot in lots if lot.left and lot.expiry is not None]
    holds = [(request.deadline, EXPIRY_OF_REQUEST, request.id) for request in account.requests.values()]
    return sorted([*starts, *ends, *holds])


@from_the_log
@given(terms, tiers, st.booleans(), st.lists(commands, min_size=5, max_size=25))
def test_the_agenda_is_what_will_happen(open_shop, terms, tiers, volume, said):
    """After every command; sums and holds are those of what is open; nobody owes and has credits at once."""
    shop = open_shop()
    shop.given(shop.tiers(*tiers, policy="volume" if volume else "graduated", **terms))
    run = Run(shop)
    for each in (("buy", None), ("ask", 3), *said):
        run.do(*each)
        for account in shop.ledger.as_of(seq=shop.ledger.head.seq)._books.accounts.values():
            check(account)
    shop.ledger.close()


def check(account):
    lots = account.lots.values()
    assert account.agenda == will_happen(account)
    assert account.next_due == (account.agenda[0][0] if account.agenda else None)
    assert account.left == sum(lot.left for lot in lots if lot.started)
    assert account.held == sum(request.hold for request in account.requests.values())
    assert account.debt == sum(debt.credits for debt in account.debts)
    assert not (account.debt and account.left), "debt and free credits at once"
    assert sorted(account.burn) == sorted(lot.id for lot in lots if lot.left)
    on_debt = sum(credits for request in account.requests.values() for lot, credits in request.draws if not lot)
    assert sum(lot.held for lot in lots) + on_debt == account.held
    for lot in lots:
        if lot.started and lot.credits:
            assert lot.credits == lot.left + lot.held + lot.spent + lot.lapsed + lot.withdrawn
            assert min(lot.left, lot.held, lot.spent, lot.lapsed, lot.withdrawn) >= 0
    for meter in account.meters.values():
        assert min(meter.net, meter.shortfall, *meter.usage.values(), *meter.drawn.values(), 0) == 0


@from_the_log
@given(terms, tiers, st.booleans(), st.lists(commands, min_size=5, max_size=25), st.integers(0, 40))
def test_the_state_is_what_the_log_says_from_any_snapshot(open_shop, terms, tiers, volume, said, half):
    """Folded from the beginning, or loaded as it was half way and folded from there: the same bytes."""
    shop = open_shop()
    shop.given(shop.tiers(*tiers, policy="volume" if volume else "graduated", **terms))
    run = Run(shop)
    kept = None
    for step, each in enumerate((("buy", None), ("ask", 3), *said)):
        run.do(*each)
        if step == half % (len(said) + 2):
            kept = (shop.ledger.head.seq, shop.ledger.state())
    assert refold(shop.ledger.commits()).dump() == shop.ledger.state()
    seq, state = kept
    books = Books.load(state)
    for entry in shop.ledger.events(after=seq):
        books.advance(entry.at)
        reduce(books, entry.seq, entry.at, entry.event)
    assert books.dump() == shop.ledger.state()
    shop.ledger.close()


@from_the_log
@given(terms, tiers, st.booleans(), st.lists(commands, min_size=5, max_size=25))
def test_law_due_events_early_or_late_give_the_same_books(open_shop, terms, tiers, volume, said):
    """After any commands, written at every second or at the very end: debts that are paid, holds that move, what
    lapses, the same bytes."""

    def books(moments):
        shop = open_shop()
        shop.given(shop.tiers(*tiers, policy="volume" if volume else "graduated", **terms))
        run = Run(shop)
        for each in (("buy", None), ("ask", 3), *said):
            run.do(*each)
        for seconds in moments:
            shop.at(run.time + seconds).tick()
        shop.at(run.time + 200).given(shop.gift(seconds=9) if not terms["credits"] else shop.gift(1))
        state = shop.ledger.state()
        shop.ledger.close()
        return state

    assert books(range(121)) == books([]) == books([17])
