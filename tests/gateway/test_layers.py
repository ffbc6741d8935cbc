"""Only the command line knows a terminal: what it shares with other doors imports no terminal library."""

import subprocess
import sys

import pytest

WITHOUT_A_TERMINAL = ["answers", "answers_settlement", "errors", "logs", "spelling"]
SETTLE = ["proofs", "run", "target"]
NEEDS_THE_EXTRA = ["evm_deploy", "evm_local", "evm_status"]


def imported_by(*modules: str) -> set[str]:
    """The top-level packages of everything that a fresh interpreter imports with these modules."""
    program = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "modules",
    [
        [f"gateway.{name}" for name in WITHOUT_A_TERMINAL] + [f"gateway.settle.{name}" for name in SETTLE],
        [f"gateway.settle.{name}" for name in NEEDS_THE_EXTRA],
    ],
    ids=["core", "evm"],
)
def test_they_import_no_terminal_library(modules):
    if modules[0].endswith("evm_deploy"):
        pytest.importorskip("web3")
    assert imported_by(*modules) & {"typer", "rich", "click"} == set()


def test_the_help_page_imports_no_command():
    program = (
        "import sys; from gateway.cli.main import main; code = main(['--help']); "
        "sys.stderr.write(' '.join(sys.modules)); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "balance" in done.stdout
    packages = {name.partition(".")[0] for name in done.stderr.split()}
    assert packages & {"ledger", "replay", "chains", "pricing", "rich", "pydantic", "msgspec"} == set()
