"""`tollbook explain`."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Annotated, Any

import msgspec
import typer

from ledger import Ledger
from ledger.amounts import exact_text
from ledger.errors import NotFound
from ledger.events import Line
from ledger.rating import is_exact
from ledger.statements import Explanation

from ... import answers
from .. import render
from ..errors import BAD_ANSWER, DONE
from ..options import Json, Log
from ..render import amount, line, table

_Charge = Annotated[
    int, typer.Argument(metavar="CHARGE", min=1, help="The charge: the sequence of its event.", show_default=False)
]


def explain(log: Log, charge: _Charge, json: Json = False) -> int:
    """Explain a charge: usage, tariff, price lines and corrections.

    \b
    Examples:
      tollbook explain LOG 1234
      tollbook explain LOG $(sqlite3 LOG "select max(seq) from events where type = 'charged'")
      tollbook explain LOG 1234 --json

    The price is computed again from the usage, the tariff and the meter at the time of the charge.

    Exit codes: 0 it agrees with the log, or could not be computed again; 1 it does not; 2 the sequence is not a charge.
    """
    with Ledger.open(log, read_only=True) as ledger:
        explanation = ledger.explain(charge) if charge <= ledger.head.seq else None
        if explanation is None:
            raise NotFound(f"event {charge} is not a charge", "`tollbook events LOG --type charged` lists the charges")
    answer = answers.explanation(explanation)
    if json:
        render.json(answer)
    else:
        _show(explanation, answer)
    return BAD_ANSWER if explanation.agrees is False else DONE


def _show(explanation: Explanation, answer: dict[str, Any]) -> None:
    decimals = explanation.decimals
    of = f"request {explanation.request}" if explanation.request else "no request"
    line(f"charge {explanation.charge} of {explanation.subscriber} on {explanation.plan}, {answer['at']}")
    line(f"  {'final' if explanation.final else 'part'}, for {of}")
    line(f"  usage: {_pairs(explanation.usage | explanation.labels) or 'none'}")
    if explanation.unpriced:
        line(f"  no price for: {_pairs(explanation.unpriced)}")
    line(f"  tariff {explanation.tariff}: {explanation.policy} {_pairs(explanation.parameters)}".rstrip())
    line(f"  meter before: {_pairs(explanation.before) or 'nothing'}")
    line()
    if explanation.lines:
        table(("~line", ">credits"), [_line(priced, decimals) for priced in explanation.lines])
        line()
    price, shortfall = explanation.credits + explanation.shortfall, explanation.shortfall
    short = f", {amount(explanation.credits, decimals)} taken and {amount(shortfall, decimals)} short"
    exact = "" if explanation.exact is None else f", exactly {exact_text(Fraction(explanation.exact), decimals)}"
    line(f"price {amount(price, decimals)}{exact}" + (short if shortfall else ""))
    for verdict in _verdict(explanation, decimals):
        line(verdict)
    draws = ((f"lot {lot}" if lot else "debt", amount(credits, decimals)) for lot, credits in explanation.draws)
    line(f"drawn: {', '.join(f'{credits} from {source}' for source, credits in draws) or 'nothing'}")
    for correction in answer["adjustments"]:
        change = amount(correction["credits"], decimals, True)
        line(f"adjusted at {correction['seq']}, {correction['at']}: {change} ({correction['reason']})")
    line(f"net {amount(explanation.net, decimals)}")


def _line(priced: Line, decimals: int) -> tuple[str, str]:
    """Return a line's text and its exact credits, in whole credits of the plan; as they are in the log where they are
    no exact amounts."""
    rate, credits = (
        exact_text(Fraction(text), decimals) if is_exact(text) else text for text in (priced.rate, priced.credits)
    )
    if priced.text or not priced.dimension:
        return priced.text or f"{credits} credits", credits
    return f"{priced.units:,} {priced.dimension} at {rate}", credits


def _verdict(explanation: Explanation, decimals: int) -> Iterator[str]:
    """Yield what the price computed again says of the charge, and what is wrong with the lines or the policy."""
    fault = explanation.fault
    if explanation.recomputed is None:
        yield f"{'' if explanation.agrees is None else 'DISAGREES, and '}not computed again: {fault}"
        return
    price = explanation.credits + explanation.shortfall
    again = amount(explanation.recomputed, decimals)
    yield f"computed again: {again}, which {'agrees' if explanation.recomputed == price else 'DISAGREES'}"
    if fault is not None:
        yield f"{'' if explanation.agrees else 'DISAGREES: '}{fault}"
    elif not explanation.lines and price:
        yield "the policy gives no lines"


def _pairs(values: dict[str, Any]) -> str:
    texts = (value if isinstance(value, str) else msgspec.json.encode(value).decode() for value in values.values())
    return ", ".join(f"{name}={text}" for name, text in zip(values, texts, strict=True))
