"""`tollbook chain status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ... import render
from ...errors import BAD_ANSWER, DONE
from ...options import Json
from ...render import amount, line, table
from . import check_extra

if TYPE_CHECKING:
    from ....settle.evm_status import Status

Chain = Annotated[
    str, typer.Option(metavar="NAME", help="The chain's CAIP-2 name, such as eip155:8453.", show_default=False)
]
_Contract = Annotated[str, typer.Option(metavar="ADDRESS", help="The settlement contract.", show_default=False)]


def status(chain: Chain, contract: _Contract, json: Json = False) -> int:
    """Show the settlement contract, and any problem that would stop a settlement.

    \b
    Examples:
      tollbook chain status --chain eip155:31337 --contract 0x5FbDB2315678afecb367f032d93F642f64180aa3
      tollbook chain status --chain eip155:31337 --contract 0x5FbDB2315678afecb367f032d93F642f64180aa3 --json

    Nothing is sent, and no key is needed; with a key, it is checked too: its role, and its money for gas.

    Exit codes: 0 no problem; 1 problems, each with what to do about it; 2 the chain does not answer.
    """
    check_extra()
    from ....settle import evm_status

    there = evm_status.status(chain, contract)
    if json:
        render.json(there)
    else:
        _show(there)
    return BAD_ANSWER if there.problems else DONE


def _show(there: Status) -> None:
    final = "the node does not say" if there.final is None else str(there.final)
    facts = [("chain", there.chain), ("node", there.node), ("head", str(there.head.number)), ("final block", final)]
    facts += [("contract", there.contract), *_contract_facts(there)]
    if there.key is not None:
        role = ", the operator" if there.key.is_operator else ", not the operator"
        facts += [("key", there.key.address + role * (there.found is not None))]
        facts += [("key's balance", f"{amount(there.key.balance)} of the coin's smallest unit")]
    table(("status", "~what there is"), facts)
    if there.found is not None and there.found.waiting:
        line()
        table(
            (">batch", "digest", ">ready at"),
            [(batch.number, batch.digest, batch.ready_at) for batch in there.found.waiting],
        )
    if there.found is not None and there.found.assets:
        line()
        rows = [
            (held.asset, held.symbol, amount(held.holds, held.decimals), amount(held.escrow, held.decimals))
            for held in there.found.assets
        ]
        table(("asset", "symbol", ">holds", ">in escrow"), rows)
    line()
    for problem in there.problems:
        line(f"wrong: {problem.message}; {problem.hint}")
    if not there.problems:
        line(
            "nothing is wrong" if there.key else "nothing is wrong; no key is set, so nothing can be settled from here"
        )


def _contract_facts(there: Status) -> list[tuple[str, str]]:
    contract = there.found
    if contract is None:
        return []
    return [
        ("version", contract.version),
        ("deployed in block", str(contract.deployed_block)),
        ("owner", contract.owner),
        ("operator", contract.operator),
        ("guardian", contract.guardian),
        ("window", f"{contract.window} s"),
        ("freeze delay", f"{contract.freeze_delay} s"),
        ("exit delay", f"{contract.exit_delay} s"),
        ("last batch", f"{contract.last} (up to {contract.settled} all are done)"),
    ]
