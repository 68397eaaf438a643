/**
 * Lists generated keys alone, and then as a later generation of a scoring does, from memory and from a bucket, and says how long each
 * took. It ends when its channel closes. Its options come as JSON in the first argument.
 */
import { openStore, type ScoringConfig } from "@trommel/common";
import { ScoringGeneration } from "@trommel/common/artefacts";
import { listDelta } from "#coordinator/generations/list-delta";
import type { ImageSource } from "#coordinator/sources/image-source";
import { SyntheticSource, type SyntheticKeys } from "./synthetic-source.js";

export interface DeltaPlannerOptions extends SyntheticKeys {
  /** Location of the store that has the first generation. */
  readonly store: string;
  readonly config: ScoringConfig;
  /** Those of the first generation. */
  readonly shards: number;
  readonly images: number;
}

/** One way of listing. */
export interface DeltaTimes {
  readonly aloneSeconds: number;
  readonly seconds: number;
  /** Images that the comparison calls new or changed. */
  readonly images: number;
}

export interface DeltaListed {
  readonly memory: DeltaTimes;
  readonly bucket: DeltaTimes;
}

/** Where the bucket's variables lead to. */
const bucket = "s3://keys";

const options = JSON.parse(process.argv[2] ?? "") as DeltaPlannerOptions;
const { config, images, shards } = options;

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

async function listAlone(source: Pick<ImageSource, "list">): Promise<void> {
  for await (const _ of source.list("", { withUnusable: true }));
}

/** @param number of the generation: each has a place of its own, where nothing was interrupted */
async function timesOf(
  number: number,
  open: () => SyntheticSource | ReturnType<typeof openStore>,
): Promise<DeltaTimes> {
  const generation = new ScoringGeneration(config.id, {
    ...{ formatVersion: 1, generation: number, images },
    base: [{ generation: 0, first: 0, last: shards - 1 }],
  });
  const context = {
    store,
    signal: new AbortController().signal,
    openSource: open,
    onNotice: () => undefined,
  };
  const source = open();
  const aloneSeconds = await secondsOf(() => listAlone(source));
  source.close();
  let found = 0;
  const seconds = await secondsOf(async () => {
    const delta = await listDelta(config, generation, context, {
      dead: new Map(),
      onShard: () => Promise.resolve(),
    });
    found = delta.images;
  });
  return { aloneSeconds, seconds, images: found };
}

const store = openStore(options.store);
const memory = await timesOf(1, () => new SyntheticSource(options));
const listed: DeltaListed = { memory, bucket: await timesOf(2, () => openStore(bucket)) };
process.once("disconnect", () => process.exit(0));
process.send?.(listed);
