import { createRequire } from "node:module";
import { dirname, join, sep } from "node:path";
import { TrommelError } from "@trommel/common";
import type * as TensorflowCore from "@tensorflow/tfjs-core";
import type * as TensorflowLayers from "@tensorflow/tfjs-layers";
import { requirePackages, tensorflowPackages } from "./optional-packages.js";

export type TfLayersModel = TensorflowLayers.LayersModel;
export type TfSymbolicTensor = TensorflowLayers.SymbolicTensor;
export type TfModelArtifacts = TensorflowCore.io.ModelArtifacts;
export type TfWeightEntry = TensorflowCore.io.WeightsManifestEntry;

export interface Tensorflow {
  readonly tf: typeof TensorflowCore;
  readonly layers: typeof TensorflowLayers;
  /** The backend that computes. */
  readonly backend: "wasm" | "node-gpu";
}

export interface LoadTensorflowOptions {
  /** `node-gpu` needs the optional package @tensorflow/tfjs-node-gpu. @default "wasm" */
  readonly backend?: "wasm" | "node-gpu";
}

let loaded: Promise<Tensorflow> | undefined;

/**
 * TensorFlow.js, ready to compute. It is loaded once per process because it has one global engine. Prints nothing.
 * Operations are functions (`tf.add(a, b)`): the chained form (`a.add(b)`) is not registered.
 * @throws TrommelError `device-unavailable` if the requested backend is not installed or does not start,
 *   `invalid-argument` if this process already runs another backend
 */
export async function loadTensorflow(options: LoadTensorflowOptions = {}): Promise<Tensorflow> {
  const backend = options.backend ?? "wasm";
  loaded ??= (backend === "wasm" ? startWasm() : startNodeGpu()).catch((thrown: unknown) => {
    loaded = undefined;
    throw thrown;
  });
  const tensorflow = await loaded;
  if (tensorflow.backend !== backend) {
    throw new TrommelError(
      "invalid-argument",
      `cannot load TensorFlow.js with the backend ${backend}: ${tensorflow.backend} already runs in this process. ` +
        "Use one backend per process",
    );
  }
  return tensorflow;
}

async function startWasm(): Promise<Tensorflow> {
  requirePackages("use TensorFlow.js", tensorflowPackages);
  const tf = await import("@tensorflow/tfjs-core");
  const layers = await import("@tensorflow/tfjs-layers");
  const wasm = await import("@tensorflow/tfjs-backend-wasm");
  const entry = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm");
  wasm.setWasmPaths(join(dirname(entry), sep));
  if (!(await tf.setBackend("wasm"))) {
    throw new TrommelError(
      "device-unavailable",
      "cannot start TensorFlow.js: its wasm backend did not initialise",
    );
  }
  await tf.ready();
  return { tf, layers, backend: "wasm" };
}

async function startNodeGpu(): Promise<Tensorflow> {
  const nodeGpu = "@tensorflow/tfjs-node-gpu";
  try {
    // The package prints a banner and log lines; only this variable silences TensorFlow's C library.
    process.env["TF_CPP_MIN_LOG_LEVEL"] ??= "2";
    await import(nodeGpu);
  } catch (cause) {
    throw new TrommelError(
      "device-unavailable",
      `cannot load TensorFlow.js for the GPU: the package ${nodeGpu} is not installed or does not start. ` +
        "Use the GPU image, install the package, or choose the wasm backend",
      { cause },
    );
  }
  const tf = await import("@tensorflow/tfjs-core");
  const layers = await import("@tensorflow/tfjs-layers");
  await tf.setBackend("tensorflow");
  return { tf, layers, backend: "node-gpu" };
}
