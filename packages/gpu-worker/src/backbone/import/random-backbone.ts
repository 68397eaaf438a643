import {
  backboneId,
  backboneName,
  parseAs,
  sha256Hex,
  type BackboneSpec,
  type ObjectStore,
  type OutputPooling,
} from "@trommel/common";
import { requirePackages, tensorflowPackages } from "../../graph/optional-packages.js";
import { mapPooling } from "./map-pooling.js";
import { prepareZoo, resolveZoo, type ZooChoices } from "./prepare-zoo.js";
import { storeBackbone } from "./store-backbone.js";
import { randomWeights } from "../zoo/random-weights.js";

export interface RandomBackboneOptions extends Omit<ZooChoices, "pooling"> {
  /** @default "average" */
  readonly pooling?: OutputPooling;
  readonly name: string;
  readonly seed: number;
  readonly store: ObjectStore;
  /** Called with what is done, one line each. @default silence */
  readonly log?: (line: string) => void;
}

/**
 * Stores a network of the zoo with random weights, to try out a recipe whose weights are not available.
 * @returns the spec, whose source says `random`
 */
export async function randomBackbone(options: RandomBackboneOptions): Promise<BackboneSpec> {
  const log = options.log ?? (() => undefined);
  const { name, seed } = options;
  parseAs(backboneName, name, `the backbone's name "${name}"`);
  const { pooling, ...choices } = options;
  const zoo = resolveZoo({ ...choices, ...mapPooling(pooling) });
  requirePackages("make a random backbone", tensorflowPackages);
  const { architecture, normalization, channelOrder } = zoo;
  const weights = randomWeights(zoo.network, seed);
  log(`drew ${zoo.network.parameterCount} random weights with the seed ${seed}: the network is untrained`);
  const prepared = await prepareZoo(zoo, weights, log);
  const spec = await storeBackbone(options.store, prepared, {
    name,
    normalization,
    channelOrder,
    source: {
      kind: "random",
      url: `random:${architecture}?seed=${seed}`,
      sha256: sha256Hex(Buffer.concat(weights.map((values) => new Uint8Array(values.buffer)))),
      architecture,
    },
  });
  log(`stored ${backboneId(spec)} in ${options.store.url}; use it only to try out a recipe`);
  return spec;
}
