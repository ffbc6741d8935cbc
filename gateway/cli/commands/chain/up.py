"""`tollbook chain up`."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ... import render
from ...errors import DONE
from ...options import Json
from ...progress import progress
from ...render import amount, command, line, table
from . import check_extra

if TYPE_CHECKING:
    from ....settle.evm_local import RunningChain


class Kind(StrEnum):
    """The kinds of local chains."""

    ANVIL = "anvil"
    ETH_TESTER = "eth-tester"


_Port = Annotated[int, typer.Option(metavar="N", min=0, max=65_535, help="The port to listen on. 0: any free port.")]
_Kind = Annotated[
    Kind | None,
    typer.Option(help="The kind of chain. Without it: anvil if it is installed, else eth-tester.", show_default=False),
]
_Window = Annotated[int, typer.Option(metavar="SECONDS", min=0, help="Challenge window of a batch.")]

_CHECK_SECONDS = 1.0


def up(port: _Port = 8545, kind: _Kind = None, window: _Window = 0, json: Json = False) -> int:
    """Run a local EVM chain with the contract, a test token and funded accounts.

    \b
    Examples:
      tollbook chain up
      tollbook chain up --port 0 --kind eth-tester --json
      tollbook chain up --window 60

    The output has the lines to set in another terminal, so that `tollbook settle LOG --chain eip155:31337` settles
    there. The keys are public, as on every test chain: never use them elsewhere. With --json one line is printed once
    the chain is ready. The chain runs until Ctrl-C or SIGTERM, then ends with all its data: exit 0.

    Exit codes: 0 it was stopped; 2 it could not start, or it died.
    """
    check_extra()
    from ....settle.evm_local import running, until_stopped

    with until_stopped(), ExitStack() as stack:
        with progress(quiet=json) as report:
            there = stack.enter_context(running(None if kind is None else kind.value, port, window, report))
        if json:
            render.json(there.answer())
        else:
            _show(there)
        sys.stdout.flush()
        while True:
            time.sleep(_CHECK_SECONDS)
            there.local.height  # noqa: B018 - it raises if the chain has died
    return DONE


def _show(there: RunningChain) -> None:
    facts = [
        ("chain", there.chain),
        ("node", f"{there.local.url} ({there.local.kind})"),
        ("contract", there.contract),
        ("token", there.token),
        ("coin", there.coin),
        ("window", f"{there.window} s"),
    ]
    table(("local chain", "~where it is"), facts)
    line()
    rows = [
        (holder.role, holder.address, amount(holder.coins // 10**18), amount(holder.tokens, 6), holder.key)
        for holder in there.accounts
    ]
    columns = ("account", "address", ">coins", ">token", "key")
    table(columns, rows, "accounts; their keys are public: never use them on another chain")
    line()
    line("in another terminal:")
    for name, value in there.environment.items():
        command(f"  export {name}={value}")
    command(f"  tollbook settle LOG --chain {there.chain} --contract {there.contract}")
    line()
    line("Ctrl-C ends the chain, and all that is on it")
