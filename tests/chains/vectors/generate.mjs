// Writes what npm's @openzeppelin/merkle-tree makes of leaves that follow from their number, as fixed vectors for our
// own trees: the root of every size, and for some sizes and leaves the leaf's hash and its whole proof.
//
//     npm install --ignore-scripts @openzeppelin/merkle-tree@1.0.8
//     node generate.mjs > openzeppelin.json
//
// All sizes to 1000 take a minute or two; `node generate.mjs 100` stops at 100, and leaves out the hash of all roots.
// `node generate.mjs -` reads trees from standard input, as JSON [[types, leaves], …], and writes their roots and proofs.
//
// The package is looked for in the folder TOLLBOOK_NODE_MODULES, else wherever node finds it from here.
// test_merkle.py makes the same leaves by the same formulas: change them together.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(import.meta.url);
const modules = process.env.TOLLBOOK_NODE_MODULES;
const name = "@openzeppelin/merkle-tree";
const { SimpleMerkleTree, StandardMerkleTree } = require(modules ? join(modules, name) : name);

const MOST = Number(process.argv[2] ?? 1000);
const WHOLE = 256; // sizes whose root is written in full; the sha256 is of the roots of all sizes, one a line
const PROVEN = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 100, 255, 256, 257, 511, 512, 513, 999, 1000];
const NAMES = ["", "alice", "Zoë", "бухгалтер", "顧客", "🦊🚀", "e\u0301", " tab\t\"quote\\"];
const SPREAD = 0x9e3779b97f4a7c15f39cc0605cedc8341082276bf3a27251f86c6a11d0c18e95n; // any odd number would do
const modulo = (value, bits) => value & ((1n << bits) - 1n);
const power = (number, most) => (1n << BigInt(number % (most + 1))) - 1n; // reaches the largest number of `most` bits

const KINDS = {
  text: {
    types: ["string", "string", "uint256", "uint256"],
    leaf: (i) => [
      NAMES[i % 8] + (i < 8 ? "" : String(i)),
      "p".repeat(i % 67),
      BigInt(i) * 10n ** 30n + 7n,
      power(i, 256),
    ],
  },
  evm: {
    types: ["address", "uint256", "uint128", "uint128"],
    leaf: (i) => [
      "0x" + modulo(BigInt(i + 1) * SPREAD, 160n).toString(16).padStart(40, "0"),
      modulo(BigInt(i % 7) * SPREAD, 256n),
      modulo(BigInt(i) * 10n ** 30n + 7n, 128n),
      power(i, 128),
    ],
  },
};

function vectors({ types, leaf }) {
  const leaves = Array.from({ length: MOST }, (_, i) => leaf(i));
  const hash = StandardMerkleTree.of([leaves[0]], types).leafHash;
  const hashes = leaves.map(hash);
  // Without its leaves' encoding, the standard tree is the simple one: much quicker where only the root is wanted.
  const roots = hashes.map((_, i) => SimpleMerkleTree.of(hashes.slice(0, i + 1)).root);
  const proofs = PROVEN.filter((size) => size <= MOST).map((size) => {
    const tree = StandardMerkleTree.of(leaves.slice(0, size), types);
    if (tree.root !== roots[size - 1]) throw new Error(`the two trees of ${size} leaves differ`);
    const index = Math.floor(size / 3);
    return { size, index, root: tree.root, leaf: hashes[index], proof: tree.getProof(index) };
  });
  const result = { roots: roots.slice(0, WHOLE), proofs };
  return MOST < 1000 ? result : { ...result, sha256: createHash("sha256").update(roots.join("\n")).digest("hex") };
}

// The root and all proofs of trees that are given as [types, leaves].
function answers(trees) {
  return trees.map(([types, leaves]) => {
    const tree = StandardMerkleTree.of(leaves, types);
    return { root: tree.root, proofs: leaves.map((_, i) => tree.getProof(i)) };
  });
}

const result =
  process.argv[2] === "-"
    ? answers(JSON.parse(readFileSync(0, "utf8")))
    : Object.fromEntries(Object.entries(KINDS).map(([kind, given]) => [kind, vectors(given)]));
process.stdout.write(JSON.stringify(result, null, 1) + "\n");
