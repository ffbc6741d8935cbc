"""Type checkers infer each command's own event and narrow by `if outcome:`, without a cast (`typing/answers.py`)."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ANSWERS = ROOT / "tests" / "typing" / "answers.py"

pytestmark = pytest.mark.skipif(not (ROOT / "ledger").is_dir(), reason="needs the checkout, not a copy of the tests")


def check(*words: str | Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed")
def test_mypy_infers_every_answer() -> None:
    check("mypy", "--config-file", "pyproject.toml", ANSWERS)


@pytest.mark.skipif(find_spec("pyright") is None or shutil.which("node") is None, reason="needs pyright and Node.js")
def test_pyright_infers_every_answer() -> None:
    check("pyright", "--pythonpath", sys.executable, ANSWERS)
