"""The tables, triggers and views of a log in an SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ..errors import NotALog

SNAPSHOTS = "CREATE TABLE snapshots (seq INTEGER PRIMARY KEY, hash BLOB, version TEXT, body BLOB, digest BLOB)"
INDEX = "CREATE TABLE account_index (upto INTEGER PRIMARY KEY, after INTEGER, hash BLOB, body BLOB, digest BLOB)"
KEYS = "CREATE TABLE older_keys (digest BLOB PRIMARY KEY, seq INTEGER, until INTEGER, next BLOB) WITHOUT ROWID"
KEYS_END = "CREATE TABLE older_keys_end (upto INTEGER, hash BLOB, at INTEGER, swept BLOB)"
CACHES = frozenset({"snapshots", "account_index", "older_keys", "older_keys_end"})
"""Tables that are derived from the commits: one that was dropped is made again."""

SCHEMA = f"""
CREATE TABLE ledger (id TEXT NOT NULL, format INTEGER NOT NULL) STRICT;
CREATE TABLE commits (
    first_seq INTEGER PRIMARY KEY, count INTEGER NOT NULL, at INTEGER NOT NULL, body ANY NOT NULL, hash BLOB NOT NULL
) STRICT;
{SNAPSHOTS};
{INDEX};
{KEYS};
{KEYS_END};

CREATE TRIGGER commits_are_not_updated BEFORE UPDATE ON commits
BEGIN SELECT RAISE(ABORT, 'the log is append-only: commits are never updated'); END;
CREATE TRIGGER commits_are_not_deleted BEFORE DELETE ON commits
BEGIN SELECT RAISE(ABORT, 'the log is append-only: commits are never deleted'); END;
-- INSERT OR REPLACE bypasses the two triggers above: only the next sequence may be inserted.
CREATE TRIGGER commits_follow BEFORE INSERT ON commits
WHEN new.count < 1 OR new.first_seq IS NOT coalesce(
    (SELECT first_seq + count FROM commits ORDER BY first_seq DESC LIMIT 1), 1)
BEGIN SELECT RAISE(ABORT, 'the log is append-only: a commit has the next sequence'); END;
CREATE TRIGGER ledger_is_not_updated BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'a ledger keeps its id'); END;
CREATE TRIGGER ledger_is_not_deleted BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'a ledger keeps its id'); END;
CREATE TRIGGER ledger_is_one BEFORE INSERT ON ledger WHEN (SELECT count(*) FROM ledger) > 0
BEGIN SELECT RAISE(ABORT, 'a ledger keeps its id'); END;

-- Whole numbers beyond 2^63 (money) lose digits in json_extract; the event's own text has them all.
CREATE VIEW events AS
SELECT commits.first_seq + each.key AS seq,
       commits.first_seq AS commit_seq,
       strftime('%Y-%m-%dT%H:%M:%S', commits.at / 1000000, 'unixepoch')
           || printf('.%06dZ', commits.at % 1000000) AS at,
       json_extract(each.value, '$.type') AS type,
       json_extract(each.value, '$.account') AS account,
       json_extract(each.value, '$.agent') AS agent,
       CASE json_extract(each.value, '$.type') WHEN 'requested' THEN commits.first_seq + each.key
           ELSE json_extract(each.value, '$.request') END AS request,
       CASE json_extract(each.value, '$.type') WHEN 'charged' THEN commits.first_seq + each.key
           ELSE json_extract(each.value, '$.charge') END AS charge,
       CASE WHEN json_extract(each.value, '$.type') IN ('charged', 'adjusted')
           THEN coalesce(json_extract(each.value, '$.credits'), 0)
           ELSE json_extract(each.value, '$.credits') END AS credits,
       json_extract(each.value, '$.key') AS key,
       each.value AS event
FROM commits, json_each(CASE typeof(commits.body) WHEN 'text' THEN commits.body
    ELSE json_array(json_object('type', 'columns', 'rows', commits.count, 'format', 'arrow')) END) AS each;
CREATE VIEW accounts AS
SELECT account, json_extract(event, '$.subscriber') AS subscriber, json_extract(event, '$.plan') AS plan,
       min(seq) AS opened_seq
FROM events WHERE type IN ('purchased', 'subscribed') GROUP BY account;
CREATE VIEW plans AS
SELECT json_extract(event, '$.plan') AS plan, json_extract(event, '$.owner') AS owner,
       json_extract(event, '$.asset') AS asset, seq AS created_seq
FROM events WHERE type = 'plan_created';
CREATE VIEW agents AS
SELECT agent, json_extract(event, '$.name') AS name, seq AS registered_seq
FROM events WHERE type = 'agent_registered';
"""


def check_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Raise NotALog unless the tables are ordinary ones: a query of a view or a virtual table might never end."""
    sql = (
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('ledger', 'commits') "
        "AND sql NOT LIKE 'CREATE VIRTUAL %'"
    )
    if connection.execute(sql).fetchone()[0] != 2:
        raise NotALog(f"{path} has no table `commits` or no table `ledger`")


def statements(script: str) -> Iterator[str]:
    """Yield the statements of a script, to run in one transaction (executescript commits before it begins)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
