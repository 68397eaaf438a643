import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  canonicalJson,
  openStore,
  outputKeys,
  scoringKeys,
  shardHash,
  writeWithMarker,
  type FailedImage,
  type FailureReason,
  type ScoringConfig,
  type Shard,
} from "@trommel/common";
import { streamRetryShards } from "#coordinator/retry/stream-retry-shards";
import { ShardOutcomes } from "#coordinator/retry/shard-outcomes";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("retry-shards");
let scorings = 0;

/** A closed scoring of files `a` to `h` in shards of four, in which `failures` failed. */
async function scoringWith(failures: Readonly<Record<string, FailureReason>>) {
  const root = join(folder, String((scorings += 1)));
  const [store, source, output] = ["store", "source", "scores"].map((name) => openStore(join(root, name)));
  if (store === undefined || source === undefined || output === undefined) throw new Error("no stores");
  const config: ScoringConfig = {
    formatVersion: 1,
    id: "score-1",
    source: source.url,
    output: output.url,
    bundle: { location: output.url, modelSha256: "0".repeat(64) },
    topK: 1,
    formats: ["jsonl"],
    shardSize: 2,
  };
  for (const [index, keys] of ["abcd", "efgh"].entries()) {
    const entries = [...keys].map((key) => ({ key, sizeBytes: 1, etag: "old" }));
    const failed: FailedImage[] = [...keys].flatMap((key, position) => {
      const reason = failures[key];
      return reason === undefined ? [] : [{ position, key, reason, detail: "", tries: 1 }];
    });
    const shard: Shard = { formatVersion: 1, index, hash: shardHash(entries), entries, skipped: [] };
    await store.put(scoringKeys(config.id).shard(index), Buffer.from(canonicalJson(shard)));
    const counts = { ok: entries.length - failed.length, failed };
    await writeWithMarker(output, outputKeys.part(index, "jsonl"), Buffer.from("rows"), counts);
  }
  for (const key of "abcdefg") await source.put(key, Buffer.from(`the new ${key}`));
  const outcomes = await ShardOutcomes.open(store, { kind: "scoring", id: config.id, config });
  const stream = (reasons: FailureReason[] | null) =>
    streamRetryShards({
      outcomes,
      span: { retriedFrom: 2, shards: 2, listed: 8 },
      reasons,
      store,
      shardKey: scoringKeys(config.id).shard,
      shardSize: 2,
      config,
      signal: new AbortController().signal,
    });
  return { stream, source, store };
}

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const values: T[] = [];
  for await (const value of stream) values.push(value);
  return values;
}

const failures = { a: "truncated", c: "timed-out", d: "empty", f: "truncated", h: "not-found" } as const;
const keysOf = (shards: readonly Shard[]): string[][] =>
  shards.map(({ entries }) => entries.map(({ key }) => key));

describe("shards that try failed files again", () => {
  it("have the failed files in listing order, with the rows that they stand for", async () => {
    const { stream, source } = await scoringWith(failures);
    const shards = await all(stream(null));
    assert.deepEqual(keysOf(shards), [["a", "c"], ["d", "f"], ["h"]]);
    assert.deepEqual(
      shards.map(({ index, supersedes }) => [index, supersedes]),
      [
        [2, [0, 0, 0, 2]],
        [3, [0, 3, 1, 1]],
        [4, [1, 3]],
      ].map(([index, places]) => [
        index,
        {
          by: "score-1",
          rows: (places as number[]).flatMap((shard, i, all) =>
            i % 2 === 0 ? [{ shard, position: all[i + 1] }] : [],
          ),
        },
      ]),
    );
    const first = shards[0]?.entries[0];
    assert.deepEqual([first?.sizeBytes, first?.etag], ["the new a".length, (await source.head("a"))?.etag]);
  });

  it("leave what is gone as it was listed", async () => {
    const { stream } = await scoringWith({ h: "not-found" });
    const [shard] = await all(stream(null));
    assert.deepEqual(shard?.entries, [{ key: "h", sizeBytes: 1, etag: "old" }]);
  });

  it("are of the reasons that were asked for alone", async () => {
    const { stream } = await scoringWith(failures);
    assert.deepEqual(keysOf(await all(stream(["truncated"]))), [["a", "f"]]);
    assert.deepEqual(keysOf(await all((await scoringWith({})).stream(null))), []);
  });

  it("are the same where planning is interrupted after any of them, whatever changes meanwhile", async () => {
    const whole = keysOf(await all((await scoringWith(failures)).stream(null)));
    for (let written = 1; written <= whole.length; written += 1) {
      const { stream, source } = await scoringWith(failures);
      const before: Shard[] = [];
      for await (const shard of stream(null)) {
        before.push(shard);
        if (before.length === written) break;
      }
      for (const key of "abcdefgh") await source.put(key, Buffer.from(`changed again: ${key}`));
      const after = await all(stream(null));
      assert.deepEqual(keysOf(after), whole);
      assert.deepEqual(after.slice(0, written), before.slice(0, written), "what was handed out stays");
    }
  });

  it("of two that plan at the same moment are the same", async () => {
    const { stream } = await scoringWith(failures);
    const [one, other] = await Promise.all([all(stream(null)), all(stream(null))]);
    assert.deepEqual(one, other);
  });
});
