"""EVM chains on this machine for the simulator: three of each who takes part, and a block for each pause."""

from collections.abc import Mapping, Sequence
from typing import Any

from chains.evm import addresses
from chains.evm.contract import SettlementContract
from chains.evm.local import CHAIN_ID, DEV_ACCOUNTS, LocalChain
from chains.evm.local.anvil import Anvil
from chains.evm.local.tester import Tester
from chains.testing.evm_harness import AnvilHarness, LocalHarness, TesterHarness
from ledger import CreatePlan
from ledger.events import ContractRef
from ledger.plugins import Chain
from replay.simulator.environment import BEGIN


class _Market(LocalHarness):
    subscribers: Sequence[str] = tuple(account.address for account in DEV_ACCOUNTS[4:7])
    receivers: Sequence[str] = tuple(account.address for account in DEV_ACCOUNTS[7:10])

    def __init__(self, *, window: bool = False) -> None:
        super().__init__(window=window)
        self._chains: list[Any] = []
        self._contracts: dict[str, SettlementContract] = {}

    def close(self) -> None:
        """All connections end, and then the chain does."""
        for chain in self._chains:
            chain.close()
        super().close()

    def _connect(self, contract_ref: ContractRef, url: str) -> Chain:
        """Connect so that a block is mined when the outbox pauses."""
        chain = super()._connect(contract_ref, url)
        self._chains.append(chain)
        chain.pause = self._local.mine
        return chain

    def _buy(self, chain: Chain, subscriber: str, plan: str, **terms: Any) -> str:
        """Whoever gets a part of a price here gets 1 or more."""
        price = {receiver: amount or 1 for receiver, amount in terms.pop("price").items()}
        return super()._buy(chain, subscriber, plan, price=price, **terms)

    def executed(self, chain: Chain) -> Mapping[int, str]:
        """From the contract's logs, past the plugin."""
        contract = self._contract(chain)
        topics = [contract.topic("BatchExecuted")]
        logs = self._node.logs(contract.deployed_block, self._local.height, chain.contract, topics)
        told = [contract.read(log)["args"] for log in logs]
        return {each["seq"]: "0x" + each["digest"].hex() for each in told}

    def paid(self, chain: Chain, receiver: str, asset: str) -> int:
        """What the token has moved there, and what is due."""
        token = addresses.token(asset)
        return self._moved(self._contract(chain), token, receiver) + self._contract(chain).due(token, receiver)

    def _contract(self, chain: Chain) -> SettlementContract:
        """It is asked after each step, so what never changes is asked for once."""
        if chain.contract not in self._contracts:
            self._contracts[chain.contract] = SettlementContract(self._node, chain.contract)
        return self._contracts[chain.contract]

    def plans_on_sale(self) -> list[CreatePlan]:
        """Plans that are used up soon, so that there is much to settle."""
        return [
            CreatePlan(
                plan=f"plan {number}",
                owner="acme",
                onchain_id=id,
                asset=self.asset,
                price={"acme": 7},
                credits=credits,
                policy="complexity",
                parameters={"weights": {"tokens": "1", "calls": "1"}},
                hold_seconds=20,
                longest_seconds=40,
                overrun=overrun,
                debt_limit=9 if overrun == "debt" else 0,
            )
            for number, (id, credits, overrun) in enumerate(zip(self.plans, (9, 20), ("debt", "cap"), strict=True), 1)
        ]


class MarketOnAnvil(_Market, AnvilHarness):
    """anvil, whose clock begins where the simulator's does."""

    def start(self, chain_id: int) -> LocalChain:
        return Anvil(chain_id=chain_id, automine=chain_id != CHAIN_ID, timestamp=BEGIN // 1_000_000)


class MarketOnTester(_Market, TesterHarness):
    """eth-tester, which mines at once."""

    def start(self, chain_id: int) -> LocalChain:
        return Tester(chain_id=chain_id, timestamp=BEGIN // 1_000_000)
