"""Deciding a group: pure, and the same as what the ledger writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standing_clock import BEGIN, SECOND, Clock

from ledger import Adjust, Charge, CreatePlan, Entry, Extend, Give, Ledger, Purchase, Refused, Release, Request, Tick
from ledger.books import Books
from ledger.decisions.context import no_older_key
from ledger.events import Charged, RefusedRequests
from ledger.folding import refold
from ledger.group import DecidedGroup, Evidence, decide_group
from ledger.log import encode_commit
from ledger.outcomes import Answer
from ledger.tariffs import Tariffs

PLANS = [
    CreatePlan(plan="pro", owner="acme", price={"acme": 90}, credits=20, hold_seconds=5),
    CreatePlan(plan="month", owner="acme", price={"acme": 90}, seconds=60, credits=10, record_refusals=True),
]
NAMES = st.sampled_from(["ann", "ben"])
ACCOUNTS = {"subscriber": NAMES, "plan": st.sampled_from(["pro", "month", "none"])}
SEQS = st.integers(1, 25)
KEYS = st.sampled_from([None, None, "k1", "k2"])
COMMANDS = st.one_of(
    st.builds(Purchase, **ACCOUNTS, payment=st.sampled_from(["", "p1", "p2"]), key=KEYS),
    st.builds(Give, **ACCOUNTS, credits=st.integers(0, 5)),
    st.builds(Charge, **ACCOUNTS, usage=st.just({"calls": 1}), key=KEYS),
    st.builds(Request, **ACCOUNTS, estimate=st.just({"calls": 1}), key=KEYS),
    st.builds(Charge, request=SEQS, usage=st.just({"calls": 1}), final=st.booleans()),
    st.builds(Extend, request=SEQS, seconds=st.integers(1, 9)),
    st.builds(Release, request=SEQS),
    st.builds(Adjust, charge=SEQS, credits=st.sampled_from([-1, 1]), reason=st.just("correction"), key=KEYS),
    st.just(Tick()),
)


def decided(ledger: Ledger, commands: list[object], at: int) -> DecidedGroup:
    """What the ledger would write, from its log alone."""
    log = {entry.seq: entry for entry in ledger.events()}
    books = refold(ledger.commits())
    before = books.dump()
    evidence = Evidence(log.__getitem__, no_older_key)
    group = decide_group(books, commands, evidence, at, tariffs=Tariffs(), ledger=ledger.id, head=ledger.head)
    assert books.dump() == before, "the books are unchanged"
    return group


@given(groups=st.lists(st.tuples(st.lists(COMMANDS, min_size=1, max_size=8), st.integers(0, 8)), max_size=4))
def test_a_group_is_decided_as_the_ledger_writes_it_and_leaves_the_books_alone(groups):
    clock = Clock()
    with Ledger.open(clock=clock) as ledger:
        ledger.execute_many(PLANS)
        for commands, seconds in groups:
            clock.now += seconds * SECOND
            head = ledger.head
            group = decided(ledger, commands, clock.now)
            outcomes = ledger._writer.run(commands)
            written = [entry.event for entry in ledger.events(head.seq)]
            assert written[: len(group.events)] == group.events
            assert all(isinstance(event, RefusedRequests) for event in written[len(group.events) :])
            for outcome, own in zip(outcomes, group.outcomes, strict=True):
                if isinstance(own, Answer | Refused):
                    assert outcome == own
                elif isinstance(own, Exception):
                    assert type(outcome) is type(own)
                else:
                    assert isinstance(outcome, Answer)
                    assert (outcome.seq, outcome.repeated) == (own.seq, True)


def test_a_group_needs_a_log_only_for_closed_requests_and_charges():
    def nothing(seq: int) -> Entry:
        raise AssertionError(f"event {seq} was read")

    with Ledger.open(clock=Clock()) as ledger:
        head, name = ledger.head, ledger.id
    commands = [*PLANS, Purchase(subscriber="ann", plan="pro"), Charge(subscriber="ann", plan="pro")]
    evidence = Evidence(nothing, no_older_key)
    group = decide_group(Books(), commands, evidence, BEGIN, tariffs=Tariffs(), ledger=name, head=head)
    assert [outcome.accepted for outcome in group.outcomes] == [True, True, True, True]
    commit = encode_commit(head, BEGIN, group.events)
    assert refold([commit]).accounts[1].left == 19


def test_a_fault_in_one_command_is_its_own_outcome():
    def broken(seq: int) -> Entry:
        raise OSError("the log cannot be read")

    with Ledger.open(clock=Clock()) as ledger:
        ledger.execute_many([*PLANS, Purchase(subscriber="ann", plan="pro"), Charge(subscriber="ann", plan="pro")])
        books, head = refold(ledger.commits()), ledger.head
        charge = next(entry.seq for entry in ledger.events() if isinstance(entry.event, Charged))
    commands = [Adjust(charge=charge, credits=-1), Charge(subscriber="ann", plan="pro")]
    evidence = Evidence(broken, no_older_key)
    group = decide_group(books, commands, evidence, BEGIN, tariffs=Tariffs(), ledger="x", head=head)
    fault, answer = group.outcomes
    with pytest.raises(OSError, match="cannot be read"):
        raise fault
    assert answer.accepted
    assert len(group.events) == 1
