import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../../..");

/** Runs one command of the real CLI, on a cluster of its own where it needs one. @returns what it prints with --json */
export async function trommel(...args: string[]): Promise<unknown> {
  const bin = path.join(root, "packages/trommel/bin/trommel.js");
  const environment: NodeJS.ProcessEnv = { ...process.env };
  delete environment["TROMMEL_REDIS_URL"];
  delete environment["TROMMEL_STORE"];
  const child = spawn(process.execPath, [bin, ...args, "--json"], {
    cwd: root,
    env: environment,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`trommel ${args.join(" ")} ended with ${String(code)}`);
  return JSON.parse(printed) as unknown;
}
