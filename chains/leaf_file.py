"""The leaf file: a whole batch as readable JSON in one canonical encoding, so that its hash identifies the batch.

One field per line, one leaf and one payout per line. Amounts are JSON integers of any size: a reader must not pass them
through floating point. Anyone who has the file can check what no single proof shows: that an account has one leaf,
and that leaves match payouts.
"""

from __future__ import annotations

from itertools import pairwise, zip_longest

import msgspec

from ledger.errors import BadData
from ledger.events import Leaf, Payout
from ledger.settlement.messages import Batch

FORMAT = "tollbook-leaves-1"
"""The value of the file's first field, `format`."""


class _Format(msgspec.Struct):
    format: str


_encoder = msgspec.json.Encoder()
_format: msgspec.json.Decoder[_Format] = msgspec.json.Decoder(_Format)
_batch: msgspec.json.Decoder[Batch] = msgspec.json.Decoder(Batch)


def encode(batch: Batch) -> bytes:
    """Return the batch's leaf file: UTF-8, ended by a newline. `covers` is sorted by stream; everything else keeps the
    batch's order.

    Raises ValueError if leaves or payouts are not sorted, an account or a receiver occurs twice, or a text cannot
    be written as UTF-8. Two spellings of one address are two texts here; `leaves.check_unique` finds them.
    """
    _check_order("leaves", "by subscriber and plan", [(leaf.subscriber, leaf.plan) for leaf in batch.leaves])
    _check_order("payouts", "by receiver", [(payout.receiver,) for payout in batch.payouts])
    fields = {"format": _encoder.encode(FORMAT)}
    fields |= {name: _encoder.encode(getattr(batch, name)) for name in Batch.__struct_fields__}
    fields["covers"] = _encoder.encode(dict(sorted(batch.covers.items())))
    fields["leaves"], fields["payouts"] = _rows(batch.leaves), _rows(batch.payouts)
    lines = [b"  " + _encoder.encode(name) + b": " + value for name, value in fields.items()]
    return b"{\n" + b",\n".join(lines) + b"\n}\n"


def decode(data: bytes) -> Batch:
    """Return the batch of a leaf file. Raises BadData unless the bytes are exactly those that `encode` writes."""
    try:
        format = _format.decode(data).format
        if format != FORMAT:
            raise BadData(f"this is a leaf file of the format {format!r}, not {FORMAT!r}")
        batch = _batch.decode(data)
        written = encode(batch)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadData(f"this is not a leaf file: {error}") from error
    if written != data:
        line = _first_difference(written, data)
        raise BadData(f"the leaf file is not in its canonical encoding: see line {line}", line=line)
    return batch


def _rows(rows: tuple[Leaf, ...] | tuple[Payout, ...]) -> bytes:
    if not rows:
        return b"[]"
    return b"[\n" + b",\n".join(b"    " + _encoder.encode(row) for row in rows) + b"\n  ]"


def _check_order(what: str, order: str, keys: list[tuple[str, ...]]) -> None:
    for before, after in pairwise(keys):
        if before == after:
            raise ValueError(f"{' on '.join(map(repr, after))} occurs twice among the {what}")
        if before > after:
            raise ValueError(f"the {what} are not sorted {order}: {after} comes after {before}")


def _first_difference(written: bytes, data: bytes) -> int:
    """Return the first line, counted from 1, in which two spellings of one batch differ."""
    lines = zip_longest(written.splitlines(keepends=True), data.splitlines(keepends=True))
    return next(number for number, (ours, theirs) in enumerate(lines, 1) if ours != theirs)
