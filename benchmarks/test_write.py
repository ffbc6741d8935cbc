"""Durable charges in one commit, and the fold of what they wrote. Run `pytest benchmarks --benchmark-enable`; with
TOLLBOOK_BENCHMARK=full at full size. Compare figures of one run only."""

from ledger.folding import refold


def test_a_batch_of_direct_charges(benchmark, shop, size):
    ledger, charges = shop
    answers = benchmark.pedantic(ledger.execute_many, args=(charges,), rounds=3 if benchmark.enabled else 1)
    assert len(answers) == size
    assert all(answers)
    assert ledger.balance("subscriber-0", "pro").spent == (3 if benchmark.enabled else 1)


def test_folding_a_log(benchmark, shop):
    ledger, charges = shop
    ledger.execute_many(charges)
    commits = list(ledger.commits())
    books = benchmark(refold, commits)
    assert books.dump() == ledger.state()
