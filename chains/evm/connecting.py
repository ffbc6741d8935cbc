"""Connecting to the contract. Chain, node, contract and key are checked before any money moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ledger import ContractRef
from ledger.amounts import SECOND
from ledger.clock import Clock, system_clock
from ledger.errors import BadData, SettlementStopped

from . import addresses
from .chain import EvmChain
from .contract import SettlementContract
from .keys import operator
from .node import Node
from .publishing import LeafFiles
from .settings import Settings


def connect(
    contract_ref: ContractRef,
    *,
    default_leaves: Path | None = None,
    read_only: bool = False,
    node: Node | None = None,
    clock: Clock = system_clock,
    **options: Any,  # noqa: ANN401
) -> EvmChain:
    """Connect to a contract, and check chain, node, contract and key.

    `options` are fields of `Settings`, and override the environment. Leaf files are published in
    `default_leaves` if the settings name no folder. A connection that is `read_only` needs no key, and cannot send.
    `node` replaces the one that the settings name; the connection closes it.
    `clock` measures the age of the node's last block.

    Raises BadData for a wrong name, address or setting, and for a node of another chain; ChainUnavailable for a node
    that does not answer or does not pass `Node.check`; SettlementStopped if the address has no code, or another
    contract's, or if the key is not its operator's.
    """
    chain = contract_ref.chain
    try:
        chain_id, address = addresses.chain_id(chain), addresses.address(contract_ref.contract)
    except ValueError as error:
        raise BadData(str(error), "correct the name of the chain, or the contract's address") from error
    settings = Settings.read(chain_id, **options)
    key = None if read_only else operator(settings)
    node = node or node_of(settings)
    try:
        node.check(chain_id, now=clock() // SECOND)
        contract = SettlementContract(node, address)
        _check_code(contract, node.code(address), chain)
        connection = EvmChain(
            node,
            contract,
            LeafFiles(settings.leaves or default_leaves, settings.leaves_uri, timeout=settings.timeout),
            chain_id=chain_id,
            account=key,
            max_fee=settings.max_fee,
            pause_seconds=settings.pause,
        )
        if not read_only:
            connection.check_operator()
    except BaseException:
        node.close()
        raise
    return connection


def node_of(settings: Settings) -> Node:
    """Return the node that the settings name. Raises BadData if they name none."""
    return Node(
        settings.node_url,
        tries=settings.tries,
        finality=settings.finality,
        fallback=settings.finality_fallback,
        max_head_age=settings.max_head_age,
        timeout=settings.timeout,
    )


def _check_code(contract: SettlementContract, code: bytes, chain: str) -> None:
    if not code:
        message = f"there is no contract at {contract.address} on {chain}"
        raise SettlementStopped(message, "check the address and the chain; nothing was sent")
    if not contract.artifact.is_code(code):
        raise SettlementStopped(
            f"the contract at {contract.address} on {chain} is not the {contract.artifact.name} of this release",
            "check the address, or install the release of Tollbook that deployed it; nothing was sent",
        )
