"""Batches: what each must pay and say by all that was folded before it, and the order in which they come and end.

Money earned by lot, and each receiver's part of it, is computed as in `earnings`; running totals and counters are the
auditor's. A root is computed again by its chain's plugin, which is pure; where none is installed, the batch is
unverified.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ledger.accounts import Account
from ledger.errors import LedgerError
from ledger.events import (
    EscrowAsset,
    Lapsed,
    Leaf,
    Payout,
    Recorded,
    Reheld,
    Released,
    Settlement,
    SettlementAdopted,
    SettlementConfirmed,
    SettlementFailed,
    SettlementOpened,
    SettlementSubmitted,
    SettlementUnknown,
    Started,
    Withdrawn,
)
from ledger.plugins import chain_plugin
from ledger.settlement.messages import STREAM, Batch, Commitment

from .case import Case
from .earnings import earned, shares
from .settled import Expected, OwnBatch, Settled

PAYOUTS, ROOT, ORDER, SOLVENCY = "payouts", "root", "batch_order", "solvency"

MAX_QUEUED = 10
"""Batches of one chain, contract and asset that may be open at once."""

MIN_RECEIVERS = 100
"""No chain has batches that must be shorter."""


# -- what an opening must say ------------------------------------------------------------------------------------------


def expect(case: Case, event: SettlementOpened) -> bool:
    """Compute the leaves and payouts of the batch that this event opens."""
    case.settled.expected = expected(case.settled, event, earnings_of(case, event))
    return True


@dataclass(slots=True)
class Earnings:
    """What the lots in a batch's escrow have earned: by the leaf of their account (`totals`), and by receiver (`due`);
    and the receivers of those that had earned more when the batch before was opened (`fell`)."""

    totals: dict[tuple[str, str], int] = field(default_factory=dict)
    due: Counter[str] = field(default_factory=Counter)
    fell: set[str] = field(default_factory=set)


def earnings_of(case: Case, event: SettlementOpened) -> Earnings:
    """What the accounts that are judged here have earned in the batch's escrow."""
    escrow = EscrowAsset(event.contract_ref, event.asset)
    sums = Earnings()
    for number, lots in case.settled.lots.get(escrow, {}).items():
        account = case.books.accounts[number]
        if not any(lot in account.lots for lot in lots):
            continue
        terms = case.books.plans[account.plan].terms
        name = account.subscriber, terms.onchain_id or terms.plan
        sums.totals[name] = _earned(account, lots, case, sums)
    return sums


def expected(settled: Settled, event: SettlementOpened, sums: Earnings) -> Expected:
    """What a batch must say and pay, by what all accounts have earned."""
    own = settled.asset(EscrowAsset(event.contract_ref, event.asset))
    counters = {(leaf.subscriber, leaf.plan): (leaf.charged, leaf.credited) for leaf in own.leaves}
    leaves: list[Leaf] = []
    for name, total in sorted({**dict.fromkeys(counters, 0), **sums.totals}.items()):
        charged, credited = counters.get(name, (0, 0))
        rise = total - (charged - credited)
        leaves.append(Leaf(*name, charged + rise, credited) if rise > 0 else Leaf(*name, charged, credited - rise))
    rest = Counter(sums.due)
    rest.subtract(own.paid)
    payouts = _taken(rest, event)
    return Expected(tuple(leaves), payouts, sum(sums.totals.values()), sums.due, frozenset(sums.fell))


def _taken(rest: Counter[str], event: SettlementOpened) -> tuple[Payout, ...]:
    """What one batch takes of what is due: first what is given back, so that it is there before anybody is paid."""
    receivers, amount = _most(event)
    cut = {name: due if amount is None else min(max(due, -amount), amount) for name, due in rest.items() if due}
    back = sorted(name for name, due in cut.items() if due < 0)
    names = back[:receivers]
    if len(names) == len(back) and all(cut[name] == rest[name] for name in back):
        names += sorted(name for name, due in cut.items() if due > 0)
    return tuple(Payout(name, cut[name]) for name in sorted(names[:receivers]))


def _most(event: SettlementOpened) -> tuple[int, int | None]:
    """How many receivers one batch may pay there, and how much to one. Where nothing installed knows, a long one may be
    at its end, and no amount is too large."""
    try:
        plugin = chain_plugin(event.chain)
        return plugin.max_receivers, plugin.max_payout
    except Exception:  # noqa: BLE001 - a plugin is foreign code; one that fails is as good as none
        return max(len(event.payouts), MIN_RECEIVERS), None


def _earned(account: Account, lots: Iterable[int], case: Case, sums: Earnings) -> int:
    """What an account's lots have earned in all; adds each receiver's share to what is due."""
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
    """Each receiver is paid its shares of all that is earned, less what stands paid; nothing to settle is no batch."""
    event, expected = case.event, case.settled.expected
    assert isinstance(event, SettlementOpened)
    if event.payouts != expected.payouts:
        message = misordered(event.payouts) or _difference(expected.payouts, event.payouts)
        case.find(PAYOUTS, "payouts", as_rows(expected.payouts), as_rows(event.payouts), message)
        return
    own = case.settled.asset(EscrowAsset(event.contract_ref, event.asset))
    unchanged = own.leaves == expected.leaves and not own.failed
    if not event.payouts and (unchanged or not any(leaf.charged or leaf.credited for leaf in expected.leaves)):
        case.find(PAYOUTS, "payouts", "something to settle", [], "there is nothing to settle, and a batch is opened")


def solvent(case: Case) -> None:
    """Escrow is never less than what subscribers have unspent, unless a refund is owed by a receiver who was paid.

    It is so as long as the batches that stand pay no more than was earned, and nobody's part of that falls but by a
    refund: who has claimed what it is then asked to give back has it out of what subscribers have unspent.
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
            message = f"{payout.receiver} gives back what it has earned, though nothing was refunded of it"
            case.find(SOLVENCY, "payouts", "0 or more", payout.amount, message)


def misordered(payouts: tuple[Payout, ...]) -> str:
    """What is wrong with payouts whatever they should come to; empty where nothing is."""
    receivers = [payout.receiver for payout in payouts]
    if nobody := [payout.receiver for payout in payouts if not payout.amount]:
        return f"{nobody[0]} is paid nothing, and stands among the payouts"
    if len(set(receivers)) < len(receivers):
        return "a receiver stands twice among the payouts"
    return "" if receivers == sorted(receivers) else "payouts stand in the order of their receivers"


def _difference(expected: Iterable[Payout], found: Iterable[Payout]) -> str:
    due, given = ({payout.receiver: payout.amount for payout in payouts} for payouts in (expected, found))
    receiver = min(name for name in {*due, *given} if due.get(name) != given.get(name))
    return f"{receiver} is due {due.get(receiver, 0)}, and the batch pays {given.get(receiver, 0)}"


def as_rows(payouts: Iterable[Payout]) -> list[dict[str, Any]]:
    """Payouts as a finding shows them."""
    return [{"receiver": payout.receiver, "amount": payout.amount} for payout in payouts]


# -- roots -------------------------------------------------------------------------------------------------------------


def sealed(case: Case) -> None:
    """The head before the batch's commit, and the root and digest of the batch as it must be."""
    event, expected = case.event, case.settled.expected
    assert isinstance(event, SettlementOpened)
    seq, hash_ = case.head
    if (event.head_seq, event.head_hash) != (seq, hash_.hex()):
        field, due, found = (
            ("head_seq", seq, event.head_seq) if event.head_seq != seq else ("head_hash", hash_.hex(), event.head_hash)
        )
        case.find(ROOT, field, due, found, "a batch names the head that the log had before the batch's own commit")
    contract = case.settled.contract(event)
    stated, computed = contract.digest
    must_be = made(
        case,
        event,
        number=contract.number + 1,
        covers={STREAM: case.seq - 1},
        head_seq=seq,
        head_hash=hash_.hex(),
        previous=computed,
        payouts=expected.payouts,
    )
    if (commitment := commitment_of(case, must_be)) is None:
        return
    expected.digest = commitment.digest
    if event.accounts != len(expected.leaves):
        case.find(ROOT, "accounts", len(expected.leaves), event.accounts, "the batch has another number of leaves")
    if event.root != commitment.root:
        case.find(ROOT, "root", commitment.root, event.root, "the root is not that of the leaves that the log comes to")
    elif event.digest != commitment.digest and event.digest != _stated(case, made(case, event, previous=stated)):
        # A batch that says something wrong may be sealed as it says it: that is found where it is wrong.
        case.find(ROOT, "digest", commitment.digest, event.digest, "the digest is not that of the batch")


def made(case: Case, event: SettlementOpened | SettlementAdopted, previous: str, **fields: Any) -> Batch:  # noqa: ANN401
    """The batch that an event speaks of; the given fields are otherwise than it says."""
    said = {name: getattr(event, name) for name in ("number", "covers", "head_seq", "head_hash", "payouts")}
    return Batch(
        ledger=case.ledger,
        chain=event.chain,
        contract=event.contract,
        asset=event.asset,
        leaves=case.settled.expected.leaves,
        **{"at": case.at, "previous": previous, **said, **fields},
    )


def commitment_of(case: Case, batch: Batch) -> Commitment | None:
    """The batch's seal by its chain's plugin. None where there is none, which is counted, or where it cannot be sealed,
    which is found."""
    try:
        plugin = chain_plugin(batch.chain)
    except LedgerError:
        case.cannot_seal(batch.chain)
        return None
    try:
        return plugin.commitment(batch)
    except ValueError as error:
        case.find(ROOT, "root", "leaves that can be committed to", None, f"the batch cannot be sealed: {error}")
    except Exception:  # noqa: BLE001 - a plugin is foreign code; one that fails is as good as none
        case.cannot_seal(batch.chain)
    return None


def _stated(case: Case, batch: Batch) -> str:
    """The digest of a batch as it is stated; empty where such a one cannot be sealed."""
    try:
        return chain_plugin(batch.chain).commitment(batch).digest
    except Exception:  # noqa: BLE001 - what is stated may be anything
        return ""


# -- the order of batches ----------------------------------------------------------------------------------------------


def opened(case: Case) -> None:
    """The next number, first in its commit but for what is due, and behind batches that are on their way."""
    event = case.event
    assert isinstance(event, SettlementOpened)
    numbered(case, event)
    if event.covers != {STREAM: case.seq - 1}:
        message = "a batch covers all that stands before it, and nothing else"
        case.find(ORDER, "covers", {STREAM: case.seq - 1}, event.covers, message)
    for seq, before in enumerate(case.commit[: case.seq - case.first], case.first):
        if not _is_due(before):
            message = f"event {seq} stands before the batch in its commit, and was not due"
            case.find(ORDER, "covers", "due events alone", seq, message)
            break
    line = case.settled.contract(event).line(event.asset)
    if waiting := [number for number, batch in line if not batch.attempts and batch.state != "committed"]:
        case.find(ORDER, "number", "a line that is submitted", waiting, f"batch {waiting[0]} is not submitted yet")
    if len(line) >= MAX_QUEUED:
        message = f"{len(line)} batches are in line before it"
        case.find(ORDER, "number", f"at most {MAX_QUEUED}", len(line) + 1, message)


def numbered(case: Case, event: SettlementOpened | SettlementAdopted) -> None:
    """Numbers of a contract run without a gap."""
    due = case.settled.contract(event).number + 1
    if event.number != due:
        message = "batches of a contract are numbered one by one, and only a number that never got there is given again"
        case.find(ORDER, "number", due, event.number, message)


def _is_due(event: Recorded) -> bool:
    """Whether time alone writes such an event, or it follows from one that time wrote."""
    match event:
        case Started() | Lapsed() | Reheld():
            return True
        case Released() | Withdrawn():
            return event.instant is not None
        case _:
            return False


def attempted(case: Case) -> None:
    """Attempts are numbered without a gap; what is in doubt is the last one."""
    event = case.event
    assert isinstance(event, SettlementSubmitted | SettlementUnknown)
    due = _batch(case, event).attempts + isinstance(event, SettlementSubmitted)
    if event.attempt != due:
        case.find(ORDER, "attempt", due, event.attempt, f"of batch {event.number} this is attempt {due}")


def confirmed(case: Case) -> None:
    """A chain executes in order."""
    event = case.event
    assert isinstance(event, SettlementConfirmed)
    first = min(case.settled.contract(event).open)
    if event.number != first:
        message = f"batch {first} before it is still open"
        case.find(ORDER, "number", first, event.number, message)


def failed(case: Case) -> None:
    """A number is free again only at the end: what comes after it builds on it, and has failed before in the commit."""
    event = case.event
    assert isinstance(event, SettlementFailed)
    last = case.settled.contract(event).number
    if event.used:
        return
    if event.number != last:
        message = f"batch {last} comes after it, and stands, or its number is used"
        case.find(ORDER, "number", last, event.number, message)
    elif _batch(case, event).state == "committed" and any(
        isinstance(each, SettlementFailed) and each.contract_ref == event.contract_ref and each.number < event.number
        for each in case.commit[case.seq - case.first :]
    ):
        message = f"the chain has batch {event.number}, so it has those before it"
        case.find(ORDER, "used", True, False, message)


def is_open(case: Case, event: Settlement) -> bool:
    """Whether the batch is open. What is said of another one cannot be folded, which is a finding."""
    if event.number in case.settled.contract(event).open:
        return True
    message = f"batch {event.number} of {event.contract!r} on {event.chain!r} is not open"
    case.find(ORDER, "number", sorted(case.settled.contract(event).open), event.number, message)
    return False


def _batch(case: Case, event: Settlement) -> OwnBatch:
    return case.settled.contract(event).open[event.number]
