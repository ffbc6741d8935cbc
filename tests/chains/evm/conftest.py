"""Local chains to test on. Those that need anvil are skipped, and say what to install, where it is missing."""

import pytest

from chains.evm.local import LocalChain, local_chain
from chains.evm.local.anvil import INSTALL, find_anvil


def started(kind: str, **options) -> LocalChain:
    if kind == "anvil" and find_anvil() is None:
        pytest.skip(f"needs anvil: {INSTALL}")
    return local_chain(kind, **options)


@pytest.fixture(params=["anvil", "eth-tester"])
def chain(request):
    """A new chain of each kind."""
    with started(request.param) as chain:
        yield chain


@pytest.fixture
def anvil():
    """A new anvil, for what only it can do."""
    with started("anvil") as chain:
        yield chain


@pytest.fixture
def shops(tmp_path):
    """Makes shops on chains of their own: anvil where it is installed, else eth-tester."""
    from evm_shop import Shop

    made = []

    def shop(**options) -> Shop:
        folder = tmp_path / f"shop {len(made)}"
        folder.mkdir()
        made.append(Shop(folder, **options))
        return made[-1]

    yield shop
    for each in made:
        each.close()


@pytest.fixture
def shop(shops):
    """A shop where alice has bought."""
    return shops()
