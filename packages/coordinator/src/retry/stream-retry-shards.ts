import {
  openStore,
  type ObjectStore,
  type RunConfig,
  type ScoringConfig,
  type Shard,
  type ShardEntry,
} from "@trommel/common";
import {
  currentShards,
  findColumns,
  findShard,
  checkOutcome,
  isRetried,
  type CarriedColumn,
  type GenerationSummary,
  type ImagePlace,
  type RetryReasons,
  type ShardSpan,
} from "@trommel/common/artefacts";
import { range, readAhead } from "@trommel/common/store";
import type { ImageSource } from "../sources/image-source.js";
import { openSource, placeOf } from "../sources/open-source.js";
import { shardsReadAtOnce, type ShardOutcomes } from "./shard-outcomes.js";
import { writeWithColumns } from "../plan/stream-shards.js";

/** Objects that are looked up at once. */
const headsAtOnce = 16;

interface FailedEntry {
  readonly entry: ShardEntry;
  readonly place: ImagePlace;
  /** What the source says of it besides. */
  readonly carried: readonly unknown[];
}

/** The carried columns of a scoring, and where each shard's lie. */
interface RetriedColumns {
  readonly columns: readonly CarriedColumn[];
  readonly keyOf: (index: number) => string;
}

interface RetryStream {
  readonly outcomes: ShardOutcomes;
  readonly span: ShardSpan & { readonly found?: GenerationSummary | undefined };
  readonly reasons: RetryReasons;
  readonly store: ObjectStore;
  /** @default no column is carried */
  readonly carried?: RetriedColumns | undefined;
  readonly signal: AbortSignal;
}

/**
 * Failed images to shards that retry them, as a stream.
 *
 * In: the shards of `span` and their markers, none of which may be missing. Out: shard files after them with the carried columns
 * of their images, each yielded once it is written: every failed image that no shard of the span retries, with the size and etag that its object has now. An
 * object that no longer exists keeps those of its listing, and fails as not found.
 * A retry reads the shard files that exist and continues after the last image of the last of them.
 */
export async function* streamRetryShards(
  options: RetryStream & {
    readonly shardKey: (index: number) => string;
    readonly shardSize: number;
    readonly config: RunConfig | ScoringConfig;
  },
): AsyncGenerator<Shard> {
  const { store, shardKey, shardSize, signal, span, carried } = options;
  let index = span.shards;
  let last: ImagePlace | undefined;
  for (;;) {
    const written = await findShard(store, shardKey(index));
    if (written === undefined) break;
    last = written.supersedes?.rows.at(-1) ?? last;
    index += 1;
    yield written;
  }
  const { config } = options;
  const source = openSource(placeOf(config), openStore);
  const write = async (failed: readonly FailedEntry[]): Promise<Shard> => {
    const entries: ShardEntry[] = [];
    for await (const entry of readAhead(range(0, failed.length), headsAtOnce, (i) =>
      lookUp(source, (failed[i] as FailedEntry).entry),
    ))
      entries.push(entry);
    signal.throwIfAborted();
    const supersedes = { by: config.id, rows: failed.map(({ place }) => place) };
    const to = { store, source: { columns: carried?.columns ?? [] }, shardKey, columnsKey: carried?.keyOf };
    const shard = await writeWithColumns(to, index, {
      ...{ entries, skipped: [], supersedes },
      carried: failed.map((image) => image.carried),
    });
    index += 1;
    return shard;
  };
  try {
    let building: FailedEntry[] = [];
    for await (const failed of failedEntries(options)) {
      if (last !== undefined && !isBehind(failed.place, last)) continue;
      building.push(failed);
      if (building.length < shardSize) continue;
      yield await write(building);
      building = [];
    }
    if (building.length > 0) yield await write(building);
  } finally {
    source.close();
  }
}

/** Failed images by shard and position that no later shard retries. */
async function* failedEntries(options: RetryStream): AsyncGenerator<FailedEntry> {
  const { outcomes, span, reasons, signal } = options;
  const retried = await outcomes.retriedImages(span);
  for await (const { shard, outcome } of readAhead(currentShards(span), shardsReadAtOnce, async (index) => {
    signal.throwIfAborted();
    const read = await outcomes.shard(index);
    return { shard: read, outcome: await outcomes.outcome(read) };
  })) {
    checkOutcome(shard, outcome);
    const again = retried.ofShard(shard.index);
    const failed = outcome.failed.filter(
      ({ position, reason }) => !again.has(position) && isRetried(reasons, reason),
    );
    if (failed.length === 0) continue;
    const valuesOf = await readValues(options, shard);
    for (const { position } of failed) {
      const entry = shard.entries[position];
      if (entry === undefined) continue;
      yield { entry, place: { shard: shard.index, position }, carried: valuesOf(position) };
    }
  }
}

/** @returns what the columns of a shard hold at a position, in the order of the carried columns */
async function readValues(
  { store, carried }: Pick<RetryStream, "store" | "carried">,
  shard: Shard,
): Promise<(position: number) => readonly unknown[]> {
  if (carried === undefined || carried.columns.length === 0) return () => [];
  const kept = await findColumns(store, carried.keyOf(shard.index), shard);
  const byName = new Map(kept?.map(({ name, values }) => [name, values]));
  return (position) => carried.columns.map(({ name }) => byName.get(name)?.[position] ?? null);
}

/** A part of an archive stays that of the archive that was listed: in another one it may be elsewhere. */
async function lookUp(source: ImageSource, entry: ShardEntry): Promise<ShardEntry> {
  if (entry.at?.range !== undefined) return entry;
  const found = await source.head(entry.key);
  return found === undefined ? entry : { ...entry, sizeBytes: found.sizeBytes, etag: found.etag };
}

function isBehind(place: ImagePlace, last: ImagePlace): boolean {
  return place.shard > last.shard || (place.shard === last.shard && place.position > last.position);
}
