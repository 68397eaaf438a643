import { File, ready, type Group } from "h5wasm";

interface KerasWeight {
  readonly layer: string;
  readonly name: string;
  readonly shape: readonly number[];
}

/** Writes weights as Keras's `save_weights` does in HDF5: a group for each layer, its weights as `layer/name:0`. */
export async function writeKerasH5(
  weights: readonly KerasWeight[],
  values: readonly Float32Array[],
): Promise<Uint8Array> {
  const { FS } = await ready;
  const path = "/written.h5";
  const file = new File(path, "w");
  const layers = [...new Set(weights.map(({ layer }) => layer))];
  file.create_attribute("layer_names", ["input_1", ...layers], null, "S64");
  file.create_group("input_1").create_attribute("weight_names", new Float64Array(), [0]);
  for (const layer of layers) {
    const own = weights.flatMap((weight, index) => (weight.layer === layer ? [{ ...weight, index }] : []));
    const group = file.create_group(layer);
    group.create_attribute(
      "weight_names",
      own.map(({ name }) => `${layer}/${name}:0`),
      null,
      "S128",
    );
    writeGroup(
      group.create_group(layer),
      own.map(({ name, shape, index }) => ({ name, shape, data: values[index] ?? new Float32Array() })),
    );
  }
  file.close();
  const bytes = FS.readFile(path);
  FS.unlink(path);
  return bytes;
}

function writeGroup(
  group: Group,
  arrays: readonly { name: string; shape: readonly number[]; data: Float32Array }[],
): void {
  for (const { name, shape, data } of arrays) {
    group.create_dataset({ name: `${name}:0`, data, shape: [...shape] });
  }
}
