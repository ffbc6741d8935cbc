"""The canonical workload: small inside the test run, full with TOLLBOOK_BENCHMARK=full."""

import os

import pytest

from ledger import Charge, CreatePlan, Ledger, Purchase

FULL = os.environ.get("TOLLBOOK_BENCHMARK") == "full"


@pytest.fixture(scope="session")
def size() -> int:
    """Charges in a batch."""
    return 8_192 if FULL else 200


def charge(number: int) -> Charge:
    usage = {"input_tokens": 374 + number % 7, "output_tokens": 44 + number % 5}
    return Charge(subscriber=f"subscriber-{number}", plan="pro", usage=usage)


@pytest.fixture
def shop(tmp_path, size):
    """A ledger in a file with `size` accounts, a clock that stands still, and the charges that come next."""
    ledger = Ledger.open(tmp_path / "shop.db", clock=lambda: 1_700_000_000_000_000, id="benchmark")
    weights = {"weights": {"input_tokens": "1/1000", "output_tokens": "3/1000"}}
    plan = CreatePlan(
        plan="pro", owner="acme", price={"acme": 900}, credits=10**9, policy="complexity", parameters=weights
    )
    ledger.execute(plan).unwrap()
    ledger.execute_many([Purchase(subscriber=f"subscriber-{number}", plan="pro") for number in range(size)])
    yield ledger, [charge(number) for number in range(size)]
    ledger.close()
