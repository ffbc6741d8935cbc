"""Rules of money: escrow is spent once and goes nowhere else, dues are signed, and every amount is exact."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from ledger.events import Leaf
from ledger.plugins import Chain
from ledger.settlement.messages import Batch, PurchaseMade

from .steps import CREDITS, Rules, Trial, differ

_BEYOND = 2**130 + 1
"""More than 128 bits hold, signed or not."""


def has_left(trial: Trial, chain: Chain, before: Batch, left: int, when: str) -> Iterator[str]:
    """So much is left in escrow, and no more: the batch after `before` that pays it is taken, not one that pays 1 more.
    After this the contract may have a batch that is never paid out."""
    if (refused := chain.simulate(trial.batch(chain, 0, left, after=before))) is not None:
        yield f"simulate refuses a batch that pays the {left} which are left in escrow {when}: {refused}"
    more = trial.batch(chain, 0, left + 1, after=before)
    with trial.paying(chain, 0, 0) as wrong:
        if chain.simulate(more) is None:
            yield f"simulate takes a batch that pays {left + 1}, and {left} are left in escrow {when}"
        trial.force(chain, more)
        if chain.find(more.number).stage == "executed":
            yield f"a batch that pays {left + 1} is executed, and {left} are left in escrow {when}"
    yield from wrong


def _spent_once(trial: Trial) -> Iterator[str]:
    """Of 1000 in escrow the first batch pays 900. A batch that is on its way counts as paid out."""
    chain = trial.funded()
    first = trial.batch(chain, 900)
    own = [trial.submit(chain, first)]
    if chain.find(1).stage == "committed":
        if chain.simulate(trial.batch(chain, 0, 101, after=first)) is None:
            yield "simulate takes a batch of 101 out of 1000, while one of 900 waits in its window"
        if (refused := chain.simulate(trial.batch(chain, 0, 100, after=first))) is not None:
            yield f"simulate refuses a batch of 100 out of 1000, while one of 900 waits in its window: {refused}"
    trial.carry(chain, first, own)
    yield from has_left(trial, chain, first, 100, "after a batch of 900")


def _claimed_and_spent(trial: Trial) -> Iterator[str]:
    """A claim pays out of what is due, and gives escrow nothing back."""
    chain = trial.funded()
    first = trial.batch(chain, 900)
    trial.carry(chain, first)
    trial.able(trial.bench.claim, chain, trial.bench.receivers[0])
    trial.bench.pass_time(chain)
    yield from has_left(trial, chain, first, 100, "after a batch of 900 that was claimed")


def _returned(trial: Trial) -> Iterator[str]:
    """A refund brings back to escrow what was due, down to 0, and nothing that was not."""
    chain = trial.funded()
    first = trial.batch(chain, 900, 100)
    trial.carry(chain, first)
    refund = trial.batch(chain, -400, after=first)
    trial.carry(chain, refund)
    again = trial.batch(chain, 0, 400, after=refund)
    if (refused := chain.simulate(again)) is not None:
        yield f"simulate refuses a batch that pays 400, which a refund has brought back to escrow: {refused}"
        return
    trial.carry(chain, again)
    below = trial.batch(chain, -600, after=again)
    trial.carry(chain, below)
    yield from has_left(trial, chain, below, 500, "after a refund of 600 where 500 were due")


def _own_escrow(trial: Trial) -> Iterator[str]:
    """The escrow has 1000 of one asset. A batch in another one cannot be paid from it."""
    chain, other = trial.funded(), trial.bench.elsewhere.asset
    batch = replace(trial.batch(chain, 300, 30), asset=other)
    with trial.paying(chain, 0, 0) as wrong:
        if chain.simulate(batch) is None:
            yield f"simulate takes a batch that pays 330 {other}, and the escrow has none, but {trial.bench.asset}"
        trial.force(chain, batch)
        if chain.find(1).stage == "executed":
            yield f"a batch that pays 330 {other} is executed, and the escrow has none, but {trial.bench.asset}"
    yield from wrong
    found = [trial.bench.paid(chain, receiver, other) for receiver in trial.bench.receivers[:2]]
    yield from differ(f"what receivers have in {other}, which nobody has paid in", found, [0, 0])


def _own_dues(trial: Trial) -> Iterator[str]:
    """A contract with money of two assets: what moves in one leaves the other as it is."""
    chain, bench = trial.fresh(), trial.bench
    assets, other = (bench.asset, bench.elsewhere.asset), bench.elsewhere.asset
    trial.buy(chain)
    trial.able(bench.purchase_elsewhere, chain, bench.subscribers[0], bench.plans[1], trial.terms(), CREDITS[1])
    bench.pass_time(chain)
    told = [fact.asset for fact in chain.facts() if isinstance(fact, PurchaseMade)]
    yield from differ("the assets of two purchases", told, list(assets))
    first = trial.batch(chain, 300, 30)
    trial.carry(chain, first)
    second = replace(trial.batch(chain, 200, 20, after=first), asset=other)
    trial.carry(chain, second)
    one = bench.receivers[0]
    yield from differ("what is due in two assets", [chain.due(one, asset) for asset in assets], [300, 200])
    trial.able(bench.claim, chain, one)
    bench.pass_time(chain)
    due = [chain.due(one, asset) for asset in assets]
    yield from differ("what is due in two assets once one was claimed", due, [0, 200])
    have = [bench.paid(chain, one, asset) for asset in assets]
    yield from differ("what a receiver has in two assets once one was claimed", have, [300, 200])
    yield from has_left(trial, chain, second, 670, "of one asset, whatever there is of the other")


def _overspends(trial: Trial) -> Iterator[str]:
    """The escrow has 1000. A batch of 1400 is refused, and if it is sent all the same, nobody is paid from it."""
    chain = trial.funded()
    batch = trial.batch(chain, 900, 500)
    with trial.paying(chain, 0, 0) as wrong:
        if chain.simulate(batch) is None:
            yield "simulate takes a batch that pays 1400 out of an escrow of 1000"
        trial.force(chain, batch)
        if chain.find(1).stage == "executed":
            yield "a batch that pays 1400 out of an escrow of 1000 is executed"
    yield from wrong


def _nets(trial: Trial) -> Iterator[str]:
    """A payout below zero never fails; what is due goes below zero, and later payouts fill that first."""
    chain = trial.funded(2)
    one, other = trial.bench.receivers[:2]
    before: Batch | None = None
    due = {one: 0, other: 0}
    for amounts in ((300, 30), (-200, 70), (-350, 0), (100, -150), (900, 150), (0, 0), (0, 20)):
        with trial.paying(chain, *amounts) as wrong:
            before = trial.batch(chain, *amounts, after=before)
            if (refused := chain.simulate(before)) is not None:
                yield f"simulate refuses payouts {amounts} when {list(due.values())} is due: {refused}"
            yield from differ(f"the batch of payouts {amounts}", trial.carry(chain, before).stage, "executed")
        yield from wrong
        due[one] += amounts[0]
        due[other] += amounts[1]
        yield from differ(
            f"what is due after payouts {amounts}", {each: chain.due(each, before.asset) for each in due}, due
        )


def _claims(trial: Trial) -> Iterator[str]:
    """A claim takes what is due, once; money that was claimed is taken back out of later payouts."""
    chain = trial.funded(2)
    one, asset = trial.bench.receivers[0], trial.bench.asset
    first = trial.batch(chain, 300, 30)
    trial.carry(chain, first)
    with trial.paying(chain, 0, 0) as wrong:
        trial.able(trial.bench.claim, chain, one)
        trial.bench.pass_time(chain)
        yield from differ("what is due once it was claimed", chain.due(one, asset), 0)
    yield from wrong
    before, due = first, 0
    for amount in (-200, 150, 90):
        with trial.paying(chain, amount) as wrong:
            before = trial.batch(chain, amount, after=before)
            trial.carry(chain, before)
            due += amount
            yield from differ("what is due after a claim of 300 and later payouts", chain.due(one, asset), due)
        yield from wrong


def _told(trial: Trial) -> Iterator[str]:
    """Purchases bring it up, dues bring it down, and what a refund takes back of them up again: never by what is below
    zero."""
    chain, bench = trial.funded(2), trial.bench
    yield from differ("the escrow after purchases for 2000", chain.escrow(bench.asset), 2000)
    before: Batch | None = None
    for amount, left in ((900, 1100), (-400, 1500), (-600, 2000), (250, 1850)):
        before = trial.batch(chain, amount, after=before)
        trial.carry(chain, before)
        for connection in (chain, trial.again(chain)):
            found = connection.escrow(bench.asset)
            yield from differ(f"the escrow after a payout of {amount}", found, left)
            yield from differ(f"what it has after a payout of {amount}", connection.holdings(bench.asset), 2000)
    yield from differ("the escrow of an asset that nobody has paid in", chain.escrow(bench.elsewhere.asset), 0)


def _told_claims(trial: Trial) -> Iterator[str]:
    """All claims of a receiver in an asset, and nothing else: not what is due, and not less after a refund."""
    chain, bench = trial.funded(2), trial.bench
    one, other = bench.receivers[:2]
    before: Batch | None = None
    for amounts, claimed in (((300, 30), 300), ((50, 5), 350), ((-40, 0), 350)):
        before = trial.batch(chain, *amounts, after=before)
        trial.carry(chain, before)
        left = chain.escrow(bench.asset)
        if amounts[0] > 0:
            trial.able(bench.claim, chain, one)
            bench.pass_time(chain)
        for connection in (chain, trial.again(chain)):
            found = {each: connection.claimed(each, bench.asset) for each in (one, other)}
            yield from differ(f"what was claimed after payouts of {amounts}", found, {one: claimed, other: 0})
        yield from differ("the escrow after a claim", chain.escrow(bench.asset), left)
        yield from differ("what it has after a claim", chain.holdings(bench.asset), 2000 - claimed)
    yield from differ("what was claimed of another asset", chain.claimed(one, bench.elsewhere.asset), 0)


def _large(trial: Trial) -> Iterator[str]:
    """Amounts beyond 2^64; and what 128 bits cannot hold is paid exactly, or refused."""
    chain = trial.funded(2, plan=1)
    amounts = list(trial.terms(1).values())
    first = trial.batch(chain, *amounts)
    with trial.paying(chain, *amounts) as wrong:
        trial.carry(chain, first)
        due = [chain.due(receiver, first.asset) for receiver in trial.bench.receivers[:2]]
        yield from differ("what is due", due, amounts)
    yield from wrong
    with trial.paying(chain, -amounts[0], 1) as wrong:
        last = trial.batch(chain, -amounts[0], 1, after=first)
        trial.carry(chain, last)
    yield from wrong
    leaves = [Leaf(*trial.account, 5, 0)]
    for amount in (-_BEYOND, _BEYOND):  # what is due may be as far below zero as it likes, without any money
        batch = trial.batch(chain, amount, after=last, leaves=leaves)
        try:
            trial.bench.plugin.commitment(batch)
        except ValueError:
            return
        if chain.simulate(batch) is not None:
            return
        with trial.paying(chain, amount) as wrong:
            trial.carry(chain, batch)
        yield from wrong
        owed = chain.due(trial.bench.receivers[0], batch.asset)
        yield from differ(f"what is due after a payout of {amount}", owed, min(amount, 0))
        last = batch


RULES: Rules = {
    "a batch that overspends pays nothing": _overspends,
    "escrow is spent once": _spent_once,
    "what was claimed is spent": _claimed_and_spent,
    "a refund returns to escrow": _returned,
    "each asset has its own escrow": _own_escrow,
    "each asset has its own dues": _own_dues,
    "payouts net below zero": _nets,
    "a claim takes what is due": _claims,
    "the escrow is told": _told,
    "what was claimed is told": _told_claims,
    "large amounts are paid exactly": _large,
}
