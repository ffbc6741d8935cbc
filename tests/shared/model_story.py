"""The naive model, fed with commands one second apart."""

from whole_accounts import SECOND
from whole_model import Model

from ledger.commands import Charge, CreatePlan, Give, Purchase, Request

ALICE = {"subscriber": "alice", "plan": "basic"}
TOKENS = {"policy": "complexity", "parameters": {"weights": {"tokens": "1"}}}


class Story:
    """Commands one second apart, or at a moment that is named; each is numbered by its place."""

    def __init__(self, **terms):
        self.model, self.now, self.seq = Model(), 0, 0
        self.do(CreatePlan(plan="basic", owner="bob", **({"credits": 100, "price": {"bob": 10}} | TOKENS | terms)))

    def do(self, command, at=None):
        self.now = self.now + SECOND if at is None else at * SECOND
        self.seq += 1
        self.answer = self.model.apply(command, self.now, self.seq)
        return self.seq

    def buy(self, **more):
        return self.do(Purchase(**ALICE, **more))

    def give(self, **more):
        return self.do(Give(**ALICE, **more))

    def request(self, tokens):
        return self.do(Request(**ALICE, estimate={"tokens": tokens}))

    def charge(self, tokens, request=0, **more):
        account = {} if request else ALICE
        return self.do(Charge(request=request, **account, usage={"tokens": tokens}, **more))

    def refused(self):
        kind, reason = self.answer
        return reason if kind == "refused" else None

    def read(self, at=None):
        return self.model.read(("alice", "basic"), self.now if at is None else at * SECOND)

    def has(self, at=None, **expected):
        reading = self.read(at)["balance"]
        assert {name: reading[name] for name in expected} == expected

    def lot(self, number, at=None, **expected):
        reading = next(lot for lot in self.read(at)["lots"] if lot["id"] == number)
        assert {name: reading[name] for name in expected} == expected


OWING = {"overrun": "debt", "debt_limit": 50}
