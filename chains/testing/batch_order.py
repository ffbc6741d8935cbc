"""Rules of the order of batches: numbers are consecutive, are accepted once and by one contract, and stay used."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ledger.errors import LedgerError
from ledger.plugins import Chain
from ledger.settlement.messages import Attempt, Batch

from .steps import DONE, PATIENCE, Broken, Rules, Subject, differ, ids


def _in_order(subject: Subject) -> Iterator[str]:
    """The second batch is refused, or has no effect, while the first one is absent; afterwards it is executed."""
    chain = subject.funded(2)
    first = subject.batch(chain, 300, 30)
    second = subject.batch(chain, 50, 5, after=first)
    with subject.paying(chain, 0, 0) as wrong:
        if chain.simulate(second) is None:
            yield "simulate accepts batch 2, and batch 1 is absent"
        attempt = subject.force(chain, second)
        if chain.find(2).stage in ("committed", *DONE):
            yield f"batch 2 is {chain.find(2).stage}, and batch 1 is {chain.find(1).stage}"
    yield from wrong
    with subject.paying(chain, 350, 35) as wrong:
        subject.carry(chain, first)
        subject.carry(chain, second, [attempt] if attempt else [])
    yield from wrong


def _queued(subject: Subject) -> Iterator[str]:
    """Three batches are signed and sent before the first of them is final."""
    chain = subject.funded(2)
    queue: list[Batch] = []
    taken: list[Attempt] = []
    with subject.paying(chain, 111, 222) as wrong:
        for amounts in ((1, 2), (10, 20), (100, 200)):
            queue.append(subject.batch(chain, *amounts, after=queue[-1] if queue else None))
            taken.append(subject.prepare(chain, queue[-1], taken))
        for attempt in taken:
            chain.send(attempt)
        subject.harness.mine(chain)
        for attempt in taken:
            if (standing := chain.confirm(attempt)) not in ("pending", "final"):
                yield f"the transaction of batch {attempt.number}, which was sent behind those before it, is {standing}"
        for batch, attempt in zip(queue, list(taken), strict=True):
            found = subject.carry(chain, batch, own := [attempt], taken)
            yield from differ(f"batch {batch.number}", found.stage, "executed")
            taken += own[1:]
    yield from wrong


def _builds_on(subject: Subject) -> Iterator[str]:
    chain = subject.funded(2)
    first = subject.batch(chain, 300, 30)
    subject.carry(chain, first)
    right = subject.batch(chain, 50, 5, after=first)
    wrong_ones = {"no batch": "", "another batch": subject.harness.plugin.commitment(right).digest}
    for name, previous in wrong_ones.items():
        bad = msgspec.structs.replace(right, previous=previous)
        yield from subject.refused(chain, bad, f"a batch 2 that builds on {name}", stages=("committed", *DONE))


def _for_one_contract(subject: Subject) -> Iterator[str]:
    """A batch that names another chain or contract is refused, though its number and previous digest are right."""
    elsewhere = subject.harness.elsewhere
    for field, other in (("chain", elsewhere.chain), ("contract", elsewhere.contract)):
        chain = subject.funded()
        bad = msgspec.structs.replace(subject.batch(chain, 300, 30), **{field: other})
        on = f", on {chain.contract!r} of {chain.name!r}"
        yield from subject.refused(chain, bad, f"a batch whose {field} is {other!r}", on, ("committed", *DONE))


def _namesakes(subject: Subject) -> Iterator[str]:
    """A contract of the same name on another chain has no state of this one."""
    chain = subject.funded()
    subject.carry(chain, subject.batch(chain, 300, 30))
    receiver, asset = subject.harness.receivers[0], subject.harness.asset
    try:
        other = subject.namesake(chain)
        yield from differ("the name of the other chain", other.name, subject.harness.elsewhere.chain)
        yield from differ("the facts of a contract of that name on another chain", ids(other.facts()), [])
        yield from differ("batch 1 of a contract of that name on another chain", other.find(1).stage, "absent")
        yield from differ("what a contract of that name on another chain owes", other.due(receiver, asset), 0)
    except LedgerError:
        return  # there is no such chain, or no such contract on it


def _taken_once(subject: Subject) -> Iterator[str]:
    """Two senders with one key send different batches 1: one is executed, and the chain keeps reporting that one."""
    chain = subject.funded(2)
    batch, rival = subject.batch(chain, 300, 30), subject.batch(chain, 400, 40)
    commitment = subject.harness.plugin.commitment(batch)
    behind = subject.prepare(chain, rival, [subject.prepare(chain, subject.batch(chain, 5, 5, after=batch))])
    with subject.paying(chain, 300, 30) as wrong:
        own = [subject.submit(chain, batch)]
        subject.send_anyway(chain, behind)
        subject.carry(chain, batch, own)
    yield from wrong
    with subject.paying(chain, 0, 0) as wrong:
        if chain.simulate(rival) is None:
            yield "simulate accepts another batch under a number that is taken"
        subject.force(chain, rival, own)
        subject.force(subject.again(chain), rival)
        for connection in (chain, subject.again(chain)):
            found = connection.find(1)
            yield from differ(
                "stage and digest of the first one", (found.stage, found.digest), ("executed", commitment.digest)
            )
    yield from wrong


def _cancelled(subject: Subject) -> Iterator[str]:
    """A cancelled batch keeps its number and its digest, pays nothing, and the next one goes through."""
    harness = subject.harness
    subject.needs(harness.window, "the contract has no challenge window (`window`)")
    chain = subject.funded(2)
    batch = subject.batch(chain, 300, 30)
    digest = harness.plugin.commitment(batch).digest
    with subject.paying(chain, 0, 0) as wrong:
        own = [subject.submit(chain, batch)]
        _await_stage(subject, chain, 1, "committed")
        subject.able(harness.cancel, chain, 1)
        harness.pass_time(chain)
        found = chain.find(1)
        yield from differ("a cancelled batch", (found.stage, found.digest, found.final), ("cancelled", digest, True))
        if chain.simulate(batch) is None:
            yield "simulate accepts a cancelled batch"
        subject.force(chain, batch, own)
        yield from differ("a cancelled batch that was sent again", subject.again(chain).find(1).stage, "cancelled")
    yield from wrong
    with subject.paying(chain, 50, 5) as wrong:
        yield from differ(
            "the batch after it", subject.carry(chain, subject.batch(chain, 50, 5, after=batch)).stage, "executed"
        )
    yield from wrong


def _await_stage(subject: Subject, chain: Chain, number: int, stage: str) -> None:
    for _ in range(PATIENCE):
        if chain.find(number).stage == stage:
            return
        subject.harness.mine(chain)
    raise Broken(f"batch {number} was sent and mined, and is {chain.find(number).stage}, not {stage}")


RULES: Rules = {
    "batches go in order": _in_order,
    "batches can be queued": _queued,
    "a batch builds on the one before": _builds_on,
    "a batch is for one contract": _for_one_contract,
    "chains of other names are others": _namesakes,
    "a number is taken once": _taken_once,
    "a cancelled batch pays nothing": _cancelled,
}
