"""The simulated disk: what every store must keep, and what a disk may lose."""

from collections.abc import Callable
from random import Random

import pytest

from ledger.errors import Closed, Conflict, Locked, NotWritten, OutcomeUnknown
from ledger.log import Commit, Head, Snapshot
from ledger.plugins import HoldingStore
from ledger.testing.stores import after, check
from replay.simulator import Disk, DiskStore, Fate, Surroundings


class Fated(Surroundings):
    """Appends meet this fate."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate

    def fate(self) -> Fate:
        return self._fate


class Falls(Exception):
    """The power fails."""


class FallsBeforeSync(Surroundings):
    """The power fails between a write and its sync."""

    def written(self) -> None:
        raise Falls


def grown(disk: Disk, many: int) -> list[Commit]:
    store = disk.store()
    for _ in range(many):
        store.append(store.head(), after(store.head()))
    return list(disk.commits)


def test_it_is_a_store_that_several_processes_may_have_open() -> None:
    disks: dict[str, Disk] = {}

    def fresh() -> DiskStore:
        disk = Disk(f"log {len(disks)}")
        disks[disk.id] = disk
        return disk.store()

    check(fresh, again=lambda store: disks[store.id].store())
    assert isinstance(fresh(), HoldingStore)


def left(lose: Callable[[Disk, Random], None]) -> set[int]:
    """How many commits there are, by many seeds, where two are synced and one was being written when that came."""
    found = set()
    for seed in range(20):
        disk = Disk("log")
        commits = grown(disk, 2)
        with pytest.raises(Falls):
            DiskStore(disk, "one", FallsBeforeSync()).append(disk.head, after(disk.head))
        lose(disk, Random(seed))
        assert disk.commits[:2] == commits
        found.add(len(disk.commits))
    return found


def test_what_is_synced_outlives_the_power() -> None:
    disk = Disk("log")
    commits = grown(disk, 3)
    for seed in range(20):
        disk.cut_power(Random(seed))
        assert disk.commits == commits


def test_what_is_not_synced_is_lost_from_its_end_or_is_there() -> None:
    assert left(Disk.cut_power) == {2, 3}


def test_a_process_that_dies_in_an_append_has_done_it_or_not_and_no_other() -> None:
    def dies_twice(disk: Disk, random: Random) -> None:
        disk.drop_unfinished(random)
        disk.drop_unfinished(random)

    assert left(dies_twice) == {2, 3}


def test_what_a_dead_process_has_done_outlives_the_power_once_it_can_be_read() -> None:
    """As in a real log: whoever recovers it syncs it before anything is answered from it."""

    def dies_and_then_the_power_fails(disk: Disk, random: Random) -> None:
        disk.drop_unfinished(random)
        there = list(disk.commits)
        disk.cut_power(random)
        assert disk.commits == there

    assert left(dies_and_then_the_power_fails) == {2, 3}


@pytest.mark.parametrize(
    ("fate", "error", "grows"),
    [
        (Fate.failed, NotWritten, 0),
        (Fate.unknown_failed, OutcomeUnknown, 0),
        (Fate.unknown_done, OutcomeUnknown, 1),
    ],
)
def test_an_append_meets_its_fate(fate: Fate, error: type[Exception], grows: int) -> None:
    disk = Disk("log")
    grown(disk, 1)
    store = DiskStore(disk, "one", Fated(fate))
    with pytest.raises(error):
        store.append(disk.head, after(disk.head))
    assert len(disk.commits) == disk.synced == 1 + grows


def test_a_store_that_cannot_tell_is_closed() -> None:
    disk = Disk("log")
    store = DiskStore(disk, "one", Fated(Fate.unknown_done))
    with pytest.raises(OutcomeUnknown):
        store.append(disk.head, after(disk.head))
    with pytest.raises(Closed):
        store.head()


def test_nobody_writes_while_another_holds_the_log_up_to_its_append() -> None:
    disk = Disk("log")
    one, two = disk.store(), disk.store()
    with one.hold():
        with pytest.raises(Locked):
            two.append(disk.head, after(disk.head))
        one.append(disk.head, after(disk.head))
        two.append(disk.head, after(disk.head))
    with pytest.raises(Conflict):
        two.append(Head(0, b"", 0), after(disk.head))
    assert len(disk.commits) == 2


def test_a_damaged_snapshot_is_not_found() -> None:
    disk = Disk("log")
    commits = grown(disk, 2)
    for commit in commits:
        disk.store().save_snapshot(Snapshot(commit.last_seq, commit.hash, "1", b"books"))
    disk.snapshots[-1].damaged = True
    found = disk.store().load_snapshot("1")
    assert found is not None
    assert found.seq == 1
