// Compiles the contracts and writes an artifact for each: interface, bytecode, compiler and settings. Run it by
//
//     npm ci --ignore-scripts && node compile.mjs [FOLDER OF SOURCES] [FOLDER OF ARTIFACTS] [FOLDER OF NATSPEC]
//
// The third folder is for what the comments say, as the compiler reads them. The bytes depend on the sources, the compiler and the settings alone, not on the machine: no metadata is appended.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const solc = require("solc");
const here = dirname(fileURLToPath(import.meta.url));
const [sourcesFolder = here, artifactsFolder = join(here, "..", "artifacts"), natspecFolder] = process.argv.slice(2);

const settings = {
  optimizer: { enabled: true, runs: 1_000_000 },
  viaIR: true,
  evmVersion: "cancun",
  metadata: { bytecodeHash: "none", appendCBOR: false },
};
const code = ["evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences"];
const wanted = ["abi", "devdoc", "userdoc", ...code];

const files = readdirSync(sourcesFolder).filter((file) => file.endsWith(".sol")).sort();
const sources = Object.fromEntries(
  files.map((file) => [file, { content: readFileSync(join(sourcesFolder, file), "utf8") }]),
);
const input = {
  language: "Solidity",
  sources,
  settings: { ...settings, outputSelection: { "*": { "*": wanted } } },
};
const find = (path) => ({ contents: readFileSync(join(here, "node_modules", path), "utf8") });
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));

const complaints = (output.errors ?? []).filter((each) => each.sourceLocation?.file.startsWith("@") !== true);
for (const each of complaints) console.error(each.formattedMessage);
if (complaints.length > 0) process.exit(1);

const write = (folder, name, value) => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(value, null, 1)}\n`);
};
for (const file of files) {
  for (const [name, contract] of Object.entries(output.contracts[file])) {
    const { bytecode, deployedBytecode } = contract.evm;
    const artifact = {
      name,
      compiler: solc.version(),
      settings,
      abi: contract.abi,
      bytecode: `0x${bytecode.object}`,
      runtime: `0x${deployedBytecode.object}`,
      immutables: Object.values(deployedBytecode.immutableReferences ?? {}).flat(),
    };
    write(artifactsFolder, name, artifact);
    if (natspecFolder) write(natspecFolder, name, { devdoc: contract.devdoc, userdoc: contract.userdoc });
  }
}
