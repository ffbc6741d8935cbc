"""Text out of files that may hold anything: opened with errors that name the file, read a bounded line at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ledger.errors import BadData, NotFound

MAX_LINE_LENGTH = 65_536
"""Bytes of the longest line that is read, its end among them: a file without line ends must not fill the memory."""

_AS_TEXT = "save the file as plain, unpacked UTF-8 text"
_MAX_SHOWN_LENGTH = 40


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file for reading bytes. NotFound where there is none, BadData where opening or reading it fails."""
    try:
        with path.open("rb") as file:
            yield file
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"there is no file {path}") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadData(f"cannot be read: {reason}", "give a file that you may read", str(path)) from error


def lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Each line with its number, from 1; of one longer than MAX_LINE_LENGTH only the start, which `text` refuses."""
    number = 0
    while line := file.readline(MAX_LINE_LENGTH + 1):
        number += 1
        rest = line if len(line) > MAX_LINE_LENGTH else b"\n"
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE_LENGTH)
        yield number, line


def text(raw: bytes) -> str:
    """The bytes as UTF-8 text. BadData for another encoding or NUL bytes; its line counts from the start of `raw`."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadData("this is UTF-16 text", _AS_TEXT, line=1)
    if (offset := raw.find(0)) >= 0:
        raise BadData("there is a NUL byte", _AS_TEXT, line=_line(raw, offset))
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        found = f"byte 0x{raw[error.start]:02x} is not UTF-8 text"
        raise BadData(found, _AS_TEXT, line=_line(raw, error.start)) from None


def line_of_text(raw: bytes) -> str:
    """One line that `lines` gave, as text without its end. BadData where it is too long, or is not UTF-8 text."""
    if len(raw) > MAX_LINE_LENGTH and 0 not in raw:
        raise BadData(
            f"the line is longer than {MAX_LINE_LENGTH:,} bytes", "shorten its fields, or end its lines", line=1
        )
    return text(raw).rstrip("\r\n")


def shown(value: str) -> str:
    """A piece of input for a message: quoted, on one line, control characters escaped, shortened."""
    return repr(value) if len(value) <= _MAX_SHOWN_LENGTH else f"{value[:_MAX_SHOWN_LENGTH]!r}…"


def _line(raw: bytes, offset: int) -> int:
    return raw.count(b"\n", 0, offset) + 1
