"""Deploys the settlement contract on an EVM chain, for `chain deploy`."""

from __future__ import annotations

from typing import Any, NamedTuple

from chains.evm.addresses import asset_name
from chains.evm.deploying import Delays, Roles, check_settlement, deploy_settlement, deploy_token
from chains.evm.sending import Done, Sender
from ledger.amounts import SECOND
from ledger.clock import system_clock
from ledger.errors import BadData

from .evm_status import asking, chain_number


class DeployedContract(NamedTuple):
    """A contract that was deployed, and a test token if one was asked for. `max_cost` is what both could have cost at
    most, in the coin's smallest unit."""

    chain: str
    roles: Roles
    delays: Delays
    contract: Done
    token: Done | None
    max_cost: int

    @property
    def token_asset(self) -> str | None:
        """The asset name of the test token."""
        return None if self.token is None else asset_name(self.chain, self.token.contract)

    def answer(self) -> dict[str, Any]:
        """The answer of `chain deploy`."""
        answer = {"chain": self.chain, **self.contract._asdict(), "most": self.max_cost, **self.roles._asdict()}
        window, freeze_delay, exit_delay = self.delays
        answer |= {"window": window, "freeze_delay": freeze_delay, "exit_delay": exit_delay, "token": None}
        if self.token is not None:
            answer["token"] = {"asset": self.token_asset, **self.token._asdict()}
        return answer


def deploy_contract(
    chain: str,
    *,
    owner: str | None,
    operator: str | None,
    guardian: str | None,
    window: int,
    freeze_delay: int,
    exit_delay: int,
    with_token: bool,
) -> DeployedContract:
    """Deploy the contract, and with `with_token` a test token, with the key that is set. Delays are in seconds.

    Owner and operator default to the key's address, the guardian to none. Raises BadData without a key, for another
    chain than the node's, and for roles and delays that the contract cannot have, before anything is sent.
    """
    with asking(chain) as (node, account):
        if account is None:
            hint = "set TOLLBOOK_EVM_KEY, or TOLLBOOK_EVM_KEYSTORE and TOLLBOOK_EVM_KEYSTORE_PASSWORD_FILE"
            raise BadData("no key is set that could pay for it", hint)
        node.check(chain_number(chain), now=system_clock() // SECOND)
        sender = Sender(node, account)
        roles = Roles(
            owner or sender.address, operator or sender.address, guardian or Roles._field_defaults["guardian"]
        )
        delays = Delays(window, freeze_delay, exit_delay)
        max_cost = check_settlement(sender, roles, delays, with_token=with_token)
        token = deploy_token(sender) if with_token else None
        return DeployedContract(chain, roles, delays, deploy_settlement(sender, roles, delays), token, max_cost)
