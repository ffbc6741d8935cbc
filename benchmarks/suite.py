"""All figures, in the order in which they are told."""

from __future__ import annotations

from . import auditing, folding, opening, rating, reading, settling, sizes, writing
from .figures import Comparison, Quantity
from .workshop import Workshop


def comparisons(workshop: Workshop) -> list[Comparison]:
    """What is timed."""
    rooms = (writing, reading, folding, opening, rating, auditing, settling)
    return [each for room in rooms for each in room.comparisons(workshop)]


def quantities(workshop: Workshop) -> list[Quantity]:
    """What is counted."""
    return sizes.quantities(workshop)


def figures(workshop: Workshop) -> list[Comparison | Quantity]:
    """What is timed, and what is counted."""
    return [*comparisons(workshop), *quantities(workshop)]
