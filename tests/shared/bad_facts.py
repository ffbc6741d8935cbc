"""Mock chains that report what is not so: other facts, other answers, other contracts. See bad_chains."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from copy import copy
from typing import Any, ClassVar

from bad_chains import Bad, Tells
from msgspec.structs import replace

from chains.mock import MockChain
from ledger.errors import ChainUnavailable
from ledger.events import Share
from ledger.settlement.messages import (
    Attempt,
    Batch,
    ChainFact,
    ExitPaid,
    Found,
    PurchaseMade,
)

# -- facts -------------------------------------------------------------------------------------------------------------


class ForgetsAFact(Tells):
    """An account that buys again is not heard of."""

    breaks: ClassVar = {
        "each fact is reported once": "['purchase-4'] never reported; what is reported is ['purchase-1', 'purchase-2',"
    }

    def reported(self, facts: list[ChainFact]) -> list[ChainFact]:
        first = {(fact.subscriber, fact.plan, type(fact)): fact.id for fact in reversed(facts)}
        return [fact for fact in facts if fact.id in first.values()]


class TellsAFactTwice(Tells):
    breaks: ClassVar = {
        "each fact is reported once": "['purchase-1'] reported more than once",
        "a request to leave is reported once": "two facts have one id: ['purchase-1', 'purchase-1',",
    }

    def reported(self, facts: list[ChainFact]) -> list[ChainFact]:
        return facts[:1] + facts


class GivesNewIds(Tells):
    breaks: ClassVar = {
        "each fact is reported once": "purchase-1 of scan 2",
        "facts are the same for all": "the facts of a second scan: [PurchaseMade(id='purchase-1 of scan 2'",
    }

    def reported(self, facts: list[ChainFact]) -> list[ChainFact]:
        self.sent["scans"] = self.sent.get("scans", 0) + 1
        return [replace(fact, id=f"{fact.id} of scan {self.sent['scans']}") for fact in facts]


class NamesFactsByBlock(Tells):
    """A reorganisation that moves a purchase gives it another id."""

    breaks: ClassVar = {"ids survive a reorganisation": "after a reorganisation ['block-1', 'block-"}

    def reported(self, facts: list[ChainFact]) -> list[ChainFact]:
        return [replace(fact, id=f"block-{fact.block}") for fact in facts]

    def purchase(self, *arguments: Any, **named: Any) -> PurchaseMade:
        made = super().purchase(*arguments, **named)
        return replace(made, id=f"block-{made.block}")


class RemembersWhatIsGone(Tells):
    """What it has reported once it tells permanently, whatever a reorganisation took away."""

    breaks: ClassVar = {
        "what was granted early can be taken back": "taken one of the two purchases away: 200, not 100",
        "ids survive a reorganisation": "the facts after a reorganisation, on the connection from before it: [",
    }

    def twin(self) -> MockChain:
        other = copy(self)
        other.known = {}
        return other

    def reported(self, facts: list[ChainFact]) -> list[ChainFact]:
        self.known = getattr(self, "known", {}) | {fact.id: fact for fact in facts}
        return sorted(self.known.values(), key=lambda fact: fact.block)


class ReordersFacts(Tells):
    breaks: ClassVar = {"facts come in the chain's order": "the order of purchases: ['purchase-4',"}

    def reported(self, facts: list[ChainFact]) -> list[ChainFact]:
        return facts[::-1]


class RoundsAmounts(Tells):
    breaks: ClassVar = {
        "facts are exact": "the shares of the purchase purchase-3: {'seller': 5021681388309344611068631538566133132881",
    }

    def reported(self, facts: list[ChainFact]) -> list[ChainFact]:
        def rounded(shares: tuple[Share, ...]) -> tuple[Share, ...]:
            return tuple(Share(share.receiver, int(float(share.amount))) for share in shares)

        return [
            replace(fact, shares=rounded(fact.shares)) if isinstance(fact, PurchaseMade) else fact for fact in facts
        ]


class PaysLeaversLess(Tells):
    breaks: ClassVar = {
        "a subscriber leaves by proof": "the exits that were paid: [('alice', 'small', 'USD', 799)], not",
        "who leaves has the rest": "what the subscriber leaves with: [799], not [800]",
    }

    def reported(self, facts: list[ChainFact]) -> list[ChainFact]:
        return [replace(fact, amount=fact.amount - 1) if isinstance(fact, ExitPaid) else fact for fact in facts]


class TellsTheBlockItself(Bad):
    breaks: ClassVar = {"facts begin after any block": "what is reported after block 1: ['purchase-1', 'purchase-2'"}

    def facts(self, after: int = 0, confirmations: int | None = None) -> Iterable[ChainFact]:
        return super().facts(max(after - 1, 0), confirmations)


class DoesNotWait(Bad):
    breaks: ClassVar = {
        "facts wait until they are final": "without confirmations ['purchase-2'] are reported, in block 3; final is 2"
    }

    def facts(self, after: int = 0, confirmations: int | None = None) -> Iterable[ChainFact]:
        return super().facts(after, confirmations or 0)


class WaitsTooLong(Bad):
    breaks: ClassVar = {
        "confirmations are counted": "block 1 is not reported when 1 confirmations are asked for, and there is block 2"
    }

    def facts(self, after: int = 0, confirmations: int | None = None) -> Iterable[ChainFact]:
        return super().facts(after, confirmations and confirmations + 1)


class WaitsTooShort(Bad):
    breaks: ClassVar = {
        "confirmations are counted": "2 is reported when 1 confirmations are asked for, and there is no block 3 yet"
    }

    def facts(self, after: int = 0, confirmations: int | None = None) -> Iterable[ChainFact]:
        return super().facts(after, confirmations and confirmations - 1)


# -- what it is asked --------------------------------------------------------------------------------------------------


class DoesNotPause(Bad):
    breaks: ClassVar = {"a pause makes progress": "after 3 pauses a purchase is not final"}

    def pause(self) -> None:
        pass


class ClosesOnce(Bad):
    breaks: ClassVar = {"a chain closes twice": "it raised RuntimeError: closed already"}

    def close(self) -> None:
        if self.sent.get("closed"):
            raise RuntimeError("closed already")
        self.sent["closed"] = 1
        super().close()


class StaysOpen(Bad):
    breaks: ClassVar = {"a closed chain says so": "`facts` still works"}

    def close(self) -> None:
        pass


class RaisesItsOwnErrors(Bad):
    breaks: ClassVar = {
        "a closed chain says so": "`find` raises OSError, not ChainUnavailable: ",
        "a chain that is cut off says so": "`find` raises OSError, not ChainUnavailable, while the chain cannot be",
    }

    def find(self, number: int) -> Found:
        try:
            return super().find(number)
        except ChainUnavailable as error:
            raise OSError(str(error)) from error


# -- what is not for this contract, and what is not said ---------------------------------------------------------------


class TakesOthersBatches(Bad):
    breaks: ClassVar = {
        "a batch is for one contract": "accepts a batch whose chain is 'mock:elsewhere', on 'tollbook' of 'mock:"
    }

    def simulate(self, batch: Batch) -> str | None:
        return super().simulate(replace(batch, chain=self.name, contract=self.contract))


class PaysOthersBatches(Bad):
    breaks: ClassVar = {"a batch is for one contract": "a batch whose contract is 'another' is executed"}

    def prepare(self, batch: Batch, *arguments: Any) -> Attempt | None:
        return super().prepare(replace(batch, contract=self.contract), *arguments)


class SharesItsState(Bad):
    """The chain's name is not part of where it is kept."""

    breaks: ClassVar = {
        "chains of other names are others": "facts of a contract of that name on another chain: ['purchase-1'], not []"
    }
    called = "mock:local"

    @property
    def name(self) -> str:
        return self.called

    def namesake(self, name: str) -> MockChain:
        other = copy(self)
        other.called = name
        return other


class NamesAnotherTransaction(Bad):
    breaks: ClassVar = {
        "the chain has what was committed to": "find says '0xdead' brought the batch to executed; the attempts"
    }

    def find(self, number: int) -> Found:
        found = super().find(number)
        return replace(found, transaction="0xdead") if found.stage == "executed" else found


class ForgetsSeconds(Tells):
    breaks: ClassVar = {
        "windows of time are exact": "a window of time: [('purchase-1', 'alice', 'large', 0, 0)], not [('purchase"
    }

    def reported(self, facts: list[ChainFact]) -> list[ChainFact]:
        return [replace(fact, seconds=0) if isinstance(fact, PurchaseMade) else fact for fact in facts]


class SwallowsWhatItCannotSend(Bad):
    breaks: ClassVar = {
        "a chain that is cut off says so": "`send` says None while the chain cannot be reached, and does"
    }

    def send(self, attempt: Attempt) -> None:
        with suppress(ChainUnavailable):
            super().send(attempt)


class TakesSilenceForAbsence(Bad):
    breaks: ClassVar = {"a chain that is cut off says so": "`find` says Found(stage='absent', "}

    def find(self, number: int) -> Found:
        try:
            return super().find(number)
        except ChainUnavailable:
            return Found(stage="absent")
