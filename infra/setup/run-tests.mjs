/**
 * Runs every built test, or those whose path holds one of the arguments: `npm test -- store`.
 * Node.js 20 takes no glob after --test, so the files are listed here.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const wanted = process.argv.slice(2);
const files = readdirSync(path.join(root, "test/dist"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".test.js"))
  // A test whose source is gone may still have its build.
  .filter((file) => sourceStands(file))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort()
  .map((file) => path.join("test/dist", file));

function sourceStands(file) {
  const source = path.join(root, "test", file.replace(/\.js$/, ".ts"));
  return readdirSync(path.dirname(source)).includes(path.basename(source));
}

if (files.length === 0) {
  process.stderr.write(`no test file holds ${wanted.join(" or ")} in its path\n`);
  process.exit(1);
}
const result = spawnSync(
  process.execPath,
  ["--test", "--test-concurrency=2", "--test-reporter=spec", ...files],
  {
    cwd: root,
    stdio: "inherit",
    // Tests load ONNX Runtime themselves, too; what the worker does about it is tested without this.
    env: { ORT_DISABLE_TELEMETRY: "1", ...process.env },
  },
);
process.exit(result.status ?? 1);
