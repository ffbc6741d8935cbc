"""A batch by hand, for the tests of the mock: alice was charged, and bob is paid."""

from ledger.events import Leaf, Payout
from ledger.settlement.messages import Batch


def batch(chain, number=1, previous="", charged=10, paid=10):
    """The batch of that number on the chain."""
    return Batch(
        ledger="log",
        chain=chain.name,
        contract=chain.contract,
        number=number,
        asset="usd",
        at=number,
        covers={"main": number},
        head_seq=number,
        head_hash="00",
        previous=previous,
        leaves=(Leaf("alice", "gold", charged, 0),),
        payouts=(Payout("bob", paid),),
    )
