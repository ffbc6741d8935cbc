"""Cells that no spreadsheet runs as a formula, for any name that a customer chose (CSV injection; OWASP).

A spreadsheet runs text that begins with = + - @ (or the wide forms of these), after spaces too; and where a cell begins
depends on the separator that it was given, or guesses: a comma, a semicolon, a tab, a bar, a line's end or a quote. An
apostrophe is put before such text. The raw form has the text as written.
"""

from __future__ import annotations

import re

_SIGNS = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
_BLANK = r"[\s\x00\ufeff\u200b-\u200f\u2060]*"
_FORMULA = re.compile(rf"(^|[,;|\t\r\n\v\f\x85\u2028\u2029\"'])({_BLANK})(?={_SIGNS})")
_JSON_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_ESCAPED = {ord(sign): f"\\u{ord(sign):04x}" for sign in "=+-@,;|'\uff1d\uff0b\uff0d\uff20\x85\u2028\u2029"}


def inert_text(text: str) -> str:
    """Return the text, changed so that no part of it can be a formula."""
    text = _FORMULA.sub(r"\1\2'", text)
    return f"'{text}" if text.startswith(("\t", "\r", "\n")) else text


def inert_json(json: str) -> str:
    """Return equal JSON of an object of which no part can be a formula: its texts are escaped."""
    return _JSON_TEXT.sub(lambda found: found[0].translate(_ESCAPED), json)
