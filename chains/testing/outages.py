"""Rules of outages: reorganisations, lost transactions, stolen nonces, unreachable nodes. Money moves exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from ledger.errors import ChainUnavailable, SendUnknown
from ledger.settlement.messages import Attempt

from .steps import BLOCKS, Rules, Subject, differ, short

T = TypeVar("T")


def _survives(subject: Subject) -> Iterator[str]:
    """A final batch survives the deepest reorganisation."""
    depth = subject.depth
    chain = subject.funded()
    own = [subject.submit(chain, subject.batch(chain, 300, 30))]
    for _ in range(BLOCKS):
        found, standing = chain.find(1), chain.confirm(own[0])
        if found.final or standing == "final":
            break
        subject.harness.mine(chain)
    else:
        yield f"after {BLOCKS} blocks a batch is {found.stage} and not final"
        return
    subject.reorganise(chain)
    after = chain.find(1)
    if after.stage != found.stage or not after.final:
        yield (
            f"a batch was {found.stage} and final in block {found.block}; a reorganisation of {depth} blocks, which "
            f"undoes nothing final, leaves it {after.stage}, {'final' if after.final else 'not final'}"
        )
    yield from differ("its transaction after that reorganisation", chain.confirm(own[0]), "final")


def _reorganised(subject: Subject, keep: bool) -> Iterator[str]:
    """A batch that a reorganisation removed, or that is mined again by itself, is finished by the same bytes."""
    depth = subject.depth
    chain = subject.funded(2)
    batch = subject.batch(chain, 300, 30)
    commitment, before = subject.harness.plugin.commitment(batch), subject.paid(chain)
    with subject.paying(chain, 300, 30) as wrong:
        own = [subject.submit(chain, batch)]
        if not chain.find(1).final:
            subject.reorganise(chain, keep)
        for connection in (chain, subject.again(chain)):
            found, standing = connection.find(1), connection.confirm(own[0])
            if found.stage == "absent" and standing not in ("gone", "pending"):
                yield f"a batch that a reorganisation of {depth} took away is absent, and its transaction {standing}"
            if found.stage != "absent" and found.digest != commitment.digest:
                yield f"after a reorganisation of {depth}, find has the digest {found.digest}, not {commitment.digest}"
        if found.stage == "absent":
            yield from differ(
                "what receivers have once a reorganisation took the batch away", subject.paid(chain), before
            )
        for _ in range(2):
            chain.send(own[0])
        subject.harness.mine(chain)
        subject.carry(chain, batch, own)
        yield from differ("the transaction that was sent again", chain.confirm(own[0]), "final")
        chain.send(own[0])
        subject.harness.pass_time(chain)
    yield from wrong


def _lost(subject: Subject) -> Iterator[str]:
    """A transaction that is in no block and in no pool is `gone`, and the same bytes can still be mined."""
    chain = subject.funded()
    batch = subject.batch(chain, 300, 30)
    with subject.paying(chain, 300, 30) as wrong:
        attempt = subject.prepare(chain, batch)
        subject.able(subject.harness.lose, chain, attempt)
        for connection in (chain, subject.again(chain)):
            yield from differ("a transaction that was lost", connection.confirm(attempt), "gone")
            yield from differ("a batch whose transaction was lost", connection.find(1).stage, "absent")
            subject.harness.mine(chain)
        subject.carry(chain, batch, own := [attempt])
        yield from differ("the transaction that was sent again", chain.confirm(own[0]), "final")
    yield from wrong


def _stolen(subject: Subject) -> Iterator[str]:
    """Once another transaction with its nonce is final, an attempt is `replaced`, and a new one with the next nonce
    pays."""
    chain = subject.funded()
    batch = subject.batch(chain, 300, 30)
    with subject.paying(chain, 300, 30) as wrong:
        attempt = subject.prepare(chain, batch)
        own = [attempt]
        subject.able(subject.harness.steal_nonce, chain)
        if subject.harness.depth and chain.confirm(attempt) == "replaced":
            yield "a transaction is called replaced before the one with its nonce is final"
        subject.send_anyway(chain, attempt)
        subject.harness.pass_time(chain)
        for connection in (chain, subject.again(chain)):
            yield from differ("a transaction whose nonce another has used", connection.confirm(attempt), "replaced")
        yield from differ("its batch", chain.find(1).stage, "absent")
        again = subject.prepare(chain, batch, own)
        yield from differ("the number of the next attempt", again.attempt, 2)
        if again.transaction == attempt.transaction:
            yield "the next attempt is the very transaction that can never be mined"
            return
        own.append(again)
        chain.send(again)
        subject.carry(chain, batch, own)
    yield from wrong


def _reorganised_purchase(subject: Subject) -> Iterator[str]:
    """Money of a purchase that a reorganisation removed cannot be paid out."""
    chain = subject.funded()
    subject.buy(chain)
    subject.reorganise(chain)
    if len(list(chain.facts(0, 0))) > 1:
        return  # the purchase was too deep, or was mined again by itself
    if chain.simulate(subject.batch(chain, 900, 500)) is None:
        yield "simulate accepts a batch that pays out of a purchase which a reorganisation took away"


def _cut_off(subject: Subject) -> Iterator[str]:
    """Calls to an unreachable chain raise ChainUnavailable, or return a cached true answer; `send` always raises. A
    batch that was sent meanwhile is paid once."""
    chain, receiver = subject.funded(), subject.harness.receivers[0]
    first = subject.batch(chain, 300, 30)
    own: list[Attempt] = []
    subject.carry(chain, first, own)
    second, rival = subject.batch(chain, 50, 5, after=first), subject.batch(chain, 400, 40)
    attempt = subject.prepare(chain, second)
    asks: dict[str, Callable[[], object]] = {
        "facts": lambda: list(chain.facts()),
        "simulate": lambda: chain.simulate(second),
        "simulate of another batch 1": lambda: chain.simulate(rival) is None,
        "find": lambda: chain.find(1),
        "confirm": lambda: chain.confirm(own[-1]),
        "published": lambda: chain.published(1),
        "due": lambda: chain.due(receiver, first.asset),
        "claimed": lambda: chain.claimed(receiver, first.asset),
        "escrow": lambda: chain.escrow(first.asset),
    }
    true = {name: ask() for name, ask in asks.items()}
    final = chain.final_block()
    with subject.able(subject.harness.cut_off, chain):
        for name, ask in asks.items():
            yield from _wrong_answer(name, ask, (ChainUnavailable,), lambda answer, name=name: answer == true[name])  # type: ignore[misc]
        yield from _wrong_answer("final_block", chain.final_block, (ChainUnavailable,), lambda answer: answer <= final)
        yield from _wrong_answer("prepare", lambda: chain.prepare(second, []), (ChainUnavailable,), lambda answer: True)
        yield from _wrong_answer(
            "send", lambda: chain.send(attempt), (ChainUnavailable, SendUnknown), lambda answer: False
        )
        yield from _wrong_answer(
            "connecting again", lambda: subject.again(chain), (ChainUnavailable,), lambda answer: True
        )
    with subject.paying(chain, 50, 5) as wrong:
        subject.carry(chain, second, [attempt])
    yield from wrong


def _wrong_answer(
    name: str, ask: Callable[[], T], expected_errors: tuple[type[Exception], ...], is_accepted: Callable[[T], bool]
) -> Iterator[str]:
    """Yield a message unless a call to an unreachable chain raises an expected error or returns an accepted answer."""
    expected = " or ".join(kind.__name__ for kind in expected_errors)
    try:
        answer = ask()
    except expected_errors:
        return
    except Exception as error:  # noqa: BLE001 - foreign code: any error is a finding
        yield f"`{name}` raises {type(error).__name__}, not {expected}, while the chain cannot be reached: {error}"
        return
    if not is_accepted(answer):
        yield f"`{name}` says {short(answer)} while the chain cannot be reached, and does not raise {expected}"


RULES: Rules = {
    "what is final stays": _survives,
    "a reorganised batch pays once": lambda subject: _reorganised(subject, keep=False),
    "a batch that comes back pays once": lambda subject: _reorganised(subject, keep=True),
    "money that is gone is not paid out": _reorganised_purchase,
    "a lost transaction is sent again": _lost,
    "a stolen nonce is given up for good": _stolen,
    "a chain that is cut off says so": _cut_off,
}
