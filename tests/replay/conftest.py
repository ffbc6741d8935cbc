"""Fixtures that several tests of this folder begin with."""

import shutil
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
import settled_log as settled
from rich_log import tell

from ledger.folding import refold
from ledger.stores.sqlite import SQLiteStore


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A log in which everything happens, and the sequences that forgeries build on."""
    path = tmp_path_factory.mktemp("audit") / "rich.db"
    names = tell(path)
    return SimpleNamespace(path=path, **vars(names))


@pytest.fixture
def log(written: SimpleNamespace, tmp_path: Path) -> SimpleNamespace:
    """A copy to do damage to, the numbers of the accounts that forgeries are about, and the time of its end."""
    path = tmp_path / "log.db"
    shutil.copy(written.path, path)
    with closing(SQLiteStore(path, read_only=True)) as store:
        books, head = refold(store.read()), store.head()
    who = {name: number for (name, _), number in books.names.items() if name in ("hal", "ida", "jo", "kay", "lea")}
    return SimpleNamespace(**{**vars(written), **who, "path": path, "at": head.at, "seq": head.seq})


@pytest.fixture(scope="session")
def settled_log(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A log of batches: its path, its commits, and the sequences by name."""
    story = settled.tell(tmp_path_factory.mktemp("settles") / "log.db")
    story.close()
    with closing(SQLiteStore(story.location, read_only=True)) as store:
        return SimpleNamespace(path=story.location, commits=list(store.read()), seqs=story.seqs, at=story.now)
