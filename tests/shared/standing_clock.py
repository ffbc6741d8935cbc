"""A clock that stands still until it is moved, for tests of a ledger with time in their hand."""

SECOND = 1_000_000
BEGIN = 1_700_000_000 * SECOND


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> int:
        return self.now
