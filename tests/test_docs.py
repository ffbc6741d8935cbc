"""The README runs: its Python blocks in one session, its `tollbook` commands in an empty folder."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.main import main

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
ROOMS = ("tollbook", "ledger", "pricing", "chains", "replay", "gateway")

pytestmark = pytest.mark.skipif(not README.exists(), reason="the README is not beside a copy of the tests")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def test_the_python_blocks_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session: dict[str, object] = {}
    found = blocks("python")
    assert len(found) >= 2
    for block in found:
        exec(compile(block, "README.md", "exec"), session)


@pytest.mark.parametrize("path", ["chains/mock/README.md", "chains/evm/README.md"])
def test_the_pages_of_chains_run(path):
    found = re.findall(r"```python\n(.*?)```", (ROOT / path).read_text(), re.DOTALL)
    assert found
    for block in found:
        exec(compile(block, path, "exec"), {})


GUIDES = ["pay_as_you_go"]


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_runs(guide, tmp_path, monkeypatch):
    """Its Python in one session, then its `tollbook` commands, in one folder."""
    monkeypatch.chdir(tmp_path)
    path = ROOT / "docs" / "guides" / f"{guide}.md"
    session: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL):
        exec(compile(block, path.name, "exec"), session)
    shell = re.findall(r"```sh\n(.*?)```", path.read_text(), re.DOTALL)
    run_commands([line for block in shell for line in block.splitlines() if line.startswith("tollbook ")])


def run_commands(commands: list[str]) -> None:
    """In this process and folder: one of its own takes half a second to start."""
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0, command


def test_the_tollbook_commands_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("tollbook ")]
    assert len(commands) >= 5
    first_screen(tmp_path)
    run_commands(commands)


def first_screen(folder: Path) -> str:
    """Run the README's first program in a process of its own, and return what it prints."""
    done = subprocess.run([sys.executable, "-c", blocks("python")[0]], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_screen_runs_in_ten_lines_and_shows_what_it_says(tmp_path):
    program = blocks("python")[0]
    assert len([line for line in program.splitlines() if line]) <= 11
    assert first_screen(tmp_path) == "clean\n"
    command = next(line for line in blocks("sh")[0].splitlines() if "explain" in line)
    words = [str(Path(sys.executable).with_name("tollbook")), *shlex.split(command)[1:]]
    shown = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert blocks("text")[0] in shown


def test_the_refusal_in_the_readme_is_the_one_that_comes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    promised = re.search(r"print\(error.refused\)  # (.*)", README.read_text())
    assert promised is not None
    exec(compile(next(block for block in blocks("python") if promised[0] in block), "README.md", "exec"), {})
    assert capsys.readouterr().out.strip() == promised[1]


def test_the_readme_names_the_two_commands_of_a_newcomers_day():
    text = README.read_text()
    assert "pip install . && tollbook demo" in text
    assert "pip install -e '.[test]' && pytest" in text


def test_architecture_names_every_room_and_every_module_of_the_core():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = ["ledger", "pricing", "chains", "replay", "gateway", "benchmarks", "tests"]
    modules = [path.name for path in (ROOT / "ledger").glob("*.py") if path.name != "__init__.py"]
    missing = [name for name in (*(f"{room}/" for room in rooms), *modules) if name not in text]
    assert not missing


def test_what_architecture_names_is_there():
    """Modules by their names, folders by their paths, wherever they are."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = (*ROOMS, "benchmarks", "docs", "tests")
    paths = [path.relative_to(ROOT).as_posix() for room in rooms for path in (ROOT / room).rglob("*")]
    here = [f"/{path}{'' if '.' in path else '/'}" for path in (*rooms, *paths) if "node_modules" not in path]
    named = set(re.findall(r"`([\w/]+(?:\.py|\.md|/))`", text))
    assert len(named) > 100
    assert [name for name in sorted(named) if not any(path.endswith(f"/{name}") for path in here)] == []
