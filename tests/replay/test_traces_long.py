"""Long traces: read, sorted and given customers in memory that does not grow with their length."""

import random
import tracemalloc
from functools import partial

import msgspec
import pytest

from ledger.errors import BadData
from replay.workload import Row, demand, read_trace
from replay.workload.row_store import MAX_ROWS_IN_MEMORY, StoredRows, ordered

MORE = MAX_ROWS_IN_MEMORY + 1_234


def row(at: int, number: int = 0) -> Row:
    return Row(at=at, model=f"m{number % 3}", usage={"input_tokens": number})


def shuffled(count: int) -> list[Row]:
    """Rows in disorder, several at each time."""
    rng = random.Random(0)
    return [row(rng.randrange(count // 3), number) for number in range(count)]


def csv_lines(count):
    yield "timestamp,subscriber,input_tokens\n"
    for number in range(count):
        minutes, second = divmod(number * 7919 % count, 60)  # in disorder
        hours, minute = divmod(minutes, 60)
        yield f"2026-01-{1 + hours // 24:02}T{hours % 24:02}:{minute:02}:{second:02}Z,,1\n"


def json_lines(count):
    for number in range(count):
        yield f'{{"timestamp":"2026-01-{1 + number % 28:02}","subscriber":null,"output_tokens":{number}}}\n'


@pytest.fixture
def trace(tmp_path):
    def write(name, lines):
        path = tmp_path / name
        with path.open("w") as file:
            file.writelines(lines)
        return path

    return write


@pytest.mark.parametrize("count", [3, MAX_ROWS_IN_MEMORY, MAX_ROWS_IN_MEMORY + 1, MORE])
def test_rows_are_in_the_order_of_their_times_and_of_their_coming_within_one(count):
    rows = shuffled(count)
    found = ordered(iter(rows))
    assert isinstance(found, StoredRows) == (count > MAX_ROWS_IN_MEMORY)
    assert list(found) == sorted(rows, key=lambda row: row.at)
    assert len(found) == count


def test_stored_rows_are_a_sequence_as_a_list_is():
    rows = sorted(shuffled(2_000), key=lambda row: row.at)
    stored = StoredRows(rows)
    for at in (0, 1, 499, 500, 1_999, -1, -2_000):
        assert stored[at] == rows[at]
    for part in (slice(3), slice(495, 505), slice(None, None, 333), slice(1_990, 3_000), slice(5, 5)):
        assert stored[part] == rows[part]
    for beyond in (2_000, -2_001):
        with pytest.raises(IndexError):
            stored[beyond]
    reading, again = iter(stored), iter(stored)  # beside each other
    assert [next(reading), next(again), next(reading)] == [rows[0], rows[0], rows[1]]


@pytest.mark.parametrize(("name", "lines"), [("long.csv", csv_lines), ("long.jsonl", json_lines)])
def test_memory_does_not_grow_with_the_length_of_a_trace(trace, name, lines, monkeypatch):
    """Four times the rows take the same memory: a list of them would take four times as much."""
    monkeypatch.setattr("replay.workload.row_store.MAX_ROWS_IN_MEMORY", 4_000)  # measuring is slow
    most = 4_500

    def peak(count):
        path = trace(name, lines(count))
        tracemalloc.start()
        assert len(demand(path).rows) == count
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(4 * most) < 1.3 * peak(most)


def test_a_bad_row_far_down_is_named_by_its_line_or_left_out(trace):
    path = trace("bad.csv", [*csv_lines(MORE), "nonsense\n"])
    with pytest.raises(BadData) as raised:
        read_trace(path)
    assert (raised.value.file, raised.value.line) == (str(path), MORE + 2)
    left = read_trace(path, skip_bad=True)
    assert (len(left.rows), left.source.rows, left.source.skipped) == (MORE, MORE, 1)


def test_customers_are_drawn_alike_for_stored_rows(trace):
    path = trace("long.csv", csv_lines(MORE))
    drawn = partial(demand, path, subscribers=7, seed=3)
    assert msgspec.json.encode(list(drawn().rows)) == msgspec.json.encode(list(drawn().rows))
    assert len({row.subscriber for row in drawn().rows}) == 7
