"""Count how the control flow of one direct charge moves between the files of this project.

    python -m benchmarks.walk

A file counts as re-entered when control comes to it again after it went to another file.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

from ledger import Charge, CreatePlan, Ledger, Purchase

ROOT = str(Path(__file__).resolve().parent.parent)


def trace_charge(ledger: Ledger) -> list[str]:
    """Return the file of each function that one charge calls or returns to, in order, without repeats in a row."""
    visits: list[str] = []

    def visit(frame: FrameType | None) -> None:
        name = frame.f_code.co_filename if frame is not None else ""
        if name.startswith(ROOT) and name != __file__ and "site-packages" not in name:
            relative = name[len(ROOT) + 1 :]
            if not visits or visits[-1] != relative:
                visits.append(relative)

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            visit(frame)

    charge = Charge(subscriber="alice", plan="pro", usage={"calls": 1})
    sys.setprofile(profile)
    try:
        ledger.execute(charge)
    finally:
        sys.setprofile(None)
    return visits


def main() -> None:
    """Print the walk of a charge that is taken whole from one lot, without an idempotency key."""
    with Ledger.open() as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", price={"acme": 900}, credits=1_000))
        ledger.execute(Purchase(subscriber="alice", plan="pro", payment="invoice-1"))
        for _ in range(3):
            trace_charge(ledger)
        visits = trace_charge(ledger)
    files = dict.fromkeys(visits)
    print(f"{len(files)} files, {len(visits) - 1} changes of file, {len(visits) - len(files)} returns")
    print("\n".join(visits))


if __name__ == "__main__":
    main()
