"""Allow-lists of an agent's endpoints.

A pattern is a method (or `*`) and a URL. In the URL's path `*` stands for any characters within one segment (never `/`)
and `:name` for one whole segment. The query is ignored, scheme and host are case-folded, the default port is dropped,
and percent-encoding is decoded once. Ambiguous URLs are refused: those with `..`, `//`, user info or an encoded `/`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from .events import Endpoint

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def allows(endpoints: Iterable[Endpoint], method: str, url: str) -> bool:
    """True if one of the endpoints matches. An ambiguous URL matches none."""
    try:
        origin, path = normalise(url)
    except ValueError:
        return False
    for endpoint in endpoints:
        allowed_origin, pattern = _compiled(endpoint.url)
        if endpoint.method in ("*", method.upper()) and allowed_origin == origin and pattern.fullmatch(path):
            return True
    return False


def check(endpoint: Endpoint) -> None:
    """Raise ValueError for an endpoint that could never match."""
    if endpoint.method != endpoint.method.upper() or not endpoint.method:
        raise ValueError(f"the method {endpoint.method!r} of an endpoint must be `*` or in capitals")
    _compiled(endpoint.url)


@lru_cache(maxsize=1024)  # agents are called by few URLs, again and again
def normalise(url: str) -> tuple[str, str]:
    """Split a URL into its origin (scheme, host and port) and its decoded path. Raises ValueError for an ambiguous
    one."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise ValueError("user info in a URL is not allowed")
    if re.search("%2f|%5c", parts.path, re.IGNORECASE) or "\\" in parts.path:
        raise ValueError("an encoded slash in a URL is not allowed")
    path = unquote(parts.path, errors="strict")
    if "//" in path or ".." in path.split("/") or any(ord(character) < 32 for character in path):
        raise ValueError("`..`, `//` and control characters in a URL's path are not allowed")
    scheme, host = parts.scheme.casefold(), (parts.hostname or "").casefold()
    port = parts.port
    origin = f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{scheme}://{host}:{port}"
    return (origin if scheme or host else ""), path or "/"


@lru_cache(maxsize=4096)
def _compiled(url: str) -> tuple[str, re.Pattern[str]]:
    origin, path = normalise(url)
    return origin, re.compile("/".join(_segment(segment) for segment in path.split("/")))


def _segment(segment: str) -> str:
    if re.fullmatch(":[A-Za-z_][A-Za-z0-9_]*", segment):
        return "[^/]+"
    return "[^/]*".join(re.escape(part) for part in segment.split("*"))
