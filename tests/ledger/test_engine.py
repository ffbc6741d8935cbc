"""The engine: answers and refusals as values, one commit a group, books that are never ahead of the log."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from small_ledger import ASK, BUY, PRO, REFUSED, USES, a_day, commits, photograph, stored
from standing_clock import BEGIN, SECOND, Clock

from ledger import (
    Adjust,
    Answer,
    Charge,
    CreatePlan,
    Give,
    Ledger,
    LedgerError,
    PaymentRequired,
    Purchase,
    Reason,
    Refused,
    Release,
    Request,
    Tick,
)
from ledger.errors import Closed, WrongType, WrongValue
from ledger.events import Charged, PlanCreated, Purchased, Requested
from ledger.plugins import Price, policies
from ledger.stores.memory import MemoryStore
from replay import audit

# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.smoke
def test_an_accepted_command_answers_with_its_event_in_its_place(ledger: Ledger) -> None:
    answer = ledger.execute(ASK)
    assert isinstance(answer, Answer)
    assert answer
    assert answer.accepted
    assert answer.unwrap() is answer
    assert (answer.seq, answer.at) == (4, BEGIN)
    assert isinstance(answer.event, Requested)
    assert next(ledger.events(after=3)) == (answer.seq, answer.at, answer.event)


@pytest.mark.smoke
def test_a_refusal_is_a_value_and_writes_nothing(ledger: Ledger, path: Path) -> None:
    before, bytes_before = photograph(ledger), commits(path)
    refused = ledger.execute(REFUSED)
    assert isinstance(refused, Refused)
    assert not refused
    assert not refused.accepted
    assert refused.reason is Reason.not_subscribed
    assert (photograph(ledger), commits(path)) == (before, bytes_before)
    with pytest.raises(PaymentRequired) as caught:
        refused.unwrap()
    assert caught.value.refused == refused


def test_what_is_no_command_raises(ledger: Ledger) -> None:
    before = photograph(ledger)
    for thing in (None, 7, "buy", object(), PlanCreated, BUY.__class__):
        with pytest.raises(TypeError, match="a command is needed"):
            ledger.execute(thing)  # type: ignore[arg-type]
    assert photograph(ledger) == before


def test_the_answer_to_a_command_before_which_time_did_something_is_its_own_event(ledger: Ledger, clock: Clock) -> None:
    ledger.execute(ASK).unwrap()
    clock.now += 600 * SECOND
    answer = ledger.execute(ASK).unwrap()
    assert stored(ledger)[-2:] == ["released", "requested"]
    assert (answer.seq, type(answer.event)) == (ledger.head.seq, Requested)


def test_a_tick_has_no_event_of_its_own(ledger: Ledger, clock: Clock) -> None:
    quiet = photograph(ledger)
    assert ledger.execute(Tick()) == Answer(seq=ledger.head.seq, at=clock.now, event=None)
    assert photograph(ledger) == quiet
    ledger.execute(ASK).unwrap()
    clock.now += 600 * SECOND
    assert ledger.execute(Tick()) == Answer(seq=5, at=clock.now, event=None)
    assert stored(ledger)[-1] == "released"


# -- groups of one caller ----------------------------------------------------------------------------------------------


@pytest.mark.smoke
def test_execute_many_is_one_commit(ledger: Ledger, path: Path) -> None:
    answers = ledger.execute_many([ASK, REFUSED, ASK, Purchase(subscriber="ben", plan="pro"), ASK])
    assert [answer.accepted for answer in answers] == [True, False, True, True, True]
    assert commits(path) == [(1, 3, BEGIN), (4, 5, BEGIN)]


def test_commands_of_one_group_are_decided_one_after_the_other(ledger: Ledger) -> None:
    """The second sees the books as the first will leave them."""
    whole = Request(subscriber="ann", plan="pro", estimate={"calls": 100}, labels={})
    ledger.execute(CreatePlan(plan="calls", owner="acme", credits=100, parameters={"per": "call"})).unwrap()
    calls = Request(subscriber="cat", plan="calls", estimate={"calls": 60})
    answers = ledger.execute_many([calls, Purchase(subscriber="cat", plan="calls"), calls, calls, whole])
    assert [answer.reason if isinstance(answer, Refused) else "" for answer in answers] == [
        Reason.not_subscribed,
        "",
        "",
        Reason.insufficient_credits,
        "",
    ]


def test_a_group_and_the_same_commands_one_by_one_come_to_the_same_events(path: Path, clock: Clock) -> None:
    """Also where a command names a request by the sequence that it is going to have: one time, one order."""
    commands = [PRO, BUY, ASK, Charge(request=4, usage={"calls": 1}, key="k"), Adjust(charge=5, credits=-1)]
    commands += [ASK, Release(request=7), Charge(request=4, usage={"calls": 1}, key="k"), Charge(request=7)]
    with Ledger.open(clock=clock, id="test") as one, Ledger.open(clock=clock, id="test") as many:
        alone = [one.execute(command) for command in commands]
        assert many.execute_many(commands) == alone
        assert many.state() == one.state()
        assert list(many.events()) == list(one.events())


def test_an_empty_group_writes_nothing(ledger: Ledger) -> None:
    before = photograph(ledger)
    assert ledger.execute_many([]) == []
    assert photograph(ledger) == before


def test_a_group_of_nothing_but_refusals_writes_nothing_but_catches_up(path: Path, ledger: Ledger) -> None:
    with Ledger.open(path) as other:
        other.execute(Purchase(subscriber="nobody", plan="pro")).unwrap()
    wrong = Request(subscriber="nobody", plan="none")
    assert [answer.accepted for answer in ledger.execute_many([wrong, wrong])] == [False, False]
    assert len(commits(path)) == 2
    assert f"{ledger!r}" == "<Ledger test: 5 events, 1 plans, 2 accounts>"


def test_a_group_is_as_long_as_its_caller_makes_it(ledger: Ledger, path: Path) -> None:
    answers = ledger.execute_many(Purchase(subscriber=f"{number}", plan="pro") for number in range(10_000))
    assert all(answers)
    assert len(commits(path)) == 2
    assert len(ledger.balances(plan="pro")) == 10_001


class Temper:
    """A pricing policy of somebody else's that loses its temper when it sees a certain label."""

    version, scope, monotone = 1, "request", True

    def __init__(self, parameters: Any) -> None:
        self.parameters = dict(parameters)

    def total(self, usage: Any, labels: Any) -> Price:
        if labels.get("mood") == "bad":
            raise RuntimeError("not today")
        return Price(sum(usage.values()))


@pytest.fixture
def temper() -> None:
    with suppress(LedgerError):  # it is registered once for all tests
        policies.register("temper", Temper)


@pytest.mark.usefixtures("temper")
def test_a_policy_that_fails_refuses_its_own_command_and_not_its_neighbours(ledger: Ledger, path: Path) -> None:
    moody = CreatePlan(plan="moody", owner="o", credits=50, policy="temper")
    ledger.execute_many([moody, Purchase(subscriber="ann", plan="moody")])
    good = Charge(subscriber="ann", plan="moody", usage={"calls": 3})
    bad = Charge(subscriber="ann", plan="moody", usage={"calls": 3}, labels={"mood": "bad"})
    first, failed, second = ledger.execute_many([good, bad, good])
    assert first
    assert second
    assert isinstance(failed, Refused)
    assert failed.reason is Reason.policy_failed
    assert "not today" in str(failed.facts["detail"])
    assert commits(path)[-1][1] == 2


# -- time and determinism ----------------------------------------------------------------------------------------------


@pytest.mark.smoke
def test_the_same_commands_clock_and_id_give_the_same_bytes(tmp_path: Path) -> None:
    heads = []
    for name in ("one.db", "two.db"):
        clock = Clock()
        with Ledger.open(tmp_path / name, clock=clock, id="test") as ledger:
            a_day(ledger, clock)
            heads.append(photograph(ledger))
    assert heads[0] == heads[1]
    with Ledger.open(clock=(clock := Clock()), id="test") as ledger:
        a_day(ledger, clock)
        assert photograph(ledger) == heads[0]
    with Ledger.open(clock=(clock := Clock()), id="another") as ledger:
        a_day(ledger, clock)
        assert ledger.head.hash != heads[0][0].hash


def test_two_ledgers_have_two_ids(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "a.db") as one, Ledger.open(tmp_path / "b.db") as other:
        assert one.id != other.id
    with Ledger.open(tmp_path / "a.db") as again:
        assert again.id == one.id


def test_time_never_goes_back_though_the_clock_does(ledger: Ledger, clock: Clock, path: Path) -> None:
    clock.now = BEGIN + 5
    ledger.execute(ASK).unwrap()
    clock.now = BEGIN - 3_600 * SECOND
    assert ledger.execute(ASK).unwrap().at == BEGIN + 5
    clock.now = BEGIN + 9
    assert ledger.execute(ASK).unwrap().at == BEGIN + 9
    assert [at for _, _, at in commits(path)] == [BEGIN, BEGIN + 5, BEGIN + 5, BEGIN + 9]


def test_time_never_goes_back_between_two_ledgers_on_one_file(ledger: Ledger, path: Path) -> None:
    with Ledger.open(path, clock=lambda: BEGIN + 50) as ahead:
        ahead.execute(ASK).unwrap()
    assert ledger.execute(ASK).unwrap().at == BEGIN + 50


def test_readings_apply_what_is_due_without_writing_it(ledger: Ledger, clock: Clock) -> None:
    ledger.execute(ASK).unwrap()
    clock.now += 600 * SECOND
    before = photograph(ledger)
    balance = ledger.balance("ann", "pro")
    assert balance is not None
    assert (balance.held, balance.open_requests) == (0, 0)
    assert ledger.requests() == []
    assert photograph(ledger) == before


# -- events ------------------------------------------------------------------------------------------------------------


def test_events_are_given_after_any_sequence_in_order(ledger: Ledger) -> None:
    ledger.execute_many([ASK] * 40)
    for _ in range(70):
        ledger.execute(Give(subscriber="ann", plan="pro", credits=1))
    whole = list(ledger.events())
    assert [entry.seq for entry in whole] == list(range(1, ledger.head.seq + 1))
    for after in (0, 1, 2, 3, 42, 43, 100, ledger.head.seq - 1):
        assert list(ledger.events(after)) == whole[after:]
    assert list(ledger.events(ledger.head.seq)) == []
    assert list(ledger.events(ledger.head.seq + 5)) == []


def test_events_end_where_the_log_ended_when_the_reading_began(ledger: Ledger) -> None:
    events, commits = ledger.events(), ledger.commits()
    first = next(events), next(commits)
    ledger.execute(ASK).unwrap()
    assert [entry.seq for entry in (first[0], *events)] == [1, 2, 3]
    assert [commit.first_seq for commit in (first[1], *commits)] == [1]


# -- opening and closing -----------------------------------------------------------------------------------------------


@pytest.mark.smoke
def test_a_ledger_that_is_opened_again_is_the_same(path: Path, clock: Clock) -> None:
    with Ledger.open(path, clock=clock) as ledger:
        a_day(ledger, clock)
        before, known = photograph(ledger), ledger.id
    for _ in range(2):
        with Ledger.open(path, clock=clock) as ledger:
            assert (photograph(ledger), ledger.id) == (before, known)
    with Ledger.open(path, clock=clock) as ledger:
        assert ledger.execute(BUY).unwrap().seq == before[0].seq + 1


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_closed_ledger_says_so(ledger: Ledger, use: Callable[[Ledger], object]) -> None:
    ledger.close()
    ledger.close()
    for _ in range(2):  # the first must not leave anything behind on which the second would wait
        with pytest.raises(Closed, match="closed"):
            use(ledger)
    assert "closed" in repr(ledger)


def test_every_public_method_is_tried_on_a_closed_ledger() -> None:
    named = {name for name in dir(Ledger) if not name.startswith("_")}
    assert named - {name.split()[0] for name in USES} == {"open", "close", "id", "queue", "accept_clock"}


def test_a_store_is_named_or_guessed_from_the_place(path: Path) -> None:
    with Ledger.open() as memory, Ledger.open(path) as file, Ledger.open(path, store="sqlite") as named:
        assert isinstance(memory._writer.store, MemoryStore)
        assert named.id == file.id
    with pytest.raises(LedgerError, match="no store 'postgres'"):
        Ledger.open(path, store="postgres")


def test_a_ledger_shows_itself(ledger: Ledger) -> None:
    assert repr(ledger) == "<Ledger test: 3 events, 1 plans, 1 accounts>"
    assert "3 events" in ledger._repr_html_()


def test_the_events_of_the_answers_are_of_the_kinds_that_the_commands_ask_for(ledger: Ledger) -> None:
    held = ledger.execute(ASK).unwrap()
    kinds = [
        ledger.execute(Charge(request=held.seq, usage={"calls": 1})).unwrap().event,
        ledger.execute(Give(subscriber="ann", plan="pro", credits=1)).unwrap().event,
    ]
    assert [type(event) for event in kinds] == [Charged, Purchased]


def test_the_books_before_the_log_began_are_an_error(ledger: Ledger) -> None:
    """They would read as empty, and so as an answer. Sequence 0 is the log before its first event."""
    first = next(ledger.events()).at
    for wanted in ({"seq": -1}, {"at": first - 1}, {"at": 0}):
        with pytest.raises(ValueError, match=r"is below 0|is before the first event"):
            ledger.as_of(**wanted)
    assert ledger.as_of(seq=0).balances() == []
    assert ledger.as_of(at=first).seq >= 1
    with Ledger.open() as empty:
        assert empty.as_of(at=0).balances() == []


def test_a_statement_that_ends_before_it_begins_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(WrongValue, match="since: 3 is after upto, 2"):
        ledger.statement("ann", "pro", since=3, upto=2)
    nothing = ledger.statement("ann", "pro", since=2, upto=2)
    assert nothing is not None
    assert nothing.lines == ()
    assert nothing.opening == nothing.closing


def test_the_books_are_read_at_a_datetime_with_a_time_zone(ledger: Ledger) -> None:
    ledger.execute(Give(subscriber="ann", plan="pro", credits=7)).unwrap()
    last = list(ledger.events())[-1].at
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=last)
    elsewhere = moment.astimezone(timezone(timedelta(hours=-5)))
    for at in (moment, elsewhere):
        assert ledger.as_of(at=at).balances() == ledger.as_of(at=last).balances()
    with pytest.raises(WrongValue, match=f"{last - 1} is before the first event"):
        ledger.as_of(at=moment - timedelta(microseconds=1))
    with pytest.raises(WrongType, match=r"at: .* has no time zone"):
        ledger.as_of(at=moment.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (lambda ledger: ledger.as_of(at=1.5), "at"),
        (lambda ledger: ledger.as_of(seq="3"), "seq"),
        (lambda ledger: ledger.statement("ann", "pro", since="2026-01-01"), "since"),
        (lambda ledger: ledger.statement("ann", "pro", upto=2.0), "upto"),
        (lambda ledger: audit(ledger), "where"),
    ],
)
def test_an_argument_of_a_reading_of_a_wrong_type_is_named(
    ledger: Ledger, read: Callable[[Ledger], object], name: str
) -> None:
    with pytest.raises(WrongType, match=f"^{name}: .* is of type "):
        read(ledger)
