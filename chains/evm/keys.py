"""The operator's key: from the environment, or from a keystore file. It is never shown, in no message and no repr."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from pydantic_core import from_json

from ledger.errors import BadData

from .extra import missing
from .settings import PREFIX, Settings

try:
    from eth_account import Account
    from eth_account.signers.local import LocalAccount
except ModuleNotFoundError as error:
    raise missing(error) from error

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""The order of the curve secp256k1: keys are below it."""

_MAX_BYTES = 1 << 20  # a keystore has some 500 bytes, but a wrong path may be of any file


def operator(settings: Settings) -> LocalAccount:
    """Return the account that signs. Raises BadData if no key is set, or it cannot be used."""
    if settings.key is not None:
        return from_key(settings.key.get_secret_value(), f"{PREFIX}KEY")
    if settings.keystore is not None:
        return from_keystore(settings.keystore, _password(settings))
    hint = f"set {PREFIX}KEY, or {PREFIX}KEYSTORE and {PREFIX}KEYSTORE_PASSWORD_FILE"
    raise BadData("the operator's key is not set", hint)


def from_key(key: str, called: str = "the key") -> LocalAccount:
    """Return the account of a private key in hex. Raises BadData."""
    if re.fullmatch("(0x)?[0-9a-fA-F]{64}", key := key.strip()) and 0 < int(key, 16) < _ORDER:
        account: LocalAccount = Account.from_key(key)
        return account
    raise BadData(f"{called} is not a private key", "give it as 64 hex digits, with or without 0x before them")


def from_keystore(file: Path, password: str) -> LocalAccount:
    """Return the account in a keystore file (version 3, as geth, foundry and eth-account write them). Raises BadData.

    A file that other users of the machine can read is refused, as by ssh: its password could be guessed.
    """
    text = _read(file, "the keystore")
    try:
        keystore = from_json(text)
        whole = isinstance(keystore, dict) and "crypto" in {name.lower() for name in keystore}
    except ValueError:
        whole = False
    if not whole:
        raise BadData(f"{file} is not a keystore", "give the path of a keystore file of version 3")
    try:
        account: LocalAccount = Account.from_key(Account.decrypt(keystore, password))
        return account
    except ValueError as error:
        wrong = "MAC" in str(error)
    except (KeyError, TypeError, AttributeError, NotImplementedError):
        wrong = False
    if wrong:
        raise BadData(f"the password does not open the keystore {file}", "correct the password")
    raise BadData(f"the keystore {file} is damaged, or of an unknown kind", "restore it from a copy")


def _password(settings: Settings) -> str:
    if settings.keystore_password is not None:
        return settings.keystore_password.get_secret_value()
    if settings.keystore_password_file is not None:
        return _read(settings.keystore_password_file, "the keystore's password file").rstrip("\r\n")
    message = "the keystore's password is not set"
    raise BadData(message, f"set {PREFIX}KEYSTORE_PASSWORD_FILE or {PREFIX}KEYSTORE_PASSWORD")


def _read(file: Path, called: str) -> str:
    """Return the text of a small file. Raises BadData if it cannot be read, or other users can read it."""
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            if os.name == "posix" and mode & stat.S_IRWXO:
                raise BadData(f"{called} {file} can be read by every user of this machine", f"run: chmod o= {file}")
            content = opened.read(_MAX_BYTES + 1)
        if len(content) <= _MAX_BYTES:
            return content.decode()
    except OSError as error:
        raise BadData(
            f"{called} {file} cannot be read: {error.strerror}", "correct the path or its permissions"
        ) from error
    except UnicodeDecodeError:
        pass
    raise BadData(f"{called} {file} is too large or not text", "correct the path")
