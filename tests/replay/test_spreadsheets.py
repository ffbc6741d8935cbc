"""A csv for spreadsheets: nothing in it is a formula, however its cells are parted; and it still says what was."""

import csv
import io
import json
import re
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import CreatePlan, Give, Ledger, Purchase, Withdraw
from replay.reports.exports import export
from replay.reports.spreadsheets import inert_json, inert_text

SIGNS = "=+-@＝＋－＠"
BLANK = " \t\r\n\v\f\x00\x85\xa0\ufeff\u200b\u2028\u2029"
NASTY = st.text(
    st.one_of(st.sampled_from(SIGNS + BLANK + ",;|\"'\\/:"), st.sampled_from("a1(é語{[")), max_size=20
)  # fmt: skip


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet would run a cell, leniently read: not a plain number."""
    bare = cell.lstrip(BLANK + '"')
    digits = bare.removeprefix("-")
    return bare[:1] in tuple(SIGNS) and not (digits.isascii() and digits.isdigit())


def cells(text: str, parted: str) -> list[str]:
    """The cells as a spreadsheet sees them where it parts them there, and where it knows nothing of quotes."""
    text = text.replace("\x00", "")
    read = [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter=parted) for cell in row]
    return read + [cell for line in text.splitlines() for cell in line.split(parted)]


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("before", ["", " ", "\t", "\n", 'x"', "x,", "x;", "x; ", "x\t", "x|", "x\r\n", ';"', "\ufeff"])
def test_what_begins_like_a_formula_gets_an_apostrophe(sign, before):
    text = inert_text(f"{before}{sign}1+1")
    assert not any(is_formula(cell) for parted in ",;\t|" for cell in cells(text, parted))
    assert text.replace("'", "") == f"{before}{sign}1+1"


@pytest.mark.parametrize("text", ["", "ann", "ann@example.com", "a-b", "1=1", "a + b", "{}", "2023-11-16T18:00:00Z"])
def test_other_text_stays_as_it_is(text):
    assert inert_text(text) == text


@pytest.mark.parametrize("text", ["\tann", "\rann", "\nann"])
def test_a_tab_or_a_line_end_at_the_beginning_is_text(text):
    assert inert_text(text) == f"'{text}"


@given(st.dictionaries(NASTY, st.one_of(NASTY, st.integers(), st.none(), st.lists(st.integers()))))
def test_the_json_is_the_same_value(value):
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert json.loads(inert_json(text)) == value
        assert not set(SIGNS) & set(re.sub(r"-(?=\d)", "", inert_json(text)))


@settings(deadline=None, max_examples=100)
@given(names=st.lists(NASTY.filter(lambda name: name.strip("\x00") and "\x00" not in name), min_size=1, max_size=3))
def test_no_cell_is_a_formula_wherever_cells_are_parted(tmp_path_factory, names):
    log = tmp_path_factory.mktemp("log") / "log.db"
    with Ledger.open(log, clock=lambda: 0) as ledger:
        for name in dict.fromkeys(names):
            ledger.execute(CreatePlan(plan=name, owner=name, asset="USD", price={name: 10}, credits=3))
            ledger.execute(Give(subscriber=name, plan=name, credits=5))
            ledger.execute(Withdraw(subscriber=name, plan=name, credits=2))
    raw, safe = io.StringIO(newline=""), io.StringIO(newline="")
    export(log, "csv", raw)
    export(log, "csv", safe, spreadsheet=True)
    for parted in ",;\t|":
        assert [cell for cell in cells(safe.getvalue(), parted) if is_formula(cell)] == []
    same(raw.getvalue(), safe.getvalue())


def same(raw: str, safe: str) -> None:
    """Both say the same: numbers as they are, events as values, and text but for apostrophes."""
    rows, inert = (list(csv.DictReader(io.StringIO(text, newline=""))) for text in (raw, safe))
    for one, other in zip(rows, inert, strict=True):
        assert json.loads(one.pop("event")) == json.loads(other.pop("event"))
        assert one.pop("credits") == other.pop("credits_decimal")  # the plans have no decimals
        cents, money = one.pop("amount"), other.pop("amount_decimal")
        assert cents == money == "" or Fraction(cents) == Fraction(money) * 100
        for name, cell in one.items():
            number = name not in ("at", "type", "subscriber", "plan", "asset")
            assert (other[name] if number else other[name].replace("'", "")) == (
                cell if number else cell.replace("'", "")
            )


def test_numbers_stay_numbers(tmp_path: Path):
    with Ledger.open(tmp_path / "log.db", clock=lambda: 0) as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", asset="USD", price={"acme": 10**30}, credits=10)).unwrap()
    out = io.StringIO(newline="")
    export(tmp_path / "log.db", "csv", out, spreadsheet=True)
    row = out.getvalue().splitlines()[1].split(",")
    assert (row[0], row[9]) == ("1", "10")
    assert '"' in row[1]


@given(credits=st.integers(1, 2**62), money=st.integers(1, 10**40), plans=st.integers(0, 18), assets=st.integers(0, 36))
def test_amounts_are_exact_decimals_of_the_plan_and_of_the_asset(tmp_path_factory, credits, money, plans, assets):
    """In a file that begins after the plan, too; large numbers are not rounded, small ones have no exponent."""
    path = tmp_path_factory.mktemp("log") / "log.db"
    with Ledger.open(path, clock=lambda: 0) as ledger:
        terms = {"owner": "acme", "asset": "X", "asset_decimals": assets, "decimals": plans}
        ledger.execute(CreatePlan(plan="pro", price={"acme": money}, credits=credits, **terms)).unwrap()
        ledger.execute(Purchase(subscriber="ann", plan="pro")).unwrap()
    out = io.StringIO(newline="")
    export(path, "csv", out, spreadsheet=True, after=1)
    bought = next(csv.DictReader(io.StringIO(out.getvalue(), newline="")))
    assert "credits" not in bought
    for cell, amount, decimals in (
        (bought["credits_decimal"], credits, plans),
        (bought["amount_decimal"], money, assets),
    ):
        assert re.fullmatch(r"[0-9]+(\.[0-9]+)?", cell)
        assert Fraction(cell) * 10**decimals == amount
        assert len(cell.partition(".")[2]) == decimals
