"""Reads the settlement contract on an EVM chain, and finds what would stop a settlement, for `chain status`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from chains.evm import addresses
from chains.evm.connecting import node_of
from chains.evm.contract import SettlementContract, Stage
from chains.evm.keys import operator
from chains.evm.logs import Logs
from chains.evm.node import Header, Node
from chains.evm.settings import Settings
from chains.evm.tokens import Token
from ledger.amounts import SECOND
from ledger.clock import system_clock
from ledger.errors import BadData, ChainUnavailable

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

BATCH_GAS = 400_000
"""Gas that a small batch may use; an operator who cannot pay for it cannot settle."""

VERSION = "tollbook-usage-settlement-1"


class Problem(msgspec.Struct, frozen=True):
    """A problem that would stop a settlement, and what to do about it."""

    message: str
    hint: str


class HeadBlock(msgspec.Struct, frozen=True):
    """A block and its time (Unix seconds)."""

    number: int
    hash: str
    time: int


class Key(msgspec.Struct, frozen=True):
    """The account of the key that is set: its balance, and a small batch's cost now, in the coin's smallest unit."""

    address: str
    balance: int
    needed: int
    is_operator: bool


class WaitingBatch(msgspec.Struct, frozen=True):
    """A batch that is committed and not paid out, and the time (Unix seconds) from which it may be paid out."""

    number: int
    digest: str
    ready_at: int


class Holding(msgspec.Struct, frozen=True):
    """The contract's balance of an asset in its smallest unit, and how much of it is in escrow; the rest is due."""

    asset: str
    symbol: str
    decimals: int
    holds: int
    escrow: int


class Contract(msgspec.Struct, frozen=True):
    """The settlement contract as of the chain's head."""

    version: str
    deployed_block: int
    owner: str
    operator: str
    guardian: str
    window: int
    freeze_delay: int
    exit_delay: int
    last: int
    settled: int
    waiting: tuple[WaitingBatch, ...]
    assets: tuple[Holding, ...]


class Status(msgspec.Struct, frozen=True):
    """The state of a contract's address on a chain. `final` is None if the node does not say, `found` if the contract
    is not there, `key` if none is set."""

    chain: str
    contract: str
    node: str
    head: HeadBlock
    final: int | None
    found: Contract | None
    key: Key | None
    problems: tuple[Problem, ...]


@contextmanager
def asking(chain: str, **options: Any) -> Iterator[tuple[Node, LocalAccount | None]]:  # noqa: ANN401 - of `Settings`
    """Connect to the node of that chain; yield it, and the account of the key that is set, if one is.

    Raises BadData for another kind of chain, for wrong settings, and for a node of another chain.
    """
    number = chain_number(chain)
    settings = Settings.read(number, **options)
    account = operator(settings) if settings.key or settings.keystore else None
    with node_of(settings) as node:
        if (answered := node.chain_id()) != number:
            hint = f"set TOLLBOOK_EVM_URL_{number} to a node of that chain"
            raise BadData(f"the node at {node.shown} is on chain {answered}, not on {number}", hint)
        yield node, account


def chain_number(chain: str) -> int:
    """Return the chain id of an EVM chain. Raises BadData for another kind of chain."""
    try:
        return addresses.chain_id(chain)
    except ValueError as error:
        raise BadData(str(error), "write it as eip155:8453") from error


def status(chain: str, address: str) -> Status:
    """Read the state of the contract at that address, with its problems.

    Raises BadData, and ChainUnavailable if the node does not answer.
    """
    try:
        spelled = addresses.address(address)
    except ValueError as error:
        raise BadData(str(error), "correct the contract's address") from error
    with asking(chain) as (node, account):
        problems: list[Problem] = []
        head = node.head()
        final = _final(node, chain_number(chain), problems)
        contract = SettlementContract(node, spelled)
        found = _contract(contract, chain, head, problems)
        key = None if account is None else _key(node, str(account.address), found, problems)
        block = HeadBlock(head.number, head.hash, head.timestamp)
        return Status(chain, spelled, node.shown, block, final, found, key, tuple(problems))


def _final(node: Node, number: int, problems: list[Problem]) -> int | None:
    """Return the last final block; add a problem for a node that cannot be used."""
    try:
        node.check(number, now=system_clock() // SECOND)
        return node.final_block()
    except ChainUnavailable as error:
        problems.append(Problem(str(error), error.hint))
        return None


def _contract(contract: SettlementContract, chain: str, head: Header, problems: list[Problem]) -> Contract | None:
    code = contract.node.code(contract.address)
    if not code:
        problems.append(Problem(f"there is no contract at {contract.address} on {chain}", "check the address"))
        return None
    if not contract.artifact.is_code(code):
        problems.append(
            Problem(
                f"the contract at {contract.address} is not the {contract.artifact.name} that this release knows",
                "check the address, or install the release of Tollbook that deployed it",
            )
        )
        return None
    last, settled = contract.last_number(), contract.settled_number()
    return Contract(
        version=VERSION,
        deployed_block=contract.deployed_block,
        owner=contract.owner(),
        operator=contract.operator(),
        guardian=contract.guardian(),
        window=contract.challenge_window,
        freeze_delay=contract.freeze_delay,
        exit_delay=contract.exit_delay,
        last=last,
        settled=settled,
        waiting=tuple(_waiting(contract, settled, last)),
        assets=tuple(_holdings(contract, chain, head, problems)),
    )


def _waiting(contract: SettlementContract, settled: int, last: int) -> Iterator[WaitingBatch]:
    for number in range(settled + 1, last + 1):
        record = contract.record(number)
        if record.stage is Stage.committed:
            yield WaitingBatch(number, record.digest, record.committed_at + contract.challenge_window)


def _holdings(contract: SettlementContract, chain: str, head: Header, problems: list[Problem]) -> Iterator[Holding]:
    """Yield the holding of each token that a plan is sold for, and of the coin if one is."""
    logs = Logs(contract.node, contract.address).between(
        [contract.topic("PlanSet")], contract.deployed_block, head.number
    )
    events = [event for event in map(contract.read, logs) if event is not None]
    for address in dict.fromkeys(addresses.address(event["args"]["token"]) for event in events):
        token = Token(contract.node, address)
        asset = addresses.asset_name(chain, address)
        held = Holding(
            asset, token.symbol(), token.decimals(), token.balance(contract.address), contract.escrow(address)
        )
        if held.holds < held.escrow:
            problems.append(
                Problem(
                    f"the contract has {held.holds} of {asset}, and {held.escrow} of it in escrow",
                    "it cannot pay all that it owes: do not sell for a token whose balances change by themselves",
                )
            )
        yield held


def _key(node: Node, address: str, found: Contract | None, problems: list[Problem]) -> Key:
    base, priority = node.fees()
    key = Key(
        address=address,
        balance=node.balance(address),
        needed=BATCH_GAS * (2 * base + priority),
        is_operator=found is not None and found.operator == address,
    )
    if found is not None and not key.is_operator:
        problems.append(
            Problem(
                f"the key is that of {address}, and the operator is {found.operator}",
                "set the operator's key, or have the contract's owner name the new one",
            )
        )
    if key.balance < key.needed:
        problems.append(
            Problem(
                f"{address} has {key.balance} of the coin's smallest unit, and a small batch may cost {key.needed}",
                "send it more",
            )
        )
    return key
