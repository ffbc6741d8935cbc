"""Idempotency: a key is done once, and remembers what was asked; some identities hold for ever.

A key costs a digest of 16 bytes, a fingerprint of 16, a sequence and a time, as long as its plan says. Keys that the
books no longer hold are in `test_older_keys.py`.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from standing_clock import BEGIN, SECOND, Clock

from ledger import (
    Adjust,
    Answer,
    Charge,
    CreatePlan,
    Escrow,
    EscrowFunding,
    Extend,
    Freeze,
    Give,
    Ledger,
    Outcome,
    PaymentRequired,
    Purchase,
    Reason,
    Refused,
    RegisterAgent,
    Reinstate,
    Release,
    RepricePlan,
    Request,
    RetireAgent,
    RetirePlan,
    Reverse,
    Tick,
    Unfreeze,
    UpdateAgent,
    Withdraw,
)
from ledger.events import KEY_SECONDS, MAX_AHEAD_SECONDS, Charged

KEY_TIME = KEY_SECONDS * SECOND
AHEAD = MAX_AHEAD_SECONDS * SECOND
REMEMBERED = KEY_TIME + AHEAD
PRO = CreatePlan(plan="pro", owner="acme", price={"acme": 10**20}, credits=100, late_seconds=60)
WRITER = RegisterAgent(agent="writer", owner="acme", plans=("pro",))
BUY = Purchase(subscriber="ann", plan="pro")
ASK = Request(subscriber="ann", plan="pro", estimate={"calls": 1}, key="k")


@pytest.fixture
def ledger(path: Path, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(path, clock=clock, id="test") as opened:
        opened.execute_many([PRO, WRITER, BUY, Purchase(subscriber="ben", plan="pro")])
        yield opened


def reason(outcome: Outcome) -> Reason | None:
    return outcome.reason if isinstance(outcome, Refused) else None


def again(answer: Answer) -> Answer:
    """The answer, as it is given to a repeated key or payment: it says that it is a repeat."""
    assert not answer.repeated
    return replace(answer, repeated=True)


# -- the same key with the same content --------------------------------------------------------------------------------


def on_open_request(ledger: Ledger) -> int:
    return ledger.execute(Request(subscriber="ann", plan="pro")).unwrap().seq


def on_charge(ledger: Ledger) -> int:
    return ledger.execute(Charge(subscriber="ann", plan="pro", usage={"calls": 1})).unwrap().seq


def first_lot(ledger: Ledger) -> int:
    return ledger.lots("ann", "pro")[0].id


def on_reversed_lot(ledger: Ledger) -> int:
    lot = first_lot(ledger)
    ledger.execute(Reverse(subscriber="ann", plan="pro", lot=lot)).unwrap()
    return lot


def on_frozen_account(ledger: Ledger) -> None:
    ledger.execute(Freeze(subscriber="ann", plan="pro")).unwrap()


KEYED: dict[str, Callable[[Ledger], Any]] = {
    "create_plan": lambda _: CreatePlan(plan="new", owner="acme", credits=1),
    "reprice_plan": lambda _: RepricePlan(plan="pro", policy="per_credit", parameters={"credits": 2}),
    "retire_plan": lambda _: RetirePlan(plan="pro"),
    "register_agent": lambda _: RegisterAgent(agent="new", owner="acme", metadata={"a": [1, {"b": None}]}),
    "update_agent": lambda _: UpdateAgent(agent="writer", plans=()),
    "retire_agent": lambda _: RetireAgent(agent="writer"),
    "purchase": lambda _: BUY,
    "give": lambda _: Give(subscriber="ann", plan="pro", credits=5, expiry=BEGIN + SECOND),
    "withdraw": lambda _: Withdraw(subscriber="ann", plan="pro", credits=5),
    "reverse": lambda ledger: Reverse(subscriber="ann", plan="pro", lot=first_lot(ledger), amount=10**19),
    "reinstate": lambda ledger: Reinstate(subscriber="ann", plan="pro", lot=on_reversed_lot(ledger)),
    "freeze": lambda _: Freeze(subscriber="ann", plan="pro"),
    "unfreeze": lambda ledger: on_frozen_account(ledger) or Unfreeze(subscriber="ann", plan="pro"),
    "request": lambda _: ASK,
    "extend": lambda ledger: Extend(request=on_open_request(ledger), seconds=900),
    "release": lambda ledger: Release(request=on_open_request(ledger)),
    "charge": lambda ledger: Charge(request=on_open_request(ledger), usage={"calls": 1}),
    "charge directly": lambda _: Charge(subscriber="ann", plan="pro", usage={"calls": 1}),
    "adjust": lambda ledger: Adjust(charge=on_charge(ledger), credits=-1),
}


@pytest.mark.parametrize("make", KEYED.values(), ids=KEYED)
def test_the_same_key_with_the_same_content_gets_the_first_answer(
    ledger: Ledger, clock: Clock, path: Path, make: Callable[[Ledger], Any]
) -> None:
    """At once, later, in a group, after a snapshot, after reopening: the same answer, which says that it is a repeat,
    and nothing is written."""
    command = replace(make(ledger), key="k")
    first = ledger.execute(command)
    assert isinstance(first, Answer)
    head = ledger.head
    clock.now += 3_600 * SECOND
    assert ledger.execute(command) == again(first)
    assert ledger.execute_many([command, command]) == [again(first), again(first)]
    ledger.snapshot()
    assert (ledger.execute(command), ledger.head) == (again(first), head)
    with Ledger.open(path, clock=clock) as reopened:
        assert (reopened.execute(command), reopened.head) == (again(first), head)


@pytest.mark.smoke
@pytest.mark.parametrize("make", KEYED.values(), ids=KEYED)
def test_the_same_key_twice_in_one_group_is_done_once(ledger: Ledger, make: Callable[[Ledger], Any]) -> None:
    command = replace(make(ledger), key="k")
    first, second = ledger.execute_many([command, command])
    assert isinstance(first, Answer)
    assert second == again(first)


@pytest.mark.parametrize("make", KEYED.values(), ids=KEYED)
def test_the_same_key_with_other_content_is_refused(ledger: Ledger, make: Callable[[Ledger], Any]) -> None:
    command = replace(make(ledger), key="k")
    ledger.execute(command).unwrap()
    changed = different(command)
    head = ledger.head
    assert reason(ledger.execute(changed)) is Reason.key_reused
    assert ledger.head == head


def different(command: Any) -> Any:
    """The same command of the same account or builder, with something else asked for."""
    match command:
        case CreatePlan():
            return replace(command, onchain_id="0x1")
        case RepricePlan():
            return replace(command, parameters={"credits": 3})
        case RegisterAgent() | UpdateAgent():
            return replace(command, metadata={"other": True})
        case RetirePlan():
            return RepricePlan(plan="pro", policy="per_credit", key=command.key)
        case RetireAgent():
            return UpdateAgent(agent="writer", key=command.key)
        case Withdraw() | Give():
            return replace(command, credits=6)
        case Request() | Charge():
            return replace(command, labels={"model": "other"})
        case Extend():
            return replace(command, seconds=901)
        case Release():
            return replace(command, reason="failed")
        case Adjust():
            return replace(command, note="other")
        case Purchase():
            return replace(command, payment="other")
        case _:
            return Give(subscriber="ann", plan="pro", credits=1, key=command.key)


def test_a_key_is_one_for_all_kinds_of_commands_of_an_account(ledger: Ledger) -> None:
    ledger.execute(ASK).unwrap()
    for other in (replace(BUY, key="k"), Give(subscriber="ann", plan="pro", credits=1, key="k")):
        assert reason(ledger.execute(other)) is Reason.key_reused


def test_content_is_what_the_caller_gave_in_any_order(ledger: Ledger) -> None:
    command = Charge(
        subscriber="ann", plan="pro", usage={"calls": 1, "seconds": 2}, labels={"a": "b", "c": "d"}, key="k"
    )
    first = ledger.execute(command).unwrap()
    turned = replace(command, usage={"seconds": 2, "calls": 1}, labels={"c": "d", "a": "b"}, issued_at=BEGIN)
    assert ledger.execute(turned) == again(first)


def test_without_a_key_the_same_command_is_done_again(ledger: Ledger) -> None:
    assert ledger.execute(BUY).unwrap().seq != ledger.execute(BUY).unwrap().seq


def test_a_tick_has_no_key(ledger: Ledger, clock: Clock) -> None:
    ledger.execute(Tick(key="k")).unwrap()
    assert ledger.execute(ASK).unwrap()
    clock.now += 600 * SECOND
    ledger.execute(Tick(key="k")).unwrap()
    assert ledger.requests() == []


def test_the_answer_after_what_was_due_is_the_commands_own_event_again(ledger: Ledger, clock: Clock) -> None:
    ledger.execute(Request(subscriber="ann", plan="pro")).unwrap()
    clock.now += 600 * SECOND
    first = ledger.execute(ASK).unwrap()
    assert ledger.execute(ASK) == again(first)
    assert next(ledger.events(after=first.seq - 1)).event == first.event


def test_a_key_from_another_process_is_the_same_key(ledger: Ledger, path: Path) -> None:
    program = f"""
from ledger import Ledger, Request
with Ledger.open({str(path)!r}, clock=lambda: {BEGIN}) as ledger:
    print(ledger.execute(Request(subscriber="ann", plan="pro", estimate={{"calls": 1}}, key="k")).unwrap().seq)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    seq = int(done.stdout)
    assert ledger.execute(ASK).unwrap().seq == seq == ledger.head.seq
    assert reason(ledger.execute(replace(ASK, estimate={"calls": 2}))) is Reason.key_reused
    once_more = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(once_more.stdout) == seq


# -- scope -------------------------------------------------------------------------------------------------------------


def test_a_key_belongs_to_its_account(ledger: Ledger) -> None:
    ledger.execute(CreatePlan(plan="other", owner="acme", credits=5)).unwrap()
    ledger.execute(Purchase(subscriber="ann", plan="other")).unwrap()
    others = [replace(ASK, subscriber="ben"), replace(ASK, plan="other"), ASK]
    assert len({ledger.execute(ask).unwrap().seq for ask in others}) == 3


def test_a_key_of_the_catalogue_belongs_to_its_builder(ledger: Ledger) -> None:
    plan = CreatePlan(plan="one", owner="acme", credits=1, key="k")
    ledger.execute(plan).unwrap()
    assert reason(ledger.execute(replace(plan, plan="two"))) is Reason.key_reused
    assert reason(ledger.execute(RegisterAgent(agent="a", owner="acme", key="k"))) is Reason.key_reused
    assert reason(ledger.execute(RepricePlan(plan="pro", policy="per_credit", key="k"))) is Reason.key_reused
    assert reason(ledger.execute(RetireAgent(agent="writer", key="k"))) is Reason.key_reused
    ledger.execute(replace(plan, plan="two", owner="bee")).unwrap()
    ledger.execute(ASK).unwrap()


def test_names_and_keys_do_not_run_together(ledger: Ledger) -> None:
    """A builder of one name and a key of another are not taken for one another."""
    assert ledger.execute(CreatePlan(plan="one", owner="ac", credits=1, key="me k"))
    assert ledger.execute(CreatePlan(plan="two", owner="acme", credits=1, key=" k"))
    assert ledger.execute(CreatePlan(plan="three", owner="acme ", credits=1, key="k"))


def test_the_first_purchase_of_an_account_is_done_once(ledger: Ledger) -> None:
    first = Purchase(subscriber="new", plan="pro", key="k")
    answer = ledger.execute(first).unwrap()
    assert ledger.execute(first) == again(answer)
    assert len(ledger.lots("new", "pro")) == 1


# -- what is remembered ------------------------------------------------------------------------------------------------


def test_a_refused_command_is_not_remembered(ledger: Ledger) -> None:
    ask = replace(ASK, subscriber="new")
    assert reason(ledger.execute(ask)) is Reason.not_subscribed
    ledger.execute(Purchase(subscriber="new", plan="pro")).unwrap()
    dear = Withdraw(subscriber="new", plan="pro", credits=500, key="k")
    assert reason(ledger.execute(dear)) is Reason.insufficient_credits
    ledger.execute(ask).unwrap()


@pytest.mark.parametrize("seconds", [None, 1, 90, 400 * 86_400])
def test_a_key_is_remembered_as_long_as_the_plan_says_from_its_commit_and_no_longer(
    seconds: int | None, ledger: Ledger, clock: Clock
) -> None:
    if seconds is None:
        ask, remembered = ASK, REMEMBERED
    else:
        ledger.execute(replace(PRO, plan="own", key_seconds=seconds)).unwrap()
        ledger.execute(replace(BUY, plan="own")).unwrap()
        ask, remembered = replace(ASK, plan="own"), seconds * SECOND + AHEAD
    clock.now += 12_345
    first = ledger.execute(ask).unwrap()
    for before in (remembered // 2, remembered - 1):
        clock.now = first.at + before
        assert ledger.execute(ask) == again(first)
        assert reason(ledger.execute(replace(ask, estimate={"calls": 2}))) is Reason.key_reused
    clock.now = first.at + remembered
    assert ledger.execute(replace(ask, estimate={"calls": 2})).unwrap().seq > first.seq


def test_keys_of_the_catalogue_and_of_settlements_are_remembered_for_35_days(ledger: Ledger, clock: Clock) -> None:
    assert KEY_SECONDS == 35 * 86_400
    short = replace(PRO, plan="short", key_seconds=1, key="k")
    first = ledger.execute(short).unwrap()
    clock.now += REMEMBERED - 1
    assert ledger.execute(short) == again(first)
    clock.now += 1
    assert ledger.execute(RegisterAgent(agent="a", owner="acme", key="k")).unwrap()


def test_a_plan_that_is_made_again_by_a_forgotten_key_is_refused_with_what_to_do(ledger: Ledger, clock: Clock) -> None:
    """However long the plan remembers the keys of its accounts."""
    plan = replace(PRO, plan="own", key_seconds=100 * 365 * 86_400, key="k")
    ledger.execute(plan).unwrap()
    clock.now += REMEMBERED
    refused = ledger.execute(plan)
    assert reason(refused) is Reason.key_reused
    assert all(said in str(refused) for said in ("`ensure_plan`", "another name", "35 days"))
    assert ledger.ensure_plan(plan).terms.plan == "own"


def test_a_keys_first_use_may_open_its_account(ledger: Ledger, clock: Clock) -> None:
    """Its time is that of the plan that is bought."""
    ledger.execute(replace(PRO, plan="short", key_seconds=60)).unwrap()
    first = Purchase(subscriber="new", plan="short", key="k")
    answer = ledger.execute(first).unwrap()
    clock.now += 60 * SECOND + AHEAD - 1
    assert ledger.execute(first) == again(answer)
    clock.now += 1
    assert ledger.execute(first).unwrap().seq > answer.seq


@pytest.mark.parametrize("reopen", [False, True])
def test_its_time_goes_by_commits_and_not_by_what_was_written_since(path: Path, clock: Clock, reopen: bool) -> None:
    """Also with commits in between, and with a snapshot."""
    ledger = Ledger.open(path, clock=clock)
    ledger.execute_many([PRO, BUY])
    first = ledger.execute(ASK).unwrap()
    for step in range(1, 8):
        clock.now = first.at + step * KEY_TIME // 8
        ledger.execute(replace(BUY, key=f"other {step}")).unwrap()
        if reopen:
            ledger.snapshot()
            ledger.close()
            ledger = Ledger.open(path, clock=clock)
        assert ledger.execute(ASK) == again(first)
    clock.now = first.at + REMEMBERED
    assert ledger.execute(ASK).unwrap().seq > first.seq
    ledger.close()


def test_a_key_that_is_done_anew_after_its_time_is_remembered_anew(ledger: Ledger, clock: Clock) -> None:
    first = ledger.execute(ASK).unwrap()
    clock.now += REMEMBERED
    second = ledger.execute(ASK).unwrap()
    assert second.seq > first.seq
    clock.now += REMEMBERED - 1
    assert ledger.execute(ASK) == again(second)


def test_a_keyed_command_that_is_older_than_its_plans_keys_is_refused(ledger: Ledger, clock: Clock) -> None:
    ledger.execute(replace(PRO, plan="own", key_seconds=7_200)).unwrap()
    ledger.execute(replace(BUY, plan="own")).unwrap()
    for plan, seconds, said in (("pro", KEY_SECONDS, "35 days"), ("own", 7_200, "2 hours")):
        old = replace(ASK, plan=plan, issued_at=clock.now - seconds * SECOND)
        refused = ledger.execute(old)
        assert reason(refused) is Reason.key_too_old
        assert said in str(refused)
        ledger.execute(replace(old, issued_at=clock.now - seconds * SECOND + 1)).unwrap()


def test_issued_at_decides_when_the_key_is_no_longer_remembered(ledger: Ledger, clock: Clock) -> None:
    """A retry that comes too late is not done a second time; without `issued_at` it counts as issued on arrival."""
    ask = replace(ASK, issued_at=clock.now)
    first = ledger.execute(ask).unwrap()
    clock.now += REMEMBERED - 1
    assert ledger.execute(ask) == again(first)
    clock.now += 1
    assert reason(ledger.execute(ask)) is Reason.key_too_old
    assert ledger.execute(replace(ask, issued_at=None)).unwrap().seq > first.seq


def test_a_command_arrives_when_the_clock_says_and_not_when_the_log_ends(ledger: Ledger, clock: Clock) -> None:
    """A clock that is set back, as for an import that is run again: what the log has forgotten is not done again."""
    first = ledger.execute(ASK).unwrap()
    clock.now += 2 * KEY_TIME
    ledger.tick()
    last = ledger.execute(replace(ASK, key="last")).unwrap()
    clock.now = first.at
    refused = ledger.execute(ASK)
    assert reason(refused) is Reason.key_too_old
    assert "35 days here, and its arrival is older than that, clock_behind_us " in str(refused)
    assert ledger.execute(replace(ASK, key="last")) == again(last)
    ledger.execute(replace(ASK, issued_at=last.at)).unwrap()
    ledger.execute(replace(ASK, key=None)).unwrap()


@settings(max_examples=60)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.data())
def test_an_import_that_is_run_again_charges_nothing_twice(days: list[int], data: st.DataObject) -> None:
    """Rows so many days apart, each with a key and without `issued_at`, and a clock that follows the rows."""
    rows = list(accumulate(days, initial=0))
    with Ledger.open(clock=(clock := Clock())) as ledger:
        ledger.execute_many([replace(PRO, credits=1000), BUY])
        for _ in range(3):
            upto = data.draw(st.integers(0, len(rows)))
            for number, day in enumerate(rows[:upto]):
                clock.now = BEGIN + day * 86_400 * SECOND
                ledger.execute(Charge(subscriber="ann", plan="pro", usage={"calls": 1}, key=str(number)))
        keys = [entry.event.key for entry in ledger.events() if isinstance(entry.event, Charged)]
        assert len(keys) == len(set(keys))


SKEWS = st.integers(-2 * KEY_TIME, 2 * AHEAD) | st.sampled_from([-KEY_TIME, -1, 0, 1, AHEAD, AHEAD + 1])
LATER = st.integers(0, 2 * KEY_TIME) | st.integers(-2, 2 * AHEAD).map(lambda more: KEY_TIME + more)


@settings(max_examples=60)
@given(SKEWS, st.lists(LATER, max_size=4), st.sampled_from([1, 3_600, KEY_SECONDS]))
def test_a_command_that_says_when_it_was_issued_is_never_done_twice(skew: int, later: list[int], seconds: int) -> None:
    """However much the clock of its caller differs from the ledger's, and whenever it is sent again."""
    with Ledger.open(clock=(clock := Clock())) as ledger:
        ledger.execute_many([replace(PRO, credits=1000, key_seconds=seconds), BUY])
        charge = Charge(subscriber="ann", plan="pro", usage={"calls": 1}, key="k", issued_at=BEGIN + skew)
        outcomes = []
        for wait in sorted([0, *(wait * seconds // KEY_SECONDS for wait in later), *later]):
            clock.now = BEGIN + wait
            outcomes.append(ledger.execute(charge))
            ledger.execute(BUY)
        done = [entry.event for entry in ledger.events() if isinstance(entry.event, Charged)]
        assert len(done) <= 1
        if skew > AHEAD:
            assert reason(outcomes[0]) is Reason.malformed
        elif skew > -seconds * SECOND:
            assert isinstance(outcomes[0], Answer)
        else:
            assert reason(outcomes[0]) is Reason.key_too_old


def test_a_time_of_issue_that_is_far_ahead_is_refused_with_its_value(ledger: Ledger, clock: Clock) -> None:
    ledger.execute(replace(ASK, issued_at=clock.now + AHEAD)).unwrap()
    for issued_at in (clock.now + AHEAD + 1, 2 * clock.now):
        with pytest.raises(PaymentRequired, match=f"issued_at: {issued_at} is .* microseconds after .* 5 minutes"):
            ledger.execute(replace(ASK, key="other", issued_at=issued_at)).unwrap()


def test_issued_at_without_a_key_says_nothing(ledger: Ledger, clock: Clock) -> None:
    ledger.execute(replace(ASK, key=None, issued_at=clock.now - 10 * KEY_TIME)).unwrap()


def test_a_plan_remembers_keys_for_a_second_at_least(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="key_seconds"):
        ledger.execute(replace(PRO, plan="none", key_seconds=0))


# -- things that are closed by now -------------------------------------------------------------------------------------


@pytest.mark.parametrize("reopen", [False, True])
def test_a_keyed_charge_is_answered_again_though_its_request_is_closed(
    ledger: Ledger, clock: Clock, path: Path, reopen: bool
) -> None:
    held = ledger.execute(ASK).unwrap()
    charge = Charge(request=held.seq, usage={"calls": 1}, key="final")
    first = ledger.execute(charge).unwrap()
    clock.now += 700 * SECOND
    ledger.tick()
    if reopen:
        with Ledger.open(path, clock=clock) as reopened:
            assert reopened.execute(charge) == again(first)
    assert ledger.execute(charge) == again(first)
    assert reason(ledger.execute(replace(charge, key=None))) is Reason.request_closed
    assert reason(ledger.execute(replace(charge, usage={"calls": 2}))) is Reason.key_reused


def test_every_part_of_a_charge_is_answered_again_after_the_last(ledger: Ledger) -> None:
    held = ledger.execute(ASK).unwrap()
    parts = [Charge(request=held.seq, usage={"calls": n}, final=n == 3, key=f"part {n}") for n in (1, 2, 3)]
    answers = [again(ledger.execute(part).unwrap()) for part in parts]
    assert [ledger.execute(part) for part in parts] == answers
    assert ledger.execute_many(parts) == answers


def test_a_keyed_release_extension_or_correction_is_answered_again_after_the_end(ledger: Ledger, clock: Clock) -> None:
    held = ledger.execute(ASK).unwrap()
    extend = Extend(request=held.seq, seconds=900, key="extend")
    charge = Charge(request=held.seq, usage={"calls": 1}, key="charge")
    extended, charged = ledger.execute(extend).unwrap(), ledger.execute(charge).unwrap()
    adjust = Adjust(charge=charged.seq, credits=-1, key="adjust")
    adjusted = ledger.execute(adjust).unwrap()
    other = ledger.execute(replace(ASK, key="other")).unwrap()
    release = Release(request=other.seq, key="release")
    released = ledger.execute(release).unwrap()
    answers = ledger.execute_many([extend, charge, adjust, release])
    assert answers == [again(each) for each in (extended, charged, adjusted, released)]


def test_a_keyed_charge_of_an_expired_request_is_answered_again(ledger: Ledger, clock: Clock) -> None:
    held = ledger.execute(ASK).unwrap()
    clock.now += 601 * SECOND
    late = Charge(request=held.seq, usage={"calls": 1}, key="late")
    first = ledger.execute(late).unwrap()
    clock.now += 3_600 * SECOND
    assert ledger.execute(late) == again(first)


def test_a_request_is_charged_finally_once_for_ever(ledger: Ledger, clock: Clock) -> None:
    held = ledger.execute(ASK).unwrap()
    ledger.execute(Charge(request=held.seq, usage={"calls": 1})).unwrap()
    for _ in range(3):
        assert reason(ledger.execute(Charge(request=held.seq, usage={"calls": 1}))) is Reason.request_closed
        clock.now += REMEMBERED


# -- payments ----------------------------------------------------------------------------------------------------------


def test_a_payment_is_used_once_for_ever(ledger: Ledger, clock: Clock, path: Path) -> None:
    paid = replace(BUY, payment="invoice-7")
    first = ledger.execute(paid).unwrap()
    clock.now += 1_000 * KEY_TIME
    assert ledger.execute(paid) == again(first)
    assert ledger.execute(replace(paid, key="k", issued_at=clock.now)) == again(first)
    ledger.execute(RetirePlan(plan="pro")).unwrap()
    ledger.snapshot()
    with Ledger.open(path, clock=clock) as reopened:
        assert reopened.execute(paid) == again(first)
    assert len(ledger.lots("ann", "pro")) == 2


def test_a_payment_with_other_content_is_refused(ledger: Ledger) -> None:
    paid = replace(BUY, payment="invoice-7")
    ledger.execute(paid).unwrap()
    assert reason(ledger.execute(replace(paid, subscriber="ben"))) is Reason.key_reused
    assert reason(ledger.execute(replace(paid, funding="direct"))) is Reason.key_reused


def test_a_payment_twice_in_one_group_is_taken_once(ledger: Ledger) -> None:
    paid = replace(BUY, payment="invoice-7")
    first, second, third = ledger.execute_many([paid, paid, replace(paid, subscriber="ben")])
    assert isinstance(first, Answer)
    assert second == again(first)
    assert reason(third) is Reason.key_reused


def test_an_escrows_purchase_is_used_once_for_ever(ledger: Ledger, clock: Clock) -> None:
    def on_chain(chain: str, contract: str, purchase: str) -> Purchase:
        return replace(BUY, funding=EscrowFunding(Escrow(chain, contract, purchase)))

    first = ledger.execute(on_chain("other:1", "0xa", "7")).unwrap()
    clock.now += 3 * KEY_TIME
    assert ledger.execute(on_chain("other:1", "0xa", "7")) == again(first)
    others = [on_chain("other:2", "0xa", "7"), on_chain("other:1", "0xb", "7"), on_chain("other:1", "0xa", "8")]
    assert len({first.seq, *(ledger.execute(other).unwrap().seq for other in others)}) == 4


def test_a_refused_payment_may_be_used_later(ledger: Ledger) -> None:
    paid = Purchase(subscriber="ann", plan="later", payment="invoice-7")
    assert reason(ledger.execute(paid)) is Reason.plan_unknown
    ledger.execute(CreatePlan(plan="later", owner="acme", credits=1)).unwrap()
    ledger.execute(paid).unwrap()
