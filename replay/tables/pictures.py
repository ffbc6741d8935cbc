"""Pictures of an account: its balance over time, and the credits it was charged (extra `plots`).

from replay.tables.pictures import draw

draw(ledger.statement("alice", "pro"))                 # a notebook shows it
draw(ledger.statement("alice", "pro")).save("alice.svg")
"""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.amounts import SECOND, amount_text
from ledger.errors import AlreadyExists, BadData, LogError, MissingExtra
from ledger.statements import Statement, StatementLine

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("svg", "png", "html")

_MAX_POINTS = 2_000
_MAX_BARS = 60
_BARS = {
    "second": 1,
    "minute": 60,
    "5 minutes": 300,
    "hour": 3_600,
    "6 hours": 21_600,
    "day": 86_400,
    "week": 604_800,
    "30 days": 2_592_000,
    "year": 31_536_000,
}
"""The time that a bar covers, in seconds, by the name of its unit."""

_TICKS = ["%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M", "%H:%M:%S"]
_FIRST_TICKS = ["", "%b %Y", "%d %b", "%d %b", "%H:%M", "%H:%M"]
"""How dates are written by the distance of the ticks (years to seconds), and the first of a year, month and so on."""

_MAX_NAME_LENGTH = 30
_MIN_SPAN = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d17a00", "#666666"
_STYLE = {
    "svg.fonttype": "none",  # text stays text, to be searched and read aloud
    "svg.hashsalt": "tollbook",  # the same statement gives the same bytes
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 10,
}


class Picture:
    """A picture of an account. Notebooks show it; `save` writes it. `figure` is matplotlib's."""

    def __init__(self, figure: Figure, title: str) -> None:
        self.figure, self.title = figure, title

    def render(self, form: str) -> bytes:
        """Return the picture as the bytes of a file: one of FORMATS. Raises BadData for another."""
        if form == "html":
            svg = self.render("svg").decode()
            page = (
                '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
                "<body>{svg}</body></html>\n"
            )
            return page.format(title=escape(self.title), svg=svg[svg.index("<svg") :]).encode()
        if form not in FORMATS:
            raise BadData(f"there is no picture of the format {form!r}", f"name the file .{', .'.join(FORMATS)}")
        from matplotlib import rc_context

        file = io.BytesIO()
        with rc_context(_STYLE), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph")  # a name in a script that the font lacks
            self.figure.savefig(file, format=form, dpi=144, metadata={"Date": None} if form == "svg" else None)
        return file.getvalue()

    def save(self, path: Path | str) -> None:
        """Write a new file, in the format of its suffix. Raises BadData, AlreadyExists, or LogError where it cannot be
        written."""
        path = Path(path)
        rendered = self.render(path.suffix.lower().removeprefix("."))
        try:
            with path.open("xb") as file:
                file.write(rendered)
        except FileExistsError as error:
            raise AlreadyExists(f"{path} exists") from error
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise LogError(f"{path} cannot be written: {reason}", "check the path, its permissions") from error

    def _repr_svg_(self) -> str:
        return self.render("svg").decode()


def draw(statement: Statement) -> Picture:
    """Return the picture of a statement: the credits available and held after each movement, and those charged.

    Raises MissingExtra without matplotlib.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        message = "pictures need the package matplotlib, which is not installed"
        raise MissingExtra(message, 'run: pip install "tollbook[plots]"') from error
    title = f"{_short(statement.subscriber)} on {_short(statement.plan)}"
    with rc_context(_STYLE):
        figure = Figure(figsize=(9, 5.4), layout="constrained")
        balance, charged = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
        _draw_balance(balance, statement)
        _draw_charged(charged, statement)
        _name_axes(balance, charged, statement)
        until = f"{_when(statement.at):%Y-%m-%d %H:%M:%S} UTC"
        balance.set_title(title, loc="left", fontweight="bold", parse_math=False)
        balance.set_title(f"up to event {statement.seq}, {until}", loc="right", fontsize=9, color=_GREY)
    return Picture(figure, title)


def _draw_balance(axes: Any, statement: Statement) -> None:  # noqa: ANN401 - matplotlib's
    lines = _thinned(statement.lines)
    times = [_when(line.at) for line in lines] + [_when(statement.at)]
    balances = [line.balance for line in lines] + [statement.closing]
    axes.step(times, [balance.available for balance in balances], where="post", color=_BLUE, label="available")
    if any(balance.held for balance in balances):
        held = [balance.held for balance in balances]
        axes.step(times, held, where="post", color=_ORANGE, label="held", linewidth=1)
    axes.axhline(0, color=_GREY, linewidth=0.8)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)  # beside the lines, not on them
    axes.set_ylabel("credits")


def _draw_charged(axes: Any, statement: Statement) -> None:  # noqa: ANN401
    """Draw the credits charged, less those returned, by the bar in which they were."""
    lines = statement.lines
    span = lines[-1].at - lines[0].at if lines else 0
    name, seconds = next((bar for bar in _BARS.items() if span <= _MAX_BARS * bar[1] * SECOND), ("year", _BARS["year"]))
    bars: Counter[int] = Counter()
    for line in lines:
        bars[line.at // (seconds * SECOND)] += line.change.spent
    if not any(bars.values()):
        axes.set_ylim(0, 1)  # one unit of credits, so that there is one tick, 0
    starts = [_when(bar * seconds * SECOND) for bar in bars]
    axes.bar(
        starts, list(bars.values()), width=timedelta(seconds=seconds), align="edge", color=_BLUE, edgecolor="white"
    )
    axes.axhline(0, color=_GREY, linewidth=0.8)
    axes.set_ylabel(f"charged\nper {name}")


def _name_axes(balance: Any, charged: Any, statement: Statement) -> None:  # noqa: ANN401
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    locator = AutoDateLocator(tz=UTC, minticks=3, maxticks=8)
    charged.xaxis.set_major_locator(locator)
    charged.xaxis.set_major_formatter(ConciseDateFormatter(locator, UTC, _TICKS, zero_formats=_FIRST_TICKS))
    charged.set_xlabel("time (UTC)")
    for axes in (balance, charged):
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: amount_text(round(value), statement.decimals)))
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
    first, last = _when(statement.lines[0].at if statement.lines else statement.at), _when(statement.at)
    if last - first < _MIN_SPAN:
        charged.set_xlim(first - _MIN_SPAN / 2, last + _MIN_SPAN / 2)
    if not statement.lines:
        balance.text(0.5, 0.5, "no movement", transform=balance.transAxes, ha="center", color=_GREY)


def _thinned(lines: Sequence[StatementLine]) -> list[StatementLine]:
    """Return the last line of each of _MAX_POINTS equal times: the eye does not separate more."""
    if len(lines) <= _MAX_POINTS:
        return list(lines)
    first = lines[0].at
    step = max(1, -(-(lines[-1].at + 1 - first) // _MAX_POINTS))
    return [lines[0], *{(line.at - first) // step: line for line in lines}.values()]


def _when(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


def _short(name: str) -> str:
    return name if len(name) <= _MAX_NAME_LENGTH else f"{name[:12]}…{name[-6:]}"
