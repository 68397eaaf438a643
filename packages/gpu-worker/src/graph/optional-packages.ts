import { createRequire } from "node:module";
import { TrommelError } from "@trommel/common";

/**
 * The worker's optional peer dependencies for models made with Keras: TensorFlow.js is the second implementation that an
 * imported network is checked against and the engine `tfjs`, h5wasm reads HDF5 files.
 */
export const tensorflowPackages = [
  "@tensorflow/tfjs-core",
  "@tensorflow/tfjs-layers",
  "@tensorflow/tfjs-backend-wasm",
] as const;
export const kerasPackages = [...tensorflowPackages, "h5wasm"] as const;

const require = createRequire(import.meta.url);

/**
 * @param action completes "cannot <action>"
 * @param resolve finds a package's file or throws
 * @throws TrommelError `device-unavailable`, with the command that installs what is missing
 */
export function requirePackages(
  action: string,
  names: readonly string[],
  resolve: (name: string) => string = (name) => import.meta.resolve(name),
): void {
  const missing = names.filter((name) => !isInstalled(name, resolve));
  if (missing.length === 0) return;
  const { peerDependencies } = require("@trommel/gpu-worker/package.json") as {
    readonly peerDependencies: Readonly<Record<string, string>>;
  };
  const wanted = kerasPackages.map((name) => `${name}@${(peerDependencies[name] ?? "").replace("^", "")}`);
  throw new TrommelError(
    "device-unavailable",
    `cannot ${action}: ${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} not installed. ` +
      `Run "npm install ${wanted.join(" ")}" where Trommel is installed`,
    { context: { missing } },
  );
}

function isInstalled(name: string, resolve: (name: string) => string): boolean {
  try {
    resolve(name);
    return true;
  } catch {
    return false;
  }
}

/** The version of an installed package, or undefined. */
export function installedVersion(name: string): string | undefined {
  if (!isInstalled(name, (wanted) => import.meta.resolve(wanted))) return undefined;
  return (require(`${name}/package.json`) as { version: string }).version;
}
