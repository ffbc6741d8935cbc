"""Older keys: those that the books no longer hold (`Books.keys_after`), until their time is over.

They are derived from the log. A store that can (`KeyKeeper`) keeps them on disk, so that memory holds only those that
are not stored yet; with any other store all of them are here. A stored key is never an answer by itself: the event that
it names is read, and must have that key. And the store shows that a key which it does not find was never stored.

Invariant: up to `upto`, every key whose time is not over is in `_pending` or stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from .books import KEY_GENERATION, Books, KeyUse, key_end
from .errors import Damaged
from .events import KEY_SECONDS, Charged, Recorded, Released, Requested
from .identity import key_use
from .log import Entry, KeysEnd, StoredKey, decode_commit, follow_store
from .plugins import KeyKeeper, Store

MAX_PENDING = 4 * KEY_GENERATION
"""Keys of a store with `KeyKeeper` that are held in memory at most: a process that only reads stores none of them."""
SAVED_AT_ONCE = 512
"""Keys that are stored after a commit at least, so that no caller waits for a whole generation of them."""


class OlderKeys:
    """The older keys of one log, for its writer. `entry` reads an event of the log.

    Every method needs the writer's lock.
    """

    def __init__(self, store: Store, entry: Callable[[int], Entry]) -> None:
        self._store, self._entry = store, entry
        self._keeper = store if isinstance(store, KeyKeeper) else None
        self._distrusted = False
        self.reset()

    def reset(self) -> None:
        """Forget everything: it is derived again when it is needed."""
        self.upto = 0
        self._stored: KeysEnd | None = None
        self._pending: dict[bytes, KeyUse] = {}

    def add(self, forgotten: Mapping[bytes, KeyUse], after: int, books: Books) -> None:
        """Take over the keys that the books forgot, which are those after a sequence up to their `keys_after`."""
        if self.upto < after:
            return
        if self._keeper is not None and len(self._pending) > MAX_PENDING:
            self.reset()
            return
        uses = [*self._pending.items(), *forgotten.items()]
        self._set_pending({digest: use for digest, use in uses if use[1] > self._stored_upto}, books)
        self.upto = max(self.upto, books.keys_after)

    def find(self, books: Books, digest: bytes) -> KeyUse | None:
        """Return the last use of a key up to the books' `keys_after`; None if there is none that is remembered.

        Raises Damaged or another LogError if the log cannot be read.
        """
        try:
            return self._find(books, digest)
        except Damaged:  # what is stored is not what was stored: derive all of it from the log
            self._distrusted = True
            self.reset()
            return self._find(books, digest)

    def save(self, books: Books, size: int) -> None:
        """Store up to so many keys, the oldest first. A failure is none: they stay in memory."""
        if self._keeper is None or not self._pending:
            return
        try:
            self._adopt(self._end())
            uses = list(islice(self._pending.items(), size))
            if not uses:
                return
            upto = self.upto if len(uses) == len(self._pending) else uses[-1][1][1]
            end = KeysEnd(upto, next(iter(self._store.read(upto - 1))).hash, books.at)
            keys = [StoredKey(digest, seq, until) for digest, (_, seq, until) in uses]
            self._keeper.save_keys(self._stored, keys, end)
        except Damaged:
            self._distrusted = True
            self.reset()
        except Exception:  # noqa: BLE001 - the commit is written: no error of a store may reach its callers now
            return
        else:
            self._distrusted = False
            self._stored = end
            for digest, _ in uses:
                del self._pending[digest]

    # -- what is stored ------------------------------------------------------------------------------------------------

    @property
    def _stored_upto(self) -> int:
        return 0 if self._stored is None else self._stored.upto

    def _end(self) -> KeysEnd | None:
        """Return the end of what is stored, if it is the log's; None if nothing is, or if it is not to be trusted."""
        end = None if self._keeper is None or self._distrusted else self._keeper.keys_end()
        if end is None or not 0 < end.upto <= self._store.head().seq:
            return None
        commit = next(iter(self._store.read(end.upto - 1)), None)
        return end if commit is not None and commit.hash == end.hash else None

    def _adopt(self, end: KeysEnd | None) -> None:
        """Keep in memory only what comes after the end of what is stored."""
        if end == self._stored:
            return
        if self._stored is not None and (end is None or end.upto < self._stored.upto):
            raise Damaged("stored keys were lost")
        self._stored = end
        if end is not None:
            self._pending = {digest: use for digest, use in self._pending.items() if use[1] > end.upto}
            self.upto = max(self.upto, end.upto)

    # -- finding -------------------------------------------------------------------------------------------------------

    def _find(self, books: Books, digest: bytes) -> KeyUse | None:
        if self.upto < books.keys_after:
            self._adopt(self._end())
        if self.upto < books.keys_after:
            uses = derived(self._store, books, self._entry, self.upto, books.keys_after)
            self._set_pending({**self._pending, **dict(uses)}, books)
            self.upto = books.keys_after
        if (use := self._pending.get(digest)) is not None or self._keeper is None or self._stored is None:
            return use
        seq = self._keeper.find_key(digest, self._stored.upto)
        return self._checked(books, digest, seq) if seq else None

    def _checked(self, books: Books, digest: bytes, seq: int) -> KeyUse:
        """Return the use of a stored key, as the log has it. Raises Damaged if the log does not have it there."""
        entry = self._entry(seq) if 0 < seq <= self._store.head().seq else None
        if entry is not None and entry.event.key is not None:
            found, use = key_use(books, entry, _account(books, entry.event, {}, self._entry))
            if found == digest:
                return use
        raise Damaged(f"a stored key names the event {seq}, which does not have it")

    def _set_pending(self, uses: Mapping[bytes, KeyUse], books: Books) -> None:
        """Keep those uses whose time is not over, in the order of the log."""
        kept = [(digest, use) for digest, use in uses.items() if use[2] > books.at]
        self._pending = dict(sorted(kept, key=lambda each: each[1][1]))


def derived(
    store: Store, books: Books, entry: Callable[[int], Entry], after: int, upto: int
) -> Iterator[tuple[bytes, KeyUse]]:
    """Yield the keys that the log has after a sequence up to another, by digest, but for some that are over.

    The books are those at `upto` or later ones. Raises Damaged or another LogError.
    """
    longest = max([KEY_SECONDS, *(plan.terms.key_seconds for plan in books.plans.values())])
    requests: dict[int, int] = {}
    for commit in follow_store(store, after):
        if commit.first_seq > upto:
            return
        if key_end(commit.at, longest) <= books.at:
            continue
        for seq, event in enumerate(decode_commit(commit), commit.first_seq):
            if isinstance(event, Requested):
                requests[seq] = event.account
            if event.key is not None and event.fingerprint is not None and after < seq <= upto:
                account = _account(books, event, requests, entry)
                yield key_use(books, Entry(seq, commit.at, event), account)
            if isinstance(event, Released | Charged):
                requests.pop(event.request, None)


def _account(books: Books, event: Recorded, requests: Mapping[int, int], entry: Callable[[int], Entry]) -> int:
    """Return the account of an event, by its request where it names none; 0 for one of the catalogue."""
    number = books.account_of(event)
    if number or not (request := getattr(event, "request", 0)):
        return number
    return requests.get(request) or books.account_of(entry(request).event)
