"""How a command reaches the contracts of a log on their chain, and what it says where it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ledger import ContractRef
from ledger.errors import BadData, ChainUnavailable, LedgerError
from ledger.plugins import Chain, contract_of

from ..cli.errors import Usage
from .target import check_writable, has_chain, is_evm, is_mock, mock_file, plugin_of


def connect(log: Path, contract_ref: ContractRef, *, read_only: bool = False) -> Chain:
    """Connect to a contract of the log; `read_only` needs no operator's key where there are keys.

    Raises ChainUnavailable, Usage for another chain's file, and UnknownPlugin. Where a mock chain is lost that held the
    log's money, no new one is made in its place.
    """
    with blaming(log, contract_ref):
        return plugin_of(contract_ref.chain).connect(contract_ref, **_options(log, contract_ref, read_only))


def leaves_folder(log: Path) -> Path:
    """Where the leaf files of a log's batches are published, unless the settings name another place."""
    return log.with_name(f"{log.name}.leaves")


def _options(log: Path, contract_ref: ContractRef, read_only: bool) -> dict[str, object]:
    """What a chain's plugin must know of the log to connect: other people's plugins nothing."""
    if is_evm(contract_ref.chain):
        return {"default_leaves": leaves_folder(log), "read_only": read_only}
    if not is_mock(contract_ref.chain):
        return {}
    where = mock_file(log, contract_ref.contract)
    if not has_chain(where):
        how = "is empty" if where.exists() else "is not there"
        message = f"{where} {how}, and the log has money in escrow on the chain that lived in it"
        raise ChainUnavailable(message, "put it back beside the log, and run again")
    check_writable(where, "a mock chain is opened to be written")
    return {"where": where}


@contextmanager
def blaming(log: Path, contract_ref: ContractRef) -> Iterator[None]:
    """What goes wrong with a mock chain's file is told with that file, and with what to do about it."""
    try:
        yield
    except BadData as error:
        if not is_mock(contract_ref.chain):
            raise
        raise _damaged(error, mock_file(log, contract_ref.contract), contract_ref) from error


def _damaged(error: BadData, where: Path, contract_ref: ContractRef) -> LedgerError:
    """What is wrong with the file of a mock chain: it is another chain's, or damaged."""
    from chains.mock import MockChain

    try:
        with closing(MockChain(where)) as found:
            if contract_of(found) == contract_ref:
                return error
            there = f"the chain {found.name} with the contract {found.contract}"
            message = f"{where} has {there}, not {contract_ref.chain} with {contract_ref.contract}"
            return Usage(message, f"give --chain {found.name}, or put the other chain's file there")
    except LedgerError:
        message = str(error) if str(where) in str(error) else f"{where}: {error}"
        return BadData(message, f"restore {where.name} from a copy")
