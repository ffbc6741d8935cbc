"""What `chain up` puts on a local EVM chain: a token, the settlement contract, and accounts with money."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Literal, NamedTuple

from chains.evm import addresses
from chains.evm.deploying import Delays, Roles, deploy_settlement, deploy_token
from chains.evm.local import LocalChain, local_chain
from chains.evm.node import Node
from chains.evm.sending import Sender
from chains.evm.settings import PREFIX
from chains.evm.tokens import Token

ROLES = ("operator", "owner", "guardian", "builder")
"""What the first of the chain's accounts are for; the others are customers."""

PURSE = 10**12
"""What each customer has of the token's smallest unit: a million of it."""

FREEZE_DELAY, EXIT_DELAY = 60, 3600


class Holder(NamedTuple):
    """An account of the chain, what it is for, and what it has in the smallest units."""

    role: str
    address: str
    key: str
    coins: int
    tokens: int


class Running(NamedTuple):
    """A local chain with all that is on it."""

    local: LocalChain
    chain: str
    contract: str
    token: str
    coin: str
    accounts: tuple[Holder, ...]

    @property
    def environment(self) -> dict[str, str]:
        """What to set in another terminal, so that `tollbook settle` settles there. A block is final at once."""
        return {
            f"{PREFIX}URL": self.local.url,
            f"{PREFIX}KEY": self.accounts[0].key,
            f"{PREFIX}FINALITY": "0",
        }


@contextmanager
def running(kind: Literal["anvil", "eth-tester"] | None, port: int, window: int) -> Iterator[Running]:
    """A local chain, which ends with the context. Raises ChainUnavailable where it cannot be started."""
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
        coin, dollar = (addresses.asset_name(chain, each) for each in (addresses.COIN, token.address))
        yield Running(local, chain, contract, dollar, coin, tuple(held))


class Stopped(BaseException):
    """The process was told to end, by Ctrl-C or by SIGTERM."""


@contextmanager
def until_stopped() -> Iterator[None]:
    """Ends with the context, quietly, when the process is told to end; what happens after that is not interrupted."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each in told:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped

    told = (signal.SIGINT, signal.SIGTERM)
    before = {each: signal.signal(each, stop) for each in told}
    try:
        yield
    except Stopped:
        pass
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
