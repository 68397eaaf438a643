import {
  canonicalJson,
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
import type { ShardPositions } from "./choose-split.js";
import type { SplitMemory } from "./split-memory.js";

/** In a bucket each read is a round trip, and there may be tens of thousands. */
const shardsReadAtOnce = 8;

/**
 * Writes a run's split, and its validation keys in the place where later runs on the same dataset look for them.
 * An existing split is kept.
 */
export async function writeSplit(
  store: ObjectStore,
  config: RunConfig,
  chosen: ShardPositions,
  memory: SplitMemory,
): Promise<void> {
  const { seed, validation } = config.recipe;
  const { split: splitKey } = runKeys(config.id);
  const { fraction } = validation;
  const body = encodeSplit({ formatVersion: 2, seed, fraction }, chosen);
  const outcome = await putJsonOnce(store, splitKey, body);
  const existing =
    outcome === "written"
      ? chosen
      : parseSealedAs(splitSchema, await store.get(splitKey, readBounds.dataset), splitKey).validation;
  // Also on a retry: the previous try may have ended between the two writes.
  await memory.write(validationKeys(store, config.id, existing), countPositions(existing));
}

const piecesAtOnce = 64;

/** The same bytes as `sealedJson`, with the positions as the last field: for a million of them its strings would need several times the memory. */
function encodeSplit(rest: Omit<Split, "validation">, positions: ShardPositions): Buffer {
  const validation = encodePositions(positions);
  const around = (fields: Readonly<Record<string, unknown>>): Buffer => {
    const empty = canonicalJson({ ...fields, validation: [] });
    return Buffer.concat([Buffer.from(empty.slice(0, -"[]}".length), "utf8"), validation, Buffer.from("}")]);
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
 * side there. The validation keys are the same too, and are written again, since the other run may be removed.
 * @param triedAgain the shards with retried files, in order, including those of the other run
 */
export async function extendSplit(
  store: ObjectStore,
  { id, retryOf }: RunConfig & { readonly retryOf: NonNullable<RunConfig["retryOf"]> },
  triedAgain: readonly Shard[],
  memory: SplitMemory,
): Promise<void> {
  const from = runKeys(retryOf.run).split;
  const split = parseSealedAs(splitSchema, await store.get(from, readBounds.dataset), from);
  const validation = split.validation.map((positions) => [...positions]);
  for (const { index, supersedes } of triedAgain) {
    if (supersedes === undefined || index < validation.length) continue;
    const validates = supersedes.rows.map(({ shard, position }) => validation[shard]?.includes(position));
    validation[index] = validates.flatMap((is, position) => (is === true ? [position] : []));
  }
  const body = sealedJson({ ...split, validation });
  await putJsonOnce(store, runKeys(id).split, body);
  // The keys of later shards are already among these, and would be out of order.
  const listed = validation.slice(0, triedAgain[0]?.index);
  await memory.write(validationKeys(store, id, listed), countPositions(listed));
}

function countPositions(positions: Iterable<ArrayLike<number>>): number {
  let count = 0;
  for (const { length } of positions) count += length;
  return count;
}

/** The keys of a split, from the shards that it points into, in the order of the listing. */
async function* validationKeys(
  store: ObjectStore,
  id: string,
  validation: ShardPositions | Split["validation"],
): AsyncGenerator<string> {
  const indices = Array.from({ length: validation.length }, (_, index) => index);
  const having = indices.filter((index) => validation.at(index)?.length !== 0);
  const shards = readAhead(having, shardsReadAtOnce, async (index) => {
    const key = runKeys(id).shard(index);
    return parseShard(await store.get(key, readBounds.dataset), key);
  });
  for await (const { index, entries } of shards) {
    for (const position of validation.at(index) ?? []) {
      const entry = entries[position];
      if (entry !== undefined) yield entry.key;
    }
  }
}
