"""Usages of requests and charges: a few units, or amounts where the plan's tariff or the balance has an edge."""

from __future__ import annotations

from random import Random

from ledger.amounts import MAX_CREDITS
from ledger.books import Books
from pricing.testing.samples import usages_for


class Usages:
    """Draws usages for accounts. In one of three runs, amounts may be near 2^63."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._samples: dict[tuple[str, int], tuple[list[dict[str, int]], list[str]]] = {}
        self._wild = random.randrange(3) == 0

    def draw(self, books: Books, subscriber: str, plan: str) -> dict[str, int]:
        """Return the usage of a request or charge of that subscriber on that plan."""
        account, random = books.find(subscriber, plan), self._random
        samples, dimensions = self._sampled(books, plan)
        match random.randrange(16):
            case 0:
                return {}
            case 1:
                return random.choice(samples)
            case 2 if self._wild:
                return {random.choice(dimensions): MAX_CREDITS - random.randrange(2)}
            case 3 | 4 | 5 if account is not None:
                return {random.choice(dimensions): max(0, min(account.available, 10**6) + random.randint(-1, 1))}
            case 6:
                return {random.choice(dimensions): random.randint(1, 9), "calls": random.randint(1, 9)}
            case _:
                return {random.choice(dimensions): random.randint(1, 9)}

    def _sampled(self, books: Books, plan: str) -> tuple[list[dict[str, int]], list[str]]:
        """Return usages to test the plan's tariff with, and the dimensions in it; the usual ones where it has none."""
        if plan not in books.plans:
            return [{}], ["tokens"]
        tariff = books.plans[plan].tariff
        key = plan, tariff.version
        if key not in self._samples:
            usual = {name for usage in usages_for({}) for name in usage}
            samples = usages_for(tariff.parameters)
            tried = {name for usage in samples for name in usage}
            self._samples[key] = samples, sorted(tried - usual) or sorted(usual)
        return self._samples[key]
