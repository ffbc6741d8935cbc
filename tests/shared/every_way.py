"""An audit made in every way there is: as usual, without the fast path, and in parts."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

import replay
from ledger.stores.sqlite import SQLiteStore
from replay import Report
from replay.audit import parallel
from replay.audit.checks import fast_path
from replay.audit.rows import StoreRows


class Here(Executor):
    """An executor that runs in this process, immediately, what is submitted."""

    def submit(self, work: Any, /, *args: Any, **named: Any) -> Future:
        done: Future = Future()
        try:
            done.set_result(work(*args, **named))
        except Exception as error:  # noqa: BLE001 - it is the caller's, as with any executor
            done.set_exception(error)
        return done


@contextmanager
def in_this_process() -> Iterator[None]:
    """Run the parts of audits in this process, one after the other: starting processes takes longer than the audits."""
    with patch.object(parallel, "start_workers", lambda parts: Here()):
        yield


def audit(where: Any, **said: Any) -> Report:
    """The report, which must be the same byte for byte in whatever way it is made."""
    report = replay.audit(where, **said)
    with patch.object(fast_path, "FAST_PATH", {}):
        assert replay.audit(where, **said) == report
    with tempfile.TemporaryDirectory() as folder, in_this_process():
        path = where if isinstance(where, str | Path) else as_file(where, Path(folder) / "log.db")
        parted = replay.audit(path, processes=2, **said)
    parted = msgspec.structs.replace(parted, log=report.log)
    assert msgspec.json.encode(parted) == msgspec.json.encode(report)
    return report


def as_file(store: Any, path: Path) -> Path:
    """A file with the commits and the snapshots of a store."""
    with closing(SQLiteStore(path, id=store.id)) as written:
        written._connection.execute("PRAGMA synchronous = OFF")
        for commit in store.read(0):
            written.append(written.head(), commit)
        for snapshot in StoreRows(store).snapshots().values():
            written.save_snapshot(snapshot)
    return path
