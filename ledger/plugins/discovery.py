"""Plugins as they are installed: each entry point is loaded by itself, so that a broken one harms no other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from typing import Generic, NamedTuple, TypeAlias, TypeVar

import msgspec
import pluggy

from .pricing import PolicyFactory
from .protocols import ChainPlugin, StoreFactory

F = TypeVar("F")
Register: TypeAlias = Callable[[str, F], None]

hookspec = pluggy.HookspecMarker("tollbook")
hookimpl = pluggy.HookimplMarker("tollbook")

BUILT_IN = "tollbook"
"""The distribution of the built-in plugins, whose names no other can take."""


MAX_NAME = 64
"""Characters of a plugin's name, so that tables and messages hold it."""

MAX_SHOWN = 100
"""Characters that messages show of a value."""


class Hooks:
    """The hooks that a plugin module may implement."""

    @hookspec
    def register_policies(self, register: Register[PolicyFactory]) -> None:
        """Call `register(name, factory)` for each pricing policy."""

    @hookspec
    def register_chains(self, register: Register[ChainPlugin]) -> None:
        """Call `register(namespace, plugin)` for each kind of chain."""

    @hookspec
    def register_stores(self, register: Register[StoreFactory]) -> None:
        """Call `register(name, factory)` for each store."""


class Origin(msgspec.Struct, frozen=True):
    """The entry point that brings a plugin: its name, what it names, and its distribution with the version.

    All are empty for a plugin that was registered in code.
    """

    point: str = ""
    value: str = ""
    distribution: str = ""
    version: str = ""

    @property
    def built_in(self) -> bool:
        """True for a plugin that comes with Tollbook."""
        return self.distribution == BUILT_IN

    def __str__(self) -> str:
        return f"{self.distribution or 'a package without a name'} {self.version}".strip()


class Failure(NamedTuple):
    """Why an entry point, or some of the plugins that it registers, cannot be used.

    `names` are those plugins, as far as it came to register them; `error` is what it raised, if it raised anything.
    """

    origin: Origin
    names: tuple[str, ...]
    reason: str
    error: BaseException | None = None


class Found(NamedTuple, Generic[F]):
    """The plugins of one kind that are installed and can be used, where each comes from, and what cannot be used."""

    factories: dict[str, F]
    origins: dict[str, Origin]
    failures: list[Failure]


def find(kind: str, group: str, hook: str, fits: Callable[[object], bool]) -> Found[F]:
    """Load all entry points of a group. What goes wrong with one is among the failures; nothing is raised for it.

    A name that two of them register is neither's, unless one is built in: that one keeps it. `fits` says whether what
    is registered can be a plugin of this kind.
    """
    found: Found[F] = Found({}, {}, [])
    registered: dict[str, list[tuple[Origin, F]]] = {}
    points = sorted(_points(group, found.failures), key=lambda each: (each[0].distribution, each[0].point))
    for origin, point in points:
        given: list[tuple[str, F]] = []
        try:
            _call(point, hook, _into(given))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin is foreign code
            names = tuple(name for name, _ in given if isinstance(name, str))
            found.failures.append(Failure(origin, names, described(error), error))
            continue
        for name, factory in given:
            if reason := unsuitable(kind, name, factory, fits):
                named = name if isinstance(name, str) and len(name) <= MAX_NAME else shown(name)
                found.failures.append(Failure(origin, (named,), reason))
            else:
                registered.setdefault(name, []).append((origin, factory))
    for name, bringers in registered.items():
        _settle(kind, name, bringers, found)
    return found


def _into(given: list[tuple[str, F]]) -> Register[F]:
    return lambda name, factory: given.append((name, factory))


def unsuitable(kind: str, name: object, factory: object, fits: Callable[[object], bool]) -> str:
    """Return why a plugin cannot be registered under this name; empty if it can."""
    if not isinstance(name, str) or not re.fullmatch("[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        return f"{shown(name)} cannot name a {kind}: use letters, digits, `_`, `.` and `-`"
    if len(name) > MAX_NAME:
        return f"{shown(name)} cannot name a {kind}: it has {len(name):,} characters, of at most {MAX_NAME}"
    try:
        suits = fits(factory)
    except Exception as error:  # noqa: BLE001 - a plugin is foreign code
        return f"what it registers as {name!r} cannot be looked at: {described(error)}"
    return "" if suits else f"what it registers as {name!r} cannot be a {kind}: its type is {type(factory).__name__}"


def described(error: BaseException) -> str:
    """Return an exception's type and message, also where its own text raises."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - a plugin is foreign code
        return type(error).__name__


def shown(value: object) -> str:
    """Return a short text of any value, also of one that cannot be written."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - foreign code
        text = f"a value of the type {type(value).__name__} that cannot be shown"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _settle(kind: str, name: str, bringers: list[tuple[Origin, F]], found: Found[F]) -> None:
    """Decide whose plugin has a name: the only one's that registers it, or the built-in one's."""
    own = [each for each in bringers if each[0].built_in]
    holders = own or bringers
    if len(holders) == 1:
        found.origins[name], found.factories[name] = holders[0]
    for origin, _ in bringers:
        if len(holders) > 1:
            both = " and ".join(sorted(str(each) for each, _ in bringers))
            found.failures.append(Failure(origin, (name,), f"the {kind} {name!r} is registered twice, by {both}"))
        elif origin is not holders[0][0]:
            found.failures.append(Failure(origin, (name,), f"the name {name!r} is that of a built-in {kind}"))


def _points(group: str, failures: list[Failure]) -> Iterator[tuple[Origin, EntryPoint]]:
    """Yield the entry points of a group. As in an import, the first distribution of a name on the path counts."""
    seen: set[tuple[str, str]] = set()
    for point in _readable(group, failures):
        origin = _origin(point.dist)
        origin = msgspec.structs.replace(origin, point=point.name, value=point.value)
        if (place := (origin.distribution, origin.point)) not in seen or not origin.distribution:
            seen.add(place)
            yield origin, point


def _readable(group: str, failures: list[Failure]) -> Iterable[EntryPoint]:
    try:
        return entry_points(group=group)
    except Exception:  # noqa: BLE001 - one package's metadata cannot be read: look into each by itself
        points: list[EntryPoint] = []
    for each in distributions():
        try:
            points += each.entry_points.select(group=group)
        except Exception as error:  # noqa: BLE001 - any package's metadata, as it was found
            failures.append(Failure(_origin(each), (), f"its entry points cannot be read: {described(error)}", error))
    return points


def _origin(distribution: Distribution | None) -> Origin:
    try:
        if distribution is None:
            return Origin()
        return Origin(distribution=distribution.metadata["Name"] or "", version=distribution.version or "")
    except Exception:  # noqa: BLE001 - any package's metadata, as it was found
        return Origin()


def _call(point: EntryPoint, hook: str, register: Register[F]) -> None:
    """Call an entry point's hook. Raises what the plugin raises, and LookupError if it has no such hook."""
    manager = pluggy.PluginManager("tollbook")
    manager.add_hookspecs(Hooks)
    manager.register(point.load(), point.name)
    manager.check_pending()
    caller = getattr(manager.hook, hook)
    if not caller.get_hookimpls():
        raise LookupError(f"it has no hook `{hook}`")
    caller(register=register)
