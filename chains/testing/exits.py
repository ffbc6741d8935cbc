"""Rules of exits: a request is reported once, and the unspent money is paid once, by the root that serves."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.events import Leaf
from ledger.plugins import Chain
from ledger.settlement.messages import Batch, ExitPaid, ExitRequested, PurchaseMade

from ..proofs import Proof, prove
from .escrow import has_left
from .steps import CREDITS, Rules, Subject, differ, ids


def _two_buyers(subject: Subject) -> Chain:
    """Return a contract on which two subscribers have each bought a plan for 1000."""
    chain = subject.fresh()
    subject.buy(chain)
    subject.buy(chain, 1)
    subject.harness.pass_time(chain)
    return chain


def _ask(subject: Subject, chain: Chain) -> None:
    subject.able(subject.harness.request_exit, chain, *subject.account)
    subject.harness.pass_time(chain)


def _charged(
    subject: Subject, chain: Chain, charged: int, credited: int = 0, other: int = 100, after: Batch | None = None
) -> Batch:
    """Carry and return a batch with counters of both subscribers, which pays their increase since `after`."""
    harness = subject.harness
    leaves = [Leaf(*subject.account, charged, credited), Leaf(harness.subscribers[1], harness.plans[0], other, 0)]
    rise = [sum(leaf.charged - leaf.credited for leaf in rows) for rows in (leaves, after.leaves if after else ())]
    batch = subject.batch(chain, rise[0] - rise[1], after=after, leaves=leaves)
    subject.carry(chain, batch)
    return batch


def _proof(subject: Subject, batch: Batch, subscriber: int = 0) -> Proof:
    harness = subject.harness
    return prove(batch, harness.plugin.leaf_types, harness.subscribers[subscriber], harness.plans[0])


def _paid_to_leave(subject: Subject, chain: Chain, proof: Proof, leaf: Leaf | None = None, subscriber: int = 0) -> bool:
    """Try an exit by this leaf. Return True if it was paid."""
    before = len(_exits_paid(chain))
    name, plan = subject.harness.subscribers[subscriber], subject.harness.plans[0]
    subject.try_to(subject.harness.leave, chain, name, plan, leaf or proof.leaf, proof.proof)
    subject.harness.pass_time(chain)
    return len(_exits_paid(chain)) > before


def _exits_paid(chain: Chain) -> list[ExitPaid]:
    return [fact for fact in chain.facts() if isinstance(fact, ExitPaid)]


def _requests(chain: Chain) -> list[ExitRequested]:
    return [fact for fact in chain.facts() if isinstance(fact, ExitRequested)]


def _asked(subject: Subject) -> Iterator[str]:
    """A subscriber's request to leave is reported once; one of an account without purchases is not."""
    chain, harness = subject.fresh(), subject.harness
    subject.buy(chain)
    harness.pass_time(chain)
    subject.try_to(harness.request_exit, chain, harness.subscribers[1], harness.plans[0])
    subject.try_to(harness.request_exit, chain, harness.subscribers[0], harness.plans[1])
    _ask(subject, chain)
    subject.try_to(harness.request_exit, chain, *subject.account)
    harness.pass_time(chain)
    for connection in (chain, subject.again(chain)):
        reported = _requests(connection)
        yield from differ("who asks to leave", [(fact.subscriber, fact.plan) for fact in reported], [subject.account])
        everything = ids(connection.facts())
        if len(set(everything)) < len(everything):
            yield f"two facts have one id: {everything}"
        if ids(reported) != ids(_requests(chain)):
            yield "a request to leave has another id for another connection"
        if _exits_paid(connection):
            yield "an exit is reported as paid, and no subscriber has left"


def _leaves(subject: Subject) -> Iterator[str]:
    """A subscriber leaves with what was paid in less what was charged and not credited: once, and only by its leaf."""
    chain, harness = _two_buyers(subject), subject.harness
    _ask(subject, chain)
    batch = _charged(subject, chain, 250, 50)
    proof, anothers = _proof(subject, batch), _proof(subject, batch, 1)
    with subject.paying(chain, 0, 0) as wrong:
        for charged, credited in ((0, 0), (250, 250), (200, 50)):
            if _paid_to_leave(subject, chain, proof, Leaf(*subject.account, charged, credited)):
                yield f"a subscriber leaves by a leaf of {charged} and {credited}, and the root has 250 and 50"
                return
        if _paid_to_leave(subject, chain, anothers):
            yield "a subscriber leaves by the leaf of another"
            return
        subject.able(harness.leave, chain, *subject.account, proof.leaf, proof.proof)
        harness.pass_time(chain)
        subject.try_to(harness.request_exit, chain, *subject.account)
        _paid_to_leave(subject, chain, proof)
        for connection in (chain, subject.again(chain)):
            found = [(fact.subscriber, fact.plan, fact.asset, fact.amount) for fact in _exits_paid(connection)]
            yield from differ("the exits that were paid", found, [(*subject.account, harness.asset, 800)])
            yield from differ("how many requests to leave are reported in the end", len(_requests(connection)), 1)
            everything = ids(connection.facts())
            if len(set(everything)) < len(everything):
                yield f"two facts have one id: {everything}"
    yield from wrong


def _unrequested(subject: Subject) -> Iterator[str]:
    """A proof without a request is not enough, also if another subscriber has made one."""
    chain = _two_buyers(subject)
    batch = _charged(subject, chain, 100)
    if _paid_to_leave(subject, chain, _proof(subject, batch)):
        yield "a subscriber leaves without having asked to"
        return
    _ask(subject, chain)
    batch = _charged(subject, chain, 100, other=300, after=batch)
    if _paid_to_leave(subject, chain, _proof(subject, batch, 1), subscriber=1):
        yield "a subscriber leaves without having asked to, when another has"
        return
    yield from has_left(subject, chain, batch, 1600, "when no subscriber has left")


def _which_root(subject: Subject) -> Iterator[str]:
    """The last root after the request serves: not one from before it, which lacks later charges, and not an outdated
    one."""
    chain, harness = _two_buyers(subject), subject.harness
    early = _charged(subject, chain, 50)
    subject.able(harness.request_exit, chain, *subject.account)
    harness.mine(chain)
    if _paid_to_leave(subject, chain, _proof(subject, early)):
        yield "a subscriber leaves by a root from before its request, though a batch after it can still serve"
        return
    late = _charged(subject, chain, 200, after=early)
    last = _charged(subject, chain, 250, 50, 300, after=late)
    for name, batch in (("from before its request", early), ("after its request, but not the last one", late)):
        if _paid_to_leave(subject, chain, _proof(subject, batch)):
            yield f"a subscriber leaves by a root {name}"
            return
    proof = _proof(subject, last)
    subject.able(harness.leave, chain, *subject.account, proof.leaf, proof.proof)
    harness.pass_time(chain)
    yield from differ("what it leaves with by the last root", [fact.amount for fact in _exits_paid(chain)], [800])


def _debited(subject: Subject) -> Iterator[str]:
    """Of 2000, receivers have 300 and a leaving subscriber 800: escrow has 900."""
    chain, harness = _two_buyers(subject), subject.harness
    _ask(subject, chain)
    batch = _charged(subject, chain, 250, 50)
    proof = _proof(subject, batch)
    subject.able(harness.leave, chain, *subject.account, proof.leaf, proof.proof)
    harness.pass_time(chain)
    yield from differ("what a subscriber leaves with", [fact.amount for fact in _exits_paid(chain)], [800])
    yield from differ("the escrow after an exit", chain.escrow(harness.asset), 900)
    yield from differ("what a leaver has claimed", chain.claimed(harness.subscribers[0], harness.asset), 0)
    yield from has_left(subject, chain, batch, 900, "after an exit of 800")


def _buys_no_more(subject: Subject) -> Iterator[str]:
    """A purchase after a request to leave is refused: the account is frozen permanently."""
    chain, harness = _two_buyers(subject), subject.harness
    _ask(subject, chain)
    subject.try_to(harness.purchase, chain, *subject.account, subject.terms(), CREDITS[0])
    harness.pass_time(chain)
    reported = [fact.subscriber for fact in chain.facts() if isinstance(fact, PurchaseMade)]
    yield from differ("who buys, one of whom has asked to leave", reported, list(harness.subscribers[:2]))


RULES: Rules = {
    "a request to leave is reported once": _asked,
    "a subscriber leaves by proof": _leaves,
    "an exit needs a request": _unrequested,
    "the last root after a request serves": _which_root,
    "what a leaver took is spent": _debited,
    "a leaving subscriber buys no more": _buys_no_more,
}
