"""The base of all events."""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="type"):
    """The fields of all events: the first event of a keyed command has its key and the fingerprint of its content."""

    key: str | None = None
    fingerprint: str | None = None
