"""Deploying the contracts, and publishing plans on the contract.

Errors are found before anything is sent: another chain, no money for the gas, terms that the contract cannot hold. The
deployed code is compared with the artifact afterwards.
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
"""Default seconds after an exit request until the ledger has certainly seen it."""

EXIT_DELAY = 30 * DAY
"""Default seconds after an exit request until a subscriber may leave without the operator."""

MAX_SHARES = 32
_DELAY_BITS, _CREDIT_BITS, _DURATION_BITS, _PRICE_BITS = 48, 64, 32, 96


class Roles(NamedTuple):
    """The roles at a settlement contract: the owner names the others, the operator commits batches, the guardian
    may cancel them (`COIN`, the address 0: only the owner)."""

    owner: str
    operator: str
    guardian: str = addresses.COIN


class Delays(NamedTuple):
    """The delays of a settlement contract, in seconds. They never change. See chains/evm/README.md."""

    challenge_window: int = 0
    freeze: int = FREEZE_DELAY
    exit: int = EXIT_DELAY


class PublishedPlan(NamedTuple):
    """A plan on the contract: its id there, which is the ledger's `onchain_id`; the transaction that published it, None
    if it had been published before."""

    id: str
    done: Done | None


def settlement_code(roles: Roles, delays: Delays) -> bytes:
    """Return the creation code of a `UsageSettlement`. Raises BadData for roles or delays that it cannot have."""
    owner, operator, guardian = (_address(name, text) for name, text in roles._asdict().items())
    if addresses.COIN in (owner, operator):
        raise BadData(
            "the owner or the operator is the address 0, which has no key",
            "name an owner and an operator who have keys",
        )
    for name, seconds in delays._asdict().items():
        _fits(f"the {name.replace('_', ' ')} in seconds", seconds, _DELAY_BITS)
    if delays.exit < delays.freeze:
        raise BadData(
            f"the exit delay of {delays.exit} seconds is shorter than the freeze delay of {delays.freeze}",
            "a subscriber could leave before the ledger sees the request: make it longer",
        )
    kinds = ["address", "address", "address", "uint48", "uint48", "uint48"]
    return _code(load("UsageSettlement")) + encode(kinds, [owner, operator, guardian, *delays])


def token_code() -> bytes:
    """Return the creation code of a `TestToken`."""
    return _code(load("TestToken"))


def check_settlement(sender: Sender, roles: Roles, delays: Delays, *, with_token: bool = False) -> int:
    """Return the maximum cost of a `UsageSettlement`, optionally with a `TestToken`, in the coin's smallest unit.

    Nothing is sent. Raises BadData for roles or delays that it cannot have, ChainUnavailable if the account cannot pay
    for all of it.
    """
    codes = [settlement_code(roles, delays), *([token_code()] if with_token else [])]
    max_cost = sum(sender.quote(None, code).max_cost for code in codes)
    sender.check_can_pay(max_cost)
    return max_cost


def deploy_settlement(sender: Sender, roles: Roles, delays: Delays = Delays()) -> Done:  # noqa: B008 - it is frozen
    """Deploy a `UsageSettlement`. Raises BadData or ChainUnavailable if nothing was sent, SendUnknown otherwise."""
    return _deploy(sender, load("UsageSettlement"), settlement_code(roles, delays))


def deploy_token(sender: Sender) -> Done:
    """Deploy a `TestToken`, which anyone may mint. Raises as `deploy_settlement` does."""
    return _deploy(sender, load("TestToken"), token_code())


def _deploy(sender: Sender, artifact: Artifact, code: bytes) -> Done:
    done = sender.send(None, code)
    if not artifact.is_code(sender.node.code(done.contract)):
        raise ChainUnavailable(
            f"the code at {done.contract} is not the {artifact.name} that was deployed there",
            "do not use it: check the address with another node",
        )
    return done


def _code(artifact: Artifact) -> bytes:
    return bytes.fromhex(artifact.bytecode[2:])


# -- plans -------------------------------------------------------------------------------------------------------------


def plan_salt(name: str) -> bytes:
    """Return the salt of a publisher's plan of that name: the name's Keccak-256."""
    return keccak(name.encode())


def plan_id(publisher: str, name: str) -> str:
    """Return the id of a publisher's plan of that name, published or not."""
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
    """Publish a plan's terms, under a name of the publisher. They never change.

    `price` has each receiver's amount, in the asset's smallest unit. Publishing the same terms again does nothing.
    Raises BadData for other terms under the same name, for terms that the contract cannot hold, and for an asset of
    another chain; CallReverted, ChainUnavailable and SendUnknown as `Sender.send` does.
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
        if _is_published(contract, id, name, terms):  # another sender with the same key was first
            return PublishedPlan(id, None)
        raise


def _is_published(contract: SettlementContract, id: str, name: str, terms: PlanTerms) -> bool:
    published = contract.plan(addresses.plan_id(id))
    if published is not None and published != terms:
        raise BadData(
            f"the plan {name!r} is published as {id} with other terms: {_describe(published)}, not {_describe(terms)}",
            "a plan's terms never change: publish a new one under another name",
        )
    return published is not None


def _describe(terms: PlanTerms) -> str:
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
        raise BadData("the share of each receiver must be 1 or more", "leave out receivers without a share")
    shares = tuple(Share(_address("receiver", receiver), amount) for receiver, amount in sorted(price.items()))
    if not 1 <= len(shares) <= MAX_SHARES:
        raise BadData(f"a price has 1 to {MAX_SHARES} receivers, not {len(shares)}", "share it among fewer")
    _fits("the price", sum(share.amount for share in shares), _PRICE_BITS)
    _fits("the number of credits", credits, _CREDIT_BITS)
    _fits("the number of seconds", seconds, _DURATION_BITS)
    if not (credits or seconds):
        raise BadData("a plan must sell credits, a time, or both", "set credits or seconds")
    return PlanTerms(token, credits, seconds, shares)


def _address(what: str, text: str) -> str:
    try:
        return addresses.address(text)
    except ValueError as error:
        raise BadData(f"the {what} cannot be that: {error}", "give an address") from error


def _fits(what: str, number: int, bits: int) -> None:
    if not 0 <= number < 1 << bits:
        raise BadData(
            f"{what} must be from 0 to {(1 << bits) - 1}, not {number}", "give a number that the contract can hold"
        )
