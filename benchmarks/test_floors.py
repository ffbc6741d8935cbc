"""Floors write the same bytes, durably, and overspend no balance."""

import asyncio
from contextlib import closing
from typing import get_args

import msgspec
import pytest

from ledger.events import Recorded
from ledger.log import bodies

from . import floors
from .workload import Load
from .workshop import SMALL, Workshop


@pytest.fixture
def workshop():
    made = Workshop(SMALL)
    yield made
    made.close()


def asking(credits, times):
    event = msgspec.defstruct("Taken", [("credits", int)])
    return [floors.Ask(1, credits, event, {"credits": credits})] * times


def test_a_frame_is_read_as_it_was_written(tmp_path):
    with closing(floors.Frames(tmp_path / "frames")) as frames:
        frames.append(b"one")
        frames.append(b"")
        frames.append(b"three" * 1_000)
        assert frames.bodies() == [b"one", b"", b"three" * 1_000]


def test_every_event_has_a_plain_struct_that_writes_the_same_bytes(workshop):
    for event in get_args(Recorded):
        assert floors.plain(event).__struct_fields__ == event.__struct_fields__
        assert floors.plain(event).__struct_config__.tag == event.__struct_config__.tag
    for load in (Load(3, 5), Load(3, 5, keyed=True), Load(3, 5, held=True)):
        for commit in workshop.commits(load):
            assert floors.encode(floors.plain_decoder().decode(commit.body)) == commit.body


def test_a_plain_struct_has_no_invariants():
    line = b'[{"type":"charged","account":1,"credits":5,"draws":[[2,4]],"tariff":1,"period":"2023-11"}]'
    with pytest.raises(msgspec.ValidationError, match="the draws sum to 4, not to 5"):
        bodies.decode(bodies.TEXT, line)
    assert floors.plain_decoder().decode(line)[0].credits == 5


@pytest.mark.parametrize("load", [Load(3, 5), Load(3, 5, 2, keyed=True), Load(3, 5, held=True)])
def test_what_a_floor_is_asked_comes_to_the_bytes_of_the_ledger(workshop, load):
    commits = workshop.commits(load)
    balances = dict.fromkeys((1, 2, 3), 1_000)
    written = [floors.encode(floors.decide(balances, asked)) for asked in floors.asks(commits)]
    assert written == [commit.body for commit in commits]
    assert sum(balances.values()) == 3_000 - sum(load.spent().values())


def test_a_floor_leaves_out_what_an_account_cannot_pay():
    balances = {1: 5}
    assert [event.credits for event in floors.decide(balances, [*asking(3, 2), *asking(2, 2)])] == [3, 2]
    assert balances == {1: 0}


def test_a_crowd_shares_frames_and_overspends_nothing(tmp_path):
    """A hundred callers want 3 each, one by one, of 200: 66 are written, in far fewer frames than callers."""
    with closing(floors.BareLedger(tmp_path / "frames", {1: 200})) as bare:
        asyncio.run(floors.crowd(bare, [asking(3, 1)] * 100))
        frames = bare.frames.bodies()
    assert sum(len(msgspec.json.decode(frame)) for frame in frames) == 66
    assert bare.balances == {1: 2}
    assert len(frames) < 10


def test_a_caller_of_the_crowd_is_answered_after_its_frame(tmp_path):
    async def one_after_the_other(bare):
        groups = floors.BareGroups(bare)
        for number in range(3):
            await groups.execute(asking(1, 1)[0])
            assert len(bare.frames.bodies()) == number + 1
        groups.close()

    with closing(floors.BareLedger(tmp_path / "frames", {1: 200})) as bare:
        asyncio.run(one_after_the_other(bare))
