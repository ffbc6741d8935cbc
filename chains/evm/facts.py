"""Purchases and exits from a contract's logs, each once, in the chain's order.

What is final is kept while the connection lasts, with the hash of the block up to which it goes; where the chain has
another block there, as much is forgotten as it takes.
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
"""The number of times that a scan begins again because the chain changed under it."""

MAX_MARKS = 100
"""The number of marks that are kept: a chain that goes back before the first of them is read from its beginning."""

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
        """Those in the blocks after `after`, up to `last`; `final` is the last final block.

        Raises ChainUnavailable, also for a node whose blocks do not stay the same for as long as it takes to read them.
        """
        if last < self._contract.deployed_block:
            return []
        with self._lock:
            for _ in range(MAX_TRIES):
                end = self._node.block(last)
                if end is None:  # a node that lags: it would tell of no logs in blocks that it does not have
                    continue
                facts = self._read(after, last, final)
                if self._has(end):
                    return [fact for fact in facts if after < fact.block <= last]
                self._forget()
        raise ChainUnavailable(
            f"the chain changes faster than its logs can be read: block {last} is another each time, or none",
            "run again, or ask another node",
        )

    def _read(self, after: int, last: int, final: int) -> list[ChainFact]:
        """Return the facts up to a block: those that are kept of what comes after `after`, and those that are read
        now."""
        self._forget()
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

    def _forget(self) -> None:
        """Go back to the last mark that the chain still has."""
        while self._marks:
            mark = self._marks[-1]
            found = self._node.block(mark.block)
            if found is not None and found.hash == mark.hash:
                break
            self._marks.pop()
        del self._kept[self._marks[-1].facts if self._marks else 0 :]

    def _has(self, block: Header) -> bool:
        found = self._node.block(block.number)
        return found is not None and found.hash == block.hash

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
                message = f"the contract sold the plan {plan} and does not know it"
                raise ChainUnavailable(message, "ask another node: this one tells of blocks that it does not have")
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
    """Return the id of an exit's fact. An account asks and leaves once in a contract's life, so it never changes."""
    return to_hex(keccak(abi_encode(("string", "address", "uint256"), (event, subscriber, plan_id))))
