"""Rules of sending a batch: it is signed, sent and recorded unchanged, and money moves exactly once."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ledger.commands import MAX_RAW
from ledger.errors import BadData
from ledger.settlement.messages import Attempt, Found

from .. import leaf_file
from ..leaves import keccak
from .steps import BLOCKS, DONE, Broken, Rules, Subject, differ


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
    """Simulating and signing a batch do not change the chain."""
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
    """A stored attempt is enough for another connection to send it, after a restart."""
    chain = subject.funded()
    batch = subject.batch(chain, 300, 30)
    attempt = subject.prepare(chain, batch)
    yield from differ("number and attempt of the first one", (attempt.number, attempt.attempt), (1, 1))
    for field, max_length in (("raw", MAX_RAW), ("transaction", 4096)):
        text = getattr(attempt, field)
        if not isinstance(text, str) or not 0 < len(text) <= max_length:
            yield f"`{field}` is a {type(text).__name__} of length {len(text)}, not text that the log accepts"
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
    """The same bytes, sent again at every stage and by every connection, pay once."""
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
        # Another batch's attempt takes the first free nonce, so this one has the second.
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
        for again in (better, first, better):
            if again is not None:
                subject.send_anyway(chain, again)
        subject.carry(chain, batch, [first] if better is None else [first, better])
    yield from wrong


_STAGES = ("absent", "pending", "committed", "executed")


def _moves_on(subject: Subject) -> Iterator[str]:
    """A batch moves from absent over pending and committed to executed, and then final; its transaction's standing
    agrees."""
    chain = subject.funded(2)
    batch = subject.batch(chain, 300, 30)
    own = [subject.prepare(chain, batch)]
    chain.send(own[0])
    before = (0, False)
    for _ in range(BLOCKS):
        earlier, found, later = chain.confirm(own[-1]), chain.find(1), chain.confirm(own[-1])
        if found.stage == "cancelled":
            raise Broken("a batch is cancelled, and the guardian did not cancel it")
        now = (_STAGES.index(found.stage), found.final)
        if now < before:
            yield f"a batch that was {_stage_text(before)} is {_stage_text(now)} later"
        before = now
        yield from _agree(found, own[-1], earlier, later)
        if found.stage == "executed" and found.final:
            return
        if found.stage == "committed" and found.ready and later == "final":
            own += [attempt for attempt in [chain.prepare(batch, own)] if attempt is not None]
            chain.send(own[-1])
        subject.harness.mine(chain)
    yield f"after {BLOCKS} blocks a batch is {_stage_text(before)}"


def _stage_text(stage: tuple[int, bool]) -> str:
    return f"{_STAGES[stage[0]]} and {'final' if stage[1] else 'not final'}"


def _agree(found: Found, attempt: Attempt, earlier: str, later: str) -> Iterator[str]:
    """Yield contradictions between `found` and the standings before and after it: a block may be mined between two
    calls."""
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


def _what_was_committed(subject: Subject) -> Iterator[str]:
    """Digest and data hash are the committed ones at every stage from the pool on, for every connection."""
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
    """A reported root is the committed one at every stage from the pool on; a chain may leave it empty."""
    chain = subject.funded()
    batch = subject.batch(chain, 300, 30)
    accepted = ("", subject.harness.plugin.commitment(batch).root)
    own = [subject.prepare(chain, batch)]
    chain.send(own[0])
    for step in (lambda: subject.harness.mine(chain), lambda: subject.carry(chain, batch, own), lambda: None):
        for connection in (chain, subject.again(chain)):
            found = connection.find(1)
            if found.root not in accepted:
                yield f"the root of the {found.stage} batch is {found.root!r}, and {accepted[1]!r} was committed to"
        step()


def _published(subject: Subject) -> Iterator[str]:
    """The leaf file is found, also if one connection prepares the batch and another sends it after a restart."""
    subject.needs(subject.harness.publishes, "the chain publishes no leaf files (`publishes`)")
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


RULES: Rules = {
    "a number is absent at first": _absent,
    "preparing sends nothing": _sends_nothing,
    "an attempt holds all that sending needs": _stored,
    "a batch pays once": _pays_once,
    "two attempts pay once": _two_attempts,
    "a batch only moves on": _moves_on,
    "final is up to the final block": _final_block,
    "the chain has what was committed to": _what_was_committed,
    "a reported root is the committed one": _root,
    "the leaf file is published": _published,
}
