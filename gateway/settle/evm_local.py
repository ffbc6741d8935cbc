"""Runs a local EVM chain with a test token, the settlement contract and funded accounts, for `chain up`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any, Literal, NamedTuple

from chains.evm import addresses
from chains.evm.deploying import Delays, Roles, deploy_settlement, deploy_token
from chains.evm.local import LocalChain, local_chain
from chains.evm.node import Node
from chains.evm.sending import Sender
from chains.evm.settings import PREFIX
from chains.evm.tokens import Token

ROLES = ("operator", "owner", "guardian", "builder")
"""The roles of the chain's first accounts; the others are customers."""

PURSE = 10**12
"""Each customer's tokens, in the smallest unit: a million tokens of six decimals."""

FREEZE_DELAY, EXIT_DELAY = 60, 3600


class Holder(NamedTuple):
    """An account of the chain, its role, and its coins and tokens in their smallest units."""

    role: str
    address: str
    key: str
    coins: int
    tokens: int


class RunningChain(NamedTuple):
    """A local chain with its contract, token and accounts. `window` is the challenge window in seconds."""

    local: LocalChain
    chain: str
    contract: str
    token: str
    coin: str
    window: int
    accounts: tuple[Holder, ...]

    @property
    def environment(self) -> dict[str, str]:
        """The variables to set in another terminal, so that `tollbook settle` settles there; every block is final."""
        return {
            f"{PREFIX}URL": self.local.url,
            f"{PREFIX}KEY": self.accounts[0].key,
            f"{PREFIX}FINALITY": "0",
        }

    def answer(self) -> dict[str, Any]:
        """The answer of `chain up`."""
        return {
            "chain": self.chain,
            "kind": self.local.kind,
            "url": self.local.url,
            "contract": self.contract,
            "token": self.token,
            "coin": self.coin,
            "window": self.window,
            "accounts": [account._asdict() for account in self.accounts],
            "environment": self.environment,
        }


@contextmanager
def running(kind: Literal["anvil", "eth-tester"] | None, port: int, window: int) -> Iterator[RunningChain]:
    """Run a local chain until the context ends. Raises ChainUnavailable if it cannot be started."""
    with ExitStack() as stack:
        local = stack.enter_context(local_chain(kind, port=port))
        node = stack.enter_context(Node(local.url))
        operator, owner, guardian, *_ = local.accounts
        sender = Sender(node, owner.key)
        token = Token(node, deploy_token(sender).contract)
        roles = Roles(owner.address, operator.address, guardian.address)
        contract = deploy_settlement(sender, roles, Delays(window, FREEZE_DELAY, EXIT_DELAY)).contract
        named = [*ROLES, *["customer"] * (len(local.accounts) - len(ROLES))]
        for role, account in zip(named, local.accounts, strict=True):
            if role == "customer":
                sender.send(*token.mint(account.address, PURSE))
        held = [
            Holder(role, *account, node.balance(account.address), token.balance(account.address))
            for role, account in zip(named, local.accounts, strict=True)
        ]
        chain = addresses.chain_name(local.chain_id)
        coin, dollar = (addresses.asset_name(chain, address) for address in (addresses.COIN, token.address))
        yield RunningChain(local, chain, contract, dollar, coin, window, tuple(held))


class Stopped(BaseException):
    """Ctrl-C or SIGTERM has arrived."""


@contextmanager
def until_stopped() -> Iterator[None]:
    """End the context, without an error, when Ctrl-C or SIGTERM arrives; later signals do not interrupt its end."""

    def stop(number: int, frame: FrameType | None) -> None:
        for signal_number in before:
            signal.signal(signal_number, signal.SIG_IGN)
        raise Stopped

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, stop)
        yield
    except Stopped:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
