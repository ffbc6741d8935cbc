"""Programmers' errors raise at the call, before anything is queued, with the full name of the field at fault."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NoReturn

import pytest
from msgspec import inspect
from small_ledger import BUY, PRO

from ledger import AsyncLedger, Charge, CreatePlan, Give, Ledger, Limits, Purchase, RateLimit, RegisterAgent, Withdraw
from ledger.commands import COMMAND_TYPES, Command, admit
from ledger.commands.faults import _faults
from ledger.errors import LedgerError, WrongType, WrongValue
from ledger.events import CreditsLimit, EscrowFunding, Fact

ANN: dict[str, Any] = {"subscriber": "ann", "plan": "pro"}
BOB: dict[str, Any] = {"plan": "pro", "owner": "bob"}


class Whole:
    """A whole number of another library."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value

    def __eq__(self, other: object) -> bool:
        return self.value == other

    def __hash__(self) -> int:
        return hash(self.value)


class Text(str):
    """Text of another library."""

    __slots__ = ()


def charging(**usage: Any) -> Charge:
    return Charge(**ANN, usage=usage)


FAULTS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: charging(tokens=1.5), TypeError, 'usage["tokens"]: a whole number is needed, 1.5 is a float'),
    (lambda: charging(tokens=1.0), TypeError, 'usage["tokens"]: a whole number is needed, 1.0 is a float'),
    (lambda: charging(tokens=True), TypeError, 'usage["tokens"]: a whole number is needed, True is a bool'),
    (
        lambda: charging(tokens=Decimal(1)),
        TypeError,
        """usage["tokens"]: a whole number is needed, Decimal('1') is a Decimal""",
    ),
    (lambda: charging(tokens=None), TypeError, 'usage["tokens"]: a whole number is needed, not None'),
    (lambda: charging(tokens=-1), ValueError, 'usage["tokens"]: -1 is below 0'),
    (lambda: Charge(**ANN, usage={1: 5, "1": 7}), TypeError, "usage: text as a key is needed, 1 is an int"),
    (lambda: Charge(**ANN, usage={"": 1}), ValueError, 'the key "" of usage: empty text is not allowed'),
    (lambda: Charge(**ANN, usage=7), TypeError, "usage: a dict is needed, 7 is an int"),
    (lambda: Give(**ANN, credits=2**63), ValueError, "credits: 9223372036854775808 is above 9223372036854775807"),
    (lambda: Give(**ANN, credits=10**5000), ValueError, "credits: a very large int is above 9223372036854775807"),
    (lambda: Withdraw(**ANN, credits=float("nan")), TypeError, "credits: a whole number is needed, nan is a float"),
    (lambda: Purchase(**ANN, start="2024"), TypeError, "start: a whole number is needed, '2024' is a str"),
    (lambda: Purchase(**ANN, funding="cash"), ValueError, "funding: 'cash' is none of 'direct', 'none'"),
    (
        lambda: Purchase(**ANN, funding=Fact("a", "b", "c")),
        TypeError,
        "funding: `EscrowFunding(…)` is needed, Fact(chain='a', contract='b', id='c') is a Fact",
    ),
    (
        lambda: Purchase(**ANN, funding=EscrowFunding(5)),  # type: ignore[arg-type]
        TypeError,
        "funding.escrow: `Escrow(…)` is needed, 5 is an int",
    ),
    (lambda: Give(subscriber=b"ann", plan="pro"), TypeError, "subscriber: text is needed, b'ann' is a bytes"),
    (lambda: Give(subscriber=None, plan="pro"), TypeError, "subscriber: text is needed, not None"),
    (lambda: Give(subscriber="", plan="pro"), ValueError, "subscriber: empty text is not allowed"),
    (
        lambda: Give(subscriber="x" * 513, plan="pro"),
        ValueError,
        "subscriber: at most 512 characters are allowed, these are 513",
    ),
    (
        lambda: Give(subscriber="a\ud800", plan="pro"),
        ValueError,
        r"subscriber: 'a\ud800' has a lone surrogate, which is no character",
    ),
    (
        lambda: CreatePlan(**BOB, price={"acme": 9.5}),
        TypeError,
        'price["acme"]: a whole number is needed, 9.5 is a float',
    ),
    (
        lambda: CreatePlan(**BOB, limits=Limits(rate=RateLimit("5", 1))),  # type: ignore[arg-type]
        TypeError,
        "limits.rate.requests: a whole number is needed, '5' is a str",
    ),
    (
        lambda: CreatePlan(**BOB, limits=Limits(rate=RateLimit(Whole(0), 1))),  # type: ignore[arg-type]
        ValueError,
        "limits.rate: a rate limit is at least 1 request in 1 second",
    ),
    (lambda: CreatePlan(**BOB, trial=1), TypeError, "trial: True or False is needed, 1 is an int"),
    (
        lambda: CreatePlan(**BOB, parameters={"a": [1, {"b": b"x"}]}),
        TypeError,
        """parameters["a"][1]["b"]: b'x' is a bytes, which JSON cannot hold without change""",
    ),
    (
        lambda: RegisterAgent(agent="bot", owner="bob", metadata={"a": float("inf")}),
        TypeError,
        'metadata["a"]: inf is a float, which JSON cannot hold without change',
    ),
    (
        lambda: RegisterAgent(agent="bot", owner="bob", plans="pro"),
        TypeError,
        "plans: a tuple is needed, 'pro' is a str",
    ),
    (
        lambda: RegisterAgent(agent="bot", owner="bob", plans=("a", 3)),  # type: ignore[arg-type]
        TypeError,
        "plans[1]: text is needed, 3 is an int",
    ),
    (lambda: "buy", TypeError, "a command is needed, 'buy' is a str"),
]


@pytest.fixture
def ledger() -> Any:
    with Ledger.open() as ledger:
        ledger.execute_many([PRO, BUY])
        yield ledger


@pytest.mark.parametrize(("make", "kind", "message"), FAULTS, ids=[message for *_, message in FAULTS])
def test_a_fault_is_told_with_the_fields_full_name(
    ledger: Ledger, make: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    head = ledger.head
    with pytest.raises(kind) as caught:
        ledger.execute(make())
    assert str(caught.value) == message
    assert isinstance(caught.value, LedgerError)
    assert ledger.head == head


def test_after_one_bad_command_nothing_of_a_list_is_done(ledger: Ledger) -> None:
    head = ledger.head
    with pytest.raises(WrongType, match=r'^commands\[2\]: usage\["tokens"\]: '):
        ledger.execute_many([BUY, BUY, charging(tokens=1.5), BUY])
    assert ledger.head == head


@pytest.mark.parametrize("given", [BUY, None, 3])
def test_one_command_where_several_belong_is_told_what_takes_one(ledger: Ledger, given: Any) -> None:
    head = ledger.head
    with pytest.raises(WrongType, match=r"^commands are needed, ") as caught:
        ledger.execute_many(given)
    assert caught.value.hint == "give a list of commands; `execute` takes one"
    assert ledger.head == head


def test_what_a_generator_yields_is_looked_at_before_anything_is_done(ledger: Ledger) -> None:
    head = ledger.head
    with pytest.raises(WrongType, match=r"^commands\[1\]: a command is needed, not None"):
        ledger.execute_many(each for each in (BUY, None, BUY))  # type: ignore[misc]
    assert ledger.head == head


def test_an_async_ledger_raises_the_same() -> None:
    async def story() -> None:
        async with await AsyncLedger.open() as ledger:
            await ledger.execute_many([PRO, BUY])
            head = ledger.ledger.head
            with pytest.raises(WrongType, match="credits"):
                await ledger.execute(Give(**ANN, credits=1.5))  # type: ignore[arg-type]
            with pytest.raises(WrongValue, match=r"commands\[1\]: credits"):
                await ledger.execute_many([BUY, Give(**ANN, credits=-1)])
            with pytest.raises(WrongType, match=r"^commands are needed"):
                await ledger.execute_many(BUY)  # type: ignore[arg-type]
            with pytest.raises(WrongType, match=r"^commands\[0\]: a command is needed"):
                await ledger.execute_many(each for each in (None,))  # type: ignore[misc]
            with pytest.raises(WrongType, match=r'estimate\["calls"\]'):
                ledger.request("ann", "pro", estimate={"calls": 0.5})  # type: ignore[dict-item]
            assert ledger.ledger.head == head

    asyncio.run(story())


def test_a_request_raises_where_it_is_made_and_not_where_it_is_entered(ledger: Ledger) -> None:
    with pytest.raises(WrongType, match="agent: text is needed, not None"):
        ledger.request("ann", "pro", agent=None)  # type: ignore[arg-type]


def test_whole_numbers_and_text_of_other_libraries_are_taken() -> None:
    limits = Limits(rate=RateLimit(Whole(5), Whole(1)), credits=CreditsLimit(Whole(9), 60))  # type: ignore[arg-type]
    plan = admit(CreatePlan(**BOB, price={"acme": Whole(7)}, credits=Whole(3), limits=limits))  # type: ignore[arg-type]
    assert isinstance(plan, CreatePlan)
    numbers = [plan.price["acme"], plan.credits, plan.limits.rate.requests, plan.limits.credits.credits]  # type: ignore[union-attr]
    assert ([type(number) for number in numbers], numbers) == ([int] * 4, [7, 3, 5, 9])
    charge = admit(Charge(subscriber=Text("ann"), plan="pro", usage={Text("tokens"): Whole(4)}))
    assert isinstance(charge, Charge)
    assert [type(charge.subscriber), *map(type, charge.usage)] == [str, str]
    assert charge == Charge(subscriber="ann", plan="pro", usage={"tokens": 4})


def test_numpys_integers_are_taken_and_its_floats_and_bools_are_not(ledger: Ledger) -> None:
    numpy = pytest.importorskip("numpy")
    for kind in (numpy.int64, numpy.int32, numpy.uint8):
        answer = ledger.execute(Charge(**ANN, usage={"calls": kind(1)}, occurred_at=kind(7)))
        assert "occurred_at: 7 is 1970" in str(answer)
        answer = ledger.execute(Charge(**ANN, usage={"calls": kind(1)})).unwrap()
        assert repr(answer.event.usage) == "{'calls': 1}"
    for value in (numpy.float64(1), numpy.bool_(True), numpy.array([1, 2])):
        with pytest.raises(TypeError, match=r'usage\["calls"\]: a whole number is needed'):
            ledger.execute(Charge(**ANN, usage={"calls": value}))


def test_what_a_ledger_takes_shares_nothing_with_the_caller() -> None:
    usage = {"calls": 1}
    taken = admit(Charge(**ANN, usage=usage))
    usage["calls"] = 2
    assert taken == charging(calls=1)


def test_an_object_that_raises_whatever_is_asked_of_it_is_an_error_too() -> None:
    class Nothing:
        def __repr__(self) -> NoReturn:
            raise ZeroDivisionError

        __index__ = __eq__ = __hash__ = __repr__  # type: ignore[assignment]

    with pytest.raises(WrongValue, match="the command cannot be stored"):
        admit(Give(**ANN, credits=Nothing()))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", COMMAND_TYPES)
def test_a_fault_is_found_in_every_field_of_every_command(kind: type[Command]) -> None:
    """Of no type of a field is an object a value; a type that the search does not know would have no name."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        (fault,) = list(_faults(field.name, object(), field.type))
        assert str(fault).startswith(f"{field.name}: ")
