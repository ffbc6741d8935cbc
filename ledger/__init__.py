"""Tollbook's core: an event-sourced ledger for services that are paid per use.

    from ledger import Charge, CreatePlan, Ledger, Purchase

    with Ledger.open("toll.db") as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", price={"acme": 900}, credits=1_000)).unwrap()
        ledger.execute(Purchase(subscriber="alice", plan="pro", payment="invoice-1")).unwrap()
        with ledger.request("alice", "pro", estimate={"calls": 1}) as request:
            request.charge({"calls": 1})
        print(ledger.balance("alice", "pro"))

`decide(books, command) -> events` and `reduce(books, event)` are the whole design; the rest carries bytes to and from
them.
"""

from .aio import AsyncLedger
from .amounts import split
from .commands import (
    Adjust,
    Charge,
    Command,
    CreatePlan,
    Extend,
    Freeze,
    Give,
    Purchase,
    RegisterAgent,
    Release,
    RepricePlan,
    Request,
    RetireAgent,
    RetirePlan,
    Reverse,
    Tick,
    UpdateAgent,
    Withdraw,
)
from .engine import Answer, Ledger, Outcome
from .errors import LedgerError, PaymentRequired
from .events import CreditsLimit, Endpoint, Escrow, EscrowFunding, Limits, RateLimit
from .log import Entry, Head
from .readings import Balance, Earned, LotReading, Reading, RequestReading
from .refusals import Reason, Refused
from .statements import Amounts, Explanation, Statement

__all__ = [
    "Adjust",
    "Amounts",
    "Answer",
    "AsyncLedger",
    "Balance",
    "Charge",
    "Command",
    "CreatePlan",
    "CreditsLimit",
    "Earned",
    "Endpoint",
    "Entry",
    "Escrow",
    "EscrowFunding",
    "Explanation",
    "Extend",
    "Freeze",
    "Give",
    "Head",
    "Ledger",
    "LedgerError",
    "Limits",
    "LotReading",
    "Outcome",
    "PaymentRequired",
    "Purchase",
    "RateLimit",
    "Reading",
    "Reason",
    "Refused",
    "RegisterAgent",
    "Release",
    "RepricePlan",
    "Request",
    "RequestReading",
    "RetireAgent",
    "RetirePlan",
    "Reverse",
    "Statement",
    "Tick",
    "UpdateAgent",
    "Withdraw",
    "split",
]
