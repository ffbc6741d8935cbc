"""Rules of leaving: who asks is told once, and has the rest of its money once, by the root that serves."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.events import Leaf
from ledger.plugins import Chain
from ledger.settlement.messages import Batch, ExitPaid, ExitRequested, PurchaseMade

from ..proofs import Proof, prove
from .escrow import has_left
from .steps import CREDITS, Rules, Trial, differ, ids


def _two_buyers(trial: Trial) -> Chain:
    """A contract on which two subscribers have bought one plan each for 1000."""
    chain = trial.fresh()
    trial.buy(chain)
    trial.buy(chain, 1)
    trial.bench.pass_time(chain)
    return chain


def _ask(trial: Trial, chain: Chain) -> None:
    trial.able(trial.bench.request_exit, chain, *trial.account)
    trial.bench.pass_time(chain)


def _charged(
    trial: Trial, chain: Chain, charged: int, credited: int = 0, other: int = 100, after: Batch | None = None
) -> Batch:
    """A batch with counters of both subscribers, which pays what they rose by since `after`; carried to its end."""
    bench = trial.bench
    leaves = [Leaf(*trial.account, charged, credited), Leaf(bench.subscribers[1], bench.plans[0], other, 0)]
    rise = [sum(leaf.charged - leaf.credited for leaf in each) for each in (leaves, after.leaves if after else ())]
    batch = trial.batch(chain, rise[0] - rise[1], after=after, leaves=leaves)
    trial.carry(chain, batch)
    return batch


def _proof(trial: Trial, batch: Batch, subscriber: int = 0) -> Proof:
    bench = trial.bench
    return prove(batch, bench.plugin.leaf_types, bench.subscribers[subscriber], bench.plans[0])


def _paid_to_leave(trial: Trial, chain: Chain, proof: Proof, leaf: Leaf | None = None, subscriber: int = 0) -> bool:
    """Whether a subscriber who must not be let go by this leaf is told to have left."""
    before = len(_exits_paid(chain))
    name, plan = trial.bench.subscribers[subscriber], trial.bench.plans[0]
    trial.try_to(trial.bench.leave, chain, name, plan, leaf or proof.leaf, proof.proof)
    trial.bench.pass_time(chain)
    return len(_exits_paid(chain)) > before


def _exits_paid(chain: Chain) -> list[ExitPaid]:
    return [fact for fact in chain.facts() if isinstance(fact, ExitPaid)]


def _requests(chain: Chain) -> list[ExitRequested]:
    return [fact for fact in chain.facts() if isinstance(fact, ExitRequested)]


def _asked(trial: Trial) -> Iterator[str]:
    """Who has bought asks, and asks again; who has not asks in vain."""
    chain, bench = trial.fresh(), trial.bench
    trial.buy(chain)
    bench.pass_time(chain)
    trial.try_to(bench.request_exit, chain, bench.subscribers[1], bench.plans[0])
    trial.try_to(bench.request_exit, chain, bench.subscribers[0], bench.plans[1])
    _ask(trial, chain)
    trial.try_to(bench.request_exit, chain, *trial.account)
    bench.pass_time(chain)
    for connection in (chain, trial.again(chain)):
        told = _requests(connection)
        yield from differ("who asks to leave", [(fact.subscriber, fact.plan) for fact in told], [trial.account])
        everything = ids(connection.facts())
        if len(set(everything)) < len(everything):
            yield f"two facts have one id: {everything}"
        if ids(told) != ids(_requests(chain)):
            yield "a request to leave has another id for another connection"
        if _exits_paid(connection):
            yield "an exit is told as paid, and nobody has left"


def _leaves(trial: Trial) -> Iterator[str]:
    """A subscriber leaves with what was paid in less what was charged and not credited: once, and only by its leaf."""
    chain, bench = _two_buyers(trial), trial.bench
    _ask(trial, chain)
    batch = _charged(trial, chain, 250, 50)
    proof, anothers = _proof(trial, batch), _proof(trial, batch, 1)
    with trial.paying(chain, 0, 0) as wrong:
        for charged, credited in ((0, 0), (250, 250), (200, 50)):
            if _paid_to_leave(trial, chain, proof, Leaf(*trial.account, charged, credited)):
                yield f"a subscriber leaves by a leaf of {charged} and {credited}, and the root has 250 and 50"
                return
        if _paid_to_leave(trial, chain, anothers):
            yield "a subscriber leaves by the leaf of another"
            return
        trial.able(bench.leave, chain, *trial.account, proof.leaf, proof.proof)
        bench.pass_time(chain)
        trial.try_to(bench.request_exit, chain, *trial.account)
        _paid_to_leave(trial, chain, proof)
        for connection in (chain, trial.again(chain)):
            found = [(fact.subscriber, fact.plan, fact.asset, fact.amount) for fact in _exits_paid(connection)]
            yield from differ("the exits that were paid", found, [(*trial.account, bench.asset, 800)])
            yield from differ("how many requests to leave are told in the end", len(_requests(connection)), 1)
            everything = ids(connection.facts())
            if len(set(everything)) < len(everything):
                yield f"two facts have one id: {everything}"
    yield from wrong


def _unasked(trial: Trial) -> Iterator[str]:
    """A proof is not enough: also where another subscriber has asked."""
    chain = _two_buyers(trial)
    batch = _charged(trial, chain, 100)
    if _paid_to_leave(trial, chain, _proof(trial, batch)):
        yield "a subscriber leaves without having asked to"
        return
    _ask(trial, chain)
    batch = _charged(trial, chain, 100, other=300, after=batch)
    if _paid_to_leave(trial, chain, _proof(trial, batch, 1), subscriber=1):
        yield "a subscriber leaves without having asked to, when another has"
        return
    yield from has_left(trial, chain, batch, 1600, "when nobody has left")


def _which_root(trial: Trial) -> Iterator[str]:
    """Not one from before the request, which lacks what was charged until then; and not one that another followed."""
    chain, bench = _two_buyers(trial), trial.bench
    early = _charged(trial, chain, 50)
    trial.able(bench.request_exit, chain, *trial.account)
    bench.mine(chain)
    if _paid_to_leave(trial, chain, _proof(trial, early)):
        yield "a subscriber leaves by a root from before its request, though a batch after it can still serve"
        return
    late = _charged(trial, chain, 200, after=early)
    last = _charged(trial, chain, 250, 50, 300, after=late)
    for name, batch in (("from before its request", early), ("after its request, but not the last one", late)):
        if _paid_to_leave(trial, chain, _proof(trial, batch)):
            yield f"a subscriber leaves by a root {name}"
            return
    proof = _proof(trial, last)
    trial.able(bench.leave, chain, *trial.account, proof.leaf, proof.proof)
    bench.pass_time(chain)
    yield from differ("what it leaves with by the last root", [fact.amount for fact in _exits_paid(chain)], [800])


def _debited(trial: Trial) -> Iterator[str]:
    """Of 2000 receivers have 300 and a leaver 800: 900 are left."""
    chain, bench = _two_buyers(trial), trial.bench
    _ask(trial, chain)
    batch = _charged(trial, chain, 250, 50)
    proof = _proof(trial, batch)
    trial.able(bench.leave, chain, *trial.account, proof.leaf, proof.proof)
    bench.pass_time(chain)
    yield from differ("what a subscriber leaves with", [fact.amount for fact in _exits_paid(chain)], [800])
    yield from differ("the escrow after an exit", chain.escrow(bench.asset), 900)
    yield from differ("what a leaver has claimed", chain.claimed(bench.subscribers[0], bench.asset), 0)
    yield from has_left(trial, chain, batch, 900, "after an exit of 800")


def _buys_no_more(trial: Trial) -> Iterator[str]:
    """Its account is frozen for good, so that it could neither use what it buys nor leave with it."""
    chain, bench = _two_buyers(trial), trial.bench
    _ask(trial, chain)
    trial.try_to(bench.purchase, chain, *trial.account, trial.terms(), CREDITS[0])
    bench.pass_time(chain)
    told = [fact.subscriber for fact in chain.facts() if isinstance(fact, PurchaseMade)]
    yield from differ("who buys, one of whom has asked to leave", told, list(bench.subscribers[:2]))
    yield from differ("access of a subscriber who has asked to leave", chain.access(*trial.account), False)


RULES: Rules = {
    "a request to leave is told once": _asked,
    "a subscriber leaves by proof": _leaves,
    "nobody leaves unasked": _unasked,
    "the last root after a request serves": _which_root,
    "what a leaver took is spent": _debited,
    "who asked to leave buys no more": _buys_no_more,
}
