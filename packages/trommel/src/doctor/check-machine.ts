import { statfs } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir, totalmem } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { workerDefaults, type Device } from "@trommel/common";
import { readMemoryLimit } from "@trommel/common/memory-limit";
import type { RuntimePart } from "@trommel/common/worker-commands";
import { loadWorkerCommands } from "../worker-package.js";
import { bounded, failed, failedBy, ok, skipped, warning, type Finding, type Limits } from "./finding.js";

const mebibyte = 2 ** 20;

/** The oldest Node.js that the packages are made for. */
const oldestNode = [20, 12] as const;

export function checkNode(version = process.versions.node): Finding {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const isOld = major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1]);
  return isOld
    ? failed("node", `Node.js ${version} is too old`, `Use Node.js ${oldestNode.join(".")} or later`)
    : ok("node", `Node.js ${version}`);
}

/** What a worker takes besides what its flags bound: the runtime, a model and its activations, measured with MobileNetV1. */
const workerBaseMib = 600;

/**
 * The memory that a worker with its defaults needs, against what there is.
 * @param root the file system's root, for control groups
 */
export function checkMemory(root = "/"): Finding {
  const limit = readMemoryLimit(root);
  const bytes = Math.min(limit ?? Infinity, totalmem());
  const neededMib = workerBaseMib + workerDefaults.bytesInFlightMib + workerDefaults.pixelsInFlightMib;
  const found =
    limit === undefined
      ? `no limit but the machine's ${mib(totalmem())}`
      : `the container may take ${mib(limit)}`;
  return bytes < neededMib * mebibyte
    ? warning(
        "memory",
        `${found}, and a worker with its defaults takes up to ${neededMib} MiB`,
        "Raise the container's limit, or lower --pixels-in-flight and --bytes-in-flight",
      )
    : ok("memory", found);
}

function mib(bytes: number): string {
  return `${Math.floor(bytes / mebibyte)} MiB`;
}

/** Less than this ends the next large artefact. */
const leastFreeBytes = 256 * mebibyte;
const lowFreeBytes = 2048 * mebibyte;

/** Room in the folder of temporary files and, where it is one, in the store. */
export function checkDisk(storeUrl: string, limits: Limits): Promise<Finding> {
  return bounded("disk", limits, async () => {
    const store = storeUrl.startsWith("file:") ? [existing(fileURLToPath(storeUrl))] : [];
    const rooms = await Promise.all(
      [...new Set([tmpdir(), ...store])].map(async (folder) => {
        const { bavail, bsize } = await statfs(folder);
        return { folder, free: bavail * bsize };
      }),
    );
    const found = rooms.map(({ folder, free }) => `${mib(free)} free in ${folder}`).join(", ");
    const least = Math.min(...rooms.map(({ free }) => free));
    const advice = "Make room, or set TMPDIR and --store to a larger disk";
    if (least < leastFreeBytes) return failed("disk", found, advice);
    return least < lowFreeBytes ? warning("disk", found, advice) : ok("disk", found);
  });
}

/** The first folder upwards that exists: a new store's own does not. */
function existing(folder: string): string {
  return existsSync(folder) || dirname(folder) === folder ? folder : existing(dirname(folder));
}

/** The native libraries of a worker, where its package is installed. */
export async function checkRuntime(device: Device, { timeoutMs }: Limits): Promise<Finding[]> {
  try {
    const worker = await loadWorkerCommands();
    return (await worker.examineRuntime({ device, timeoutMs })).map((part) => findingOf(part, device));
  } catch (thrown) {
    const { found, advice } = failedBy("sharp", thrown);
    const why = `${found}. ${advice ?? ""}`;
    return [skipped("sharp", why), skipped("onnxruntime", "as sharp")];
  }
}

function findingOf(part: RuntimePart, device: Device): Finding {
  if ("error" in part) {
    const { found, advice } = failedBy(part.part, part.error);
    const otherwise = `Install the worker's packages again for this machine (${process.platform}, ${process.arch})`;
    return failed(part.part, found, advice || otherwise);
  }
  if (part.part === "sharp") return ok("sharp", `sharp ${part.version} with libvips ${part.libvips} decodes`);
  const { version, providers, description } = part;
  return ok(
    "onnxruntime",
    `ONNX Runtime ${version}: ${device} computes (${description}); built with ${providers.join(", ")}`,
  );
}
