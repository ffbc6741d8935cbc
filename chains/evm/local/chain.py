"""The interface of local chains: a node's URL, accounts with money, and control over blocks and time."""

from __future__ import annotations

import http.client
import itertools
import json
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

from ledger.errors import BadData, ChainUnavailable, SendUnknown

from .waiting import Waiting

if TYPE_CHECKING:
    from ..node import Node

CHAIN_ID = 31337
"""The usual chain id of local EVM chains."""

MINED_SECONDS = 600
"""The time that a transaction has to be mined: generous, since a busy machine may run nothing for minutes."""


class DevAccount(NamedTuple):
    """An account with money on every local chain. Its key is public: never use it on any other chain."""

    address: str
    key: str


DEV_ACCOUNTS = tuple(
    DevAccount(*pair)
    for pair in (
        (
            "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
            "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
        ),
        (
            "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
            "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
        ),
        (
            "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
            "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
        ),
        (
            "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
            "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
        ),
        (
            "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
            "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
        ),
        (
            "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc",
            "0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
        ),
        (
            "0x976EA74026E726554dB657fA54763abd0C3a0aa9",
            "0x92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
        ),
        (
            "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955",
            "0x4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
        ),
        (
            "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f",
            "0xdbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
        ),
        (
            "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720",
            "0x2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
        ),
    )
)
"""The ten accounts of MNEMONIC, as every development chain has them. Their keys are public."""

MNEMONIC = "test test test test test test test test test test test junk"
DERIVATION = "m/44'/60'/0'/0"


class LocalChain(ABC):
    """A chain on this machine, for tests and demonstrations. A context manager: closing it ends it.

    `url` is its node's, `chain_id` its id; `accounts` have 10,000 coins or more each, and public keys. Every
    transaction is mined immediately unless the kind of chain says otherwise. `finalized` is the block `2 * slots` below
    the head, `safe` the one `slots` below. An answer has no time limit while the chain runs, since a busy machine may
    run nothing for minutes; `waiting` has the requests without one. All methods raise ChainUnavailable where the chain
    has ended, and BadData where it refuses.
    """

    kind: str
    url: str
    chain_id: int
    slots: int
    accounts: tuple[DevAccount, ...] = DEV_ACCOUNTS

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self.waiting = Waiting()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """End the chain. A second call does nothing."""

    @abstractmethod
    def ended(self) -> str:
        """Return how the chain has ended; an empty text while it runs."""

    def node(self, **options: Any) -> Node:  # noqa: ANN401 - Node's
        """Return a connection that waits for each answer as long as the chain runs. `options` are `Node`'s; its last
        block may be of any age."""
        from ..node import Node

        return Node(self.url, timeout=None, during=self._request, **{"max_head_age": 0, **options})

    @contextmanager
    def _request(self) -> Iterator[None]:
        """Count a request as waiting, and say so where the chain has ended before it answered."""
        try:
            with self.waiting.request():
                yield
        except (ChainUnavailable, SendUnknown):
            if how := self.ended():
                reason = f"the local chain at {self.url} does not answer: {how}"
                raise ChainUnavailable(reason, "start it again") from None
            raise

    def ask(self, method: str, *params: object) -> Any:  # noqa: ANN401 - JSON, of any shape
        """Return the result of one JSON-RPC request."""
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        headers = {"Content-Type": "application/json"}
        # The chain is on this machine: proxies that the environment names are not used.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        message = urllib.request.Request(self.url, json.dumps(request).encode(), headers)
        with self._request():
            try:
                with opener.open(message) as answer:
                    decoded = json.load(answer)
            except (OSError, ValueError, http.client.HTTPException) as error:
                reason = f"the local chain at {self.url} does not answer: {error}"
                raise ChainUnavailable(reason, "start it again") from error
        if "error" in decoded:
            raise BadData(f"the local chain rejects {method}: {decoded['error'].get('message')}")
        return decoded.get("result")

    @property
    def height(self) -> int:
        """The number of the last block."""
        return int(self.ask("eth_blockNumber"), 16)

    @property
    def now(self) -> int:
        """The last block's timestamp, in seconds."""
        return int(self.ask("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def mined(self, transaction: str) -> dict[str, Any]:
        """Return the receipt of a transaction that was sent, by its hash, as soon as it is mined.

        anvil answers before it mines, so a reading right after sending may be of the previous block. Raises
        ChainUnavailable if it is not mined within `MINED_SECONDS`.
        """
        end = time.monotonic() + MINED_SECONDS
        while True:
            if receipt := self.ask("eth_getTransactionReceipt", transaction):
                return cast(dict[str, Any], receipt)
            if time.monotonic() >= end:
                break
            time.sleep(0.005)
        raise ChainUnavailable(f"the local chain did not mine {transaction}", "send it, or mine a block")

    def mine(self, blocks: int = 1) -> None:
        """Mine that many blocks."""
        self.ask("anvil_mine", hex(blocks))

    def set_automine(self, on: bool) -> None:
        """Mine transactions as they arrive, or keep them in the pool until `mine` is called."""
        self.ask("evm_setAutomine", on)

    def drop(self, transaction: str) -> bool:
        """Remove a transaction and its sender's later ones from the pool. Return False if it was not there."""
        return self.ask("anvil_dropTransaction", transaction) is not None

    def set_next_time(self, timestamp: int) -> None:
        """Set the timestamp of the next block (seconds, later than the last block's), whenever it is mined."""
        self.ask("evm_setNextBlockTimestamp", timestamp)

    def advance(self, seconds: int) -> None:
        """Mine a block that is that many seconds after the last one."""
        self.set_next_time(self.now + seconds)
        self.mine()

    def snapshot(self) -> str:
        """Return the id of a snapshot of the current state, for `restore`."""
        return str(self.ask("evm_snapshot"))

    def restore(self, snapshot: str) -> None:
        """Restore a snapshot. This deletes it and all later ones."""
        if self.ask("evm_revert", snapshot) is not True:
            raise BadData(f"the local chain has no snapshot {snapshot}", "take one first, and restore it once")

    def reorganise(self, depth: int) -> None:
        """Replace the last `depth` blocks by empty ones. Their transactions are lost, and are not in the pool."""
        self.ask("anvil_reorg", depth, [])
