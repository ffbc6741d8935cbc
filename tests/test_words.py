"""The project's words: ARCHITECTURE.md has the glossary, and this keeps out what it does not use."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("tollbook", "ledger", "pricing", "chains", "replay", "gateway")
SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
PAGES = [
    path
    for pattern in (
        "README.md",
        "docs/*.md",
        "docs/reference/*.md",
        "*/README.md",
        "*/*/README.md",
        "chains/evm/contracts/*.sol",
    )
    for path in sorted(ROOT.glob(pattern))
]

INSTEAD = {
    r"told|tells?|telling": "report, record, return, notify",
    r"washed|unwashed": "redacted",
    r"foresee\w*": "simulate",
    r"at a glance": "fast path",
    r"call(s|ed|ing)? off": "cancel",
    r"lets? go|letting go": "release, close",
    r"(?<!command )in line": "queued",
    r"(un)?seal(s|ed|ing)?": "commitment of a batch, encode_commit of the log",
    r"does not follow": "hash chain broken",
    r"overtaken": "optimistic retry",
    r"whoever|whatever": "the person or thing by its name",
    r"nobody|somebody|everybody|anybody": "the person by their role",
    r"mend(s|ed|ing)?": "fix, repair",
    r"bench(es)?": "harness",
    r"dice|luck": "random generator",
    r"untaken": "rejected",
    r"laboratory": "simulator",
    r"for ever": "permanently",
    r"MOST_\w+|LONGEST\w*|FEWEST\w*|LATEST\w*|NOTHING": "MAX_…, MIN_…, EMPTY",
}
"""Words and names that are not used, and what is. A word is between characters that are no letters."""

STORED = {
    "chains/mock/storage.py": r"seal",
    "chains/mock/transactions.py": r"seal",
    "gateway/cli/settlement_tables.py": r"called off",
}
"""What old files hold, and what reads them must therefore say."""

OPENINGS = "What|Whether|Who|Whoever|How|Where|When|So|It|There|That|Nobody|Everything|Everybody|One that|All that"
"""A docstring begins with a verb or a noun phrase."""

pytestmark = pytest.mark.skipif(not SOURCES, reason="needs the checkout, not a copy of the tests")


def lines_with(word: str) -> Iterator[str]:
    pattern = re.compile(rf"(?<![A-Za-z])({word})(?![A-Za-z])")
    for path in (*SOURCES, *PAGES):
        name = path.relative_to(ROOT).as_posix()
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if pattern.search(re.sub(STORED[name], "", line) if name in STORED else line):
                yield f"{name}:{number}: {line.strip()}"


@pytest.mark.parametrize("word", INSTEAD)
def test_a_word_that_the_glossary_replaces_is_not_used(word):
    assert list(lines_with(word)) == [], f"instead: {INSTEAD[word]}"


def test_docstrings_begin_with_a_verb_or_a_noun():
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = ast.get_docstring(node) or ""
                if re.match(rf"({OPENINGS})\b", docstring):
                    found.append(f"{path.relative_to(ROOT)}: {docstring.splitlines()[0]}")
    assert found == []
