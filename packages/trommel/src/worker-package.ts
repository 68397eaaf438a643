import { TrommelError, type WorkerCommands } from "@trommel/common";
import type * as serving from "@trommel/gpu-worker/serving";
import { version } from "./version.js";

/** What a program needs that serves a bundle, and shows images. */
export type Serving = Pick<
  typeof serving,
  "findArchived" | "loadClassifier" | "makeThumbnail" | "readListedImage"
>;

const worker = "@trommel/gpu-worker";

/**
 * The worker package, loaded only by what needs its ML runtime. It is an optional dependency: the coordinator's image
 * does not have it.
 * @throws TrommelError `device-unavailable` if it is not installed
 */
export async function loadWorkerCommands(): Promise<WorkerCommands> {
  return ifInstalled(() => import("@trommel/gpu-worker"));
}

/**
 * The worker's entry for serving a bundle.
 * @throws TrommelError `device-unavailable` if the worker package is not installed
 */
export async function loadServing(): Promise<Serving> {
  return ifInstalled(() => import("@trommel/gpu-worker/serving"));
}

async function ifInstalled<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (thrown) {
    throw isWorkerMissing(thrown) ? notInstalled(thrown) : thrown;
  }
}

/** What the worker itself imports may be missing too, and that is another fault. */
function isWorkerMissing(thrown: unknown): boolean {
  const { code, message } = thrown as Partial<NodeJS.ErrnoException>;
  return code === "ERR_MODULE_NOT_FOUND" && (message ?? "").includes(`package '${worker}'`);
}

function notInstalled(cause: unknown): TrommelError {
  return new TrommelError(
    "device-unavailable",
    `cannot load the worker: the package ${worker} is not installed here. ` +
      `Install it with "ONNXRUNTIME_NODE_INSTALL=skip npm install ${worker}@${version}", or run the command in the worker's image`,
    { cause },
  );
}
