"""Double entry: every event as balanced legs.

Credits move, per lot, between the states issued, available, held, spent, lapsed and withdrawn; lot 0 is debt. Money
moves, per asset, between payer, deferred, due to each receiver, and settled; what is owed on invoices, between
invoiced, receivable and written off.

Invariant: for every event the legs of each unit sum to zero. So the whole journal does, at every sequence.

An event does not repeat what an earlier one recorded (a release does not list what was held), so a `Journal` keeps what
is open: holds, debts, the lots' terms, batches. The books are folded by `reducers`, the journal by legs: an audit
compares the two results.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from .events import (
    Adjusted,
    Charged,
    ContractRef,
    Draws,
    Event,
    Invoiced,
    InvoicePaid,
    Lapsed,
    Payout,
    Purchased,
    Reheld,
    Reinstated,
    Released,
    Requested,
    Reversed,
    SettlementAdopted,
    SettlementConfirmed,
    SettlementFailed,
    SettlementOpened,
    Started,
    Subscribed,
    Withdrawn,
    WrittenOff,
)
from .legs import (
    AVAILABLE,
    HELD,
    ISSUED,
    LAPSED,
    SPENT,
    WITHDRAWN,
    Leg,
    Legs,
    money_legs,
    owed_legs,
    payout_legs,
    relabel,
)
from .legs import CREDITS as CREDITS
from .log import Entry
from .values import consume, total


class Journal(Legs):
    """Posts events as legs, in the order of the log, and keeps their sums.

    `moved` has the moves of the last event, and `paid` its legs of money.
    """

    def __init__(self) -> None:
        super().__init__()
        self._purchases: dict[int, Purchased | InvoicePaid] = {}
        self._lines: dict[int, int] = {}
        self._assets: dict[int, str] = {}
        self._reversed_before: dict[int, int] = {}
        self._returned: dict[int, int] = {}
        self._holds: dict[int, tuple[int, Draws]] = {}
        self._debts: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._batches: dict[tuple[ContractRef, int], tuple[str, tuple[Payout, ...]]] = {}

    def post(self, entry: Entry) -> list[Leg]:
        """Post an event and return its legs."""
        self.follow(entry.seq, entry.event)
        return [*self._legs_of_credits(), *self.paid]

    def follow(self, seq: int, event: Event) -> None:
        """Post an event; its legs stay in `moved` and `paid` until the next one."""
        self.moved.clear()
        if self.paid:
            self.paid.clear()
        posting = _POSTINGS.get(type(event))
        if posting is not None:
            posting(self, seq, event)

    # -- purchases: money comes with the lot, credits when it starts ---------------------------------------------------

    def _purchased(self, seq: int, event: Purchased) -> None:
        self._purchases[seq] = event
        if event.cost:
            self._pay([Leg(event.asset, "payer", event.account, seq, -event.cost)])
            self._pay(money_legs(event, seq, event.cost, 0))

    def _repay(self, account: int, lot: int, money: int) -> None:
        """Return a lot's money to its payer; if negative, take it again."""
        if money:
            event, before = self._purchases[lot], self._returned.get(lot, 0)
            self._returned[lot] = before + money
            self._pay(money_legs(event, lot, before, before + money))
            self._pay([Leg(event.asset, "payer", account, lot, money)])
            if isinstance(event, InvoicePaid):
                self._pay(owed_legs(event.asset, account, money))

    def _started(self, seq: int, event: Started) -> None:
        account, lot = event.account, event.lot
        reversed_credits = self._reversed_before.pop(lot, 0)
        self._move(account, ((lot, reversed_credits),), ISSUED, WITHDRAWN)
        credits = getattr(self._purchases[lot], "credits", 0) - reversed_credits
        self._move(account, ((lot, credits),), ISSUED, AVAILABLE)
        self._pay_debts(account, ((lot, total(event.draws)),))

    def _lapsed(self, seq: int, event: Lapsed) -> None:
        self._move(event.account, ((event.lot, event.credits),), AVAILABLE, LAPSED)

    def _withdrawn(self, seq: int, event: Withdrawn) -> None:
        self._move(event.account, event.draws, AVAILABLE, WITHDRAWN)
        for lot, money in event.money.items():
            self._repay(event.account, lot, money)

    def _reversed(self, seq: int, event: Reversed) -> None:
        """Withdraw credits from the lot: first available ones, then spent ones, then held ones, which become
        debt.

        A lot that has not started has issued none yet: they are withdrawn when it starts.
        """
        account, lot = event.account, event.lot
        if self.states(account, lot)[ISSUED]:
            states = self.states(account, lot)
            rest = min(event.credits, states[AVAILABLE])
            spent = min(event.credits - rest, states[SPENT])
            self._move(account, ((lot, rest),), AVAILABLE, WITHDRAWN)
            self._move(account, ((lot, spent),), SPENT, WITHDRAWN)
            self._move(account, ((0, spent),), AVAILABLE, SPENT)
            self._owe(account, lot, ((0, spent),))
            self._unhold(account, lot, event.credits - rest - spent)
        elif event.credits:
            self._reversed_before[lot] = self._reversed_before.get(lot, 0) + event.credits
        self._repay(account, lot, event.money)
        self._widen(account, -event.room)
        self._pay_debts(account, event.repaid)

    def _unhold(self, account: int, lot: int, credits: int) -> None:
        """Turn what open requests hold of a lot into debt: the oldest request first, its last draws first."""
        for request in [id for id, (owner, _) in self._holds.items() if owner == account] if credits else ():
            draws: list[tuple[int, int]] = []
            held = 0
            for drawn, part in reversed(self._holds[request][1]):
                taken = min(part, credits) if drawn == lot else 0
                held, credits = held + taken, credits - taken
                draws += [(lot_id, amount) for lot_id, amount in ((0, taken), (drawn, part - taken)) if amount]
            if held:
                self._holds[request] = (account, tuple(reversed(draws)))
                self._move(account, ((lot, held),), HELD, WITHDRAWN)
                self._move(account, ((0, held),), AVAILABLE, HELD)
                self._owe(account, request, ((0, held),))

    def _reinstated(self, seq: int, event: Reinstated) -> None:
        account, lot = event.account, event.lot
        if self.states(account, lot)[ISSUED]:
            self._move(account, ((lot, event.credits),), WITHDRAWN, AVAILABLE)
        elif event.credits:
            self._reversed_before[lot] = self._reversed_before.get(lot, 0) - event.credits
        self._repay(account, lot, -event.money)
        self._widen(account, event.room)
        self._pay_debts(account, event.repaid)

    # -- requests and charges: a request's own hold first, then available lots -----------------------------------------

    def _requested(self, seq: int, event: Requested) -> None:
        self._holds[seq] = (event.account, event.draws)
        self._move(event.account, event.draws, AVAILABLE, HELD)

    def _reheld(self, seq: int, event: Reheld) -> None:
        before = self._holds[event.request][1]
        self._holds[event.request] = (event.account, event.draws)
        change: dict[int, int] = {}
        for sign, draws in ((-1, before), (1, event.draws)):
            for lot, credits in draws:
                change[lot] = change.get(lot, 0) + sign * credits
        self._move(event.account, ((lot, -credits) for lot, credits in change.items() if credits < 0), HELD, AVAILABLE)
        self._move(event.account, ((lot, credits) for lot, credits in change.items() if credits > 0), AVAILABLE, HELD)

    def _released(self, seq: int, event: Released) -> None:
        account, draws = self._holds.pop(event.request, (0, ()))
        self._forgive(account, event.request, draws)
        self._move(account, draws, HELD, AVAILABLE)
        self._pay_debts(account, event.repaid)

    def _charged(self, seq: int, event: Charged) -> None:
        account, request = event.account, event.request
        if request not in self._holds:
            self._move(account, event.draws, AVAILABLE, SPENT)
            self._owe(account, seq, event.draws)
            return
        taken, rest = consume(self._holds[request][1], event.credits)
        more = consume(event.draws, total(taken))[1] if event.draws != taken else ()
        self._move(account, taken, HELD, SPENT)
        self._move(account, more, AVAILABLE, SPENT)
        self._forgive(account, request, taken)
        self._owe(account, seq, taken)
        if event.final:
            self._forgive(account, request, rest)
            self._move(account, rest, HELD, AVAILABLE)
            del self._holds[request]
        else:
            self._holds[request] = (account, rest)
        self._owe(account, seq, more)
        self._pay_debts(account, event.repaid)

    def _adjusted(self, seq: int, event: Adjusted) -> None:
        if event.credits > 0:
            self._owe(event.account, event.charge, event.draws)
            self._move(event.account, event.draws, AVAILABLE, SPENT)
        else:
            self._forgive(event.account, event.charge, event.draws)
            self._move(event.account, event.draws, SPENT, AVAILABLE)
            self._pay_debts(event.account, event.repaid)

    # -- postpaid accounts: a credit line, what is owed on invoices, and payments, which are lots without credits ------

    def _subscribed(self, seq: int, event: Subscribed) -> None:
        self._lines[event.account] = seq
        self._widen(event.account, event.credits)
        self._pay_debts(event.account, ((seq, total(event.draws)),))

    def _invoiced(self, seq: int, event: Invoiced) -> None:
        self._assets[event.account] = event.asset
        self._pay(owed_legs(event.asset, event.account, event.money))

    def _invoice_paid(self, seq: int, event: InvoicePaid) -> None:
        self._purchases[seq] = event
        self._pay([Leg(event.asset, "payer", event.account, seq, -event.money)])
        self._pay([*money_legs(event, seq, event.money, 0), *owed_legs(event.asset, event.account, -event.money)])
        self._cleared(event)

    def _written_off(self, seq: int, event: WrittenOff) -> None:
        self._pay(owed_legs(self._assets[event.account], event.account, -event.money, "written_off"))
        self._cleared(event)

    def _cleared(self, event: InvoicePaid | WrittenOff) -> None:
        self._widen(event.account, event.room)
        self._pay_debts(event.account, event.repaid)

    def _widen(self, account: int, room: int) -> None:
        """Issue more credits of an account's credit line; below 0, take back as many that are available."""
        if room:
            states = (ISSUED, AVAILABLE) if room > 0 else (AVAILABLE, ISSUED)
            self._move(account, ((self._lines[account], abs(room)),), *states)

    # -- batches -------------------------------------------------------------------------------------------------------

    def _opened(self, seq: int, event: SettlementOpened | SettlementAdopted) -> None:
        self._batches[event.contract_ref, event.number] = (event.asset, event.payouts)
        self._pay(payout_legs(event.asset, event.payouts, "deferred", "due"))

    def _ended(self, seq: int, event: SettlementConfirmed | SettlementFailed) -> None:
        asset, payouts = self._batches.pop((event.contract_ref, event.number), ("", ()))
        target = "settled" if isinstance(event, SettlementConfirmed) else "deferred"
        self._pay(payout_legs(asset, payouts, "due", target))

    # -- debts: by source, oldest first --------------------------------------------------------------------------------

    def _owe(self, account: int, source: int, draws: Draws) -> None:
        for lot, credits in draws:
            if lot == 0 and credits:
                self._debts[account].append((source, credits))

    def _pay_debts(self, account: int, repaid: Draws) -> None:
        """Let lots pay debt, the oldest first: what was drawn on debt is then drawn on them, held for an open request,
        else spent."""
        for lot, credits in repaid:
            while credits and self._debts[account]:
                source, owed = self._debts[account][0]
                part = min(credits, owed)
                credits -= part
                self._debts[account][:1] = [(source, owed - part)] if owed > part else []
                state = SPENT
                if source in self._holds:
                    state = HELD
                    self._holds[source] = (account, relabel(self._holds[source][1], lot, part))
                self._move(account, ((lot, part),), AVAILABLE, state)
                self._move(account, ((0, part),), state, AVAILABLE)

    def _forgive(self, account: int, source: int, draws: Draws) -> None:
        credits = 0
        for lot, part in draws:
            if lot == 0:
                credits += part
        if not credits:
            return
        debts = self._debts[account]
        own = [index for index, (debtor, _) in enumerate(debts) if debtor == source]
        others = [index for index, (debtor, _) in enumerate(debts) if debtor != source and debtor not in self._holds]
        others.sort(key=lambda index: (debts[index][0] in self._purchases, index))
        for index in (*reversed(own), *reversed(others)):
            debtor, owed = debts[index]
            part = min(owed, credits)
            credits -= part
            debts[index] = (debtor, owed - part)
        self._debts[account] = [(debtor, owed) for debtor, owed in debts if owed]


_POSTINGS: dict[type[Event], Callable[[Journal, int, Any], None]] = {
    Purchased: Journal._purchased,
    Started: Journal._started,
    Requested: Journal._requested,
    Released: Journal._released,
    Charged: Journal._charged,
    Adjusted: Journal._adjusted,
    Lapsed: Journal._lapsed,
    Withdrawn: Journal._withdrawn,
    Reversed: Journal._reversed,
    Reinstated: Journal._reinstated,
    Reheld: Journal._reheld,
    Subscribed: Journal._subscribed,
    Invoiced: Journal._invoiced,
    InvoicePaid: Journal._invoice_paid,
    WrittenOff: Journal._written_off,
    SettlementOpened: Journal._opened,
    SettlementAdopted: Journal._opened,
    SettlementConfirmed: Journal._ended,
    SettlementFailed: Journal._ended,
}
"""The method that posts each type of event; other events move nothing."""
