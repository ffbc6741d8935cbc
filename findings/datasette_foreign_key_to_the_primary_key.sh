#!/usr/bin/env bash
# Datasette 0.65.5 answers 500 for the page of a table whose foreign key names only the other table.
#
# `REFERENCES parent` without a column is valid SQL, and in SQLite means the primary key of `parent`. The page
# of a single row is fine; the table's page, which labels foreign keys, raises TypeError, because the pragma that
# lists foreign keys leaves the column empty there. With `REFERENCES parent (id)` the same page is served.
#
# Seen:    with a column:    exit 0, title "named: child: 1 row"
#          without a column: exit 1, title "Error 500", TypeError: expected string or bytes-like object, got 'NoneType'
# So:      software that makes SQLite files for Datasette should name the column.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet datasette==0.65.5 2>/dev/null

venv/bin/python - <<'PYTHON'
import sqlite3

for name, reference in (("named", "parent (id)"), ("implicit", "parent")):
    with sqlite3.connect(f"{name}.db") as connection:
        connection.executescript(f"""
            CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT);
            CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES {reference});
            INSERT INTO parent VALUES (1, 'one');
            INSERT INTO child VALUES (1, 1);
        """)
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
PYTHON

page() {
  local code=0
  venv/bin/datasette "$1.db" --get "$2" >"$1.out" 2>"$1.err" || code=$?
  echo "$1 $2: exit $code, $(grep -o '<title>[^<]*' "$1.out" | sed 's/<title>//' || head -c 60 "$1.out")"
}
page named /named/child | tee seen
page implicit /implicit/child | tee -a seen
tail -n 1 implicit.err | tee -a seen
page implicit /implicit/child/1 | tee -a seen

grep -q 'named /named/child: exit 0, named: child: 1 row' seen
grep -q 'implicit /implicit/child: exit 1, Error 500' seen
grep -q "TypeError: expected string or bytes-like object, got 'NoneType'" seen
grep -q 'implicit /implicit/child/1: exit 0, implicit: child' seen
echo "as described"
