"""The reading commands change nothing, leave nothing, and work while another process writes."""

import subprocess
import sys

import pytest

READING = [
    ("balance",),
    ("statement", "--subscriber", "alice", "--plan", "pro"),
    ("events",),
    ("plans",),
    ("agents",),
    ("explain", "12"),
    ("audit",),
    ("export", "--to", "csv", "--out", "-"),
]


@pytest.mark.parametrize("words", READING, ids=lambda words: words[0])
def test_a_reading_leaves_the_folder_as_it_was(tollbook, shop, words):
    before = shop.log.read_bytes()
    command, *rest = words
    assert tollbook(command, shop.log, *rest).code == 0
    assert shop.log.read_bytes() == before
    assert list(shop.log.parent.iterdir()) == [shop.log]


@pytest.mark.parametrize("words", READING, ids=lambda words: words[0])
def test_a_log_that_is_not_there_is_not_made(tollbook, tmp_path, words):
    command, *rest = words
    assert tollbook(command, tmp_path / "none.db", *rest).code == 2
    assert list(tmp_path.iterdir()) == []


WRITER = """
import sys
from ledger import Charge, Ledger, Purchase
with Ledger.open(sys.argv[1]) as ledger:
    while True:
        ledger.execute(Purchase(subscriber="alice", plan="pro")).unwrap()
        ledger.execute(Charge(subscriber="alice", plan="pro", usage={"input_tokens": 100})).unwrap()
        print(ledger.head.seq, flush=True)
"""


def test_they_work_while_another_process_writes(tollbook, shop):
    with subprocess.Popen([sys.executable, "-c", WRITER, shop.log], stdout=subprocess.PIPE) as writer:
        try:
            for command, *rest in READING * 2:
                assert writer.stdout.readline()
                assert tollbook(command, shop.log, *rest).code == 0
            account = tollbook("balance", shop.log, "--subscriber", "alice", "--json").json["accounts"][0]
            assert account["issued"] == sum(account[place] for place in ("available", "held", "spent", "lapsed"))
            assert writer.poll() is None
        finally:
            writer.kill()
    assert tollbook("audit", shop.log).code == 0


def test_what_a_killed_writer_left_in_its_side_files_is_read(tollbook, shop):
    with subprocess.Popen([sys.executable, "-c", WRITER, shop.log], stdout=subprocess.PIPE) as writer:
        for _ in range(5):
            seq = int(writer.stdout.readline())
        writer.kill()
    assert tollbook("balance", shop.log, "--json").json["as_of"]["seq"] >= seq
