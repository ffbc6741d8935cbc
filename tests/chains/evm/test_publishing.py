"""Leaf files are kept for good before anything is signed, and found by their hash."""

import os
import threading
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from chains.commitment import to_hex
from chains.leaves import keccak
from ledger.errors import ChainUnavailable

publishing = pytest.importorskip("chains.evm.publishing", reason="needs the extra: pip install 'tollbook[evm]'")

DATA = b'{"leaves": []}\n'
HASH = to_hex(keccak(DATA))
NAME = f"{HASH[2:]}.json"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path):
    """A folder that is served over HTTP, and where."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_file_is_found_again_by_its_hash(tmp_path):
    files = publishing.LeafFiles(tmp_path / "leaves")
    assert files.publish(DATA) == NAME
    assert files.find(HASH, NAME) == DATA
    assert sorted(os.listdir(tmp_path / "leaves")) == [NAME]


def test_what_the_chain_is_told_says_nothing_of_the_operators_machine(tmp_path):
    assert str(tmp_path) not in publishing.LeafFiles(tmp_path).publish(DATA)


def test_a_public_place_stands_before_the_name(tmp_path):
    files = publishing.LeafFiles(tmp_path, "https://leaves.example/acme/")
    assert files.publish(DATA) == f"https://leaves.example/acme/{NAME}"


def test_publishing_twice_is_publishing_once(tmp_path):
    files = publishing.LeafFiles(tmp_path)
    assert files.publish(DATA) == files.publish(DATA)
    assert os.listdir(tmp_path) == [NAME]


def test_a_file_that_is_not_what_its_name_says_is_not_taken(tmp_path):
    (tmp_path / NAME).write_bytes(b"something else")
    assert publishing.LeafFiles(tmp_path).find(HASH, NAME) is None


def test_a_stranger_finds_it_where_the_batch_says(served):
    folder, uri = served
    told = publishing.LeafFiles(folder, uri).publish(DATA)
    assert publishing.LeafFiles(None).find(HASH, told) == DATA


def test_a_file_that_is_lost_here_is_found_where_it_is_served(tmp_path, served):
    folder, uri = served
    publishing.LeafFiles(folder).publish(DATA)
    assert publishing.LeafFiles(tmp_path / "new", uri).find(HASH, NAME) == DATA


def test_a_file_that_is_nowhere_is_not_found(tmp_path, served):
    _, uri = served
    assert publishing.LeafFiles(tmp_path).find(HASH, NAME) is None
    assert publishing.LeafFiles(tmp_path, uri).find(HASH, NAME) is None


def test_a_place_that_does_not_answer_is_told_apart_from_one_without_the_file(tmp_path):
    with pytest.raises(ChainUnavailable, match="cannot be read"):
        publishing.LeafFiles(tmp_path).find(HASH, "http://127.0.0.1:9/leaves.json")


class _Drips(_Quiet):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):  # until the reader has gone
            while True:
                self.wfile.write(b" ")


def test_a_place_that_drips_for_ever_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(publishing, "MAX_SECONDS", 0)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Drips) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with pytest.raises(ChainUnavailable, match="Timeout"):
            publishing.LeafFiles(None).find(HASH, f"http://127.0.0.1:{server.server_address[1]}/leaves.json")
        server.shutdown()
        thread.join()


def test_a_long_file_is_read_whole(tmp_path, served):
    folder, uri = served
    data = b"[" + b"0, " * 100_000 + b"0]\n"
    told = publishing.LeafFiles(folder, uri).publish(data)
    assert publishing.LeafFiles(None).find(to_hex(keccak(data)), told) == data


@pytest.mark.skipif(os.name != "posix", reason="has no such permissions")
def test_a_file_may_be_read_by_whoever_may_read_what_this_process_writes(tmp_path):
    """It is there to be served, by another user as a rule."""
    (tmp_path / "other").write_bytes(DATA)
    publishing.LeafFiles(tmp_path).publish(DATA)
    assert (tmp_path / NAME).stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_file_that_was_spoiled_is_published_anew(tmp_path):
    (tmp_path / NAME).write_bytes(DATA[:3])
    files = publishing.LeafFiles(tmp_path)
    files.publish(DATA)
    assert files.find(HASH, NAME) == DATA


def test_other_schemes_are_not_followed(tmp_path):
    (tmp_path / NAME).write_bytes(DATA)
    assert publishing.LeafFiles(None).find(HASH, (tmp_path / NAME).as_uri()) is None


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_signed(tmp_path):
    (tmp_path / "leaves").write_text("a file")
    with pytest.raises(ChainUnavailable, match="cannot be stored"):
        publishing.LeafFiles(tmp_path / "leaves").publish(DATA)
