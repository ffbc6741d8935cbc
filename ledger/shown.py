"""The base of readings, which notebooks render as tables."""

from __future__ import annotations

from html import escape
from typing import ClassVar

import msgspec

from .amounts import amount_text


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """Base of values that notebooks render as a table; `credits_shown` and `money_shown` name its fields of amounts."""

    credits_shown: ClassVar[tuple[str, ...]] = ()
    money_shown: ClassVar[tuple[str, ...]] = ()

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(self._text(name))}</td></tr>"
            for name in self.__struct_fields__
        )
        return f"<table>{rows}</table>"

    def _text(self, name: str) -> str:
        value = getattr(self, name)
        decimals = "decimals" if name in self.credits_shown else "asset_decimals" if name in self.money_shown else None
        if decimals is None:
            return str(value)
        parts = value if isinstance(value, dict) else {"": value}
        return ", ".join(f"{key} {amount_text(part, getattr(self, decimals))}".strip() for key, part in parts.items())
