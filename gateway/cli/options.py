"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, TypeVar

import typer

from ledger.stores import MEMORY

from ..errors import UsageError
from ..logs import check_free

P = TypeVar("P", Path, Path | None)


def a_file(path: P) -> P:
    """Return the path of a file, if one is given. Raises UsageError for `:memory:`, which no other process could
    read."""
    if str(path) == MEMORY:
        raise UsageError(f"{MEMORY} is a log that ends with its process", "give the path of a file")
    return path


def a_new_file(path: Path | None) -> Path | None:
    """Return the path of a file that a command will make; None if it was not asked for. Raises AlreadyExists, and
    UsageError for `:memory:` and for a path that belongs to a log."""
    if path is not None:
        check_free(a_file(path))
    return path


Log = Annotated[
    Path, typer.Argument(metavar="LOG", help="The log: an SQLite file.", show_default=False, callback=a_file)
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, errors too.")]
Subscriber = Annotated[
    str, typer.Option(metavar="S", help="The customer's name, or its address in any spelling.", show_default=False)
]
Plan = Annotated[str, typer.Option(metavar="P", help="The plan.", show_default=False)]
OneSubscriber = Annotated[
    str | None, typer.Option("--subscriber", metavar="S", help="Only this subscriber's accounts.", show_default=False)
]
OnePlan = Annotated[
    str | None, typer.Option("--plan", metavar="P", help="Only accounts on this plan.", show_default=False)
]
AsOf = Annotated[
    str | None,
    typer.Option(
        metavar="MOMENT",
        help="A sequence number, a time (UTC if it names no zone), or now. Without it: the log's end.",
        show_default=False,
    ),
]
Limit = Annotated[int | None, typer.Option(metavar="N", min=1, help="At most the first N.", show_default=False)]
After = Annotated[int, typer.Option(metavar="SEQ", min=0, help="Only events after this sequence.")]
Hashes = Annotated[bool, typer.Option("--hashes", help="Also show roots, digests and transactions in full.")]
