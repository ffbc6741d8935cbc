"""A token, or the chain's own coin: balances, approvals, EIP-3009 authorizations."""

from __future__ import annotations

from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from web3.types import TxParams

from ledger.errors import BadData

from ..leaves import abi_encode, keccak
from .addresses import COIN
from .node import Node
from .node_errors import CallReverted

_WORD = 32
_AUTHORIZATION = {
    "ReceiveWithAuthorization": [
        {"name": "from", "type": "address"},
        {"name": "to", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "validAfter", "type": "uint256"},
        {"name": "validBefore", "type": "uint256"},
        {"name": "nonce", "type": "bytes32"},
    ]
}
_DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_DOMAIN_FIELDS = 0x0F
"""EIP-5267's bits for exactly those four fields."""


class Token:
    """The token at an address, `COIN` for the chain's own coin. Amounts are in its smallest unit.

    Reads raise ChainUnavailable, and BadData if the address is not a token.
    """

    def __init__(self, node: Node, address: str) -> None:
        self._node, self.address = node, address

    def balance(self, holder: str) -> int:
        """Return an account's balance, in the token's smallest unit."""
        if self.address == COIN:
            return self._node.balance(holder)
        return int(self._read("uint256", "balanceOf(address)", holder))

    def decimals(self) -> int:
        """Return the number of decimals of a displayed amount; 18 for a coin."""
        return 18 if self.address == COIN else int(self._read("uint8", "decimals()"))

    def symbol(self) -> str:
        """Return the token's symbol; empty if it has none."""
        try:
            return "" if self.address == COIN else str(self._read("string", "symbol()"))
        except BadData:
            return ""

    def approve(self, spender: str, amount: int) -> tuple[str, bytes]:
        """Return the call that approves an amount for a spender: the address to call, and the data.

        Raises BadData for the coin.
        """
        if self.address == COIN:
            raise BadData("the chain's own coin needs no approval", "send it with the purchase, as its value")
        return self.address, _call("approve(address,uint256)", spender, amount)

    def mint(self, holder: str, amount: int) -> tuple[str, bytes]:
        """Return the call that mints an amount of a `TestToken` for an account."""
        return self.address, _call("mint(address,uint256)", holder, amount)

    def transfer(self, receiver: str, amount: int) -> tuple[str, bytes]:
        """Return the call that transfers an amount. Raises BadData for the coin."""
        if self.address == COIN:
            raise BadData(
                "the chain's own coin has no transfer call", "send a transaction with the amount as its value"
            )
        return self.address, _call("transfer(address,uint256)", receiver, amount)

    # -- EIP-3009 ------------------------------------------------------------------------------------------------------

    def authorize(
        self,
        account: LocalAccount,
        *,
        chain_id: int,
        to: str,
        amount: int,
        valid_after: int,
        valid_before: int,
        nonce: str,
    ) -> tuple[int, str, str]:
        """Return a signature (v, r, s) with which `to` can take the amount from the account, once, between two Unix
        times.

        Raises BadData for a token whose EIP-712 domain is unknown.
        """
        message = {
            "from": account.address,
            "to": to,
            "value": amount,
            "validAfter": valid_after,
            "validBefore": valid_before,
            "nonce": bytes.fromhex(nonce.removeprefix("0x")),
        }
        signed = account.sign_message(encode_typed_data(self.domain(chain_id), _AUTHORIZATION, message))
        return signed.v, f"0x{signed.r:064x}", f"0x{signed.s:064x}"

    def domain(self, chain_id: int) -> dict[str, Any]:
        """Return the EIP-712 domain that signatures are bound to: as EIP-5267 returns it, or else from name and
        version."""
        name, version = self._name_and_version()
        domain = {"name": name, "version": version, "chainId": chain_id, "verifyingContract": self.address}
        parts = keccak(_DOMAIN.encode()), keccak(name.encode()), keccak(version.encode()), chain_id, self.address
        separator = keccak(abi_encode(("bytes32", "bytes32", "bytes32", "uint256", "address"), parts))
        if self._read("bytes32", "DOMAIN_SEPARATOR()") != separator:
            raise BadData(
                f"the token {self.address} has another EIP-712 domain than that of {name!r} {version!r}",
                "approve the price and call `purchase` instead",
            )
        return domain

    def _name_and_version(self) -> tuple[str, str]:
        try:
            fields, name, version, *_ = self._read_all(
                ("bytes1", "string", "string", "uint256", "address", "bytes32", "uint256[]"), "eip712Domain()"
            )
        except BadData:
            return str(self._read("string", "name()")), str(self._read("string", "version()"))
        if fields[0] != _DOMAIN_FIELDS:
            raise BadData(
                f"the token {self.address} has an EIP-712 domain with other fields", "approve the price instead"
            )
        return name, version

    def _read(self, kind: str, signature: str, *arguments: str) -> Any:  # noqa: ANN401 - of the kind that is asked for
        return self._read_all((kind,), signature, *arguments)[0]

    def _read_all(self, kinds: tuple[str, ...], signature: str, *arguments: str) -> tuple[Any, ...]:
        try:
            transaction: TxParams = {"to": to_checksum_address(self.address), "data": _call(signature, *arguments)}
            return decode(kinds, self._node.call(transaction))
        except (CallReverted, DecodingError) as error:
            raise BadData(
                f"the code at {self.address} does not answer {signature}", "check that it is the token's address"
            ) from error


def _call(signature: str, *arguments: str | int) -> bytes:
    kinds = signature[signature.index("(") + 1 : -1]
    return keccak(signature.encode())[:4] + abi_encode(kinds.split(",") if kinds else (), arguments)
