"""`tollbook plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ... import answers
from ...errors import UsageError
from ...logs import opened, statement_of
from .. import render
from ..options import AsOf, Json, Log, Plan, Subscriber, a_new_file
from .statement import From

_Out = Annotated[
    Path,
    typer.Option(
        metavar="FILE", help="A new file that ends in .svg, .png or .html.", show_default=False, callback=a_new_file
    ),
]


def plot(
    log: Log,
    subscriber: Subscriber,
    plan: Plan,
    out: _Out,
    as_of: AsOf = None,
    begin: From = None,
    json: Json = False,
) -> None:
    """Draw an account's balance over time, and the credits it was charged.

    \b
    Examples:
      tollbook plot LOG --subscriber alice --plan pro --out alice.svg
      tollbook plot LOG --subscriber alice --plan pro --from 2023-11-16T18:00:00Z --out alice.png

    The figures are those of `tollbook statement`: credits available and held after each movement, and below them the
    credits charged, less those returned, by the hour, day or another time that fits. An existing file is an error. It
    needs the extra `plots`: pip install 'tollbook[plots]'.

    Exit codes: 0 done; 2 could not run, or FILE was not made.
    """
    from replay.tables.pictures import FORMATS, draw

    if out.suffix.lower().removeprefix(".") not in FORMATS:
        raise UsageError(f"{out} is not the name of a picture", f"end it in .{', .'.join(FORMATS)}")
    with opened(log) as store:
        _, account = statement_of(store, subscriber, plan, as_of, begin)
    draw(account).save(out)
    shown = answers.path_text(out)
    if json:
        render.json({"log": answers.path_text(log), "file": shown, "movements": len(account.lines)})
    else:
        render.line(
            f"{render.counted(len(account.lines), 'movement')} of {account.subscriber} on {account.plan} in {shown}"
        )
