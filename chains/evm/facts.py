"""Purchases and exits from a contract's logs, each once, in the chain's order.

Final facts are cached while the connection lasts, with hashes of the blocks up to which they were read. If the chain
has another block there, the cache is cut back to the last block that still matches.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from web3.types import EventData

from ledger.errors import ChainUnavailable
from ledger.settlement.messages import ChainFact, ExitPaid, ExitRequested, PurchaseMade

from ..commitment import to_hex
from ..leaves import abi_encode, keccak
from . import addresses
from .contract import SettlementContract
from .logs import Logs
from .node import Header

MAX_TRIES = 8
"""Maximum number of attempts at a reading while the chain changes."""

MAX_MARKS = 100
"""Maximum number of marks: a chain that is reset to before the first one is read from its beginning."""

EVENTS = ("Purchased", "ExitRequested", "Exited")


class _Mark(NamedTuple):
    """The number of facts in the blocks up to this one."""

    block: int
    hash: str
    facts: int


class FactScan:
    """The facts of one contract on the chain of that name."""

    def __init__(self, contract: SettlementContract, chain: str, logs: Logs) -> None:
        self._contract, self._node, self._chain, self._logs = contract, contract.node, chain, logs
        self._lock = threading.Lock()
        self._kept: list[ChainFact] = []
        self._marks: list[_Mark] = []

    def facts(self, after: int, last: int, final: int) -> list[ChainFact]:
        """Return the facts in the blocks after `after`, up to `last`; `final` is the last final block.

        Raises ChainUnavailable, also if the chain changes during every attempt.
        """
        if last < self._contract.deployed_block:
            return []
        with self._lock:
            for _ in range(MAX_TRIES):
                end = self._node.block(last)
                if end is None:  # a node that lags: it has no logs of blocks that it lacks
                    continue
                facts = self._read(after, last, final)
                if self._has(end):
                    return [fact for fact in facts if after < fact.block <= last]
                self._drop_replaced()
        raise ChainUnavailable(
            f"the chain changes faster than its logs can be read: block {last} is missing or differs each time",
            "run again, or ask another node",
        )

    def _read(self, after: int, last: int, final: int) -> list[ChainFact]:
        """Return the cached facts after the block `after`, and those up to `last` that are read now."""
        self._drop_replaced()
        start = self._marks[-1].block + 1 if self._marks else self._contract.deployed_block
        upto = min(final, last)
        if start <= upto:
            mark = self._node.block(upto)
            new = list(self._between(start, upto, final))
            if mark is not None and self._has(mark):
                self._kept += new
                self._marks = [*self._marks[1 - MAX_MARKS :], _Mark(upto, mark.hash, len(self._kept))]
                start, new = upto + 1, []
            return [*self._kept_after(after), *new, *self._between(max(start, upto + 1), last, final)]
        return [*self._kept_after(after), *self._between(start, last, final)]

    def _kept_after(self, block: int) -> list[ChainFact]:
        return self._kept[bisect_right(self._kept, block, key=lambda fact: fact.block) :]

    def _drop_replaced(self) -> None:
        """Cut the cache back to the last mark that the chain still has."""
        while self._marks:
            mark = self._marks[-1]
            block = self._node.block(mark.block)
            if block is not None and block.hash == mark.hash:
                break
            self._marks.pop()
        del self._kept[self._marks[-1].facts if self._marks else 0 :]

    def _has(self, block: Header) -> bool:
        current = self._node.block(block.number)
        return current is not None and current.hash == block.hash

    def _between(self, first: int, last: int, final: int) -> Iterator[ChainFact]:
        topics = [[self._contract.topic(name) for name in EVENTS]]
        for log in self._logs.between(topics, first, last):
            event = self._contract.read(log)
            if event is not None and event["event"] in EVENTS:
                yield self._fact(event, final)

    def _fact(self, event: EventData, final: int) -> ChainFact:
        args, block, is_final = event["args"], event["blockNumber"], event["blockNumber"] <= final
        subscriber, plan_id = addresses.address(args["subscriber"]), int(args["planId"])
        plan = addresses.plan_name(plan_id)
        if event["event"] == "Purchased":
            terms = self._contract.plan(plan_id, final, block)
            if terms is None:
                message = f"the node has a purchase of the plan {plan}, and no terms of that plan"
                raise ChainUnavailable(message, "ask another node: this one lacks the state of its own blocks")
            return PurchaseMade(
                id=to_hex(bytes(args["purchaseId"])),
                block=block,
                subscriber=subscriber,
                plan=plan,
                asset=addresses.asset_name(self._chain, terms.token),
                shares=terms.shares,
                credits=terms.credits,
                seconds=terms.seconds,
                final=is_final,
            )
        id = exit_id(event["event"], subscriber, plan_id)
        if event["event"] == "ExitRequested":
            return ExitRequested(id=id, block=block, subscriber=subscriber, plan=plan, final=is_final)
        return ExitPaid(
            id=id,
            block=block,
            subscriber=subscriber,
            plan=plan,
            asset=addresses.asset_name(self._chain, args["token"]),
            amount=int(args["amount"]),
            final=is_final,
        )


def exit_id(event: str, subscriber: str, plan_id: int) -> str:
    """Return the id of an exit's fact. An account requests and leaves a contract's plan only once, so the id is
    unique."""
    return to_hex(keccak(abi_encode(("string", "address", "uint256"), (event, subscriber, plan_id))))
