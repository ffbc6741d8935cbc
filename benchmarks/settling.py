"""Settlement: opening a batch of many accounts, and settling one on the mock chain, from opening to confirmation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from chains import Outbox, Watcher
from chains.leaves import keccak
from chains.mock import MockChain
from ledger import Ledger, OpenSettlement
from ledger.events import SettlementOpened

from . import floors
from .figures import Comparison
from .rounds import Contender, Trial
from .workload import (
    ASSET,
    CHAIN,
    CONTRACT,
    COST,
    CREDITS,
    OWNER,
    PLAN,
    Load,
    create_plan,
    standing_clock,
    subscriber,
    writer,
)
from .workshop import Workshop

SUBJECT = "tollbook"


def comparisons(workshop: Workshop) -> list[Comparison]:
    """Return the figures of opening and of settling a batch; each is for one account of the batch."""
    many = Load(workshop.size.settling, workshop.size.settling)
    some = Load(max(1, workshop.size.settling // 8), max(1, workshop.size.settling // 8))
    opened = f"opening a batch of {many.accounts:,} accounts, an account"
    settled = f"settling a batch of {some.accounts:,} accounts on the mock chain, an account"
    return [
        Comparison("settle.open", opened, "account", many.accounts, _open(workshop, many), (_hashes(many),)),
        Comparison("settle.outbox", settled, "account", some.accounts, _outbox(some), (_commits(some),)),
    ]


def earned(load: Load) -> int:
    """Return the money that the owner has earned: of each lot its cost times the used part of its credits, floored."""
    return sum(COST * spent // CREDITS for spent in load.spent().values())


def _open(workshop: Workshop, load: Load) -> Contender:
    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        with workshop.shop(folder, load.accounts, escrow=True) as ledger:
            writer(ledger, load)()
            opened: list[SettlementOpened] = []

            def work() -> None:
                event = ledger.execute(OpenSettlement(chain=CHAIN, contract=CONTRACT, asset=ASSET)).unwrap().event
                assert isinstance(event, SettlementOpened)
                opened.append(event)

            yield Trial(
                work, lambda: ([(each.receiver, each.amount) for each in opened[0].payouts], opened[0].accounts)
            )

    return Contender(SUBJECT, prepare, lambda: ([(OWNER, earned(load))], load.accounts))


def _hashes(load: Load) -> Contender:
    """Each leaf hashed twice, and each pair of a tree above them."""

    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        leaves = [number.to_bytes(32, "big") * 8 for number in range(load.accounts)]
        rows: list[int] = []

        def work() -> None:
            row = [keccak(keccak(leaf)) for leaf in leaves]
            while len(row) > 1:
                rows.append(len(row))
                paired = [keccak(left + right) for left, right in zip(row[::2], row[1::2], strict=False)]
                row = paired + row[len(paired) * 2 :]

        yield Trial(work, lambda: rows[0] if rows else 1)

    return Contender("Keccak of as many leaves and pairs", prepare, lambda: load.accounts)


def _outbox(load: Load) -> Contender:
    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        with _sold_on_chain(folder, load) as (ledger, chain):
            numbers: list[int] = []
            yield Trial(
                lambda: numbers.extend(Outbox(ledger, chain).settle()), lambda: (numbers, chain.due(OWNER, ASSET))
            )

    return Contender(SUBJECT, prepare, lambda: ([1], earned(load)))


def _commits(load: Load) -> Contender:
    """The bytes of a settled batch's events, in as many SQLite commits."""
    written: list[bytes] = []

    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        with _sold_on_chain(folder, load) as (ledger, chain):
            before = ledger.head.seq
            Outbox(ledger, chain).settle()
            commits = list(ledger.commits(before))
        written[:] = [commit.body for commit in commits]
        with closing(floors.BareSQLite(folder / "bare.db")) as bare:
            yield Trial(lambda: bare.append_all(commits), bare.bodies)

    return Contender("SQLite commits of the same bytes", prepare, lambda: written)


@contextmanager
def _sold_on_chain(folder: Path, load: Load) -> Iterator[tuple[Ledger, MockChain]]:
    """Yield a ledger that has imported the purchases of a mock chain and charged the load."""
    with (
        Ledger.open(folder / "shop.db", clock=standing_clock, id="benchmark") as ledger,
        closing(MockChain(folder / "mock", name=CHAIN, contract=CONTRACT)) as chain,
    ):
        create_plan(ledger)
        for number in range(load.accounts):
            chain.purchase(subscriber(number), PLAN, ASSET, {OWNER: COST}, credits=CREDITS)
        chain.mine(2)
        assert Watcher(ledger, chain).sync() == []
        writer(ledger, load)()
        yield ledger, chain
