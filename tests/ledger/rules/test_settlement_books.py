"""Settlement in the books: double entry, what was earned and settled, snapshots, keys, and ledgers that are reopened
(design.md, sections 4 to 6).

The plan is 100 credits for 1000 USD, 900 to acme and 100 as a fee: a used credit earns 10.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import ContractRef, Ledger, Reason, Tick
from ledger.books import Books
from ledger.movements import Journal

HERE = ContractRef("mock:local", "tollbook")
MONEY = ("payer", "deferred", "due", "settled")


@pytest.fixture
def selling(shop):
    """30 of 100 credits in escrow are used: 300 are earned."""
    shop.charged = shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30))
    return shop


def money(shop, asset="USD"):
    return [shop.money(place, asset) for place in MONEY]


def last_legs(shop):
    """The legs in money of the last event, as (place, receiver, amount); they sum to zero."""
    journal = Journal()
    for entry in shop.ledger.events():
        legs = [leg for leg in journal.post(entry) if leg.unit != "credits"]
    assert sum(leg.amount for leg in legs) == 0
    totals = {}
    for leg in legs:
        totals[leg.state, leg.receiver] = totals.get((leg.state, leg.receiver), 0) + leg.amount
    return totals


def due_to(shop, place, receiver):
    totals = shop.journal().totals.items()
    return sum(amount for (_, where, *_, whose), amount in totals if (where, whose) == (place, receiver))


# -- double entry ------------------------------------------------------------------------------------------------------


def test_an_opening_moves_money_from_deferred_to_due(selling):
    selling.opens()
    assert last_legs(selling) == {("deferred", ""): -300, ("due", "acme"): 270, ("due", "fee"): 30}
    assert money(selling) == [-1000, 700, 300, 0]


def test_what_is_between_opening_and_end_moves_nothing(selling):
    selling.opens()
    for command in (selling.submit(1), selling.doubt(1), selling.submit(1, 2), selling.commit(1)):
        selling.given(command)
        assert last_legs(selling) == {}
    assert money(selling) == [-1000, 700, 300, 0]


def test_a_confirmation_moves_money_from_due_to_settled(selling):
    selling.settles()
    moved = {("due", "acme"): -270, ("due", "fee"): -30, ("settled", "acme"): 270, ("settled", "fee"): 30}
    assert last_legs(selling) == moved
    assert money(selling) == [-1000, 700, 0, 300]


@pytest.mark.parametrize("used", [False, True])
def test_a_failure_moves_money_from_due_to_deferred(selling, used):
    selling.opens()
    selling.given(selling.submit(1), selling.fail(1, used=used))
    assert last_legs(selling) == {("deferred", ""): 300, ("due", "acme"): -270, ("due", "fee"): -30}
    assert money(selling) == [-1000, 1000, 0, 0]


def test_money_that_is_taken_back_moves_the_other_way(selling):
    """Due and settled are signed."""
    selling.settles()
    selling.given(selling.correct(selling.charged, -10))
    selling.opens()
    assert last_legs(selling) == {("deferred", ""): 100, ("due", "acme"): -90, ("due", "fee"): -10}
    assert money(selling) == [-1000, 800, -100, 300]
    selling.given(selling.submit(2), selling.confirm(2))
    assert money(selling) == [-1000, 800, 0, 200]
    assert [due_to(selling, "settled", name) for name in ("acme", "fee")] == [180, 20]


def test_an_exit_moves_what_was_paid_from_deferred_to_the_payer(selling):
    selling.settles()
    selling.given(selling.exit(700))
    assert {place: amount for (place, _), amount in last_legs(selling).items()} == {"deferred": -700, "payer": 700}
    assert money(selling) == [-300, 0, 0, 300]


def test_when_all_is_used_and_settled_nothing_is_deferred_or_due(selling):
    selling.settles()
    selling.given(selling.charge_directly(70))
    selling.settles()
    assert money(selling) == [-1000, 0, 0, 1000]
    assert [due_to(selling, "settled", name) for name in ("acme", "fee")] == [900, 100]


# -- readings ----------------------------------------------------------------------------------------------------------


def earned(shop):
    return {each.asset: (each.sold, each.earned, each.settled, each.outstanding) for each in shop.ledger.earned()}


def test_what_was_earned_is_settled_or_outstanding(selling):
    """300 earned; due in a batch they are still outstanding; confirmed they are settled; then 50 more are earned."""
    assert earned(selling) == {"USD": (1000, 300, 0, 300)}
    selling.opens()
    selling.given(selling.submit(1))
    assert earned(selling) == {"USD": (1000, 300, 0, 300)}
    selling.given(selling.confirm(1))
    assert earned(selling) == {"USD": (1000, 300, 300, 0)}
    selling.given(selling.charge_directly(5))
    assert earned(selling) == {"USD": (1000, 350, 300, 50)}


def test_a_failed_batch_leaves_what_was_earned_outstanding(selling):
    selling.opens()
    selling.given(selling.fail(1))
    assert earned(selling) == {"USD": (1000, 300, 0, 300)}


def test_what_receivers_have_too_much_is_below_0(selling):
    selling.settles()
    selling.given(selling.correct(selling.charged, -10))
    (reading,) = selling.ledger.earned()
    assert (reading.earned, reading.settled, reading.outstanding) == (200, 300, -100)
    assert reading.receivers == {"acme": 180, "fee": 20}
    assert reading.due == {"acme": -90, "fee": -10}


def test_what_a_directly_funded_lot_has_earned_is_settled_at_once(shop):
    """200 of it directly; 300 of a lot that nobody funded are outstanding for ever."""
    shop.given(shop.plan(), shop.buy(funding="direct"), shop.buy(subscriber="carl"))
    shop.given(shop.charge_directly(20), shop.charge_directly(30, subscriber="carl"))
    assert earned(shop) == {"USD": (2000, 500, 200, 300)}


def test_assets_are_earned_and_settled_apart(selling):
    selling.given(selling.plan("euro", asset="EUR"), selling.deposit("2", plan="euro"))
    selling.given(selling.charge_directly(10, plan="euro"))
    selling.settles()
    assert earned(selling) == {"EUR": (1000, 100, 0, 100), "USD": (1000, 300, 300, 0)}


def test_what_two_contracts_paid_is_settled_together(selling):
    selling.given(selling.deposit("2", contract="other"), selling.charge_directly(70), selling.charge_directly(5))
    selling.settles()
    assert earned(selling) == {"USD": (2000, 1050, 1000, 50)}
    selling.settles(contract="other")
    assert earned(selling) == {"USD": (2000, 1050, 1050, 0)}


# -- keys --------------------------------------------------------------------------------------------------------------


def first_answer(shop, command, seq):
    head, state = shop.ledger.head, shop.ledger.state()
    answer = shop.ledger.execute(command)
    assert answer, f"refused: {answer}"
    assert (answer.seq, answer.event) == (seq, shop.event(seq))
    assert (shop.ledger.head, shop.ledger.state()) == (head, state)


def test_a_keyed_opening_is_done_once(selling):
    """Though more was earned since, and though the batch has ended since; another key opens another batch."""
    seq = selling.when(selling.open_batch(key="night 1"))
    first_answer(selling, selling.open_batch(key="night 1"), seq)
    selling.given(selling.submit(1), selling.charge_directly(5))
    first_answer(selling, selling.open_batch(key="night 1"), seq)
    selling.given(selling.commit(1), selling.confirm(1))
    first_answer(selling, selling.open_batch(key="night 1"), seq)
    assert selling.payouts(selling.opens(key="night 2")) == {"acme": 45, "fee": 5}


def test_a_keyed_opening_after_due_events_gives_its_own_event_again(selling):
    """The due events before it are not its answer."""
    selling.given(selling.gift(5, subscriber="bob", expiry=50))
    seq = selling.at(60).when(selling.open_batch(key="night 1"))
    assert selling.types == ["lapsed", "settlement_opened"]
    first_answer(selling, selling.open_batch(key="night 1"), seq)


STEPS = ("submit", "commit", "doubt", "confirm", "fail")


@pytest.mark.parametrize("step", STEPS)
def test_a_keyed_step_is_done_once(selling, step):
    """Also when the batch has ended by then."""
    selling.opens()
    if step != "submit":
        selling.given(selling.submit(1))
    command = getattr(selling, step)(1, key="k")
    seq = selling.when(command)
    first_answer(selling, command, seq)
    if step not in ("confirm", "fail"):
        selling.given(selling.confirm(1))
        first_answer(selling, command, seq)


@pytest.mark.parametrize("step", STEPS[1:])
def test_a_key_is_not_for_two_things(selling, step):
    selling.opens()
    selling.given(selling.submit(1, key="k"))
    selling.refuses(getattr(selling, step)(1, key="k"), Reason.key_reused)
    selling.refuses(selling.submit(1, raw="another", key="k"), Reason.key_reused)


def test_a_key_that_was_refused_may_pass_later(selling):
    selling.opens()
    selling.given(selling.charge_directly(1))
    selling.refuses(selling.open_batch(key="night 2"), Reason.batch_open)
    selling.given(selling.submit(1))
    assert selling.opens(key="night 2").batch.number == 2


def test_a_command_older_than_keys_are_remembered_is_refused(selling):
    selling.at(35 * 86_400).refuses(selling.open_batch(key="late", issued_at=selling.moment(0)), Reason.key_too_old)


# -- snapshots, and ledgers that are reopened --------------------------------------------------------------------------


def story(shop):
    """Batches in all states, in two assets and two contracts, one command a step, ten seconds apart."""
    commands = [
        shop.plan(hold_seconds=50),
        shop.plan("euro", asset="EUR", price={"bea": 77}, credits=9, seconds=500),
        shop.deposit("1"),
        shop.deposit("2", plan="euro"),
        shop.deposit("1", contract="other", subscriber="bob"),
        shop.charge_directly(30),
        shop.open_batch(key="first"),
        shop.charge_directly(7, subscriber="bob"),
        shop.charge_directly(4, plan="euro"),
        shop.submit(1),
        shop.open_batch("EUR"),
        shop.open_batch(contract="other"),
        shop.submit(2),
        shop.submit(1, contract="other"),
        shop.doubt(2),
        shop.commit(1, block=3),
        shop.ask(5),
        shop.confirm(1),
        shop.doubt(1, contract="other"),
        shop.charge_directly(11),
        shop.freeze(fact=shop.fact("request 1")),
        shop.open_batch(),
        shop.submit(3),
        shop.confirm(2),
        shop.fail(3, used=True, reason="cancelled"),
        shop.open_batch(),
        shop.submit(4),
        shop.fail(4, reason="nonce stolen"),
        shop.open_batch(),
        shop.exit(400),
        shop.submit(4),
        shop.confirm(4),
        shop.open_batch(),
        Tick(),
        shop.open_batch(key="first"),
        shop.exit(400),
    ]
    for place, command in enumerate(commands):
        yield shop.at(10 * place), command


def test_the_story_ends_as_told(shop):
    """So that the laws below are about what they say. Of alice's 1000 the chain kept 600: 300 and 110 are settled, and
    the rest is in the fifth batch."""
    for _, command in story(shop):
        shop.given(command)
    (fifth,) = shop.ledger.batches(HERE)
    assert (fifth.batch.number, fifth.state) == (5, "opened")
    assert shop.counters(fifth) == {("alice", "pro"): (600, 0)}
    assert shop.payouts(fifth) == {"acme": 540 - 369, "fee": 60 - 41}
    assert [(each.batch.number, each.state) for each in shop.ledger.batches(ContractRef("mock:local", "other"))] == [
        (1, "unknown")
    ]
    assert money(shop) == [-600 - 1000, 1000 - 70, 70 + 190, 410]
    assert money(shop, "EUR") == [-77, 77 - 34, 0, 34]
    assert shop.types == []


def test_books_with_open_batches_dump_and_load_equal(shop):
    """After every step, and the loaded books dump to the same bytes."""
    for _, command in story(shop):
        shop.given(command)
        body = shop.ledger.state()
        assert Books.load(body).dump() == body


def test_the_books_at_every_sequence_are_those_that_were_there(shop):
    """Read back from the log, with the batches as they were open then."""
    states = {}
    for _, command in story(shop):
        shop.given(command)
        states[shop.ledger.head.seq] = shop.ledger.batches(HERE)
    for seq, batches in states.items():
        assert shop.ledger.as_of(seq=seq).batches(HERE, "shop") == batches


def reopening(shop, where, every):
    """The shop on a log on disk, which is closed and opened again after every so many steps."""
    shop.ledger = Ledger.open(where, clock=lambda: shop.now, id="shop")
    for place, (_, command) in enumerate(story(shop)):
        shop.given(command)
        if place % every == 0:
            shop.ledger.close()
            shop.ledger = Ledger.open(where, clock=lambda: shop.now)
        yield shop


@pytest.mark.parametrize("every", [1, 2, 5])
def test_a_ledger_reopened_between_any_two_steps_goes_on_as_if_nothing_happened(open_shop, tmp_path, every):
    """The same bytes of books after every step, the same hash of the log in the end."""
    plain, other = open_shop(), open_shop()
    steps = reopening(other, tmp_path / "toll.db", every)
    for _, command in story(plain):
        plain.given(command)
        reopened = next(steps).ledger
        assert (reopened.head, reopened.state()) == (plain.ledger.head, plain.ledger.state())
        assert reopened.batches(HERE) == plain.ledger.batches(HERE)
        assert reopened.earned() == plain.ledger.earned()
    plain.close()
    other.close()


def test_two_ledgers_on_one_log_take_turns(open_shop, tmp_path):
    """Two processes: whichever takes the next step, it knows of all before it."""
    plain, turns = open_shop(), open_shop()
    pair = [
        Ledger.open(tmp_path / "toll.db", clock=lambda: turns.now, **({"id": "shop"} if first else {}))
        for first in (True, False)
    ]
    for place, ((_, command), (_, same)) in enumerate(zip(story(plain), story(turns), strict=True)):
        plain.given(command)
        turns.ledger = pair[place % 2]
        turns.given(same)
    assert [each.state() for each in pair] == [plain.ledger.state()] * 2
    pair[0].close()
    turns.ledger = pair[1]
    turns.close()
    plain.close()


said = st.lists(
    st.sampled_from(["charge", "refund", "open", "submit", "commit", "confirm", "fail", "fail used", "doubt", "wait"]),
    max_size=40,
)


def say(shop, word, charges):
    """One command about the first open batch, or about the account; it may be refused."""
    batches = shop.ledger.batches(HERE)
    number = batches[0].batch.number if batches else 1
    if word == "charge":
        charges.append(shop.ledger.execute(shop.charge_directly(1)))
    elif word == "refund":
        if charges and (last := charges.pop()):
            shop.given(shop.correct(last.seq, -1))
    elif word == "open":
        shop.ledger.execute(shop.open_batch())
    elif word == "submit":
        for each in batches:
            shop.given(shop.submit(each.batch.number, len(each.attempts) + 1))
    elif word == "wait":
        shop.now += 1_000_000
    else:
        used = {"used": True} if word == "fail used" else {}
        shop.ledger.execute(getattr(shop, word.split()[0])(number, **used))


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 30), st.integers(0, 10**20), st.integers(0, 10), said)
def test_whatever_is_said_the_books_the_journal_and_the_readings_agree(open_shop, credits, acme, fee, said):
    """After every command: deferred is what was sold less what is due and settled, which are what the open and the
    confirmed batches pay; counters of open batches net to no less than 0; the books are the fold of the log."""
    shop, charges, sums = open_shop(), [], {}
    shop.given(shop.plan(credits=credits, price={"acme": acme, "fee": fee}), shop.deposit("1"))
    for word in said:
        before = {each.batch.number: each for each in shop.ledger.batches(HERE)}
        say(shop, word, charges)
        batches = shop.ledger.batches(HERE)
        if word == "confirm":
            ended = set(before) - {each.batch.number for each in batches}
            for number in ended:
                sums[number] = sum(payout.amount for payout in before[number].batch.payouts)
        due = sum(payout.amount for each in batches for payout in each.batch.payouts)
        assert money(shop) == [-acme - fee, acme + fee - due - sum(sums.values()), due, sum(sums.values())]
        for reading in shop.ledger.earned():
            assert reading.earned == reading.settled + reading.outstanding
            assert reading.settled == sum(sums.values())
        assert all(leaf.charged >= leaf.credited for each in batches for leaf in each.batch.leaves)
    assert Books.load(shop.ledger.state()).dump() == shop.ledger.state()
    shop.close()
