"""The wheel holds exactly the rooms, and installs light."""

import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {"tollbook", "ledger", "pricing", "chains", "replay", "gateway"}
HEAVY = ("web3", "numpy", "pyarrow", "starlette", "uvicorn", "matplotlib", "sqlite_utils", "pydantic", "rich", "typer")

in_checkout = pytest.mark.skipif(not (ROOT / "ledger").is_dir(), reason="needs the checkout, not a copy of the tests")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


@in_checkout
def test_the_wheel_holds_exactly_the_rooms(wheel):
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == ROOMS


@in_checkout
def test_every_room_is_typed_and_whole(wheel):
    names = set(wheel.namelist())
    for room in ROOMS:
        assert f"{room}/py.typed" in names
        here = {path.relative_to(ROOT).as_posix() for path in (ROOT / room).rglob("*.py")}
        assert here <= names


@in_checkout
def test_the_wheel_brings_the_contracts_and_nothing_that_npm_installed(wheel):
    names = set(wheel.namelist())
    for file in ("artifacts/UsageSettlement.json", "artifacts/TestToken.json", "contracts/UsageSettlement.sol"):
        assert f"chains/evm/{file}" in names
    assert [name for name in names if "node_modules" in name] == []


@in_checkout
def test_the_core_depends_on_few_things():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {requirement.split(">")[0] for requirement in project["dependencies"]}
    assert names == {"msgspec", "pydantic", "pluggy", "sqlite-utils", "typer", "rich", "eth-hash[pycryptodome]"}


@pytest.mark.smoke
def test_importing_the_core_imports_nothing_heavy():
    program = f"import sys, ledger; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.smoke
def test_the_room_of_evm_chains_is_imported_without_what_it_needs_to_reach_one():
    program = (
        "import sys, chains.evm.plugin; print([name for name in ('web3', 'eth_account', 'eth') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.smoke
def test_the_built_in_plugins_are_installed():
    assert entry_points(group="tollbook.pricing")
    assert entry_points(group="tollbook.stores")
    assert entry_points(group="tollbook.chains")


@pytest.mark.smoke
def test_the_command_says_its_version():
    command = [str(Path(sys.executable).with_name("tollbook")), "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("tollbook 0.")
