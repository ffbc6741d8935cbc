"""Our trees are OpenZeppelin's: roots and proofs as npm's `@openzeppelin/merkle-tree` 1.0.8 makes them.

`vectors/generate.mjs` wrote the vectors, from leaves that both sides make by the same formulas.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.leaves import EVM_LEAF, TEXT_LEAF, abi_encode, keccak, leaf_hash
from chains.merkle import Tree, root_of
from ledger.events import Leaf

VECTORS = Path(__file__).parent / "vectors"
TYPES = {"text": TEXT_LEAF, "evm": EVM_LEAF}
NAMES = ("", "alice", "Zoë", "бухгалтер", "顧客", "🦊🚀", "e\u0301", ' tab\t"quote\\')
SPREAD = 0x9E3779B97F4A7C15F39CC0605CEDC8341082276BF3A27251F86C6A11D0C18E95

both_kinds = pytest.mark.parametrize("kind", TYPES)
hashes = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40, unique=True)


def leaf(kind: str, i: int) -> Leaf:
    """The i-th leaf of the vectors, as `generate.mjs` makes it."""
    money = i * 10**30 + 7
    if kind == "text":
        return Leaf(NAMES[i % 8] + (str(i) if i >= 8 else ""), "p" * (i % 67), money, 2 ** (i % 257) - 1)
    address = f"0x{(i + 1) * SPREAD % 2**160:040x}"
    return Leaf(address, str(i % 7 * SPREAD % 2**256), money % 2**128, 2 ** (i % 129) - 1)


@cache
def leaf_hashes(kind: str) -> list[bytes]:
    return [leaf_hash(leaf(kind, i), TYPES[kind]) for i in range(1000)]


@cache
def vectors() -> dict[str, dict[str, list]]:
    return json.loads((VECTORS / "openzeppelin.json").read_text())


def root(kind: str, size: int) -> str:
    return "0x" + Tree(leaf_hashes(kind)[:size]).root.hex()


@pytest.mark.smoke
@both_kinds
def test_the_root_is_openzeppelins_for_every_size_to_100(kind):
    assert [root(kind, size) for size in range(1, 101)] == vectors()[kind]["roots"][:100]


@pytest.mark.sweep
@both_kinds
def test_the_root_is_openzeppelins_for_every_size_to_1000(kind):
    """The vectors have the first 256 in full, and the SHA-256 of all."""
    roots = [root(kind, size) for size in range(1, 1001)]
    assert roots[:256] == vectors()[kind]["roots"]
    assert sha256("\n".join(roots).encode()).hexdigest() == vectors()[kind]["sha256"]


@pytest.mark.smoke
@both_kinds
def test_leaf_hashes_roots_and_whole_proofs_are_openzeppelins_around_every_power_of_two(kind):
    sizes = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 100, 255, 256, 257, 511, 512, 513, 999, 1000]
    assert [row["size"] for row in vectors()[kind]["proofs"]] == sizes
    for row in vectors()[kind]["proofs"]:
        tree, hashed = Tree(leaf_hashes(kind)[: row["size"]]), leaf_hashes(kind)[row["index"]]
        assert "0x" + hashed.hex() == row["leaf"]
        assert ["0x" + sibling.hex() for sibling in tree.proof(hashed)] == row["proof"]
        assert "0x" + tree.root.hex() == row["root"]


@pytest.mark.smoke
def test_the_example_of_openzeppelins_own_page_has_its_root():
    values = [("0x" + "1" * 40, "5000000000000000000"), ("0x" + "2" * 40, "2500000000000000000")]
    tree = Tree(keccak(keccak(abi_encode(("address", "uint256"), value))) for value in values)
    assert tree.root.hex() == "d4dee0beab2d53f2cc83e567171bd2820e49898130a22622b10ead383e90bd77"


def openzeppelin(argument: str, given: object = None) -> Any:
    """Run the script. Skips if Node or its package is missing."""
    node, modules = shutil.which("node"), os.environ.get("TOLLBOOK_NODE_MODULES")
    folders = [Path(modules)] if modules else [folder / "node_modules" for folder in (VECTORS, *VECTORS.parents)]
    if not node:
        pytest.skip("needs Node, to compare with OpenZeppelin's own code and not with its vectors alone")
    if not any((folder / "@openzeppelin/merkle-tree").is_dir() for folder in folders):
        pytest.skip("needs npm's @openzeppelin/merkle-tree: npm ci --prefix tests/chains/vectors")
    script = [node, str(VECTORS / "generate.mjs"), argument]
    done = subprocess.run(script, input=json.dumps(given), capture_output=True, check=True, timeout=1200, text=True)
    return json.loads(done.stdout)


def is_openzeppelins(trees: int, largest: int, seed: int) -> None:
    """Compare the root and all proofs of random trees with those that OpenZeppelin's code makes now."""
    random = Random(seed)
    drawn = []
    for _ in range(trees):
        types = random.choice([*TYPES.values()])
        drawn.append((types, [drawn_leaf(random, types) for _ in range(random.randint(1, largest))]))
    answers = openzeppelin("-", [(types, [[*map(str, leaf)] for leaf in leaves]) for types, leaves in drawn])
    for (types, leaves), answer in zip(drawn, answers, strict=True):
        hashed = [keccak(keccak(abi_encode(types, leaf))) for leaf in leaves]
        tree = Tree(hashed)
        assert "0x" + tree.root.hex() == answer["root"]
        assert [["0x" + sibling.hex() for sibling in tree.proof(one)] for one in hashed] == answer["proofs"]


def drawn_leaf(random: Random, types: tuple[str, ...]) -> tuple[str | int, ...]:
    values: dict[str, Callable[[], str | int]] = {
        "string": lambda: "".join(random.choices("aZ \u00df\u4e2d\U0001f98a\0\n", k=random.randint(0, 70))),
        "address": lambda: f"0x{random.getrandbits(160):040x}",
        "uint128": lambda: random.getrandbits(random.randint(1, 128)),
        "uint256": lambda: random.getrandbits(random.randint(1, 256)),
    }
    return tuple(values[type]() for type in types)


def test_the_script_still_writes_the_vectors_to_100_and_random_trees_are_openzeppelins():
    is_openzeppelins(trees=20, largest=40, seed=1)
    written = openzeppelin("100")
    for kind in TYPES:
        assert written[kind]["roots"] == vectors()[kind]["roots"][:100]
        assert written[kind]["proofs"] == [row for row in vectors()[kind]["proofs"] if row["size"] <= 100]


@pytest.mark.sweep
def test_the_script_still_writes_the_vectors_and_many_random_trees_are_openzeppelins():
    """The sizes above 400, whose roots the vectors have a hash of, take minutes."""
    is_openzeppelins(trees=60, largest=200, seed=2)
    written = openzeppelin("400")
    for kind in TYPES:
        assert written[kind]["roots"] == vectors()[kind]["roots"]
        assert written[kind]["proofs"] == [row for row in vectors()[kind]["proofs"] if row["size"] <= 400]


@pytest.mark.smoke
def test_a_tree_without_leaves_is_refused():
    with pytest.raises(ValueError, match="without leaves"):
        Tree([])


@pytest.mark.smoke
@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_node_that_is_not_32_bytes_is_refused_in_a_tree_and_in_a_proof(length):
    """64 bytes would be two nodes: an inner node could pass for a leaf."""
    whole, wrong = bytes(32), bytes(length)
    for attempt in (lambda: Tree([whole, wrong]), lambda: root_of([wrong], whole), lambda: root_of([whole], wrong)):
        with pytest.raises(ValueError, match=f"is 32 bytes, not {length}"):
            attempt()


@pytest.mark.smoke
def test_a_leaf_alone_is_its_own_root_and_needs_no_proof():
    only = keccak(b"only")
    assert Tree([only]).root == only
    assert Tree([only]).proof(only) == []
    assert root_of([], only) == only


@pytest.mark.smoke
@given(hashes, st.randoms())
def test_the_order_in_which_leaves_come_changes_nothing(leaves, random):
    shuffled = random.sample(leaves, len(leaves))
    assert Tree(leaves).root == Tree(shuffled).root


@pytest.mark.smoke
@given(hashes)
def test_every_leafs_proof_leads_to_the_root_and_no_proof_is_longer_than_the_tree_is_deep(leaves):
    tree = Tree(leaves)
    for hashed in leaves:
        assert root_of(tree.proof(hashed), hashed) == tree.root
        assert len(tree.proof(hashed)) <= (len(leaves) - 1).bit_length()


@pytest.mark.smoke
@given(hashes, st.binary(min_size=32, max_size=32))
def test_another_leaf_makes_another_root_and_has_no_proof(leaves, other):
    if other in leaves:
        return
    tree = Tree(leaves)
    assert Tree([*leaves, other]).root != tree.root
    assert Tree([other, *leaves[1:]]).root != tree.root
    with pytest.raises(LookupError, match=other.hex()):
        tree.proof(other)
