"""Payouts: the amounts that each batch must pay, by everything that was folded before it.

Money earned by lot, and each receiver's part of it, is computed as in `earnings`; running totals and counters are the
auditor's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ledger.accounts import Account
from ledger.events import (
    EscrowAsset,
    Leaf,
    Payout,
    SettlementOpened,
)
from ledger.plugins import chain_plugin

from .case import Case
from .earnings import earned, shares
from .settled import Expected, Settled

PAYOUTS, SOLVENCY = "payouts", "solvency"


MIN_RECEIVERS = 100
"""Receivers that every chain takes in one batch."""


def expect(case: Case, event: SettlementOpened) -> bool:
    """Compute the leaves and payouts of the batch that this event opens."""
    case.settled.expected = expected(case.settled, event, earnings_of(case, event))
    return True


@dataclass(slots=True)
class Earnings:
    """Money that the lots in a batch's escrow have earned: by the leaf of their account (`totals`), and by receiver
    (`due`); and the receivers of those that had earned more when the batch before was opened (`fell`)."""

    totals: dict[tuple[str, str], int] = field(default_factory=dict)
    due: Counter[str] = field(default_factory=Counter)
    fell: set[str] = field(default_factory=set)


def earnings_of(case: Case, event: SettlementOpened) -> Earnings:
    """Sum the money that the accounts that are judged here have earned in the batch's escrow."""
    escrow = EscrowAsset(event.contract_ref, event.asset)
    sums = Earnings()
    for number, lots in case.settled.lots.get(escrow, {}).items():
        account = case.books.accounts[number]
        if not any(lot in account.lots for lot in lots):
            continue
        terms = case.books.plans[account.plan].terms
        name = account.subscriber, terms.onchain_id or terms.plan
        sums.totals[name] = _account_earned(account, lots, case, sums)
    return sums


def expected(settled: Settled, event: SettlementOpened, sums: Earnings) -> Expected:
    """Compute a batch's leaves and payouts from what all accounts have earned."""
    own = settled.asset(EscrowAsset(event.contract_ref, event.asset))
    counters = {(leaf.subscriber, leaf.plan): (leaf.charged, leaf.credited) for leaf in own.leaves}
    leaves: list[Leaf] = []
    for name, total in sorted({**dict.fromkeys(counters, 0), **sums.totals}.items()):
        charged, credited = counters.get(name, (0, 0))
        rise = total - (charged - credited)
        leaves.append(Leaf(*name, charged + rise, credited) if rise > 0 else Leaf(*name, charged, credited - rise))
    rest = Counter(sums.due)
    rest.subtract(own.paid)
    payouts = _payouts(rest, event)
    return Expected(tuple(leaves), payouts, sum(sums.totals.values()), sums.due, frozenset(sums.fell))


def _payouts(rest: Counter[str], event: SettlementOpened) -> tuple[Payout, ...]:
    """Return the payouts of one batch: first money that receivers give back, so that it is there before others are
    paid."""
    receivers, amount = _limits(event)
    cut = {name: due if amount is None else min(max(due, -amount), amount) for name, due in rest.items() if due}
    back = sorted(name for name, due in cut.items() if due < 0)
    names = back[:receivers]
    if len(names) == len(back) and all(cut[name] == rest[name] for name in back):
        names += sorted(name for name, due in cut.items() if due > 0)
    return tuple(Payout(name, cut[name]) for name in sorted(names[:receivers]))


def _limits(event: SettlementOpened) -> tuple[int, int | None]:
    """Return the most receivers of one batch there, and the most money to one.

    Without the chain's plugin, a long batch may be at the limit, and no amount is too large.
    """
    try:
        plugin = chain_plugin(event.chain)
        return plugin.max_receivers, plugin.max_payout
    except Exception:  # noqa: BLE001 - a plugin is foreign code; one that fails counts as missing
        return max(len(event.payouts), MIN_RECEIVERS), None


def _account_earned(account: Account, lots: Iterable[int], case: Case, sums: Earnings) -> int:
    """Sum what an account's lots have earned; add each receiver's share to the due money."""
    total, known = 0, case.settled.known
    for name in lots:
        if (lot := account.lots.get(name)) is not None:
            amount = earned(lot, case.at)
            total += amount
            if amount < known.get(name, 0):
                sums.fell |= {share.receiver for share in lot.shares}
            known[name] = amount
            for share, part in zip(lot.shares, shares(lot, case.at), strict=True):
                sums.due[share.receiver] += part
    return total


def paid(case: Case) -> None:
    """Check that each receiver is paid its shares of the earned money, less earlier payouts, and that the batch settles
    anything at all."""
    event, expected = case.event, case.settled.expected
    assert isinstance(event, SettlementOpened)
    if event.payouts != expected.payouts:
        message = misordered(event.payouts) or _difference(case, event, expected.payouts)
        case.find(PAYOUTS, "payouts", as_rows(expected.payouts), as_rows(event.payouts), message)
        return
    own = case.settled.asset(EscrowAsset(event.contract_ref, event.asset))
    unchanged = own.leaves == expected.leaves and not own.failed
    if not event.payouts and (unchanged or not any(leaf.charged or leaf.credited for leaf in expected.leaves)):
        case.find(PAYOUTS, "payouts", "something to settle", [], "a batch is opened with nothing to settle")


def solvent(case: Case) -> None:
    """Check that escrow covers what subscribers have unspent, unless a receiver who was paid owes a refund.

    Escrow does, as long as the batches that have not failed pay no more than was earned, and no receiver's part of that
    falls except by a refund: a receiver who has claimed money that it must give back has it out of unspent money.
    """
    event, expected = case.event, case.settled.expected
    assert isinstance(event, SettlementOpened)
    own = case.settled.asset(EscrowAsset(event.contract_ref, event.asset))
    paid = own.paid
    owed = sum(max(0, amount - expected.due[receiver]) for receiver, amount in paid.items())
    after = sum(paid.values()) + sum(payout.amount for payout in event.payouts)
    if after > expected.earned + owed:
        message = "the batches pay more than was earned, out of what subscribers have unspent"
        case.find(SOLVENCY, "payouts", f"at most {expected.earned + owed} in all", after, message)
    for payout in event.payouts:
        if payout.amount < 0 and payout.receiver not in own.fell | expected.fell:
            message = f"{payout.receiver} pays back earned money, though nothing was refunded of it"
            case.find(SOLVENCY, "payouts", "0 or more", payout.amount, message)


def misordered(payouts: tuple[Payout, ...]) -> str:
    """Describe what is wrong with the form of payouts, apart from their amounts; empty if nothing is."""
    receivers = [payout.receiver for payout in payouts]
    if unpaid := [payout.receiver for payout in payouts if not payout.amount]:
        return f"the payout of {unpaid[0]} is 0"
    if len(set(receivers)) < len(receivers):
        return "a receiver has two payouts"
    return "" if receivers == sorted(receivers) else "payouts are not sorted by receiver"


def _difference(case: Case, event: SettlementOpened, expected: Iterable[Payout]) -> str:
    due, given = ({payout.receiver: payout.amount for payout in payouts} for payouts in (expected, event.payouts))
    receiver = min(name for name in {*due, *given} if due.get(name) != given.get(name))
    own, paid = (case.money(amounts.get(receiver, 0), event.asset) for amounts in (due, given))
    return f"{receiver} is due {own}, and the batch pays {paid}"


def as_rows(payouts: Iterable[Payout]) -> list[dict[str, Any]]:
    """Return payouts as a finding shows them."""
    return [{"receiver": payout.receiver, "amount": payout.amount} for payout in payouts]
