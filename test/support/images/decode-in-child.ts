import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { recipe } from "@trommel/common";
import { decodeImage } from "#gpu-worker/image/decode/decode-image";

/** Decodes files in a process of their own, which then knows how much memory that took at its height. */

export interface ChildDecoding {
  /** The reason of a failure, or "ok". */
  readonly outcome: string;
  /** Of the process so far, with Node.js and libvips in it. */
  readonly peakBytes: number;
}

/** @returns one for each file, in their order */
export async function decodeInChild(paths: readonly string[]): Promise<ChildDecoding[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(import.meta.url), ...paths], {
    env: { ...process.env, NODE_TEST_CONTEXT: "" },
  });
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as ChildDecoding);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { decode } = recipe.parse({ backbones: ["any"] });
  for (const path of process.argv.slice(2)) {
    const decoded = await decodeImage(await readFile(path), { ...decode, side: 224 });
    const decoding: ChildDecoding = {
      outcome: decoded.ok ? "ok" : decoded.reason,
      peakBytes: process.resourceUsage().maxRSS * 1024,
    };
    process.stdout.write(`${JSON.stringify(decoding)}\n`);
  }
}
