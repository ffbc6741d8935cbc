"""Growth as pictures: one small panel a figure, both axes logarithmic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

from .tables import duration

_INK, _LINE = "#333333", "#1f6f8b"


def draw(path: Path, axis: str, points: Sequence[Mapping[str, Any]], figures: Mapping[str, str]) -> None:
    """Draw all figures along that axis into an SVG."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "tollbook", "font.size": 8, "text.color": _INK}
    along = sorted((point for point in points if point["axis"] == axis), key=lambda point: point["size"])
    sizes = [point[axis] for point in along]
    with matplotlib.rc_context(style):
        drawing, panels = pyplot.subplots(3, 3, figsize=(9, 6.6), sharex=True, layout="constrained")
        for panel, (name, title) in zip(panels.flat, figures.items(), strict=True):
            values = [point[name] for point in along]
            panel.loglog(sizes, values, marker="o", markersize=4, linewidth=1.4, color=_LINE)
            low, high = min(values) / 2, max(values) * 2
            panel.set_ylim(min(low, high / 100), max(high, low * 100))  # so that noise does not look like growth
            panel.set_title(title, fontsize=9, loc="left", color=_INK)
            panel.annotate(duration(values[0]), (sizes[0], values[0]), (0, 6), textcoords="offset points")
            panel.annotate(
                duration(values[-1]), (sizes[-1], values[-1]), (0, 6), textcoords="offset points", ha="right"
            )
            panel.yaxis.set_major_locator(LogLocator(numticks=4))
            panel.yaxis.set_major_formatter(FuncFormatter(lambda seconds, _: _decade(seconds)))
            panel.xaxis.set_minor_locator(NullLocator())
            panel.yaxis.set_minor_locator(NullLocator())
            panel.tick_params(which="both", length=2, colors=_INK)
            panel.spines[["top", "right"]].set_visible(False)
            panel.set_xlim(10 ** floor(log10(sizes[0])) / 2, 10 ** ceil(log10(sizes[-1])) * 2)
        drawing.supxlabel(f"{axis} in the log" if axis == "events" else axis, fontsize=9, color=_INK)
        path.parent.mkdir(exist_ok=True)
        drawing.savefig(path, metadata={"Date": None})
        pyplot.close(drawing)


def _decade(seconds: float) -> str:
    """Format a power of ten: `10 µs`."""
    number, unit = duration(seconds).split()
    return f"{float(number.replace(',', '')):g} {unit}"
