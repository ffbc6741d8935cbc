"""What the commands answer in JSON, key by key as contract.md has it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from ledger.events import Adjusted, Line, encode
from ledger.log import Entry
from ledger.readings import Balance, Reading
from ledger.statements import Explanation, Statement
from replay.audit.findings import time_text


def path_text(path: Path) -> str:
    """A path as text, whatever bytes it is made of."""
    return str(path).encode(errors="surrogateescape").decode(errors="replace")


def as_of(reading: Reading) -> dict[str, Any]:
    """The moment of a reading."""
    return {"seq": reading.seq, "at": time_text(reading.at)}


def balances(log: Path, reading: Reading, accounts: Iterable[Balance]) -> dict[str, Any]:
    """The answer of `balance`."""
    return {"log": path_text(log), "as_of": as_of(reading), "accounts": [_account(each) for each in accounts]}


def _account(balance: Balance) -> dict[str, Any]:
    until = balance.access_until
    shape = msgspec.structs.asdict(balance) | {"access_until": None if until is None else time_text(until)}
    return _where_any(shape)


def _where_any(shape: dict[str, Any]) -> dict[str, Any]:
    """Units without a price are told where there are any."""
    return shape if shape["unpriced"] else {name: value for name, value in shape.items() if name != "unpriced"}


def statement(log: Path, reading: Reading, found: Statement, proof: dict[str, Any] | None = None) -> dict[str, Any]:
    """The answer of `statement`."""
    shape = {
        "log": path_text(log),
        "account": found.account,
        "subscriber": found.subscriber,
        "plan": found.plan,
        "as_of": as_of(reading),
        "opening": found.opening,
        "lines": [_where_any(msgspec.structs.asdict(line) | {"at": time_text(line.at)}) for line in found.lines],
        "closing": found.closing,
        "proof": proof,
        "unpriced": found.unpriced,
    }
    return _where_any(shape)


def event(entry: Entry) -> dict[str, Any]:
    """A line of `events`."""
    return {"seq": entry.seq, "at": time_text(entry.at), "event": msgspec.Raw(encode(entry.event))}


def explanation(found: Explanation) -> dict[str, Any]:
    """The answer of `explain`."""
    tariff = {"version": found.tariff, "policy": found.policy, "parameters": found.parameters}
    shape = {
        "charge": found.charge,
        "at": time_text(found.at),
        "account": found.account,
        "subscriber": found.subscriber,
        "plan": found.plan,
        "request": found.request,
        "final": found.final,
        "usage": found.usage,
        "labels": found.labels,
        "before": found.before,
        "tariff": tariff,
        "lines": [_line(line) for line in found.lines],
        "credits": found.credits,
        "shortfall": found.shortfall,
        "recomputed": found.recomputed,
        "agrees": found.agrees,
        "draws": found.draws,
        "adjustments": [_adjustment(entry) for entry in found.adjustments],
        "net": found.net,
        "unpriced": found.unpriced,
    }
    return _where_any(shape)


def _line(line: Line) -> dict[str, Any]:
    computed = f"{line.units} {line.dimension} at {line.rate}" if line.dimension else f"{line.credits} credits"
    return {
        "text": line.text or computed,
        "dimension": line.dimension,
        "units": line.units,
        "rate": line.rate,
        "credits": line.credits,
    }


def _adjustment(entry: Entry) -> dict[str, Any]:
    assert isinstance(entry.event, Adjusted)
    return {"seq": entry.seq, "at": time_text(entry.at), "credits": entry.event.credits, "reason": entry.event.reason}
