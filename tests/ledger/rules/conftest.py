"""The words in which the rules are told: a shop with a real ledger in memory, a clock that is set by hand, one plan.

    lot = shop.given(shop.plan(), shop.buy())       # 100 credits for 1000 USD; a unit of usage costs a credit
    request = shop.at(60).when(shop.ask(30))
    shop.leaves(available=70, held=30)

`given` and `when` return the sequence of the last command's first event: the number of a lot, a request or a charge.
All times are seconds since the shop opened, which is midnight. When a test is over, its log is posted as double entry
and must come to what the books say.
"""

import json
from collections import Counter

import pytest
import shop as shops
from shop import OPENING, SECOND

from ledger import (
    Adjust,
    Charge,
    CommitSettlement,
    ConfirmSettlement,
    ContractRef,
    CreatePlan,
    Escrow,
    EscrowFunding,
    Exit,
    Extend,
    Fact,
    FailSettlement,
    Freeze,
    Give,
    MarkSettlementUnknown,
    OpenSettlement,
    PayInvoice,
    Purchase,
    Reinstate,
    Release,
    RepricePlan,
    Request,
    Reverse,
    SubmitSettlement,
    Subscribe,
    Tick,
    Unfreeze,
    Withdraw,
    WriteOff,
    plugins,
)
from ledger.books import Books
from ledger.errors import WrongType, WrongValue
from ledger.events import encode, tag
from ledger.movements import CREDITS, Journal
from ledger.plugins import Price
from ledger.reducers import reduce

PRO = {"subscriber": "alice", "plan": "pro"}
UNIT = {"weights": {"units": 1}}
HERE = {"chain": "mock:local", "contract": "tollbook"}
PLACES = ("available", "held", "spent", "lapsed", "withdrawn")


class Failing:
    """A pricing policy that raises whenever it is asked for a price of anything but nothing."""

    version, scope, monotone = 1, "request", True

    def __init__(self, parameters):
        self.parameters = dict(parameters)

    def total(self, usage, labels):
        if usage:
            raise RuntimeError("this policy fails")
        return Price(0)


class OnlyTotal:
    """A pricing policy that offers no more than `total`: a unit costs 2 credits."""

    version, scope, monotone = 1, "request", True

    def __init__(self, parameters):
        self.parameters = dict(parameters)

    def total(self, usage, labels):
        return Price(2 * sum(usage.values()))


class OnlyTotalOfPeriods(OnlyTotal):
    scope = "period"


def usage(units):
    """Units of usage, or a usage as it is."""
    return {"units": units} if isinstance(units, int) else units or {}


def moments(said):
    """What was said, with its seconds as moments of the ledger."""
    times = {"start", "expiry", "occurred_at", "issued_at"}
    return {name: moment(value) if name in times else value for name, value in said.items()}


def moment(seconds):
    """A moment of the ledger, in microseconds."""
    return None if seconds is None else OPENING + int(seconds * SECOND)


class Shop(shops.Shop):
    """A shop that keeps what it wrote last."""

    moment = staticmethod(moment)

    def __init__(self):
        super().__init__()
        self.wrote = []

    # -- what may be said ----------------------------------------------------------------------------------------------

    def plan(self, plan="pro", **terms):
        """100 credits for 1000 USD, of which 100 are a fee; a unit of usage costs a credit."""
        sold = {"owner": "acme", "price": {"acme": 900, "fee": 100}, "credits": 100}
        tariff = {"policy": "complexity", "parameters": UNIT}
        return CreatePlan(plan=plan, **(sold | tariff | terms))

    def window(self, plan="pro", **terms):
        """A plan of 100 seconds for 1000 USD, without credits."""
        time = {"credits": 0, "seconds": 100, "policy": "time", "parameters": {}}
        return self.plan(plan, **(time | terms))

    def tiers(self, *tiers, policy="graduated", **terms):
        """A plan whose usage is priced in tiers (up to, credits a unit, flat fee)."""
        named = [{"up_to": upto, "unit": unit, "flat": flat[0] if flat else 0} for upto, unit, *flat in tiers]
        return self.plan(policy=policy, parameters={"dimension": "units", "tiers": named}, **terms)

    def reprice(self, plan="pro", policy="complexity", **parameters):
        return RepricePlan(plan=plan, policy=policy, parameters=parameters)

    def buy(self, **said):
        return Purchase(**(PRO | moments(said)))

    def gift(self, credits=0, **said):
        return Give(**(PRO | {"credits": credits} | moments(said)))

    def ask(self, units=None, **said):
        return Request(**(PRO | {"estimate": usage(units)} | said))

    def extend(self, request, seconds):
        return Extend(request=request, seconds=seconds)

    def release(self, request, reason="voided"):
        return Release(request=request, reason=reason)

    def charge(self, request, units=None, **said):
        return Charge(request=request, usage=usage(units), **moments(said))

    def part(self, request, units=None, **said):
        return self.charge(request, units, final=False, **said)

    def charge_directly(self, units=None, **said):
        return Charge(**(PRO | {"usage": usage(units)} | moments(said)))

    def correct(self, charge, credits=0, **said):
        return Adjust(charge=charge, credits=credits, **moments(said))

    def correct_period(self, period, credits=0, **said):
        return Adjust(**(PRO | {"period": period, "credits": credits} | moments(said)))

    def withdraw(self, **said):
        return Withdraw(**(PRO | said))

    def reverse(self, lot=0, **said):
        return Reverse(**(PRO | {"lot": lot} | said))

    def reinstate(self, lot=0, **said):
        return Reinstate(**(PRO | {"lot": lot} | said))

    def freeze(self, **said):
        return Freeze(**(PRO | said))

    def unfreeze(self, **said):
        return Unfreeze(**(PRO | said))

    # -- pay as you go -------------------------------------------------------------------------------------------------

    def postpaid(self, plan="pro", **terms):
        """100 credits for 1000 USD, invoiced at the month's end and due a week later; 500 credits may be owed."""
        return self.plan(plan, **({"billing": "postpaid", "credit_limit": 500, "due_days": 7} | terms))

    def subscribe(self, **said):
        return Subscribe(**(PRO | said))

    def pay(self, invoice=1, amount=None, payment="p1", **said):
        return PayInvoice(**(PRO | {"invoice": invoice, "amount": amount, "payment": payment} | said))

    def write_off(self, invoice=1, amount=None, **said):
        return WriteOff(**(PRO | {"invoice": invoice, "amount": amount} | said))

    def invoices(self, subscriber="alice", plan="pro"):
        return self.ledger.invoices(subscriber, plan)

    def invoice_is(self, number=1, subscriber="alice", plan="pro", **fields):
        """An invoice of the account stands so."""
        reading = next(each for each in self.invoices(subscriber, plan) if each.invoice == number)
        assert {name: getattr(reading, name) for name in fields} == fields

    # -- what may be said of settlements: all of the contract `HERE`, unless another chain or contract is named --------

    def deposit(self, purchase, *, chain=HERE["chain"], contract=HERE["contract"], block=0, **said):
        """A purchase whose money a contract holds."""
        escrow = Escrow(chain=chain, contract=contract, purchase=purchase, block=block)
        return self.buy(funding=EscrowFunding(escrow), **said)

    def fact(self, id, **where):
        return Fact(id=id, **(HERE | where))

    def exit(self, amount, id="exit 1", where=HERE, **said):
        """The contract paid the subscriber so much."""
        return Exit(**(PRO | {"asset": "USD", "amount": amount, "fact": self.fact(id, **where)} | said))

    def open_batch(self, asset="USD", **said):
        return OpenSettlement(asset=asset, **(HERE | said))

    def submit(self, number, attempt=1, **said):
        sent = {"raw": f"raw {number}/{attempt}", "transaction": f"0x{number}{attempt}"}
        return SubmitSettlement(number=number, attempt=attempt, **(HERE | sent | said))

    def commit(self, number, **said):
        return CommitSettlement(number=number, **(HERE | said))

    def confirm(self, number, **said):
        return ConfirmSettlement(number=number, **(HERE | said))

    def fail(self, number, **said):
        return FailSettlement(number=number, **(HERE | said))

    def doubt(self, number, **said):
        return MarkSettlementUnknown(number=number, **(HERE | said))

    def opens(self, asset="USD", **said):
        """A batch is opened: how it reads then, among those that are open."""
        seq = self.when(self.open_batch(asset, **said))
        where = {name: said.get(name, HERE[name]) for name in HERE}
        return next(each for each in self.ledger.batches(ContractRef(**where)) if each.seq == seq)

    def opens_nothing(self, asset="USD", **said):
        """There is nothing to settle: the command is accepted, and log and books stay as they were."""
        head, state = self.ledger.head, self.ledger.state()
        answer = self.ledger.execute(self.open_batch(asset, **said))
        assert answer, f"refused: {answer}"
        assert answer.event is None
        assert (self.ledger.head, self.ledger.state()) == (head, state), "nothing to settle left its mark"

    def settles(self, asset="USD", **where):
        """A batch is opened, submitted, committed and confirmed."""
        opened = self.opens(asset, **where)
        number = opened.batch.number
        self.given(self.submit(number, **where), self.commit(number, **where), self.confirm(number, **where))
        return opened

    @staticmethod
    def counters(opened):
        """A batch's leaves, `{(subscriber, plan): (charged, credited)}`, each of them once."""
        counters = {(leaf.subscriber, leaf.plan): (leaf.charged, leaf.credited) for leaf in opened.batch.leaves}
        assert len(counters) == len(opened.batch.leaves)
        return counters

    @staticmethod
    def payouts(opened):
        """A batch's payouts by receiver."""
        return {payout.receiver: payout.amount for payout in opened.batch.payouts}

    # -- given, when ---------------------------------------------------------------------------------------------------

    def given(self, *commands):
        """Commands that are accepted, one after the other."""
        return [self.when(command) for command in commands][-1]

    def when(self, command):
        """A command that is accepted."""
        before = self.ledger.head.seq
        seq = self.do(command)
        self.wrote = list(self.ledger.events(after=before))
        return seq

    def tick(self):
        """Write what time has done."""
        self.when(Tick())
        return self

    # -- then ----------------------------------------------------------------------------------------------------------

    def refuses(self, command, reason, **facts):
        """A command that is refused for this reason with (at least) these facts; log and books stay as they were."""
        head, state = self.ledger.head, self.ledger.state()
        answer = self.refusal(command)
        assert answer.reason == reason, f"{command} was refused, but for another reason: {answer}"
        assert {name: answer.facts.get(name) for name in facts} == facts
        assert (self.ledger.head, self.ledger.state()) == (head, state), "a refusal left its mark"
        return answer

    def raises(self, command, match=None):
        """A command that no books could accept: the call raises, and log and books stay as they were."""
        head, state = self.ledger.head, self.ledger.state()
        with pytest.raises((WrongType, WrongValue), match=match):
            self.ledger.execute(command)
        assert (self.ledger.head, self.ledger.state()) == (head, state), "a command that raised left its mark"

    def leaves(self, subscriber="alice", plan="pro", **places):
        """The account's balance stands so."""
        balance = self.ledger.balance(subscriber, plan)
        assert {name: getattr(balance, name) for name in places} == places
        assert balance.issued == sum(getattr(balance, place) for place in PLACES)

    def lot_has(self, lot, subscriber="alice", plan="pro", **places):
        """A lot of the account stands so."""
        reading = super().lot(lot, subscriber, plan)
        assert {name: getattr(reading, name) for name in places} == places

    def stored(self, seq):
        """The event of that sequence, as it is stored."""
        return json.loads(encode(self.event(seq)))

    @property
    def types(self):
        """The types of the events that the last commit wrote."""
        return [tag(entry.event) for entry in self.wrote]

    def draws(self, seq):
        """An event's draws as [(lot, credits), …], neighbours on one lot as one."""
        merged = []
        for lot, credits in self.event(seq).draws:
            if merged and merged[-1][0] == lot:
                credits += merged.pop()[1]
            merged.append((lot, credits))
        return merged

    @property
    def earned(self):
        """What was earned so far, in USD."""
        return sum(each.earned for each in self.ledger.earned() if each.asset == "USD")

    def earned_by(self, receiver):
        """What a receiver has of what was earned so far, in USD."""
        return sum(each.receivers.get(receiver, 0) for each in self.ledger.earned() if each.asset == "USD")

    def money(self, place, asset="USD"):
        """The money at a place of the double entry: payer, deferred, due, settled."""
        totals = self.journal().totals.items()
        return sum(amount for (unit, where, *_), amount in totals if (unit, where) == (asset, place))

    def journal(self):
        """The whole log, posted as double entry; each event balances, unit by unit."""
        journal = Journal()
        for entry in self.ledger.events():
            sums = Counter()
            for leg in journal.post(entry):
                sums[leg.unit] += leg.amount
            assert not any(sums.values()), f"{entry} does not balance: {dict(sums)}"
        return journal

    def close(self):
        """Post the log as double entry, and fold it: both must come to what the books say."""
        self.tick()
        journal, books = self.journal(), Books()
        for entry in self.ledger.events():
            books.advance(entry.at)
            reduce(books, entry.seq, entry.at, entry.event)
        assert books.dump() == self.ledger.state(), "the log, folded from its beginning, is not the books"
        for balance in self.ledger.balances():
            assert balance.debt == 0 or balance.available == -balance.debt, "debt and free credits at once"
            posted = {place: total(journal, CREDITS, place, balance.account) for place in PLACES}
            assert posted == {place: getattr(balance, place) for place in PLACES}
            assert -total(journal, CREDITS, "issued", balance.account) == balance.issued
            self._close_invoices(journal, balance)
            for lot in self.ledger.lots(balance.subscriber, balance.plan):
                self._close_lot(journal, balance.account, lot)
        super().close()

    def _close_invoices(self, journal, balance):
        invoices = self.invoices(balance.subscriber, balance.plan)
        for each in invoices:
            rest = each.money - each.paid - each.credited - each.written_off - each.owed
            assert rest == (each.money if each.status == "credit_note" else 0), each
        if (billing := balance.billing) is not None:
            lots = self.ledger.lots(balance.subscriber, balance.plan)
            paid = sum(lot.cost - lot.refunded for lot in lots if lot.kind == "payment")
            unpaid = sum(each.money for each in invoices) - paid
            assert -total(journal, billing.asset, "invoiced", balance.account) == unpaid
            assert sum(each.owed + each.written_off for each in invoices) - billing.credit == unpaid
            assert sum(each.owed for each in invoices) == billing.owed
            assert billing.credit >= 0, "more is owed than invoices say"

    def _close_lot(self, journal, account, lot):
        posted = [journal.credits(account, lot.id, place) for place in PLACES]
        stands = [lot.left, lot.held, lot.spent, lot.lapsed, lot.withdrawn]
        assert posted == (stands if lot.started else [0] * len(PLACES)), lot
        paid = -journal.totals.get((lot.asset, "payer", account, lot.id, ""), 0)
        assert paid == lot.cost - lot.refunded, lot
        assert 0 <= lot.earned <= paid, lot
        deferred = lot.earned - sum(lot.shares_earned.values())
        assert 0 <= deferred <= max(0, len(lot.shares_earned) - 1), "each receiver is short of less than a unit"
        if lot.started and (not lot.left and not lot.held if lot.credits else self.now >= lot.expiry):
            assert deferred == 0, "what is used up is deferred no more"


def total(journal, unit, place, account):
    """A journal's total of an account at a place."""
    return sum(
        amount
        for (of, where, whose, *_), amount in journal.totals.items()
        if (of, where, whose) == (unit, place, account)
    )


@pytest.fixture(scope="session")
def open_shop():
    """Opens shops, for tests that need several."""
    if "failing" not in plugins.policies.names():
        plugins.policies.register("failing", Failing)
        plugins.policies.register("only_total", OnlyTotal)
        plugins.policies.register("only_total_of_periods", OnlyTotalOfPeriods)
    return Shop


@pytest.fixture
def shop(open_shop):
    """A shop that has just opened: an empty ledger at midnight, 2023-11-15. Its books are closed in the end."""
    shop = open_shop()
    yield shop
    shop.close()
