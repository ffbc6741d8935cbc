"""A process that reads harmed logs: it is told paths, one a line, and says what became of each, one line of JSON.

It is a process of its own so that a crash of SQLite or a reading without end is an answer too: none.
"""

import contextlib
import hashlib
import io
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

import msgspec

from gateway.cli.main import main
from ledger import Ledger
from ledger.errors import LedgerError
from ledger.events import encode
from replay import audit


def digest(parts: Any) -> str:
    return hashlib.sha256(b"\n".join(parts)).hexdigest()[:16]


def events_of(ledger: Ledger) -> str:
    """The digest of all events in their places."""
    return digest(b"%d %d %s" % (entry.seq, entry.at, encode(entry.event)) for entry in ledger.events())


def told(look: Callable[[str], dict[str, Any]], path: str, name: str) -> dict[str, Any]:
    """What a look at a file said: what it found, an error of ours by its name, or a crash by its traceback."""
    try:
        return look(path)
    except LedgerError as error:
        return {name: type(error).__name__}
    except BaseException:  # noqa: BLE001 - anything else is what is looked for
        return {name: "crash", "traceback": traceback.format_exc()}


def audited(path: str) -> dict[str, Any]:
    report = audit(path)
    msgspec.json.encode(report)
    return {"audit": report.verdict, "kinds": sorted({finding.kind for finding in report.findings})}


def read(path: str) -> dict[str, Any]:
    with Ledger.open(path, read_only=True) as ledger:
        state = digest([ledger.state()])
        ledger.balances()
        try:
            return {"read": state, "events": events_of(ledger)}
        except LedgerError as error:
            return {"read": state, "events": type(error).__name__}


def opened(path: str) -> dict[str, Any]:
    with Ledger.open(path) as ledger:
        return {"opened": digest([ledger.state()])}


def looked_at(path: str) -> dict[str, Any]:
    """What the audit, a reader and a writer say of a file."""
    return told(audited, path, "audit") | told(read, path, "read") | told(opened, path, "opened")


def ran(words: list[str]) -> dict[str, Any]:
    """What a command of `tollbook` says and how it ends."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        sys.stdout.write(json.dumps(looked_at(asked) if isinstance(asked, str) else ran(asked)) + "\n")
        sys.stdout.flush()
