"""Readings of a log as the JSON answers of the gateway; keys are stable, and documented with the commands."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from ledger.events import Adjusted, Line, encode
from ledger.log import Entry
from ledger.readings import Balance, InvoiceReading, Reading
from ledger.rounding import Rounding
from ledger.statements import Explanation, Statement
from replay.audit.findings import time_text


def path_text(path: Path) -> str:
    """Return a path as text; bytes that are not UTF-8 are replaced."""
    return str(path).encode(errors="surrogateescape").decode(errors="replace")


def as_of(reading: Reading) -> dict[str, Any]:
    """Return the sequence and time of a reading."""
    return {"seq": reading.seq, "at": time_text(reading.at)}


def catalogue(log: Path, seq: int, at: int) -> dict[str, Any]:
    """Return the head of the answers of `plans` and `agents`."""
    return {"log": path_text(log), "as_of": {"seq": seq, "at": time_text(at)}}


def balances(log: Path, reading: Reading, accounts: Iterable[Balance]) -> dict[str, Any]:
    """Return the answer of `balance`."""
    return {"log": path_text(log), "as_of": as_of(reading), "accounts": [_account(balance) for balance in accounts]}


def _account(balance: Balance) -> dict[str, Any]:
    until = balance.access_until
    shape = msgspec.structs.asdict(balance) | {"access_until": None if until is None else time_text(until)}
    if balance.billing is None:
        del shape["billing"]
    return _without_empty(shape)


def _without_empty(shape: dict[str, Any]) -> dict[str, Any]:
    """Leave out `unpriced` if no units lack a price."""
    return shape if shape["unpriced"] else {key: value for key, value in shape.items() if key != "unpriced"}


def invoices(log: Path, reading: Reading, found: Iterable[InvoiceReading], credit: Iterable[Balance]) -> dict[str, Any]:
    """Return the answer of `invoices`: those found, and the accounts with credit that pays their next ones."""
    listed = [msgspec.structs.asdict(each) | {"at": time_text(each.at), "due": time_text(each.due)} for each in found]
    credits = [
        {
            "account": each.account,
            "subscriber": each.subscriber,
            "plan": each.plan,
            "asset": each.billing.asset,
            "asset_decimals": each.billing.asset_decimals,
            "credit": each.billing.credit,
        }
        for each in credit
        if each.billing is not None
    ]
    return {"log": path_text(log), "as_of": as_of(reading), "invoices": listed, "credit": credits}


def statement(
    log: Path, reading: Reading, account: Statement, rounding: Rounding, proof: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the answer of `statement`."""
    shape = {
        "log": path_text(log),
        "account": account.account,
        "subscriber": account.subscriber,
        "plan": account.plan,
        "decimals": account.decimals,
        "as_of": as_of(reading),
        "opening": account.opening,
        "lines": [_without_empty(msgspec.structs.asdict(line) | {"at": time_text(line.at)}) for line in account.lines],
        "closing": account.closing,
        "proof": proof,
        "rounding": rounding,
        "shortfall": account.shortfall,
        "unpriced": account.unpriced,
    }
    return _without_empty(shape)


def event(entry: Entry) -> dict[str, Any]:
    """Return a line of `events`."""
    return {"seq": entry.seq, "at": time_text(entry.at), "event": msgspec.Raw(encode(entry.event))}


def explanation(charge: Explanation) -> dict[str, Any]:
    """Return the answer of `explain`."""
    tariff = {"version": charge.tariff, "policy": charge.policy, "parameters": charge.parameters}
    shape = {
        "charge": charge.charge,
        "at": time_text(charge.at),
        "account": charge.account,
        "subscriber": charge.subscriber,
        "plan": charge.plan,
        "decimals": charge.decimals,
        "request": charge.request,
        "final": charge.final,
        "usage": charge.usage,
        "labels": charge.labels,
        "before": charge.before,
        "tariff": tariff,
        "lines": [_line(line) for line in charge.lines],
        "credits": charge.credits,
        "shortfall": charge.shortfall,
        "exact": charge.exact,
        "recomputed": charge.recomputed,
        "agrees": charge.agrees,
        "fault": charge.fault,
        "draws": charge.draws,
        "adjustments": [_adjustment(entry) for entry in charge.adjustments],
        "net": charge.net,
        "unpriced": charge.unpriced,
    }
    return _without_empty(shape)


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
