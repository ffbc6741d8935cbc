"""Rules of money: escrow is spent once, dues are signed, and every amount is exact."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from ledger.events import Leaf
from ledger.plugins import Chain
from ledger.settlement.messages import Batch, PurchaseMade

from .steps import CREDITS, Rules, Subject, differ

_BEYOND = 2**130 + 1
"""An amount beyond 128 bits, signed or unsigned."""


def has_left(subject: Subject, chain: Chain, before: Batch, left: int, when: str) -> Iterator[str]:
    """Yield messages unless escrow has exactly `left`: the batch after `before` that pays it is accepted, and not one
    that pays 1 more. Afterwards the contract may have a batch that is never paid out."""
    if (refused := chain.simulate(subject.batch(chain, 0, left, after=before))) is not None:
        yield f"simulate refuses a batch that pays the {left} which are left in escrow {when}: {refused}"
    more = subject.batch(chain, 0, left + 1, after=before)
    yield from subject.refused(chain, more, f"a batch that pays {left + 1}", f", and {left} are left in escrow {when}")


def _spent_once(subject: Subject) -> Iterator[str]:
    """The first batch pays 900 of 1000 in escrow. A pending batch counts as paid out."""
    chain = subject.funded()
    first = subject.batch(chain, 900)
    own = [subject.submit(chain, first)]
    if chain.find(1).stage == "committed":
        if chain.simulate(subject.batch(chain, 0, 101, after=first)) is None:
            yield "simulate accepts a batch of 101 out of 1000, while one of 900 waits in its window"
        if (refused := chain.simulate(subject.batch(chain, 0, 100, after=first))) is not None:
            yield f"simulate refuses a batch of 100 out of 1000, while one of 900 waits in its window: {refused}"
    subject.carry(chain, first, own)
    yield from has_left(subject, chain, first, 100, "after a batch of 900")


def _claimed_and_spent(subject: Subject) -> Iterator[str]:
    """A claim is paid out of dues, and returns nothing to escrow."""
    chain = subject.funded()
    first = subject.batch(chain, 900)
    subject.carry(chain, first)
    subject.able(subject.harness.claim, chain, subject.harness.receivers[0])
    subject.harness.pass_time(chain)
    yield from has_left(subject, chain, first, 100, "after a batch of 900 that was claimed")


def _returned(subject: Subject) -> Iterator[str]:
    """A refund returns dues to escrow, down to a due of 0, and nothing more."""
    chain = subject.funded()
    first = subject.batch(chain, 900, 100)
    subject.carry(chain, first)
    refund = subject.batch(chain, -400, after=first)
    subject.carry(chain, refund)
    again = subject.batch(chain, 0, 400, after=refund)
    if (refused := chain.simulate(again)) is not None:
        yield f"simulate refuses a batch that pays 400, which a refund has brought back to escrow: {refused}"
        return
    subject.carry(chain, again)
    below = subject.batch(chain, -600, after=again)
    subject.carry(chain, below)
    yield from has_left(subject, chain, below, 500, "after a refund of 600 where 500 were due")


def _own_escrow(subject: Subject) -> Iterator[str]:
    """The escrow has 1000 of one asset. A batch in another one cannot be paid from it."""
    chain, other = subject.funded(), subject.harness.elsewhere.asset
    batch = replace(subject.batch(chain, 300, 30), asset=other)
    only = f", and escrow has only {subject.harness.asset}"
    yield from subject.refused(chain, batch, f"a batch that pays 330 {other}", only)
    found = [subject.harness.paid(chain, receiver, other) for receiver in subject.harness.receivers[:2]]
    yield from differ(f"what receivers have in {other}, in which no purchase was made", found, [0, 0])


def _own_dues(subject: Subject) -> Iterator[str]:
    """On a contract with money of two assets, a payout or a claim in one does not change the other."""
    chain, harness = subject.fresh(), subject.harness
    assets, other = (harness.asset, harness.elsewhere.asset), harness.elsewhere.asset
    subject.buy(chain)
    subject.able(
        harness.purchase_elsewhere, chain, harness.subscribers[0], harness.plans[1], subject.terms(), CREDITS[1]
    )
    harness.pass_time(chain)
    reported = [fact.asset for fact in chain.facts() if isinstance(fact, PurchaseMade)]
    yield from differ("the assets of two purchases", reported, list(assets))
    first = subject.batch(chain, 300, 30)
    subject.carry(chain, first)
    second = replace(subject.batch(chain, 200, 20, after=first), asset=other)
    subject.carry(chain, second)
    one = harness.receivers[0]
    yield from differ("what is due in two assets", [chain.due(one, asset) for asset in assets], [300, 200])
    subject.able(harness.claim, chain, one)
    harness.pass_time(chain)
    due = [chain.due(one, asset) for asset in assets]
    yield from differ("what is due in two assets once one was claimed", due, [0, 200])
    have = [harness.paid(chain, one, asset) for asset in assets]
    yield from differ("what a receiver has in two assets once one was claimed", have, [300, 200])
    yield from has_left(subject, chain, second, 670, "of one asset, beside money of another")


def _overspends(subject: Subject) -> Iterator[str]:
    """The escrow has 1000. A batch of 1400 is refused, and pays no receiver if it is sent regardless."""
    chain = subject.funded()
    batch = subject.batch(chain, 900, 500)
    yield from subject.refused(chain, batch, "a batch that pays 1400 out of an escrow of 1000")


def _nets(subject: Subject) -> Iterator[str]:
    """A payout below zero never fails: the due may go below zero, and later payouts fill it first."""
    chain = subject.funded(2)
    one, other = subject.harness.receivers[:2]
    before: Batch | None = None
    due = {one: 0, other: 0}
    for amounts in ((300, 30), (-200, 70), (-350, 0), (100, -150), (900, 150), (0, 0), (0, 20)):
        with subject.paying(chain, *amounts) as wrong:
            before = subject.batch(chain, *amounts, after=before)
            if (refused := chain.simulate(before)) is not None:
                yield f"simulate refuses payouts {amounts} when {list(due.values())} is due: {refused}"
            yield from differ(f"the batch of payouts {amounts}", subject.carry(chain, before).stage, "executed")
        yield from wrong
        due[one] += amounts[0]
        due[other] += amounts[1]
        yield from differ(
            f"what is due after payouts {amounts}",
            {receiver: chain.due(receiver, before.asset) for receiver in due},
            due,
        )


def _claims(subject: Subject) -> Iterator[str]:
    """A claim pays the due once; a refund of claimed money is deducted from later payouts."""
    chain = subject.funded(2)
    one, asset = subject.harness.receivers[0], subject.harness.asset
    first = subject.batch(chain, 300, 30)
    subject.carry(chain, first)
    with subject.paying(chain, 0, 0) as wrong:
        subject.able(subject.harness.claim, chain, one)
        subject.harness.pass_time(chain)
        yield from differ("what is due once it was claimed", chain.due(one, asset), 0)
    yield from wrong
    before, due = first, 0
    for amount in (-200, 150, 90):
        with subject.paying(chain, amount) as wrong:
            before = subject.batch(chain, amount, after=before)
            subject.carry(chain, before)
            due += amount
            yield from differ("what is due after a claim of 300 and later payouts", chain.due(one, asset), due)
        yield from wrong


def _reported(subject: Subject) -> Iterator[str]:
    """The reported escrow rises with purchases, falls with positive dues, and rises when a refund reduces them."""
    chain, harness = subject.funded(2), subject.harness
    yield from differ("the escrow after purchases for 2000", chain.escrow(harness.asset), 2000)
    before: Batch | None = None
    for amount, left in ((900, 1100), (-400, 1500), (-600, 2000), (250, 1850)):
        before = subject.batch(chain, amount, after=before)
        subject.carry(chain, before)
        for connection in (chain, subject.again(chain)):
            found = connection.escrow(harness.asset)
            yield from differ(f"the escrow after a payout of {amount}", found, left)
            yield from differ(f"what it has after a payout of {amount}", connection.holdings(harness.asset), 2000)
    yield from differ("the escrow of an asset without purchases", chain.escrow(harness.elsewhere.asset), 0)


def _reported_claims(subject: Subject) -> Iterator[str]:
    """The reported claims are all claims of a receiver in an asset: without dues, and not reduced by a refund."""
    chain, harness = subject.funded(2), subject.harness
    one, other = harness.receivers[:2]
    before: Batch | None = None
    for amounts, claimed in (((300, 30), 300), ((50, 5), 350), ((-40, 0), 350)):
        before = subject.batch(chain, *amounts, after=before)
        subject.carry(chain, before)
        left = chain.escrow(harness.asset)
        if amounts[0] > 0:
            subject.able(harness.claim, chain, one)
            harness.pass_time(chain)
        for connection in (chain, subject.again(chain)):
            found = {receiver: connection.claimed(receiver, harness.asset) for receiver in (one, other)}
            yield from differ(f"what was claimed after payouts of {amounts}", found, {one: claimed, other: 0})
        yield from differ("the escrow after a claim", chain.escrow(harness.asset), left)
        yield from differ("what it has after a claim", chain.holdings(harness.asset), 2000 - claimed)
    yield from differ("what was claimed of another asset", chain.claimed(one, harness.elsewhere.asset), 0)


def _large(subject: Subject) -> Iterator[str]:
    """Amounts beyond 2^64 are paid exactly; amounts beyond 128 bits are paid exactly or refused."""
    chain = subject.funded(2, plan=1)
    amounts = list(subject.terms(1).values())
    first = subject.batch(chain, *amounts)
    with subject.paying(chain, *amounts) as wrong:
        subject.carry(chain, first)
        due = [chain.due(receiver, first.asset) for receiver in subject.harness.receivers[:2]]
        yield from differ("what is due", due, amounts)
    yield from wrong
    with subject.paying(chain, -amounts[0], 1) as wrong:
        last = subject.batch(chain, -amounts[0], 1, after=first)
        subject.carry(chain, last)
    yield from wrong
    leaves = [Leaf(*subject.account, 5, 0)]
    for amount in (-_BEYOND, _BEYOND):  # a due may be far below zero without any money
        batch = subject.batch(chain, amount, after=last, leaves=leaves)
        try:
            subject.harness.plugin.commitment(batch)
        except ValueError:
            return
        if chain.simulate(batch) is not None:
            return
        with subject.paying(chain, amount) as wrong:
            subject.carry(chain, batch)
        yield from wrong
        owed = chain.due(subject.harness.receivers[0], batch.asset)
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
    "the escrow is reported": _reported,
    "what was claimed is reported": _reported_claims,
    "large amounts are paid exactly": _large,
}
