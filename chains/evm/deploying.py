"""Putting the contracts on a chain, and plans on the contract.

What would go wrong is found before anything is sent: another chain, no money for the gas, terms that the contract has
no room for. What stands on the chain afterwards is compared with what was meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from eth_abi.abi import encode

from ledger.errors import BadData, ChainUnavailable
from ledger.events import Share

from ..leaves import abi_encode, keccak
from . import addresses
from .artifacts import Artifact, load
from .contract import PlanTerms, SettlementContract
from .node_errors import CallReverted
from .sending import Done, Sender

DAY = 86_400

FREEZE_DELAY = DAY
"""Seconds after a request to leave until the ledger is sure to have seen it, unless another number is given."""

EXIT_DELAY = 30 * DAY
"""Seconds after which a subscriber may leave without the operator, unless another number is given."""

MAX_SHARES = 32
_DELAY_BITS, _CREDIT_BITS, _DURATION_BITS, _PRICE_BITS = 48, 64, 32, 96


class Roles(NamedTuple):
    """The roles at a settlement contract: the owner names the others, the operator commits batches, the guardian
    may cancel them (`COIN`, the address 0: only the owner)."""

    owner: str
    operator: str
    guardian: str = addresses.COIN


class Delays(NamedTuple):
    """The waits of a settlement contract, in seconds: they never change. See its README."""

    challenge_window: int = 0
    freeze: int = FREEZE_DELAY
    exit: int = EXIT_DELAY


class PublishedPlan(NamedTuple):
    """A plan on the contract: its id there, which is the ledger's `onchain_id`; the transaction that published it, None
    where it was there already."""

    id: str
    done: Done | None


def settlement_code(roles: Roles, delays: Delays) -> bytes:
    """Return what makes a `UsageSettlement` when it is sent.

    Raises BadData for roles and delays that it cannot have.
    """
    owner, operator, guardian = (_address(name, text) for name, text in roles._asdict().items())
    if addresses.COIN in (owner, operator):
        raise BadData("nobody has the address 0", "name an owner and an operator who have keys")
    for name, seconds in delays._asdict().items():
        _fits(f"the {name.replace('_', ' ')} in seconds", seconds, _DELAY_BITS)
    if delays.exit < delays.freeze:
        raise BadData(
            f"the exit delay of {delays.exit} seconds is shorter than the freeze delay of {delays.freeze}",
            "a subscriber could leave before the ledger knows: make it longer",
        )
    kinds = ["address", "address", "address", "uint48", "uint48", "uint48"]
    return _code(load("UsageSettlement")) + encode(kinds, [owner, operator, guardian, *delays])


def token_code() -> bytes:
    """Return what makes a `TestToken` when it is sent."""
    return _code(load("TestToken"))


def check_settlement(sender: Sender, roles: Roles, delays: Delays, *, with_token: bool = False) -> int:
    """Return what a `UsageSettlement`, and with it a `TestToken`, may cost at most, in the coin's smallest unit.

    Nothing is sent. Raises BadData for roles and delays that it cannot have, ChainUnavailable where the account cannot
    pay for it all.
    """
    codes = [settlement_code(roles, delays), *([token_code()] if with_token else [])]
    max_cost = sum(sender.quote(None, code).max_cost for code in codes)
    sender.check_can_pay(max_cost)
    return max_cost


def deploy_settlement(sender: Sender, roles: Roles, delays: Delays = Delays()) -> Done:  # noqa: B008 - it is frozen
    """Put a `UsageSettlement` on the chain. Raises BadData and ChainUnavailable where nothing was sent, SendUnknown."""
    return _deploy(sender, load("UsageSettlement"), settlement_code(roles, delays))


def deploy_token(sender: Sender) -> Done:
    """Put a `TestToken` on the chain: anyone may mint it, so it is worth nothing. Raises as above."""
    return _deploy(sender, load("TestToken"), token_code())


def _deploy(sender: Sender, artifact: Artifact, code: bytes) -> Done:
    done = sender.send(None, code)
    if not artifact.is_code(sender.node.code(done.contract)):
        raise ChainUnavailable(
            f"what the chain has at {done.contract} is not the {artifact.name} that was sent there",
            "do not use it: ask another node what is there",
        )
    return done


def _code(artifact: Artifact) -> bytes:
    return bytes.fromhex(artifact.bytecode[2:])


# -- plans -------------------------------------------------------------------------------------------------------------


def plan_salt(name: str) -> bytes:
    """Return the salt of a publisher's plan of that name: the name's Keccak."""
    return keccak(name.encode())


def plan_id(publisher: str, name: str) -> str:
    """Return the id that the contract gives a publisher's plan of that name, whether it is published or not."""
    return addresses.plan_name(int.from_bytes(keccak(abi_encode(("address", "bytes32"), (publisher, plan_salt(name))))))


def publish_plan(
    sender: Sender,
    contract: SettlementContract,
    name: str,
    *,
    asset: str,
    price: Mapping[str, int],
    credits: int = 0,
    seconds: int = 0,
) -> PublishedPlan:
    """Publish what a ledger's plan sells and for what, under a name of the publisher's own. Its terms never change.

    `price` says what each receiver gets, in the asset's smallest unit. Again with the same terms it does nothing.
    Raises BadData for other terms under a name that is taken, for terms that the contract has no room for, and where
    the asset is on another chain; CallReverted, ChainUnavailable and SendUnknown as `Sender.send` does.
    """
    terms = _terms(sender, asset, price, credits, seconds)
    id = plan_id(sender.address, name)
    if _is_published(contract, id, name, terms):
        return PublishedPlan(id, None)
    shares = [(share.receiver, share.amount) for share in terms.shares]
    data = contract.encode("setPlan", plan_salt(name), (terms.token, terms.credits, terms.seconds, shares))
    try:
        return PublishedPlan(id, sender.send(contract.address, data))
    except CallReverted:
        if _is_published(contract, id, name, terms):  # another sender with the same key was quicker
            return PublishedPlan(id, None)
        raise


def _is_published(contract: SettlementContract, id: str, name: str, terms: PlanTerms) -> bool:
    found = contract.plan(addresses.plan_id(id))
    if found is not None and found != terms:
        raise BadData(
            f"the plan {name!r} is published as {id} with other terms: {_said(found)}, not {_said(terms)}",
            "a plan's terms never change: publish a new one under another name",
        )
    return found is not None


def _said(terms: PlanTerms) -> str:
    price = " and ".join(f"{share.amount} to {share.receiver}" for share in terms.shares)
    return f"{terms.credits} credits and {terms.seconds} seconds for {price} of {terms.token}"


def _terms(sender: Sender, asset: str, price: Mapping[str, int], credits: int, seconds: int) -> PlanTerms:
    chain = addresses.chain_name(sender.chain_id)
    try:
        token = addresses.token(asset)
    except ValueError as error:
        raise BadData(str(error)) from error
    if not asset.startswith(f"{chain}/"):
        raise BadData(f"{asset} is not on {chain}", "give an asset of the chain that the plan is published on")
    if any(amount < 1 for amount in price.values()):
        raise BadData("each receiver of a price gets 1 or more", "leave those out who get nothing")
    shares = tuple(Share(_address("receiver", receiver), amount) for receiver, amount in sorted(price.items()))
    if not 1 <= len(shares) <= MAX_SHARES:
        raise BadData(f"a price has 1 to {MAX_SHARES} receivers, not {len(shares)}", "share it among fewer")
    _fits("the price", sum(share.amount for share in shares), _PRICE_BITS)
    _fits("the number of credits", credits, _CREDIT_BITS)
    _fits("the number of seconds", seconds, _DURATION_BITS)
    if not (credits or seconds):
        raise BadData("a plan sells credits, a time, or both", "say how much of which it sells")
    return PlanTerms(token, credits, seconds, shares)


def _address(what: str, text: str) -> str:
    try:
        return addresses.address(text)
    except ValueError as error:
        raise BadData(f"the {what} cannot be that: {error}", "give an address") from error


def _fits(what: str, number: int, bits: int) -> None:
    if not 0 <= number < 1 << bits:
        raise BadData(
            f"{what} is from 0 to {(1 << bits) - 1}, not {number}", "give a number that the contract can hold"
        )
