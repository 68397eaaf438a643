import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, cpus, totalmem } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { runPeer } from "../compare/peer.js";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../../..");
const packages = ["onnxruntime-node", "@tensorflow/tfjs", "sharp", "bullmq", "ioredis"];

/** What a figure depends on beside the code. */
export interface Environment {
  readonly machine: string;
  /** With `+` where the working tree differs. */
  readonly commit: string;
  /** By name; what is not installed is not there. */
  readonly versions: Readonly<Record<string, string>>;
}

export async function describeEnvironment(threads: number): Promise<Environment> {
  return {
    machine: describeMachine(threads),
    commit: commit(),
    versions: {
      node: process.versions.node,
      ...Object.fromEntries(packages.map((name) => [name, packageVersion(name)])),
      ...redisVersion(),
      ...(await pythonVersions()),
    },
  };
}

function describeMachine(threads: number): string {
  const [cpu] = cpus();
  const memory = `${(totalmem() / 1024 ** 3).toFixed(0)} GiB`;
  return (
    `${cpu?.model.trim() ?? "unknown CPU"}, ${availableParallelism()} cores, ${memory}, ${process.platform} ${process.arch}; ` +
    `${threads} threads`
  );
}

/** Not by import: some packages do not export their package.json. */
function packageVersion(name: string): string {
  const folders =
    createRequire(path.join(root, "packages/gpu-worker/package.json")).resolve.paths(name) ?? [];
  for (const folder of folders) {
    const text = readIfThere(path.join(folder, name, "package.json"));
    if (text !== undefined) return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
  }
  return "unknown";
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

function output(command: string, ...args: string[]): string | undefined {
  try {
    return execFileSync(command, args, {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return undefined;
  }
}

function commit(): string {
  const head = output("git", "rev-parse", "--short=12", "HEAD");
  return head === undefined ? "unknown" : head + (output("git", "status", "--porcelain") === "" ? "" : "+");
}

function redisVersion(): Record<string, string> {
  const said = output(process.env["TROMMEL_REDIS_SERVER"] ?? "redis-server", "--version");
  const version = /v=(\S+)/.exec(said ?? "")?.[1];
  return version === undefined ? {} : { redis: version };
}

async function pythonVersions(): Promise<Record<string, string>> {
  const schema = z.record(z.string(), z.union([z.string(), z.array(z.string()), z.null()]));
  const found = await runPeer(schema, { script: "versions.py", args: [], modules: [], threads: 1 });
  if ("missing" in found) return {};
  return Object.fromEntries(
    Object.entries(found).flatMap(([name, value]) =>
      value === null ? [] : [[name, typeof value === "string" ? value : value.join(" ")]],
    ),
  );
}
