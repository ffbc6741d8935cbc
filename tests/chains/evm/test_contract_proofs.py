"""Proofs across the border: what `chains.proofs` makes in Python, the contract takes, and nothing else."""

import random

import pytest
from evm_machine import COIN, Reverted, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from settlement_world import ALICE, DAY, MALLORY, World, counted, tree_of

from chains.leaves import EVM_LEAF
from chains.proofs import prove, verify
from ledger.events import Leaf
from ledger.settlement.messages import Batch

PAID = 100
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 100, 255, 256, 257, 511, 512, 513, 999, 1000)
seeds = st.integers(0, 2**32)


def trees(most: int) -> st.SearchStrategy[tuple[int, int]]:
    """A size, and the seed of all else."""
    return st.tuples(st.integers(1, most), seeds)


class Case:
    """So many random leaves, Alice's among them, under a root that a contract holds."""

    def __init__(self, size: int, seed: int, window: int = 0, charged: int | None = None) -> None:
        self.random = random.Random(seed)
        self.on = World(window=window)
        self.plan = self.on.plan()
        self.on.buy(self.plan)
        counters = charged if charged is not None else self.random.randint(0, PAID)
        self.leaf = Leaf(ALICE.address, str(self.plan), counters, self.random.randint(0, counters))
        leaves = [self.leaf, *(self.other() for _ in range(size - 1))]
        self.random.shuffle(leaves)
        self.leaves = tuple(leaves)
        told = [(leaf.subscriber, int(leaf.plan), leaf.charged, leaf.credited) for leaf in leaves]
        self.batch = self.on.batch(told)
        (self.on.commit if window else self.on.settle)(self.batch)

    def other(self) -> Leaf:
        draw = self.random.getrandbits
        return Leaf(f"0x{draw(160):040x}", str(draw(256)), draw(128), draw(128))

    def proof(self, leaf: Leaf) -> list[bytes]:
        """As the product makes it, from a batch of the ledger."""
        batch = Batch(
            ledger="", chain="eip155:1", contract="", number=1, asset="", at=0, covers={}, head_seq=0, head_hash="",
            previous="", leaves=self.leaves, payouts=(),
        )  # fmt: skip
        made = prove(batch, EVM_LEAF, leaf.subscriber, leaf.plan)
        assert made.root == "0x" + self.batch.fields[5].hex()
        assert verify(made.root, leaf, made.proof, EVM_LEAF)
        return [bytes.fromhex(sibling[2:]) for sibling in made.proof]

    def spendable(self, leaf: Leaf, proof: list[bytes]) -> int:
        return self.on.read("spendable", *counted(leaf), proof)

    def proves(self, leaf: Leaf, proof: list[bytes]) -> bool:
        error = None
        try:
            self.spendable(leaf, proof)
        except Reverted as reverted:
            error = reverted.error
        assert error in (None, "ProofInvalid")
        return error is None


@pytest.mark.parametrize("size", SIZES)
def test_a_leaf_that_python_proves_the_contract_takes_whatever_the_trees_size(size):
    case = Case(size, seed=size)
    rest = PAID - case.leaf.charged + case.leaf.credited
    assert case.spendable(case.leaf, case.proof(case.leaf)) == rest


@pytest.mark.parametrize("size", [1, 2, 3, 100, 1000])
def test_a_leaf_that_python_proves_calls_off_the_batch_that_overcharges(size):
    case = Case(size, seed=size, window=DAY, charged=10**6)
    leaf = Leaf(ALICE.address, str(case.plan), case.leaf.charged, case.leaf.credited)
    case.on.do(MALLORY, "challengeOverdraw", case.batch.fields, counted(leaf), case.proof(leaf))
    assert case.on.read("waiting") == 0


def agree_on_what_is_wrong(case: Case) -> None:
    """Whatever is changed, Python and the contract say the same of it, and it is no."""
    proof, leaf, draw = case.proof(case.leaf), case.leaf, case.random
    changed = [
        Leaf(MALLORY.address, leaf.plan, leaf.charged, leaf.credited),
        Leaf(leaf.subscriber, str(int(leaf.plan) ^ 1), leaf.charged, leaf.credited),
        Leaf(leaf.subscriber, leaf.plan, leaf.charged + 1, leaf.credited),
        Leaf(leaf.subscriber, leaf.plan, leaf.charged, leaf.credited + 1),
    ]
    wrong = [(each, proof) for each in changed]
    wrong.append((leaf, [*proof, draw.randbytes(32)]))
    if proof:
        place, bit = draw.randrange(len(proof)), 1 << draw.randrange(256)
        flipped = (int.from_bytes(proof[place], "big") ^ bit).to_bytes(32, "big")
        wrong += [(leaf, [*proof[:place], flipped, *proof[place + 1 :]]), (leaf, proof[1:]), (leaf, proof[:-1])]
        other = draw.choice([each for each in case.leaves if each != leaf])
        wrong.append((leaf, [*case.proof(other)[:-1], draw.randbytes(32)]))
    root = "0x" + tree_of(case.leaves).root.hex()
    for each, siblings in wrong:
        assert not verify(root, each, ["0x" + sibling.hex() for sibling in siblings], EVM_LEAF)
        assert not case.proves(each, siblings)
    assert case.proves(leaf, proof)


@settings(max_examples=8, deadline=None)
@given(trees(200))
def test_what_python_does_not_take_for_a_proof_the_contract_does_not_either(tree):
    agree_on_what_is_wrong(Case(*tree))


@pytest.mark.sweep
@settings(max_examples=150, deadline=None)
@given(trees(1000))
def test_python_and_the_contract_agree_on_proofs_of_trees_up_to_1000_leaves(tree):
    agree_on_what_is_wrong(Case(*tree))


def test_an_inner_node_does_not_pass_for_a_leaf():
    """64 bytes hashed once are a node; a leaf is hashed twice, and 128 bytes long."""
    case = Case(4, seed=4)
    siblings = case.proof(case.leaf)
    for shorter in (siblings[1:], []):
        with refused("ProofInvalid"):
            case.spendable(case.leaf, shorter)


def test_where_no_batch_is_final_nothing_is_proven():
    on = World()
    plan = on.plan()
    on.buy(plan)
    with refused("ProofInvalid"):
        on.read("spendable", ALICE.address, plan, 0, 0, [])
    assert on.read("finalRoot", COIN)[0] == bytes(32)
