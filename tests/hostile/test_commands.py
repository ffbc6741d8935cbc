"""Every command with anything in its fields: it raises or is refused and touches nothing, or it is done and can be read
again."""

import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_commands import Nothing, commands, odd

from gateway.cli.main import main
from ledger import Answer, Charge, CreatePlan, Give, Ledger, Purchase, Refused, RegisterAgent, Request
from ledger.books import Books
from ledger.commands import COMMAND_TYPES, Command, Withdraw
from ledger.errors import LedgerError, WrongType, WrongValue
from ledger.events import Escrow, EscrowFunding
from ledger.folding import refold
from ledger.stores.memory import MemoryStore
from ledger.stores.sqlite import SQLiteStore
from replay import audit

BEGIN = 1_700_000_000_000_000
GIFT = Give(subscriber="ann", plan="pro", credits=1)
PER_CALL: dict[str, Any] = {"owner": "acme", "parameters": {"per": "call"}}
WORLD = [
    CreatePlan(plan="pro", credits=100, price={"acme": 10**20, "fee": 7}, **PER_CALL),
    CreatePlan(plan="free", credits=5, trial=True, **PER_CALL),
    RegisterAgent(agent="bot", owner="acme", plans=("pro",)),
    Purchase(subscriber="ann", plan="pro", payment="1"),
    Purchase(subscriber="ben", plan="pro", funding=EscrowFunding(Escrow("mock:local", "mock", "7"))),
    Request(subscriber="ann", plan="pro", estimate={"calls": 2}),
    Charge(subscriber="ben", plan="pro", usage={"calls": 2}),
]


def world() -> tuple[MemoryStore, Ledger]:
    store = MemoryStore(id="odd")
    ledger = Ledger(store, lambda: BEGIN)
    assert all(ledger.execute_many(WORLD))
    return store, ledger


def tried(ledger: Ledger, command: Any) -> bool:
    """Do it; whether it was accepted. What is refused, or a clear error, has touched nothing."""
    before = ledger.state(), ledger.head
    try:
        outcome = ledger.execute(command)
    except LedgerError:
        outcome = None
    if isinstance(outcome, Answer):
        return True
    assert outcome is None or isinstance(outcome, Refused)
    assert (ledger.state(), ledger.head) == before
    if outcome is not None:
        assert str(outcome)
        json.dumps(outcome.facts)
    return False


def neighbours_are_served(ledger: Ledger, command: Any) -> None:
    """In one list with it, others get what they ask for; unless it raises at the call, before anything is done."""
    (account,) = ledger.balances("ann", "pro") or [None]
    before = account.issued if account is not None else 0
    head = ledger.head.seq
    try:
        outcomes = ledger.execute_many([GIFT, command, GIFT])
    except (WrongType, WrongValue):
        assert ledger.head.seq == head
        return
    except LedgerError:  # the list's caller gets the error of one; what stands beside it is done all the same
        assert ledger.head.seq == head + 4
        return
    kinds = [isinstance(outcome, Answer) for outcome in (outcomes[0], outcomes[2])]
    if kinds == [True, True]:
        (account,) = ledger.balances("ann", "pro")
        assert account.issued - before >= 2 or isinstance(command, Withdraw)
    else:
        assert {outcome.reason for outcome in (outcomes[0], outcomes[2]) if isinstance(outcome, Refused)} == {
            "plan_retired"
        }


def is_kept(store: MemoryStore, ledger: Ledger) -> None:
    """What was done is read again by everybody: a fold, a snapshot, the audit, a file, the command line."""
    assert refold(store.read()).dump() == ledger.state()
    assert Books.load(ledger.state()).dump() == ledger.state()
    report = audit(store)
    assert report.clean, report.findings
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "odd.db"
        with contextlib.closing(SQLiteStore(path, id="odd")) as file:
            for commit in store.read():
                file.append(file.head(), commit)
        with Ledger.open(path, clock=lambda: BEGIN) as again:
            assert again.state() == ledger.state()
        shown = [shows("events", path, "--json"), shows("balance", path, "--json")]
        assert len(shown[0].splitlines()) == ledger.head.seq
        assert len(json.loads(shown[1])["accounts"]) == len(ledger.balances())
        for words in (["events", path], ["balance", path], ["export", path, "--to", "csv", "--out", "-"]):
            assert shows(*words)


def shows(*words: object) -> str:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    assert (code, err.getvalue()) == (0, "")
    return out.getvalue()


def answered_or_untouched(command: Any) -> None:
    store, ledger = world()
    if tried(ledger, command):
        is_kept(store, ledger)
    neighbours_are_served(ledger, command)
    assert refold(store.read()).dump() == ledger.state()


QUICK = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
LONG = settings(QUICK, max_examples=150)


@pytest.mark.parametrize("kind", COMMAND_TYPES)
@QUICK
@given(data=st.data())
def test_a_command_with_odd_values_is_refused_untouched_or_kept(kind: type[Command], data: st.DataObject) -> None:
    answered_or_untouched(data.draw(commands(kind)))


@pytest.mark.sweep
@pytest.mark.parametrize("kind", COMMAND_TYPES)
@LONG
@given(data=st.data())
def test_many_more_commands_with_odd_values(kind: type[Command], data: st.DataObject) -> None:
    answered_or_untouched(data.draw(commands(kind)))


@QUICK
@given(odd | st.sampled_from([Nothing(), Command, GIFT.__class__]))
def test_what_is_no_command_at_all_raises(thing: Any) -> None:
    _, ledger = world()
    with pytest.raises(WrongType, match="a command is needed"):
        ledger.execute(thing)
    neighbours_are_served(ledger, thing)


def test_prices_that_come_to_more_than_can_be_written_are_refused_alone() -> None:
    """Each could be written, their sum not: the purchase would have failed with all its neighbours."""
    _, ledger = world()
    huge = CreatePlan(plan="huge", owner="acme", credits=1, price={"a": 9 * 10**999, "b": 9 * 10**999})
    outcomes = ledger.execute_many([GIFT, huge, Purchase(subscriber="ann", plan="huge"), GIFT])
    assert [isinstance(outcome, Answer) for outcome in outcomes] == [True, True, False, True]
