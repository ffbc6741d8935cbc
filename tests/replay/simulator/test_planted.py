"""Bugs of the kind that matter, each planted in an engine, a store or a plugin, and found within a budget of seeds.

Whoever adds a fault or a law plants here what it is for: a bug that no seed finds is a gap in the simulator.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from chains import Outbox
from chains.outbox import Step
from ledger import Entry, Ledger, draft, expiry, reducers
from ledger.accounts import Account, OpenRequest
from ledger.books import Books
from ledger.catalogue import Plan
from ledger.decisions import charges, consequences
from ledger.errors import Conflict, NotWritten, OutcomeUnknown, SendUnknown
from ledger.events import Charged, Draws, Invoiced, Recorded
from ledger.folding import snapshot_of
from ledger.log import Commit, encode_commit
from ledger.plugins import Price, policies
from ledger.values import total
from ledger.writer import Writer
from replay.simulator import DiskStore, SimulationFailed, simulate
from replay.simulator.laws import DECLARED_ERRORS_ONLY

BUDGET = 200
"""Seeds within which each bug must be found; README.md beside the simulator says in how many it is."""

STEPS = 200


ANSWERS = {
    "what is acknowledged is in the log",
    "what was in the log stays there",
    "an answer is in the commit of its group",
    "a command that failed was not done",
    "a command with a key is done once",
    "a key gives its first answer",
}
BOOKS = {"books are the fold of the log", "the past does not change", "the audit is clean"}
CREDITS = {
    "an account never spends what it does not have",
    "an account is the sum of its parts",
    "movements and books agree",
    "debt stays within its limit",
}
INVOICES = {"what is invoiced is paid or owed", DECLARED_ERRORS_ONLY}
MONEY = {"money moves exactly once", "what is confirmed has been paid", "all is settled in the end"}
"""By which laws a bug may come to light, each depending on what happens next."""


def laws(seeds: Iterable[int], **options: Any) -> Iterator[str | None]:
    """Yield for each seed the law that was broken; None where nothing was found."""
    for seed in seeds:
        try:
            simulate(seed, steps=STEPS, **options)
            yield None
        except SimulationFailed as failed:
            frames = re.findall(r'File "(.*?)"', failed.found)
            if frames[-1:] == [__file__]:
                pytest.fail(f"the planted bug itself is broken: {failed.found}")
            yield failed.law


def found(first: int = 0, **options: Any) -> str:
    """Return the law by which a seed finds the bug; `first` is one that found it when this was written."""
    law = next(filter(None, laws([first, *range(BUDGET)], **options)), None)
    assert law is not None, f"{BUDGET} seeds do not find it"
    return law


# -- the log -----------------------------------------------------------------------------------------------------------


def writing_with(writer: type[Writer]) -> type[Ledger]:
    """Return ledgers with that writer."""
    return type(writer.__name__, (Ledger,), {"_writer_class": writer})


class AnswersFirst(Writer):
    """Folds and answers, and appends when it is asked the next time."""

    def _append(self, commit: Commit, events: list[Recorded]) -> None:
        self._make_up_for_it()
        self._late = self.head, commit
        self._fold(commit, events)

    def catch_up(self) -> Any:
        self._make_up_for_it()
        return super().catch_up()

    def _make_up_for_it(self) -> None:
        if late := self.__dict__.pop("_late", None):
            self.store.append(*late)


def test_an_answer_that_is_given_before_the_append_is_found() -> None:
    assert found(engine=writing_with(AnswersFirst)) in ANSWERS | BOOKS


class Hopes(Writer):
    """Takes an append that failed, or may have, for one that was done."""

    def _append(self, commit: Commit, events: list[Recorded]) -> None:
        try:
            super()._append(commit, events)
        except (NotWritten, OutcomeUnknown):
            self._fold(commit, events)


def test_an_answer_to_what_was_not_written_is_found() -> None:
    assert found(engine=writing_with(Hopes)) in ANSWERS | BOOKS


class GivesUp(Writer):
    """Takes an append that may have been done for one that was not."""

    def _append(self, commit: Commit, events: list[Recorded]) -> None:
        try:
            super()._append(commit, events)
        except OutcomeUnknown as error:
            raise NotWritten(str(error)) from error


def test_a_doubt_that_is_told_as_a_failure_is_found() -> None:
    assert found(engine=writing_with(GivesUp)) in ANSWERS | BOOKS


class Insists(Writer):
    """Appends after another process's commit what it had decided before it."""

    def _append(self, commit: Commit, events: list[Recorded]) -> None:
        try:
            super()._append(commit, events)
        except Conflict:
            self.catch_up()
            super()._append(encode_commit(self.head, max(commit.at, self.head.at), events), events)


def test_a_decision_that_was_overtaken_and_is_written_all_the_same_is_found() -> None:
    assert found(engine=writing_with(Insists)) in ANSWERS | CREDITS | BOOKS


def test_a_store_that_does_not_sync_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DiskStore, "_sync", lambda store: None)
    assert found() in ANSWERS


# -- snapshots ---------------------------------------------------------------------------------------------------------


class SnapshotsAhead(Writer):
    """Saves its books as time has made them by now, and not as the log has them."""

    def save_snapshot(self) -> None:
        ahead = Books.load(self.books.dump())
        for number, account in ahead.accounts.items():
            ahead.accounts[number] = expiry.due(account, ahead.plans[account.plan], self.clock(), self.tariffs)[0]
        self.store.save_snapshot(snapshot_of(ahead, self.head))


def test_a_snapshot_that_is_ahead_of_the_log_is_found() -> None:
    assert found(3, engine=writing_with(SnapshotsAhead)) in BOOKS | CREDITS | {DECLARED_ERRORS_ONLY}


class ForgetsOlderKeys(Writer):
    """Its snapshots have the keys of this generation, and not those of the one before."""

    def save_snapshot(self) -> None:
        forgetful = Books.load(self.books.dump())
        forgetful.older_keys = {}
        self.store.save_snapshot(snapshot_of(forgetful, self.head))


@pytest.mark.usefixtures("small_generations")
def test_a_store_that_does_not_find_its_keys_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DiskStore, "find_key", lambda *_: 0)
    assert found() in ANSWERS


@pytest.mark.usefixtures("small_generations")
def test_a_snapshot_that_forgets_a_generation_of_keys_is_found() -> None:
    assert found(3, engine=writing_with(ForgetsOlderKeys)) in BOOKS | ANSWERS


# -- decisions and reducers --------------------------------------------------------------------------------------------


def test_a_hold_that_is_released_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of a hold returns twice, at a final charge or at a release after a partial charge."""
    unhold = reducers.unhold

    def twice(account: Account, request: OpenRequest) -> None:
        unhold(account, request)
        if request.charged:
            unhold(account, request)

    for module in (reducers, reducers.charges):  # a release and a final charge
        monkeypatch.setattr(module, "unhold", twice)
    assert found() in CREDITS


def test_returning_credits_that_do_not_pay_what_is_owed_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those that return by a command."""
    monkeypatch.setattr(consequences, "with_repayment", lambda account, plan, seq, at, instant, event: event)
    assert found(28) in CREDITS | {"no account owes and has free credits at once"}


def test_a_key_that_is_forgotten_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only that of a charge: it may be done again."""
    remember = reducers.remember_key

    def forgetful(books: Books, seq: int, event: Recorded) -> None:
        if not isinstance(event, Charged):
            remember(books, seq, event)

    monkeypatch.setattr(reducers, "remember_key", forgetful)
    monkeypatch.setattr(draft, "remember_key", forgetful)
    assert found(7) in ANSWERS | BOOKS


def test_a_due_event_with_the_wrong_instant_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lapses says when that was noticed, and not when it was."""
    lapse = expiry.lapse

    def late(account: Account, plan: Plan, lot: Any, instant: int) -> Recorded:
        return replace(lapse(account, plan, lot, instant), instant=instant + 1)

    monkeypatch.setattr(expiry, "lapse", late)
    assert found(3) in BOOKS


def test_a_debt_beyond_its_limit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One credit beyond it, where a charge goes as far as it may."""
    overrun = charges.overrun

    def generous(account: Account, plan: Plan, rest: int) -> tuple[Draws, int]:
        debt, shortfall = overrun(account, plan, rest)
        return (((0, total(debt) + 1),), shortfall - 1) if debt and shortfall else (debt, shortfall)

    monkeypatch.setattr(charges, "overrun", generous)
    assert found(16) in CREDITS | BOOKS


def test_a_reversed_payment_that_still_counts_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reducers.purchases, "reduce_payment", lambda *_: None)
    assert found(16) in INVOICES | BOOKS | CREDITS


def test_a_price_that_is_rounded_invoice_by_invoice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of once for all of them."""

    def rounded(account: Account, plan: Plan, instant: int) -> Invoiced:
        invoiced = invoice(account, plan, instant)
        return replace(invoiced, money=plan.terms.cost * invoiced.credits // plan.terms.credits)

    invoice = expiry.invoice
    monkeypatch.setattr(expiry, "invoice", rounded)
    assert found(16) in INVOICES | BOOKS


# -- the money ---------------------------------------------------------------------------------------------------------


def test_a_batch_that_is_paid_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outbox that hears nothing takes it for a no: what the batch pays is in the next one as well."""

    def hasty(outbox: Any, batch: Any, attempt: Any) -> Step:
        try:
            outbox._chain.send(attempt)
        except SendUnknown:
            return outbox._fail(batch, "no answer came", used=True)  # type: ignore[no-any-return]
        return Step.sent

    monkeypatch.setattr(Outbox, "_send", hasty)
    assert found(15) in MONEY


# -- what users bring --------------------------------------------------------------------------------------------------


class Moody:
    """Every fourth price is one more."""

    version, scope, monotone = 1, "request", False

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.parameters = dict(parameters)
        self.asked = 0

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        self.asked += 1
        return Price(sum(usage.values()) + (self.asked % 4 == 0))


def test_a_policy_that_is_not_pure_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(policies._load().factories, "moody", Moody)
    assert found(policies=["moody"]) in {"the audit is clean", "a charge can be explained"}


def test_a_projection_that_remembers_what_it_was_not_given_is_found() -> None:
    seen: list[int] = []

    def count_all(state: int | None, entry: Entry) -> int:
        seen.append(entry.seq)
        return len(seen)

    assert found(projections={"count": count_all}) == "the projection count is the same from the beginning"


def test_without_a_bug_these_seeds_are_clean() -> None:
    assert set(laws(range(10))) == {None}
