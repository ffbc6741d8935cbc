"""The mock's script of faults: each strikes the next call that it applies to, once."""

import msgspec
import pytest
from mock_batches import batch

from chains.mock import (
    Delay,
    Drop,
    Duplicate,
    Fault,
    Lie,
    MockChain,
    NodeDown,
    NoFinality,
    Refuse,
    Reorganise,
    SettleThenTimeOut,
    TimeOut,
)
from ledger.errors import BadData, ChainUnavailable, SendUnknown

EVERY = (
    Drop(),
    Delay(3),
    SettleThenTimeOut(),
    TimeOut(),
    Reorganise(2, on="find", when="before", keep=True),
    Duplicate(4),
    Refuse("no", on="send"),
    Lie("confirm"),
    NodeDown(2, skip=1),
    NoFinality(calls=1, blocks=2),
)


@pytest.fixture
def chain():
    """Alice has paid 100, finally."""
    with MockChain() as chain:
        chain.purchase("alice", "gold", "usd", {"bob": 100})
        chain.mine(2)
        yield chain


@pytest.fixture
def attempt(chain):
    return chain.prepare(batch(chain, 1), [])


def test_there_is_a_sample_of_every_fault_here():
    assert {type(fault) for fault in EVERY} == set(Fault.__args__)


def test_a_script_survives_json():
    text = msgspec.json.encode(EVERY)
    assert msgspec.json.decode(text, type=tuple[Fault, ...]) == EVERY


def test_drop_takes_nothing_in_and_says_nothing(chain, attempt):
    chain.script(Drop())
    chain.send(attempt)
    assert (chain.find(1).stage, chain.confirm(attempt), chain.faults_left) == ("absent", "gone", ())
    chain.send(attempt)
    assert chain.find(1).stage == "executed"


def test_delay_keeps_a_transaction_out_of_the_next_blocks(chain, attempt):
    chain.script(Delay(2))
    chain.send(attempt)
    stages = []
    for _ in range(4):
        stages.append(chain.find(1).stage)
        chain.mine()
    assert stages == ["pending", "pending", "pending", "executed"]


@pytest.mark.parametrize("automine", [True, False])
def test_settle_then_time_out_mines_the_transaction_and_does_not_say_so(chain, attempt, automine):
    chain.automine = automine
    chain.script(SettleThenTimeOut())
    with pytest.raises(SendUnknown):
        chain.send(attempt)
    assert chain.find(1).stage == "executed"


def test_time_out_alone_takes_nothing_in(chain, attempt):
    chain.script(TimeOut())
    with pytest.raises(SendUnknown):
        chain.send(attempt)
    assert (chain.find(1).stage, chain.confirm(attempt)) == ("absent", "gone")


def test_reorganise_after_a_send_loses_what_was_sent(chain, attempt):
    chain.script(Reorganise(1))
    chain.send(attempt)
    assert (chain.find(1).stage, chain.confirm(attempt)) == ("absent", "gone")


def test_reorganise_before_a_call_is_seen_by_it_and_after_it_is_not(chain, attempt):
    chain.send(attempt)
    chain.script(Reorganise(1, on="find", when="after"))
    assert [chain.find(1).stage for _ in range(2)] == ["executed", "absent"]
    chain.send(attempt)
    chain.script(Reorganise(1, on="confirm", when="before"))
    assert chain.confirm(attempt) == "gone"


def test_reorganise_goes_no_deeper_than_there_are_blocks():
    with MockChain(script=[Reorganise(2, on="facts", when="before")]) as chain:
        chain.mine()
        chain.facts()
        assert chain.height == 1


def test_duplicate_brings_a_transaction_twice_and_it_counts_once(chain, attempt):
    chain.script(Duplicate(2))
    chain.send(attempt)
    chain.mine(5)
    assert (chain.fees_paid, chain.due("bob", "usd"), chain.pool) == (1, 10, ())


def test_a_duplicate_that_arrives_after_a_reorganisation_brings_the_batch_back(chain, attempt):
    chain.script(Duplicate(2))
    chain.send(attempt)
    chain.reorganise(1)
    chain.mine(2)
    assert chain.find(1).stage == "executed"


def test_refuse_gives_simulate_a_reason_once(chain):
    chain.script(Refuse("not today"))
    assert [chain.simulate(batch(chain, 1)) for _ in range(2)] == ["not today", None]


def test_refuse_on_send_takes_nothing_in(chain, attempt):
    chain.script(Refuse("busy", on="send"))
    with pytest.raises(ChainUnavailable, match="busy"):
        chain.send(attempt)
    assert chain.find(1).stage == "absent"
    chain.send(attempt)
    assert chain.find(1).stage == "executed"


def test_lie_on_find_tells_of_a_batch_that_no_block_has_but_never_that_it_is_final(chain, attempt):
    chain.script(Drop(), Lie())
    chain.send(attempt)
    told = chain.find(1)
    assert (told.stage, told.final, told.transaction) == ("executed", False, attempt.transaction)
    assert told.digest.startswith("0x")
    assert chain.find(1).stage == "absent"


def test_lie_on_confirm_tells_of_a_transaction_that_is_gone(chain, attempt):
    chain.script(Drop(), Lie("confirm"))
    chain.send(attempt)
    assert [chain.confirm(attempt) for _ in range(2)] == ["pending", "gone"]


def test_a_lie_waits_until_it_would_be_one(chain, attempt):
    chain.script(Lie())
    assert chain.find(1).stage == "absent"
    chain.send(attempt)
    assert chain.find(1) == chain.batches()[1]
    assert chain.faults_left == (Lie(),)
    chain.reorganise(1)
    assert chain.find(1).stage == "executed"
    assert chain.faults_left == ()


def test_nothing_is_made_up_about_a_transaction_that_was_reverted(chain):
    chain.send(chain.prepare(batch(chain, 1, paid=101), []))
    chain.script(Lie())
    assert chain.find(1).stage == "absent"
    assert chain.faults_left == (Lie(),)


@pytest.mark.parametrize(
    "call", ["facts", "final_block", "simulate", "prepare", "send", "find", "confirm", "published", "due"]
)
def test_a_node_that_is_down_answers_no_call_for_so_many_of_them(chain, attempt, call):
    arguments = {
        "simulate": (batch(chain, 1),),
        "prepare": (batch(chain, 1), []),
        "send": (attempt,),
        "find": (1,),
        "confirm": (attempt,),
        "published": (1,),
        "due": ("bob", "usd"),
    }
    chain.script(NodeDown(2))
    for _ in range(2):
        with pytest.raises(ChainUnavailable):
            getattr(chain, call)(*arguments.get(call, ()))
    assert chain.pool == ()
    assert chain.faults_left == ()
    getattr(chain, call)(*arguments.get(call, ()))


def test_without_finality_nothing_is_final_for_so_many_calls(chain, attempt):
    chain.send(attempt)
    chain.mine(2)
    chain.script(NoFinality(calls=4))
    assert chain.final_block() == 0
    assert chain.facts() == []
    assert not chain.find(1).final
    assert chain.confirm(attempt) == "pending"
    assert chain.confirm(attempt) == "final"


def test_without_finality_nothing_is_final_for_so_many_blocks(chain):
    chain.script(NoFinality(blocks=2))
    seen = []
    for _ in range(3):
        seen.append(chain.final_block())
        chain.mine()
    assert seen == [0, 0, 3]


def test_other_faults_strike_while_finality_is_missing(chain, attempt):
    chain.script(NoFinality(blocks=9), Drop())
    chain.send(attempt)
    assert chain.find(1).stage == "absent"


def test_skip_lets_so_many_calls_go_well_first(chain):
    chain.script(NodeDown(skip=2))
    for _ in range(2):
        chain.due("bob", "usd")
    with pytest.raises(ChainUnavailable):
        chain.due("bob", "usd")


def test_one_call_is_struck_by_one_fault_in_the_order_of_the_script(chain, attempt):
    chain.script(TimeOut(), Drop())
    with pytest.raises(SendUnknown):
        chain.send(attempt)
    assert chain.faults_left == (Drop(),)


def test_a_fault_waits_for_a_call_that_it_applies_to(chain):
    chain.script(Drop())
    chain.find(1)
    assert chain.faults_left == (Drop(),)


def test_users_and_readings_meet_no_faults(chain):
    chain.script(NodeDown(9))
    chain.purchase("carol", "gold", "usd", {"bob": 1})
    assert (chain.holdings("usd"), chain.faults_left) == (101, (NodeDown(9),))


@pytest.mark.parametrize(
    "fault", [Delay(-1), NodeDown(0), NoFinality(), Reorganise(0), Reorganise(3), Drop(skip=-1), Duplicate(-1)]
)
def test_a_fault_that_cannot_strike_is_refused(chain, fault):
    with pytest.raises(BadData):
        chain.script(fault)
    assert chain.faults_left == ()


def test_a_reorganisation_of_what_is_final_may_be_forced(chain):
    chain.script(Reorganise(3, on="find", when="before", force=True))
    chain.find(1)
    assert chain.escrow("usd") == 0
