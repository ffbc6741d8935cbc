"""Bodies of commits: the one module that knows how events are stored as bytes.

A body of kind `TEXT` is a JSON array of events. `BINARY` bodies may be stored and hashed; this release does not read
them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from ..events import EVENT_TYPES, Event, Recorded, decode_one, tag

TEXT, BINARY = 1, 2
"""The kinds of bodies."""

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""The errors of `decode`."""


class Subject(msgspec.Struct, gc=False):
    """The part of an event that names its account."""

    type: str
    account: int = 0
    request: int = 0


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[list[Recorded]] = msgspec.json.Decoder(list[Recorded])
_subjects = msgspec.json.Decoder(list[Subject])
_raw = msgspec.json.Decoder(list[msgspec.Raw])
_ESCAPED = b"\\u"
"""Another writer of JSON may escape any letter of a tag."""


def encode(events: Sequence[Event]) -> bytes:
    """Return events as a body of kind `TEXT`."""
    return _encoder.encode(events)


def decode(kind: int, body: bytes, *, strict: bool = False) -> list[Recorded]:
    """Return the events of a body. Raise one of `UNREADABLE` if it holds none, or is not of kind `TEXT`.

    `strict` also checks the encoding of text in fields that this release does not know.
    """
    _check_text(kind)
    if strict:
        body.decode()
    return _decoder.decode(body)


def decode_at(kind: int, body: bytes, positions: Sequence[int]) -> list[Recorded]:
    """Return the events at those positions of a body, decoding no others. Raise as `decode` does, or IndexError."""
    _check_text(kind)
    lines = _raw.decode(body)
    return [decode_one(lines[position]) for position in positions]


def subjects(kind: int, body: bytes) -> list[Subject]:
    """Return the subject of each event of a body. Raise as `decode` does."""
    _check_text(kind)
    return _subjects.decode(body)


def mentions(kind: int, body: bytes, *types: type[Event]) -> bool:
    """Return False only if the body surely holds no event of these types, or of classes derived from them.

    It looks for bytes and decodes nothing, so that readers of a few events can pass over most commits.
    """
    return kind != TEXT or any(mark in body for mark in _marks(types))


def _check_text(kind: int) -> None:
    if kind != TEXT:
        raise ValueError(f"this release does not read a body of kind {kind}")


@lru_cache(maxsize=64)
def _marks(types: tuple[type[Event], ...]) -> tuple[bytes, ...]:
    marks: list[bytes] = [_ESCAPED]
    for type_ in types:
        tags = [tag(event) for event in EVENT_TYPES if issubclass(event, type_)]
        prefix = os.path.commonprefix(tags)  # noqa: RUF071 - the common letters of tags, not of paths
        shared = len(tags) > 1 and sum(tag(event).startswith(prefix) for event in EVENT_TYPES) == len(tags)
        marks += [f'"{prefix}'.encode()] if shared else [f'"{each}"'.encode() for each in tags]
    return tuple(marks)
