"""The scripted business as it goes where nothing fails: what every other run of it is held to."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest
from injected_faults import Books, Run, finish, traced

T = TypeVar("T")


class Uninterrupted(NamedTuple):
    """A run where nothing failed, and the books that it came to."""

    ran: Run
    books: Books


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    folder = tmp_path_factory.mktemp("uninterrupted") / "business"
    ran = traced(folder)
    assert (ran.code, ran.failed) == (0, [])
    return Uninterrupted(ran, finish(folder, ran))


@pytest.fixture
def held_to(uninterrupted: Uninterrupted, tmp_path: Path) -> Callable[..., Iterator[tuple[T, Run]]]:
    """Runs the script once for each case, two at a time; what each has left is finished, and held to the books."""

    def hold(cases: Iterable[T], run: Callable[[Path, T], Run]) -> Iterator[tuple[T, Run]]:
        def one(numbered: tuple[int, T]) -> tuple[T, Run]:
            folder = tmp_path / str(numbered[0])
            ran = run(folder, numbered[1])
            assert finish(folder, ran).agree(uninterrupted.books), numbered[1]
            shutil.rmtree(folder)
            return numbered[1], ran

        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            yield from pool.map(one, enumerate(cases))
        finally:
            pool.shutdown(cancel_futures=True)

    return hold


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says in the test run's own output what was tried."""
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    return lambda text: terminal.write_line(f"\n{text}") if terminal else None
