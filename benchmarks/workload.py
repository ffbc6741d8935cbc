"""The canonical workload: subscribers of one plan that is priced by tokens, and the expected results.

Nothing here is random and the clock stands still, so the same load writes the same bytes each time. The expected result
of a load is computed by plain arithmetic, apart from the ledger, and answers are compared with it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ledger import (
    Adjust,
    Answer,
    Charge,
    Command,
    CreatePlan,
    Escrow,
    EscrowFunding,
    Ledger,
    Outcome,
    Purchase,
    Request,
)
from ledger.events import Funding

AT = 1_700_000_000_000_000
PLAN, OWNER, ASSET = "pro", "acme", "USD"
CHAIN, CONTRACT = "mock:local", "tollbook"
CREDITS, COST = 10**9, 2 * 10**9 + 11
WEIGHTS = {"input_tokens": "1/100", "output_tokens": "3/100"}
ESTIMATE = {"input_tokens": 400, "output_tokens": 50}
LARGEST = 8_192
"""Commands in the largest batch."""


def standing_clock() -> int:
    """Return the same time on every call (UTC microseconds)."""
    return AT


def usage(number: int) -> dict[str, int]:
    """Return the usage of charge `number`."""
    return {"input_tokens": 374 + number % 127, "output_tokens": 44 + number % 31}


def price(used: Mapping[str, int]) -> int:
    """Return the plan's price of a usage: a hundredth of a credit an input token, three an output token, rounded up."""
    return -(-(used["input_tokens"] + 3 * used["output_tokens"]) // 100)


def subscriber(number: int) -> str:
    """Return the name of a subscriber."""
    return f"subscriber-{number}"


@dataclass(frozen=True)
class Load:
    """Charges in commits of `batch`: direct ones, or each `held` by a request first; with idempotency keys (`keyed`);
    spread over the accounts, or all on one (`hot`)."""

    accounts: int
    batch: int
    batches: int = 1
    held: bool = False
    keyed: bool = False
    hot: bool = False

    @property
    def charges(self) -> int:
        """The number of charges in all."""
        return self.batch * self.batches

    def payer(self, number: int) -> str:
        """Return the subscriber who pays for charge `number`."""
        return subscriber(0 if self.hot else number % self.accounts)

    def direct(self, number: int) -> Charge:
        """Return charge `number` as a direct charge."""
        return Charge(subscriber=self.payer(number), plan=PLAN, usage=usage(number), key=self._key("charge", number))

    def hold(self, number: int) -> Request:
        """Return the request of charge `number`."""
        return Request(subscriber=self.payer(number), plan=PLAN, estimate=ESTIMATE, key=self._key("request", number))

    def final(self, number: int, request: int) -> Charge:
        """Return charge `number` as the final charge of its request."""
        return Charge(request=request, usage=usage(number), key=self._key("charge", number))

    def spent(self) -> dict[str, int]:
        """Return what each subscriber has spent in the end, by plain arithmetic."""
        spent: Counter[str] = Counter()
        for number in range(self.charges):
            spent[self.payer(number)] += price(usage(number))
        return dict(spent)

    def _key(self, kind: str, number: int) -> str | None:
        return f"{kind}-{number:032}" if self.keyed else None


def numbered(load: Load) -> Iterator[range]:
    """Yield the numbers of the load's charges, commit by commit."""
    return runs(load.charges, load.batch)


def runs(total: int, size: int) -> Iterator[range]:
    """Yield the numbers below `total` in runs of `size`; the last may be shorter."""
    return (range(start, min(start + size, total)) for start in range(0, total, size))


def writer(ledger: Ledger, load: Load) -> Callable[[], None]:
    """Return a function that writes the load. Commands that need no earlier answer are made beforehand."""
    if load.held:
        held = [(numbers, [load.hold(number) for number in numbers]) for numbers in numbered(load)]
        return lambda: write_held(ledger, load, held)
    direct = [[load.direct(number) for number in numbers] for numbers in numbered(load)]
    return lambda: _write_direct(ledger, direct)


def _write_direct(ledger: Ledger, commits: Iterable[Sequence[Command]]) -> None:
    for commands in commits:
        submit(ledger, commands)


def write_held(ledger: Ledger, load: Load, held: Iterable[tuple[range, Sequence[Request]]]) -> None:
    """Write, commit by commit, the requests, then the charges of those requests."""
    for numbers, requests in held:
        answers = submit(ledger, requests)
        submit(ledger, [load.final(number, seq_of(answer)) for number, answer in zip(numbers, answers, strict=True)])


def submit(ledger: Ledger, commands: Sequence[Command]) -> Sequence[Outcome]:
    """Execute one command, or several in one commit, as a caller does."""
    return ledger.execute_many(commands) if len(commands) > 1 else [ledger.execute(commands[0])]


def seq_of(outcome: Outcome) -> int:
    """Return the sequence of an accepted command's event."""
    answer = outcome.unwrap()
    assert isinstance(answer, Answer)
    return answer.seq


# -- the shop ----------------------------------------------------------------------------------------------------------


def open_shop(ledger: Ledger, accounts: int, escrow: bool = False) -> None:
    """Put the plan on sale and sell it to every subscriber, with the money in escrow on a chain, or without."""
    create_plan(ledger)
    sell(ledger, range(accounts), escrow)


def create_plan(ledger: Ledger) -> None:
    """Put the plan on sale."""
    price_ = {OWNER: COST}
    tariff = {"weights": WEIGHTS}
    ledger.execute(
        CreatePlan(
            plan=PLAN, owner=OWNER, asset=ASSET, price=price_, credits=CREDITS, policy="complexity", parameters=tariff
        )
    ).unwrap()


def sell(ledger: Ledger, numbers: range, escrow: bool = False) -> None:
    """Sell the plan to those subscribers."""
    for start in range(numbers.start, numbers.stop, LARGEST):
        part = range(start, min(start + LARGEST, numbers.stop))
        ledger.execute_many([Purchase(subscriber=subscriber(n), plan=PLAN, funding=_funding(n, escrow)) for n in part])


def _funding(number: int, escrow: bool) -> Funding:
    return EscrowFunding(Escrow(CHAIN, CONTRACT, f"purchase-{number}")) if escrow else "none"


# -- a longer log ------------------------------------------------------------------------------------------------------

CORRECTED_EVERY = 100


@dataclass(frozen=True)
class History:
    """A log in rounds. Each round has a commit of direct charges, one of requests, one of their charges, and (unless
    `corrected` is off) one that takes a credit off every hundredth charge."""

    accounts: int
    rounds: int
    batch: int
    corrected: bool = True

    @property
    def events(self) -> int:
        """The number of events in the rounds, without those of the shop."""
        return self.rounds * self.events_a_round

    @property
    def events_a_round(self) -> int:
        """The number of events in one round."""
        return 3 * self.batch + (self._corrections if self.corrected else 0)

    @property
    def events_in_all(self) -> int:
        """The events of the log: the plan, two for each account (sold, started), and the rounds."""
        return 1 + 2 * self.accounts + self.events

    @property
    def _corrections(self) -> int:
        return len(range(0, self.batch, CORRECTED_EVERY))

    def write(self, ledger: Ledger, rounds: Iterable[int] | None = None) -> None:
        """Write the rounds (or some of them, by number) into a shop."""
        load = Load(self.accounts, self.batch)
        for each in range(self.rounds) if rounds is None else rounds:
            numbers = range(each * self.batch, (each + 1) * self.batch)
            charged = ledger.execute_many([load.direct(number) for number in numbers])
            write_held(ledger, load, [(numbers, [load.hold(number) for number in numbers])])
            if self.corrected:
                seqs = [seq_of(answer) for answer in charged[::CORRECTED_EVERY]]
                ledger.execute_many([Adjust(charge=seq, credits=-1, reason="refund") for seq in seqs])

    def spent(self) -> dict[str, int]:
        """Return what each subscriber has spent in the end, by plain arithmetic."""
        spent: Counter[str] = Counter()
        for number in range(self.rounds * self.batch):
            name = subscriber(number % self.accounts)
            spent[name] += 2 * price(usage(number))
            if self.corrected and number % self.batch % CORRECTED_EVERY == 0:
                spent[name] -= 1
        return dict(spent)


# -- answers -----------------------------------------------------------------------------------------------------------


def digest(spent: Mapping[str, int]) -> str:
    """Return the digest of what each subscriber has spent; those who spent nothing are left out."""
    rows = sorted((name, credits) for name, credits in spent.items() if credits)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def came_to(ledger: Ledger) -> str:
    """Return the digest of what was spent by the ledger's own books. Every balance must add up."""
    balances = ledger.balances()
    for balance in balances:
        assert balance.available == CREDITS - balance.spent, balance
        assert (balance.held, balance.open_requests, balance.debt) == (0, 0, 0), balance
    return digest({balance.subscriber: balance.spent for balance in balances})


def chain_of(path: Path) -> str:
    """Return the last hash of a log file, recomputed from its first commit; `broken` where a commit has another."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as log:
        ((name, form),) = log.execute("SELECT id, format FROM ledger")
        hash_ = hashlib.sha256(name.encode() + struct.pack(">I", form)).digest()
        rows = log.execute(
            "SELECT first_seq, count, at, typeof(body), CAST(body AS BLOB), hash FROM commits ORDER BY 1"
        )
        for first, count, at, kind, body, stored in rows:
            frame = struct.pack(">QIqBQ", first, count, at, 1 if kind == "text" else 2, len(body))
            hash_ = hashlib.sha256(hash_ + frame + body).digest()
            if hash_ != stored:
                return "broken"
    return hash_.hex()
