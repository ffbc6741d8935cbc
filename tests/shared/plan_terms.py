"""Terms of plans that are drawn field by field, made consistent."""

from typing import Any


def consistent(terms: dict[str, Any]) -> dict[str, Any]:
    """The terms without a debt limit that no overrun rule reads: such a plan is refused."""
    return terms if terms["overrun"] == "debt" else terms | {"debt_limit": 0}
