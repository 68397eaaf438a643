import { TrommelError } from "@trommel/common";
import type { LayersFiles } from "../layers/layers-to-json.js";
import type { ZooNetwork } from "./architectures.js";

/**
 * Packs a network and its weights as a TensorFlow.js layers model, `model.json` and `weights.bin`, the form that the rest of
 * the import reads (see layers-model.ts).
 * @param weights one array per weight of the network, in its order
 * @throws TrommelError `internal` if they do not fit the network: weights from a file are checked when they are read
 */
export function zooLayersFiles(network: ZooNetwork, weights: readonly Float32Array[]): LayersFiles {
  const model = {
    format: "layers-model",
    generatedBy: "trommel",
    modelTopology: network.modelTopology,
    weightsManifest: [
      {
        paths: ["weights.bin"],
        weights: network.weights.map(({ layer, name, shape }) => ({
          name: `${layer}/${name}`,
          shape,
          dtype: "float32",
        })),
      },
    ],
  };
  const packed = new Float32Array(network.parameterCount);
  let position = 0;
  network.weights.forEach(({ layer, name, shape }, index) => {
    const values = weights[index];
    const length = shape.reduce((product, dim) => product * dim, 1);
    if (values?.length !== length) {
      throw new TrommelError(
        "internal",
        `cannot pack ${layer}/${name}: it has ${values?.length ?? 0} values and needs ${length}`,
      );
    }
    packed.set(values, position);
    position += length;
  });
  return {
    modelJson: Buffer.from(JSON.stringify(model), "utf8"),
    weightsBin: new Uint8Array(packed.buffer),
  };
}
