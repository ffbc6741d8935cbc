"""The protocols of pricing policies: what every policy offers, and what it may."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from ..events import Line

Scope: TypeAlias = Literal["request", "period"]
"""The scope of a policy's total: one request, or one account in one metering period."""


class Price(msgspec.Struct, frozen=True, gc=False):
    """A total in credits (a whole number, 0 or more), and the lines that sum to it."""

    credits: int
    lines: tuple[Line, ...] = ()


class Policy(Protocol):
    """A pricing policy with its parameters: pure, so that a charge can be computed again from the log alone.

    `version` counts the changes of the policy's arithmetic. `parameters` are those it was made with, as JSON holds
    them, and make it again. `monotone` claims that more usage never costs less in total.
    """

    @property
    def version(self) -> int:
        """Version of the policy's arithmetic."""
        ...

    @property
    def scope(self) -> Scope:
        """Scope of `total`: one request, or one account in one metering period."""
        ...

    @property
    def monotone(self) -> bool:
        """True if more usage never costs less in total."""
        ...

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters as plain JSON values."""
        ...

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        """Return the price of all usage in the scope so far. An exception refuses the command (`policy_failed`)."""
        ...


class DerivablePolicy(Policy, Protocol):
    """Optional: a policy whose lines follow from parameters, usage and meter alone.

    Its charges leave the lines out (a plan may ask for them: `record_lines`); `explain` computes them. A policy that
    looks something up, such as a table of unit prices, does not offer it: its lines record what it read.
    """

    def credits_of(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
        """Return the credits of `total`, without its lines. Any exception refuses the command (`policy_failed`)."""
        ...


@runtime_checkable
class ExactPolicy(Protocol):
    """Optional: a policy that knows what its total is before it is rounded, so that the rounding can be shown.

    It is apart from `Policy`, so that `isinstance` checks for this method alone.
    """

    def exact(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Fraction:
        """Return the exact total, which `total` rounds, less than 1 away from it."""
        ...


@runtime_checkable
class ReadingPolicy(Protocol):
    """Optional: a policy that knows which usage no rate of its tariff reads, which is unpriced then.

    It is apart from `Policy`, so that `isinstance` checks for this method alone.
    """

    def reads(self, labels: Mapping[str, str]) -> frozenset[str] | None:
        """Return the dimensions of usage that some rate of the tariff reads for these labels, also at rate 0.

        None: nothing is unpriced, because the price does not depend on dimensions (a price per request), or because the
        tariff charges nothing by intent. No other dimension changes the total. Called at every charge: it must be fast.
        """
        ...


@runtime_checkable
class PeakingPolicy(Protocol):
    """Optional: a policy whose holds cover usage that comes in parts, under a total that may fall.

    It is apart from `Policy`, so that `isinstance` checks for its methods alone.
    """

    @property
    def by_label(self) -> bool:
        """True if labels can change a total."""
        ...

    def peak(self, before: Mapping[str, int], usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
        """Return the largest total, in credits, of any usage from `before` to `before` + `usage`, both included.

        Between them lies every whole number of units, dimension by dimension. If more usage never costs less, it is the
        total of `before` + `usage`.
        """
        ...


@runtime_checkable
class SharingPolicy(PeakingPolicy, Protocol):
    """Optional: a policy about a period whose holds cover usage on a meter that other requests move too.

    Those were admitted under another version of the tariff, and charge their units in between.
    """

    def dearest(
        self, before: Mapping[str, int], usage: Mapping[str, int], among: Mapping[str, int], labels: Mapping[str, str]
    ) -> int:
        """Return the most credits that `usage` can cost while the meter moves from `before` to `before` + `among`.

        `among` is at least `usage`, dimension by dimension; other requests charge its other units. However the
        usage is split, and wherever in that range its parts lie, they add no more to the total; a part that lowers the
        total counts 0. If `usage` is all of `among`, no other request charges, and the result is the peak less the
        total of `before`: a part that lowers the total pays for the next.
        """
        ...


@runtime_checkable
class DecimalFactory(Protocol):
    """Optional: a factory of policies that read prices in credits, also where credits have decimals.

    A price that is text is in credits; one that is a whole number is in the smallest unit, as everywhere. Without this
    method all parameters and totals of a policy are in the smallest unit of the plan's credits.
    """

    def with_decimals(self, parameters: Mapping[str, Any], decimals: int) -> Policy:
        """Return the policy of a plan whose credits have so many decimals: its totals are in the smallest unit.

        `parameters` of the policy are those that were given. Raise ValueError if they are invalid, or if an amount has
        more decimals than the plan.
        """
        ...


PolicyFactory: TypeAlias = Callable[[Mapping[str, Any]], Policy]
"""Makes a policy from its parameters. Raises ValueError if they are invalid."""
