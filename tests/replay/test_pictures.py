"""Pictures of accounts: they show the statement's figures, can be read, and are files like any other."""

import subprocess
import sys
from itertools import combinations, count
from xml.etree import ElementTree

import pytest

from ledger import Adjust, Charge, CreatePlan, Ledger, Purchase, Request
from ledger.errors import AlreadyExists, BadData, LogError
from replay.tables.pictures import draw

pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install -e '.[plots]'")

START = 1_700_157_600_000_000  # 2023-11-16T18:00:00Z
SECOND = 1_000_000
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def statement(charges, apart=SECOND, subscriber=ADDRESS, plan="p<$ro$"):
    """The statement of an account that was charged that often, at that distance in microseconds."""
    clock = count(START, apart)
    with Ledger.open(":memory:", clock=lambda: next(clock)) as ledger:
        terms = {"credits": 100_000, "overrun": "debt", "debt_limit": 10**6, "decimals": 2}
        ledger.execute(CreatePlan(plan=plan, owner="acme", **terms)).unwrap()
        ledger.execute(Purchase(subscriber=subscriber, plan=plan)).unwrap()
        for _ in range(charges):
            ledger.execute(Request(subscriber=subscriber, plan=plan)).unwrap()
            charge = ledger.execute(Charge(subscriber=subscriber, plan=plan, usage={"calls": 1})).unwrap()
        if charges > 1:
            ledger.execute(Adjust(charge=charge.seq, credits=150_000, reason="true_up")).unwrap()  # into debt
        return ledger.statement(subscriber, plan)


def drawn(picture):
    """The axes of balance and charges, as they are laid out."""
    picture.figure.draw_without_rendering()
    return picture.figure.axes


def test_the_line_ends_at_the_closing_balance_and_the_bars_sum_up_to_what_was_spent():
    account = statement(20)
    balance, charged = drawn(draw(account))
    available, held, *_ = balance.get_lines()
    assert list(available.get_ydata())[-1] == account.closing.available < 0
    assert list(held.get_ydata())[-1] == account.closing.held > 0
    assert sum(bar.get_height() for bar in charged.patches) == account.closing.spent


def test_a_long_statement_has_no_more_points_than_can_be_told_apart(monkeypatch):
    monkeypatch.setattr("replay.tables.pictures._MAX_POINTS", 50)
    account = statement(100)
    available = drawn(draw(account))[0].get_lines()[0]
    assert 40 <= len(available.get_ydata()) <= 52
    assert list(available.get_ydata())[-1] == account.closing.available


@pytest.mark.parametrize(
    ("charges", "apart"), [(0, SECOND), (1, SECOND), (30, 1), (30, 61 * SECOND), (30, 86_400 * SECOND), (9, 10**13)]
)
def test_title_units_and_dates_can_be_read_and_nothing_overlaps(charges, apart):
    picture = draw(statement(charges, apart))
    axes = drawn(picture)
    assert picture.title == "0xf39Fd6e51a…b92266 on p<$ro$"
    assert axes[0].get_title("left") == picture.title
    assert [one.get_ylabel().partition(" ")[0] for one in axes] == ["credits", "charged\nper"]
    assert axes[1].get_xlabel() == "time (UTC)"
    whole = picture.figure.bbox
    for one in axes:
        for labels in (one.get_xticklabels(), one.get_yticklabels()):
            boxes = [label.get_window_extent() for label in labels if label.get_visible() and label.get_text()]
            seen = [box for box in boxes if box.overlaps(one.get_window_extent().padded(20))]
            assert not [pair for pair in combinations(seen, 2) if pair[0].overlaps(pair[1])]
    titles = [axes[0].title, axes[0]._left_title, axes[0]._right_title, *axes[0].get_legend().get_texts()]
    boxes = [text.get_window_extent() for text in titles if text.get_text()]
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 for box in boxes)


def test_the_formats_are_what_they_say():
    picture = draw(statement(3))
    svg, html = picture.render("svg"), picture.render("html").decode()
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert picture.render("png").startswith(b"\x89PNG")
    assert html.startswith('<!doctype html><html lang="en">')
    assert "<title>0xf39Fd6e51a…b92266 on p&lt;$ro$</title>" in html
    assert "time (UTC)" in html
    assert draw(statement(3)).render("svg") == svg
    assert draw(statement(3))._repr_svg_().encode() == svg


def test_a_file_is_new_and_of_a_known_format(tmp_path):
    picture, path = draw(statement(1)), tmp_path / "alice.SVG"
    picture.save(path)
    written = path.read_bytes()
    with pytest.raises(AlreadyExists):
        picture.save(path)
    assert path.read_bytes() == written
    with pytest.raises(BadData, match="pdf"):
        picture.save(tmp_path / "alice.pdf")
    with pytest.raises(LogError, match="cannot be written"):
        picture.save(tmp_path / "nowhere" / "alice.svg")
    assert list(tmp_path.iterdir()) == [path]


def test_without_matplotlib_it_says_what_to_install():
    program = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from replay.tables.pictures import draw\n"
        "from ledger.errors import MissingExtra\n"
        "try: draw(None)\n"
        "except MissingExtra as error: print(error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == 'run: pip install "tollbook[plots]"\n'
