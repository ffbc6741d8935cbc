"""Controls and readings of a mock chain for tests: blocks, reorganisations, fees and faults."""

from __future__ import annotations

from ledger.amounts import MAX_ASSET_DECIMALS, is_whole
from ledger.errors import BadData
from ledger.settlement.messages import Found

from . import batches, faults
from .connection import Connection
from .faults import Fault


class Controls(Connection):
    """Controls and readings of the chain for tests. No scripted fault applies to them."""

    def mine(self, blocks: int = 1) -> None:
        """Mine blocks. The first has all transactions of the pool that can be mined."""
        with self._shared.changing():
            for _ in range(blocks):
                self._node.mine()

    def reorganise(self, depth: int, *, keep: bool = False, force: bool = False) -> None:
        """Replace the last `depth` blocks by as many empty ones. Their transactions are lost unless `keep` puts them
        back in the pool. Raises ValueError for more blocks than there are, or, without `force`, for final ones."""
        with self._shared.changing():
            if not 0 < depth <= self._node.height:
                raise ValueError(f"there are {self._node.height} blocks to reorganise, not {depth}")
            if depth > self._node.deployment.finality and not force:
                raise ValueError(
                    f"the last {depth} blocks cannot be replaced: only {self._node.deployment.finality} are not final"
                )
            self._node.reorganise(depth, keep)

    def steal_nonce(self) -> None:
        """Mine a block with a transaction by another holder of the operator's key, which takes its next nonce."""
        with self._shared.changing():
            self._node.steal_nonce()

    def script(self, *script: Fault) -> None:
        """Add faults to the script. Raises BadData for one that can never apply."""
        faults.check(script, self._node.deployment.finality)
        if script:
            with self._shared.changing():
                self._node.pending.script += script

    def set_decimals(self, asset: str, decimals: int) -> None:
        """Set what the chain reports as the decimals of an asset. Raises BadData beyond 0 to 255."""
        if not is_whole(decimals, maximum=MAX_ASSET_DECIMALS):
            raise BadData(f"decimals must be a whole number from 0 to {MAX_ASSET_DECIMALS}, not {decimals!r}")
        with self._shared.changing():
            self._node.pending.decimals = {**self._node.pending.decimals, asset: decimals}

    @property
    def base_fee(self) -> int:
        """The lowest fee that is mined, in the smallest unit of the chain's coin."""
        return self._shared.now().pending.base_fee

    @base_fee.setter
    def base_fee(self, fee: int) -> None:
        if not is_whole(fee):
            raise BadData(f"a fee must be a whole number, 0 or more, not {fee!r}")
        with self._shared.changing():
            self._node.pending.base_fee = fee

    @property
    def automine(self) -> bool:
        """True if each sent transaction is mined immediately, in a separate block."""
        return self._shared.now().pending.automine

    @automine.setter
    def automine(self, on: bool) -> None:
        with self._shared.changing():
            self._node.pending.automine = on

    @property
    def height(self) -> int:
        """The last block's number; 0 is the genesis."""
        return self._shared.now().height

    @property
    def faults_left(self) -> tuple[Fault, ...]:
        """The remaining faults of the script."""
        return self._shared.now().pending.script

    @property
    def pool(self) -> tuple[str, ...]:
        """The hashes of the transactions in the pool, in the order of their arrival."""
        return tuple(waiting.transaction.hash for waiting in self._shared.now().pending.pool)

    @property
    def fees_paid(self) -> int:
        """The fees that the operator has paid, in the smallest unit of the chain's coin."""
        return self._shared.now().state.fees_paid

    def block_hash(self, number: int) -> str:
        """Return the hash of a block. Raises LookupError if there is no such block."""
        blocks = self._shared.now().blocks
        if not 0 <= number < len(blocks):
            raise LookupError(f"there is no block {number}")
        return blocks[number].hash

    def batches(self) -> dict[int, Found]:
        """Return all mined batches by number."""
        node = self._shared.now()
        return {number: batches.find(node, number, node.final) for number in node.state.batches}

    def reverted(self, transaction: str) -> str | None:
        """Return why a mined transaction was reverted; empty if it was not, None if no block has it."""
        receipt = self._shared.now().state.receipts.get(transaction)
        return receipt.reverted if receipt else None

    def balance(self, holder: str, asset: str) -> int:
        """Return what the contract has paid to a receiver or a subscriber, in the asset's smallest unit."""
        return self._shared.now().state.balances.get((holder, asset), 0)

    def holdings(self, asset: str) -> int:
        """Return the contract's balance, in the asset's smallest unit."""
        return self._shared.now().state.holdings.get(asset, 0)

    def final_root(self, asset: str) -> str:
        """Return the root of the asset's last executed batch (0x hex), against which exits are proven; empty if there
        is none."""
        root = self._shared.now().state.roots.get(asset)
        return root.root if root else ""
