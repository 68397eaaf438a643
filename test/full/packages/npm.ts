import { execFile } from "node:child_process";
import { lstat, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * The environment of an npm that a user starts, with a cache of its own: without what the npm that runs the tests tells
 * its children, and without the CUDA files of ONNX Runtime.
 */
export function npmEnvironment(cache: string): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !name.startsWith("npm_") && name !== "INIT_CWD" && name !== "NODE_TEST_CONTEXT",
  );
  return {
    ...Object.fromEntries(own),
    NPM_CONFIG_CACHE: cache,
    NPM_CONFIG_AUDIT: "false",
    NPM_CONFIG_FUND: "false",
    NPM_CONFIG_UPDATE_NOTIFIER: "false",
    ONNXRUNTIME_NODE_INSTALL: "skip",
  };
}

/** Why the registry cannot be used from here, or false. */
export async function registryProblem(): Promise<string | false> {
  try {
    await run("npm", ["view", "p-limit", "version", "--fetch-retries=1"], {
      cwd: tmpdir(),
      timeout: 60_000,
    });
    return false;
  } catch {
    return "npm's registry does not answer";
  }
}

/** What the files below a folder take on the disk. */
export async function installedMebibytes(folder: string): Promise<number> {
  let blocks = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    blocks += (await lstat(join(entry.parentPath, entry.name))).blocks;
  }
  return (blocks * 512) / 2 ** 20;
}
