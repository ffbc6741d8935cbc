"""Rounds and ratios, with contenders that return their own seconds."""

from contextlib import contextmanager

import pytest

from .figures import Aim, Comparison, Limit, Quantity
from .rounds import Contender, Trial, WrongAnswer, in_rounds, run_once


def taking(name, *seconds, answer=1, order=None, missing=None):
    """Return a contender that reports those seconds, round by round."""
    left = list(seconds)

    @contextmanager
    def prepare(folder):
        assert not list(folder.iterdir())
        (folder / "mine").touch()

        def work():
            if order is not None:
                order.append(name)
            return left.pop(0)

        yield Trial(work, lambda: answer)

    return Contender(name, prepare, lambda: 1, lambda: missing)


def compared(subject, *others, **more):
    return Comparison("figure", "a figure", "charge", 10, subject, others, **more)


def test_a_ratio_is_taken_round_by_round(tmp_path):
    """The machine was three times as slow in the last round: the ratio does not see it, the two medians alone would."""
    (row,) = compared(taking("subject", 2.0, 4.0, 6.0), taking("floor", 1.0, 1.0, 3.0)).measure(tmp_path, 3)
    assert (row.value, row.other_value) == (0.4, 0.1)
    assert row.ratio == 0.5
    assert row.ratios == (0.25, 0.5)
    assert row.spread == 1.0


def test_rounds_go_forwards_and_backwards(tmp_path):
    order = []
    in_rounds([taking("a", 1, 1, 1, order=order), taking("b", 1, 1, 1, order=order)], 3, tmp_path)
    assert order == ["a", "b", "b", "a", "a", "b"]


def test_each_contender_gets_a_fresh_folder_that_goes_again(tmp_path):
    in_rounds([taking("a", 1.0, 1.0), taking("b", 1.0, 1.0)], 2, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_faster_wrong_answer_is_no_figure(tmp_path):
    with pytest.raises(WrongAnswer, match="subject came to 2, and the work comes to 1"):
        compared(taking("subject", 0.1, answer=2), taking("floor", 1.0)).measure(tmp_path, 1)


def test_work_that_returns_no_seconds_is_timed(tmp_path):
    assert run_once(taking("subject", None), tmp_path) > 0


@pytest.mark.parametrize(("floor", "reached"), [(0.5, True), (0.49, False)])
def test_an_aim_is_reached_or_not(floor, reached, tmp_path):
    aims = (Aim("floor", 1 / 2, "half the floor"),)
    (row,) = compared(taking("subject", 1.0), taking("floor", floor), aims=aims).measure(tmp_path, 1)
    assert (row.aim, row.reached) == ("half the floor", reached)


@pytest.mark.parametrize(("seconds", "reached"), [(4.9, True), (5.0, False)])
def test_a_limit_is_on_one_operation(seconds, reached, tmp_path):
    (row,) = compared(taking("subject", seconds), limit=Limit(0.5, "under half a second")).measure(tmp_path, 1)
    assert row.reached is reached


def test_a_row_beside_another_does_not_repeat_an_aim_that_is_not_about_it(tmp_path):
    others = taking("floor", 1.0), taking("peer", 6.0)
    rows = compared(taking("subject", 1.0), *others, aims=(Aim("peer", 6, "6 times the peer"),)).measure(tmp_path, 1)
    assert [(row.other, row.aim, row.reached) for row in rows] == [
        ("floor", "", None),
        ("peer", "6 times the peer", True),
    ]


def test_a_row_names_what_is_missing(tmp_path):
    peer = taking("peer", missing="it is not installed")
    floor, peer_row = compared(taking("subject", 1.0), taking("floor", 2.0), peer).measure(tmp_path, 1)
    assert (floor.ratio, floor.skipped) == (2.0, "")
    assert (peer_row.value, peer_row.skipped, peer_row.reached) == (0.1, "it is not installed", None)


def test_a_subject_that_is_missing_is_one_row_without_a_figure(tmp_path):
    (row,) = compared(taking("subject", missing="not here"), taking("floor", 1.0)).measure(tmp_path, 1)
    assert (row.value, row.skipped) == (0, "not here")


@pytest.mark.parametrize(("counted", "reached"), [(150, True), (151, False)])
def test_a_quantity_is_counted_once(counted, reached, tmp_path):
    quantity = Quantity("size", "a size", "byte", lambda folder: counted, Limit(150, "150 bytes or less"))
    (row,) = quantity.measure(tmp_path, 5)
    assert (row.value, row.reached) == (counted, reached)
