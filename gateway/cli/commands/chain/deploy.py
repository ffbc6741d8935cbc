"""`tollbook chain deploy`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ... import render
from ...errors import DONE
from ...options import Json
from ...render import amount, command, line, table
from . import check_extra
from .status import Chain

if TYPE_CHECKING:
    from ....settle.evm_deploy import DeployedContract

_Token = Annotated[bool, typer.Option("--token-test", help="Also deploy a test token, worth nothing.")]
_Owner = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="May change the operator. Without it: the key's address.", show_default=False),
]
_Operator = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="May settle. Without it: the key's address.", show_default=False),
]
_Guardian = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="May cancel batches, beside the owner.", show_default=False),
]
_Window = Annotated[int, typer.Option(metavar="SECONDS", min=0, help="Challenge window of a batch.")]
_Freeze = Annotated[
    int, typer.Option(metavar="SECONDS", min=0, help="From an exit request to the first batch that pays it.")
]
_Exit = Annotated[
    int, typer.Option(metavar="SECONDS", min=0, help="From an exit request to an exit without the operator.")
]

_DAY = 86_400


def deploy(
    chain: Chain,
    token_test: _Token = False,
    owner: _Owner = None,
    operator: _Operator = None,
    guardian: _Guardian = None,
    window: _Window = 0,
    freeze_delay: _Freeze = _DAY,
    exit_delay: _Exit = 30 * _DAY,
    json: Json = False,
) -> int:
    """Deploy the settlement contract on a chain.

    \b
    Examples:
      tollbook chain deploy --chain eip155:31337 --token-test
      tollbook chain deploy --chain eip155:8453 --owner 0x… --guardian 0x… --window 3600
      tollbook chain deploy --chain eip155:8453 --json

    The key that is set signs and pays for the gas; there is no prompt. The delays are fixed permanently; the owner can
    change owner, operator and guardian. Every run deploys another contract. Refused before anything is sent: a node of
    another chain, a node that is syncing, a key without the money for the gas, roles and delays that the contract
    cannot have. If no answer comes (exit 3), look up the named transaction before you run it again.

    Exit codes: 0 deployed; 2 refused, or could not run; 3 no answer came, so it may have been deployed.
    """
    check_extra()
    from ....settle.evm_deploy import deploy_contract

    deployment = deploy_contract(
        chain,
        owner=owner,
        operator=operator,
        guardian=guardian,
        window=window,
        freeze_delay=freeze_delay,
        exit_delay=exit_delay,
        with_token=token_test,
    )
    if json:
        render.json(deployment.answer())
    else:
        _show(deployment)
    return DONE


def _show(deployment: DeployedContract) -> None:
    chain, contract, token = deployment.chain, deployment.contract, deployment.token
    made = [("contract", contract), *([("token", token)] if token is not None else [])]
    rows = [(what, done.contract, done.block, amount(done.gas), amount(done.cost)) for what, done in made]
    table(("deployed", "address", ">block", ">gas", ">cost in the coin's smallest unit"), rows, f"on {chain}")
    line()
    names = ("challenge window", "freeze delay", "exit delay")
    seconds = [(name, f"{delay} s") for name, delay in zip(names, deployment.delays, strict=True)]
    table(("role or delay", "address or length"), [*deployment.roles._asdict().items(), *seconds])
    line()
    if deployment.token_asset is not None:
        line(f"the token is {deployment.token_asset}: anyone may mint it, so it is worth nothing")
    line(f"it could have cost {amount(deployment.max_cost)} of the coin's smallest unit at most")
    line("to settle there:")
    command(f"  tollbook settle LOG --chain {chain} --contract {contract.contract}")
