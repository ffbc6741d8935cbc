"""Policies about one request. The numbers of each example are worked by hand beside it."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.rating import marginal
from pricing import Complexity, CostPlus, PerCredit, Price, Time

pytestmark = pytest.mark.smoke


def rows(price: Price) -> list[tuple[str, int, str, str]]:
    """A price's lines: what, how many, at what rate, and what they come to."""
    return [(line.text or str(line.dimension), line.units, line.rate, line.credits) for line in price.lines]


@pytest.mark.parametrize(
    ("seconds", "credits"),
    [(0, 0), (1, 1), (59, 1), (60, 1), (61, 2), (120, 2), (10**12, 16_666_666_667)],
)
def test_time_at_a_credit_a_minute_rounds_up_to_the_next_credit(seconds: int, credits: int) -> None:
    assert Time({"credits_per_second": "1/60"}).total({"seconds": seconds}, {}).credits == credits


def test_time_shows_its_rounding() -> None:
    """90 s at 1/60 are 3/2 credits; 1/2 makes 2 of them."""
    price = Time({"credits_per_second": "1/60"}).total({"seconds": 90}, {})
    assert rows(price) == [("seconds", 90, "1/60", "3/2"), ("rounded up", 0, "0", "1/2")]


def test_time_is_free_unless_it_is_given_a_rate() -> None:
    assert Time({}).total({"seconds": 86_400}, {}).credits == 0


def test_per_credit_costs_the_same_whatever_is_used() -> None:
    policy = PerCredit({"credits": 3})
    assert policy.total({}, {}).credits == policy.total({"calls": 7, "seconds": 100}, {}).credits == 3


def test_per_credit_is_one_credit_a_request_unless_it_is_told_otherwise() -> None:
    assert rows(PerCredit({}).total({}, {})) == [("request", 1, "1", "1")]


def test_per_credit_may_count_calls() -> None:
    """7 calls at 3."""
    policy = PerCredit({"credits": 3, "per": "call"})
    assert rows(policy.total({"calls": 7, "seconds": 100}, {})) == [("calls", 7, "3", "21")]
    assert policy.total({}, {}) == Price(0)


def test_a_request_in_three_parts_is_still_one_request() -> None:
    """The first part takes the whole price, the others nothing."""
    policy = PerCredit({"credits": 3})
    befores = (None, {"calls": 1}, {"calls": 2})
    assert [marginal(policy, before, {"calls": 1}, {})[0] for before in befores] == [3, 0, 0]


TOKENS = {"input_tokens": "3/1000", "output_tokens": "15/1000"}


def test_complexity_adds_exact_fractions_and_rounds_once() -> None:
    """1234 × 3/1000 = 3.702 and 567 × 15/1000 = 8.505 are 12.207: 13. Rounding each unit would come to 1801."""
    price = Complexity({"weights": TOKENS}).total({"input_tokens": 1234, "output_tokens": 567}, {})
    assert price.credits == 13
    assert rows(price) == [
        ("input_tokens", 1234, "3/1000", "1851/500"),
        ("output_tokens", 567, "3/200", "1701/200"),
        ("rounded up", 0, "0", "793/1000"),
    ]


def test_rounding_once_can_cost_less_than_rounding_each_dimension() -> None:
    """1/2 + 1/2 is 1; rounded up each by itself it were 2."""
    policy = Complexity({"weights": {"input_tokens": "1/2", "output_tokens": "1/2"}})
    assert policy.total({"input_tokens": 1, "output_tokens": 1}, {}).credits == 1


@pytest.mark.parametrize(
    ("tokens", "credits", "last"),
    [
        (0, 5, ("minimum", 0, "0", "5")),
        (1_000, 5, ("minimum", 0, "0", "2")),
        (5_000, 15, ("input_tokens", 5_000, "3/1000", "15")),
        (10_000, 20, ("maximum", 0, "0", "-10")),
    ],
)
def test_complexity_stays_between_minimum_and_maximum(tokens: int, credits: int, last: tuple[object, ...]) -> None:
    policy = Complexity({"weights": {"input_tokens": "3/1000"}, "minimum": 5, "maximum": 20})
    price = policy.total({"input_tokens": tokens}, {})
    assert (price.credits, rows(price)[-1]) == (credits, last)


def test_a_minimum_counts_once_however_many_parts_there_are() -> None:
    """1000 tokens come to 3, below the minimum of 5; after 2000 they come to 6, so the second part costs 1."""
    policy = Complexity({"weights": {"input_tokens": "3/1000"}, "minimum": 5})
    assert marginal(policy, None, {"input_tokens": 1000}, {})[0] == 5
    assert marginal(policy, {"input_tokens": 1000}, {"input_tokens": 1000}, {})[0] == 1


@pytest.mark.parametrize(("model", "credits"), [("large", 100 * 2 + 10 * 5), ("small", 110), (None, 110), ("?", 110)])
def test_a_models_weights_override_the_general_ones_dimension_by_dimension(model: str | None, credits: int) -> None:
    """`large` says 2 for input and takes the general 5 for output; all others take 6/10 and 5."""
    policy = Complexity(
        {"weights": {"input_tokens": "6/10", "output_tokens": 5}, "models": {"large": {"input_tokens": 2}}}
    )
    labels = {"model": model} if model else {}
    assert policy.total({"input_tokens": 100, "output_tokens": 10}, labels).credits == credits


def test_a_dimension_without_a_weight_is_free_and_has_no_line() -> None:
    price = Complexity({"weights": {"seconds": 2}}).total({"seconds": 3, "calls": 9}, {})
    assert rows(price) == [("seconds", 3, "2", "6")]


def test_the_order_of_a_usage_shows_nowhere() -> None:
    policy = Complexity({"weights": TOKENS})
    usage = {"output_tokens": 7, "input_tokens": 5}
    assert policy.total(usage, {}) == policy.total(dict(reversed(usage.items())), {})


def test_cost_plus_puts_the_margin_on_the_exact_cost() -> None:
    """1000 × 7/1000 = 7 and a fifth of it, 7/5, are 8.4: 9. A margin on a cost of whole credits would be the same here,
    but not for 100 tokens: 7/10 + 7/50 = 21/25: 1, where a rounded cost of 1 would come to 2."""
    policy = CostPlus({"costs": {"input_tokens": "7/1000"}, "margin": "1/5"})
    assert rows(policy.total({"input_tokens": 1000}, {})) == [
        ("input_tokens", 1000, "7/1000", "7"),
        ("margin of 1/5", 0, "0", "7/5"),
        ("rounded up", 0, "0", "3/5"),
    ]
    assert policy.total({"input_tokens": 100}, {}).credits == 1


def test_cost_plus_knows_models_and_may_have_no_margin() -> None:
    """10 at the general 2 are 20; at the model's 3 they are 30."""
    policy = CostPlus({"costs": {"calls": 2}, "models": {"large": {"calls": 3}}, "margin": 0})
    totals = [policy.total({"calls": 10}, labels).credits for labels in ({}, {"model": "large"})]
    assert totals == [20, 30]


weights = st.fractions(min_value=0, max_value=1000, max_denominator=10**6)
units = st.integers(0, 10**12)


@given(st.dictionaries(st.sampled_from("abcd"), weights, min_size=1), st.dictionaries(st.sampled_from("abcde"), units))
def test_complexity_is_the_exact_sum_rounded_up(given_weights: dict[str, Fraction], usage: dict[str, int]) -> None:
    price = Complexity({"weights": {name: str(weight) for name, weight in given_weights.items()}}).total(usage, {})
    exact = sum((weight * usage.get(name, 0) for name, weight in given_weights.items()), Fraction(0))
    assert 0 <= price.credits - exact < 1
    assert sum((Fraction(line.credits) for line in price.lines), Fraction(0)) == price.credits


BY_MODEL = {"weights": {"input_tokens": 1, "seconds": 0}, "models": {"large": {"output_tokens": 2}}}


@pytest.mark.parametrize(
    ("policy", "model", "dimensions"),
    [
        (Time({"credits_per_second": "1/60"}), None, {"seconds"}),
        (Time({}), None, None),  # the plan sells access alone
        (PerCredit({}), None, None),  # whatever is used
        (PerCredit({"per": "call"}), None, {"calls"}),
        (PerCredit({"per": "call", "credits": 0}), None, {"calls"}),
        (Complexity(BY_MODEL), None, {"input_tokens", "seconds"}),  # a rate of 0 is a rate
        (Complexity(BY_MODEL), "large", {"input_tokens", "seconds", "output_tokens"}),
        (Complexity(BY_MODEL), "larg", {"input_tokens", "seconds"}),
        (Complexity({"models": {"large": {"calls": 1}}}), "larg", set()),
        (Complexity({"models": {"large": {"calls": 1}}, "minimum": 5}), "larg", set()),  # a minimum is no rate
        (Complexity({"minimum": 5}), None, None),  # but where it is all there is, it is the price of a request
        (Complexity({"weights": {"calls": 1}, "minimum": 5, "maximum": 5}), None, None),
        (CostPlus({"costs": {"seconds": 0}, "models": {"large": {"calls": 2}}, "margin": 0}), None, {"seconds"}),
        (
            CostPlus({"costs": {"seconds": 0}, "models": {"large": {"calls": 2}}, "margin": 0}),
            "large",
            {"seconds", "calls"},
        ),
    ],
)
def test_a_policy_says_which_dimensions_it_has_a_rate_for(
    policy: Time | PerCredit | Complexity | CostPlus, model: str | None, dimensions: set[str] | None
) -> None:
    assert policy.reads({"model": model} if model else {}) == dimensions


def test_labels_count_only_where_a_model_has_rates_of_its_own() -> None:
    assert Complexity(BY_MODEL).by_label
    assert CostPlus({"models": {"large": {"calls": 3}}, "margin": 0}).by_label
    assert not Complexity({"weights": {"calls": 1}, "models": {"large": {}}}).by_label
    assert not any(
        policy.by_label
        for policy in (
            Time({}),
            PerCredit({}),
            Complexity({"minimum": 1}),
            CostPlus({"costs": {"calls": 1}, "margin": 0}),
        )
    )


def test_the_peak_of_a_request_is_its_price_at_the_end() -> None:
    """Two parts of 1000 tokens: 6, also where the first was already charged with the minimum of 5."""
    policy = Complexity({"weights": {"input_tokens": "3/1000"}, "minimum": 5})
    assert policy.peak({}, {"input_tokens": 2000}, {}) == 6
    assert policy.peak({"input_tokens": 1000}, {"input_tokens": 1000}, {}) == 6
    assert policy.peak({}, {}, {}) == 5
