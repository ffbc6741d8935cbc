"""How a command reaches the contracts of a log on their chain, and what it says where it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ledger.errors import BadData, ChainUnavailable, LedgerError
from ledger.plugins import Chain

from ..cli.errors import Usage
from .target import check_writable, has_chain, is_evm, is_mock, mock_file, plugin_of


def connect(log: Path, chain: str, contract: str, *, read_only: bool = False) -> Chain:
    """A contract of the log, on the chain of that name; `read_only` needs no operator's key where there are keys.

    Raises ChainUnavailable, Usage for another chain's file, and UnknownPlugin. Where a mock chain is lost that held the
    log's money, no new one is made in its place.
    """
    with blaming(log, chain, contract):
        return plugin_of(chain).connect(chain, contract, **_options(log, chain, contract, read_only))


def leaves_folder(log: Path) -> Path:
    """Where the leaf files of a log's batches are published, unless the settings name another place."""
    return log.with_name(f"{log.name}.leaves")


def _options(log: Path, chain: str, contract: str, read_only: bool) -> dict[str, object]:
    """What a chain's plugin must know of the log to connect: other people's plugins nothing."""
    if is_evm(chain):
        return {"default_leaves": leaves_folder(log), "read_only": read_only}
    if not is_mock(chain):
        return {}
    where = mock_file(log, contract)
    if not has_chain(where):
        how = "is empty" if where.exists() else "is not there"
        message = f"{where} {how}, and the log has money in escrow on the chain that lived in it"
        raise ChainUnavailable(message, "put it back beside the log, and run again")
    check_writable(where, "a mock chain is opened to be written")
    return {"where": where}


@contextmanager
def blaming(log: Path, chain: str, contract: str) -> Iterator[None]:
    """What goes wrong with a mock chain's file is told with that file, and with what to do about it."""
    try:
        yield
    except BadData as error:
        if not is_mock(chain):
            raise
        raise _damaged(error, mock_file(log, contract), chain, contract) from error


def _damaged(error: BadData, where: Path, chain: str, contract: str) -> LedgerError:
    """What is wrong with the file of a mock chain: it is another chain's, or damaged."""
    from chains.mock import MockChain

    try:
        with closing(MockChain(where)) as found:
            if (found.name, found.contract) == (chain, contract):
                return error
            there = f"the chain {found.name} with the contract {found.contract}"
            message = f"{where} has {there}, not {chain} with {contract}"
            return Usage(message, f"give --chain {found.name}, or put the other chain's file there")
    except LedgerError:
        message = str(error) if str(where) in str(error) else f"{where}: {error}"
        return BadData(message, f"restore {where.name} from a copy")
