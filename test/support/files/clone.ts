import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync } from "node:fs";
import { once } from "node:events";
import path from "node:path";
import { fileURLToPath } from "node:url";

const packages = ["common", "coordinator", "gpu-worker", "trommel"];

const root = fileURLToPath(new URL("../../../../", import.meta.url));

/**
 * Makes a copy of the repository in an empty folder: the files that git knows or would add, and the installed
 * packages and builds of this one. Nothing is above or around it, as in a fresh clone.
 * @returns the copy's folder
 */
export function cloneRepository(folder: string): string {
  const clone = path.join(folder, "clone");
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  for (const file of listed.split("\0").filter((name) => name !== "" && existsSync(path.join(root, name)))) {
    mkdirSync(path.dirname(path.join(clone, file)), { recursive: true });
    cpSync(path.join(root, file), path.join(clone, file), { preserveTimestamps: true });
  }
  // Packages are linked where the disk is the same, since nothing writes into them; builds are copied, since the compiler may.
  const modules = [path.join(root, "node_modules"), path.join(clone, "node_modules")];
  execFileSync("bash", [
    "-c",
    'cp -al "$0" "$1" 2>/dev/null || { rm -rf "$1" && cp -a "$0" "$1"; }',
    ...modules,
  ]);
  for (const folder of ["test", "examples", ...packages.map((name) => `packages/${name}`)]) {
    for (const part of ["dist", "tsconfig.tsbuildinfo"]) {
      if (!existsSync(path.join(root, folder, part))) continue;
      execFileSync("cp", ["-a", path.join(root, folder, part), path.join(clone, folder, part)]);
    }
  }
  return clone;
}

export interface ShellResult {
  readonly code: number | null;
  /** stdout and stderr as they came. */
  readonly output: string;
}

/** Runs a block of shell commands as a person would, ending at the first that fails. */
export async function runShell(commands: string, cwd: string, timeoutMs: number): Promise<ShellResult> {
  const env: NodeJS.ProcessEnv = { ...process.env, npm_config_loglevel: "error" };
  for (const name of Object.keys(env)) {
    if (/^(?:TROMMEL_|AWS_|NODE_TEST_)/.test(name) && name !== "TROMMEL_REDIS_SERVER") delete env[name];
  }
  const child = spawn("bash", ["-euo", "pipefail", "-c", commands], {
    cwd,
    env,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: timeoutMs,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, output };
}
