"""The place of the demo's log and chain: files that it creates, or memory, where both end with the run."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from ledger import stores
from ledger.errors import AlreadyExists
from ledger.plugins import Store
from ledger.stores import MEMORY

from .. import logs
from ..logs import SIDE_FILES
from ..settle.target import CONTRACT, leaves_folder, mock_file


class Place(ABC):
    """The location of a run's log, its mock chain's file (None: in memory) and the folder of published leaf files."""

    log: Path | str
    mock: Path | None
    leaves: Path

    @abstractmethod
    def audited(self, store: Store) -> Path | Store:
        """Return what is audited: the file alone, or the store of a log in memory."""

    @abstractmethod
    def kept(self, mock: bool) -> str:
        """Return the files that an interrupt leaves, with that of the mock chain, as text; empty for memory."""

    @abstractmethod
    def tidy(self) -> None:
        """Remove SQLite's side files of a closed log."""

    @abstractmethod
    def remove(self) -> None:
        """Remove the log, and what is beside it."""


class Files(Place):
    """A new log file, and the files beside it. Raises AlreadyExists where one of them is there already."""

    def __init__(self, db: Path | None) -> None:
        self.log = self.path = _claim(db)
        self.mock, self.leaves = mock_file(self.path, CONTRACT), leaves_folder(self.path)

    def audited(self, store: Store) -> Path | Store:
        return self.path

    def kept(self, mock: bool) -> str:
        return " and ".join(map(str, [self.path, self.mock] if mock else [self.path]))

    def tidy(self) -> None:
        stores.open(self.path).close()  # a connection that may write removes them as it closes

    def remove(self) -> None:
        for path in (self.path, *_beside(self.path)):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)


class Memory(Place):
    """Nothing that stays: the log and a mock chain are in memory, leaf files in a folder that is removed."""

    log, mock = MEMORY, None

    def __init__(self, leaves: Path) -> None:
        self.leaves = leaves

    def audited(self, store: Store) -> Path | Store:
        return store

    def kept(self, mock: bool) -> str:
        return ""

    def tidy(self) -> None:
        pass

    def remove(self) -> None:
        pass


@contextmanager
def place(db: Path | None) -> Iterator[Place]:
    """Yield the place of a new log: the file `db`, the first free tollbook-demo*.db, or memory for `:memory:`."""
    with ExitStack() as stack:
        if str(db) != MEMORY:
            yield Files(db)
        else:
            yield Memory(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "leaves")


def check_free(db: Path | None) -> None:
    """Raise AlreadyExists if there is a file of that name, or one of those beside it, and UsageError for a name that
    belongs to another log."""
    for path in () if db is None or str(db) == MEMORY else (db, *_beside(db)):
        logs.check_free(path)


def _beside(log: Path) -> Iterator[Path]:
    return (log.with_name(log.name + side) for side in SIDE_FILES)


def _claim(db: Path | None) -> Path:
    """Create an empty file for the log, atomically, and return its path. Raises AlreadyExists."""
    for path in _names() if db is None else [db]:
        try:
            check_free(path)
            path.touch(exist_ok=False)
            return path
        except (AlreadyExists, FileExistsError) as error:
            if db is not None:
                raise AlreadyExists(f"there is a file {path} already") from error
    raise AssertionError("names never end")


def _names() -> Iterator[Path]:
    yield Path("tollbook-demo.db")
    yield from (Path(f"tollbook-demo-{number}.db") for number in count(2))
