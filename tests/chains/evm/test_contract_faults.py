"""Faults that are planted in the settlement contract, one at a time: each is found. It takes some minutes.

Most are found by the differential test: those that are marked BEYOND need what no other chain has (a coin that is sent
along, tokens that take a fee, signed authorizations, a receiver that is a contract), and the contract's own tests find
them.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from contract_compiler import SOURCES, run_node
from evm_machine import Artifact
from world_chain import WorldHarness

from chains.testing.differential import DifferenceFound, compare

HERE = Path(__file__).parent
RULES = ("plans", "purchases", "batches", "exits", "roles", "hostile")
WALKS = 40
"""So many walks of either kind are taken until a fault is found."""


class Fault(NamedTuple):
    """What is planted: the words of the source that are replaced, by what."""

    name: str
    words: str
    by: str


# fmt: off
# ruff: noqa: E501 - the words of the source are as long as they are
FAULTS = (
    # purchases
    Fault("an order buys again", "        purchased[id] = true;\n", ""),
    Fault("what was paid in is forgotten", "        account.paid += terms.price;\n", ""),
    Fault("who leaves is sold more", "        require(account.exitRequestedAt == 0, Leaving(order.subscriber, order.planId));\n", ""),
    Fault("a retired plan is sold", "        require(!terms.retired, PlanIsRetired(order.planId));\n", ""),
    Fault("more coin than the price is kept", "msg.value == terms.price, Wrong", "msg.value >= terms.price, Wrong"),
    Fault("a fee on transfer passes", "received == terms.price", "received > 0"),
    Fault("an authorization is for any order", "            id,\n            authorization.v", "            order.salt,\n            authorization.v"),
    # batches
    Fault("anyone records batches", "require(msg.sender == operator, NotOperator(msg.sender));", ""),
    Fault("a batch follows any other", "        require(batch.prevDigest == expected, WrongPrevious(batch.prevDigest, expected));\n", ""),
    Fault("the window is never waited for", "        require(block.timestamp >= until, WindowOpen(until));\n", ""),
    Fault("a window is settled through", "        require(challengeWindow == 0, WindowRequired(challengeWindow));\n", ""),
    Fault("batches are executed in any order", "        require(batch.seq == next, BatchOutOfOrder(batch.seq, next));\n", ""),
    Fault("a batch is executed again", "        record.stage = Stage.Executed;\n", ""),
    Fault("any payouts will do", "        require(keccak256(abi.encode(payouts)) == batch.payoutsHash, WrongPayouts(batch.payoutsHash));\n", ""),
    Fault("escrow moves by the payout and not by what is due above 0", "moved += (afterwards > 0 ? afterwards : int256(0)) - (before > 0 ? before : int256(0));", "moved += payouts[i].amount;"),
    Fault("what is due is the payout alone", "int256 afterwards = before + payouts[i].amount;", "int256 afterwards = payouts[i].amount;"),
    Fault("nothing returns to escrow", "escrow[batch.token] = held + uint256(-moved);", ""),
    Fault("all roots are one token's", "finalRoot[batch.token] = FinalRoot", "finalRoot[address(0)] = FinalRoot"),
    Fault("a period ends when it likes", "batch.periodEnd < committedAt ? batch.periodEnd : committedAt", "batch.periodEnd"),
    Fault("cancelled batches stand in the way", "        while (seq < last && _batches[seq + 1].stage == Stage.Cancelled) seq++;\n", ""),
    Fault("anyone cancels", "        require(msg.sender == guardian || msg.sender == owner(), NotGuardian(msg.sender));\n", ""),
    Fault("a cancelled batch is waited for", "        waiting -= 1;\n        if (seq", "        if (seq"),
    Fault("a challenge needs no proof", "        require(_proves(batch.usageRoot, leaf, proof), ProofInvalid());\n", ""),
    Fault("a charge of all that was paid in is overdrawn", "require(net > paid, NotOverdrawn", "require(net >= paid, NotOverdrawn"),
    Fault("a challenge takes any token for the batch's", "bool sameToken = _terms[leaf.planId].token == batch.token;", "bool sameToken = true;"),
    # money out
    Fault("a claim pays again", "        due[token][receiver] = 0;\n", ""),
    Fault("a claim pays whoever asks", "_pay(token, receiver, uint256(owed));", "_pay(token, msg.sender, uint256(owed));"),
    Fault("a claim can be made from inside of itself", "external nonReentrant {\n        _checkReceiver(receiver);\n        int256 owed = due[token][receiver];\n        require(owed > 0, NothingDue(owed));\n        due[token][receiver] = 0;\n        emit Claimed(token, receiver, uint256(owed));\n        _pay(token, receiver, uint256(owed));", "external {\n        _checkReceiver(receiver);\n        int256 owed = due[token][receiver];\n        require(owed > 0, NothingDue(owed));\n        emit Claimed(token, receiver, uint256(owed));\n        _pay(token, receiver, uint256(owed));\n        due[token][receiver] = 0;"),
    Fault("coins that were not taken are gone", "        require(sent, CoinNotSent(to, amount));\n", "        sent;\n"),
    Fault("money is burnt", "nonReentrant {\n        _checkReceiver(receiver);\n", "nonReentrant {\n"),
    Fault("a subscriber leaves again", "        account.left = true;\n", ""),
    Fault("what leaves stays in escrow", "        escrow[token] = held - rest;\n", ""),
    Fault("an exit takes any root for the last word", "if (last.periodEnd < uint256(account.exitRequestedAt) + freezeDelay) {", "if (last.root == 0) {"),
    Fault("an exit waits for no batch", "waiting == 0 || block.timestamp >= until, Batch", "true || block.timestamp >= until, Batch"),
    Fault("an exit waits for ever", "waiting == 0 || block.timestamp >= until, Batch", "waiting == 0, Batch"),
    Fault("an exit needs no delay", "            require(block.timestamp >= until, ExitDelay(until));\n            until +=", "            until +="),
    Fault("an exit needs no proof", "        require(_proves(last.root, leaf, proof), ProofInvalid());\n", ""),
    Fault("credit is paid out beyond what was paid in", "return net < paid ? paid - net : 0;", "return net < paid ? paid - net + (leaf.credited > leaf.charged ? leaf.credited - leaf.charged : 0) : 0;"),
    Fault("to have been charged nothing is claimed at once", "        require(block.timestamp >= until, ExitDelay(until));\n        account.unchargedClaimedAt", "        account.unchargedClaimedAt"),
    Fault("to have been charged nothing is believed at once", "        uint256 until = uint256(account.unchargedClaimedAt) + exitDelay;\n        require(block.timestamp >= until, ExitDelay(until));\n", ""),
    Fault("a refutation is forgotten", "        account.unchargedClaimedAt = 0;\n", ""),
    Fault("a refutation needs no proof", "        require(_proves(finalRoot[_terms[leaf.planId].token].root, leaf, proof), ProofInvalid());\n        require(leaf.charged", "        require(leaf.charged"),
    Fault("a leaf is hashed once", "keccak256(bytes.concat(keccak256(abi.encode(leaf))))", "keccak256(abi.encode(leaf))"),
)
# fmt: on

BEYOND = {
    "a retired plan is sold",
    "more coin than the price is kept",
    "a fee on transfer passes",
    "an authorization is for any order",
    "a window is settled through",
    "a claim can be made from inside of itself",
    "coins that were not taken are gone",
    "money is burnt",
}


def name_of(place: int) -> str:
    return FAULTS[place].name


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> Path:
    """A folder with an artifact for each fault, by its place."""
    sources, artifacts = (tmp_path_factory.mktemp(name) for name in ("sources", "artifacts"))
    text = (SOURCES / "UsageSettlement.sol").read_text()
    for place, fault in enumerate(FAULTS):
        assert text.count(fault.words) == 1, fault.name
        planted = text.replace(fault.words, fault.by).replace("contract UsageSettlement ", f"contract Fault{place} ")
        (sources / f"Fault{place}.sol").write_text(planted)
    run_node(HERE / "faults.mjs", SOURCES, sources, artifacts)
    return artifacts


def told(artifact: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """What the rules say of a contract."""
    shutil.copy(artifact, folder / "UsageSettlement.json")
    shutil.copy(SOURCES.parent / "artifacts" / "TestToken.json", folder)
    files = [str(HERE / f"test_contract_{name}.py") for name in RULES]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider", *files]
    environment = os.environ | {"TOLLBOOK_ARTIFACTS": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.sweep
@pytest.mark.parametrize("place", [n for n, fault in enumerate(FAULTS) if fault.name not in BEYOND], ids=name_of)
def test_a_planted_fault_is_found_by_the_differential_test(faulty, place):
    code = Artifact(faulty / f"Fault{place}.json")
    with pytest.raises(DifferenceFound):
        differ(code)


def differ(code: Artifact) -> None:
    for seed in range(WALKS):
        for window in (True, False):
            compare(WorldHarness(window=window, code=code), seed=seed, walks=1)


@pytest.mark.sweep
@pytest.mark.parametrize("place", [n for n, fault in enumerate(FAULTS) if fault.name in BEYOND], ids=name_of)
def test_a_planted_fault_beyond_it_is_found_by_the_contracts_own_tests(faulty, place, tmp_path):
    found = told(faulty / f"Fault{place}.json", tmp_path)
    assert found.returncode == 1, found.stdout[-2000:]
    assert "FAILED" in found.stdout


@pytest.mark.sweep
def test_without_a_fault_nothing_is_found(tmp_path):
    found = told(SOURCES.parent / "artifacts" / "UsageSettlement.json", tmp_path)
    assert found.returncode == 0, found.stdout[-2000:]
