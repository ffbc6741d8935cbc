"""`tollbook chain up|deploy|status`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import Json

if TYPE_CHECKING:
    from chains.evm.deploying import Delays, Roles
    from chains.evm.sending import Done

    from ...settle.evm_local import Running
    from ...settle.evm_status import Status


class Kind(StrEnum):
    """The kinds of local chains."""

    ANVIL = "anvil"
    ETH_TESTER = "eth-tester"


_Port = Annotated[int, typer.Option(metavar="N", min=0, max=65_535, help="Where it listens. 0: any free port.")]
_Kind = Annotated[
    Kind | None,
    typer.Option(help="Which chain. Without it: anvil where it is installed, else eth-tester.", show_default=False),
]
_Window = Annotated[int, typer.Option(metavar="SECONDS", min=0, help="How long a batch waits to be challenged.")]
_Chain = Annotated[
    str, typer.Option(metavar="NAME", help="The chain's CAIP-2 name, such as eip155:8453.", show_default=False)
]
_Contract = Annotated[str, typer.Option(metavar="ADDRESS", help="The settlement contract.", show_default=False)]
_Token = Annotated[bool, typer.Option("--token-test", help="Also deploy a token to test with, worth nothing.")]
_Owner = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Who names the operator. Without it: the key's own.", show_default=False),
]
_Operator = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Who settles. Without it: the key's own.", show_default=False),
]
_Guardian = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Who may cancel batches, besides the owner.", show_default=False),
]
_Freeze = Annotated[
    int, typer.Option(metavar="SECONDS", min=0, help="From a request to leave to the first batch that serves it.")
]
_Exit = Annotated[
    int, typer.Option(metavar="SECONDS", min=0, help="From a request to leave to leaving without the operator.")
]

_DAY = 86_400
_LOOK = 1.0

chain = typer.Typer(rich_markup_mode=None, add_completion=False)


@chain.callback()
def _chain() -> None:
    """The settlement contract on EVM chains: a chain to try it on, putting it on a chain, and how it is there.

    \b
    Examples:
      tollbook chain up
      tollbook chain deploy --help
      tollbook chain status --help

    The node is that of TOLLBOOK_EVM_URL, and the key that of TOLLBOOK_EVM_KEY or of the keystore file of
    TOLLBOOK_EVM_KEYSTORE: never a word of the command line, where others could read it.
    """


@chain.command(short_help="Run a local chain with the contract and funded accounts.")
def up(port: _Port = 8545, kind: _Kind = None, window: _Window = 0, json: Json = False) -> int:
    """Run a local EVM chain, with the settlement contract, a token to test with, and accounts with money.

    \b
    Examples:
      tollbook chain up
      tollbook chain up --port 0 --kind eth-tester --json
      tollbook chain up --window 60

    What is printed has the lines to set in another terminal, so that `tollbook settle LOG --chain eip155:31337` settles
    there. The keys are public, as on every chain to test on: never use them elsewhere. With --json one line is printed,
    when all is there. It runs until Ctrl-C or SIGTERM, and ends with all that was on it: exit 0.
    """
    import sys
    import time

    from .. import render
    from ..errors import DONE

    _check_extra()
    from ...settle.evm_local import running, until_stopped

    with until_stopped(), running(None if kind is None else kind.value, port, window) as told:
        if json:
            render.json(_running_answer(told, window))
        else:
            _show_running(told, window)
        sys.stdout.flush()
        while True:
            time.sleep(_LOOK)
            told.local.height  # noqa: B018 - it raises where the chain has died
    return DONE


def _check_extra() -> None:
    """Raises MissingExtra where the packages that speak to a node are not installed."""
    import chains.evm.node  # noqa: F401 - it says what is missing


def _running_answer(told: Running, window: int) -> dict[str, object]:
    return {
        "chain": told.chain,
        "kind": told.local.kind,
        "url": told.local.url,
        "contract": told.contract,
        "token": told.token,
        "coin": told.coin,
        "window": window,
        "accounts": [account._asdict() for account in told.accounts],
        "environment": told.environment,
    }


def _show_running(told: Running, window: int) -> None:
    from ..render import amount, line, table

    facts = [
        ("chain", told.chain),
        ("node", f"{told.local.url} ({told.local.kind})"),
        ("contract", told.contract),
        ("token", told.token),
        ("coin", told.coin),
        ("window", f"{window} s"),
    ]
    table(("local chain", "where it is"), facts)
    line()
    rows = [
        (each.role, each.address, amount(each.coins // 10**18), amount(each.tokens, 6), each.key)
        for each in told.accounts
    ]
    columns = ("account", "address", ">coins", ">token", "key")
    table(columns, rows, "accounts; their keys are public: never use them on another chain")
    line()
    line("in another terminal:")
    for name, value in told.environment.items():
        line(f"  export {name}={value}")
    line(f"  tollbook settle LOG --chain {told.chain} --contract {told.contract}")
    line()
    line("Ctrl-C ends the chain, and all that is on it")


@chain.command(short_help="Put the settlement contract on a chain.")
def deploy(
    chain: _Chain,
    token_test: _Token = False,
    owner: _Owner = None,
    operator: _Operator = None,
    guardian: _Guardian = None,
    window: _Window = 0,
    freeze_delay: _Freeze = _DAY,
    exit_delay: _Exit = 30 * _DAY,
    json: Json = False,
) -> int:
    """Put the settlement contract on a chain, with the key that is set; it pays for the gas, and nothing is asked.

    \b
    Examples:
      tollbook chain deploy --chain eip155:31337 --token-test
      tollbook chain deploy --chain eip155:8453 --owner 0x… --guardian 0x… --window 3600
      tollbook chain deploy --chain eip155:8453 --json

    The delays are fixed for ever; owner, operator and guardian can be changed by the owner. Each run puts another
    contract there. Refused before anything is sent: a node of another chain or one that is syncing, a key without the
    money for the gas, roles and delays that the contract cannot have. Where no answer comes (exit 3), look what became
    of the transaction that is named before you run it again.
    """
    _check_extra()
    from chains.evm.deploying import Delays, Roles, check_settlement, deploy_settlement, deploy_token
    from chains.evm.sending import Sender
    from ledger.amounts import SECOND
    from ledger.clock import system_clock
    from ledger.errors import BadData

    from ...settle.evm_status import asking, chain_number
    from .. import render
    from ..errors import DONE

    with asking(chain) as (node, account):
        if account is None:
            hint = "set TOLLBOOK_EVM_KEY, or TOLLBOOK_EVM_KEYSTORE and TOLLBOOK_EVM_KEYSTORE_PASSWORD_FILE"
            raise BadData("no key is set that could pay for it", hint)
        node.check(chain_number(chain), now=system_clock() // SECOND)
        sender = Sender(node, account)
        roles = Roles(
            owner or sender.address, operator or sender.address, guardian or Roles._field_defaults["guardian"]
        )
        delays = Delays(window, freeze_delay, exit_delay)
        most = check_settlement(sender, roles, delays, with_token=token_test)
        token = deploy_token(sender) if token_test else None
        done = deploy_settlement(sender, roles, delays)
    if json:
        render.json(_deployed_answer(chain, roles, delays, done, token, most))
    else:
        _show_deployed(chain, roles, delays, done, token, most)
    return DONE


def _deployed_answer(
    chain: str, roles: Roles, delays: Delays, done: Done, token: Done | None, most: int
) -> dict[str, object]:
    from chains.evm.addresses import asset_name

    answer = {"chain": chain, **done._asdict(), "most": most, **roles._asdict(), "window": delays.challenge_window}
    answer |= {"freeze_delay": delays.freeze, "exit_delay": delays.exit, "token": None}
    if token is not None:
        answer["token"] = {"asset": asset_name(chain, token.contract), **token._asdict()}
    return answer


def _show_deployed(chain: str, roles: Roles, delays: Delays, done: Done, token: Done | None, most: int) -> None:
    from chains.evm.addresses import asset_name

    from ..render import amount, line, table

    made = [("contract", done), *([("token", token)] if token is not None else [])]
    rows = [(what, each.contract, each.block, amount(each.gas), amount(each.cost)) for what, each in made]
    table(("made", "address", ">block", ">gas", ">cost in the coin's smallest unit"), rows, f"on {chain}")
    line()
    named = [(name, address) for name, address in roles._asdict().items()]
    names = ("challenge window", "freeze delay", "exit delay")
    seconds = [(name, f"{delay} s") for name, delay in zip(names, delays, strict=True)]
    table(("role or delay", "who, or how long"), [*named, *seconds])
    line()
    if token is not None:
        line(f"the token is {asset_name(chain, token.contract)}: anyone may mint it, so it is worth nothing")
    line(f"it could have cost {amount(most)} of the coin's smallest unit at most")
    line(f"to settle there: tollbook settle LOG --chain {chain} --contract {done.contract}")


@chain.command(short_help="How the settlement contract is, and whether it can be settled on.")
def status(chain: _Chain, contract: _Contract, json: Json = False) -> int:
    """How the settlement contract is on a chain, and whether it can be settled on with the key that is set.

    \b
    Examples:
      tollbook chain status --chain eip155:31337 --contract 0x5FbDB2315678afecb367f032d93F642f64180aa3
      tollbook chain status --chain eip155:31337 --contract 0x5FbDB2315678afecb367f032d93F642f64180aa3 --json

    Nothing is sent, and no key is needed. Exits 0 where nothing is wrong; 1 where something is that would stop a
    settlement, each with what to do about it; 2 where the chain cannot be asked.
    """
    _check_extra()
    from ...settle import evm_status
    from .. import render
    from ..errors import BAD_ANSWER, DONE

    found = evm_status.status(chain, contract)
    if json:
        render.json(found)
    else:
        _show_status(found)
    return BAD_ANSWER if found.problems else DONE


def _show_status(found: Status) -> None:
    from ..render import amount, line, table

    final = "the node does not say" if found.final is None else str(found.final)
    facts = [("chain", found.chain), ("node", found.node), ("head", str(found.head.number)), ("final block", final)]
    facts += [("contract", found.contract), *_contract_facts(found)]
    if found.key is not None:
        role = ", the operator" if found.key.is_operator else ", not the operator"
        facts += [("key", found.key.address + role * (found.found is not None))]
        facts += [("key's balance", f"{amount(found.key.balance)} of the coin's smallest unit")]
    table(("status", "what there is"), facts)
    if found.found is not None and found.found.waiting:
        line()
        table(
            (">batch", "digest", ">ready at"),
            [(each.number, each.digest, each.ready_at) for each in found.found.waiting],
        )
    if found.found is not None and found.found.assets:
        line()
        rows = [
            (each.asset, each.symbol, amount(each.holds, each.decimals), amount(each.escrow, each.decimals))
            for each in found.found.assets
        ]
        table(("asset", "symbol", ">holds", ">in escrow"), rows)
    line()
    for problem in found.problems:
        line(f"wrong: {problem.message}; {problem.hint}")
    if not found.problems:
        line(
            "nothing is wrong" if found.key else "nothing is wrong; no key is set, so nothing can be settled from here"
        )


def _contract_facts(found: Status) -> list[tuple[str, str]]:
    there = found.found
    if there is None:
        return []
    return [
        ("version", there.version),
        ("deployed in block", str(there.deployed_block)),
        ("owner", there.owner),
        ("operator", there.operator),
        ("guardian", there.guardian),
        ("window", f"{there.window} s"),
        ("freeze delay", f"{there.freeze_delay} s"),
        ("exit delay", f"{there.exit_delay} s"),
        ("last batch", f"{there.last} (up to {there.settled} all are done)"),
    ]
