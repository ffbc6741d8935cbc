"""Rules of batches: a number is taken once, in order, for the batch that was sealed, and money moves exactly once."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ledger.commands import MAX_RAW
from ledger.errors import BadData, LedgerError
from ledger.plugins import Chain
from ledger.settlement.messages import Attempt, Batch, Found

from .. import leaf_file
from ..leaves import keccak
from .steps import BLOCKS, DONE, PATIENCE, Broken, Rules, Subject, differ, ids


def _absent(subject: Subject) -> Iterator[str]:
    chain = subject.funded()
    for number in (1, 2, 999):
        yield from differ(f"batch {number} of a new contract", chain.find(number), Found(stage="absent"))
        yield from differ(f"the leaf file of batch {number} of a new contract", chain.published(number), None)
    yield from differ(
        "what a new contract owes", [chain.due(one, subject.harness.asset) for one in subject.paid(chain)], [0, 0]
    )
    yield from differ("what receivers have of a new contract", sum(subject.paid(chain).values()), 0)


def _sends_nothing(subject: Subject) -> Iterator[str]:
    """Asking whether a batch would be taken, and signing it, leave no trace on the chain."""
    chain = subject.funded()
    with subject.paying(chain, 0, 0) as wrong:
        batch = subject.batch(chain, 300, 30)
        yield from differ("simulate refuses a good batch", chain.simulate(batch), None)
        attempt = subject.prepare(chain, batch)
        for when in ("prepared", "prepared and a block was mined"):
            yield from differ(f"a batch that was only {when}", chain.find(1).stage, "absent")
            yield from differ(f"a transaction that was only {when}", chain.confirm(attempt), "gone")
            subject.harness.mine(chain)
    yield from wrong


def _stored(subject: Subject) -> Iterator[str]:
    """What the log stores of an attempt is enough for another connection, after a restart."""
    chain = subject.funded()
    batch = subject.batch(chain, 300, 30)
    attempt = subject.prepare(chain, batch)
    yield from differ("number and attempt of the first one", (attempt.number, attempt.attempt), (1, 1))
    for name, most in (("raw", MAX_RAW), ("transaction", 4096)):
        text = getattr(attempt, name)
        if not isinstance(text, str) or not 0 < len(text) <= most:
            yield f"`{name}` is a {type(text).__name__} of length {len(text)}, not text that the log takes"
            return
    stored = msgspec.json.decode(msgspec.json.encode(attempt), type=Attempt)
    yield from differ("an attempt that was stored as JSON", stored, attempt)
    with subject.paying(chain, 300, 30) as wrong:
        other = subject.again(chain)
        other.send(stored)
        subject.harness.mine(other)
        found = other.find(1)
        if found.stage not in ("committed", *DONE):
            yield f"an attempt that was prepared here and sent by another connection leaves the batch {found.stage}"
        other = subject.again(chain)
        yield from differ("what another connection says of it", other.confirm(stored) in ("pending", "final"), True)
        subject.carry(other, batch, [stored])
    yield from wrong


def _pays_once(subject: Subject) -> Iterator[str]:
    """The same bytes are sent again at every stage and by every connection."""
    chain = subject.funded(2)
    batch = subject.batch(chain, 300, 30)
    with subject.paying(chain, 300, 30) as wrong:
        own = [subject.prepare(chain, batch)]
        for _ in range(2):
            chain.send(own[0])
        subject.harness.mine(chain)
        chain.send(own[0])
        subject.again(chain).send(own[0])
        subject.harness.mine(chain)
        subject.carry(chain, batch, own)
    yield from wrong
    with subject.paying(chain, 0, 0) as wrong:
        for connection in (chain, subject.again(chain)):
            for attempt in own:
                connection.send(attempt)
            subject.harness.pass_time(chain)
            yield from differ("a transaction that is sent again once it is final", chain.confirm(own[-1]), "final")
    yield from wrong


def _two_attempts(subject: Subject) -> Iterator[str]:
    """Two transactions of one batch, which can both be mined: one moves money."""
    chain = subject.funded(2)
    batch = subject.batch(chain, 300, 30)
    with subject.paying(chain, 300, 30) as wrong:
        first = subject.prepare(chain, batch)
        # Another batch's attempt takes the first place in line, so this one stands in the second.
        behind = subject.prepare(chain, batch, [subject.prepare(chain, subject.batch(chain, 5, 5, after=batch))])
        chain.send(first)
        for attempt in (behind, first, behind):
            subject.send_anyway(chain, attempt)
        subject.carry(chain, batch, [first])
        subject.force(chain, batch, [first, behind])
    yield from wrong
    with subject.paying(chain, 50, 5) as wrong:
        batch = subject.batch(chain, 50, 5, after=batch)
        first = subject.prepare(chain, batch)
        better = chain.prepare(batch, [first])
        for each in (better, first, better):
            if each is not None:
                subject.send_anyway(chain, each)
        subject.carry(chain, batch, [first] if better is None else [first, better])
    yield from wrong


_STAGES = ("absent", "pending", "committed", "executed")


def _moves_on(subject: Subject) -> Iterator[str]:
    """From absent over pending and committed to executed, and then final; what became of the transaction agrees."""
    chain = subject.funded(2)
    batch = subject.batch(chain, 300, 30)
    own = [subject.prepare(chain, batch)]
    chain.send(own[0])
    before = (0, False)
    for _ in range(BLOCKS):
        earlier, found, later = chain.confirm(own[-1]), chain.find(1), chain.confirm(own[-1])
        if found.stage == "cancelled":
            raise Broken("a batch is cancelled that nobody called off")
        now = (_STAGES.index(found.stage), found.final)
        if now < before:
            yield f"a batch that was {_said(before)} is {_said(now)} later"
        before = now
        yield from _agree(found, own[-1], earlier, later)
        if found.stage == "executed" and found.final:
            return
        if found.stage == "committed" and found.ready and later == "final":
            own += [attempt for attempt in [chain.prepare(batch, own)] if attempt is not None]
            chain.send(own[-1])
        subject.harness.mine(chain)
    yield f"after {BLOCKS} blocks a batch is {_said(before)}"


def _said(stage: tuple[int, bool]) -> str:
    return f"{_STAGES[stage[0]]} and {'final' if stage[1] else 'not final'}"


def _agree(found: Found, attempt: Attempt, earlier: str, later: str) -> Iterator[str]:
    """A block may be mined between two questions, so what was said before and after holds `found` between them."""
    if found.stage in ("absent", "pending"):
        if found.final:
            yield f"a batch that is {found.stage} is called final"
        return
    if found.transaction != attempt.transaction:
        return
    if "gone" in (earlier, later) or "replaced" in (earlier, later):
        yield f"find has the transaction in block {found.block}, and confirm says {earlier}, then {later}"
    if earlier == "final" and not found.final:
        yield f"confirm says that the transaction is final, and find that the {found.stage} batch is not"
    if found.final and later != "final":
        yield f"find says that the {found.stage} batch is final, and confirm that its transaction is {later}"


def _final_block(subject: Subject) -> Iterator[str]:
    """A batch is final exactly if its block is, up to `final_block`, which never goes back."""
    chain = subject.funded()
    batch = subject.batch(chain, 300, 30)
    subject.submit(chain, batch)
    for _ in range(BLOCKS):
        before, found, after = chain.final_block(), chain.find(1), chain.final_block()
        if after < before:
            yield f"the final block goes from {before} back to {after}"
        if found.stage in ("committed", *DONE):
            if found.final and found.block > after:
                yield f"a batch of block {found.block} is called final, and the last final block is {after}"
            if not found.final and found.block <= before:
                yield f"a batch of block {found.block} is not called final, and the last final block is {before}"
            if found.final:
                return
        subject.harness.mine(chain)
    yield f"after {BLOCKS} blocks a batch is {found.stage} and not final"


def _what_was_sealed(subject: Subject) -> Iterator[str]:
    """At every stage from the pool on, for every connection."""
    chain = subject.funded()
    batch = subject.batch(chain, 300, 30)
    commitment = subject.harness.plugin.commitment(batch)
    expected = commitment.digest, commitment.data_hash
    own = [subject.prepare(chain, batch)]
    chain.send(own[0])
    for connection in (chain, subject.again(chain)):
        found = connection.find(1)
        if found.stage != "absent":
            yield from differ(
                f"digest and data hash of the {found.stage} batch", (found.digest, found.data_hash), expected
            )
        subject.harness.mine(chain)
    subject.carry(chain, batch, own)
    for connection in (chain, subject.again(chain)):
        found = connection.find(1)
        yield from differ(f"digest and data hash of the {found.stage} batch", (found.digest, found.data_hash), expected)
        if found.transaction not in (sent := [attempt.transaction for attempt in own]):
            yield f"find says {found.transaction!r} brought the batch to {found.stage}; the attempts were {sent}"


def _root(subject: Subject) -> Iterator[str]:
    """At every stage from the pool on; a chain that does not tell the root says nothing in its place."""
    chain = subject.funded()
    batch = subject.batch(chain, 300, 30)
    may_be = ("", subject.harness.plugin.commitment(batch).root)
    own = [subject.prepare(chain, batch)]
    chain.send(own[0])
    for step in (lambda: subject.harness.mine(chain), lambda: subject.carry(chain, batch, own), lambda: None):
        for connection in (chain, subject.again(chain)):
            found = connection.find(1)
            if found.root not in may_be:
                yield f"the root of the {found.stage} batch is {found.root!r}, and {may_be[1]!r} was sealed"
        step()


def _published(subject: Subject) -> Iterator[str]:
    """Also where one connection prepares the batch, and another sends it after a restart."""
    subject.needs(subject.harness.publishes, "the chain leads to no leaf files (`publishes`)")
    chain = subject.funded()
    batch = subject.batch(chain, 300, -30)
    own, other = [subject.prepare(chain, batch)], subject.again(chain)
    other.send(own[0])
    subject.carry(other, batch, own)
    for connection in (chain, other, subject.again(chain)):
        data = connection.published(1)
        if data is None:
            yield "the leaf file of a batch that is final is not found"
            continue
        yield from differ("the leaf file's hash", f"0x{keccak(data).hex()}", connection.find(1).data_hash)
        try:
            yield from differ("the batch in the leaf file", leaf_file.decode(data), batch)
        except BadData as error:
            yield f"the leaf file cannot be read: {error}"


def _in_order(subject: Subject) -> Iterator[str]:
    """The second batch is refused, or has no effect, while the first is not there; afterwards it goes through."""
    chain = subject.funded(2)
    first = subject.batch(chain, 300, 30)
    second = subject.batch(chain, 50, 5, after=first)
    with subject.paying(chain, 0, 0) as wrong:
        if chain.simulate(second) is None:
            yield "simulate takes batch 2, and batch 1 is absent"
        attempt = subject.force(chain, second)
        if chain.find(2).stage in ("committed", *DONE):
            yield f"batch 2 is {chain.find(2).stage}, and batch 1 is {chain.find(1).stage}"
    yield from wrong
    with subject.paying(chain, 350, 35) as wrong:
        subject.carry(chain, first)
        subject.carry(chain, second, [attempt] if attempt else [])
    yield from wrong


def _in_line(subject: Subject) -> Iterator[str]:
    """Three batches are signed and sent before the first of them is final."""
    chain = subject.funded(2)
    line: list[Batch] = []
    taken: list[Attempt] = []
    with subject.paying(chain, 111, 222) as wrong:
        for amounts in ((1, 2), (10, 20), (100, 200)):
            line.append(subject.batch(chain, *amounts, after=line[-1] if line else None))
            taken.append(subject.prepare(chain, line[-1], taken))
        for attempt in taken:
            chain.send(attempt)
        subject.harness.mine(chain)
        for attempt in taken:
            if (standing := chain.confirm(attempt)) not in ("pending", "final"):
                yield f"the transaction of batch {attempt.number}, which was sent behind those before it, is {standing}"
        for batch, attempt in zip(line, list(taken), strict=True):
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
        with subject.paying(chain, 0, 0) as wrong:
            if chain.simulate(bad) is None:
                yield f"simulate takes a batch 2 that builds on {name}"
            subject.force(chain, bad)
            if chain.find(2).stage in ("committed", *DONE):
                yield f"a batch 2 that builds on {name} is {chain.find(2).stage}"
        yield from wrong


def _for_one_contract(subject: Subject) -> Iterator[str]:
    """What names another chain or contract is refused, though number and previous digest would do."""
    elsewhere = subject.harness.elsewhere
    for field, other in (("chain", elsewhere.chain), ("contract", elsewhere.contract)):
        chain = subject.funded()
        bad = msgspec.structs.replace(subject.batch(chain, 300, 30), **{field: other})
        with subject.paying(chain, 0, 0) as wrong:
            if chain.simulate(bad) is None:
                yield f"simulate takes a batch whose {field} is {other!r}, on {chain.contract!r} of {chain.name!r}"
            subject.force(chain, bad)
            if chain.find(1).stage in ("committed", *DONE):
                yield f"a batch whose {field} is {other!r} is {chain.find(1).stage}"
        yield from wrong


def _namesakes(subject: Subject) -> Iterator[str]:
    """A contract of the same name on a chain of another name has nothing of this one."""
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
    """Two senders with one key and another idea of batch 1: one is executed, and the chain goes on saying which."""
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
            yield "simulate takes another batch under a number that is taken"
        subject.force(chain, rival, own)
        subject.force(subject.again(chain), rival)
        for connection in (chain, subject.again(chain)):
            found = connection.find(1)
            yield from differ(
                "stage and digest of the first one", (found.stage, found.digest), ("executed", commitment.digest)
            )
    yield from wrong


def _cancelled(subject: Subject) -> Iterator[str]:
    """It keeps its number and its place in the chain of digests, pays nothing, and the next one goes through."""
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
        yield from differ(
            "a batch that was called off", (found.stage, found.digest, found.final), ("cancelled", digest, True)
        )
        if chain.simulate(batch) is None:
            yield "simulate takes a batch that was called off"
        subject.force(chain, batch, own)
        yield from differ(
            "a batch that was called off, and sent again", subject.again(chain).find(1).stage, "cancelled"
        )
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
    "a number is absent at first": _absent,
    "preparing sends nothing": _sends_nothing,
    "an attempt holds all that sending needs": _stored,
    "a batch pays once": _pays_once,
    "two attempts pay once": _two_attempts,
    "a batch only moves on": _moves_on,
    "final is up to the final block": _final_block,
    "the chain has what was sealed": _what_was_sealed,
    "a root that is told is the sealed one": _root,
    "the leaf file is published": _published,
    "batches go in order": _in_order,
    "batches can stand in line": _in_line,
    "a batch builds on the one before": _builds_on,
    "a batch is for one contract": _for_one_contract,
    "chains of other names are others": _namesakes,
    "a number is taken once": _taken_once,
    "a cancelled batch pays nothing": _cancelled,
}
