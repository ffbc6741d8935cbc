"""Reports of figures: on a terminal, in Markdown, in the documentation's pages, in pictures."""

import json
from dataclasses import replace

import pytest

from . import growth, pages, tables
from .__main__ import main, measured
from .figures import Quantity, Row
from .growth import FIGURES, Scale
from .rounds import WrongAnswer


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1.5, "1.50 s"), (0.0123, "12.3 ms"), (0.000456, "456 µs"), (7.89e-7, "789 ns"), (1234.0, "1,234 s")],
)
def test_a_duration_has_three_digits_and_its_unit(seconds, text):
    assert tables.duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(1e-5, "100 k/s"), (5e-7, "2.00 M/s"), (0.5, "2.00/s")])
def test_a_rate_is_how_many_there_are_in_a_second(seconds, text):
    assert tables.rate(seconds) == text


FLOOR = Row("a", "a charge", "charge", 1e-5, 0.1, "floor", 5e-6, 0.5, (0.4, 0.6), "a third", True)
PEER = Row("a", "a charge", "charge", 1e-5, 0.1, "peer", skipped="not installed")


def test_a_table_names_a_figure_once_and_each_other_beside_it():
    assert tables.markdown([FLOOR, PEER]).splitlines()[2:] == [
        "| a charge | 10.0 µs, 100 k/s | floor | 5.00 µs, 200 k/s | 0.50 (0.40 to 0.60) | a third | yes |",
        "|  |  | peer |  | skipped: not installed |  |  |",
    ]


def test_a_line_says_whether_an_aim_was_reached():
    assert tables.text(FLOOR).endswith("[a third: reached]")
    assert tables.text(Row("size", "a charge", "byte", 348, aim="150", reached=False, counted=True)) == (
        "a charge: 348 bytes  [150: NOT reached]"
    )


def test_only_rows_with_an_aim_are_in_the_short_table():
    assert tables.aimed([FLOOR, PEER]) == [FLOOR]


def test_a_page_is_filled_between_its_marks_and_nowhere_else(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- figures -->\nold\n<!-- end of figures -->\nafter\n")
    for content in ("new \\1 and more", "newer"):
        assert pages.fill(page, "figures", content)
        assert page.read_text() == f"before\n<!-- figures -->\n{content}\n<!-- end of figures -->\nafter\n"
    assert not pages.fill(page, "aims", "none")


def test_the_documentation_has_the_marks_that_the_commands_fill():
    text = pages.PAGE.read_text()
    for name in (pages.MACHINE, pages.AIMS, pages.FIGURES, pages.GROWTH):
        assert text.count(f"<!-- {name} -->") == text.count(f"<!-- end of {name} -->") == 1


def test_one_command_measures_and_writes_json(tmp_path, capsys):
    saved = tmp_path / "figures.json"
    arguments = ["--size", "small", "--rounds", "1", "--only", "price.time", "--only", "size.pair", "--markdown"]
    assert main([*arguments, "--json", str(saved)]) == 0
    report = json.loads(saved.read_text())
    assert [(row["name"], row.get("other", "")) for row in report["figures"]] == [
        ("price.time", "tollbook, with its lines"),
        ("price.time", "the formula alone"),
        ("size.pair", ""),
    ]
    assert report["machine"]["sync_microseconds"] > 0
    assert "| what | Tollbook | beside |" in capsys.readouterr().out


def test_a_figure_that_fails_takes_no_other_with_it(tmp_path, capsys):
    def wrong(folder):
        raise WrongAnswer("it came to 2")

    figures = [Quantity("one", "the first", "byte", wrong), Quantity("two", "the second", "byte", lambda folder: 5)]
    rows, failed = measured(figures, tmp_path, 1)
    assert (failed, rows[0].failed, rows[1].value) == (1, "WrongAnswer: it came to 2", 5)
    assert "the first:   FAILED: WrongAnswer: it came to 2\nthe second: 5.00 bytes" in capsys.readouterr().out


@pytest.fixture
def copied_pages(tmp_path, monkeypatch):
    """The documentation's page and a README with a short table's marks, in a folder of this test."""
    page, readme = tmp_path / "performance.md", tmp_path / "README.md"
    page.write_text(pages.PAGE.read_text())
    readme.write_text("<!-- aims -->\n<!-- end of aims -->\n")
    monkeypatch.setattr(pages, "PAGE", page)
    monkeypatch.setattr(pages, "README", readme)
    return page, readme


def test_one_command_fills_the_documentation(copied_pages, tmp_path):
    page, readme = copied_pages
    only = ["--only", "size.charge.", "--only", "size.charge"]
    assert main(["--size", "small", "--write-docs", *only, "--json", str(tmp_path / "figures.json")]) == 0
    assert "| the same with a key |" in page.read_text()
    assert "a small fdatasync took" in page.read_text()
    assert readme.read_text().count("150 bytes or less") == 1
    assert "with a key" not in readme.read_text()


TINY = Scale(
    events=100, accounts=9, first_events=100, first_accounts=10, fixed_accounts=4, fixed_events=60, batch=20, singles=3
)


def test_growth_continues_where_it_was_stopped(tmp_path, capsys):
    """The first run ends at 100 events; the second measures only what is new, on the same log, grown."""
    saved, folder = tmp_path / "growth.json", tmp_path / "logs"
    (first,) = growth.run(saved, TINY, folder)
    both = growth.run(saved, replace(TINY, events=1_000, accounts=10), folder)
    assert both[0] == first == json.loads(saved.read_text())[0]
    assert [(point["axis"], point["size"]) for point in both] == [
        ("events", 100),
        ("events", 1_000),
        ("accounts", 10),
    ]
    assert both[1]["events"] >= 1_000
    assert all(point[name] > 0 for point in both for name in FIGURES)
    assert growth.markdown(both, "events").splitlines()[0].count(" accounts |") == 2
    assert capsys.readouterr().out.count("opening a settlement") == 4


def points(axis, *sizes):
    return [
        {"axis": axis, "size": size, "events": size, "accounts": size, "bytes": size, **dict.fromkeys(FIGURES, 1e-5)}
        for size in sizes
    ]


def test_growth_is_drawn_with_a_panel_for_each_figure_and_put_into_its_page(copied_pages):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install -e '.[benchmarks]'")
    page, _ = copied_pages
    growth.write_docs([*points("accounts", 100, 1_000), *points("events", 10**4, 10**5, 10**6)])
    for axis in ("events", "accounts"):
        assert f"](growth-{axis}.svg)" in page.read_text()
        drawn = (page.parent / f"growth-{axis}.svg").read_text()
        assert all(title in drawn for title in FIGURES.values())
        assert len(drawn) < 100_000
