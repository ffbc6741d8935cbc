"""A process that writes many accounts and closed requests, keeps the books in memory, and reports the memory used.

`python -m benchmarks.holding FILE ACCOUNTS REQUESTS [KEYS]` prints the resident bytes before and after as JSON. With
KEYS it writes REQUESTS direct charges with keys first, and measures KEYS more.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path

from ledger import Ledger

from .workload import LARGEST, Load, open_shop, runs, standing_clock, write_held


def resident() -> int:
    """Return the resident bytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main(path: str, accounts: int, requests: int, keys: int = 0) -> None:
    """Write the log, keep its books, and print the sizes as JSON."""
    if keys:
        print(json.dumps(_keyed(path, accounts, requests, keys)))
        return
    with Ledger.open(path, clock=standing_clock) as ledger:
        before = resident()
        open_shop(ledger, accounts)
        load = Load(accounts, LARGEST)
        for numbers in runs(requests, LARGEST):
            write_held(ledger, load, [(numbers, [load.hold(number) for number in numbers])])
        gc.collect()
        after = resident()
        balances = ledger.balances()
        sizes = {
            "before": before,
            "after": after,
            "accounts": len(balances),
            "closed": (ledger.head.seq - 1 - 2 * accounts) // 2,
            "held": sum(balance.held for balance in balances),
        }
    print(json.dumps(sizes))


def _keyed(path: str, accounts: int, warm: int, keys: int) -> dict[str, int]:
    """Return the sizes before and after so many charges with keys. Those that `warm` caches have keys, too."""
    with Ledger.open(path, clock=standing_clock) as ledger:
        open_shop(ledger, accounts)
        load, sizes = Load(accounts, LARGEST, keyed=True), list[int]()
        for begin, end in ((0, warm), (warm, warm + keys)):
            for first in range(begin, end, LARGEST):
                ledger.execute_many([load.direct(number) for number in range(first, min(end, first + LARGEST))])
            gc.collect()
            sizes.append(resident())
    return {"before": sizes[0], "after": sizes[1]}


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
