"""The audit in parts, one per process: each judges some of the accounts, and together they judge all.

Accounts never affect each other, so a part skips the events of those that are judged elsewhere. The catalogue and the
batches are followed by every part and judged by the first; sums over all accounts (roots, payouts, conservation,
snapshots) are judged when the parts are put together.

The parts only ever prove that a log is clean. Where a part finds anything, or meets an event that it cannot judge
alone, the log is audited once more in one process, whose findings are the report: so a log has one report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

import msgspec
from msgspec.structs import replace

from ledger.events import (
    ContractRef,
    EscrowAsset,
    Extended,
    Leaf,
    Purchased,
    Recorded,
    Released,
    Settlement,
    SettlementAdopted,
    SettlementOpened,
    Subscribed,
)
from ledger.log import Snapshot
from ledger.reducers import reduce
from ledger.settlement.state import OpenBatch, Settling

from .checks import BY_EVENT, conservation, outstanding
from .checks.case import ELSEWHERE, Case
from .checks.conservation import Counted
from .checks.payouts import PAYOUTS, SOLVENCY, Earnings, earnings_of, expected
from .checks.roots import ROOT
from .checks.settled import MOVES
from .checks.snapshots import KIND as SNAPSHOT
from .findings import Leaps
from .tally import Tally
from .unverified import Gaps, add

TOGETHER = (PAYOUTS, SOLVENCY, ROOT)
"""Kinds of checks that look at all accounts at once."""


class CannotPart(Exception):
    """Raised where the log has an event that no part can judge alone."""


@dataclass(slots=True)
class BatchEvent:
    """A batch's event with its sequence and time, and the log's head before its commit."""

    seq: int
    at: int
    head: tuple[int, bytes]
    event: Settlement


@dataclass(slots=True)
class LogEnd:
    """The end of the log, as a part has read it, and the time at which it begins."""

    seq: int
    commits: int
    at: int
    hash: bytes
    begin: int = 0


@dataclass(slots=True)
class Part:
    """The result of one part that found nothing, with the sums that all parts are judged by.

    `events` counts the judged ones, `taken` are the digests of payments and facts that may be ingested only once,
    `earnings` the money that its accounts had earned at each batch, by leaf (those that changed since the batch before)
    and by receiver. `snapshots` are the books without their accounts, which were compared, as stored; `leaps` those of
    the clock.
    """

    end: LogEnd
    events: int
    checked: Counter[str]
    unverified: Gaps
    taken: list[bytes]
    counted: Counted
    tally: Tally
    batches: list[BatchEvent] = field(default_factory=list)
    earnings: dict[int, Earnings] = field(default_factory=dict)
    settlings: dict[ContractRef, Settling] = field(default_factory=dict)
    snapshots: list[bytes] = field(default_factory=list)
    leaps: Leaps = field(default_factory=Leaps)


class Partition:
    """The accounts that a part judges: those whose number leaves `index` when it is divided by `of`."""

    def __init__(self, index: int, of: int) -> None:
        self.index, self.of = index, of
        self.events = 0
        self.batches: list[BatchEvent] = []
        self.earnings: dict[int, Earnings] = {}
        self.snapshots: list[bytes] = []
        self._known: dict[EscrowAsset, dict[tuple[str, str], int]] = {}

    def judges(self, case: Case) -> bool:
        """True if the event is judged here. If not, fold what every part needs of it."""
        event = case.event
        number = getattr(event, "account", None)
        if number is None:
            mine = self._without_account(case, event)
        else:
            mine = number % self.of == self.index
            if not mine and isinstance(event, Purchased | Subscribed) and number > case.books.opened:
                case.books.opened = number
                case.books.accounts[number] = ELSEWHERE
                case.books.names[event.subscriber, event.plan] = number
        self.events += mine
        return mine

    def _without_account(self, case: Case, event: Recorded) -> bool:
        if isinstance(event, Released | Extended):
            return event.request in case.books.open
        if isinstance(event, SettlementAdopted):
            raise CannotPart("the counters of an adopted batch are those of all accounts")
        if isinstance(event, Settlement):
            self.batches.append(BatchEvent(case.seq, case.at, case.head, event))
        if isinstance(event, SettlementOpened):
            self._earned(case, event)
        if self.index:
            reduce(case.books, case.seq, case.at, event)
        return not self.index

    def _earned(self, case: Case, event: SettlementOpened) -> None:
        sums = earnings_of(case, event)
        known = self._known.setdefault(EscrowAsset(event.contract_ref, event.asset), {})
        now = {**dict.fromkeys(known, 0), **sums.totals}
        changed = {name: amount for name, amount in now.items() if known.get(name) != amount}
        known.update(changed)
        self.earnings[case.seq] = Earnings(changed, sums.due, sums.fell)

    def snapshot(self, case: Case, snapshot: Snapshot) -> None:
        """Compare the accounts of a snapshot that are judged here. Raises CannotPart where one is not equal to the
        books."""
        cached = _accounts.decode(snapshot.body).accounts
        for number, account in case.books.accounts.items():
            if account is not ELSEWHERE and cached.get(number) != msgspec.Raw(_encoder.encode(account)):
                raise CannotPart(f"account {number} of a snapshot is not equal to the folded one")
        self.snapshots.append(replace(case.books, accounts={}, names={}, open={}).dump())


class _Accounts(msgspec.Struct):
    accounts: dict[int, msgspec.Raw]


_accounts = msgspec.json.Decoder(_Accounts)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_settlings_of = msgspec.json.Decoder(list[Settling])
_encoder = msgspec.json.Encoder()


# -- the parts together ------------------------------------------------------------------------------------------------


def together(case: Case, parts: Sequence[Part], snapshots: Mapping[int, Snapshot]) -> bool:
    """Judge the sums over all accounts. Return False where the parts do not prove the log, or do not fit together."""
    first = parts[0]
    events = sum(part.events for part in parts)
    taken = [set(part.taken) for part in parts]
    once = len(set().union(*taken)) == sum(map(len, taken))
    if events != first.end.seq or not once or len({repr(part.end) for part in parts}) > 1:
        return False
    counted = Counted()
    for part in parts:
        counted.add(part.counted)
        case.findings.checked.update(part.checked)
        add(case.unverified, part.unverified)
    _batches(case, parts)
    conservation.end(case, counted)
    outstanding.end(case, counted, _settlings([part.settlings for part in parts]))
    return not case.findings.counts and _snapshots(case, parts, snapshots)


def _batches(case: Case, parts: Sequence[Part]) -> None:
    """Judge payouts and roots, by what the accounts of all parts had earned at each opening."""
    known: dict[EscrowAsset, dict[tuple[str, str], int]] = {}
    for each in parts[0].batches:
        case.seq, case.at, case.head, case.event = each.seq, each.at, each.head, each.event  # type: ignore[assignment]
        if isinstance(each.event, SettlementOpened):
            event = each.event
            totals = known.setdefault(EscrowAsset(event.contract_ref, event.asset), {})
            sums = Earnings(totals)
            for part in parts:
                own = part.earnings[each.seq]
                totals.update(own.totals)
                sums.due.update(own.due)
                sums.fell |= own.fell
            case.settled.expected = expected(case.settled, event, sums)
        for kind, _, judge in BY_EVENT.get(type(each.event), ()):
            if kind in TOGETHER:
                case.findings.checked[kind] += 1
                judge(case)
        MOVES[type(each.event)](case.settled, each.seq, each.at, each.event)


def _settlings(parts: Sequence[Mapping[ContractRef, Settling]]) -> dict[ContractRef, Settling]:
    """Merge the parts' settlement books: the leaves of all parts together."""
    return {ref: _settling(first, [part[ref] for part in parts]) for ref, first in parts[0].items()}


def _settling(first: Settling, all_: Sequence[Settling]) -> Settling:
    return replace(
        first,
        leaves={asset: _leaves(each.leaves[asset] for each in all_) for asset in first.leaves},
        open={number: _open(batch, [each.open[number] for each in all_]) for number, batch in first.open.items()},
    )


def _open(first: OpenBatch, all_: Sequence[OpenBatch]) -> OpenBatch:
    return replace(first, leaves=_leaves(each.leaves for each in all_))


def _leaves(parts: Iterable[tuple[Leaf, ...]]) -> tuple[Leaf, ...]:
    return tuple(sorted((leaf for leaves in parts for leaf in leaves), key=lambda leaf: (leaf.subscriber, leaf.plan)))


def _snapshots(case: Case, parts: Sequence[Part], snapshots: Mapping[int, Snapshot]) -> bool:
    """True if each snapshot is, byte for byte, the sum of the parts; its accounts they have compared."""
    for bodies in zip(*(part.snapshots for part in parts), strict=True):
        case.findings.checked[SNAPSHOT] += 1
        shells = [_fields.decode(body) for body in bodies]
        seq, opened = (msgspec.json.decode(shells[0][name], type=int) for name in ("seq", "opened"))
        cached = _accounts.decode(snapshots[seq].body).accounts
        settlings = [{each.contract_ref: each for each in _settlings_of.decode(shell["settlings"])} for shell in shells]
        together = {
            **shells[0],
            "accounts": {number: cached.get(number) for number in range(1, opened + 1)},
            "keys": _in_order(shell["keys"] for shell in shells),
            "payments": _in_order(shell["payments"] for shell in shells),
            "settlings": list(_settlings(settlings).values()),
        }
        if _encoder.encode(together) != snapshots[seq].body:
            return False
    return True


def _in_order(parts: Iterable[msgspec.Raw]) -> list[list[object]]:
    """Return the rows of all parts in the order of their sequence, which is their third column."""
    rows = [row for part in parts for row in msgspec.json.decode(part)]
    return sorted(rows, key=itemgetter(2))
