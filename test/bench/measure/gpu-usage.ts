import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { spreadOf, type Spread } from "./statistics.js";

/** What the driver said of a GPU while something ran, or why nothing is known. */
export type GpuUsage =
  | {
      /** Share of the time in which some kernel ran, percent. */
      readonly utilisation: Spread;
      readonly peakMemoryMiB: number;
      readonly samples: number;
    }
  | { readonly missing: string };

const everyMs = 200;
const query = ["--format=csv,noheader,nounits"];

/** The first GPU's name by nvidia-smi; undefined where there is none. */
export async function gpuName(): Promise<string | undefined> {
  const lines: string[] = [];
  const watched = watch(["--query-gpu=name", ...query], (line) => lines.push(line));
  await watched.ended;
  return lines[0]?.trim();
}

/**
 * Asks nvidia-smi again and again while the work runs.
 * @returns what the work returns, and the first GPU's usage meanwhile
 */
export async function whileWatched<T>(
  work: () => Promise<T>,
): Promise<{ readonly value: T; readonly usage: GpuUsage }> {
  const utilisations: number[] = [];
  const memories: number[] = [];
  const watched = watch(
    ["--query-gpu=utilization.gpu,memory.used", ...query, "--id=0", `--loop-ms=${everyMs}`],
    (line) => {
      const [utilisation = NaN, memory = NaN] = line.split(",").map(Number);
      if (!Number.isFinite(utilisation) || !Number.isFinite(memory)) return;
      utilisations.push(utilisation);
      memories.push(memory);
    },
  );
  try {
    const value = await work();
    if (utilisations.length === 0) {
      return { value, usage: { missing: watched.failure() ?? "nvidia-smi told nothing" } };
    }
    const usage = { utilisation: spreadOf(utilisations), peakMemoryMiB: Math.max(...memories) };
    return { value, usage: { ...usage, samples: utilisations.length } };
  } finally {
    watched.stop();
    await watched.ended;
  }
}

function watch(args: readonly string[], onLine: (line: string) => void) {
  const child = spawn("nvidia-smi", args, { stdio: ["ignore", "pipe", "ignore"] });
  let failure: string | undefined;
  const ended = new Promise<void>((resolve) => {
    child.once("error", (error: NodeJS.ErrnoException) => {
      failure = error.code === "ENOENT" ? "nvidia-smi is not installed" : error.message;
      resolve();
    });
    child.once("close", () => resolve());
  });
  createInterface({ input: child.stdout }).on("line", onLine);
  return { ended, failure: () => failure, stop: () => void child.kill() };
}
