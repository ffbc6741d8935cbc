"""A ledger that was opened before a fork refuses to work in the child, and goes on in the parent."""

import gc
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from small_ledger import ASK, BUY, PRO, USES, Wrapper, photograph, refolded
from standing_clock import Clock

from ledger import Ledger, LedgerError, Purchase
from ledger.errors import Closed
from ledger.log import Commit, Head
from ledger.stores.sqlite import SQLiteStore


def in_a_fork(do: Callable[[], str]) -> str:
    """What `do` says in a child of this process."""
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads of the test run do not matter here
        child = os.fork()
    if child == 0:
        try:
            said = do()
        except BaseException as error:  # noqa: BLE001 - it must not return into the parent's test
            said = f"{type(error).__name__}: {error}"
        os.write(theirs, said.encode())
        os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with open(ours) as answer:
        return answer.read()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")
def test_a_ledger_that_was_opened_before_a_fork_refuses_to_work_after_it(ledger: Ledger, path: Path) -> None:
    def in_child() -> str:
        worked = []
        for name, use in USES.items():
            try:
                use(ledger)
                worked.append(name)
            except Closed as error:
                if "fork" not in str(error):
                    worked.append(f"{name}: {error}")
        ledger.close()
        return ", ".join(worked)

    before = photograph(ledger)
    assert in_a_fork(in_child) == ""
    assert photograph(ledger) == before
    ledger.execute(ASK).unwrap()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")
def test_a_child_that_opens_the_ledger_again_works_and_so_does_its_parent(ledger: Ledger, path: Path) -> None:
    def in_child() -> str:
        with Ledger.open(path) as own:
            return str(own.execute(Purchase(subscriber="ben", plan="pro")).unwrap().seq)

    assert in_a_fork(in_child) == "4"
    gc.collect()
    assert ledger.execute(ASK).unwrap().seq == 6
    assert ledger.state() == refolded(path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")
def test_a_fork_in_the_middle_of_a_command_does_not_hang_the_child(path: Path, clock: Clock) -> None:
    """The child finds the parent's locks taken, by a thread that it does not have."""
    said: list[str] = []

    class Forking(Wrapper):
        def append(self, expected: Head, commit: Commit) -> None:
            if not said:
                said.append("")
                said[0] = in_a_fork(lambda: outcome_of(lambda: ledger.execute(ASK)))
            super().append(expected, commit)

    with Ledger(Forking(SQLiteStore(path, id="test")), clock) as ledger:
        ledger.execute_many([PRO, BUY])
    assert "fork" in said[0]


def outcome_of(do: Callable[[], object]) -> str:
    try:
        return repr(do())
    except LedgerError as error:
        return str(error)
