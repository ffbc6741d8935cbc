"""All figures, in the order of the report."""

from __future__ import annotations

from . import auditing, folding, opening, rating, reading, settling, sizes, writing
from .figures import Comparison, Quantity
from .workshop import Workshop


def comparisons(workshop: Workshop) -> list[Comparison]:
    """Return the figures that are timed."""
    rooms = (writing, reading, folding, opening, rating, auditing, settling)
    return [each for room in rooms for each in room.comparisons(workshop)]


def quantities(workshop: Workshop) -> list[Quantity]:
    """Return the figures that are counted."""
    return sizes.quantities(workshop)


def figures(workshop: Workshop) -> list[Comparison | Quantity]:
    """Return all figures: timed, then counted."""
    return [*comparisons(workshop), *quantities(workshop)]
