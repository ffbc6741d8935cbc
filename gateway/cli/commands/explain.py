"""`tollbook explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import Json, Log

if TYPE_CHECKING:
    from ledger.statements import Explanation

_Charge = Annotated[
    int, typer.Argument(metavar="CHARGE", min=1, help="The charge: the sequence of its event.", show_default=False)
]


def explain(log: Log, charge: _Charge, json: Json = False) -> int:
    """How a charge came about: usage, tariff, meter and lines, computed again now, and what corrected it since.

    \b
    Examples:
      tollbook explain LOG 1234
      tollbook explain LOG $(sqlite3 LOG "select max(seq) from events where type = 'charged'")
      tollbook explain LOG 1234 --json

    Exits 1 where the price computed again is another one, and 2 where that sequence is not a charge.
    """
    from ledger import Ledger
    from ledger.errors import NotFound

    from ... import answers
    from .. import render
    from ..errors import BAD_ANSWER, DONE

    with Ledger.open(log, read_only=True) as ledger:
        found = ledger.explain(charge) if charge <= ledger.head.seq else None
        if found is None:
            raise NotFound(f"event {charge} is not a charge", "`tollbook events LOG --type charged` lists the charges")
        position = ledger.balance(found.subscriber, found.plan)
    answer = answers.explanation(found)
    if json:
        render.json(answer)
    else:
        _show(found, answer, position.decimals if position else 0)
    return DONE if found.agrees else BAD_ANSWER


def _show(found: Explanation, answer: dict[str, Any], decimals: int) -> None:
    from ..render import amount, line, table

    of = f"request {found.request}" if found.request else "no request"
    line(f"charge {found.charge} of {found.subscriber} on {found.plan}, {answer['at']}")
    line(f"  {'final' if found.final else 'part'}, for {of}")
    line(f"  usage: {_pairs(found.usage | found.labels) or 'none'}")
    if found.unpriced:
        line(f"  no price for: {_pairs(found.unpriced)}")
    line(f"  tariff {found.tariff}: {found.policy} {_pairs(found.parameters)}".rstrip())
    line(f"  meter before: {_pairs(found.before) or 'nothing'}")
    line()
    unit = "the smallest unit's credits" if decimals else "credits"
    table(("line", f">{unit}"), [(each["text"], each["credits"]) for each in answer["lines"]])
    line()
    price = found.credits + found.shortfall
    short = f", {amount(found.credits, decimals)} taken and {amount(found.shortfall, decimals)} short"
    line(f"price {amount(price, decimals)}" + (short if found.shortfall else ""))
    line(_verdict(found, decimals))
    lots = ", ".join(f"{amount(part, decimals)} from {f'lot {lot}' if lot else 'debt'}" for lot, part in found.draws)
    line(f"drawn: {lots or 'nothing'}")
    for each in answer["adjustments"]:
        line(f"adjusted at {each['seq']}, {each['at']}: {amount(each['credits'], decimals, True)} ({each['reason']})")
    line(f"net {amount(found.net, decimals)}")


def _verdict(found: Explanation, decimals: int) -> str:
    from ..render import amount

    if found.recomputed is None:
        return f"not computed again: no policy {found.policy} that takes these parameters is installed"
    again = amount(found.recomputed, decimals)
    return f"computed again: {again}, which {'agrees' if found.agrees else 'DISAGREES'}"


def _pairs(values: dict[str, Any]) -> str:
    import msgspec

    texts = (value if isinstance(value, str) else msgspec.json.encode(value).decode() for value in values.values())
    return ", ".join(f"{name}={text}" for name, text in zip(values, texts, strict=True))
