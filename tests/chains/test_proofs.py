"""Seals commit to a batch, and a proof shows that a seal's root has an account's leaf, to who holds nothing else."""

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chains import leaf_file
from chains.commitment import commitment_of, digest, payouts_hash, usage_tree
from chains.leaves import EVM_LEAF, TEXT_LEAF, keccak
from chains.proofs import Proof, prove, verify
from ledger.errors import NotFound
from ledger.events import Leaf, Payout
from ledger.settlement.messages import Batch

pytestmark = pytest.mark.smoke

ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
OTHER = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"

money = st.integers(0, 2**256 - 1)
names = st.text(max_size=6)
accounts = st.dictionaries(st.tuples(names, names), st.tuples(money, money), min_size=1, max_size=20)


def batch(*leaves: Leaf, **fields: object) -> Batch:
    """A batch of those leaves that pays alice and bob, with the given fields as they are given."""
    made = Batch(
        ledger="5d0c",
        chain="mock:local",
        contract="till",
        number=3,
        asset="mock:local/eur",
        at=1_700_000_000_000_000,
        covers={"main": 41},
        head_seq=42,
        head_hash="c0ffee",
        previous="0x" + "ab" * 32,
        leaves=leaves,
        payouts=(Payout("alice", -(10**30)), Payout("bob", 7)),
    )
    return msgspec.structs.replace(made, **fields)


def batch_of(found: dict[tuple[str, str], tuple[int, int]]) -> Batch:
    return batch(*(Leaf(*account, *counters) for account, counters in sorted(found.items())))


def proof_in(found: Batch, index: int) -> Proof:
    leaf = found.leaves[index % len(found.leaves)]
    return prove(found, TEXT_LEAF, leaf.subscriber, leaf.plan)


TWO = batch(Leaf("alice", "gold", 5, 0), Leaf("bob", "gold", 2**64, 3))
ON_EVM = batch(Leaf(ADDRESS, "16", 5, 0), Leaf(OTHER, "16", 6, 0))


# -- proofs ------------------------------------------------------------------------------------------------------------


@given(accounts)
def test_every_leaf_of_a_batch_is_proven_against_its_seals_root(found):
    made = batch_of(found)
    root = commitment_of(made, TEXT_LEAF).root
    for leaf in made.leaves:
        proof = prove(made, TEXT_LEAF, leaf.subscriber, leaf.plan)
        assert (proof.batch, proof.root, proof.leaf, proof.leaf_types) == (3, root, leaf, TEXT_LEAF)
        assert verify(root, leaf, proof.proof)


@given(accounts, st.integers(0), st.sampled_from(["subscriber", "plan", "charged", "credited"]), names, money)
def test_a_leaf_with_any_field_changed_is_not_proven(found, index, field, name, amount):
    proof = proof_in(batch_of(found), index)
    value = name if field in ("subscriber", "plan") else amount
    assume(getattr(proof.leaf, field) != value)
    changed = msgspec.structs.replace(proof.leaf, **{field: value})
    assert not verify(proof.root, changed, proof.proof)


@given(accounts, st.integers(0), st.integers(0, 255), st.integers(-1, 5))
def test_a_root_or_a_sibling_with_one_bit_changed_proves_nothing(found, index, bit, place):
    proof = proof_in(batch_of(found), index)
    parts = [*proof.proof, proof.root]
    place %= len(parts)
    parts[place] = f"0x{int(parts[place], 16) ^ (1 << bit):064x}"
    assert not verify(parts[-1], proof.leaf, parts[:-1])


@given(accounts, st.integers(0), st.data())
def test_siblings_in_another_order_or_number_prove_nothing(found, index, data):
    proof = proof_in(batch_of(found), index)
    siblings = list(proof.proof)
    other = data.draw(st.lists(st.sampled_from([*siblings, proof.root, proof.leaf_hash]), max_size=len(siblings) + 2))
    assume(other != siblings)
    assert not verify(proof.root, proof.leaf, other)


@given(accounts, accounts, st.integers(0))
def test_a_leaf_of_one_tree_is_not_in_another(found, others, index):
    here, there = batch_of(found), batch_of(others)
    proof = proof_in(there, index)
    assume(proof.leaf not in here.leaves)
    assert not verify(commitment_of(here, TEXT_LEAF).root, proof.leaf, proof.proof)
    assert not verify(commitment_of(here, TEXT_LEAF).root, proof.leaf, proof_in(here, index).proof)


def test_the_only_leaf_of_a_batch_is_the_root_and_needs_no_siblings():
    alone = batch(Leaf("alice", "gold", 5, 0))
    proof = prove(alone, TEXT_LEAF, "alice", "gold")
    assert proof.proof == ()
    assert proof.leaf_hash == proof.root == commitment_of(alone, TEXT_LEAF).root
    assert verify(proof.root, proof.leaf, [])


def test_a_proof_goes_through_json_and_still_verifies():
    proof = prove(TWO, TEXT_LEAF, "bob", "gold")
    again = msgspec.json.decode(msgspec.json.encode(proof), type=Proof)
    assert again == proof
    assert verify(again.root, again.leaf, again.proof, again.leaf_types)


def test_a_leaf_is_proven_only_under_the_types_it_was_hashed_with():
    proof = prove(ON_EVM, EVM_LEAF, ADDRESS, "16")
    assert verify(proof.root, proof.leaf, proof.proof, EVM_LEAF)
    assert not verify(proof.root, proof.leaf, proof.proof)


def test_an_account_is_found_under_another_spelling_of_its_address_and_plan():
    assert prove(ON_EVM, EVM_LEAF, ADDRESS.lower(), "0x10") == prove(ON_EVM, EVM_LEAF, ADDRESS, "16")


@pytest.mark.parametrize(("subscriber", "plan"), [("carol", "gold"), ("alice", "silver"), ("gold", "alice")])
def test_an_account_without_a_leaf_has_no_proof(subscriber, plan):
    with pytest.raises(NotFound, match=f"batch 3 has no leaf of '{subscriber}' on '{plan}'"):
        prove(TWO, TEXT_LEAF, subscriber, plan)


def test_names_that_are_of_no_account_on_such_a_chain_are_an_error_and_not_merely_missing():
    with pytest.raises(ValueError, match="not an address"):
        prove(ON_EVM, EVM_LEAF, "alice", "16")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda good: "",
        lambda good: "0x",
        lambda good: good[2:],
        lambda good: good[:-1],
        lambda good: good[:-2],
        lambda good: good + "00",
        lambda good: good + "\n",
        lambda good: good[:-1] + "g",
        lambda good: "0x " + good[2:],
        lambda good: "0X" + good[2:],
        lambda good: good[:2] + "é" * 64,
    ],
)
def test_malformed_hex_proves_nothing_and_raises_nothing(spoil):
    proof = prove(TWO, TEXT_LEAF, "bob", "gold")
    (sibling,) = proof.proof
    assert verify(proof.root, proof.leaf, [sibling])
    assert verify(spoil(proof.root), proof.leaf, [sibling]) is False
    assert verify(proof.root, proof.leaf, [spoil(sibling)]) is False


def test_hex_digits_may_be_of_either_case():
    proof = prove(TWO, TEXT_LEAF, "bob", "gold")
    assert verify("0x" + proof.root[2:].upper(), proof.leaf, ["0x" + proof.proof[0][2:].upper()])


def test_a_leaf_that_does_not_fit_its_types_proves_nothing_and_raises_nothing():
    assert verify("0x" + "00" * 32, Leaf("alice", "gold", 1, 0), [], EVM_LEAF) is False
    assert verify("0x" + "00" * 32, Leaf("alice", "gold", 2**256, 0), []) is False


# -- seals -------------------------------------------------------------------------------------------------------------


def test_a_seal_is_the_trees_root_the_leaf_files_hash_and_the_digest_of_it_all():
    sealed = commitment_of(TWO, TEXT_LEAF)
    root, published = usage_tree(TWO.leaves, TEXT_LEAF).root, keccak(leaf_file.encode(TWO))
    assert sealed.root == "0x" + root.hex()
    assert sealed.data_hash == "0x" + published.hex()
    assert sealed.digest == "0x" + digest(TWO, root, published).hex()


def test_the_digest_is_what_another_abi_encoder_makes_of_its_parts():
    """Both answers are eth-abi's, for the digest's eleven parts and for the two payouts."""
    expected = "bf0320ff108855a44b6489b296fa901645c8e49071ad884392dfecf82d9a76f6"
    assert digest(TWO, b"\1" * 32, b"\2" * 32).hex() == expected
    assert payouts_hash(TWO.payouts).hex() == "7207de87016b7a4b5fb6793750a2970a3b016abf87a1f2f9ff39bac709eb3913"


OTHERS = {
    "ledger": "5d0d",
    "chain": "mock:other",
    "contract": "till2",
    "number": 4,
    "asset": "mock:local/usd",
    "at": 1_700_000_000_000_001,
    "covers": {"main": 40},
    "head_seq": 43,
    "head_hash": "decaf",
    "previous": "",
    "leaves": (Leaf("alice", "gold", 5, 1), TWO.leaves[1]),
    "payouts": (TWO.payouts[0], Payout("bob", 8)),
}


@pytest.mark.parametrize("field", Batch.__struct_fields__)
def test_no_field_of_a_batch_can_change_without_another_digest(field):
    before, after = (
        commitment_of(made, TEXT_LEAF) for made in (TWO, msgspec.structs.replace(TWO, **{field: OTHERS[field]}))
    )
    assert after.data_hash != before.data_hash
    assert after.digest != before.digest
    assert (after.root != before.root) == (field == "leaves")


def test_the_digest_holds_each_of_its_parts_by_itself():
    """The leaf file's hash would show any change; the rest must stand in the digest without its help."""
    root, published = b"\1" * 32, b"\2" * 32
    plain = digest(TWO, root, published)
    for field in ("chain", "contract", "number", "asset", "at", "previous", "payouts"):
        assert digest(msgspec.structs.replace(TWO, **{field: OTHERS[field]}), root, published) != plain
    assert digest(msgspec.structs.replace(TWO, leaves=TWO.leaves[:1]), root, published) != plain
    assert len({plain, digest(TWO, published, root), digest(TWO, root, root)}) == 3


@pytest.mark.parametrize(
    ("made", "types", "why"),
    [
        (batch(), TEXT_LEAF, "without leaves"),
        (batch(Leaf("b", "p", 1, 0), Leaf("a", "p", 1, 0)), TEXT_LEAF, "not sorted"),
        (batch(Leaf("a", "p", 1, 0), Leaf("a", "p", 2, 0)), TEXT_LEAF, "two leaves"),
        (batch(Leaf(ADDRESS, "16", 1, 0), Leaf(ADDRESS.lower(), "0x10", 1, 0)), EVM_LEAF, "two leaves"),
        (batch(Leaf("alice", "16", 1, 0)), EVM_LEAF, "not an address"),
        (batch(Leaf(ADDRESS, "gold", 1, 0)), EVM_LEAF, "uint256"),
        (batch(Leaf(ADDRESS, "16", 2**128, 0)), EVM_LEAF, "does not fit uint128"),
        (batch(Leaf("a", "p", 1, 0), payouts=(Payout("a", 2**255),)), TEXT_LEAF, "does not fit int256"),
        (batch(Leaf("a", "p", 1, 0), number=-1), TEXT_LEAF, "does not fit uint256"),
    ],
)
def test_leaves_that_cannot_be_committed_to_are_refused(made, types, why):
    with pytest.raises(ValueError, match=why):
        commitment_of(made, types)
