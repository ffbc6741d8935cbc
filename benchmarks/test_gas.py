"""Gas is the same everywhere, so it is compared with its aims and with the table in the documentation."""

import pytest

pytest.importorskip("web3", reason="needs web3: pip install -e '.[evm]'")

from . import gas, pages


@pytest.fixture(scope="module")
def figures() -> list[gas.Figure]:
    return gas.measured()


def test_nothing_costs_more_gas_than_was_aimed_at(figures):
    assert sum(figure.most is not None for figure in figures) == 17
    assert [figure.title for figure in figures if not figure.reached] == []


def test_a_batch_costs_the_same_however_many_accounts_it_is_of(figures):
    alone = [figure.gas for figure in figures if "with 1 receiver, again" in figure.title]
    assert len(alone) == len(gas.SIZES)
    assert max(alone) - min(alone) < 200  # zeros in calldata cost less than other bytes


def test_the_pages_table_is_what_is_measured_here(figures):
    """Hashes differ from run to run only by their zeros: none, since all is derived."""
    table = pages.PAGE.read_text().split("<!-- gas -->\n")[1].split("\n<!-- end of gas -->")[0]
    assert table == gas.markdown(figures)
