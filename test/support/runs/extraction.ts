import {
  backboneId,
  backboneKeys,
  featureFingerprint,
  featureShardKey,
  openStore,
  recipe as recipeSchema,
  runKeys,
  sha256Hex,
  type ObjectStore,
  type RecipeInput,
  type RunConfig,
  type Shard,
} from "@trommel/common";
import { streamShards } from "#coordinator/plan/stream-shards";
import { createImageBudgets } from "#gpu-worker/image/budgets/image-budgets";
import type { DeviceStageContext } from "#gpu-worker/stages/context";
import { extract } from "#gpu-worker/stages/extract";
import { FeatureIndexes } from "#gpu-worker/stages/reuse/feature-index";
import { DeviceClient } from "#gpu-worker/threads/device-client";
import { SourceStores } from "#gpu-worker/stages/images/source-stores";
import { convolutionBackbone } from "../models/small-backbones.js";

const side = 32;
const small = convolutionBackbone(side, 8);
const spec = { ...small.spec, name: "small", modelSha256: sha256Hex(small.model), hash: sha256Hex("small") };

/** A new store with one small backbone, `small`, and nothing else. */
export async function storeWithSmallBackbone(location: string): Promise<ObjectStore> {
  const store = openStore(location);
  const keys = backboneKeys(backboneId(spec));
  await store.put(keys.model, small.model);
  await store.put(keys.spec, Buffer.from(JSON.stringify(spec)));
  return store;
}

/** What the extraction of a whole run came to. */
export interface Extracted {
  readonly config: RunConfig;
  readonly shards: readonly Shard[];
  readonly images: number;
  readonly failed: number;
  readonly reused: number;
  /** Pictures that the device was given. */
  readonly computed: number;
}

export const openDevice = (): DeviceClient =>
  new DeviceClient({ engine: "onnx", device: "cpu", threads: 1, modelsAtMost: 4 });

/** A worker without a queue: it extracts runs shard by shard, on a real device thread. */
export class ExtractingWorker {
  readonly #device: DeviceClient;
  readonly #indexes: FeatureIndexes;
  readonly #store: ObjectStore;
  #computed = 0;

  /** @param device that it shares with other workers, which whoever opened it stops */
  constructor(store: ObjectStore, device: DeviceClient) {
    this.#store = store;
    this.#device = device;
    this.#indexes = new FeatureIndexes(store);
  }

  /** Writes a run's configuration and its shards. */
  async plan(
    id: string,
    dataset: string,
    given: Partial<RecipeInput> = {},
  ): Promise<Pick<Extracted, "config" | "shards">> {
    const config = await writeRun(this.#store, id, dataset, given);
    const source = openStore(config.dataset);
    const shards: Shard[] = [];
    const { shardSize } = config.recipe;
    const shardKey = runKeys(id).shard;
    const { signal } = this.context();
    const skip = (): undefined => undefined;
    for await (const shard of streamShards({ source, store: this.#store, shardKey, shardSize, signal, skip }))
      shards.push(shard);
    return { config, shards };
  }

  async extract(id: string, dataset: string, given: Partial<RecipeInput> = {}): Promise<Extracted> {
    const { config, shards } = await this.plan(id, dataset, given);
    const before = this.#computed;
    const sums = { images: 0, failed: 0, reused: 0 };
    for (const { index } of shards) {
      const outcome = await extract(id, index, this.context());
      sums.images += outcome.images;
      sums.failed += outcome.failed;
      sums.reused += outcome.reused ?? 0;
    }
    return { config, shards, ...sums, computed: this.#computed - before };
  }

  /** What the worker gives its stages. */
  context(): DeviceStageContext {
    const nothing = (): void => undefined;
    const counted = new Proxy(this.#device, {
      get: (device, name) => {
        if (name !== "extract") {
          const value: unknown = Reflect.get(device, name, device);
          return typeof value === "function" ? (value as () => unknown).bind(device) : value;
        }
        return (...[key, batch]: Parameters<DeviceClient["extract"]>) => {
          this.#computed += batch.imageCount;
          return device.extract(key, batch);
        };
      },
    });
    return {
      store: this.#store,
      threads: 1,
      device: counted,
      engine: "onnx",
      viewsPerBatch: 6,
      trial: undefined,
      budgets: createImageBudgets({ bytesInFlightMib: 16, pixelsInFlightMib: 64 }),
      sources: new SourceStores(),
      featureIndexes: this.#indexes,
      claimFeature: () => Promise.resolve(true),
      signal: new AbortController().signal,
      onImages: nothing,
      onNote: nothing,
      onUnits: nothing,
    } as unknown as DeviceStageContext;
  }
}

/** The feature shards of a run with their markers, by key. */
export async function featuresOf(
  store: ObjectStore,
  { config, shards }: Extracted,
): Promise<Map<string, string>> {
  const features = new Map<string, string>();
  for (const { hash } of shards) {
    const key = featureShardKey(config.fingerprint, hash);
    for (const part of [key, `${key}.json`]) features.set(part, sha256Hex(await store.get(part)));
  }
  return features;
}

async function writeRun(
  store: ObjectStore,
  id: string,
  dataset: string,
  given: Partial<RecipeInput>,
): Promise<RunConfig> {
  const recipe = recipeSchema.parse({ backbones: ["small"], shardSize: 4, views: { count: 3 }, ...given });
  const { dimension, inputSize, hash } = spec;
  const config: RunConfig = {
    formatVersion: 1,
    id,
    dataset: `file://${dataset}`,
    recipe,
    labels: { classes: null, tableSha256: null },
    export: null,
    backbones: [{ id: backboneId(spec), hash, dimension, inputSize }],
    side,
    fingerprint: featureFingerprint(recipe, [hash], side),
  };
  await store.put(runKeys(id).config, Buffer.from(JSON.stringify(config)));
  return config;
}
