/**
 * Lists generated keys alone, and then as a later generation of a scoring does, and says how long each took. It ends when its channel
 * closes. Its options come as JSON in the first argument.
 */
import { openStore, type ScoringConfig } from "@trommel/common";
import { ScoringGeneration } from "@trommel/common/artefacts";
import { listDelta } from "#coordinator/generations/list-delta";
import { SyntheticSource, type SyntheticKeys } from "./synthetic-source.js";

export interface DeltaPlannerOptions extends SyntheticKeys {
  /** Location of the store that has the first generation. */
  readonly store: string;
  readonly config: ScoringConfig;
  /** Those of the first generation. */
  readonly shards: number;
  readonly images: number;
}

export interface DeltaListed {
  readonly aloneSeconds: number;
  readonly seconds: number;
  /** Images that the comparison calls new or changed. */
  readonly images: number;
}

const options = JSON.parse(process.argv[2] ?? "") as DeltaPlannerOptions;
const { config, images, shards } = options;

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

async function listAlone(): Promise<number> {
  let count = 0;
  for await (const { key } of new SyntheticSource(options).list("")) count += key.length > 0 ? 1 : 0;
  return count;
}

const generation = new ScoringGeneration(config.id, {
  ...{ formatVersion: 1, generation: 1, images },
  base: [{ generation: 0, first: 0, last: shards - 1 }],
});
const store = openStore(options.store);
const context = {
  store,
  signal: new AbortController().signal,
  openSource: () => new SyntheticSource(options),
  onNotice: () => undefined,
};
let found = 0;
const aloneSeconds = await secondsOf(listAlone);
const seconds = await secondsOf(async () => {
  const delta = await listDelta(config, generation, context, {
    dead: new Map(),
    onShard: () => Promise.resolve(),
  });
  found = delta.images;
});
const listed: DeltaListed = { aloneSeconds, seconds, images: found };
process.once("disconnect", () => process.exit(0));
process.send?.(listed);
