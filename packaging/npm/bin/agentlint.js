#!/usr/bin/env node
// Starts the binary of this platform, which is a package of its own: nothing is downloaded when it is installed.
"use strict";

const { spawnSync } = require("node:child_process");

const name = `agentlint-cli-${process.platform}-${process.arch}`;
const file = process.platform === "win32" ? "agentlint.exe" : "agentlint";

let binary;
try {
  binary = require.resolve(`${name}/${file}`);
} catch {
  console.error(`agentlint: there is no package ${name}; install with optional dependencies, or build from source`);
  process.exit(2);
}
const ran = spawnSync(binary, process.argv.slice(2), { stdio: "inherit" });
if (ran.error) {
  console.error(`agentlint: ${ran.error.message}`);
  process.exit(2);
}
process.exit(ran.status ?? 2);
