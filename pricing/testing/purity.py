"""Purity: run a policy under patched clocks and random seeds. A pure policy gives the same result.

Inside `patched_clocks(…)` the functions of `time`, the class methods of `datetime` that return the present time, and
the generator of `random` behave as at another time. A name that a module imported (`from time import time`) is
replaced, too, in the given modules. All of it is restored at the end. Other threads see the patches meanwhile.
"""

from __future__ import annotations

import datetime
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

BILLION = 1_000_000_000

STARTS = [(1_704_067_200 + step * (31 * 86_400 + 3_661)) * BILLION for step in range(24)]
"""Nanoseconds UTC, from 2024 in steps of 31 days, 1 hour, 1 minute and 1 second: at all hours of the day, on all days
of the week, in all months, and in two years."""

_SECONDS = ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
_NANOSECONDS = tuple(f"{name}_ns" for name in _SECONDS)
_CALENDAR = ("gmtime", "localtime", "ctime")


def modules_beside(*made: object) -> list[ModuleType]:
    """Return the modules of the packages of classes or functions: they may have imported a clock by name."""
    packages = {getattr(each, "__module__", "").partition(".")[0] for each in made}
    return [
        module
        for name, module in list(sys.modules.items())
        if isinstance(module, ModuleType) and name.partition(".")[0] in packages
    ]


@contextmanager
def patched_clocks(start: int, modules: Iterable[ModuleType]) -> Iterator[None]:
    """Start all clocks at `start` (nanoseconds UTC), and seed the random generator with it.

    Each reading is later than the one before by a step that depends on `start`, so that a policy which measures its own
    duration gives different results as well.
    """
    replacements = _replacements(_clock(start))
    state = random.getstate()
    with ExitStack() as stack:
        stack.callback(random.setstate, state)
        random.seed(start)
        for module in {id(module): module for module in (time, datetime, *modules)}.values():
            for name, value in list(vars(module).items()):
                if id(value) in replacements:
                    stack.callback(setattr, module, name, value)
                    setattr(module, name, replacements[id(value)])
        yield


def _clock(start: int) -> Callable[[], int]:
    now, step = start, BILLION + start // BILLION % 977 * 1_000_003

    def read() -> int:
        nonlocal now
        now += step
        return now

    return read


def _replacements(read: Callable[[], int]) -> dict[int, Any]:
    """Return the replacement of each function and class, by the identity of the original."""

    def seconds(*_: object) -> float:
        return read() / BILLION

    def nanoseconds(*_: object) -> int:
        return read()

    def calendar(original: Callable[[float], Any]) -> Callable[..., Any]:
        return lambda moment=None: original(seconds() if moment is None else moment)

    # Not every system has every clock.
    new: dict[int, Any] = {id(getattr(time, name)): nanoseconds for name in _NANOSECONDS if hasattr(time, name)}
    new |= {id(getattr(time, name)): seconds for name in _SECONDS if hasattr(time, name)}
    new |= {id(getattr(time, name)): calendar(getattr(time, name)) for name in _CALENDAR}
    formatted, localtime = time.strftime, time.localtime
    new[id(formatted)] = lambda form, moment=None: formatted(form, localtime(seconds()) if moment is None else moment)
    new[id(datetime.datetime)] = _shifted(datetime.datetime, seconds)
    new[id(datetime.date)] = _shifted(datetime.date, seconds)
    return new


def _shifted(original: Any, seconds: Callable[[], float]) -> Any:  # noqa: ANN401 - a class made from a class
    """Return a class like `original` with another present time; instances of the original count as its instances."""

    class Kind(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, original)

    def now(cls: Any, tz: datetime.tzinfo | None = None) -> Any:  # noqa: ANN401
        return cls.fromtimestamp(seconds(), tz)

    def today(cls: Any) -> Any:  # noqa: ANN401
        return cls.fromtimestamp(seconds())

    def utcnow(cls: Any) -> Any:  # noqa: ANN401
        return cls.fromtimestamp(seconds(), datetime.UTC).replace(tzinfo=None)

    asks = {"today": today} if original is datetime.date else {"today": today, "now": now, "utcnow": utcnow}
    return Kind(original.__name__, (original,), {name: classmethod(ask) for name, ask in asks.items()})
