"""Local chains to test on."""

import pytest
from local_kinds import EVERY_KIND, KINDS

from chains.evm.local import local_chain


@pytest.fixture(params=KINDS)
def chain(request):
    """A new chain of each kind that is installed."""
    with local_chain(request.param) as chain:
        yield chain


@pytest.fixture(params=EVERY_KIND)
def any_chain(request):
    """A new chain of any kind that is installed: for what each kind asserts the same of."""
    with local_chain(request.param) as chain:
        yield chain


@pytest.fixture
def quickest():
    """A new chain of the quickest kind that is installed."""
    with local_chain(KINDS[0]) as chain:
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
