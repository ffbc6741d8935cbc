"""The artifacts are what the compiler makes of the sources, and every part of a source says what it is for."""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from contract_compiler import SOURCES, compiled
from settlement_world import World

from chains.evm.artifacts import load

pytestmark = pytest.mark.skipif(not SOURCES.is_dir(), reason="needs the checkout, not a copy of the tests")

HOSTILE = Path(__file__).parent / "contracts"
FOLDERS = {"ours": SOURCES, "hostile": HOSTILE}
FILES = [path for folder in FOLDERS.values() for path in sorted(folder.glob("*.sol"))]
DEFINITION = re.compile(r"^( *)(function|constructor|modifier|receive|error|event|struct|enum|mapping|contract)\b")
MAX_RUNTIME = 24_576
"""EIP-170: a chain takes no longer code."""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Callable[[str], tuple[Path, Path]]:
    """New artifacts, and natspec, of a folder of sources: compiled when they are first asked for."""

    @cache
    def make(kind: str) -> tuple[Path, Path]:
        artifacts, natspec = tmp_path_factory.mktemp(kind), tmp_path_factory.mktemp(kind)
        compiled(FOLDERS[kind], artifacts, natspec)
        return artifacts, natspec

    return make


@pytest.mark.sweep(always=True)
@pytest.mark.parametrize("kind", FOLDERS)
def test_the_artifacts_are_what_the_compiler_makes_of_the_sources(made, kind):
    checked_in = FOLDERS[kind].parent / "artifacts"
    new = {path.name: path.read_bytes() for path in made(kind)[0].iterdir()}
    old = {path.name: path.read_bytes() for path in checked_in.iterdir()}
    assert new.keys() == old.keys()
    assert [name for name in new if new[name] != old[name]] == []


@pytest.mark.sweep(always=True)
def test_every_function_of_ours_tells_users_what_it_does_and_names_all_that_it_takes_and_returns(made):
    natspec = json.loads((made("ours")[1] / "UsageSettlement.json").read_text())
    for entry in load("UsageSettlement").abi:
        if entry["type"] != "function" or entry["name"] in INHERITED:
            continue
        signature = f"{entry['name']}({','.join(map(kind_of, entry['inputs']))})"
        told = natspec["devdoc"]["methods"].get(signature, {})
        variable = natspec["devdoc"].get("stateVariables", {}).get(entry["name"])
        assert "notice" in natspec["userdoc"]["methods"][signature], signature
        if variable is None and signature not in VARIABLES:
            assert set(told.get("params", {})) == {each["name"] for each in entry["inputs"]}, signature
            assert len(told.get("returns", {})) == len(entry["outputs"]), signature


INHERITED = {"owner", "pendingOwner", "acceptOwnership", "renounceOwnership", "transferOwnership"}
VARIABLES = {
    *("VERSION()", "MAX_SHARES()", "challengeWindow()", "freezeDelay()", "exitDelay()", "deployedBlock()"),
    *("operator()", "guardian()", "lastSeq()", "settledSeq()", "waiting()", "escrow(address)", "due(address,address)"),
    *("purchased(bytes32)", "finalRoot(address)"),
}


def kind_of(entry: dict) -> str:
    """An ABI type as signatures spell it."""
    if not entry["type"].startswith("tuple"):
        return entry["type"]
    return f"({','.join(map(kind_of, entry['components']))}){entry['type'][len('tuple') :]}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_definition_has_a_comment(path):
    """Private ones too, of which the compiler tells nothing."""
    lines = path.read_text().splitlines()
    bare = [
        line.strip()
        for before, line in zip(["", *lines], lines, strict=False)
        if DEFINITION.match(line) and not line.startswith("        ") and not before.lstrip().startswith("///")
    ]
    assert bare == []


def test_a_chain_takes_the_contract_and_there_is_room():
    assert len(load("UsageSettlement").runtime) // 2 - 1 < MAX_RUNTIME - 2_000


def test_the_sources_version_is_the_one_that_is_deployed():
    (version,) = re.findall(r'VERSION = "(.*)"', (SOURCES / "UsageSettlement.sol").read_text())
    assert World().read("VERSION") == version


def test_artifacts_say_with_what_they_were_compiled():
    locked = json.loads((SOURCES / "package.json").read_text())["devDependencies"]
    for name in ("UsageSettlement", "TestToken"):
        artifact = load(name)
        assert artifact.compiler.startswith(locked["solc"] + "+")
        assert artifact.settings["evmVersion"] == "cancun"
        assert artifact.settings["metadata"] == {"bytecodeHash": "none", "appendCBOR": False}
        assert not artifact.bytecode.count("__$")
