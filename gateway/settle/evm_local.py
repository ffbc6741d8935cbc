"""Runs a local EVM chain with a test token, the settlement contract and funded accounts, for `chain up`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Literal, NamedTuple

from chains.evm import addresses
from chains.evm.deploying import Delays, Roles, deploy_settlement, deploy_token
from chains.evm.local import MINED_SECONDS, LocalChain, local_chain
from chains.evm.node import Node
from chains.evm.sending import Sender
from chains.evm.settings import PREFIX
from chains.evm.tokens import Token
from replay.reports.exports import Progress

from ..waiting import reported

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
def running(
    kind: Literal["anvil", "eth-tester"] | None, port: int, window: int, progress: Progress
) -> Iterator[RunningChain]:
    """Run a local chain until the context ends. Raises ChainUnavailable if it cannot be started.

    `progress` gets the phase `chain`, with the transactions that set it up, and WAITING.
    """
    with local_chain(kind, port=port) as local:
        with reported(local, progress), local.node() as node:
            there = _set_up(local, node, window, progress)
        yield there


def _set_up(local: LocalChain, node: Node, window: int, progress: Progress) -> RunningChain:
    """Deploy the token and the contract, and give tokens to the customers."""
    operator, owner, guardian, *_ = local.accounts
    named = [*ROLES, *["customer"] * (len(local.accounts) - len(ROLES))]
    customers = [account for role, account in zip(named, local.accounts, strict=True) if role == "customer"]
    steps = 2 + len(customers)
    progress("chain", 0, steps)
    sender = Sender(node, owner.key, timeout=MINED_SECONDS)
    token = Token(node, deploy_token(sender).contract)
    progress("chain", 1, steps)
    roles = Roles(owner.address, operator.address, guardian.address)
    contract = deploy_settlement(sender, roles, Delays(window, FREEZE_DELAY, EXIT_DELAY)).contract
    progress("chain", 2, steps)
    for done, account in enumerate(customers, 3):
        sender.send(*token.mint(account.address, PURSE))
        progress("chain", done, steps)
    held = [
        Holder(role, *account, node.balance(account.address), token.balance(account.address))
        for role, account in zip(named, local.accounts, strict=True)
    ]
    chain = addresses.chain_name(local.chain_id)
    coin, dollar = (addresses.asset_name(chain, address) for address in (addresses.COIN, token.address))
    return RunningChain(local, chain, contract, dollar, coin, window, tuple(held))


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM has arrived."""


@contextmanager
def until_stopped() -> Iterator[None]:
    """End the context, without an error, when Ctrl-C or SIGTERM arrives; later signals do not interrupt its end."""
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            raise Stopped

    def unraisable(lost: sys.UnraisableHookArgs) -> None:
        nonlocal stopped
        if isinstance(lost.exc_value, Stopped):  # raised where Python drops it: `main` repeats the signal
            stopped = False
        hook(lost)

    hook, sys.unraisablehook = sys.unraisablehook, unraisable
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
        sys.unraisablehook = hook
