"""Publishing leaf files, and finding them again by a batch's `uri`.

A file is stored in a folder of the operator, named by its hash. The batch's `uri` is the public URL (`leaves_uri`)
under which the operator serves the folder, followed by that name; without a URL it is the name alone, which reveals
nothing about the operator's machine. Any reader can check a file against the hash that the contract has.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from ledger.errors import ChainUnavailable

from ..commitment import to_hex
from ..leaves import keccak

MAX_BYTES = 1 << 30
"""Maximum length of a leaf file: a wrong or hostile URL must not fill the memory."""

MAX_SECONDS = 600
"""Maximum duration of a download: a slow server must not block the caller."""

_CHUNK = 1 << 16


class LeafFiles:
    """The leaf files of one operator, in `folder`, and served under `uri` if there is one."""

    def __init__(self, folder: Path | None, uri: str | None = None, *, timeout: float = 30) -> None:
        self._folder, self._uri, self._timeout = folder, uri, timeout

    def publish(self, data: bytes) -> str:
        """Store a leaf file durably, and return its uri. Raises ChainUnavailable if it cannot be written."""
        name = _name(to_hex(keccak(data)))
        if self._folder is not None:
            try:
                self._keep(self._folder, name, data)
            except OSError as error:
                message = f"the leaf file cannot be stored in {self._folder}: {error.strerror or error}"
                raise ChainUnavailable(message, "make that folder writable, and run again") from error
        return name if self._uri is None else f"{self._uri.rstrip('/')}/{name}"

    def find(self, data_hash: str, uri: str) -> bytes | None:
        """Return the leaf file of that hash from the folder, or else from the batch's uri; None if neither has it.
        Raises ChainUnavailable for a URL that cannot be read now."""
        for read in (self._kept, self._served):
            data = read(data_hash, uri)
            if data is not None and to_hex(keccak(data)) == data_hash:
                return data
        return None

    def _kept(self, data_hash: str, uri: str) -> bytes | None:
        if self._folder is None:
            return None
        try:
            return (self._folder / _name(data_hash)).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            message = f"the leaf file {error.filename} cannot be read: {error.strerror or error}"
            raise ChainUnavailable(message, "correct its permissions, and run again") from error

    def _served(self, data_hash: str, uri: str) -> bytes | None:
        url = uri
        if not urlsplit(uri).scheme and self._uri is not None:
            url = f"{self._uri.rstrip('/')}/{_name(data_hash)}"
        if urlsplit(url).scheme not in ("http", "https"):
            return None
        try:
            with requests.get(url, timeout=self._timeout, stream=True) as answer:
                if answer.status_code in (404, 410):
                    return None
                answer.raise_for_status()
                return _read(answer)
        except (requests.RequestException, HTTPError) as error:
            message = f"the leaf file at {url} cannot be read: {type(error).__name__}"
            raise ChainUnavailable(message, "check that it is served there, and run again") from error

    @staticmethod
    def _keep(folder: Path, name: str, data: bytes) -> None:
        """Write a file atomically: a temporary file in the same folder is renamed.

        Other users may read it as far as this process's umask allows: it is meant to be served.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        if path.exists() and path.read_bytes() == data:
            return
        temporary = folder / f".{name}.{secrets.token_hex(8)}"
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _sync_names(folder)


def _sync_names(folder: Path) -> None:
    """Sync the folder, so that a renamed file survives a power cut."""
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _name(data_hash: str) -> str:
    return f"{data_hash.removeprefix('0x')}.json"


def _read(answer: requests.Response) -> bytes | None:
    """Return the body of an answer; None if it is too long. Raises requests' Timeout for a slow server, and urllib3's
    errors."""
    data, end = bytearray(), monotonic() + MAX_SECONDS
    while chunk := answer.raw.read1(
        _CHUNK, decode_content=True
    ):  # read1 returns the bytes that have arrived; a whole chunk may never arrive
        data += chunk
        if len(data) > MAX_BYTES:
            return None
        if monotonic() > end:
            raise requests.Timeout
    return bytes(data)
