"""Counters: what a batch says of every account (chains.md, Netting; contract.md, fixed points).

The plan is 100 credits for 1000 USD, 900 to acme and 100 as a fee: a used credit earns 10.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import ContractRef, Terms
from ledger.events import tag

ALICE, BOB = ("alice", "pro"), ("bob", "pro")


def stands(shop, subscriber, **said):
    """An account funded so, whoever's it is."""
    return shop.deposit(f"order of {subscriber}", subscriber=subscriber, **said)


# -- charged and credited ----------------------------------------------------------------------------------------------


def test_charged_raises_by_what_was_earned_since(shop):
    shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30))
    assert shop.counters(shop.settles()) == {ALICE: (300, 0)}
    shop.given(shop.charge_directly(20))
    assert shop.counters(shop.settles()) == {ALICE: (500, 0)}


def test_credited_raises_by_what_was_taken_back(shop):
    """300 were earned, then 100 of them were not: 300, 100. Then 50 more: 350, 100."""
    charge = shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30))
    shop.settles()
    shop.given(shop.correct(charge, -10))
    assert shop.counters(shop.settles()) == {ALICE: (300, 100)}
    shop.given(shop.charge_directly(5))
    assert shop.counters(shop.settles()) == {ALICE: (350, 100)}


def test_what_was_charged_and_given_back_between_two_batches_leaves_no_trace(shop):
    """The counters compare E at two openings: 30 and 10 back make 200, not 300 and 100."""
    charge = shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30))
    shop.given(shop.correct(charge, -10))
    assert shop.counters(shop.opens()) == {ALICE: (200, 0)}


def test_an_accounts_counters_are_of_all_its_lots_in_the_escrow(shop):
    """The first lot is used up (1000), of the second 20 credits (200): one leaf of 1200."""
    shop.given(shop.plan(), shop.deposit("1"), shop.deposit("2"), shop.charge_directly(100), shop.charge_directly(20))
    assert shop.counters(shop.opens()) == {ALICE: (1200, 0)}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["charge", "refund", "open", "fail"]), st.integers(1, 9)), max_size=25))
def test_both_counters_only_grow_and_their_difference_is_what_was_earned(open_shop, said):
    """7 credits for 100 and 5 credits for 33, so that every step rounds."""
    shop = open_shop()
    shop.given(shop.plan(credits=7, price={"acme": 61, "fee": 39}), shop.deposit("1"))
    shop.given(shop.plan("odd", credits=5, price={"acme": 33}), shop.deposit("2", plan="odd"))
    cost, credits = {"pro": 100, "odd": 33}, {"pro": 7, "odd": 5}
    used, charges, told = {"pro": 0, "odd": 0}, [], {ALICE: (0, 0), ("alice", "odd"): (0, 0)}
    for verb, amount in said:
        plan = "pro" if amount % 2 else "odd"
        if verb == "charge" and used[plan] + amount <= credits[plan]:
            charges.append((shop.when(shop.charge_directly(amount, plan=plan)), plan, amount))
            used[plan] += amount
        elif verb == "refund" and charges:
            charge, plan, whole = charges.pop()
            shop.given(shop.correct(charge, -min(whole, amount)))
            used[plan] -= min(whole, amount)
        elif verb in ("open", "fail"):
            earned = {("alice", name): cost[name] * used[name] // credits[name] for name in cost}
            seq = shop.ledger.head.seq
            shop.given(shop.open_batch())
            if shop.ledger.head.seq == seq:
                continue
            opened = shop.ledger.batches(ContractRef("mock:local", "tollbook"))[-1]
            now = shop.counters(opened)
            for account, (charged, credited) in now.items():
                step = earned[account] - (told[account][0] - told[account][1])
                assert (charged, credited) == (told[account][0] + max(step, 0), told[account][1] + max(-step, 0))
                assert charged - credited == earned[account]
            assert set(now) == set(told)
            told = now
            end = shop.fail(opened.batch.number) if verb == "fail" else shop.confirm(opened.batch.number)
            shop.given(shop.submit(opened.batch.number), shop.commit(opened.batch.number), end)
    shop.close()


# -- whose leaves ------------------------------------------------------------------------------------------------------


def test_an_account_that_used_nothing_has_a_leaf_too(shop):
    shop.given(shop.plan(), shop.deposit("1"), stands(shop, "bob"), shop.charge_directly(30))
    assert shop.counters(shop.opens()) == {ALICE: (300, 0), BOB: (0, 0)}


def test_accounts_without_lots_in_the_escrow_have_no_leaf(shop):
    """Paid directly, paid to nobody yet, given: all three are used, and none is settled."""
    shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30))
    shop.given(shop.buy(subscriber="carl", funding="direct"), shop.charge_directly(30, subscriber="carl"))
    shop.given(shop.buy(subscriber="dora"), shop.charge_directly(30, subscriber="dora"))
    shop.given(shop.gift(50, subscriber="emil"), shop.charge_directly(30, subscriber="emil"))
    opened = shop.opens()
    assert shop.counters(opened) == {ALICE: (300, 0)}
    assert shop.payouts(opened) == {"acme": 270, "fee": 30}


def test_only_the_lots_in_escrow_count_of_an_account_that_has_others(shop):
    """The direct lot is older and burns first: of 120 credits 20 are drawn from the escrow's."""
    shop.given(shop.plan(), shop.buy(funding="direct"), shop.deposit("1"), shop.charge_directly(100))
    shop.opens_nothing()
    shop.given(shop.charge_directly(20))
    opened = shop.opens()
    assert shop.counters(opened) == {ALICE: (200, 0)}
    assert shop.payouts(opened) == {"acme": 180, "fee": 20}


def test_a_lot_that_was_funded_by_nobody_is_never_paid_from_escrow(shop):
    shop.given(shop.plan(), shop.buy(), shop.deposit("1"), shop.charge_directly(100), shop.charge_directly(1))
    assert shop.payouts(shop.opens()) == {"acme": 9, "fee": 1}


def test_leaves_are_sorted_by_subscriber_and_plan(shop):
    shop.given(shop.plan("pro"), shop.plan("air"))
    for subscriber, plan in (("zoe", "pro"), ("bob", "pro"), ("bob", "air"), ("alice", "pro"), ("Bob", "pro")):
        shop.given(shop.deposit(f"{subscriber} {plan}", subscriber=subscriber, plan=plan))
    shop.given(shop.charge_directly(1))
    leaves = [(leaf.subscriber, leaf.plan) for leaf in shop.opens().batch.leaves]
    assert leaves == [("Bob", "pro"), ("alice", "pro"), ("bob", "air"), ("bob", "pro"), ("zoe", "pro")]


def test_a_leaf_names_a_plan_by_its_id_on_the_chain(shop):
    shop.given(shop.plan(onchain_id="0xabc"), shop.deposit("1"), shop.charge_directly(30))
    assert shop.counters(shop.opens()) == {("alice", "0xabc"): (300, 0)}


def test_a_leaf_stays_when_all_of_it_was_taken_back(shop):
    """Counters never disappear: 300, then 300 back."""
    charge = shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30))
    shop.settles()
    shop.given(shop.correct(charge, -30))
    assert shop.counters(shop.opens()) == {ALICE: (300, 300)}


def test_a_frozen_account_keeps_its_leaf(shop):
    shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30), shop.freeze())
    assert shop.counters(shop.opens()) == {ALICE: (300, 0)}


def test_a_leaf_stays_while_others_earn(shop):
    """A lot that is used up and settled long ago is still told of in every batch."""
    shop.given(shop.plan(), shop.deposit("1"), stands(shop, "bob"), shop.charge_directly(100))
    shop.settles()
    shop.at(90 * 86_400).given(shop.charge_directly(1, subscriber="bob"))
    assert shop.counters(shop.opens()) == {ALICE: (1000, 0), BOB: (10, 0)}


# -- what there is to settle -------------------------------------------------------------------------------------------


def test_nothing_to_settle_writes_nothing(shop):
    """Not on an empty ledger, not without escrow, not before anything is earned, not after all of it is settled."""
    shop.opens_nothing()
    shop.given(shop.plan(), shop.buy(subscriber="carl", funding="direct"))
    shop.given(shop.charge_directly(30, subscriber="carl"))
    shop.opens_nothing()
    shop.given(shop.deposit("1"), shop.ask(40))
    shop.opens_nothing()
    shop.given(shop.charge_directly(30))
    shop.settles()
    shop.opens_nothing()
    shop.opens_nothing("EUR")
    shop.opens_nothing(contract="other")


def test_nothing_to_settle_writes_not_even_what_is_due(shop):
    """A gift has expired and a hold's deadline is past, but what is due is not written for nothing."""
    shop.given(shop.plan(hold_seconds=50), shop.gift(10, expiry=100), shop.deposit("1"), shop.ask(5))
    head = shop.ledger.head.seq
    shop.at(200).opens_nothing()
    assert shop.ledger.head.seq == head
    shop.tick()
    assert shop.types == ["released", "lapsed"]


def test_a_lot_that_expired_with_its_money_returned_is_nothing_to_settle(shop):
    shop.given(shop.plan(seconds=100, on_lapse="refund"), shop.deposit("1"))
    shop.at(200).opens_nothing()


def test_a_keyed_opening_that_found_nothing_is_not_remembered(shop):
    """It wrote nothing, so there is no first answer to give: the same command opens a batch when there is one."""
    shop.given(shop.plan(), shop.deposit("1"))
    shop.opens_nothing(key="nightly")
    shop.given(shop.charge_directly(30))
    assert shop.payouts(shop.opens(key="nightly")) == {"acme": 270, "fee": 30}


def test_counters_that_moved_are_settled_though_the_payouts_net_to_nothing(shop):
    """Alice's 300 are taken back while Bob's 300 are earned: nobody is paid, but the proofs must change."""
    shop.given(shop.plan(), shop.deposit("1"), stands(shop, "bob"))
    charge = shop.given(shop.charge_directly(30))
    shop.settles()
    shop.given(shop.correct(charge, -30), shop.charge_directly(30, subscriber="bob"))
    opened = shop.opens()
    assert shop.counters(opened) == {ALICE: (300, 300), BOB: (300, 0)}
    assert opened.batch.payouts == ()


# -- what is covered ---------------------------------------------------------------------------------------------------


def commits_after(shop, seq):
    """The types of events, commit by commit."""
    return [
        [tag(entry.event) for entry in shop.ledger.events() if commit.first_seq <= entry.seq <= commit.last_seq]
        for commit in shop.ledger.commits(after=seq)
    ]


def test_what_is_due_on_all_accounts_is_written_before_the_opening_in_its_commit_and_covered(shop):
    """Alice's lot lapses, Bob's hold is released and the rest of his lot lapses (1000 each), Carl's gift lapses."""
    shop.given(shop.plan(seconds=100, hold_seconds=50), shop.deposit("1"), stands(shop, "bob"))
    shop.given(shop.charge_directly(30, subscriber="bob"), shop.ask(20, subscriber="bob"))
    head = shop.given(shop.gift(5, subscriber="carl", expiry=80))
    opened = shop.at(100).opens()
    last = shop.ledger.head.seq
    (types,) = commits_after(shop, shop.wrote[0].seq - 1)
    assert (types[-1], sorted(types)) == ("settlement_opened", ["lapsed"] * 3 + ["released", "settlement_opened"])
    assert shop.wrote[0].seq > head
    assert (opened.seq, opened.batch.covers) == (last, {"main": last - 1})
    assert shop.counters(opened) == {ALICE: (1000, 0), BOB: (1000, 0)}
    assert shop.payouts(opened) == {"acme": 1800, "fee": 200}


def test_an_opening_covers_all_that_was_written_before_it(shop):
    shop.given(shop.plan(), shop.deposit("1"))
    seq = shop.given(shop.charge_directly(30))
    opened = shop.opens()
    assert (opened.batch.covers, opened.seq) == ({"main": seq}, seq + 1)


def test_nothing_else_of_its_own_commit_is_covered(shop):
    """30 before it and 20 after it, all asked for at once: the opening stands first in its commit, and has the 30."""
    shop.given(shop.plan(), shop.deposit("1"))
    head = shop.ledger.head.seq
    first, opened, second = shop.ledger.execute_many(
        [shop.charge_directly(30), shop.open_batch(), shop.charge_directly(20)]
    )
    assert (first.seq, opened.seq, second.seq) == (head + 1, head + 2, head + 3)
    assert [types[0] for types in commits_after(shop, head)][1] == "settlement_opened"
    assert opened.event.covers == {"main": first.seq}
    (reading,) = shop.ledger.batches(ContractRef("mock:local", "tollbook"))
    assert shop.counters(reading) == {ALICE: (300, 0)}
    shop.given(shop.submit(1))
    assert shop.payouts(shop.opens()) == {"acme": 180, "fee": 20}


def test_several_openings_asked_for_at_once_stand_in_commits_of_their_own(shop):
    shop.given(shop.plan(), shop.deposit("1"), shop.deposit("2", contract="other"), shop.charge_directly(100))
    head = shop.given(shop.charge_directly(20))
    here, there = shop.ledger.execute_many([shop.open_batch(), shop.open_batch(contract="other")])
    assert commits_after(shop, head) == [["settlement_opened"], ["settlement_opened"]]
    assert (here.event.covers, there.event.covers) == ({"main": head}, {"main": head + 1})


def test_a_batch_carries_the_logs_head_before_its_own_commit(shop):
    """So a published leaf file shows a tail that was cut off."""
    shop.given(shop.plan(seconds=100), shop.deposit("1"), shop.charge_directly(30))
    head = shop.ledger.head
    batch = shop.at(100).opens().batch
    assert shop.types == ["lapsed", "settlement_opened"]
    assert (batch.ledger, batch.head_seq, bytes.fromhex(batch.head_hash)) == ("shop", head.seq, head.hash)
    assert (batch.covers, batch.at) == ({"main": head.seq + 1}, shop.moment(100))


def test_what_was_covered_gives_the_same_earnings_when_it_is_folded_again(shop):
    """The money of a batch is a reading of the log at `covers`: 300 earned by then, whatever came later."""
    shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(30))
    covered = shop.opens().batch.covers["main"]
    shop.given(shop.charge_directly(50))
    then = shop.ledger.as_of(seq=covered)
    assert [each.earned for each in then.earned()] == [300]


# -- time --------------------------------------------------------------------------------------------------------------


def test_a_window_of_time_has_earned_by_the_time_that_passed_at_the_opening(shop):
    """100 seconds for 1000: 250 after 25, 404 after 40.4, and 1000 however late. Of 404 acme has ⌊363.6⌋ and the fee
    ⌊40.4⌋; the 1 that is left is paid in the end."""
    shop.given(shop.window(), shop.deposit("1"))
    assert shop.counters(shop.at(25).settles()) == {ALICE: (250, 0)}
    opened = shop.at(40.4).settles()
    assert (shop.counters(opened), shop.payouts(opened)) == ({ALICE: (404, 0)}, {"acme": 138, "fee": 15})
    opened = shop.at(500).settles()
    assert (shop.counters(opened), shop.payouts(opened)) == ({ALICE: (1000, 0)}, {"acme": 537, "fee": 60})
    shop.at(900).opens_nothing()


def test_a_window_earns_to_the_microsecond_rounded_down(shop):
    """7 for 3 seconds: the first whole unit is there after 3/7 s = 428571.43 µs."""
    shop.given(shop.window(seconds=3, price={"acme": 7}), shop.deposit("1"))
    shop.at(0, microseconds=428_571).opens_nothing()
    assert shop.counters(shop.at(0, microseconds=428_572).opens()) == {ALICE: (1, 0)}


def test_lapsed_credits_have_earned(shop):
    shop.given(shop.plan(seconds=100), shop.deposit("1"), shop.charge_directly(25))
    assert shop.counters(shop.at(99).settles()) == {ALICE: (250, 0)}
    assert shop.counters(shop.at(100).settles()) == {ALICE: (1000, 0)}


def test_lapsed_credits_whose_money_returns_have_not_earned(shop):
    shop.given(shop.plan(seconds=100, on_lapse="refund"), shop.deposit("1"), shop.charge_directly(25))
    opened = shop.at(100).opens()
    assert shop.types == ["withdrawn", "settlement_opened"]
    assert (shop.counters(opened), shop.payouts(opened)) == ({ALICE: (250, 0)}, {"acme": 225, "fee": 25})


def test_a_purchase_reversed_after_it_was_spent_takes_back_what_it_had_earned(shop):
    """30 were used and settled; the payment was void: 30 credits are owed, and the 300 go back in the next batch."""
    lot = shop.given(shop.plan(), shop.deposit("1"))
    shop.given(shop.charge_directly(30))
    shop.settles()
    shop.given(shop.reverse(lot))
    shop.leaves(debt=30, available=-30)
    opened = shop.settles()
    assert shop.counters(opened) == {ALICE: (300, 300)}
    assert shop.payouts(opened) == {"acme": -270, "fee": -30}
    assert [shop.money(place) for place in ("settled", "payer", "deferred", "due")] == [0, 0, 0, 0]


def test_a_purchase_reversed_before_anything_was_settled_leaves_nothing_to_settle(shop):
    lot = shop.given(shop.plan(), shop.deposit("1"))
    shop.given(shop.charge_directly(30), shop.reverse(lot))
    shop.opens_nothing()


def test_a_debt_that_a_later_purchase_pays_earns_at_that_purchases_cost(shop):
    """30 are owed after the reversal. The next lot, 100 credits for 2000, pays them: it has earned 600."""
    lot = shop.given(shop.plan(), shop.deposit("1"))
    shop.given(shop.charge_directly(30))
    shop.settles()
    shop.given(shop.reverse(lot))
    shop.settles()
    shop.given(shop.deposit("2", terms=Terms(asset="USD", shares={"acme": 1500, "fee": 500}, credits=100)))
    shop.leaves(debt=0, available=70)
    opened = shop.settles()
    assert shop.counters(opened) == {ALICE: (900, 300)}
    assert shop.payouts(opened) == {"acme": 450, "fee": 150}


def test_debt_earns_nothing_until_a_lot_pays_it(shop):
    """100 credits for 1000 are used up and 30 are owed: 1000 are earned, then 1300 when the next lot pays."""
    shop.given(shop.plan(overrun="debt", debt_limit=50), shop.deposit("1"), shop.charge_directly(130))
    assert shop.counters(shop.settles()) == {ALICE: (1000, 0)}
    shop.opens_nothing()
    shop.given(shop.deposit("2"))
    assert shop.counters(shop.settles()) == {ALICE: (1300, 0)}
