"""The natural form of use, `with ledger.request(…) as request`, for threads and for asyncio: both say the same."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from standing_clock import BEGIN, SECOND, Clock

from ledger import (
    Answer,
    AsyncLedger,
    Balance,
    Charge,
    CreatePlan,
    Extend,
    Ledger,
    PaymentRequired,
    Purchase,
    Reason,
    RegisterAgent,
    Release,
    Request,
)
from ledger.events import Charged, Extended, Released, Requested

pytestmark = pytest.mark.smoke

PRO = CreatePlan(plan="pro", owner="acme", credits=100, parameters={"per": "call"}, hold_seconds=30, late_seconds=0)


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "toll.db", clock=clock) as opened:
        opened.execute_many([PRO, RegisterAgent(agent="writer", owner="acme", plans=("pro",))])
        opened.execute(Purchase(subscriber="ann", plan="pro"))
        yield opened


Body = Callable[[Any], Awaitable[object]]
Use = Callable[..., None]


async def soon(value: Any) -> Any:
    """A value, or what comes of awaiting it: the two forms differ in nothing else."""
    return await value if isinstance(value, Awaitable) else value


def in_a_thread(ledger: Ledger, body: Body, **terms: Any) -> None:
    # The body awaits nothing but what `soon` has at once, so it runs to its end in one step.
    with ledger.request("ann", "pro", **terms) as request, suppress(StopIteration):
        next(body(request).__await__())


def in_a_task(ledger: Ledger, body: Body, **terms: Any) -> None:
    async def main() -> None:
        async with AsyncLedger(ledger).request("ann", "pro", **terms) as request:
            await body(request)

    asyncio.run(main())


both = pytest.mark.parametrize("use", [in_a_thread, in_a_task])


def last(ledger: Ledger, count: int) -> list[Any]:
    return [entry.event for entry in ledger.events()][-count:]


def balance(ledger: Ledger) -> Balance:
    found = ledger.balance("ann", "pro")
    assert found is not None
    return found


@pytest.mark.smoke
@both
def test_a_request_holds_and_its_charge_gives_the_rest_back(ledger: Ledger, use: Use) -> None:
    async def body(request: Any) -> None:
        assert (request.hold, request.open, request.deadline) == (5, True, BEGIN + 30 * SECOND)
        assert (balance(ledger).held, balance(ledger).available) == (5, 95)
        answer = await soon(request.charge({"calls": 3}, labels={"model": "small"}))
        assert isinstance(answer, Answer)
        assert not request.open

    terms: dict[str, Any] = {
        "agent": "writer",
        "method": "POST",
        "url": "https://a.example/x",
        "labels": {"of": "test"},
    }
    use(ledger, body, estimate={"calls": 5}, **terms)
    requested, charged = last(ledger, 2)
    assert isinstance(requested, Requested)
    assert (requested.agent, requested.method, requested.url) == (1, "POST", "https://a.example/x")
    assert requested.estimate == {"calls": 5}
    assert isinstance(charged, Charged)
    assert (charged.credits, charged.final, charged.labels) == (3, True, {"of": "test", "model": "small"})
    assert (balance(ledger).available, balance(ledger).held, balance(ledger).spent) == (97, 0, 3)


@both
def test_a_request_may_be_charged_in_parts(ledger: Ledger, use: Use) -> None:
    async def body(request: Any) -> None:
        await soon(request.charge({"calls": 1}, final=False))
        assert request.open
        assert balance(ledger).held == 4
        await soon(request.charge({"calls": 2}, final=False))
        await soon(request.charge({"calls": 1}))
        assert not request.open

    use(ledger, body, estimate={"calls": 5})
    assert [(event.credits, event.final) for event in last(ledger, 3)] == [(1, False), (2, False), (1, True)]
    assert (balance(ledger).spent, balance(ledger).held) == (4, 0)


@both
def test_leaving_after_parts_without_a_final_charge_gives_the_rest_back(ledger: Ledger, use: Use) -> None:
    async def body(request: Any) -> None:
        await soon(request.charge({"calls": 2}, final=False))

    use(ledger, body, estimate={"calls": 5})
    assert [type(event) for event in last(ledger, 2)] == [Charged, Released]
    assert (balance(ledger).spent, balance(ledger).held, balance(ledger).available) == (2, 0, 98)


@both
def test_leaving_without_a_charge_voids_the_request(ledger: Ledger, use: Use) -> None:
    async def body(request: Any) -> None:
        pass

    use(ledger, body, estimate={"calls": 5})
    assert last(ledger, 1) == [Released(request=ledger.head.seq - 1, reason="voided")]
    assert (balance(ledger).available, balance(ledger).open_requests) == (100, 0)


@both
@pytest.mark.parametrize("error", [ValueError("it broke"), KeyboardInterrupt()], ids=repr)
def test_an_exception_in_the_work_releases_the_request_as_failed_and_goes_on(
    ledger: Ledger, use: Use, error: BaseException
) -> None:
    async def body(request: Any) -> None:
        raise error

    with pytest.raises(type(error)):
        use(ledger, body, estimate={"calls": 5})
    assert last(ledger, 1) == [Released(request=ledger.head.seq - 1, reason="failed")]
    assert balance(ledger).available == 100


@both
def test_an_exception_after_the_final_charge_changes_nothing_more(ledger: Ledger, use: Use) -> None:
    async def body(request: Any) -> None:
        await soon(request.charge({"calls": 2}))
        raise ValueError("it broke later")

    with pytest.raises(ValueError, match="it broke later"):
        use(ledger, body, estimate={"calls": 5})
    assert isinstance(last(ledger, 1)[0], Charged)


@both
def test_a_refused_request_raises_its_reason_and_the_work_is_not_begun(ledger: Ledger, use: Use) -> None:
    begun = []

    async def body(request: Any) -> None:
        begun.append(request)

    head = ledger.head
    with pytest.raises(PaymentRequired, match="insufficient_credits") as caught:
        use(ledger, body, estimate={"calls": 101})
    assert caught.value.refused.reason is Reason.insufficient_credits
    assert caught.value.refused.facts == {"needed": 101, "available": 100, "top_up": 1}
    assert caught.value.code == "refused"
    assert begun == []
    assert ledger.head == head


@both
def test_a_charge_that_is_refused_raises_and_releases_the_request(ledger: Ledger, use: Use) -> None:
    async def body(request: Any) -> None:
        await soon(request.charge({"calls": 1}, labels={"model": "a"}, final=False))
        await soon(request.charge({"calls": 1}, labels={"model": "b"}))

    with pytest.raises(PaymentRequired, match="labels of a request cannot change"):
        use(ledger, body, estimate={"calls": 5})
    assert isinstance(last(ledger, 1)[0], Released)
    assert ledger.requests() == []


@both
def test_a_float_raises_at_the_door_and_releases_the_request(ledger: Ledger, use: Use) -> None:
    async def body(request: Any) -> None:
        await soon(request.charge({"calls": 1.5}))

    with pytest.raises(TypeError, match=r'usage\["calls"\]: a whole number is needed, 1\.5 is a float'):
        use(ledger, body, estimate={"calls": 5})
    assert isinstance(last(ledger, 1)[0], Released)
    head = ledger.head
    with pytest.raises(TypeError, match=r'estimate\["calls"\]: a whole number is needed, 0\.5 is a float'):
        use(ledger, body, estimate={"calls": 0.5})
    assert ledger.head == head


@both
def test_a_request_that_expired_meanwhile_is_left_alone(ledger: Ledger, clock: Clock, use: Use) -> None:
    async def body(request: Any) -> None:
        clock.now += 31 * SECOND

    use(ledger, body, estimate={"calls": 5})
    assert balance(ledger).available == 100
    with pytest.raises(PaymentRequired, match="request_closed"):
        use(ledger, charge_late(clock), estimate={"calls": 5})
    assert balance(ledger).available == 100


def charge_late(clock: Clock) -> Body:
    async def body(request: Any) -> None:
        clock.now += 31 * SECOND
        await soon(request.charge({"calls": 1}))

    return body


@both
def test_a_request_that_lasts_is_extended(ledger: Ledger, clock: Clock, use: Use) -> None:
    async def body(request: Any) -> None:
        clock.now += 20 * SECOND
        answer = await soon(request.extend(60))
        assert answer.event == Extended(request=request.id, deadline=clock.now + 60 * SECOND)
        clock.now += 59 * SECOND
        await soon(request.charge({"calls": 1}))

    use(ledger, body, estimate={"calls": 5})
    assert balance(ledger).spent == 1


@both
def test_a_request_that_others_ended_is_left_alone(ledger: Ledger, use: Use) -> None:
    async def charged_by_another(request: Any) -> None:
        ledger.execute(Charge(request=request.id, usage={"calls": 1})).unwrap()

    async def released_by_another(request: Any) -> None:
        ledger.execute(Release(request=request.id)).unwrap()

    for body in (charged_by_another, released_by_another):
        use(ledger, body, estimate={"calls": 5})
        assert balance(ledger).held == 0
    assert balance(ledger).spent == 1


def charge_two(final: bool) -> Body:
    async def body(request: Any) -> None:
        await soon(request.charge({"calls": 2}, final=final))

    return body


async def fail(request: Any) -> None:
    raise ValueError("it broke")


async def do_nothing(request: Any) -> None:
    pass


def outlast(clock: Clock, before: Body) -> Body:
    async def body(request: Any) -> None:
        await before(request)
        clock.now += 31 * SECOND

    return body


@both
@pytest.mark.parametrize(
    ("first", "lasts", "ended"),
    [
        (charge_two(final=True), False, "was charged (charge {request+1})"),
        (charge_two(final=False), False, "was released (voided), and charged in part until then (charge {request+1})"),
        (do_nothing, False, "was released (voided), and not charged"),
        (fail, False, "was released (failed), and not charged"),
        (do_nothing, True, "has expired, and not charged"),
        (charge_two(final=False), True, "has expired, and charged in part until then (charge {request+1})"),
    ],
)
def test_work_is_not_begun_again_under_the_key_of_a_request_that_is_over(
    ledger: Ledger, clock: Clock, use: Use, first: Body, lasts: bool, ended: str
) -> None:
    numbers, begun = [], []

    async def noted(request: Any) -> None:
        numbers.append(request.id)
        await first(request)

    async def again(request: Any) -> None:
        begun.append(request)

    with suppress(ValueError):
        use(ledger, outlast(clock, noted) if lasts else noted, estimate={"calls": 5}, key="k")
    for _ in range(2):  # before and after the expiry is written
        with pytest.raises(PaymentRequired) as caught:
            use(ledger, again, estimate={"calls": 5}, key="k")
        assert caught.value.refused.reason is Reason.request_closed
        how = ended.replace("{request+1}", str(numbers[0] + 1))
        assert f"the key 'k' admitted request {numbers[0]}, which {how}: " in str(caught.value)
        ledger.tick()
    assert begun == []
    use(ledger, again, estimate={"calls": 5}, key="another")
    assert len(begun) == 1


def test_a_request_that_was_charged_late_is_said_to_be_charged(ledger: Ledger, clock: Clock) -> None:
    ledger.execute(
        CreatePlan(plan="late", owner="acme", credits=100, parameters={"per": "call"}, hold_seconds=30, late_seconds=60)
    ).unwrap()
    ledger.execute(Purchase(subscriber="ann", plan="late")).unwrap()
    admission = Request(subscriber="ann", plan="late", estimate={"calls": 5}, key="k")
    request = ledger.execute(admission).unwrap().seq
    clock.now += 31 * SECOND
    charge = ledger.execute(Charge(request=request, usage={"calls": 2})).unwrap().seq
    with pytest.raises(PaymentRequired, match=f"request {request}, which was charged .charge {charge}.: "):
        ledger.request("ann", "late", estimate={"calls": 5}, key="k").__enter__()


@both
def test_a_keyed_request_that_is_open_is_entered_with_what_it_holds_now(ledger: Ledger, clock: Clock, use: Use) -> None:
    admission = Request(subscriber="ann", plan="pro", estimate={"calls": 5}, key="k")
    request = ledger.execute(admission).unwrap().seq
    ledger.execute(Charge(request=request, usage={"calls": 2}, final=False)).unwrap()
    ledger.execute(Extend(request=request, seconds=60)).unwrap()

    async def body(again: Any) -> None:
        assert (again.id, again.repeated, again.hold) == (request, True, 3)
        assert again.deadline == clock.now + 60 * SECOND
        assert repr(again) == f"<request {request}: holds 3, repeated>"
        await soon(again.charge({"calls": 1}))

    use(ledger, body, estimate={"calls": 5}, key="k")
    assert (balance(ledger).spent, balance(ledger).held) == (3, 0)


@both
def test_a_request_shows_itself(ledger: Ledger, use: Use) -> None:
    shown = []

    async def body(request: Any) -> None:
        shown.append(repr(request))
        await soon(request.charge({"calls": 1}))
        shown.append(repr(request))

    use(ledger, body, estimate={"calls": 5})
    number = ledger.head.seq - 1
    assert shown == [f"<request {number}: holds 5>", f"<request {number}: holds 5, closed>"]


def test_a_context_may_be_entered_again_as_another_request(ledger: Ledger) -> None:
    context = ledger.request("ann", "pro", estimate={"calls": 5})
    numbers = []
    for _ in range(2):
        with context as request:
            numbers.append(request.id)
            request.charge({"calls": 1})
    assert len(set(numbers)) == 2


def test_requests_may_stand_one_within_another(ledger: Ledger) -> None:
    with ledger.request("ann", "pro", estimate={"calls": 5}) as outer:
        with ledger.request("ann", "pro", estimate={"calls": 7}) as inner:
            assert balance(ledger).held == 12
            inner.charge({"calls": 7})
        outer.charge({"calls": 5})
    assert (balance(ledger).spent, balance(ledger).held) == (12, 0)


def test_a_task_that_is_cancelled_in_its_work_gives_back_what_it_held(ledger: Ledger) -> None:
    async def main() -> None:
        entered = asyncio.Event()

        async def work() -> None:
            async with AsyncLedger(ledger).request("ann", "pro", estimate={"calls": 5}):
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await entered.wait()
        assert balance(ledger).held == 5
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert last(ledger, 1) == [Released(request=ledger.head.seq - 1, reason="failed")]
    assert balance(ledger).available == 100
