"""An EVM address is found in any spelling; what is no address is found as it is written, and no other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.evm.addresses import address
from gateway.spelling import as_known
from ledger import CreatePlan, Give, Ledger

ANN = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
BOB = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
SPELLINGS = [ANN.lower(), ANN.upper(), f"0x{ANN[2:].upper()}", ANN, ANN.swapcase()]


def cases(sign):
    return st.sampled_from((sign.lower(), sign.upper()))


def sell(log, *subscribers):
    """A log in which each has one credit more than the one before."""
    with Ledger.open(log, clock=lambda: 0) as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="o", credits=1)).unwrap()
        for credits, subscriber in enumerate(subscribers, 1):
            ledger.execute(Give(subscriber=subscriber, plan="pro", credits=credits)).unwrap()
    return log


@pytest.fixture
def log(tmp_path):
    return sell(tmp_path / "log.db", ANN, BOB, "alice", "Alice")


@pytest.mark.parametrize("spelled", SPELLINGS)
def test_an_address_is_found_in_any_spelling_and_shown_in_the_logs(tollbook, log, spelled):
    [account] = tollbook("balance", log, "--subscriber", spelled, "--json").json["accounts"]
    assert (account["subscriber"], account["available"]) == (ANN, 1)
    told = tollbook("statement", log, "--subscriber", spelled, "--plan", "pro", "--json").json
    assert (told["subscriber"], told["closing"]["available"]) == (ANN, 1)
    assert ANN in tollbook("statement", log, "--subscriber", spelled, "--plan", "pro").out


@pytest.mark.parametrize("name", ["ALICE", "aLice", ANN[2:], ANN[:-1], f"{ANN}0", f" {ANN}", "0x" + "g" * 40])
def test_another_name_is_found_as_it_is_written_alone(tollbook, log, name):
    assert tollbook("balance", log, "--subscriber", name, "--json").error["code"] == "not_found"
    error = tollbook("statement", log, "--subscriber", name, "--plan", "pro", "--json").error
    assert error["code"] == "not_found"


@pytest.mark.parametrize(("name", "available"), [("alice", 3), ("Alice", 4)])
def test_names_that_differ_in_their_case_are_two(tollbook, log, name, available):
    [account] = tollbook("balance", log, "--subscriber", name, "--json").json["accounts"]
    assert (account["subscriber"], account["available"]) == (name, available)


def test_a_name_that_the_log_has_is_that_one_though_it_looks_like_anothers_address(tollbook, tmp_path):
    """Where names are free (the mock chain), one may be an address in another spelling."""
    odd = ANN.swapcase().replace("0X", "0x")
    log = sell(tmp_path / "log.db", ANN, ANN.lower(), odd)
    for name, available in ((ANN, 1), (ANN.lower(), 2), (odd, 3)):
        [account] = tollbook("balance", log, "--subscriber", name, "--json").json["accounts"]
        assert account["available"] == available


@pytest.mark.parametrize("stored", SPELLINGS)
@pytest.mark.parametrize("spelled", SPELLINGS)
def test_an_address_is_found_however_the_log_spells_it(tollbook, tmp_path, stored, spelled):
    log = sell(tmp_path / "log.db", BOB, stored)
    [account] = tollbook("balance", log, "--subscriber", spelled, "--json").json["accounts"]
    assert (account["subscriber"], account["available"]) == (stored, 2)
    told = tollbook("statement", log, "--subscriber", spelled, "--plan", "pro", "--json").json
    assert told["subscriber"] == stored


def test_an_address_that_the_log_has_in_several_spellings_must_be_given_exactly(tollbook, tmp_path):
    """They are different accounts, and which one is meant cannot be guessed."""
    log = sell(tmp_path / "log.db", ANN, ANN.lower(), BOB)
    for command in (("balance", log), ("statement", log, "--plan", "pro")):
        error = tollbook(*command, "--subscriber", ANN.upper(), "--json").error
        assert (error["code"], "exactly" in error["hint"]) == ("usage", True)
        assert [name in error["message"] for name in (ANN, ANN.lower(), BOB)] == [True, True, False]


@given(st.binary(min_size=20, max_size=20), st.data())
def test_every_spelling_of_an_address_is_one(raw, data):
    stored = address(f"0x{raw.hex()}")
    spelled = "".join(data.draw(cases(sign)) for sign in stored)
    for before in ("", "eip155:8453/erc20:"):
        asked, known = before + spelled, before + "".join(data.draw(cases(sign)) for sign in stored)
        for names in ({known, "alice"}, {asked, known}, {f"{before}0x{'g' * 40}"}, set()):
            found = as_known(asked, names.__contains__, lambda names=names: names)
            assert found == (known if known in names and asked not in names else asked)
    elsewhere = {f"eip155:1/erc20:{stored}", stored}
    assert as_known(asked, elsewhere.__contains__, lambda: elsewhere) == asked
