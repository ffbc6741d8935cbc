"""A ledger and one plan, for the laws of meaning: its verbs execute commands and return their sequence.

Times are seconds since the house opened, at the beginning of 2026.
"""

from shop import Shop

from ledger import Charge, CreatePlan, Give, Purchase, Request

SECOND = 1_000_000
DAY = 86_400
OPENING = 1_767_225_600 * SECOND
"""2026-01-01T00:00:00Z."""
MONTH_END = 31 * DAY

ANN = {"subscriber": "ann", "plan": "pro"}
UNITS = {"policy": "complexity", "parameters": {"weights": {"u": "1"}}}
OWING = {"overrun": "debt", "debt_limit": 50}
TIME = {"credits": 0, "seconds": 100, "policy": "time", "parameters": {}}


def tiers(policy, *steps):
    """Prices in tiers: (up to, credits a unit)."""
    return {
        "policy": policy,
        "parameters": {"dimension": "u", "tiers": [{"up_to": end, "unit": str(rate)} for end, rate in steps]},
    }


RISING = tiers("graduated", (100, 1), (None, 10))
FALLING = tiers("graduated", (100, 10), (None, 1))
VOLUME = tiers("volume", (100, 10), (None, 5))


class House(Shop):
    """A ledger whose clock is set by hand, and one plan: 100 credits for 1000, a unit of usage costs a credit."""

    customer = "ann"

    def __init__(self, **terms):
        super().__init__(now=OPENING)
        self.do(CreatePlan(plan="pro", owner="o", **({"price": {"o": 1000}, "credits": 100} | UNITS | terms)))

    def buy(self, **said):
        return self.do(Purchase(**ANN, **said))

    def give(self, credits=0, *, expiry=None, start=None, **said):
        moments = {name: OPENING + at * SECOND for name, at in (("expiry", expiry), ("start", start)) if at is not None}
        return self.do(Give(**ANN, credits=credits, **moments, **said))

    def ask(self, units):
        return self.do(Request(**ANN, estimate={"u": units}))

    def charge(self, units, request=0, **said):
        account = {} if request else ANN
        return self.do(Charge(request=request, **account, usage={"u": units}, **said))

    def asking(self, units):
        return Request(**ANN, estimate={"u": units})

    @property
    def balance(self):
        return self.ledger.balance("ann", "pro")

    def has(self, **places):
        assert {name: getattr(self.balance, name) for name in places} == places

    @property
    def holds(self):
        return [request.hold for request in self.ledger.requests("ann", "pro")]

    def starts(self, lot):
        return (self.lot(lot).start - OPENING) / SECOND

    def ends(self, lot):
        return (self.lot(lot).expiry - OPENING) / SECOND
