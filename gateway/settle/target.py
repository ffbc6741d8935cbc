"""The chain that a log is settled on: its name, the plugin that knows it, and where a log's mock chains live."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from chains.evm.addresses import NAMESPACE
from ledger import ContractRef, Ledger
from ledger.errors import BadData, LogError, UnknownPlugin
from ledger.plugins import ChainPlugin, chain_plugin, chains

from ..cli.errors import Usage
from ..cli.render import amount

MOCK = "mock:local"
"""The chain that `mock` alone stands for."""

CONTRACT = "tollbook"
"""The contract of the mock chain that lives in LOG.mock."""

_CAIP_2 = re.compile("[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}")


def chain_name(text: str, known: Collection[str] = ()) -> str:
    """A chain's name as the log has it: `mock` alone is mock:local. Raises Usage for one that is not CAIP-2, unless the
    log has it (`known`)."""
    name = MOCK if text == "mock" else text
    if name not in known and _CAIP_2.fullmatch(name) is None:
        hint = "write namespace:reference as CAIP-2 has it, such as mock:local or eip155:8453; mock alone is mock:local"
        raise Usage(f"{text!r} is not the name of a chain", hint)
    return name


def plugin_of(chain: str) -> ChainPlugin:
    """The plugin of a chain. Raises UnknownPlugin where none is installed."""
    try:
        return chain_plugin(chain)
    except UnknownPlugin:
        hint = f"installed are: {', '.join(chains.names())}"
        raise UnknownPlugin(f"no plugin that is installed settles on {chain}", hint) from None


def is_mock(chain: str) -> bool:
    """Whether it is a mock chain, which lives in a file beside the log."""
    return chain.startswith("mock:")


def is_evm(chain: str) -> bool:
    """Whether it is an EVM chain, which is spoken to by our own plugin."""
    return chain.startswith(f"{NAMESPACE}:")


def mock_file(log: Path, contract: str) -> Path:
    """Where the mock chain of a log with that contract lives: such a file has one contract."""
    other = "" if contract == CONTRACT else f".{quote(contract, safe='')}"
    return log.with_name(f"{log.name}{other}.mock")


def has_chain(file: Path) -> bool:
    """Whether there is a file with something in it: an empty one holds no chain."""
    return file.exists() and file.stat().st_size > 0


def check_writable(file: Path, why: str = "settling writes it") -> None:
    """Raises LogError for a file that may only be read."""
    if not os.access(file, os.W_OK):
        raise LogError(f"{file} cannot be written", f"{why}: change its permissions, and run again")


def chosen(ledger: Ledger, log: Path, asked: str | None, contract: str | None = None) -> str:
    """The chain to settle on: the one that was asked for, or the only one on which the log has escrow, or else
    mock:local. A `contract` that was asked for may have sold what the log does not know yet.

    Raises Usage where all of the log's escrow is on others, and UnknownPlugin.
    """
    there = dict.fromkeys(escrow.contract_ref.chain for escrow in ledger.escrows())
    if asked is None:
        name = next(iter(there)) if len(there) == 1 else MOCK
    else:
        name = chain_name(asked, there)
    plugin = plugin_of(name)
    if contract is None and name not in there and is_evm(name):
        hint = "give --contract and the address of the contract that sells the log's plans there"
        raise Usage(f"the log has nothing on {name} yet", hint)
    if contract is None and there and name not in there and not _sold(log, name, plugin):
        others = (f"--chain {other}, where {_held(ledger, other)} is" for other in there)
        raise Usage(f"nothing is in escrow on {name}", f"give {', or '.join(others)}")
    return name


def contracts_there(log: Path, name: str, named: Iterable[str]) -> list[str]:
    """The contracts of a chain: those that the log names, and that of the mock chain beside it, which may have sold
    something that the log does not know yet."""
    found = set(named)
    if is_mock(name) and has_chain(mock_file(log, CONTRACT)):
        found.add(CONTRACT)
    return sorted(found)


def chosen_to_compare(log: Path, asked: str) -> tuple[str, list[str]]:
    """The chain to compare a log with, and the contracts there. Raises Usage where the log has nothing on it, and
    UnknownPlugin."""
    from replay.audit import onchain

    said = onchain.read(log)
    there = said.places()
    name = chain_name(asked, there)
    plugin_of(name)
    found = contracts_there(log, name, there.get(name, ()))
    if not found and said.whole:  # one that is damaged is audited as far as it goes
        hint = f"give {' or '.join(f'--chain {other}' for other in there)}" if there else "leave --chain out"
        raise Usage(f"{log} has nothing on {name} to compare", hint)
    return name, found


def _sold(log: Path, name: str, plugin: ChainPlugin) -> bool:
    """Whether the mock chain beside the log has sold anything that the log may not know yet."""
    where = mock_file(log, CONTRACT)
    if not (is_mock(name) and has_chain(where)):
        return False
    try:
        with closing(plugin.connect(ContractRef(name, CONTRACT), where=where)) as chain:
            return any(True for _ in chain.facts(0, 0))
    except BadData:  # it is another chain
        return False


def _held(ledger: Ledger, chain: str) -> str:
    """What a chain holds of the log's money in escrow, in words."""
    held: Counter[str] = Counter()
    for contract_ref in {escrow.contract_ref for escrow in ledger.escrows() if escrow.contract_ref.chain == chain}:
        for lot in ledger.escrowed(contract_ref):
            held[lot.asset] += lot.kept
        for asset, receivers in ledger.settling(contract_ref).settled.items():
            held[asset] -= sum(receivers.values())
    return " and ".join(f"{amount(held[asset])} {asset}" for asset in sorted(held)) or "it"
