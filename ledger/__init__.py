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

Public beside this module: `ledger.amounts`, `ledger.clock`, `ledger.commands`, `ledger.errors`, `ledger.events`,
`ledger.folding`, `ledger.log`, `ledger.outcomes`, `ledger.plugins`, `ledger.rating`, `ledger.readings`,
`ledger.refusals`, `ledger.rounding`, `ledger.settlement`, `ledger.statements`, `ledger.stores`, and `ledger.testing`
for tests. All other modules are internal; of them `replay` alone reads the books, and what they are made of.
"""

from .aio import AsyncLedger
from .amounts import split
from .commands import (
    Adjust,
    AdoptSettlement,
    Charge,
    Command,
    CommitSettlement,
    ConfirmSettlement,
    CreatePlan,
    Exit,
    Extend,
    FailSettlement,
    Freeze,
    Give,
    MarkSettlementUnknown,
    OpenSettlement,
    PayInvoice,
    Purchase,
    RegisterAgent,
    Reinstate,
    Release,
    RepricePlan,
    Request,
    RetireAgent,
    RetirePlan,
    Reverse,
    SubmitSettlement,
    Subscribe,
    Terms,
    Tick,
    Unfreeze,
    UpdateAgent,
    Withdraw,
    WriteOff,
)
from .engine import Ledger
from .errors import LedgerError
from .events import (
    ContractRef,
    CreditsLimit,
    Endpoint,
    Escrow,
    EscrowAsset,
    EscrowFunding,
    Fact,
    Leaf,
    Limits,
    Payout,
    RateLimit,
)
from .invoice_readings import BillingReading, InvoiceReading
from .log import Entry, Head
from .names import check_names
from .offers import AgentReading, PlanReading
from .outcomes import Answer, Outcome
from .readings import Balance, BatchReading, Earned, LotReading, Reading, RequestReading
from .refusals import PaymentRequired, Reason, Refused
from .settlement.messages import Attempt, Batch, Commitment, ExitPaid, ExitRequested, Found, PurchaseMade
from .statements import Amounts, Explanation, Statement

__all__ = [
    "Adjust",
    "AdoptSettlement",
    "AgentReading",
    "Amounts",
    "Answer",
    "AsyncLedger",
    "Attempt",
    "Balance",
    "Batch",
    "BatchReading",
    "BillingReading",
    "Charge",
    "Command",
    "CommitSettlement",
    "Commitment",
    "ConfirmSettlement",
    "ContractRef",
    "CreatePlan",
    "CreditsLimit",
    "Earned",
    "Endpoint",
    "Entry",
    "Escrow",
    "EscrowAsset",
    "EscrowFunding",
    "Exit",
    "ExitPaid",
    "ExitRequested",
    "Explanation",
    "Extend",
    "Fact",
    "FailSettlement",
    "Found",
    "Freeze",
    "Give",
    "Head",
    "InvoiceReading",
    "Leaf",
    "Ledger",
    "LedgerError",
    "Limits",
    "LotReading",
    "MarkSettlementUnknown",
    "OpenSettlement",
    "Outcome",
    "PayInvoice",
    "PaymentRequired",
    "Payout",
    "PlanReading",
    "Purchase",
    "PurchaseMade",
    "RateLimit",
    "Reading",
    "Reason",
    "Refused",
    "RegisterAgent",
    "Reinstate",
    "Release",
    "RepricePlan",
    "Request",
    "RequestReading",
    "RetireAgent",
    "RetirePlan",
    "Reverse",
    "Statement",
    "SubmitSettlement",
    "Subscribe",
    "Terms",
    "Tick",
    "Unfreeze",
    "UpdateAgent",
    "Withdraw",
    "WriteOff",
    "split",
]

check_names()  # before a plugin is looked for in a package that something else hides
