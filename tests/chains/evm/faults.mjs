// Compiles contracts one after another, each by itself and by the old pipeline: four times as quick as compile.mjs, and
// the code does the same. Run by test_contract_faults.py:
//
//     node faults.mjs FOLDER_OF_COMPILE_MJS FOLDER_OF_SOURCES FOLDER_OF_ARTIFACTS
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [contracts, sources, artifacts] = process.argv.slice(2);
const solc = createRequire(join(contracts, "compile.mjs"))("solc");
const find = (path) => ({ contents: readFileSync(join(contracts, "node_modules", path), "utf8") });

for (const file of readdirSync(sources)) {
  const name = file.replace(".sol", "");
  const input = {
    language: "Solidity",
    sources: { [file]: { content: readFileSync(join(sources, file), "utf8") } },
    settings: {
      optimizer: { enabled: true, runs: 200 },
      evmVersion: "cancun",
      outputSelection: { [file]: { [name]: ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
  const errors = (output.errors ?? []).filter((each) => each.severity === "error");
  for (const each of errors) console.error(each.formattedMessage);
  if (errors.length > 0) process.exit(1);
  const { abi, evm } = output.contracts[file][name];
  const [bytecode, runtime] = [evm.bytecode, evm.deployedBytecode].map((code) => `0x${code.object}`);
  writeFileSync(join(artifacts, `${name}.json`), JSON.stringify({ name, abi, bytecode, runtime }));
}
