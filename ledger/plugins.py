"""What policies, chains and stores implement, and the one door they come in by.

Plugins are found by entry point (groups `tollbook.pricing`, `tollbook.chains`, `tollbook.stores`) when a name is
first asked for. An entry point names a module with one hook, `register_policies(register)`,
`register_chains(register)` or `register_stores(register)`, that calls `register(name, factory)` for each thing it
brings. After that, plugins are called directly: a pluggy call costs about 2 µs, so it stays off the hot path. The
built-ins come in by the same door.

    from ledger.plugins import hookimpl

    @hookimpl
    def register_policies(register):
        register("flat", Flat)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

import msgspec
import pluggy

from . import forking
from .errors import LedgerError, UnknownPlugin
from .events import ContractRef, Line
from .settlement.messages import Attempt, Batch, ChainFact, Commitment, Found, Standing

if TYPE_CHECKING:
    from .log import Commit, Head, IndexPart, Snapshot

Scope: TypeAlias = Literal["request", "period"]
"""What a policy's total is about: one request, or one account in one metering period."""


class Price(msgspec.Struct, frozen=True, gc=False):
    """A total in credits (a whole number, 0 or more), and the lines that come to it."""

    credits: int
    lines: tuple[Line, ...] = ()


class Policy(Protocol):
    """A pricing policy with its parameters: pure, so that a charge can be computed again from the log alone.

    `version` counts the changes of the policy's arithmetic. `parameters` are those it was made with, as JSON holds
    them, and make it again. `monotone` claims that more usage never costs less in total.
    """

    @property
    def version(self) -> int:
        """The version of the policy's arithmetic."""
        ...

    @property
    def scope(self) -> Scope:
        """What `total` is the total of."""
        ...

    @property
    def monotone(self) -> bool:
        """Whether more usage never costs less in total."""
        ...

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters as plain JSON values."""
        ...

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        """The price of all usage in the scope so far."""
        ...


class DerivablePolicy(Policy, Protocol):
    """A policy may offer this too, and says by it that its lines follow from parameters, usage and meter alone.

    Then its charges leave them out (a plan may ask for them: `record_lines`), and they are computed when asked for. A
    policy that looked something up, such as a table of unit prices, does not offer it: what it saw stands in its lines.
    """

    def credits_of(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
        """The credits of `total`, without the lines that come to it."""
        ...


@runtime_checkable
class ReadingPolicy(Protocol):
    """A policy may offer this too: then usage that no rate of its tariff reads is known to be unpriced.

    It stands apart from `Policy`, so that `isinstance` asks for this method alone.
    """

    def reads(self, labels: Mapping[str, str]) -> frozenset[str] | None:
        """The dimensions of usage that some rate of the tariff reads for these labels, also where that rate is 0.

        None: nothing is unpriced, because the price does not depend on dimensions (so much a request), or because the
        tariff charges nothing by intent. No other dimension changes the total. Asked at every charge: it must be fast.
        """
        ...


@runtime_checkable
class PeakingPolicy(Protocol):
    """A policy may offer these too, so that what is held covers usage that comes in parts under a total that may fall.

    They stand apart from `Policy`, so that `isinstance` asks for them alone.
    """

    @property
    def by_label(self) -> bool:
        """Whether labels can change a total."""
        ...

    def peak(self, before: Mapping[str, int], usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
        """The largest total, in credits, that any usage comes to from `before` to `before` + `usage`, both included:
        dimension by dimension, every whole number of units between. Where more usage never costs less, that is the
        total of `before` + `usage`."""
        ...


@runtime_checkable
class SharingPolicy(PeakingPolicy, Protocol):
    """A policy about a period may offer this too, so that what is held covers usage on a meter that others move too.

    Those are requests that were admitted under another version of the tariff, and charge their units in between.
    """

    def dearest(
        self, before: Mapping[str, int], usage: Mapping[str, int], among: Mapping[str, int], labels: Mapping[str, str]
    ) -> int:
        """The most, in credits, that `usage` can be charged while the meter moves from `before` to `before` + `among`.

        `among` is at least `usage`, dimension by dimension; its other units are charged by somebody else. However the
        usage is parted, and wherever in that range its parts lie, what they add to the total comes to no more; a part
        that lowers the total counts 0. Where `usage` is all of `among`, nobody else charges, and it is the peak less
        the total of `before`: what a part gives back pays for the next.
        """
        ...


PolicyFactory: TypeAlias = Callable[[Mapping[str, Any]], Policy]
"""Makes a policy from its parameters. Raises ValueError where they are not right."""


class LogReader(Protocol):
    """Reads the commits and snapshots of a log. One thread uses it at a time."""

    @property
    def id(self) -> str:
        """The ledger's id, from which its chain of hashes begins."""
        ...

    def head(self) -> Head:
        """Return the end of the log: its last sequence, the hash there and its time."""
        ...

    def read(self, after: int = 0) -> Iterator[Commit]:
        """Yield all commits with an event after that sequence, in order."""
        ...

    def load_snapshot(self, version: str, upto: int | None = None) -> Snapshot | None:
        """Return the latest whole snapshot of that version, at or before sequence `upto`; None where there is none."""
        ...

    def close(self) -> None:
        """Release everything. A second call does nothing."""
        ...


class Store(LogReader, Protocol):
    """Where commits become durable. Compare-and-append is all that it must offer; `ledger.testing.stores` checks it.

    A store is used by one thread at a time: the engine sees to that.
    """

    def append(self, expected: Head, commit: Commit) -> None:
        """Make the commit durable if the head is still `expected`.

        Raises Conflict if it is not, NotWritten if nothing was written, OutcomeUnknown if that cannot be told.
        """
        ...

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot. It is a cache: losing it changes nothing but time."""
        ...


@runtime_checkable
class ReadableStore(Protocol):
    """A store may offer this too: then readings go on while a commit is being written.

    Without it they read the store itself, in parts, and wait for a commit that is being written.
    """

    def reader(self) -> LogReader:
        """Return a reader of the same log, for another thread than the one that writes.

        It sees every commit whose append has returned. While one of its calls runs, another thread may append to the
        store, or close the reader, which raises Closed then. It is closed before the store is.
        """
        ...


@runtime_checkable
class PausingStore(Protocol):
    """A store that lets go of its file while the process forks, since the child must not inherit that it has it."""

    def pause(self) -> None:
        """Let go, and take it up again when it is next needed. In the middle of an append this does nothing."""
        ...


@runtime_checkable
class HoldingStore(Store, Protocol):
    """A store that several processes write may offer this too, so that a long decision is not overtaken for ever."""

    def hold(self) -> AbstractContextManager[None]:
        """Nobody else writes inside, up to the first append. Raises Locked."""
        ...


@runtime_checkable
class IndexKeeper(Protocol):
    """A store and its readers may offer these too, so that the index of accounts need not be derived at each opening.

    It is a cache: losing it, or a part of it, changes nothing but time.
    """

    def save_index(self, part: IndexPart) -> None:
        """Keep a part beside those before it, in place of one that ends at the same sequence."""
        ...

    def load_index(self) -> list[IndexPart]:
        """Return the parts whose own digest holds, in the order of their ends."""
        ...


StoreFactory: TypeAlias = Callable[..., Store]
"""Opens a store: `factory(where, id=None, read_only=False)`, `id` being the new ledger's where there is none yet."""


class Chain(Protocol):
    """One settlement contract on one chain, spoken to with the operator's key. `chains.testing` checks it.

    Asking and sending raise ChainUnavailable where the chain could not be asked, so that nothing happened; `send`
    raises SendUnknown where it cannot be told whether the chain has the transaction.
    """

    @property
    def name(self) -> str:
        """The chain's CAIP-2 name, such as `eip155:8453` or `mock:local`."""
        ...

    @property
    def contract(self) -> str:
        """The settlement contract's address there."""
        ...

    def facts(self, after: int = 0, confirmations: int | None = None) -> Iterable[ChainFact]:
        """Purchases and exits in blocks after `after`, in the chain's order: those that are final, or with
        `confirmations` those with that many blocks on top (0: mined at all)."""
        ...

    def final_block(self) -> int:
        """The number of the last block that no re-organisation can undo."""
        ...

    def simulate(self, batch: Batch) -> str | None:
        """Why the chain would refuse the batch's next step now; None where it would take it. Raises SettlementStopped
        where this connection's key may not send it, which is no fault of the batch's."""
        ...

    def prepare(self, batch: Batch, attempts: Sequence[Attempt]) -> Attempt | None:
        """The batch's next step, signed and unsent: recording it, or paying it out where that is a step of its own.

        `attempts` are all that the log holds for this contract's unfinished batches, oldest first: their nonces are
        taken. Where the batch's last one is still under way, this one replaces it (a higher fee), or is None where
        there is nothing better to do than wait.
        """
        ...

    def send(self, attempt: Attempt) -> None:
        """Broadcast it. Sending the same one again is safe. Raises ChainUnavailable or SendUnknown."""
        ...

    def find(self, number: int) -> Found:
        """How the chain has the batch of that number."""
        ...

    def confirm(self, attempt: Attempt) -> Standing:
        """What became of a transaction."""
        ...

    def published(self, number: int) -> bytes | None:
        """The leaf file that was published with a batch, where the chain can lead to it."""
        ...

    def due(self, receiver: str, asset: str) -> int:
        """What the contract owes a receiver, signed: below 0 later payouts fill it first."""
        ...

    def claimed(self, receiver: str, asset: str) -> int:
        """What the contract has paid to a receiver of what was due to it, so far. Exits of subscribers are apart."""
        ...

    def escrow(self, asset: str) -> int:
        """What the contract holds for who bought: what was paid in, less exits and what has moved to dues."""
        ...

    def holdings(self, asset: str) -> int:
        """What the contract has of an asset, in escrow or not: as who keeps that asset says, not as it says itself."""
        ...

    def pause(self) -> None:
        """Let a moment pass in which there may be news: a block's time, or (in a mock) a block."""
        ...

    def close(self) -> None:
        """Let go of everything. A second call does nothing."""
        ...


class ChainPlugin(Protocol):
    """A kind of chain, registered under its CAIP-2 namespace (`eip155`, `mock`).

    Its pure half is asked while deciding and auditing, with no chain at hand.
    """

    @property
    def leaf_types(self) -> tuple[str, str, str, str]:
        """The ABI types of a leaf: subscriber, plan, charged, credited."""
        ...

    @property
    def max_receivers(self) -> int:
        """How many receivers one batch may pay, 100 or more; those beyond, by name, are in the next one."""
        ...

    @property
    def max_payout(self) -> int | None:
        """The most that one batch may pay to one receiver or take back from it, 1 or more, in an asset's smallest unit;
        what is beyond is in the next one. None where a payout may be of any size."""
        ...

    def check(self, subscriber: str, plan: str) -> None:
        """Raises ValueError where no leaf of this kind of chain can name that subscriber or plan."""
        ...

    def check_money(self, contract_ref: ContractRef, asset: str, shares: Mapping[str, int]) -> None:
        """Raise ValueError for a sale's money that no batches of that contract could charge and pay to its receivers:
        an asset, a contract or a receiver that has no such name there, an amount beyond what a leaf or a price has room
        for. An amount beyond `max_payout` is no reason: several batches pay it."""
        ...

    def commitment(self, batch: Batch) -> Commitment:
        """The root, the leaf file's hash and the digest. Raises ValueError for leaves that cannot be committed to."""
        ...

    def connect(self, contract_ref: ContractRef, **options: Any) -> Chain:  # noqa: ANN401 - each kind has its own
        """Connect to a contract. Raises ChainUnavailable, or BadData for a wrong option."""
        ...


F = TypeVar("F")
Register: TypeAlias = Callable[[str, F], None]

hookspec = pluggy.HookspecMarker("tollbook")
hookimpl = pluggy.HookimplMarker("tollbook")


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


class Registry(Generic[F]):
    """The plugins of one kind, by name, loaded when first asked for."""

    def __init__(self, kind: str, group: str, hook: str) -> None:
        self.kind, self.group, self._hook = kind, group, hook
        self._found: dict[str, F] | None = None

    def register(self, name: str, factory: F) -> None:
        """Add one by hand, beside those that are installed. Raises LedgerError for a name that is taken."""
        _register(self._load(), self.kind, name, factory)

    def get(self, name: str) -> F:
        """The factory of that name. Raises UnknownPlugin where none is installed."""
        found = self._load()
        if name not in found:
            raise UnknownPlugin(f"there is no {self.kind} {name!r}", f"installed are: {', '.join(sorted(found))}")
        return found[name]

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._load())

    def _load(self) -> dict[str, F]:
        if self._found is None:
            with forking.loading:
                self._found = self._find()
        return self._found

    def _find(self) -> dict[str, F]:
        if self._found is None:
            # pluggy takes only the first of two entry points of one name, and says nothing: look for that ourselves.
            points = Counter(point.name for point in entry_points(group=self.group))
            if twice := [name for name, times in points.items() if times > 1]:
                raise LedgerError(f"two plugins in {self.group} are called {twice[0]!r}", "uninstall one of them")
            found: dict[str, F] = {}
            for point in entry_points(group=self.group):
                try:
                    self._collect(point.name, point.load(), found)
                except LedgerError:
                    raise
                except Exception as error:
                    message = f"the plugin {point.name!r} of {self.group} cannot be loaded: {error!r}"
                    raise LedgerError(message, f"mend or uninstall the package that has {point.value}") from error
            return found
        return self._found

    def _collect(self, name: str, plugin: object, found: dict[str, F]) -> None:
        manager = pluggy.PluginManager("tollbook")
        manager.add_hookspecs(Hooks)
        manager.register(plugin, name)
        manager.check_pending()
        getattr(manager.hook, self._hook)(register=lambda name, factory: _register(found, self.kind, name, factory))


def _register(found: dict[str, F], kind: str, name: str, factory: F) -> None:
    if not re.fullmatch("[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise LedgerError(f"{name!r} cannot name a {kind}", "use letters, digits, `_`, `.` and `-`")
    if name in found:
        raise LedgerError(f"a {kind} {name!r} is registered twice", "uninstall one of the two packages")
    found[name] = factory


policies: Registry[PolicyFactory] = Registry("pricing policy", "tollbook.pricing", "register_policies")
stores: Registry[StoreFactory] = Registry("store", "tollbook.stores", "register_stores")
chains: Registry[ChainPlugin] = Registry("chain", "tollbook.chains", "register_chains")


def contract_of(chain: Chain) -> ContractRef:
    """Return which contract a connection is to."""
    return ContractRef(chain.name, chain.contract)


def chain_plugin(chain: str) -> ChainPlugin:
    """The plugin of a chain's CAIP-2 name. Raises UnknownPlugin where none is installed."""
    return chains.get(chain.partition(":")[0])
