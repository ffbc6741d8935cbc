"""Policies of scope `period`, priced on an account's meter of one period: graduated, volume, package."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from pydantic import Field, field_validator

from ledger.errors import BadData
from ledger.events import Line
from ledger.plugins import Price, Scope

from .notation import tiers as read_tiers
from .parameters import Amount, BuiltIn, Name, Parameters, Positive, Rate, Whole
from .rates import common, exact, explained, rounded_up

_FORM = '`[{"up_to": 100, "unit": "3"}, {"up_to": None, "unit": "1"}]`, or as text `"100@3/inf@1"`'


class Tier(Parameters):
    """Units up to and including the `up_to`-th (None: no bound), at `unit` credits each, and `flat` credits once."""

    up_to: Positive | None = Field(description="Last unit of the tier. None: no bound, in the last tier alone.")
    unit: Rate = Field(description="Credits for each unit.")
    flat: Amount = Field(default=Fraction(0), description="Credits once in a period, in addition to the units.")


class TieredParameters(Parameters):
    """Parameters of tiered policies. The bounds of `tiers` rise strictly; the last tier has none.

    `tiers` may be text as on the command line, UPTO@UNIT+FLAT separated by slashes, the flat fee optional.
    """

    dimension: Name = Field(description="Dimension of the usage that is counted.")
    tiers: tuple[Tier, ...] = Field(description=f"Tiers with rising bounds, the last without one: {_FORM}.")

    @field_validator("tiers", mode="before")
    @classmethod
    def _written(cls, given: object) -> object:
        """Read tiers that are text."""
        if isinstance(given, str):
            try:
                return read_tiers(given)
            except BadData as error:
                raise ValueError(f"{error}; {error.hint}") from error
        if not isinstance(given, list | tuple) or not all(isinstance(each, dict | Tier) for each in given):
            raise ValueError(f"write {_FORM}")
        return given

    @field_validator("tiers")
    @classmethod
    def _rising(cls, tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
        bounds = [tier.up_to for tier in tiers]
        if not bounds or bounds[-1] is not None or None in bounds[:-1]:
            raise ValueError("the last tier, and only the last, must have no bound (up_to null, or inf)")
        if any(low >= high for low, high in pairwise(_bounds(tiers))):
            raise ValueError(f"the bounds must rise from tier to tier: {bounds[:-1]}")
        return tiers


def _bounds(tiers: Sequence[Tier]) -> list[int]:
    return [tier.up_to for tier in tiers if tier.up_to is not None]


class _Tiered(BuiltIn[TieredParameters]):
    scope: Scope = "period"
    accepts = TieredParameters

    def __init__(self, parameters: Mapping[str, Any], decimals: int = 0) -> None:
        super().__init__(parameters, decimals)
        self._tiers = self.given.tiers
        self._bounds = _bounds(self._tiers)
        self._units = [tier.unit * self.smallest for tier in self._tiers]
        self._flats = [self.in_smallest(f"tiers.{index}.flat", tier.flat) for index, tier in enumerate(self._tiers)]
        self._denominator, self._numerators = common(self._units)
        self._reads = frozenset({self.given.dimension})

    def reads(self, labels: Mapping[str, str]) -> frozenset[str] | None:
        """Return the one dimension that is counted."""
        return self._reads

    def _reached(self, units: int) -> int:
        """Return the index of the tier in which the last of `units` falls; 0 for no units."""
        return bisect_left(self._bounds, units)

    def _parts(self, units: int) -> list[tuple[int, int]]:
        """Return pairs of a tier's index and the units that it prices."""
        raise NotImplementedError

    def _exact(self, units: int) -> int:
        """Return the exact price of all units with the flat fees, as a numerator."""
        return sum(
            part * self._numerators[index] + self._flats[index] * self._denominator
            for index, part in self._parts(units)
        )

    def _lines(self, units: int) -> Iterator[Line]:
        dimension = self.given.dimension
        for index, part in self._parts(units):
            credits = exact(part * self._numerators[index], self._denominator)
            if part:
                yield Line(dimension=dimension, units=part, rate=str(self._units[index]), credits=credits)
            if flat := self._flats[index]:
                yield Line(text=f"flat fee of tier {index + 1}", credits=str(flat))

    def _at(self, units: int) -> int:
        """Return the total of that many units in credits."""
        return rounded_up(self._exact(units), self._denominator)

    def _steps(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield what the units from `start` to `end` each add to the total, as pairs (credits, number of units that add
        so many)."""
        at = start
        while at < end:
            rest = self._bounds[self._reached(at) :]
            # The first unit of a tier adds its flat fee, or its price for all units. Every other unit adds the exact
            # unit price; as the total is rounded up, that is the whole number of credits just below or above it.
            stop = min([at + 1] if rest[:1] == [at] else [end, *rest[:1]])
            low, dearer = divmod(self._at(stop) - self._at(at), stop - at)
            yield low, stop - at - dearer
            yield low + 1, dearer
            at = stop

    def dearest(
        self, before: Mapping[str, int], usage: Mapping[str, int], among: Mapping[str, int], labels: Mapping[str, str]
    ) -> int:
        """Return the most that `usage` adds to the total anywhere between `before` and `before` + `among`.

        The bound is exact. A part adds no more than its units do one by one, so the dearest units are the worst case.
        """
        dimension = self.given.dimension
        start, left, room = before.get(dimension, 0), usage.get(dimension, 0), among.get(dimension, 0)
        if left >= room:  # no other usage on the meter
            return self.peak(before, usage, labels) - self._at(start)
        credits = 0
        for rise, units in sorted(self._steps(start, start + room), reverse=True):
            taken = min(units, left) if rise > 0 else 0
            credits, left = credits + taken * rise, left - taken
        return credits

    def credits_of(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
        """Return the credits of the period's units so far."""
        return self._at(usage.get(self.given.dimension, 0))

    def exact(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Fraction:
        """Return the price of the period's units so far, before it is rounded."""
        return Fraction(self._exact(usage.get(self.given.dimension, 0)), self._denominator)

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        """Return the price of the period's units so far, with its lines."""
        units = usage.get(self.given.dimension, 0)
        lines = list(self._lines(units))
        return explained(self.credits_of(usage, labels), self._exact(units), self._denominator, lines)


class Graduated(_Tiered):
    """Each unit at the price of the tier it falls in, and the flat fee of every tier that is reached.

    The first tier is reached by the period's first charge, even without units: an empty usage costs its flat fee. The
    exact sum is rounded up once.
    """

    name = "graduated"
    example = "graduated:dimension=calls,tiers=100@3/1000@2/inf@1"

    def _parts(self, units: int) -> list[tuple[int, int]]:
        reached = self._reached(units)
        steps = [0, *self._bounds[:reached], units]
        return [(index, steps[index + 1] - steps[index]) for index in range(reached + 1)]


class Volume(_Tiered):
    """All units at the price of the one tier that their number falls in, with its flat fee, rounded up once.

    If the next tier is cheaper, one more unit may lower the total; such a policy is not monotone.
    """

    name = "volume"
    example = "volume:dimension=calls,tiers=100@3/1000@2/inf@1"

    def __init__(self, parameters: Mapping[str, Any], decimals: int = 0) -> None:
        super().__init__(parameters, decimals)
        # Within a tier the total never falls, so only the step over a bound can lower it.
        self._tops = [self._at(bound) for bound in self._bounds]
        self.monotone = all(top <= self._at(bound + 1) for top, bound in zip(self._tops, self._bounds, strict=True))

    def peak(self, before: Mapping[str, int], usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
        """Return the largest total from `before` to `before` + `usage`: at the end, or at a bound on the way, before
        the step to the next tier."""
        start = before.get(self.given.dimension, 0)
        end = start + usage.get(self.given.dimension, 0)
        passed = slice(bisect_left(self._bounds, start), bisect_left(self._bounds, end))
        return max([self._at(end), *self._tops[passed]])

    def _parts(self, units: int) -> list[tuple[int, int]]:
        return [(self._reached(units), units)]


class PackageParameters(Parameters):
    """Parameters of `package`: `size` and `free` in units of `dimension`, `credits` for each package."""

    dimension: Name = Field(description="Dimension of the usage that is counted.")
    size: Positive = Field(description="Units of one package.")
    credits: Amount = Field(description="Credits for one package.")
    free: Whole = Field(default=0, description="Units of each period that cost nothing.")


class Package(BuiltIn[PackageParameters]):
    """Whole packages: ⌈max(0, units − free) / size⌉ × credits. A begun package is paid in full."""

    name = "package"
    example = "package:dimension=calls,size=10,credits=25,free=5"
    scope: Scope = "period"
    accepts = PackageParameters

    def __init__(self, parameters: Mapping[str, Any], decimals: int = 0) -> None:
        super().__init__(parameters, decimals)
        self._credits = self.in_smallest("credits", self.given.credits)
        self._reads = frozenset({self.given.dimension})

    def reads(self, labels: Mapping[str, str]) -> frozenset[str] | None:
        """Return the one dimension that is counted."""
        return self._reads

    def _begun(self, units: int) -> int:
        """Return the number of packages that so many units begin."""
        return -(-max(0, units - self.given.free) // self.given.size)

    def dearest(
        self, before: Mapping[str, int], usage: Mapping[str, int], among: Mapping[str, int], labels: Mapping[str, str]
    ) -> int:
        """Return the most that `usage` adds to the total anywhere between `before` and `before` + `among`.

        The bound is exact. At worst each unit begins a package, as long as packages are begun in that range.
        """
        dimension = self.given.dimension
        start, units = before.get(dimension, 0), usage.get(dimension, 0)
        begun = self._begun(start + max(units, among.get(dimension, 0))) - self._begun(start)
        return min(units, begun) * self._credits

    def credits_of(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
        """Return the credits of the period's units so far."""
        return self._begun(usage.get(self.given.dimension, 0)) * self._credits

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        """Return the price of the period's units so far, with its lines."""
        dimension, size, credits = self.given.dimension, self.given.size, self._credits
        units = usage.get(dimension, 0)
        free = min(units, self.given.free)
        paid = units - free
        price = self.credits_of(usage, labels)
        lines = [Line(text="free", dimension=dimension, units=free)] if free else []
        if paid:
            part = exact(paid * credits, size)
            lines.append(Line(dimension=dimension, units=paid, rate=exact(credits, size), credits=part))
        if unfilled := price * size - paid * credits:
            lines.append(Line(text="rounded up", credits=exact(unfilled, size)))
        return Price(price, tuple(lines))
