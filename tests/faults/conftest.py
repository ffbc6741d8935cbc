"""The scripted business as it goes where nothing fails: what every other run of it is held to."""

import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest
from injected_faults import MISSING, Books, Run, finish, run, traced

T = TypeVar("T")


class Point(NamedTuple):
    """The N-th time that the script makes a call, and the file that it makes it on."""

    call: str
    time: int
    file: str


class Uninterrupted(NamedTuple):
    """A run where nothing failed: the calls that change or sync a file, in their order, and its books in the end."""

    points: list[Point]
    books: Books


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """On a disk: files in memory have no attributes, and these tests are about what a disk does."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    folder = tmp_path_factory.mktemp("uninterrupted") / "business"
    ran = run(folder) if MISSING else traced(folder)
    assert (ran.code, ran.failed) == (0, [])
    times: Counter[str] = Counter()
    points = []
    for call, file in ran.calls:
        times[call] += 1
        points.append(Point(call, times[call], file))
    return Uninterrupted(points, finish(folder, ran))


@pytest.fixture
def held_to(uninterrupted: Uninterrupted, tmp_path: Path) -> Callable[..., Iterator[tuple[T, Run]]]:
    """Runs the script once for each case, several at a time; what each has left is finished, and held to the books."""

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
def report(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Says in the test run's own output what was tried."""

    def say(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f" {text} ")

    return say
