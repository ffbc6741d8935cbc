"""The log's file, byte by byte and page by page: harm is named, or refused, or it meant nothing.

What matters most: an audit that is clean, over events that are not those that were written, is the failure.
"""

import random
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain, permutations

import pytest
from harmed_logs import PAGE, Harm, Original, Readers, failures, flip, put, seed, to_bytes

HEADER = range(100)


def roots(log: Original) -> list[range]:
    """The places of the first page of each tree of pages: the schema's, and those of the tables."""
    with closing(sqlite3.connect(log.path)) as file:
        pages = file.execute("SELECT rootpage FROM sqlite_master WHERE rootpage > 0").fetchall()
    assert len(pages) == 6
    return [range((page - 1) * PAGE, page * PAGE) for page in (1, *(page for (page,) in pages))]


def pages(log: Original) -> range:
    return range(len(log.whole) // PAGE)


def flips(shake: random.Random, places: Iterable[int]) -> list[Harm]:
    """One bit of each byte."""
    return [flip(place, 1 << shake.randrange(8)) for place in places]


def page(log: Original, number: int) -> bytes:
    return log.whole[number * PAGE : (number + 1) * PAGE]


def copied(log: Original, one: int, other: int) -> Harm:
    return put(one * PAGE, page(log, other), f"page {one} is a copy of page {other}")


def swapped(log: Original, one: int, other: int) -> Harm:
    def change(whole: bytes) -> bytes:
        changed = bytearray(whole)
        changed[one * PAGE : (one + 1) * PAGE] = page(log, other)
        changed[other * PAGE : (other + 1) * PAGE] = page(log, one)
        return bytes(changed)

    return to_bytes(f"pages {one} and {other} have changed places", change)


def all_answer(small: Original, readers: Readers, harms: list[Harm]) -> None:
    assert len(harms) > 3
    assert failures(small, readers.answers(small, harms)) == []


def test_a_bit_in_any_byte_of_the_header(small: Original, readers: Readers) -> None:
    all_answer(small, readers, flips(random.Random(seed()), HEADER))


def test_bits_in_the_first_pages_of_the_trees(small: Original, readers: Readers) -> None:
    """Their own headers and the begin of their lists of cells, and one byte in sixty-four of the rest."""
    shake = random.Random(seed())
    places = [
        place
        for root in roots(small)
        for place in root
        if place not in HEADER and ((place - max(root.start, 100)) % PAGE < 16 or not shake.randrange(64))
    ]
    all_answer(small, readers, flips(shake, places))


def test_bits_from_anywhere(small: Original, readers: Readers) -> None:
    shake = random.Random(seed())
    all_answer(small, readers, flips(shake, shake.sample(range(len(small.whole)), 60)))


def test_a_page_of_nothing(small: Original, readers: Readers) -> None:
    all_answer(small, readers, [put(place * PAGE, bytes(PAGE), f"page {place} is zeros") for place in pages(small)])


def test_a_page_in_the_place_of_another(small: Original, readers: Readers) -> None:
    """Among them a leaf in the place of its own tree's root: a shorter log that is whole in itself."""
    shake = random.Random(seed())
    pairs = list(permutations(pages(small), 2))
    (root,) = {root.start // PAGE for root in roots(small) if page(small, root.start // PAGE)[0] == 5} - {0}
    over_the_root = [copied(small, root, place) for place in pages(small) if page(small, place)[0] in (5, 13)]
    all_answer(small, readers, over_the_root + [copied(small, *pair) for pair in shake.sample(pairs, 40)])


def test_pages_that_changed_places(small: Original, readers: Readers) -> None:
    shake = random.Random(seed())
    all_answer(
        small, readers, [swapped(small, *pair) for pair in shake.sample(list(permutations(pages(small), 2)), 40)]
    )


def cuts(small: Original, step: int) -> Iterator[Harm]:
    for length in sorted({*range(0, 120, 9), *range(0, len(small.whole), step), *range(PAGE - 1, PAGE + 2)}):
        yield to_bytes(f"only the first {length} bytes", lambda whole, length=length: whole[:length])


def test_a_file_that_was_cut_off(small: Original, readers: Readers) -> None:
    """An empty file is no harmed log: a writer makes a new one of it."""
    all_answer(small, readers, [harm for harm in cuts(small, 509) if harm.said != "only the first 0 bytes"])


def test_garbage_before_and_after(small: Original, readers: Readers) -> None:
    shake = random.Random(seed())
    harms = []
    for length in (1, 99, PAGE - 1, PAGE, 3 * PAGE, 20_000):
        noise = shake.randbytes(length)
        harms.append(to_bytes(f"{length} bytes of noise after it", lambda whole, noise=noise: whole + noise))
        harms.append(to_bytes(f"{length} bytes of noise before it", lambda whole, noise=noise: noise + whole))
        harms.append(to_bytes(f"{length} zeros after it", lambda whole, length=length: whole + bytes(length)))
    harms.append(to_bytes("twice", lambda whole: whole + whole))
    all_answer(small, readers, harms)


@pytest.mark.sweep
def test_every_byte_of_the_header_and_of_the_first_page_of_every_tree(small: Original, readers: Readers) -> None:
    shake = random.Random(seed())
    places = list(chain(*roots(small)))
    assert len(places) == 7 * PAGE
    harms = [flip(place, by) for place in HEADER for by in (0x01, 0x80, 0xFF)]
    all_answer(small, readers, harms + flips(shake, places))


@pytest.mark.sweep
def test_a_great_many_harms(small: Original, readers: Readers) -> None:
    """A tenth of all bytes, and a third of all pairs of pages, copied and exchanged."""
    shake = random.Random(seed())
    harms = flips(shake, shake.sample(range(len(small.whole)), len(small.whole) // 10))
    harms += [copied(small, *pair) for pair in list(permutations(pages(small), 2))[::3]]
    harms += [swapped(small, *pair) for pair in list(permutations(pages(small), 2))[::3] if pair[0] < pair[1]]
    all_answer(small, readers, harms)
