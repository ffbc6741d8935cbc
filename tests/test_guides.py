"""The guides run: each page's Python and `tollbook` commands, in the order of the page, in an empty folder."""

import re
import shlex
from pathlib import Path

import pytest

from gateway.cli.main import main

GUIDES = Path(__file__).parent.parent / "docs" / "guides"
ELSEWHERE = ("README", "back_up_and_restore", "pay_as_you_go")
"""The list of the guides, and those that tests of their own run."""
PAGES = sorted(path for path in GUIDES.glob("*.md") if path.stem not in ELSEWHERE)

pytestmark = pytest.mark.skipif(not PAGES, reason="the guides are not beside a copy of the tests")


def blocks(page: Path) -> list[tuple[str, str]]:
    return re.findall(r"```(python|sh)\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_guide_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session: dict[str, object] = {}
    found = blocks(page)
    for name in re.findall(r"^import (pandas)$", page.read_text(), re.MULTILINE):
        pytest.importorskip(name, reason="pip install -e '.[notebook]'")
    assert "python" in [language for language, _ in found]
    for language, block in found:
        if language == "python":
            exec(compile(block, page.name, "exec"), session)
        else:
            for command in block.splitlines():
                if command.startswith("tollbook "):
                    assert main(shlex.split(command)[1:]) == 0, command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_guide_says_what_to_do_when_it_goes_wrong(page):
    assert "\n## When it goes wrong\n" in page.read_text()


def test_every_guide_is_listed():
    listed = re.findall(r"\]\(([a-z_]+\.md)\)", (GUIDES / "README.md").read_text())
    assert sorted(listed) == sorted(path.name for path in GUIDES.glob("*.md") if path.name != "README.md")
