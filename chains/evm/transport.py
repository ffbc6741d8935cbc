"""HTTP to a node: web3's provider, with our rules for retries and for the meaning of a missing answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias, cast

import requests
from pydantic_core import from_json
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidURL, SSLError
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ReadTimeoutError
from urllib3.util import Retry
from web3 import HTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from ledger.errors import ChainUnavailable, LedgerError, SendUnknown

_SEND = "eth_sendRawTransaction"
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_DENIED = (401, 403, 404, 405, 407, 410)
During: TypeAlias = Callable[[], AbstractContextManager[None]]
"""Gives a context that is entered for each request."""

_LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry")
_MAX_PAUSE = 10
"""Maximum seconds to honour of a Retry-After header: a caller is waiting."""


class BoundedRetry(Retry):
    """urllib3's retries, with an upper bound for Retry-After."""

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        """Return the seconds to wait; None if the node does not say."""
        seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, _MAX_PAUSE)


class SecretRedactingFilter(logging.Filter):
    """Redacts a URL's secrets in the log records of the HTTP library, which contain its whole path and query."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact secrets in a record, and keep it."""
        message = record.getMessage()
        if any(secret in message for secret in self._secrets):
            for secret in self._secrets:
                message = message.replace(secret, "…")
            record.msg, record.args = message, ()
        return True


class Transport(HTTPProvider):
    """JSON-RPC over HTTP, for one node. `shown` is the part of the URL without secrets, `secrets` are other parts.

    Reads are tried up to `tries` times; `eth_sendRawTransaction` is tried once, and raises SendUnknown if the node
    may have received it. Without a `timeout` an answer is waited for as long as the connection lasts.
    """

    def __init__(
        self,
        url: str,
        shown: str,
        *,
        secrets: Iterable[str] = (),
        timeout: float | None,
        tries: int,
        backoff: float,
        during: During = nullcontext,
    ) -> None:
        self._reads, self._sends = requests.Session(), requests.Session()
        retries = BoundedRetry(
            total=tries - 1,
            read=min(tries - 1, 2),  # each takes a whole timeout
            backoff_factor=backoff,
            status_forcelist=_BUSY,
            allowed_methods=None,
            raise_on_status=False,
        )
        for prefix in ("http://", "https://"):
            self._reads.mount(prefix, HTTPAdapter(max_retries=retries, pool_maxsize=16))
        # web3's own retries are off: they handle an error that requests does not raise, and would send twice. It also
        # gets only the URL without secrets, since it logs it.
        super().__init__(shown, session=self._reads, exception_retry_configuration=None)
        self.global_ccip_read_enabled = False  # a contract's answer must not direct us to another server
        self._url, self._shown, self._timeout, self._closed = url, shown, timeout, False
        self._during = during
        self._filter = SecretRedactingFilter(secrets)
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self._filter)

    def __str__(self) -> str:
        return f"JSON-RPC at {self._shown}"

    def close(self) -> None:
        """End all connections."""
        self._closed = True
        for session in (self._reads, self._sends):
            session.close()
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self._filter)

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:  # noqa: ANN401 - web3's signature
        """Send one request, and return its answer: a JSON object with a result or an error."""
        if self._closed:
            raise ChainUnavailable(f"the connection to the node at {self._shown} was closed", "connect again")
        with self._during():
            return self._exchange(method, self.encode_rpc_request(method, params))

    def _exchange(self, method: str, body: bytes) -> RPCResponse:
        session = self._sends if method == _SEND else self._reads
        headers = cast(Mapping[str, str], self.get_request_headers())
        try:
            with session.post(
                self._url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as answer:
                return self._read(method, answer)
        except requests.RequestException as error:
            failure = self._failure(method, error)
        raise failure  # not from the library's error, which holds the URL

    def _read(self, method: str, answer: requests.Response) -> RPCResponse:
        status = answer.status_code
        if status == 429:
            raise ChainUnavailable(
                f"the node at {self._shown} limits the rate of requests (HTTP 429)", "wait, or use another node"
            )
        if status in _DENIED:
            raise ChainUnavailable(f"the node at {self._shown} denies access (HTTP {status})", "check the node's URL")
        decoded = _decode(answer.content)
        if decoded is not None:
            return decoded
        if status == 413:
            return {
                "jsonrpc": "2.0",
                "id": 0,
                "error": {"code": status, "message": "the answer is too large (HTTP 413)"},
            }
        what = f"answers HTTP {status}" if status >= 300 else "does not speak JSON-RPC"
        raise self._lost(method, what, undone=300 <= status < 500)

    def _failure(self, method: str, error: requests.RequestException) -> LedgerError:
        cause = error.args[0] if error.args else None
        cause = cause.reason if isinstance(cause, MaxRetryError) else cause
        if isinstance(cause, ConnectTimeoutError | NewConnectionError) or isinstance(error, InvalidURL):
            return self._lost(method, "cannot be reached", undone=True)
        if isinstance(error, requests.Timeout) or isinstance(cause, ReadTimeoutError):
            return self._lost(method, f"gives no answer in {self._timeout:g} seconds", undone=False)
        what = "cannot be spoken to securely" if isinstance(error, SSLError) else "broke off"
        return self._lost(method, what, undone=False)

    def _lost(self, method: str, what: str, undone: bool) -> LedgerError:
        """Return the error for a missing answer. `undone`: the node cannot have received the request."""
        message = f"the node at {self._shown} {what}"
        if method == _SEND and not undone:
            return SendUnknown(f"{message}; it may have received a transaction, or not")
        return ChainUnavailable(message)


def _decode(body: bytes) -> RPCResponse | None:
    """Return a JSON-RPC answer; None for anything else."""
    try:
        decoded = from_json(body)  # the standard library's parser crashes on deep nesting once py-evm is imported
    except ValueError:
        return None
    if not isinstance(decoded, dict):
        return None
    error = decoded.get("error")
    if isinstance(error, dict):
        code, message = error.get("code"), error.get("message")
        fit = {"code": code if isinstance(code, int) else 0, "message": message if isinstance(message, str) else ""}
        return cast(RPCResponse, {"jsonrpc": "2.0", "id": 0, "error": error | fit})
    if error is None and "result" in decoded:
        return cast(RPCResponse, {"jsonrpc": "2.0", "id": 0, "result": decoded["result"]})
    return None
