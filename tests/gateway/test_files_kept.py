"""Files that are there stay as they are: no option of a command writes onto one, or where a log has its own."""

import pytest

from gateway.logs import SIDE_FILES

WRITES = {
    "backup": ("backup", "LOG", "FILE"),
    "copy": ("copy", "LOG", "FILE"),
    "export --out": ("export", "LOG", "--to", "csv", "--out", "FILE"),
    "export to sqlite --out": ("export", "LOG", "--to", "sqlite", "--out", "FILE"),
    "plot --out": ("plot", "LOG", "--subscriber", "alice", "--plan", "pro", "--out", "FILE"),
    "audit --html": ("audit", "LOG", "--html", "FILE"),
    "audit --note": ("audit", "LOG", "--note", "FILE"),
    "demo --db": ("demo", "--requests", "1", "--db", "FILE"),
}
"""Each option that names a file to write."""


@pytest.fixture
def write(tollbook, told):
    """Run one of WRITES with a file's name; return its error, after checking that no file changed and none is new."""

    def files():
        return {path: path.read_bytes() for path in told.log.parent.iterdir() if path.is_file()}

    def run(words, name):
        there = files()
        named = [{"LOG": told.log, "FILE": name}.get(word, word) for word in words]
        done = tollbook(*named, "--json")
        assert files() == there
        return done.error

    return run


@pytest.mark.parametrize("words", WRITES.values(), ids=WRITES)
def test_no_log_and_no_other_file_is_replaced(words, write, told):
    other = told.log.with_name("notes.txt")
    other.write_text("mine")
    for name in (told.log, other):
        error = write(words, name)
        assert str(name) in (error["file"] or error["message"])


@pytest.mark.parametrize("words", WRITES.values(), ids=WRITES)
def test_no_file_takes_a_name_that_a_log_has_for_its_own(words, write, told):
    for side in SIDE_FILES:
        path = told.log.with_name(told.log.name + side)
        if not path.exists():
            assert str(path) in write(words, path)["message"]


def test_an_audit_writes_its_note_and_its_page_to_two_files(tollbook, told, tmp_path):
    one = tmp_path / "one"
    assert "each its own file" in tollbook("audit", told.log, "--note", one, "--html", one, "--json").error["hint"]
    assert not one.exists()
    assert tollbook("audit", told.log, "--note", one).code == 0
    noted = one.read_bytes()
    assert tollbook("audit", told.log, "--html", one, "--json").error["code"] == "exists"
    assert one.read_bytes() == noted
    assert tollbook("audit", told.log, "--note", one, "--html", tmp_path / "page.html").code == 0
