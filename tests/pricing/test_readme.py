"""The page for authors of policies: its package is built, installed and tested as it stands there."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from ledger.plugins import (
    DecimalFactory,
    DerivablePolicy,
    ExactPolicy,
    PeakingPolicy,
    Policy,
    ReadingPolicy,
    SharingPolicy,
)

README = Path(__file__).parents[2] / "pricing" / "README.md"

pytestmark = pytest.mark.skipif(not README.exists(), reason="needs the checkout, not a copy of the tests")


def files() -> dict[str, str]:
    """The page's files by path: its pyproject, and what begins with its path in a comment."""
    found = re.findall(r"```(toml|python)\n(.*?)```", README.read_text(), re.DOTALL)
    return {
        "pyproject.toml" if language == "toml" else body.splitlines()[0].removeprefix("# "): body
        for language, body in found
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder in which the package is installed, beside its tests: the wheel that its pyproject builds."""
    folder = tmp_path_factory.mktemp("our pricing")
    for path, body in files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(body)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."]
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(next((folder / "dist").glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder


def run(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    paths = [str(site / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run([sys.executable, *words], cwd=site, env=environment, capture_output=True, text=True)


def test_its_tests_pass_with_the_wheel(site: Path) -> None:
    done = run(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_the_command_on_the_page_checks_it(site: Path) -> None:
    command = re.search(r"`python (-m pricing\.testing\.conformance [^`]*)`", README.read_text())
    assert command is not None
    done = run(site, *command[1].split())
    assert (done.returncode, done.stdout) == (0, "images conforms\n"), done.stderr


def test_it_is_listed_with_its_distribution(site: Path) -> None:
    done = run(site, "-c", "from gateway.cli.main import main; main()", "plugins", "--json")
    assert done.returncode == 0, done.stderr
    assert '"images"' in done.stdout
    assert '"our-pricing"' in done.stdout


def test_its_pyproject_registers_the_policy() -> None:
    project = tomllib.loads(files()["pyproject.toml"])
    assert project["project"]["entry-points"]["tollbook.pricing"] == {"ours": "our_pricing"}


def test_it_names_every_method_of_the_protocols() -> None:
    optional = (DecimalFactory, DerivablePolicy, ExactPolicy, PeakingPolicy, ReadingPolicy, SharingPolicy)
    methods = [name for protocol in (Policy, *optional) for name in vars(protocol) if not name.startswith("_")]
    assert [name for name in methods if name not in README.read_text()] == []
