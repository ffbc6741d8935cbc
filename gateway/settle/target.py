"""The chain and the contracts that a log is settled on, connections to them, and the side files of a log.

A log's mock chains and its published leaf files live beside the log; `mock_file` and `leaves_folder` name them.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from chains.evm.addresses import NAMESPACE
from chains.mock import MockChain
from ledger import ContractRef, Ledger
from ledger.amounts import money_text
from ledger.errors import BadData, ChainUnavailable, LedgerError, LogError, PluginFailed, UnknownPlugin
from ledger.plugins import Chain, ChainPlugin, chain_plugin, contract_of
from replay.audit import onchain

from ..errors import UsageError

MOCK = "mock:local"
"""The chain that the word `mock` means."""

CONTRACT = "tollbook"
"""The contract of the mock chain that lives in LOG.mock."""

_CAIP_2 = re.compile("[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}")


# -- names -------------------------------------------------------------------------------------------------------------


def chain_name(text: str, known: Collection[str] = ()) -> str:
    """Return a chain's name as the log has it: `mock` alone is mock:local.

    Raises UsageError for a name that is neither CAIP-2 nor one of `known`, the chains of the log.
    """
    name = MOCK if text == "mock" else text
    if name not in known and _CAIP_2.fullmatch(name) is None:
        hint = "write namespace:reference as CAIP-2 has it, such as mock:local or eip155:8453; mock alone is mock:local"
        raise UsageError(f"{text!r} is not the name of a chain", hint)
    return name


def plugin_of(chain: str) -> ChainPlugin:
    """Return the plugin of a chain. Raises UnknownPlugin if none is installed."""
    try:
        return chain_plugin(chain)
    except PluginFailed:
        raise
    except UnknownPlugin as error:
        raise UnknownPlugin(f"no installed plugin settles on {chain}", error.hint) from None


def is_mock(chain: str) -> bool:
    """True for a mock chain, which lives in a file beside the log."""
    return chain.startswith("mock:")


def is_evm(chain: str) -> bool:
    """True for an EVM chain, which the built-in EVM plugin settles on."""
    return chain.startswith(f"{NAMESPACE}:")


# -- side files --------------------------------------------------------------------------------------------------------


def mock_file(log: Path, contract: str) -> Path:
    """Return the file of the log's mock chain that has this contract; such a file has one contract."""
    other = "" if contract == CONTRACT else f".{quote(contract, safe='')}"
    return log.with_name(f"{log.name}{other}.mock")


def leaves_folder(log: Path) -> Path:
    """Return the folder where leaf files of the log's batches are published, unless the settings name another."""
    return log.with_name(f"{log.name}.leaves")


def has_chain(file: Path) -> bool:
    """True if the file exists and is not empty: an empty file holds no chain."""
    return file.exists() and file.stat().st_size > 0


def check_writable(file: Path, why: str = "settling writes it") -> None:
    """Raise LogError if the process may not write the file."""
    if not os.access(file, os.W_OK):
        raise LogError(f"{file} cannot be written", f"{why}: change its permissions, and run again")


# -- which chain, which contracts --------------------------------------------------------------------------------------


def chosen(ledger: Ledger, log: Path, asked: str | None, contract: str | None = None) -> str:
    """Return the chain to settle on: `asked`, or the only chain on which the log has escrow, or mock:local.

    With `contract`, the log may have nothing on the chain yet. Raises UsageError if all of the log's escrow is on
    other chains, and UnknownPlugin.
    """
    there = dict.fromkeys(escrow.contract_ref.chain for escrow in ledger.escrows())
    if asked is None:
        name = next(iter(there)) if len(there) == 1 else MOCK
    else:
        name = chain_name(asked, there)
    plugin = plugin_of(name)
    if contract is None and name not in there and is_evm(name):
        hint = "give --contract and the address of the contract that sells the log's plans there"
        raise UsageError(f"the log has nothing on {name} yet", hint)
    if contract is None and there and name not in there and not _has_sold(log, name, plugin):
        others = (f"--chain {other}, where {_held(ledger, other)} is" for other in there)
        raise UsageError(f"nothing is in escrow on {name}", f"give {', or '.join(others)}")
    return name


def contracts_there(log: Path, name: str, named: Iterable[str]) -> list[str]:
    """Return the contracts of a chain: those that the log names, and that of the mock chain beside the log, which may
    have sold something that the log does not have yet."""
    found = set(named)
    if is_mock(name) and has_chain(mock_file(log, CONTRACT)):
        found.add(CONTRACT)
    return sorted(found)


def chosen_to_compare(log: Path, asked: str) -> tuple[str, list[str]]:
    """Return the chain to compare a log with, and the contracts there.

    Raises UsageError if the log has nothing on the chain, and UnknownPlugin.
    """
    log_side = onchain.read(log)
    there = log_side.contracts_by_chain()
    name = chain_name(asked, there)
    plugin_of(name)
    found = contracts_there(log, name, there.get(name, ()))
    if not found and log_side.readable:  # a damaged log is audited as far as it can be read
        hint = f"give {' or '.join(f'--chain {other}' for other in there)}" if there else "leave --chain out"
        raise UsageError(f"{log} has nothing on {name} to compare", hint)
    return name, found


def _has_sold(log: Path, name: str, plugin: ChainPlugin) -> bool:
    """True if the mock chain beside the log has sold anything, which the log may not have yet."""
    where = mock_file(log, CONTRACT)
    if not (is_mock(name) and has_chain(where)):
        return False
    try:
        with closing(plugin.connect(ContractRef(name, CONTRACT), where=where)) as chain:
            return any(True for _ in chain.facts(0, 0))
    except BadData:  # the file is of another chain
        return False


def _held(ledger: Ledger, chain: str) -> str:
    """Return the log's money in escrow on a chain as text: `10.00 USD and 0.20 EUR`."""
    held: Counter[str] = Counter()
    for contract_ref in {escrow.contract_ref for escrow in ledger.escrows() if escrow.contract_ref.chain == chain}:
        for lot in ledger.escrowed(contract_ref):
            held[lot.asset] += lot.kept
        for asset, receivers in ledger.settling(contract_ref).settled.items():
            held[asset] -= sum(receivers.values())
    decimals = {each.asset: each.asset_decimals for each in ledger.earned()}
    return " and ".join(money_text(held[asset], asset, decimals.get(asset, 0)) for asset in sorted(held)) or "it"


# -- connections -------------------------------------------------------------------------------------------------------


def connect(log: Path, contract_ref: ContractRef, *, read_only: bool = False) -> Chain:
    """Connect to a contract of the log on its chain; `read_only` needs no operator's key, where there are keys.

    Raises ChainUnavailable, UsageError for a file of another chain, and UnknownPlugin. A mock chain that is lost and
    held the log's money is an error; no new one is made in its place.
    """
    with blaming(log, contract_ref):
        return plugin_of(contract_ref.chain).connect(contract_ref, **_options(log, contract_ref, read_only))


@contextmanager
def blaming(log: Path, contract_ref: ContractRef) -> Iterator[None]:
    """Turn BadData of a mock chain into an error that names the chain's file and says what to do about it."""
    try:
        yield
    except BadData as error:
        if not is_mock(contract_ref.chain):
            raise
        raise _with_file(error, mock_file(log, contract_ref.contract), contract_ref) from error


def _options(log: Path, contract_ref: ContractRef, read_only: bool) -> dict[str, object]:
    """Return the options that a chain's plugin needs to connect for this log; other people's plugins need none."""
    if is_evm(contract_ref.chain):
        return {"default_leaves": leaves_folder(log), "read_only": read_only}
    if not is_mock(contract_ref.chain):
        return {}
    where = mock_file(log, contract_ref.contract)
    if not has_chain(where):
        how = "is empty" if where.exists() else "is missing"
        message = f"{where} {how}, and the log has money in escrow on the chain that lived in it"
        raise ChainUnavailable(message, "restore it beside the log, and run again")
    check_writable(where, "a mock chain is opened to be written")
    return {"where": where}


def _with_file(error: BadData, where: Path, contract_ref: ContractRef) -> LedgerError:
    """Return the error with the mock chain's file: the file is of another chain, or it is damaged."""
    try:
        with closing(MockChain(where)) as opened:
            if contract_of(opened) == contract_ref:
                return error
            there = f"the chain {opened.name} with the contract {opened.contract}"
            message = f"{where} has {there}, not {contract_ref.chain} with {contract_ref.contract}"
            return UsageError(message, f"give --chain {opened.name}, or restore the file of {contract_ref.chain} there")
    except LedgerError:
        message = str(error) if str(where) in str(error) else f"{where}: {error}"
        return BadData(message, f"restore {where.name} from a copy")
