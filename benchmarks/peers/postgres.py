"""A ledger in PostgreSQL: a balance that is lowered where it suffices, and a row for the charge, in one statement.

The server is one of our own in a temporary folder, reached by a Unix socket: fsync and synchronous_commit are on (the
defaults), shared_buffers is 256 MB, the rest is as initdb leaves it. Single charges are sent by PostgreSQL's own
pgbench with prepared statements, so that no Python slows them; batches are two arrays unnested in one statement.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..rounds import Contender, Trial
from ..workload import CREDITS, Load, digest, numbered, price, subscriber, usage

if TYPE_CHECKING:
    from ..workshop import Workshop

NAME = "PostgreSQL"
USER = "postgres"

TABLES = """
DROP TABLE IF EXISTS charge, account;
CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0));
CREATE TABLE charge (id bigserial PRIMARY KEY, account int NOT NULL, credits bigint NOT NULL, usage text NOT NULL,
    at timestamptz NOT NULL DEFAULT now());
"""
ONE = """
WITH paid AS (UPDATE account SET balance = balance - {credits} WHERE id = {account} AND balance >= {credits}
              RETURNING id)
INSERT INTO charge (account, credits, usage) SELECT id, {credits}, '{usage}' FROM paid
"""
MANY = """
WITH asked AS (SELECT * FROM unnest(%s::int[], %s::bigint[], %s::text[]) AS each (account, credits, usage)),
     total AS (SELECT account, sum(credits)::bigint AS credits FROM asked GROUP BY account),
     paid AS (UPDATE account SET balance = balance - total.credits FROM total
              WHERE id = total.account AND balance >= total.credits RETURNING id)
INSERT INTO charge (account, credits, usage)
SELECT asked.account, asked.credits, asked.usage FROM asked JOIN paid ON paid.id = asked.account
"""


def missing() -> str | None:
    """Return what this machine lacks; None if it can run."""
    if _binaries() is None:
        return "PostgreSQL is not installed here: apt install postgresql"
    if find_spec("psycopg") is None:
        return "psycopg is not installed: pip install -e '.[benchmarks]'"
    if os.getuid() == 0 and (shutil.which("setpriv") is None or not _is_user(USER)):
        return f"PostgreSQL refuses root, and there is no setpriv or no user {USER} to start it as"
    return None


def charging(workshop: Workshop, load: Load, clients: int) -> Contender:
    """The load's charges one by one, by that many concurrent clients. Accounts are random, drawn by pgbench."""

    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        server = workshop.postgres
        with server.accounts(load.accounts) as connection:
            each = load.charges // clients

            def answer() -> tuple[int, bool]:
                (count, spent) = connection.execute("SELECT count(*), coalesce(sum(credits), 0) FROM charge").fetchone()
                (left,) = connection.execute("SELECT sum(balance) FROM account").fetchone()
                return count, spent + left == load.accounts * CREDITS

            yield Trial(lambda: server.run_pgbench(folder, load, clients, each), answer)

    words = f"{NAME}, {clients} client{'s' if clients > 1 else ''}"
    return Contender(words, prepare, lambda: (load.charges // clients * clients, True), missing)


def charging_sets(workshop: Workshop, load: Load) -> Contender:
    """The load's charges in sets, a transaction each."""

    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        with workshop.postgres.accounts(load.accounts) as connection:
            sets = [_arrays(load, numbers) for numbers in numbered(load)]

            def work() -> None:
                for arrays in sets:
                    connection.execute(MANY, arrays)

            yield Trial(work, lambda: _spent(connection))

    return Contender(f"{NAME}, set-based", prepare, lambda: digest(load.spent()), missing)


def _arrays(load: Load, numbers: Sequence[int]) -> tuple[list[int], list[int], list[str]]:
    accounts = [0 if load.hot else number % load.accounts for number in numbers]
    used = [usage(number) for number in numbers]
    return accounts, [price(each) for each in used], [json.dumps(each) for each in used]


def _spent(connection: Any) -> str:
    rows = connection.execute("SELECT account, sum(credits)::bigint FROM charge GROUP BY account").fetchall()
    left = dict(connection.execute("SELECT id, balance FROM account").fetchall())
    assert all(left[account] == CREDITS - spent for account, spent in rows)
    return digest({subscriber(account): spent for account, spent in rows})


@dataclass(frozen=True)
class Server:
    """A running server: the folders of its binaries and of its socket."""

    binaries: Path
    folder: Path

    @staticmethod
    @contextmanager
    def started(below: Path | None = None) -> Iterator[Server]:
        """Run a server in a new folder; it is stopped and removed at the end of the context."""
        binaries = _binaries()
        assert binaries is not None
        folder = Path(tempfile.mkdtemp(prefix="tollbook-pg-", dir=below))
        server = Server(binaries, folder)
        try:
            if os.getuid() == 0:
                shutil.chown(folder, USER)
            options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c shared_buffers=256MB"
            server._run("initdb", "-D", f"{folder}/data", "-A", "trust", "-U", USER, "--no-sync")
            server._run("pg_ctl", "-D", f"{folder}/data", "-l", f"{folder}/log", "-w", "-o", options, "start")
            try:
                yield server
            finally:
                server._run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def accounts(self, number: int) -> Iterator[Any]:
        """Yield a connection to new tables with that many funded accounts."""
        import psycopg

        with psycopg.connect(host=str(self.folder), user=USER, dbname=USER, autocommit=True) as connection:
            for statement in filter(str.strip, TABLES.split(";")):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO account SELECT n, %s FROM generate_series(0, %s) AS n", (CREDITS, number - 1)
            )
            connection.execute("VACUUM ANALYZE account")
            yield connection

    def run_pgbench(self, folder: Path, load: Load, clients: int, each: int) -> float:
        """Charge with pgbench; return the seconds that it reports, without those of connecting."""
        script = folder / "charge.sql"
        account = "0" if load.hot else f"random(0, {load.accounts - 1})"
        used = json.dumps(usage(0)).replace(":", " ")  # as long as the usage is; a colon begins a variable of pgbench
        statement = ONE.format(account=":account", credits=":credits", usage=used)
        script.write_text(f"\\set account {account}\n\\set credits random(5, 8)\n{' '.join(statement.split())};\n")
        places = ["-h", str(self.folder), "-U", USER, "-n", "-M", "prepared", "-f", str(script)]
        threads = min(clients, os.cpu_count() or 1)
        command = [self._binary("pgbench"), *places, "-c", str(clients), "-j", str(threads), "-t", str(each), USER]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = re.search(r"tps = ([0-9.]+) \(without initial connection time\)", done.stdout)
        assert found is not None, done.stdout
        return clients * each / float(found[1])

    def _binary(self, name: str) -> str:
        return str(self.binaries / name)

    def _run(self, name: str, *arguments: str) -> None:
        """Run one of the server's programs, which refuse root."""
        drop = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"] if os.getuid() == 0 else []
        command = [*drop, self._binary(name), *arguments]
        subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)


def _binaries() -> Path | None:
    """Return the folder of the newest installed server's programs; None if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _is_user(name: str) -> bool:
    import pwd

    return any(each.pw_name == name for each in pwd.getpwall())
