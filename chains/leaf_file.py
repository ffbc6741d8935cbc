"""The leaf file: a whole batch as JSON that people can read, in exactly one way, so that its hash stands for it.

One field a line, one leaf and one payout a line. Money is JSON integers of any size: a reader must not pass them
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
    """Return the batch's leaf file: UTF-8, ended by a newline; `covers` is sorted by stream, the rest is as the batch
    has it.

    Raises ValueError where leaves or payouts are not sorted, an account or a receiver occurs twice, or a text cannot
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
    """Return the batch of a leaf file. Raises BadData for anything but the very bytes that `encode` writes."""
    try:
        found = _format.decode(data).format
        if found != FORMAT:
            raise BadData(f"this is a leaf file of the format {found!r}, not {FORMAT!r}")
        batch = _batch.decode(data)
        written = encode(batch)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadData(f"this is not a leaf file: {error}") from error
    if written != data:
        line = _first_difference(written, data)
        raise BadData(f"the file is not written in the one way that its hash can stand for: see line {line}", line=line)
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
