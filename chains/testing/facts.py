"""Rules of a chain's facts and readings: each purchase is reported once, with a permanent id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from ledger.errors import ChainUnavailable
from ledger.plugins import Chain
from ledger.settlement.messages import ChainFact, PurchaseMade

from .steps import BLOCKS, CREDITS, Rules, Subject, differ, ids

_ACCOUNTS = ((0, 0), (1, 0), (0, 1), (0, 0))
"""Subscribers and plans of the purchases, in order; the first account buys twice."""


def _bought(subject: Subject, chain: Chain) -> list[str]:
    """Make some purchases, one after the other, and return their ids."""
    return [subject.buy(chain, *account) for account in _ACCOUNTS]


def _reported_once(subject: Subject) -> Iterator[str]:
    chain = subject.fresh()
    yield from differ("the facts of a new contract", list(chain.facts()), [])
    bought = _bought(subject, chain)
    if len(set(bought)) < len(bought):
        yield f"two purchases have one id: {bought}"
    subject.harness.pass_time(chain)
    for connection in (chain, chain, subject.again(chain)):
        reported = Counter(ids(connection.facts()))
        if twice := [id for id, times in reported.items() if times > 1]:
            yield f"{twice} reported more than once"
        if forgotten := [id for id in bought if id not in reported]:
            yield f"{forgotten} never reported; what is reported is {list(reported)}"
        if invented := [id for id in reported if id not in bought]:
            yield f"{invented} reported without a purchase: {bought} were bought"


def _in_order(subject: Subject) -> Iterator[str]:
    """Facts are ordered by block, and by transaction within a block."""
    chain = subject.fresh()
    bought = _bought(subject, chain)
    subject.harness.pass_time(chain)
    for confirmations in (None, 0):
        facts = list(chain.facts(0, confirmations))
        yield from differ("the order of purchases", ids(facts), bought)
        blocks = [fact.block for fact in facts]
        yield from differ("the blocks of purchases", blocks, sorted(blocks))
        if blocks and blocks[0] < 1:
            yield f"a purchase is in block {blocks[0]}: nothing is in the first one, so that `after` can be 0"


def _exact(subject: Subject) -> Iterator[str]:
    """Subscriber, plan, asset, credits and shares of purchases are exact, also beyond 2^64."""
    chain = subject.fresh()
    harness = subject.harness
    bought = _bought(subject, chain)
    subject.harness.pass_time(chain)
    reported = {fact.id: fact for fact in chain.facts()}
    for id, (subscriber, plan) in zip(bought, _ACCOUNTS, strict=True):
        fact = reported.get(id)
        if not isinstance(fact, PurchaseMade):
            yield f"the purchase {id} is reported as {fact!r}"
            continue
        found = fact.subscriber, fact.plan, fact.asset, fact.credits, fact.seconds, fact.final
        expected = harness.subscribers[subscriber], harness.plans[plan], harness.asset, CREDITS[plan], 0, True
        yield from differ(f"the purchase {id}", found, expected)
        shares = {share.receiver: share.amount for share in fact.shares}
        yield from differ(f"the shares of the purchase {id}", shares, subject.terms(plan))


def _windows(subject: Subject) -> Iterator[str]:
    """The duration of a purchased window of time is exact."""
    chain, harness = subject.fresh(), subject.harness
    arguments = harness.subscribers[0], harness.plans[1], subject.terms(), 86_400
    bought = subject.able(harness.purchase_window, chain, *arguments)
    harness.pass_time(chain)
    for connection in (chain, subject.again(chain)):
        reported = [
            (fact.id, fact.subscriber, fact.plan, fact.credits, fact.seconds)
            for fact in connection.facts()
            if isinstance(fact, PurchaseMade)
        ]
        expected = [(bought, harness.subscribers[0], harness.plans[1], 0, 86_400)]
        yield from differ("the purchase of a window of time", reported, expected)


def _waits(subject: Subject) -> Iterator[str]:
    """Without `confirmations`, final facts are reported; with 0, all mined ones."""
    chain = subject.fresh()
    subject.buy(chain)
    bought = subject.buy(chain)
    for _ in range(BLOCKS):
        before, reported, after = chain.final_block(), list(chain.facts()), chain.final_block()
        mined = {fact.id: fact for fact in chain.facts(0, 0)}
        if bought not in mined:
            yield f"facts with 0 confirmations lack the purchase {bought}, which is mined"
            return
        if early := [fact for fact in reported if fact.block > after]:
            yield f"without confirmations {ids(early)} are reported, in block {early[-1].block}; final is {after}"
        if late := [id for id, fact in mined.items() if fact.block <= before and id not in ids(reported)]:
            yield f"without confirmations {late} are final and not reported: the last final block is {before}"
        if wrong := [fact for fact in reported if not fact.final]:
            yield f"{ids(wrong)} are final and reported as if they were not"
        for fact in mined.values():
            if (fact.final and fact.block > chain.final_block()) or (not fact.final and fact.block <= before):
                yield f"{fact.id} in block {fact.block} is reported with final={fact.final}; final is {before}"
        if bought in ids(reported):
            return
        subject.harness.mine(chain)
    yield f"after {BLOCKS} blocks the purchase {bought} is not reported"


def _confirmed(subject: Subject) -> Iterator[str]:
    """With n confirmations, exactly the facts with n blocks on top are reported."""
    harness, chain = subject.harness, subject.fresh()
    asked: list[tuple[int, list[str]]] = []
    head = 0
    for _ in range(5):
        bought = harness.purchase(chain, *subject.account, subject.terms(), CREDITS[0])
        if bought not in ids(chain.facts(0, 0)):
            harness.mine(chain)
        blocks = {fact.id: fact.block for fact in chain.facts(0, 0)}
        if bought not in blocks:
            yield f"facts with 0 confirmations lack the purchase {bought}, which is mined"
            return
        for count, reported in asked:
            for id, block in blocks.items():
                said = f"{id} of block {block} is %sreported when {count} confirmations are asked for, and there is %s"
                if id in reported and block + count >= blocks[bought]:
                    yield said % ("", f"no block {block + count} yet")
                if id not in reported and block + count <= head:
                    yield said % ("not ", f"block {head}")
        head = blocks[bought]
        asked = [(count, ids(chain.facts(0, count))) for count in range(4)]


def _after(subject: Subject) -> Iterator[str]:
    """`after` excludes that block and earlier ones, so consecutive scans return the same as one scan."""
    chain = subject.fresh()
    bought: list[str] = []
    scanned: list[str] = []
    cursor = 0
    for subscriber, plan in (*_ACCOUNTS, (1, 1)):
        bought.append(subject.buy(chain, subscriber, plan))
        final = chain.final_block()
        scanned += ids(chain.facts(cursor))
        cursor = final
    subject.harness.pass_time(chain)
    scanned += ids(chain.facts(cursor))
    once = list(dict.fromkeys(scanned))  # a block may have become final between the two calls
    yield from differ("the facts of consecutive scans", once, bought)
    whole = list(chain.facts())
    last = chain.final_block()
    for block in sorted({0, last, last + 1, *(fact.block + step for fact in whole for step in (-1, 0, 1))}):
        for confirmations in (None, 0):
            reported = ids(chain.facts(max(block, 0), confirmations))
            yield from differ(
                f"what is reported after block {block}", reported, ids(f for f in whole if f.block > block)
            )


def _same(subject: Subject) -> Iterator[str]:
    """Every connection and every scan returns the same facts."""
    chain = subject.fresh()
    _bought(subject, chain)
    subject.harness.pass_time(chain)
    first = list(chain.facts())
    for connection in (chain, subject.again(chain)):
        yield from differ("the facts of a second scan", list(connection.facts()), first)
        yield from differ("the facts of a scan with 0 confirmations", list(connection.facts(0, 0)), first)
        for fact in first:
            reported = [one for one in connection.facts(fact.block - 1) if one.block == fact.block]
            if fact not in reported:
                yield f"a scan from block {fact.block} returns {reported} there, not {fact}"


def _keeps_ids(subject: Subject) -> Iterator[str]:
    """A purchase that a reorganisation moves to another block keeps its id; one that is lost is not reported, and its
    id is not used again."""
    for keep in (False, True):
        chain = subject.fresh()
        early = [subject.buy(chain)]
        subject.harness.pass_time(chain)
        late = [subject.buy(chain, 1), subject.buy(chain, 0, 1)]
        before = {fact.id: _purchase_terms(fact) for fact in chain.facts(0, 0)}
        yield from differ("purchases that are mined", list(before), early + late)
        subject.reorganise(chain, keep)
        new = [subject.buy(chain, 1)]
        subject.harness.pass_time(chain)
        for connection in (chain, subject.again(chain)):
            reported = {fact.id: _purchase_terms(fact) for fact in connection.facts()}
            if not {*early, *new} <= set(reported) <= {*early, *late, *new}:
                yield f"after a reorganisation {list(reported)} are reported; bought: {early}, {late} and then {new}"
            for id in early + late:
                if id in reported:
                    yield from differ(f"the purchase {id} after a reorganisation", reported[id], before[id])
        anew = ids(subject.again(chain).facts())
        yield from differ(
            "the facts after a reorganisation, on the connection from before it", ids(chain.facts()), anew
        )


def _purchase_terms(fact: ChainFact) -> object:
    return (fact.subscriber, fact.plan, fact.shares) if isinstance(fact, PurchaseMade) else fact


# -- readings ----------------------------------------------------------------------------------------------------------


def _due(subject: Subject) -> Iterator[str]:
    """Dues are signed, and by asset. Without claims they are the sum of all payouts."""
    chain = subject.funded()
    harness = subject.harness
    yield from differ(
        "what is due before any batch", [chain.due(one, harness.asset) for one in subject.paid(chain)], [0, 0]
    )
    subject.carry(chain, subject.batch(chain, 300, -30))
    for connection in (chain, subject.again(chain)):
        due = [connection.due(receiver, harness.asset) for receiver in harness.receivers[:2]]
        yield from differ("what is due after payouts of 300 and -30", due, [300, -30])
        other = connection.due(harness.receivers[0], harness.elsewhere.asset)
        yield from differ("what is due in an asset without purchases", other, 0)


def _pauses(subject: Subject) -> Iterator[str]:
    subject.needs(subject.harness.pauses, "blocks do not come by themselves (`pauses` is 0)")
    chain = subject.fresh()
    bought = subject.buy(chain)
    for _ in range(subject.harness.pauses):
        if bought in ids(chain.facts()):
            return
        chain.pause()
    if bought not in ids(chain.facts()):
        yield f"after {subject.harness.pauses} pauses a purchase is not final"


def _closes_twice(subject: Subject) -> Iterator[str]:
    chain = subject.funded()
    chain.close()
    chain.close()
    yield from ()


def _is_closed(subject: Subject) -> Iterator[str]:
    chain = subject.funded()
    batch = subject.batch(chain, 300, 30)
    attempt = subject.prepare(chain, batch)
    receiver = subject.harness.receivers[0]
    chain.close()
    uses: dict[str, Callable[[], object]] = {
        "facts": lambda: list(chain.facts()),
        "final_block": chain.final_block,
        "simulate": lambda: chain.simulate(batch),
        "prepare": lambda: chain.prepare(batch, []),
        "send": lambda: chain.send(attempt),
        "find": lambda: chain.find(1),
        "confirm": lambda: chain.confirm(attempt),
        "published": lambda: chain.published(1),
        "due": lambda: chain.due(receiver, batch.asset),
        "claimed": lambda: chain.claimed(receiver, batch.asset),
        "escrow": lambda: chain.escrow(batch.asset),
    }
    for name, use in uses.items():
        try:
            use()
            yield f"`{name}` still works"
        except ChainUnavailable:
            pass
        except Exception as error:  # noqa: BLE001 - foreign code: any error is a finding
            yield f"`{name}` raises {type(error).__name__}, not ChainUnavailable: {error}"


RULES: Rules = {
    "each fact is reported once": _reported_once,
    "facts come in the chain's order": _in_order,
    "facts are exact": _exact,
    "windows of time are exact": _windows,
    "facts wait until they are final": _waits,
    "confirmations are counted": _confirmed,
    "facts begin after any block": _after,
    "facts are the same for all": _same,
    "ids survive a reorganisation": _keeps_ids,
    "what is due is signed": _due,
    "a pause makes progress": _pauses,
    "a chain closes twice": _closes_twice,
    "a closed chain says so": _is_closed,
}
