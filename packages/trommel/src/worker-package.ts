import { TrommelError, type WorkerCommands } from "@trommel/common";
import { version } from "./version.js";

const worker = "@trommel/gpu-worker";

/**
 * The worker package, loaded only by what needs its ML runtime. It is an optional dependency: the coordinator's image
 * does not have it.
 * @throws TrommelError `device-unavailable` if it is not installed
 */
export async function loadWorkerCommands(): Promise<WorkerCommands> {
  try {
    return await import("@trommel/gpu-worker");
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
