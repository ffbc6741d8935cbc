"""Settings for EVM chains, from environment variables, which no process list shows, unlike a command line.

    TOLLBOOK_EVM_URL                    the node's URL; TOLLBOOK_EVM_URL_8453 is for that chain only, and overrides it
    TOLLBOOK_EVM_KEY                    the operator's private key, 64 hex digits; or
    TOLLBOOK_EVM_KEYSTORE               a keystore file, with
    TOLLBOOK_EVM_KEYSTORE_PASSWORD      its password, or
    TOLLBOOK_EVM_KEYSTORE_PASSWORD_FILE   a file with it
    TOLLBOOK_EVM_FINALITY               `finalized` (the node's tag), or the number of blocks on top that make one final
    TOLLBOOK_EVM_FINALITY_FALLBACK      that number for a node without the tag `finalized`
    TOLLBOOK_EVM_MAX_HEAD_AGE           seconds: a node whose last block is older is not used; 0 disables the check
    TOLLBOOK_EVM_MAX_FEE                the maximum price of a unit of gas, in wei
    TOLLBOOK_EVM_TIMEOUT                timeout of a request to the node, in seconds
    TOLLBOOK_EVM_TRIES                  maximum number of tries if a node is busy or cannot be reached
    TOLLBOOK_EVM_PAUSE                  seconds between two readings of the chain
    TOLLBOOK_EVM_LEAVES                 the folder where leaf files are published
    TOLLBOOK_EVM_LEAVES_URI             the public URL of that folder

An empty variable counts as not set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from ledger.errors import BadData

PREFIX = "TOLLBOOK_EVM_"

DEVELOPMENT_CHAINS = frozenset({1337, 31337})
"""Chain ids of local development chains. They mine only when a transaction is sent, and tests move their time, so the
age of their last block has no meaning."""

_KEYS = {"key", "keystore", "keystore_password", "keystore_password_file"}


def _http(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not a URL of http or https")
    return url


class Settings(BaseModel):
    """The settings of one chain. `max_fee` is in wei; `max_head_age`, `timeout` and `pause` are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Annotated[SecretStr, AfterValidator(_http)] | None = None
    key: SecretStr | None = None
    keystore: Path | None = None
    keystore_password: SecretStr | None = None
    keystore_password_file: Path | None = None
    finality: Literal["finalized"] | Annotated[int, Field(ge=0)] = "finalized"
    finality_fallback: Annotated[int, Field(ge=1)] | None = None
    max_head_age: Annotated[int, Field(ge=0)] = 600
    max_fee: Annotated[int, Field(gt=0)] | None = None
    timeout: Annotated[float, Field(gt=0, le=600)] = 10
    tries: Annotated[int, Field(ge=1, le=20)] = 5
    pause: Annotated[float, Field(ge=0, le=3600)] = 2
    leaves: Path | None = None
    leaves_uri: str | None = None

    @classmethod
    def read(cls, chain_id: int, environment: Mapping[str, str] | None = None, **options: Any) -> Self:  # noqa: ANN401
        """Return the settings for one chain: `options`, then the environment, then defaults.

        Raises BadData, which names the invalid variable or option, and never shows its value.
        """
        given = os.environ if environment is None else environment
        names = {field: PREFIX + field.upper() for field in cls.model_fields}
        if given.get(own := f"{PREFIX}URL_{chain_id}"):
            names["url"] = own
        if _KEYS & options.keys():  # an option for the key overrides all variables for it
            names = {field: name for field, name in names.items() if field not in _KEYS}
        values: dict[str, Any] = {field: given[name] for field, name in names.items() if given.get(name)}
        if chain_id in DEVELOPMENT_CHAINS:
            values = {"max_head_age": 0} | values
        try:
            settings = cls(**values | options)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            field = str(first["loc"][0])
            called = f"the option {field}" if field in options else names[field]
            message = f"{called} is invalid: {_describe(field, first['msg'])}"
        else:
            return settings._consistent()
        raise BadData(message, "correct it") from None

    def _consistent(self) -> Self:
        if self.key and self.keystore:
            raise BadData("both a key and a keystore are set", f"unset {PREFIX}KEY or {PREFIX}KEYSTORE")
        if self.keystore_password and self.keystore_password_file:
            message = "both a keystore's password and a file with one are set"
            raise BadData(message, f"unset {PREFIX}KEYSTORE_PASSWORD or {PREFIX}KEYSTORE_PASSWORD_FILE")
        return self

    @property
    def node_url(self) -> str:
        """The node's URL, with its secrets. Raises BadData if none is set."""
        if self.url is None:
            raise BadData("no node is set", f"set {PREFIX}URL to the URL of a node of the chain")
        return self.url.get_secret_value()


def _describe(field: str, message: str) -> str:
    if field == "finality":
        return "it is neither `finalized` nor a number of blocks"
    return message[:1].lower() + message[1:]
