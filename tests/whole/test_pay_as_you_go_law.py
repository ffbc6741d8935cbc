"""Laws of pay as you go, under any use, correction, payment, reversal and write-off, at any times.

- invoiced = paid + written off + owed − credit, and all invoices together are the price of what they bill;
- what is used is on an invoice once: billed and unbilled credits are those spent on the credit line;
- what is used, held and available on the credit line, less what is paid and written off, costs no more than the limit,
  or nothing is available;
- written at every instant, or only when something else is, due events give equal books;
- the audit is clean, whichever way.
"""

import json
from typing import Any

from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from plan_terms import consistent
from shop import SECOND, Shop

from ledger import (
    Adjust,
    Charge,
    CreatePlan,
    Give,
    PayInvoice,
    Reinstate,
    Release,
    Request,
    Reverse,
    Subscribe,
    Tick,
    WriteOff,
)
from ledger.events import Charged, InvoicePaid, Requested
from ledger.stores.memory import MemoryStore
from replay import audit

DAY = 86_400
WHO: dict[str, Any] = {"subscriber": "ann", "plan": "payg"}
TERMS: dict[str, Any] = {"owner": "o", "policy": "complexity", "parameters": {"weights": {"units": 1}}}

which, money = st.integers(0, 5), st.integers(1, 400)
steps = st.one_of(
    st.tuples(st.just("use"), st.integers(0, 60)),
    st.tuples(st.just("use"), st.integers(0, 60)),
    st.tuples(st.just("ask"), st.integers(0, 60)),
    st.tuples(st.just("end"), which, st.integers(0, 70)),
    st.tuples(st.just("release"), which),
    st.tuples(st.just("correct"), which, st.integers(-60, 20)),
    st.tuples(st.just("gift"), st.integers(1, 40)),
    st.tuples(st.just("pay"), which, st.none() | money),
    st.tuples(st.just("pay"), which, st.none() | money),
    st.tuples(st.just("reverse"), which, st.none() | money),
    st.tuples(st.just("reinstate"), which),
    st.tuples(st.just("write off"), which, st.none() | money),
    st.tuples(st.just("forgive"), which),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("again"), which),
    st.tuples(st.just("wait"), st.sampled_from([1, 700, 9 * DAY, 20 * DAY, 35 * DAY])),
    st.tuples(st.just("wait"), st.sampled_from([1, 700, 9 * DAY, 20 * DAY, 35 * DAY])),
)
plans = st.fixed_dictionaries(
    {
        "price": st.sampled_from([{"a": 7}, {"a": 90, "b": 10}, {"a": 1, "b": 1, "c": 1}]),
        "credits": st.sampled_from([3, 11, 100]),
        "credit_limit": st.sampled_from([20, 100, 10_000]),
        "period": st.sampled_from(["month", "day", "day"]),
        "due_days": st.sampled_from([0, 7, 30]),
        "overdue": st.sampled_from(["serve", "stop"]),
        "overrun": st.sampled_from(["cap", "debt"]),
        "debt_limit": st.sampled_from([0, 15]),
    }
).map(consistent)


class Street(Shop):
    """One subscriber who pays as she goes; refusals are passed over."""

    def __init__(self, plan: dict[str, Any]) -> None:
        super().__init__(MemoryStore("law"))
        self.plan = plan
        self.do(CreatePlan(plan="payg", billing="postpaid", **TERMS, **plan))
        self.do(Subscribe(**WHO))
        self.payments = 0

    def known(self, kind: type, number: int) -> int:
        """Return the sequence of one of the events of a kind; 0 if there is none."""
        seqs = [entry.seq for entry in self.ledger.events() if isinstance(entry.event, kind)]
        return seqs[number % len(seqs)] if seqs else 0

    def invoice(self, number: int) -> int:
        """Return the number of one of the invoices; 1 if there is none."""
        return 1 + number % max(1, len(self.ledger.invoices()))

    def step(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("use", units):
                self.ledger.execute(Charge(**WHO, usage={"units": units}))
            case ("ask", units):
                self.ledger.execute(Request(**WHO, estimate={"units": units}))
            case ("end", number, units):
                self.ledger.execute(Charge(request=self.known(Requested, number) or 1, usage={"units": units}))
            case ("release", number):
                self.ledger.execute(Release(request=self.known(Requested, number)))
            case ("correct", number, credits):
                self.ledger.execute(Adjust(charge=self.known(Charged, number), credits=credits))
            case ("gift", credits):
                self.ledger.execute(Give(**WHO, credits=credits))
            case ("pay", number, amount):
                self.payments += 1
                funding: Any = "none" if self.payments % 3 else "direct"
                paid = {"invoice": self.invoice(number), "payment": f"p{self.payments}", "amount": amount}
                self.ledger.execute(PayInvoice(**WHO, **paid, funding=funding))
            case ("reverse", number, amount):
                self.ledger.execute(Reverse(**WHO, lot=self.known(InvoicePaid, number), amount=amount))
            case ("reinstate", number):
                self.ledger.execute(Reinstate(**WHO, lot=self.known(InvoicePaid, number)))
            case ("write off", number, amount):
                self.ledger.execute(WriteOff(**WHO, invoice=self.invoice(number), amount=amount))
            case ("forgive", number):  # the invoice is written off, and then its use comes back
                self.ledger.execute(WriteOff(**WHO, invoice=self.invoice(number)))
                charge = self.known(Charged, number)
                credits = max((lot.spent for lot in self.ledger.lots("ann", "payg")), default=0)
                for part in (credits, credits // 2):
                    self.ledger.execute(Adjust(charge=charge, credits=-part))
            case ("again", number):
                again = {"payment": f"p{1 + number}", "invoice": self.invoice(number)}
                self.ledger.execute(PayInvoice(**WHO, **again))
            case ("reopen",):  # as after a crash: all that is known is the log
                self.ledger = self.another()
            case ("wait", seconds):
                self.now += seconds * SECOND

    def check(self) -> None:
        """Check what holds at any time."""
        balance = self.ledger.balance("ann", "payg")
        assert balance is not None
        billing, invoices, lots = balance.billing, self.ledger.invoices(), self.ledger.lots("ann", "payg")
        assert billing is not None
        line = next(lot for lot in lots if lot.kind == "credit_line")
        billed = sum(each.credits for each in invoices)
        whole = sum(self.plan["price"].values())
        assert billed + billing.unbilled == line.spent
        assert sum(each.money for each in invoices) == billed * whole // self.plan["credits"]
        paid = sum(lot.cost - lot.refunded for lot in lots if lot.kind == "payment")
        written_off = sum(each.written_off for each in invoices)
        assert sum(each.money for each in invoices) == paid + written_off + billing.owed - billing.credit
        if line.left:
            all_used, per = line.spent + line.held + line.left, self.plan["credits"]
            void = max(0, billed * whole // per - min(line.spent, billed) * whole // per)
            owed = (all_used - billing.limit) * whole // per - paid - max(0, written_off - void)
            assert owed <= 1, "no more can be owed than the limit, but for rounding"
        assert min([billing.credit, line.left, *(each.owed for each in invoices)]) >= 0
        assert not (billing.credit and billing.owed), "credit pays what is owed"
        for each in invoices:
            rest = each.money - each.paid - each.credited - each.written_off - each.owed
            assert rest == (each.money if each.status == "credit_note" else 0)
        assert sum(each.earned for each in self.ledger.earned()) == paid
        assert all(sum(lot.shares_earned.values()) == lot.earned for lot in lots if lot.kind == "payment")


def accounts(street: Street) -> Any:
    """Return the books' accounts. The time of the last commit is another where due events are written late."""
    return json.loads(street.ledger.state())["accounts"]


@examples(40)
@given(plans, st.lists(steps, min_size=12, max_size=40))
def test_the_laws_of_pay_as_you_go(plan: dict[str, Any], told: list[tuple[Any, ...]]) -> None:
    with Street(plan) as eager, Street(plan) as lazy:
        for step in told:
            for street in (eager, lazy):
                street.step(step)
            eager.do(Tick())
            eager.check()
            lazy.check()
        lazy.do(Tick())
        assert accounts(eager) == accounts(lazy)
        assert [entry.event for entry in eager.ledger.events()] == [entry.event for entry in lazy.ledger.events()]
        for street in (eager, lazy):
            assert audit(street.location).findings == ()
