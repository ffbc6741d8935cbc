"""Policies of scope `request`: time, per credit, complexity, cost plus."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from ledger.events import Line
from ledger.plugins import Price, Scope

from .parameters import Amount, BuiltIn, Name, Parameters, Rate, RateByDimension, Ratio
from .rates import Rates, RatesByModel, exact, explained, rounded_up


class TimeParameters(Parameters):
    """Parameters of `time`: `credits_per_second` may be a fraction; 0, the default, is for plans that sell only
    access."""

    credits_per_second: Rate = Field(
        default=Fraction(0),
        description="Credits for each unit of `seconds`. Leave it out where a plan sells only access.",
    )


class Time(BuiltIn[TimeParameters]):
    """Credits by the second: `seconds` × credits_per_second, rounded up once for each request."""

    name = "time"
    example = "time:credits_per_second=1/60"
    scope: Scope = "request"
    accepts = TimeParameters

    def __init__(self, parameters: Mapping[str, Any], decimals: int = 0) -> None:
        super().__init__(parameters, decimals)
        self._rates = Rates({"seconds": self.given.credits_per_second}, self.smallest)
        self._reads = self._rates.dimensions if self.given.credits_per_second else None

    def reads(self, labels: Mapping[str, str]) -> frozenset[str] | None:
        """Return `seconds`; None without a rate, since the plan sells only access."""
        return self._reads

    def credits_of(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
        """Return the credits of the request's seconds."""
        return rounded_up(self._rates.total(usage), self._rates.denominator)

    def exact(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Fraction:
        """Return the price of the request's seconds before it is rounded."""
        return Fraction(self._rates.total(usage), self._rates.denominator)

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        """Return the price of the request's seconds, with its lines."""
        rates = self._rates
        return explained(self.credits_of(usage, labels), rates.total(usage), rates.denominator, rates.lines(usage))


class PerCreditParameters(Parameters):
    """Parameters of `per_credit`: `credits` for each request, or for each of its `calls`."""

    credits: Amount = Field(default=Fraction(1), description="Credits for each request, or for each call.")
    per: Literal["request", "call"] = Field(
        default="request", description='"request": for a request with any usage. "call": for each unit of `calls`.'
    )


class PerCredit(BuiltIn[PerCreditParameters]):
    """A fixed number of credits for a request with any usage, or for each of its `calls`."""

    name = "per_credit"
    example = "per_credit:credits=2,per=call"
    scope: Scope = "request"
    accepts = PerCreditParameters

    def __init__(self, parameters: Mapping[str, Any], decimals: int = 0) -> None:
        super().__init__(parameters, decimals)
        self._credits = self.in_smallest("credits", self.given.credits)
        self._reads = None if self.given.per == "request" else frozenset({"calls"})

    def reads(self, labels: Mapping[str, str]) -> frozenset[str] | None:
        """Return `calls`; None if the price is for the request with any usage."""
        return self._reads

    def credits_of(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
        """Return the credits of the request, or of its calls."""
        return self._credits * (1 if self.given.per == "request" else usage.get("calls", 0))

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        """Return the price of the request, or of its calls, with its line."""
        rate = self._credits
        if self.given.per == "request":
            return Price(rate, (Line(text="request", units=1, rate=str(rate), credits=str(rate)),))
        calls = usage.get("calls", 0)
        line = Line(dimension="calls", units=calls, rate=str(rate), credits=str(calls * rate))
        return Price(calls * rate, (line,) if calls else ())


class _ByModel(Parameters):
    models: dict[Name, RateByDimension] = Field(
        default={},
        description="Rates by model (label `model`) and dimension, which override the general ones: "
        '`{"large": {"input_tokens": "2"}}`.',
    )

    @field_validator("models")
    @classmethod
    def _without_empty_models(cls, models: dict[str, RateByDimension]) -> dict[str, RateByDimension]:
        """Drop models that override nothing, so that equal policies have equal parameters."""
        return {model: rates for model, rates in models.items() if rates}


class ComplexityParameters(_ByModel):
    """Parameters of `complexity`: `weights` and `models` in credits a unit; `minimum` and `maximum` in credits a
    request."""

    weights: RateByDimension = Field(
        default={}, description='Credits a unit, by dimension: `{"input_tokens": "3.00 per million"}`.'
    )
    minimum: Amount = Field(default=Fraction(0), description="Credits that a request costs at least.")
    maximum: Amount | None = Field(default=None, description="Credits that a request costs at most. None: no bound.")

    @model_validator(mode="after")
    def _ordered(self) -> ComplexityParameters:
        if self.maximum is not None and self.maximum < self.minimum:
            raise ValueError(f"maximum: {self.maximum} is less than the minimum, {self.minimum}")
        if not (self.weights or self.models or self.minimum):
            raise ValueError("every request would be free: give `weights`, `models` or a `minimum`")
        return self


class Complexity(BuiltIn[ComplexityParameters]):
    """Weighted usage: Σ units × weight, rounded up once for each request, from `minimum` to `maximum` credits.

    The weights of the request's model override the general ones dimension by dimension.
    """

    name = "complexity"
    example = "complexity:weights.input_tokens=1/100,weights.output_tokens=3/100"
    scope: Scope = "request"
    accepts = ComplexityParameters

    def __init__(self, parameters: Mapping[str, Any], decimals: int = 0) -> None:
        super().__init__(parameters, decimals)
        self._rates = RatesByModel(self.given.weights, self.given.models, self.smallest)
        maximum = self.given.maximum
        self._minimum = self.in_smallest("minimum", self.given.minimum)
        self._maximum = None if maximum is None else self.in_smallest("maximum", maximum)
        self.by_label = self._rates.by_model
        no_rates = not self.given.weights and not self.given.models
        self._flat = self._minimum == self._maximum or (no_rates and self._minimum > 0)

    def reads(self, labels: Mapping[str, str]) -> frozenset[str] | None:
        """Return the dimensions with a weight for the request's model; None if the price is a flat fee for the request:
        minimum and maximum are equal, or there is a minimum and no weight for any model."""
        return None if self._flat else self._rates.of(labels).dimensions

    def credits_of(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
        """Return the credits of the request's usage at its model's weights; empty usage costs the minimum."""
        rates = self._rates.of(labels)
        credits = max(rounded_up(rates.total(usage), rates.denominator), self._minimum)
        return credits if self._maximum is None else min(credits, self._maximum)

    def exact(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Fraction:
        """Return the price of the request's usage, within minimum and maximum, before it is rounded."""
        rates = self._rates.of(labels)
        price = max(Fraction(rates.total(usage), rates.denominator), Fraction(self._minimum))
        return price if self._maximum is None else min(price, Fraction(self._maximum))

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        """Return the price of the request's usage at its model's weights, with its lines."""
        rates = self._rates.of(labels)
        return explained(self.credits_of(usage, labels), rates.total(usage), rates.denominator, rates.lines(usage))


class CostPlusParameters(_ByModel):
    """Parameters of `cost_plus`: `costs` and `models` in credits a unit; `margin` is a part of the cost: 1/5 adds a
    fifth."""

    costs: RateByDimension = Field(default={}, description="Cost of a unit in credits, by dimension.")
    margin: Ratio = Field(description='Part of the cost that is added: `"0.2"` or `"1/5"` adds 20 percent.')

    @model_validator(mode="after")
    def _priced(self) -> CostPlusParameters:
        if not (self.costs or self.models):
            raise ValueError("every request would be free: give `costs` or `models`")
        return self


class CostPlus(BuiltIn[CostPlusParameters]):
    """Cost of the usage with a margin: Σ units × cost × (1 + margin), rounded up once for each request.

    The costs of the request's model override the general ones dimension by dimension.
    """

    name = "cost_plus"
    example = "cost_plus:costs.input_tokens=1/1000,margin=1/5"
    scope: Scope = "request"
    accepts = CostPlusParameters

    def __init__(self, parameters: Mapping[str, Any], decimals: int = 0) -> None:
        super().__init__(parameters, decimals)
        self._rates = RatesByModel(self.given.costs, self.given.models, self.smallest)
        self.by_label = self._rates.by_model

    def reads(self, labels: Mapping[str, str]) -> frozenset[str] | None:
        """Return the dimensions with a cost for the request's model."""
        return self._rates.of(labels).dimensions

    def credits_of(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
        """Return the credits of the request's usage at its model's costs, with the margin."""
        rates, margin = self._rates.of(labels), self.given.margin
        marked_up = rates.total(usage) * (margin.denominator + margin.numerator)
        return rounded_up(marked_up, rates.denominator * margin.denominator)

    def exact(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Fraction:
        """Return the cost of the request's usage with the margin, before it is rounded."""
        rates = self._rates.of(labels)
        return Fraction(rates.total(usage), rates.denominator) * (1 + self.given.margin)

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        """Return the price of the request's usage at its model's costs, with the margin and its lines."""
        rates, margin = self._rates.of(labels), self.given.margin
        cost, lines = rates.total(usage), rates.lines(usage)
        denominator = rates.denominator * margin.denominator
        added = cost * margin.numerator
        if added:
            lines.append(Line(text=f"margin of {margin}", credits=exact(added, denominator)))
        return explained(self.credits_of(usage, labels), cost * margin.denominator + added, denominator, lines)
