"""Settings come from the environment, options before it, and what is invalid is named without being shown."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from chains.evm import settings as described
from chains.evm.settings import Settings
from ledger.errors import BadData

URL = "https://user:secret@node.example/v3/secret"


def test_without_anything_there_are_defaults_and_no_node():
    settings = Settings.read(1, {})
    assert (settings.finality, settings.timeout, settings.pause, settings.max_fee) == ("finalized", 10, 2, None)
    with pytest.raises(BadData, match="no node is set") as caught:
        _ = settings.node_url
    assert "TOLLBOOK_EVM_URL" in caught.value.hint


def test_every_field_has_its_variable_and_every_variable_is_described():
    values = {
        "URL": URL,
        "KEYSTORE": "/keys/one.json",
        "KEYSTORE_PASSWORD_FILE": "/keys/password",
        "FINALITY": "12",
        "FINALITY_FALLBACK": "64",
        "MAX_FEE": "30000000000",
        "MAX_HEAD_AGE": "90",
        "TIMEOUT": "2.5",
        "PAUSE": "0",
        "LEAVES": "/leaves",
        "LEAVES_URI": "https://example.org/leaves",
    }
    settings = Settings.read(1, {f"TOLLBOOK_EVM_{name}": value for name, value in values.items()})
    assert settings.node_url == URL
    assert (settings.keystore, settings.keystore_password_file) == (Path("/keys/one.json"), Path("/keys/password"))
    assert (settings.finality, settings.finality_fallback, settings.max_fee) == (12, 64, 30 * 10**9)
    assert (settings.timeout, settings.pause, settings.max_head_age) == (2.5, 0, 90)
    assert (settings.leaves, settings.leaves_uri) == (Path("/leaves"), "https://example.org/leaves")
    assert all(f"TOLLBOOK_EVM_{field.upper()}" in described.__doc__ for field in Settings.model_fields)


def test_the_age_of_the_last_block_is_limited_except_on_development_chains():
    environment = {"TOLLBOOK_EVM_MAX_HEAD_AGE": "90"}
    assert [Settings.read(chain, {}).max_head_age for chain in (1, 8453, 1337, 31337)] == [600, 600, 0, 0]
    assert [Settings.read(chain, environment).max_head_age for chain in (1, 31337)] == [90, 90]
    assert Settings.read(31337, environment, max_head_age=30).max_head_age == 30


def test_a_chains_own_url_comes_before_that_of_all():
    environment = {"TOLLBOOK_EVM_URL": "https://all", "TOLLBOOK_EVM_URL_8453": "https://base"}
    assert Settings.read(8453, environment).node_url == "https://base"
    assert Settings.read(1, environment).node_url == "https://all"


def test_options_come_before_the_environment():
    environment = {"TOLLBOOK_EVM_URL_1": "https://node", "TOLLBOOK_EVM_FINALITY": "3", "TOLLBOOK_EVM_TIMEOUT": "4"}
    settings = Settings.read(1, environment, url="http://127.0.0.1:8545", finality="finalized")
    assert (settings.node_url, settings.finality, settings.timeout) == ("http://127.0.0.1:8545", "finalized", 4)


def test_one_way_to_the_key_is_not_mixed_with_another():
    environment = {"TOLLBOOK_EVM_KEYSTORE": "/one", "TOLLBOOK_EVM_KEYSTORE_PASSWORD": "secret"}
    settings = Settings.read(1, environment, key="11" * 32)
    assert (settings.keystore, settings.keystore_password) == (None, None)


def test_an_empty_variable_is_not_set():
    assert Settings.read(1, {"TOLLBOOK_EVM_KEY": "", "TOLLBOOK_EVM_FINALITY": ""}) == Settings.read(1, {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("URL", "secret"),
        ("URL", "ftp://secret"),
        ("URL_1", "http://"),
        ("FINALITY", "soon"),
        ("FINALITY", "-1"),
        ("FINALITY", "1.5"),
        ("FINALITY_FALLBACK", "0"),
        ("MAX_FEE", "0"),
        ("MAX_FEE", "30 gwei"),
        ("TIMEOUT", "0"),
        ("TIMEOUT", "nan"),
        ("TIMEOUT", "secret"),
        ("PAUSE", "-1"),
    ],
)
def test_a_wrong_value_is_named_and_not_shown(name, value):
    with pytest.raises(BadData, match=f"TOLLBOOK_EVM_{name} is invalid") as caught:
        Settings.read(1, {f"TOLLBOOK_EVM_{name}": value})
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_pydantics_own_error_does_not_show_the_value_either():
    with pytest.raises(ValidationError) as caught:
        Settings(url="secret", timeout="secret")
    assert "secret" not in str(caught.value)


def test_a_wrong_option_is_named():
    with pytest.raises(BadData, match="the option finality is invalid"):
        Settings.read(1, {}, finality="soon")
    with pytest.raises(BadData, match="the option colour is invalid"):
        Settings.read(1, {}, colour="red")


@pytest.mark.parametrize(
    "names", [("KEY", "KEYSTORE"), ("KEYSTORE_PASSWORD", "KEYSTORE_PASSWORD_FILE")], ids=["keys", "passwords"]
)
def test_two_ways_at_once_are_refused(names):
    with pytest.raises(BadData, match="both") as caught:
        Settings.read(1, {f"TOLLBOOK_EVM_{name}": "secret" for name in names})
    assert all(name in caught.value.hint for name in names)


def test_no_secret_is_in_the_settings_repr():
    names = ("KEY", "KEYSTORE_PASSWORD")
    settings = Settings.read(1, {"TOLLBOOK_EVM_URL": URL} | {f"TOLLBOOK_EVM_{name}": "secret" for name in names})
    assert "secret" not in f"{settings!r} {settings} {settings.model_dump_json()}"
