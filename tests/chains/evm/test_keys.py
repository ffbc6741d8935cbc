"""The operator's key: from the environment or a keystore, never shown, and refused where others could take it."""

import json

import pytest
from eth_account import Account

from chains.evm.keys import from_key, from_keystore, operator
from chains.evm.local import DEV_ACCOUNTS
from chains.evm.settings import Settings
from ledger.errors import BadData

ALICE = DEV_ACCOUNTS[0]
PASSWORD = "a secret password"


@pytest.fixture
def keystore(tmp_path):
    """A keystore of the first account, which only its owner may read."""
    file = tmp_path / "keystore.json"
    file.write_text(json.dumps(Account.encrypt(ALICE.key, PASSWORD, kdf="pbkdf2", iterations=1)))
    file.chmod(0o600)
    return file


@pytest.fixture
def password(tmp_path):
    """A file with the keystore's password, which only its owner may read."""
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    file.chmod(0o600)
    return file


def refused(call, *args) -> BadData:
    """The error of a call, which shows neither the key nor the password, in itself or in what led to it."""
    with pytest.raises(BadData) as caught:
        call(*args)
    error: BaseException | None = caught.value
    while error is not None:
        assert ALICE.key[2:40] not in f"{error} {getattr(error, 'hint', '')}"
        assert PASSWORD not in f"{error} {getattr(error, 'hint', '')}"
        error = error.__cause__ or error.__context__
    return caught.value


@pytest.mark.parametrize("key", [ALICE.key, ALICE.key[2:], f" {ALICE.key}\n", ALICE.key.upper().replace("X", "x")])
def test_a_key_is_taken_with_and_without_0x(key):
    assert operator(Settings.read(1, {"TOLLBOOK_EVM_KEY": key})).address == ALICE.address


@pytest.mark.parametrize(
    "key",
    [
        ALICE.key[:-1],
        f"{ALICE.key}00",
        ALICE.key[:-1] + "x",
        "0" * 64,
        "f" * 64,
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
        " ".join(["test", "test", "test", "test", "test", "test", "test", "test", "test", "test", "test", "junk"]),
    ],
)
def test_what_is_no_key_is_refused_and_not_shown(key):
    error = refused(from_key, key, "TOLLBOOK_EVM_KEY")
    assert "TOLLBOOK_EVM_KEY is not a private key" in str(error)
    assert key not in f"{error} {error.hint}"


def test_the_largest_key_is_one():
    assert from_key("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140").address.startswith("0x")


def test_a_keystore_opens_with_its_password(keystore, password):
    environment = {"TOLLBOOK_EVM_KEYSTORE": str(keystore)}
    for more in ({"PASSWORD": PASSWORD}, {"PASSWORD_FILE": str(password)}):
        named = {f"TOLLBOOK_EVM_KEYSTORE_{name}": value for name, value in more.items()}
        assert operator(Settings.read(1, environment | named)).address == ALICE.address


def test_nothing_set_says_what_to_set():
    error = refused(operator, Settings.read(1, {}))
    assert "is not set" in str(error)
    assert "TOLLBOOK_EVM_KEYSTORE" in error.hint


def test_a_keystore_without_a_password_says_what_to_set(keystore):
    error = refused(operator, Settings.read(1, {"TOLLBOOK_EVM_KEYSTORE": str(keystore)}))
    assert "TOLLBOOK_EVM_KEYSTORE_PASSWORD_FILE" in error.hint


def test_a_wrong_password_does_not_open_it(keystore):
    assert "the password does not open" in str(refused(from_keystore, keystore, f"{PASSWORD}x"))


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o666])
@pytest.mark.parametrize("which", ["keystore", "password"])
def test_a_file_that_is_open_to_everybody_is_refused(keystore, password, which, mode):
    file = {"keystore": keystore, "password": password}[which]
    file.chmod(mode)
    named = {"KEYSTORE": keystore, "KEYSTORE_PASSWORD_FILE": password}
    settings = Settings.read(1, {f"TOLLBOOK_EVM_{name}": str(path) for name, path in named.items()})
    error = refused(operator, settings)
    assert "can be read by every user" in str(error)
    assert str(file) in error.hint


def test_a_group_may_read_it(keystore):
    keystore.chmod(0o640)
    assert from_keystore(keystore, PASSWORD).address == ALICE.address


@pytest.mark.parametrize("text", ["", "garbage", "[]", "7", '{"version": 3}', "\xff", "[" * 100_000])
def test_what_is_no_keystore_is_refused(keystore, text):
    keystore.write_text(text, encoding="latin-1")
    assert "not" in str(refused(from_keystore, keystore, PASSWORD))


def test_a_keystore_that_is_not_there_or_too_large_is_refused(keystore):
    assert "cannot be read: No such file" in str(refused(from_keystore, keystore.with_name("no"), PASSWORD))
    assert "cannot be read: Is a directory" in str(refused(from_keystore, keystore.parent, PASSWORD))
    keystore.write_text(" " * (1 << 20) + "{}")
    assert "is too large or not text" in str(refused(from_keystore, keystore, PASSWORD))


@pytest.mark.parametrize(
    "change",
    [
        {"version": 9},
        {"crypto": None},
        {"crypto": {}},
        {"crypto": {"kdf": "x"}},
        {"crypto": {"mac": "zz"}},
        {"crypto": {"kdfparams": {}}},
    ],
)
def test_a_damaged_keystore_is_refused(keystore, change):
    whole = json.loads(keystore.read_text())
    if isinstance(change.get("crypto"), dict) and change["crypto"]:
        change = {"crypto": whole["crypto"] | change["crypto"]}
    keystore.write_text(json.dumps(whole | change))
    refused(from_keystore, keystore, PASSWORD)


def test_an_account_does_not_show_its_key():
    account = from_key(ALICE.key)
    assert ALICE.key[2:] not in f"{account!r} {account}"
