"""Every benchmark runs once at a small size, and its answer is checked: a faster wrong answer fails here.

`pytest benchmarks --benchmark-enable` times them at that size; `python -m benchmarks` is for figures.
"""

import sqlite3
from contextlib import closing

import pytest

from pricing.plugin import register_policies

from . import rating, suite
from .workload import Load, came_to, chain_of, digest
from .workshop import FULL, SMALL, Workshop

WORKSHOP = Workshop(SMALL)
FIGURES = suite.comparisons(WORKSHOP)
CONTENDERS = [(figure, contender) for figure in FIGURES for contender in figure.contenders]


@pytest.fixture(scope="module", autouse=True)
def _cleaned_up():
    yield
    WORKSHOP.close()


@pytest.mark.parametrize(
    ("figure", "contender"), CONTENDERS, ids=[f"{figure.name}-{contender.name}" for figure, contender in CONTENDERS]
)
def test_a_contender_comes_to_the_right_answer(benchmark, figure, contender, tmp_path):
    if (missing := contender.missing()) is not None:
        pytest.skip(missing)
    benchmark.group = figure.name
    with contender.prepare(tmp_path) as trial:
        assert _early(trial) != contender.expected(), "the answer was there before the work was done"
        benchmark.pedantic(trial.work, rounds=1, iterations=1)
        assert trial.answer() == contender.expected()


def _early(trial):
    try:
        return trial.answer()
    except IndexError:
        return None


LONG = "memory.key"
"""The quantity that takes as long as all the others: it is in each sample of the sweep."""


def _marks(quantity):
    return pytest.mark.sweep(always=True) if quantity.name == LONG else ()


@pytest.mark.parametrize(
    "quantity",
    [pytest.param(each, id=each.name, marks=_marks(each)) for each in suite.quantities(WORKSHOP)],
)
def test_what_is_counted_is_there(quantity, tmp_path):
    if (missing := quantity.missing()) is not None:
        pytest.skip(missing)
    assert quantity.measure_once(tmp_path) > 0


def test_every_built_in_policy_has_a_figure():
    registered = []
    register_policies(lambda name, factory: registered.append(name))
    assert sorted(registered) == sorted(rating.RULES)


def test_names_are_the_same_at_every_size_and_none_is_used_twice():
    full = Workshop(FULL)
    names = [each.name for each in suite.figures(full)]
    assert len(names) == len(set(names))
    assert len(names) == len(suite.figures(WORKSHOP))


def test_every_aim_is_about_a_contender_of_its_figure():
    for figure in FIGURES:
        assert {aim.other for aim in figure.aims} <= {other.name for other in figure.others}


AIMED_AT = {
    "write.single",
    "write.asyncio.1000",
    "write.batch.8192",
    "fold",
    "audit",
    "audit.two",
    "open.snapshot",
    "read.beside",
    "read.statement",
    "size.charge",
    "memory",
}


def test_every_aim_is_measured():
    assert {each.name for each in suite.figures(Workshop(FULL)) if getattr(each, "aims", ()) or each.limit} == AIMED_AT
    assert FULL.long.events_in_all >= 1_000_000


def test_one_charge_that_is_missing_is_found_out(tmp_path):
    load = Load(accounts=3, batch=5)
    with WORKSHOP.shop(tmp_path, load.accounts) as ledger:
        ledger.execute_many([load.direct(number) for number in range(load.charges - 1)])
        assert came_to(ledger) != digest(load.spent())
        ledger.execute(load.direct(load.charges - 1)).unwrap()
        assert came_to(ledger) == digest(load.spent())


def test_one_byte_of_a_log_that_is_another_is_found_out(tmp_path):
    with WORKSHOP.shop(tmp_path, 3) as ledger:
        whole = ledger.head.hash.hex()
    assert chain_of(tmp_path / "shop.db") == whole
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as log:
        log.execute("DROP TRIGGER commits_are_not_updated")
        log.execute("UPDATE commits SET body = replace(body, 'acme', 'acmE') WHERE first_seq = 1")
    assert chain_of(tmp_path / "shop.db") == "broken"
