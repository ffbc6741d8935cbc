"""An audit made in every way there is: as ever, without the glance at what is ordinary, and in parts."""

import tempfile
from concurrent.futures import Executor, Future
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

import replay
from ledger.stores.sqlite import SQLiteStore
from replay import Report
from replay.audit.checks import ordinary
from replay.audit.rows import StoreRows


class Here(Executor):
    """An executor that does at once, in this process, what is submitted."""

    def submit(self, work: Any, /, *args: Any, **named: Any) -> Future:
        done: Future = Future()
        try:
            done.set_result(work(*args, **named))
        except Exception as error:  # noqa: BLE001 - it is the caller's, as with any executor
            done.set_exception(error)
        return done


def audit(where: Any, **said: Any) -> Report:
    """The report, which must be the same byte for byte in whatever way it is made."""
    report = replay.audit(where, **said)
    with patch.object(ordinary, "ORDINARY", {}):
        assert replay.audit(where, **said) == report
    with tempfile.TemporaryDirectory() as folder:
        path = where if isinstance(where, str | Path) else as_file(where, Path(folder) / "log.db")
        parted = replay.audit(path, processes=2, executor=Here(), **said)
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
