import {
  canonicalJson,
  compareUtf8,
  runKeys,
  sha256Hex,
  split as splitSchema,
  type ObjectStore,
  type RunConfig,
  type Shard,
  type Split,
} from "@trommel/common";
import { parseShard } from "@trommel/common/artefacts";
import { parseSealedAs, putJsonOnce, sealedJson } from "@trommel/common/codec";
import { readAhead, readBounds } from "@trommel/common/store";
import type { ChosenSplit } from "./choose-split.js";
import type { ShardPositions } from "./shard-positions.js";
import type { SplitMemory } from "./split-memory.js";

/** In a bucket each read is a round trip, and there may be tens of thousands. */
const shardsReadAtOnce = 8;

/** The memories in which later runs on the same dataset look for the keys of each part. */
export interface SplitMemories {
  readonly validation: SplitMemory;
  readonly test: SplitMemory;
}

/**
 * Writes a run's split, and its validation and test keys in the places where later runs on the same dataset look for them.
 * An existing split is kept.
 */
export async function writeSplit(
  store: ObjectStore,
  config: RunConfig,
  chosen: ChosenSplit,
  memories: SplitMemories,
): Promise<void> {
  const { seed, validation } = config.recipe;
  const { split: splitKey } = runKeys(config.id);
  const { fraction } = validation;
  const body = encodeSplit({ formatVersion: 2, seed, fraction }, chosen);
  const outcome = await putJsonOnce(store, splitKey, body);
  const existing =
    outcome === "written"
      ? chosen
      : parseSealedAs(splitSchema, await store.get(splitKey, readBounds.dataset), splitKey);
  // Also on a retry: the previous try may have ended between the two writes.
  await remember(store, config, existing.validation, memories.validation);
  if (existing.test) await remember(store, config, existing.test, memories.test);
}

type Positions = ShardPositions | Split["validation"];

/** Keys are remembered in ascending order, whatever order the source has. */
async function remember(
  store: ObjectStore,
  { id, from }: Pick<RunConfig, "id" | "from">,
  positions: Positions,
  memory: SplitMemory,
): Promise<void> {
  const keys = keysAt(store, id, positions);
  await memory.write(from === undefined ? keys : inOrder(keys), countPositions(positions));
}

async function* inOrder(keys: AsyncIterable<string>): AsyncGenerator<string> {
  const all: string[] = [];
  for await (const key of keys) all.push(key);
  yield* all.sort(compareUtf8);
}

const piecesAtOnce = 64;

/** The same bytes as `sealedJson`, with the positions as the last fields: for a million of them its strings would need several times the memory. */
function encodeSplit(rest: Omit<Split, "validation" | "test">, { validation, test }: ChosenSplit): Buffer {
  const parts = [...(test === null ? [] : [["test", test] as const]), ["validation", validation] as const];
  const tail = parts.map(([name, positions]) => [`"${name}":`, encodePositions(positions)] as const);
  const around = (fields: Readonly<Record<string, unknown>>): Buffer => {
    // Canonical JSON sorts fields by name, and these two are the last of a split's.
    const head = canonicalJson(fields).slice(0, -1);
    const pieces = tail.flatMap(([name, positions]) => [Buffer.from(`,${name}`, "utf8"), positions]);
    return Buffer.concat([Buffer.from(head, "utf8"), ...pieces, Buffer.from("}")]);
  };
  return around({ ...rest, sha256: sha256Hex(around(rest)) });
}

function encodePositions(positions: ShardPositions): Buffer {
  const bytes: Buffer[] = [];
  const pieces = ["["];
  let comma = "";
  for (const ofShard of positions) {
    pieces.push(`${comma}[${ofShard.join(",")}]`);
    comma = ",";
    if (pieces.length >= piecesAtOnce) bytes.push(Buffer.from(pieces.splice(0).join(""), "utf8"));
  }
  bytes.push(Buffer.from(`${pieces.join("")}]`, "utf8"));
  return Buffer.concat(bytes);
}

/**
 * Writes the split of a run that retries another run's failed files: the other run's split, with each of those files on its
 * side there. The remembered keys are the same too, and are written again, since the other run may be removed.
 * @param triedAgain the shards with retried files, in order, including those of the other run
 */
export async function extendSplit(
  store: ObjectStore,
  config: RunConfig & { readonly retryOf: NonNullable<RunConfig["retryOf"]> },
  triedAgain: readonly Shard[],
  memories: SplitMemories,
): Promise<void> {
  const { id, retryOf } = config;
  const from = runKeys(retryOf.run).split;
  const split = parseSealedAs(splitSchema, await store.get(from, readBounds.dataset), from);
  const extend = (of: Split["validation"]): number[][] => {
    const extended = of.map((positions) => [...positions]);
    for (const { index, supersedes } of triedAgain) {
      if (supersedes === undefined || index < extended.length) continue;
      const isIn = supersedes.rows.map(({ shard, position }) => extended[shard]?.includes(position));
      extended[index] = isIn.flatMap((is, position) => (is === true ? [position] : []));
    }
    return extended;
  };
  const validation = extend(split.validation);
  const test = split.test === undefined ? undefined : extend(split.test);
  const body = sealedJson({ ...split, validation, ...(test === undefined ? {} : { test }) });
  await putJsonOnce(store, runKeys(id).split, body);
  // The keys of later shards are already among these, and would be out of order.
  const listed = (of: number[][]): number[][] => of.slice(0, triedAgain[0]?.index);
  await remember(store, config, listed(validation), memories.validation);
  if (test !== undefined) await remember(store, config, listed(test), memories.test);
}

function countPositions(positions: Iterable<ArrayLike<number>>): number {
  let count = 0;
  for (const { length } of positions) count += length;
  return count;
}

/** The keys of a part, from the shards that it points into, in the order of the listing. */
async function* keysAt(store: ObjectStore, id: string, part: Positions): AsyncGenerator<string> {
  const indices = Array.from({ length: part.length }, (_, index) => index);
  const having = indices.filter((index) => part.at(index)?.length !== 0);
  const shards = readAhead(having, shardsReadAtOnce, async (index) => {
    const key = runKeys(id).shard(index);
    return parseShard(await store.get(key, readBounds.dataset), key);
  });
  for await (const { index, entries } of shards) {
    for (const position of part.at(index) ?? []) {
      const entry = entries[position];
      if (entry !== undefined) yield entry.key;
    }
  }
}
