"""A reading pauses for a writer, in proportion to its work."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from ledger.pacing import MAX_PAUSE, MIN_WORK, PAUSE_RATIO, Pace


class World:
    """A clock that only work and sleep move, in seconds, and a writer that is busy or not."""

    def __init__(self, writing: bool = True) -> None:
        self.now, self.writing = 1000.0, writing
        self.pauses: list[float] = []
        self.pace = Pace(lambda: self.writing, self.sleep, lambda: self.now)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def work(self, seconds: float) -> None:
        self.now += seconds
        self.pace.step()


def test_beside_a_writer_a_reading_has_at_most_a_fifth_of_the_time() -> None:
    world = World()
    world.pace.step()
    begun, world.pauses = world.now, []
    for _ in range(1_000):
        world.work(MIN_WORK / 7)
    assert sum(world.pauses) >= PAUSE_RATIO / (PAUSE_RATIO + 1) * (world.now - begun) - MAX_PAUSE
    assert min(world.pauses) >= PAUSE_RATIO * MIN_WORK  # none so short that it costs more than it gives


def test_a_long_step_is_followed_by_a_longer_pause_up_to_a_limit() -> None:
    world = World()
    world.pace.step()
    world.pauses.clear()
    world.work(2 * MIN_WORK)
    world.work(1)
    assert world.pauses == [pytest.approx(2 * PAUSE_RATIO * MIN_WORK), MAX_PAUSE]


def test_without_a_writer_it_never_pauses_and_owes_nothing_for_the_time_before_one_came() -> None:
    world = World(writing=False)
    for _ in range(10):
        world.work(1)
    world.writing = True
    world.work(MIN_WORK / 2)
    assert world.pauses == []
    world.work(MIN_WORK)
    assert len(world.pauses) == 1


def test_each_thread_pauses_for_its_own_work() -> None:
    world = World()
    world.pace.step()
    world.pauses.clear()
    with ThreadPoolExecutor(1) as other:
        other.submit(world.pace.step).result()  # its first step: how long it has worked is not known
    assert world.pauses == [MAX_PAUSE]
    world.pace.step()  # the other's pause is not this one's
    assert world.pauses == [MAX_PAUSE, MAX_PAUSE]
