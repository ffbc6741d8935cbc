"""Stores are opened by location: a path, memory, or the scheme of a store plugin."""

import re
from contextlib import closing
from pathlib import Path

import pytest

from ledger import Ledger
from ledger.errors import NotFound, UnknownPlugin, WrongType, WrongValue
from ledger.plugins import stores as registry
from ledger.stores import open as open_store
from ledger.stores.backup import back_up
from ledger.stores.memory import MemoryStore
from ledger.stores.sqlite import SQLiteStore
from replay import audit


@pytest.mark.parametrize("location", [None, ":memory:", Path(":memory:"), "sqlite://:memory:"])
def test_no_location_and_memory_are_a_log_in_memory(location):
    with closing(open_store(location, id="toll")) as store:
        assert isinstance(store, MemoryStore)
        assert store.id == "toll"


@pytest.mark.parametrize("kind", [str, Path, "sqlite://{}".format])
def test_a_path_is_a_file_of_the_built_in_store(kind, tmp_path):
    path = tmp_path / "toll.db"
    with closing(open_store(kind(path), id="toll")) as store:
        assert isinstance(store, SQLiteStore)
    assert path.exists()
    with closing(open_store(path, read_only=True)) as store:
        assert store.id == "toll"


def test_the_store_of_files_makes_no_file_of_the_name_of_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFound, match="is no file"):
        open_store(":memory:", store="sqlite")
    assert list(tmp_path.iterdir()) == []


def test_a_scheme_names_a_store_plugin_which_gets_the_whole_location(monkeypatch):
    seen = []

    def acme(location, id=None, read_only=False):
        seen.append(location)
        return MemoryStore(id=id)

    monkeypatch.setitem(registry._load().factories, "acme", acme)
    with Ledger.open("acme://host:5432/toll", id="toll") as ledger:
        assert ledger.id == "toll"
    assert seen == ["acme://host:5432/toll"]


@pytest.mark.parametrize("kind", [str, Path])
def test_no_part_takes_memory_for_a_file(kind, tmp_path, monkeypatch):
    """Such a file was once left in a folder by a backup."""
    monkeypatch.chdir(tmp_path)
    Ledger.open("toll.db").close()
    there = sorted(tmp_path.iterdir())
    for use in (SQLiteStore, audit, lambda memory: back_up(Path("toll.db"), memory)):
        with pytest.raises(NotFound, match=":memory: is no file"):
            use(kind(":memory:"))
    Ledger.open(kind(":memory:")).close()
    assert sorted(tmp_path.iterdir()) == there


@pytest.mark.parametrize(
    ("location", "said", "write"),
    [
        (
            "file:x.db?mode=memory",
            "neither a path nor a location of the form scheme://",
            r"path of a file alone .*:memory:",
        ),
        ("file:///x.db", "no store 'file'", "memory, sqlite"),
        ("sqlite:x.db", "neither a path", "path of a file alone"),
        ("sqlite:///x.db", "in the root folder", "write 'x.db' for a file in the working folder, or '/x.db'"),
    ],
)
def test_a_location_that_would_name_another_file_than_is_meant_is_an_error(
    location, said, write, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((WrongValue, UnknownPlugin), match=re.escape(said)) as caught:
        Ledger.open(location)
    assert re.search(write, caught.value.hint)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("location", ["./file:x.db", Path("file:x.db")])
def test_a_file_may_have_such_a_name(location, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Ledger.open(location).close()
    assert (tmp_path / "file:x.db").exists()


def test_a_ledger_that_exists_keeps_its_id(tmp_path):
    path = tmp_path / "toll.db"
    Ledger.open(path, id="one").close()
    Ledger.open(path, id="one").close()
    with pytest.raises(WrongValue, match=r"id: the ledger at .*toll\.db is 'one', not 'two'"):
        Ledger.open(path, id="two")
    with pytest.raises(WrongValue, match="id: it is empty"):
        Ledger.open(id="")
    with pytest.raises(WrongType, match="id: text is needed, 5 is of type int"):
        Ledger.open(id=5)


def test_an_unknown_scheme_says_what_is_installed():
    with pytest.raises(UnknownPlugin, match="no store 'postgres'") as caught:
        Ledger.open("postgres://host/toll")
    assert "memory, sqlite" in caught.value.hint


def test_a_store_that_is_named_is_used_whatever_the_location_says(tmp_path):
    with closing(open_store(tmp_path / "toll.db", store="memory")) as store:
        assert isinstance(store, MemoryStore)
    assert not (tmp_path / "toll.db").exists()
