"""Why a contract refused, as nodes say it: decoded from what eth-tester raises, and from what JSON-RPC answers."""

from __future__ import annotations

import pytest

pytest.importorskip("web3", reason="pip install 'tollbook[evm]'")

from eth_abi.abi import encode
from web3 import EthereumTesterProvider, Web3
from web3.exceptions import ContractCustomError, ContractLogicError, Web3RPCError

from chains.evm.artifacts import load
from chains.evm.reverts import read, reason, revert_data
from chains.leaves import keccak

SOMEBODY = "0x" + "ab" * 20
SPELLED = Web3.to_checksum_address(SOMEBODY)


def error(signature, *values):
    kinds = signature[signature.index("(") + 1 : -1]
    return keccak(signature.encode())[:4] + encode(kinds.split(",") if kinds else [], values)


SHORT = error("EscrowShort(address,uint256,uint256)", SOMEBODY, 1400, 10**24)
SHORT_SAID = f"EscrowShort(token={SPELLED}, needed=1400, escrow={10**24})"


@pytest.fixture(scope="module")
def chain():
    return Web3(EthereumTesterProvider())


@pytest.fixture(scope="module")
def contract(chain):
    artifact, people = load("UsageSettlement"), chain.eth.accounts
    made = chain.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    sent = made.constructor(people[0], people[1], people[2], 0, 60, 600).transact({"from": people[0]})
    return chain.eth.contract(chain.eth.wait_for_transaction_receipt(sent)["contractAddress"], abi=artifact.abi)


@pytest.fixture(scope="module")
def token(chain):
    artifact, people = load("TestToken"), chain.eth.accounts
    made = chain.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    sent = made.constructor().transact({"from": people[0]})
    return chain.eth.contract(chain.eth.wait_for_transaction_receipt(sent)["contractAddress"], abi=artifact.abi)


def refusal(call, caller, **more):
    with pytest.raises(Exception, match="revert") as refused:
        call.call({"from": caller, **more})
    return refused.value


# -- what eth-tester raises --------------------------------------------------------------------------------------------


def test_a_refusal_by_the_contract_is_said_with_its_arguments(chain, contract):
    caller = chain.eth.accounts[5]
    assert reason(refusal(contract.functions.requestExit(7), caller)) == (
        f"NothingBought(subscriber={caller}, planId=0x{7:064x})"
    )
    assert reason(refusal(contract.functions.cancelBatch(1, "no"), caller)) == f"NotGuardian(caller={caller})"


def test_an_error_without_arguments_is_said_by_its_name(chain, contract):
    assert reason(refusal(contract.functions.exitUncharged(7), chain.eth.accounts[5])) == "ExitNotRequested()"


def test_a_refusal_by_a_token_or_a_library_is_said_as_well(chain, contract, token):
    poor = chain.eth.accounts[5]
    assert reason(refusal(token.functions.transfer(SPELLED, 5), poor)) == (
        f"ERC20InsufficientBalance(sender={poor}, balance=0, needed=5)"
    )
    assert reason(refusal(contract.functions.setOperator(SPELLED), poor)) == (
        f"OwnableUnauthorizedAccount(account={poor})"
    )


def test_a_call_that_no_function_answers_is_said_to_have_no_reason(chain, contract):
    with pytest.raises(Exception, match="revert") as refused:
        chain.eth.call({"to": contract.address, "data": "0x12345678"})
    assert reason(refused.value) == "reverted without a reason"
    assert revert_data(refused.value) == b""


def test_gas_that_ran_out_is_said(chain, contract):
    refused = refusal(contract.functions.requestExit(7), chain.eth.accounts[5], gas=22_000)
    assert "Out of gas" in reason(refused)


# -- every form in which nodes hand it over ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        SHORT,
        "0x" + SHORT.hex(),
        {"code": 3, "message": "execution reverted: custom error 0x9", "data": "0x" + SHORT.hex()},
        {"code": -32000, "message": "VM Exception", "data": {"message": "revert", "data": "0x" + SHORT.hex()}},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": 3, "message": "reverted", "data": "0x" + SHORT.hex()}},
        {"code": -32603, "message": f"execution reverted: {SHORT!r}"},
        ContractCustomError("0x" + SHORT.hex(), data="0x" + SHORT.hex()),
        Web3RPCError("no", rpc_response={"error": {"code": 3, "message": "no", "data": "0x" + SHORT.hex()}}),
        Exception(f"execution reverted: {SHORT!r}"),
    ],
)
def test_the_same_revert_is_read_from_every_form(given):
    assert revert_data(given) == SHORT
    assert reason(given) == SHORT_SAID


def test_a_sentence_is_said_as_it_is_on_one_line():
    data = error("Error(string)", "not\n today")
    assert reason(ContractLogicError("execution reverted: not today", data="0x" + data.hex())) == "not today"


def test_a_panic_is_said_with_what_it_means():
    assert reason(error("Panic(uint256)", 0x11)) == "Panic(0x11): a number is too large, or below zero"
    assert reason(error("Panic(uint256)", 0x99)) == "Panic(0x99): see the panics of Solidity"


def test_an_error_of_another_contract_is_said_in_hex():
    assert reason(b"\1\2\3\4\5") == "reverted with 0x0102030405, an error of another contract"
    assert reason(SHORT, abi=[]) == f"reverted with 0x{SHORT.hex()}, an error of another contract"
    cut = SHORT[:40]
    assert read(cut) is None
    assert reason(cut).startswith("reverted with 0x")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (ConnectionError("nobody listens"), "nobody listens"),
        ({"code": -32000, "message": "nonce too low"}, "nonce too low"),
        (
            Web3RPCError("x", rpc_response={"error": {"code": -32003, "message": "insufficient funds"}}),
            "insufficient funds",
        ),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_what_is_no_revert_says_what_it_says(given, said):
    assert revert_data(given) is None
    assert reason(given) == said


@pytest.mark.parametrize("name", [entry["name"] for entry in load("UsageSettlement").abi if entry["type"] == "error"])
def test_every_error_of_the_contract_is_known(name):
    (entry,) = [each for each in load("UsageSettlement").abi if each.get("name") == name and each["type"] == "error"]
    kinds = [each["type"] for each in entry["inputs"]]
    values = [{"address": SOMEBODY, "bytes32": b"\7" * 32}.get(kind, 7) for kind in kinds]
    found = read(error(f"{name}({','.join(kinds)})", *values))
    assert found is not None
    assert (found.name, list(found.arguments)) == (name, [each["name"] for each in entry["inputs"]])
