import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { TrommelError } from "@trommel/common";
import type { z } from "zod";

/**
 * What people would pick instead, as plain Python scripts in test/bench/peers: each takes arguments and prints one JSON
 * object as the last line of its stdout.
 */

/** Debian's packages belong to its own interpreter, whatever comes first on the PATH. */
const interpreters = ["/usr/bin/python3", "python3"];

const peers = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../../bench/peers");

/** The words for a table where a peer's modules are absent. */
export interface Missing {
  readonly missing: string;
}

export interface PeerOptions {
  /** A file of test/bench/peers. */
  readonly script: string;
  readonly args: readonly string[];
  /** What the script imports beside Python's own: `torch`, `torchvision`, `numpy`, `PIL`, `sklearn`. */
  readonly modules: readonly string[];
  readonly threads: number;
}

/**
 * Runs a peer's script to its end.
 * @returns what it printed, or that its modules are not installed; the two are told apart by `"missing" in result`
 * @throws TrommelError `internal` where the script itself fails: an anchor that breaks is not one that is absent
 */
export async function runPeer<Schema extends z.ZodType<object>>(
  schema: Schema,
  { script, args, modules, threads }: PeerOptions,
): Promise<z.infer<Schema> | Missing> {
  const python = await pythonWith(modules);
  if (typeof python !== "string") return python;
  const { code, printed, complaint } = await runPython(python, [path.join(peers, script), ...args], threads);
  const last = printed.trimEnd().split("\n").at(-1);
  if (code === 0 && last !== undefined) return schema.parse(JSON.parse(last));
  throw new TrommelError(
    "internal",
    `failed to run the peer ${script}: it ended with ${code}. Read its last words: ${complaint.trim().split("\n").slice(-5).join("; ")}`,
  );
}

/** The first interpreter that has all of `modules`, or what the first one lacks. */
async function pythonWith(modules: readonly string[]): Promise<string | Missing> {
  let first: Missing | undefined;
  for (const python of interpreters) {
    const lacking = await lackingModules(python, modules);
    if (lacking === "") return python;
    first ??= { missing: lacking };
  }
  return first ?? { missing: "python3" };
}

async function lackingModules(python: string, modules: readonly string[]): Promise<string> {
  const probe =
    "import importlib.util, sys; print(*[m for m in sys.argv[1:] if not importlib.util.find_spec(m)])";
  const { code, printed } = await runPython(python, ["-c", probe, ...modules], 1);
  return code === 0 ? printed.trim().replaceAll(" ", ", ") : python;
}

interface Ended {
  /** Undefined where it could not be started or was killed. */
  readonly code: number | undefined;
  readonly printed: string;
  readonly complaint: string;
}

async function runPython(python: string, args: readonly string[], threads: number): Promise<Ended> {
  const count = String(threads);
  const child = spawn(python, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      ...{ OMP_NUM_THREADS: count, OPENBLAS_NUM_THREADS: count, MKL_NUM_THREADS: count },
      PYTHONDONTWRITEBYTECODE: "1",
    },
  });
  let printed = "";
  let complaint = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint += text));
  try {
    const [code] = (await once(child, "close")) as [number | null];
    return { code: code ?? undefined, printed, complaint };
  } catch (thrown) {
    return { code: undefined, printed, complaint: String(thrown) };
  }
}
