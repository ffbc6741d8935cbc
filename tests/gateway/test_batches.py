"""`tollbook batches`: all batches of a log, what is outstanding, and for how long.

The plan is 100 credits for 1000 USD, of which 100 are a fee: a used credit earns 10. Each command takes a second.
"""

import shutil
from contextlib import closing

import pytest

from chains import Outbox, Watcher
from chains.mock import MockChain, Refuse
from ledger import Adjust, Charge, CreatePlan, Give, Ledger, PayInvoice, Purchase, Reverse, Subscribe, Tick
from ledger.folding import refold
from ledger.plugins import stores
from replay.audit.findings import time_text
from replay.reports.unsettled import oldest_unsettled

SECOND = 1_000_000
START = 1_700_157_600 * SECOND  # 2023-11-16T18:00:00Z
HOUR = 3600
ALICE = {"subscriber": "alice", "plan": "pro"}
KEYS = ["number", "asset", "covers", "root", "digest", "accounts", "payouts", "state", "attempts", "transaction"]
MORE = ["chain", "contract", "block", "opened", "ended", "reason"]


class Seller:
    """A log with a clock of its own, and the mock chain beside it."""

    def __init__(self, log):
        self.log, self.mock, self.now = log, log.with_name(f"{log.name}.mock"), START
        self.do(self.plan(), self.plan("time", credits=0, seconds=1_000, policy="time", parameters={}))

    def tick(self):
        self.now += SECOND
        return self.now

    def open(self):
        return Ledger.open(self.log, clock=self.tick, id="shop")

    def plan(self, plan="pro", **terms):
        tariff = {"policy": "complexity", "parameters": {"weights": {"units": 1}}}
        sold = {"price": {"acme": 900, "fee": 100}, "credits": 100, "owner": "acme"}
        return CreatePlan(plan=plan, **(sold | tariff | terms))

    def do(self, *commands):
        """Do commands, one after the other; the sequence of the last one's first event."""
        with self.open() as ledger:
            return [ledger.execute(command).unwrap().seq for command in commands][-1]

    def use(self, units=1, **who):
        """A direct charge; its time."""
        self.seq = self.do(Charge(**(ALICE | who), usage={"units": units}))
        return self.head.at

    @property
    def head(self):
        with self.open() as ledger:
            return ledger.head

    def buys(self, *subscribers, plan="pro", **terms):
        """Bought on the chain, and taken in."""
        with closing(MockChain(self.mock)) as chain, self.open() as ledger:
            for subscriber in subscribers:
                chain.purchase(subscriber, plan, "USD", {"acme": 900, "fee": 100}, **({"credits": 100} | terms))
            chain.mine(2)
            assert Watcher(ledger, chain).sync() == []

    def settle(self, *script, pauses=99, adopt=False):
        with closing(MockChain(self.mock, script=script)) as chain, self.open() as ledger:
            box = Outbox(ledger, chain)
            if adopt:
                box.adopt()
            box.settle(pauses=range(pauses))

    def oldest(self):
        """The oldest unsettled unit of USD, as the log has it."""
        with closing(stores.get("sqlite")(self.log, read_only=True)) as store:
            return oldest_unsettled(store.read, refold(store.read())).get("USD")


@pytest.fixture
def seller(tmp_path):
    return Seller(tmp_path / "toll.db")


@pytest.fixture
def batches(tollbook, seller):
    return lambda *words: tollbook("batches", seller.log, *words, "--json").json


# -- the batches -------------------------------------------------------------------------------------------------------


def test_batches_are_listed_with_settles_keys_and_more(seller, batches):
    seller.buys("alice", "bob")
    seller.use(30)
    seller.settle()
    answer = batches()
    assert list(answer) == ["log", "batches", "money"]
    (batch,) = answer["batches"]
    assert list(batch) == KEYS + MORE
    assert (batch["number"], batch["chain"], batch["contract"]) == (1, "mock:local", "tollbook")
    assert (batch["state"], batch["accounts"], batch["attempts"], batch["reason"]) == ("confirmed", 2, 1, None)
    assert seller.now > START
    assert time_text(START) < batch["opened"] < batch["ended"] <= time_text(seller.now)
    assert batch["block"] > 0


def test_each_batch_says_how_many_accounts_it_has_a_leaf_of(seller, batches):
    """Of everyone who ever had a lot in that escrow before it was opened; one that left before it began counts not."""
    seller.buys("alice")
    seller.use()
    seller.settle()
    seller.buys("bob", "alice")
    seller.use()
    seller.settle()
    seller.do(Give(subscriber="carl", plan="pro", credits=5))
    seller.use()
    seller.settle()
    assert [batch["accounts"] for batch in batches()["batches"]] == [1, 2, 2]


def test_a_number_that_was_given_out_again_stands_there_twice(seller, batches, tollbook):
    seller.buys("alice")
    seller.use()
    seller.settle(Refuse(reason="not today"), pauses=0)
    seller.settle(pauses=0)
    failed, submitted = batches()["batches"]
    assert (failed["number"], failed["state"], failed["reason"]) == (1, "failed", "not today")
    assert (failed["transaction"], failed["block"]) == (None, None)
    assert (submitted["number"], submitted["state"], submitted["ended"]) == (1, "submitted", None)
    assert failed["ended"] is not None
    assert "batch 1 of tollbook failed: the chain refused it: not today\n" in tollbook("batches", seller.log).out


def test_an_adopted_batch_is_there_as_well(seller, batches):
    seller.buys("alice", "bob")
    seller.use(3)
    shutil.copy(seller.log, seller.log.with_name("backup"))
    seller.settle()
    lost = batches()["batches"]
    shutil.copy(seller.log.with_name("backup"), seller.log)
    seller.settle(adopt=True)
    (adopted,) = batches()["batches"]
    same = ("number", "asset", "covers", "root", "digest", "accounts", "payouts", "state")
    assert [adopted[name] for name in same] == [lost[0][name] for name in same]


def test_the_batches_of_one_chain(seller, batches, tollbook):
    assert tollbook("batches", seller.log, "--chain", "mock", "--json").error["code"] == "not_found"
    seller.buys("alice")
    seller.use()
    seller.settle()
    assert [batch["number"] for batch in batches("--chain", "mock")["batches"]] == [1]
    error = tollbook("batches", seller.log, "--chain", "eip155:1", "--json").error
    assert (error["code"], "mock:local" in error["hint"]) == ("not_found", True)


def test_a_log_without_batches(seller, batches, tollbook):
    answer = batches()
    assert (answer["batches"], answer["money"]) == ([], [])
    done = tollbook("batches", seller.log)
    assert (done.code, done.out) == (0, f"{seller.log}\nnothing was earned yet\n\nno batch was opened yet\n")


def test_the_last_ones_are_shown_and_all_where_they_are_asked_for(seller, batches, tollbook):
    seller.buys("alice")
    for _ in range(22):
        seller.use()
        seller.settle()
    assert len(batches()["batches"]) == 22
    assert [batch["number"] for batch in batches("--limit", "2")["batches"]] == [21, 22]
    lines = tollbook("batches", seller.log).out.splitlines()
    title = lines.index("the last 20 of 22 batches, all of contract tollbook on mock:local")
    assert [line.split()[0] for line in lines[title + 2 : -1]] == [str(number) for number in range(3, 23)]
    assert lines[-1] == "--limit 22 shows them all"
    lines = tollbook("batches", seller.log, "--limit", "99").out.splitlines()
    assert sum("confirmed" in line for line in lines) == 22
    assert "--limit" not in lines[-1]


def test_the_table_is_no_wider_than_it_must_be(seller, tollbook):
    seller.buys("alice")
    seller.use(30)
    seller.settle()
    lines = tollbook("batches", seller.log).out.splitlines()
    assert max(len(line) for line in lines[1:]) <= 120
    assert not any(".000000Z" in line for line in lines[1:])
    assert lines.index("money") < len(lines) - 3


def test_several_contracts_have_a_column(seller, tollbook):
    seller.buys("alice")
    seller.use()
    seller.settle()
    with closing(MockChain(contract="0x" + "a1" * 20)) as chain, seller.open() as ledger:
        chain.purchase("bob", "pro", "USD", {"0x" + "Cc" * 20: 1000}, credits=100)
        chain.mine(2)
        Watcher(ledger, chain).sync()
        ledger.execute(Charge(subscriber="bob", plan="pro", usage={"units": 2})).unwrap()
        Outbox(ledger, chain).settle()
    rows = [line.split() for line in tollbook("batches", seller.log).out.splitlines()]
    assert ["batch", "chain", "contract", "asset"] in [row[:4] for row in rows]
    payout = ["0x" + "Cc" * 20, "+0.20"]
    assert ["1", "mock:local", "0xa1a1…a1a1", "USD", "confirmed", "1", *payout] in [row[:8] for row in rows]


def test_it_changes_nothing_and_leaves_nothing(seller, tollbook):
    seller.buys("alice")
    seller.use()
    seller.settle()
    before, files = seller.log.read_bytes(), sorted(seller.log.parent.iterdir())
    assert tollbook("batches", seller.log).code == 0
    assert (seller.log.read_bytes(), sorted(seller.log.parent.iterdir())) == (before, files)
    none = seller.log.with_name("none.db")
    assert tollbook("batches", none, "--json").error["code"] == "not_found"
    assert not none.exists()


def test_a_damaged_log_is_an_error(seller, tollbook, spoil):
    seller.buys("alice")
    seller.use(7)
    spoil(seller.log, '"usage":{"units":7}', '"usage":{"units":8}')
    assert tollbook("batches", seller.log, "--json").error["code"] == "bad_data"


# -- the money ---------------------------------------------------------------------------------------------------------


def test_the_money_is_told_by_asset_and_by_receiver(seller, batches):
    seller.buys("alice")
    seller.use(30)
    seller.settle()
    oldest = seller.use(5)
    seller.do(Purchase(subscriber="bob", plan="pro", funding="direct"))
    seller.use(10, subscriber="bob")
    (money,) = batches()["money"]
    places = ["outstanding_on", "unfunded", "receivable", "oldest_unsettled"]
    assert list(money) == ["asset", "asset_decimals", "earned", "settled", "outstanding", *places, "receivers"]
    assert (money["earned"], money["settled"], money["outstanding"]) == (450, 400, 50)
    assert money["oldest_unsettled"] == time_text(oldest)
    assert money["receivers"] == [
        {"receiver": "acme", "earned": 405, "settled": 360, "outstanding": 45},
        {"receiver": "fee", "earned": 45, "settled": 40, "outstanding": 5},
    ]


def test_what_rounding_leaves_is_told_so_that_the_receivers_lines_add_up(seller, tollbook):
    """7 credits for 53, of which 37 and 16 are shares: of ⌊53/7⌋ = 7 they have ⌊7·37/53⌋ = 4 and ⌊7·16/53⌋ = 2."""
    seller.do(seller.plan("odd", price={"acme": 37, "fee": 16}, credits=7), Purchase(subscriber="alice", plan="odd"))
    seller.use(plan="odd")
    lines = [line.split() for line in tollbook("batches", seller.log).out.splitlines()]
    assert ["USD", "0.07", "0.00", "0.07"] in [line[:4] for line in lines]
    assert ["acme", "USD", "0.04", "0.00", "0.04"] in lines
    assert ["fee", "USD", "0.02", "0.00", "0.02"] in lines
    assert ["(left", "by", "rounding)", "USD", "0.01", "0.00", "0.01"] in lines


def test_what_is_outstanding_is_on_a_chain_or_on_none(seller, batches):
    seller.buys("alice")
    seller.do(Purchase(subscriber="bob", plan="pro"), Purchase(subscriber="carl", plan="pro", funding="direct"))
    for units, subscriber in ((30, "alice"), (4, "bob"), (9, "carl")):
        seller.use(units, subscriber=subscriber)
    (money,) = batches()["money"]
    assert (money["outstanding"], money["outstanding_on"], money["unfunded"]) == (340, {"mock:local": 300}, 40)
    seller.settle()
    (money,) = batches()["money"]
    assert (money["outstanding"], money["outstanding_on"], money["unfunded"]) == (40, {}, 40)
    seller.do(Adjust(charge=seller.seq - 2, credits=-10, reason="refund"))
    (money,) = batches()["money"]
    assert (money["outstanding"], money["outstanding_on"], money["unfunded"]) == (-60, {"mock:local": -100}, 40)


def test_what_is_owed_on_invoices_is_receivable_and_earned_once_it_is_paid(seller, batches, tollbook):
    seller.do(seller.plan("payg", billing="postpaid", credit_limit=100), Subscribe(subscriber="alice", plan="payg"))
    seller.use(30, plan="payg")
    seller.now += 32 * 86_400 * SECOND
    seller.do(Tick())
    (money,) = batches()["money"]
    assert (money["receivable"], money["earned"], money["outstanding"]) == (300, 0, 0)
    paid = {"subscriber": "alice", "plan": "payg", "invoice": 1, "payment": "p1", "amount": 120}
    seller.do(PayInvoice(**paid, funding="none"))
    (money,) = batches()["money"]
    assert (money["receivable"], money["earned"], money["outstanding"], money["unfunded"]) == (180, 120, 120, 120)
    assert money["oldest_unsettled"] == time_text(seller.head.at)
    text = tollbook("batches", seller.log).out
    assert "1.80 USD is owed on invoices, and earned when it is paid" in text
    assert "1.20 USD is outstanding from payments that no chain holds" in text


def test_the_text_says_how_long_the_oldest_unit_waits(seller, tollbook):
    seller.buys("alice")
    oldest = seller.use(30)
    seller.now += (26 * HOUR + 59) * SECOND
    seller.do(Give(**ALICE, credits=1))
    without_fraction = time_text(oldest).partition(".")[0] + "Z"
    assert f"{without_fraction}, 1 d 2 h before the log's end" in tollbook("batches", seller.log).out


# -- the oldest unsettled unit -----------------------------------------------------------------------------------------


def test_nothing_is_unsettled_where_nothing_was_earned(seller):
    seller.buys("alice")
    assert seller.oldest() is None


def test_it_is_the_first_charge_that_no_confirmed_batch_covers(seller):
    seller.buys("alice", "bob")
    first = seller.use()
    seller.use(subscriber="bob")
    assert seller.oldest() == first
    seller.settle()
    assert seller.oldest() is None
    second = seller.use(subscriber="bob")
    seller.use()
    assert seller.oldest() == second


def test_a_batch_that_is_open_or_failed_covers_nothing(seller):
    seller.buys("alice")
    first = seller.use()
    seller.settle(pauses=0)
    assert seller.oldest() == first
    seller.settle()
    second = seller.use()
    seller.settle(Refuse())
    assert seller.oldest() == second
    seller.settle()
    assert seller.oldest() is None


def test_a_charge_that_was_given_back_makes_nothing_wait(seller):
    seller.buys("alice")
    seller.use(5)
    seller.do(Adjust(charge=seller.seq, credits=-5, reason="refund"))
    assert seller.oldest() is None
    later = seller.use(2)
    assert seller.oldest() == later


def test_a_charge_after_a_refund_of_what_was_settled_waits_from_where_more_is_earned(seller):
    """Ten are settled, four of them given back, three used: nothing is due. Two more: one of them is."""
    seller.buys("alice")
    seller.use(10)
    seller.settle()
    seller.do(Adjust(charge=seller.seq, credits=-4, reason="refund"))
    seller.use(3)
    assert seller.oldest() is None
    later = seller.use(2)
    assert seller.oldest() == later


def test_a_charge_that_rounds_to_nothing_earned_nothing(seller):
    """1 USD for 100 credits: only the last one earns it."""
    seller.do(seller.plan("cheap", price={"acme": 1}), Purchase(subscriber="alice", plan="cheap"))
    seller.use(60, plan="cheap")
    assert seller.oldest() is None
    last = seller.use(40, plan="cheap")
    assert seller.oldest() == last


def test_what_was_paid_directly_never_waits_and_what_nobody_paid_for_does(seller):
    seller.do(Purchase(**ALICE, funding="direct"))
    seller.use()
    assert seller.oldest() is None
    seller.do(Purchase(subscriber="bob", plan="pro"))
    first = seller.use(subscriber="bob")
    seller.buys("carl")
    seller.use(subscriber="carl")
    seller.settle()
    assert seller.oldest() == first


def test_what_lapsed_waits_since_it_lapsed_written_or_not(seller):
    seller.do(seller.plan("short", seconds=100))
    seller.buys("alice", plan="short", seconds=100)
    lapsed = seller.now  # when it was bought, or a little after
    seller.now += 200 * SECOND
    seller.do(Give(subscriber="bob", plan="pro", credits=1))
    found = seller.oldest()
    assert lapsed <= found <= lapsed + 101 * SECOND
    seller.do(Tick())
    assert seller.oldest() == found


def test_a_window_waits_since_it_was_last_covered_or_since_its_start(seller, batches):
    seller.buys("alice", plan="time", credits=0, seconds=1_000)
    bought = seller.now
    seller.now += 100 * SECOND
    seller.do(Give(subscriber="bob", plan="pro", credits=1))
    assert bought - 5 * SECOND < seller.oldest() <= bought
    seller.settle()
    covered = batches()["batches"][0]["opened"]
    seller.now += 100 * SECOND
    seller.do(Give(subscriber="bob", plan="pro", credits=1))
    assert time_text(seller.oldest()) == covered


def test_a_debt_waits_since_a_lot_took_it_over(seller):
    """What is owed earns nothing yet; a later lot pays it, and earns it then."""
    lot = seller.do(
        seller.plan("loan", overrun="debt", debt_limit=50), Purchase(subscriber="alice", plan="loan", payment="void")
    )
    first = seller.use(120, plan="loan")
    assert seller.oldest() == first
    seller.do(Reverse(subscriber="alice", plan="loan", lot=lot))
    assert seller.oldest() is None
    seller.do(Purchase(subscriber="alice", plan="loan"))
    assert seller.oldest() == seller.head.at


def test_an_adopted_batch_covers_what_the_log_had_before_it(seller):
    """The log that was lost was longer: sequences that come after the adoption here are not covered by it."""
    seller.buys("alice")
    seller.use()
    shutil.copy(seller.log, seller.log.with_name("backup"))
    for _ in range(20):
        seller.use()
    seller.settle()
    shutil.copy(seller.log.with_name("backup"), seller.log)
    seller.settle(adopt=True)
    assert seller.oldest() is None
    for _ in range(21):
        last = seller.use()
    assert seller.oldest() is not None
    assert seller.oldest() < last
