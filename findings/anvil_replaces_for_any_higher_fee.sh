#!/usr/bin/env bash
# anvil 1.7.1 replaces a waiting transaction by one whose fee is higher by a single wei.
#
# Nodes of the public network ask for at least 10 % more of both fees (geth's default, `txpool.pricebump`) and answer
# "replacement transaction underpriced" otherwise. anvil asks for none of that: maxFeePerGas + 1 wei with the same
# maxPriorityFeePerGas replaces the first transaction; with equal fees it answers that error too.
#
# Seen:    the same fees again:       -32003 replacement transaction underpriced
#          + 1 wei on maxFeePerGas:   accepted; the first transaction is gone, the second is mined
# So:      a settlement's fee bumps that pass on anvil may all be refused elsewhere: test the step of 10 % by itself.
set -euo pipefail

folder=$(mktemp -d)
trap '[ -n "${anvil:-}" ] && kill "$anvil" 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --ignore-scripts --no-save @foundry-rs/anvil@1.7.1 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet web3==8.0.0 2>/dev/null

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$(ls -d node_modules/@foundry-rs/anvil-*/bin/anvil)" --port "$port" --no-mining >anvil.log 2>&1 &
anvil=$!

venv/bin/python - "$port" <<'PYTHON' | tee seen
import sys
import time

from eth_account import Account
from web3 import HTTPProvider, Web3
from web3.exceptions import Web3RPCError

web3 = Web3(HTTPProvider(f"http://127.0.0.1:{sys.argv[1]}"))
while not web3.is_connected():
    time.sleep(0.1)
sender = Account.create()
web3.provider.make_request("anvil_setBalance", [sender.address, hex(10**18)])


def send(more: int, data: str = "0x") -> str:
    """Send a transaction with nonce 0, for `more` wei than the first one; return its hash."""
    transaction = {
        "chainId": web3.eth.chain_id, "nonce": 0, "to": sender.address, "value": 0, "gas": 30_000, "data": data,
        "maxFeePerGas": 10**10 + more, "maxPriorityFeePerGas": 10**9,
    }
    return web3.eth.send_raw_transaction(sender.sign_transaction(transaction).raw_transaction).to_0x_hex()


first = send(0)
try:
    send(0, data="0x01")  # otherwise it would be the same transaction
except Web3RPCError as error:
    print("the same fees again:", error.rpc_response["error"]["code"], error.rpc_response["error"]["message"])
second = send(1)
print("1 wei more: accepted")
web3.provider.make_request("evm_mine", [])
mined = [hash_.to_0x_hex() for hash_ in web3.eth.get_block("latest")["transactions"]]
print("mined:", ["first" if hash_ == first else "second" for hash_ in mined])
PYTHON

grep -q 'the same fees again: -32003 replacement transaction underpriced' seen
grep -q '1 wei more: accepted' seen
grep -q "mined: \['second'\]" seen
echo "as described"
