"""Values that notebooks render as a table."""

from __future__ import annotations

from html import escape

import msgspec


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """Base of values that notebooks render as a table."""

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(str(getattr(self, name)))}</td></tr>"
            for name in self.__struct_fields__
        )
        return f"<table>{rows}</table>"
