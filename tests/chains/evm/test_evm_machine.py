"""The machine that the contract's rules run on does what eth-tester does, to the last unit of gas."""

import pytest
from eth_tester import EthereumTester, PyEVMBackend
from evm_machine import COIN, GAS, Machine, Reverted, refused
from settlement_world import HOSTILE, artifact

SETTLEMENT = artifact("UsageSettlement")


def test_transactions_cost_here_what_they_cost_in_a_block_of_eth_tester():
    tester = EthereumTester(PyEVMBackend())
    person = tester.get_accounts()[0]
    machine = Machine()
    machine.give(person, 10**20)
    machine.give("0x" + "00" * 20, 1)  # has coins in eth-tester too: fees of blocks go there

    def in_a_block(to: str, data: bytes, value: int = 0) -> tuple[int, str]:
        fields = {"from": person, "to": to, "data": "0x" + data.hex(), "value": value, "gas": GAS}
        receipt = tester.get_transaction_receipt(tester.send_transaction(fields))
        assert receipt["status"] == 1
        return receipt["gas_used"], receipt["contract_address"]

    made = SETTLEMENT.creation(person, person, person, 0, 0, 0)
    _, address = in_a_block("", made)
    here = machine.deploy(SETTLEMENT, person, person, person, 0, 0, 0, by=person)
    assert here.address == address
    terms = (bytes(32), (COIN, 1, 0, ((person, 7),)))
    plan = here.read("planIdOf", person, bytes(32))
    calls = [("setPlan", terms, 0)]
    calls += [("purchase", ((plan, person, salt.to_bytes(32, "big")),), 7) for salt in range(3)]
    calls += [("requestExit", (plan,), 0), ("claimUncharged", (plan,), 0), ("exitUncharged", (plan,), 0)]
    for function, arguments, value in calls:
        there, _ = in_a_block(address, SETTLEMENT.calldata(function, *arguments), value)
        assert here.do(function, *arguments, by=person, value=value).gas == there, function


def test_a_fork_goes_its_own_way():
    machine = Machine()
    machine.give(COIN, 1)
    puppet = machine.deploy(artifact("Puppet", HOSTILE), by=COIN)
    one, two = machine.fork(), machine.fork()
    puppet.on(one).do("setRefusing", True, by=COIN)
    assert puppet.on(one).read("refusing")
    assert not puppet.on(two).read("refusing")


def test_a_reading_leaves_no_trace_and_writes_nothing():
    machine = Machine()
    puppet = machine.deploy(artifact("Puppet", HOSTILE), by=COIN)
    with refused("WriteProtection"):
        puppet.read("setRefusing", True)
    assert not puppet.read("refusing")


def test_a_refusal_is_told_by_its_name_and_must_be_the_one_that_is_meant():
    machine = Machine()
    nobody = "0x" + "00" * 20
    with pytest.raises(Reverted, match="OwnableInvalidOwner"):
        machine.deploy(SETTLEMENT, nobody, nobody, nobody, 0, 0, 0, by=COIN)
