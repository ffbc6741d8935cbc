"""Tables in the documentation, written between two marks by the command that measures."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE, README = ROOT / "docs" / "performance.md", ROOT / "README.md"
FIGURES, AIMS, MACHINE, GROWTH = "figures", "aims", "machine", "growth"


def fill(page: Path, name: str, content: str) -> bool:
    """Write `content` between `<!-- name -->` and `<!-- end of name -->`; False where the page has no such marks."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    old = page.read_text()
    new, count = pattern.subn(lambda _: f"{begin}\n{content}\n{end}", old)
    if count:
        page.write_text(new)
    return bool(count)
