"""The protocols of plugins: stores and chains."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from ..events import ContractRef
from ..settlement.messages import Attempt, Batch, ChainFact, Commitment, Found, Standing

if TYPE_CHECKING:
    from ..log import Commit, Head, IndexPart, KeysEnd, Snapshot, StoredKey


class LogReader(Protocol):
    """Reads the commits and snapshots of a log. One thread uses it at a time."""

    @property
    def id(self) -> str:
        """The ledger's id, from which its hash chain begins."""
        ...

    def head(self) -> Head:
        """Return the end of the log: last sequence, hash and time there. Raise Closed, Damaged or LogError."""
        ...

    def read(self, after: int = 0) -> Iterator[Commit]:
        """Yield all commits with an event after that sequence, in order. Raise Closed, Damaged or LogError."""
        ...

    def load_snapshot(self, version: str, upto: int | None = None) -> Snapshot | None:
        """Return the latest whole snapshot of that version, at or before sequence `upto`; None if there is none.

        Raise Closed or LogError; a damaged snapshot is passed over.
        """
        ...

    def close(self) -> None:
        """Release everything. A second call does nothing. Raises nothing."""
        ...


class Store(LogReader, Protocol):
    """A store makes commits durable, by compare-and-append; `ledger.testing.stores` checks it.

    One thread uses a store at a time: the ledger ensures that.
    """

    def append(self, expected: Head, commit: Commit) -> None:
        """Make the commit durable if the head is still `expected`.

        Raise Conflict if it is not, Locked if another process holds the write lock for too long, NotWritten if nothing
        was written, OutcomeUnknown if that cannot be determined, Closed after `close`.
        """
        ...

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Save a snapshot, replacing one at the same sequence. It is a cache: without it opening takes longer.

        Raise LogError if it could not be written.
        """
        ...


@runtime_checkable
class ReadableStore(Protocol):
    """Optional: a store that is read while a commit is being written.

    Without it readings read the store itself, in parts, and wait for a commit that is being written.
    """

    def reader(self) -> LogReader:
        """Return a reader of the same log, for another thread than the one that writes.

        It sees every commit whose append has returned. While one of its calls runs, another thread may append to the
        store, or close the reader, which raises Closed then. It is closed before the store is. Raise Closed.
        """
        ...


@runtime_checkable
class PausingStore(Protocol):
    """Optional: a store that closes its file while the process forks, since a child must not inherit its locks."""

    def pause(self) -> None:
        """Close the file, and reopen it when it is next needed. In the middle of an append this does nothing."""
        ...


@runtime_checkable
class HoldingStore(Store, Protocol):
    """Optional: a store for several writing processes, so that a long decision does not lose every race."""

    def hold(self) -> AbstractContextManager[None]:
        """Hold the write lock in the block, up to the first append. Raise Locked after a timeout."""
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


@runtime_checkable
class KeyKeeper(Protocol):
    """Optional: a store that keeps older idempotency keys on disk. Without it they are all held in memory.

    It is a cache: losing it changes nothing but time. But a loss must show, since a key that is not found is executed
    anew. So a key is not found only if the store can show that no row between its neighbours was lost.
    """

    def keys_end(self) -> KeysEnd | None:
        """Return the end of the stored keys; None if there are none that can be read."""
        ...

    def find_key(self, digest: bytes, upto: int) -> int:
        """Return the sequence stored with a key; 0 if there is no such key. `upto` is the end that the caller knows.

        Raise Damaged if keys were lost, or if what is stored ends before `upto`.
        """
        ...

    def save_keys(self, before: KeysEnd | None, keys: Sequence[StoredKey], end: KeysEnd) -> None:
        """Store keys and the new end, all or nothing, beside the keys before them, or in place of all if `before` is
        None.

        A key that is stored already gets the new sequence. Keys whose time is over at the new end may be dropped.
        Raise Conflict if the end is not `before`, Damaged if keys were lost, or another LogError.
        """
        ...


StoreFactory: TypeAlias = Callable[..., Store]
"""Opens a store: `factory(location, id=None, read_only=False)`; `id` is that of a new ledger.

Raises NotFound, NotALog, WrongVersion, Locked, Damaged or another LogError.
"""


class Chain(Protocol):
    """One settlement contract on one chain, connected with the operator's key. `chains.testing` checks it.

    Every method that reads the chain raises ChainUnavailable if the chain could not be read; nothing was sent then.
    Amounts are in the asset's smallest unit.
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
        """Return purchases and exits in blocks after `after`, in the chain's order: the final ones, or with
        `confirmations` those with that many blocks on top (0: mined at all). Raise ChainUnavailable."""
        ...

    def final_block(self) -> int:
        """Return the number of the last block that no reorganisation can undo. Raise ChainUnavailable."""
        ...

    def simulate(self, batch: Batch) -> str | None:
        """Return why the chain would refuse the batch's next step now; None if it would accept it.

        Raise ChainUnavailable, or SettlementStopped if this connection's key may not send it, which is no fault of the
        batch.
        """
        ...

    def prepare(self, batch: Batch, attempts: Sequence[Attempt]) -> Attempt | None:
        """Return the batch's next step, signed and unsent: recording it, or paying it out if that is a separate step.

        `attempts` are all that the log holds for this contract's unfinished batches, oldest first: their nonces are
        taken. If the batch's last one is still pending, the new one replaces it (a higher fee), or is None if it is
        better to wait. Raise ChainUnavailable, or SettlementStopped if no attempt can be made.
        """
        ...

    def send(self, attempt: Attempt) -> None:
        """Broadcast a transaction. Sending the same one again is safe.

        Raise ChainUnavailable if it was not sent, SendUnknown if the chain may have it or not.
        """
        ...

    def find(self, number: int) -> Found:
        """Return the batch of that number as the chain has it. Raise ChainUnavailable."""
        ...

    def confirm(self, attempt: Attempt) -> Standing:
        """Return the state of a transaction. Raise ChainUnavailable."""
        ...

    def published(self, number: int) -> bytes | None:
        """Return the leaf file that was published with a batch; None if it cannot be found. Raise ChainUnavailable."""
        ...

    def due(self, receiver: str, asset: str) -> int:
        """Return the contract's debt to a receiver, signed: below 0, later payouts fill it. Raise ChainUnavailable."""
        ...

    def claimed(self, receiver: str, asset: str) -> int:
        """Return the sum that the contract has paid to a receiver so far, without exits. Raise ChainUnavailable."""
        ...

    def escrow(self, asset: str) -> int:
        """Return the money held for subscribers: payments less exits and less payouts that are due. Raise
        ChainUnavailable."""
        ...

    def holdings(self, asset: str) -> int:
        """Return the contract's balance of an asset, as the asset's own ledger has it. Raise ChainUnavailable."""
        ...

    def pause(self) -> None:
        """Wait for about one block; a mock mines one. Raise ChainUnavailable."""
        ...

    def close(self) -> None:
        """Release everything. A second call does nothing. Raises nothing."""
        ...


@runtime_checkable
class AssetReader(Protocol):
    """Optional: a chain that knows how many decimals its assets have, so that amounts can be shown as money."""

    def decimals(self, asset: str) -> int | None:
        """Return the decimals of an asset; None if they are unknown, or it is elsewhere. Raise ChainUnavailable."""
        ...


@runtime_checkable
class ChainPlugin(Protocol):
    """A kind of chain, registered under its CAIP-2 namespace (`eip155`, `mock`).

    All but `connect` is pure, and called while deciding and auditing, without a connection.
    """

    @property
    def leaf_types(self) -> tuple[str, str, str, str]:
        """ABI types of a leaf: subscriber, plan, charged, credited."""
        ...

    @property
    def max_receivers(self) -> int:
        """Maximum number of receivers of one batch, 100 or more; further ones, by name, are in the next batch."""
        ...

    @property
    def max_payout(self) -> int | None:
        """Maximum that one batch may pay to one receiver or take back from it, 1 or more, in the asset's smallest unit;
        the remainder is in the next batch. None if a payout may be of any size."""
        ...

    def check(self, subscriber: str, plan: str) -> None:
        """Raise ValueError if no leaf of this kind of chain can name that subscriber or plan."""
        ...

    def check_money(self, contract_ref: ContractRef, asset: str, shares: Mapping[str, int]) -> None:
        """Raise ValueError for a sale's money that no batches of that contract could charge and pay to its receivers:
        an asset, a contract or a receiver that has no such name there, an amount beyond what a leaf or a price has room
        for. An amount beyond `max_payout` is no reason: several batches pay it."""
        ...

    def commitment(self, batch: Batch) -> Commitment:
        """Return the root, the leaf file's hash and the digest. Raise ValueError for invalid leaves."""
        ...

    def connect(self, contract_ref: ContractRef, **options: Any) -> Chain:  # noqa: ANN401 - each kind has its own
        """Connect to a contract. Raise ChainUnavailable, or BadData for a wrong option."""
        ...
