// Makes the package of one platform: `node packaging/npm/platform.mjs target/release/agentlint linux x64 out`.
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [binary, os, cpu, out] = process.argv.slice(2);
if (!out) {
  console.error("usage: platform.mjs BINARY OS CPU FOLDER");
  process.exit(2);
}
const { version, license, description } = JSON.parse(readFileSync(new URL("package.json", import.meta.url)));
const file = os === "win32" ? "agentlint.exe" : "agentlint";
const folder = join(out, `${os}-${cpu}`);
mkdirSync(folder, { recursive: true });
copyFileSync(binary, join(folder, file));
chmodSync(join(folder, file), 0o755);
const manifest = { name: `agentlint-cli-${os}-${cpu}`, version, description, license, os: [os], cpu: [cpu], files: [file] };
writeFileSync(join(folder, "package.json"), JSON.stringify(manifest, null, 2) + "\n");
