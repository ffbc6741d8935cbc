"""JSON-RPC to one node: requests, answers, and the errors for error answers and unusable ones.

What is raised is from `ledger.errors`, with the node's address but never the secret parts of its URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import unquote, urlsplit

from ledger.errors import BadData, ChainUnavailable, LedgerError

from .extra import keep_depth, missing
from .node_errors import REJECTED, CallReverted, Contradiction, ErrorAnswer, RangeTooWide, TransactionRejected

try:
    from web3 import Web3
    from web3.exceptions import ContractLogicError, InvalidAddress, Web3Exception, Web3RPCError
    from web3.middleware import AttributeDictMiddleware
    from web3.types import RPCResponse

    from .transport import During, Transport
except ModuleNotFoundError as error:
    raise missing(error) from error
keep_depth()


class Rpc:
    """Requests to the node at a URL. `shown` is the part of the URL without secrets. Raises BadData for an invalid URL.

    `during` is entered for each request. `web3` is for contracts' encodings; requests through it raise web3's errors.
    """

    def __init__(
        self, url: str, *, timeout: float | None, tries: int, backoff: float, during: During = nullcontext
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadData("the node's URL is not an http or https URL", "give it as https://host or https://host/path")
        self.shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._secrets = [
            secret
            for part in (parts.username, parts.password, *parts.path.split("/"), *re.split("[=&]", parts.query))
            for secret in (part or "", unquote(part or ""))
            if len(secret) > 5
        ]
        self._transport = Transport(
            url, self.shown, secrets=self._secrets, timeout=timeout, tries=tries, backoff=backoff, during=during
        )
        self.web3 = Web3(self._transport, middleware=[(AttributeDictMiddleware, "attrdict")])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection. A second call does nothing; requests afterwards raise ChainUnavailable."""
        self._transport.close()

    def _result(self, method: str, *params: object) -> object:
        """Return the result of one request. Raises ErrorAnswer if the node answers with an error."""
        answer = self._transport.make_request(cast(Any, method), params)
        if "error" in answer:
            raise ErrorAnswer(answer)
        return answer.get("result")

    def _quantity(self, method: str, *params: object) -> int:
        with self._answering(method):
            return self._natural(self._result(method, *params), method)

    def _natural(self, answer: object, method: str) -> int:
        number = integer(answer)
        if number is None:
            raise self._unusable(method)
        return number

    @contextmanager
    def _answering(self, method: str, refusal: type[ChainUnavailable] = ChainUnavailable) -> Iterator[None]:
        """Turn web3's errors and unusable answers into errors of `ledger.errors`; an error answer becomes a
        `refusal`."""
        try:
            yield
            return
        except ContractLogicError as error:
            raised: LedgerError = CallReverted(
                self._clean(error.message or "the call was reverted"), _revert_data(error.data)
            )
        except Web3RPCError as error:
            raised = self._refused(method, ErrorAnswer(cast(RPCResponse, error.rpc_response)), refusal)
        except ErrorAnswer as error:
            raised = self._refused(method, error, refusal)
        except InvalidAddress as error:
            raised = BadData(f"not an address: {error}", "give it as 0x and 40 hex digits, in EIP-55 capitals")
        except (Web3Exception, ValueError, TypeError, KeyError, AttributeError):
            raised = self._unusable(method)
        raise raised from None  # the library's error may contain the URL's secrets

    def _refused(
        self, method: str, error: ErrorAnswer, refusal: type[ChainUnavailable] = ChainUnavailable
    ) -> ChainUnavailable:
        reason = self._clean(error.message)
        if error.rate_limited:
            return ChainUnavailable(
                f"the node at {self.shown} limits the rate of requests: {reason}", "wait, or use another node"
            )
        message = f"the node at {self.shown} refuses {method}: {reason}"
        if method == "eth_estimateGas" and REJECTED[0][1].search(reason.lower()):
            return TransactionRejected(message, "funds")
        if refusal is RangeTooWide and error.code != -32601:
            return RangeTooWide(message)
        return ChainUnavailable(message, "use a node that supports this")

    def _unusable(self, method: str) -> ChainUnavailable:
        message = f"the node at {self.shown} gives no usable answer to {method}"
        return ChainUnavailable(message, "check the node's URL, or use another node")

    def _clean(self, message: str) -> str:
        """Return a node's message on one line, without secrets."""
        for secret in self._secrets:
            message = message.replace(secret, "…")
        return " ".join("".join(char if char.isprintable() else " " for char in message).split())[:200].rstrip(".")

    def _contradiction(self, what: str) -> Contradiction:
        return Contradiction(f"the node at {self.shown} contradicts itself: {what}", "use another node")


def integer(answer: object) -> int | None:
    """Return the number of a JSON-RPC quantity; None for anything else."""
    return int(answer, 16) if isinstance(answer, str) and re.fullmatch("0x[0-9a-fA-F]+", answer) else None


def hex_digits(answer: object) -> str:
    """Return the digits after 0x. Raises ValueError for anything else."""
    if not isinstance(answer, str) or not answer.startswith("0x"):
        raise ValueError("no hex")
    return answer[2:]


def _revert_data(data: object) -> bytes:
    try:
        return bytes.fromhex(hex_digits(data))
    except ValueError:
        return b""
