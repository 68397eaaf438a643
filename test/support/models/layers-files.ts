import type { LayersSource } from "./layers-reference.js";

export interface PlainLayer {
  readonly class_name: string;
  readonly config: Readonly<Record<string, unknown>> & { readonly name: string };
}

export interface PlainWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

/** A Sequential layers model written out by hand: no TensorFlow.js has a say in it. */
export function sequentialFiles(
  layers: readonly PlainLayer[],
  weights: readonly PlainWeight[] = [],
): LayersSource {
  const specs = weights.map(({ name, shape }) => ({ name, shape, dtype: "float32" }));
  const bytes = new Uint8Array(Float32Array.from(weights.flatMap(({ values }) => [...values])).buffer);
  return layersFiles({ class_name: "Sequential", config: { name: "model", layers } }, specs, bytes);
}

export function layersFiles(topology: object, specs: readonly object[], bytes: Uint8Array): LayersSource {
  const weightsManifest = specs.length === 0 ? [] : [{ paths: ["weights.bin"], weights: specs }];
  return {
    modelJson: Buffer.from(JSON.stringify({ modelTopology: topology, weightsManifest })),
    readFile: () => Promise.resolve(bytes),
  };
}
