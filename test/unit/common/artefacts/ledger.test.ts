import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compareUtf8, shardHash, type FailedImage, type FailureReason, type Shard } from "@trommel/common";
import { errorLines, LedgerBuilder } from "#common/artefacts/shards/ledger-builder";
import type { ShardOutcome } from "#common/artefacts/shards/ledger";
import { RetriedImages } from "#common/artefacts/shards/retried-images";
import fc from "fast-check";

/** What a run or scoring has in the store: shard files, markers, and what its listing counted. */
interface Stored {
  shards: Shard[];
  outcomes: ShardOutcome[];
  base: number;
  listed: number;
  /** What the listing, or the last retry's, says of how many shards there are. */
  shardCount: number;
}
/** By key: what became of every file in the end. Kept aside while the rest is drawn: the other side of the balance. */
type Truth = Map<string, "ok" | "hidden" | FailureReason>;

const reasons = ["empty", "truncated", "not-found", "timed-out"] as const satisfies FailureReason[];

function addUp({ shards, outcomes, base, listed, shardCount }: Stored) {
  const retried = new RetriedImages();
  for (const [i, shard] of shards.entries()) if (i >= base) retried.add(shard, outcomes[i]?.failed ?? []);
  const builder = new LedgerBuilder(retried);
  let text = "";
  for (const [i, shard] of shards.entries())
    text += errorLines(shard, builder.add(shard, outcomes[i] ?? { ok: 0, failed: [] }));
  return { ledger: builder.ledger({ listed, shards: shardCount }), lines: linesOf(text) };
}

function linesOf(text: string) {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as { key: string; reason: string; shard: number });
}

function shardOf(index: number, keys: readonly string[], more: Partial<Shard> = {}): Shard {
  const entries = keys.map((key) => ({ key, sizeBytes: 1, etag: "e" }));
  return {
    formatVersion: 1,
    index,
    hash: shardHash(entries, more.supersedes),
    entries,
    skipped: [],
    ...more,
  };
}

/** Outcome of a file each time it is tried: the first draws of a fixed-length list, null for ok. */
const fate = fc.array(fc.option(fc.constantFrom(...reasons)), { minLength: 4, maxLength: 4 });
const file = fc.record({ fate, hidden: fc.boolean() });
const plan = fc.record({
  names: fc.uniqueArray(fc.string({ minLength: 1, maxLength: 6, unit: "grapheme" }), {
    minLength: 1,
    maxLength: 30,
  }),
  files: fc.array(file, { minLength: 30, maxLength: 30 }),
  shardSize: fc.integer({ min: 1, max: 7 }),
  retries: fc.array(fc.option(fc.subarray([...reasons], { minLength: 1 })), { maxLength: 3 }),
});

/** Plays a listing, its shards and their retries, and notes each file's last outcome. */
function play(drawn: {
  names: string[];
  files: { fate: (FailureReason | null)[]; hidden: boolean }[];
  shardSize: number;
  retries: (FailureReason[] | null)[];
}): { stored: Stored; truth: Truth } {
  const { shardSize, retries } = drawn;
  const keys = drawn.names.sort(compareUtf8);
  const fates = new Map(keys.map((key, i) => [key, drawn.files[i]]));
  const truth: Truth = new Map();
  const tried = new Map<string, number>();
  const stored: Stored = { shards: [], outcomes: [], base: 0, listed: keys.length, shardCount: 0 };
  const run = (shard: Shard): void => {
    const failed: FailedImage[] = [];
    for (const [position, { key }] of shard.entries.entries()) {
      const turn = tried.get(key) ?? 0;
      tried.set(key, turn + 1);
      const reason = fates.get(key)?.fate[turn] ?? null;
      truth.set(key, reason ?? "ok");
      if (reason !== null) failed.push({ position, key, reason, detail: "", tries: 1 });
    }
    stored.shards.push(shard);
    stored.outcomes.push({ ok: shard.entries.length - failed.length, failed });
  };
  let building: { keys: string[]; skipped: Shard["skipped"] } = { keys: [], skipped: [] };
  const flush = (): void => {
    run(shardOf(stored.shards.length, building.keys, { skipped: building.skipped }));
    building = { keys: [], skipped: [] };
  };
  for (const key of keys) {
    if (fates.get(key)?.hidden === true) {
      building.skipped.push({ key, reason: "hidden" });
      truth.set(key, "hidden");
    } else building.keys.push(key);
    if (building.keys.length === shardSize) flush();
  }
  if (building.keys.length + building.skipped.length > 0) flush();
  stored.base = stored.shards.length;
  for (const wanted of retries) {
    const last = new Map<string, { shard: number; position: number; reason: string }>();
    for (const [i, outcome] of stored.outcomes.entries()) {
      for (const { position, key } of stored.shards[i]?.entries.map((e, p) => ({
        position: p,
        key: e.key,
      })) ?? []) {
        const row = outcome.failed.find((failed) => failed.position === position);
        if (row === undefined) last.delete(key);
        else last.set(key, { shard: i, position, reason: row.reason });
      }
    }
    const again = [...last]
      .filter(([, { reason }]) => wanted === null || wanted.includes(reason as FailureReason))
      .sort(([, a], [, b]) => a.shard - b.shard || a.position - b.position);
    for (let from = 0; from < again.length; from += shardSize) {
      const slice = again.slice(from, from + shardSize);
      const rows = slice.map(([, { shard, position }]) => ({ shard, position }));
      run(
        shardOf(
          stored.shards.length,
          slice.map(([key]) => key),
          { supersedes: { by: "played", rows } },
        ),
      );
    }
  }
  stored.shardCount = stored.shards.length;
  return { stored, truth };
}

/** Damages one value of what is stored; undefined where there is nothing of that kind. */
type Damage = (stored: Stored, pick: (count: number) => number) => boolean;

const damages: Record<string, Damage> = {
  "an ok count": ({ outcomes }, pick) => {
    const i = pick(outcomes.length);
    const outcome = outcomes[i];
    if (outcome === undefined) return false;
    outcomes[i] = { ...outcome, ok: outcome.ok + 1 };
    return true;
  },
  "a failed row that is gone": (stored, pick) => changeRows(stored, pick, (rows, i) => rows.splice(i, 1)),
  "a failed row that was one of the others": (stored, pick) =>
    changeRows(stored, pick, (rows, i) => rows.splice(i, 1, { ...(rows[i] as FailedImage), position: 1000 })),
  "a failed row twice": (stored, pick) =>
    changeRows(stored, pick, (rows, i) => rows.splice(i, 0, rows[i] as FailedImage)),
  "a failed row twice, and one ok less": ({ outcomes }, pick) => {
    const found = outcomes.flatMap(({ ok, failed }, i) => (ok > 0 && failed.length > 0 ? [i] : []));
    const i = found[pick(found.length)];
    const outcome = i === undefined ? undefined : outcomes[i];
    if (i === undefined || outcome === undefined) return false;
    const failed = [...outcome.failed, outcome.failed[pick(outcome.failed.length)] as FailedImage];
    outcomes[i] = { ok: outcome.ok - 1, failed };
    return true;
  },
  "another key of a failed row": (stored, pick) =>
    changeRows(stored, pick, (rows, i) => {
      const row = rows[i] as FailedImage;
      rows[i] = { ...row, key: `${row.key}x` };
    }),
  "an entry that is gone": (stored, pick) =>
    changeShard(stored, pick, (shard) => ({ ...shard, entries: shard.entries.slice(1) })),
  "an entry that is gone, and one ok less, and another hash": (stored, pick) => {
    const found = stored.outcomes.flatMap(({ failed }, i) =>
      failed.length === 0 && i < stored.base && (stored.shards[i]?.entries.length ?? 0) > 0 ? [i] : [],
    );
    const i = found[pick(found.length)];
    const shard = i === undefined ? undefined : stored.shards[i];
    if (i === undefined || shard === undefined) return false;
    const entries = shard.entries.slice(1);
    stored.shards[i] = { ...shard, entries, hash: shardHash(entries) };
    stored.outcomes[i] = { ok: entries.length, failed: [] };
    return true;
  },
  "a skipped file that is gone": (stored, pick) => {
    const found = stored.shards.flatMap(({ skipped }, i) => (skipped.length > 0 ? [i] : []));
    const i = found[pick(found.length)];
    const shard = i === undefined ? undefined : stored.shards[i];
    if (i === undefined || shard === undefined) return false;
    stored.shards[i] = { ...shard, skipped: shard.skipped.slice(1) };
    return true;
  },
  "a shard that is gone": (stored, pick) => {
    const i = pick(stored.shards.length);
    stored.shards.splice(i, 1);
    stored.outcomes.splice(i, 1);
    if (i < stored.base) stored.base -= 1;
    return true;
  },
  // Of one try; the markers of two tries of the same files name the artefacts that they belong to.
  "the marker of another shard": (stored, pick) => {
    const [a, b] = [pick(stored.base), pick(stored.base)];
    const [one, other] = [stored.outcomes[a], stored.outcomes[b]];
    if (one === undefined || other === undefined) return false;
    const same = (o: ShardOutcome) => JSON.stringify([o.ok, o.failed.map((row) => [row.position, row.key])]);
    if (same(one) === same(other)) return false;
    // Nothing in a marker without failed rows tells two shards of one length apart but the artefact that it names.
    if (other.failed.length === 0 && other.ok === stored.shards[a]?.entries.length) return false;
    stored.outcomes[a] = other;
    return true;
  },
  "the files of a shard under another's number as well": (stored, pick) => {
    if (stored.base < 2) return false;
    const from = pick(stored.base);
    const to = (from + 1) % stored.base;
    const shard = stored.shards[from];
    if (shard === undefined) return false;
    stored.shards[to] = { ...shard, index: to };
    stored.outcomes[to] = stored.outcomes[from] as ShardOutcome;
    return true;
  },
  "what the listing counted": (stored) => {
    stored.listed += 1;
    return true;
  },
  "a row that is tried again": (stored, pick) =>
    changeRetry(stored, pick, (place) => ({ ...place, position: place.position + 1 })),
  "a row that is tried again in another shard": (stored, pick) =>
    changeRetry(stored, pick, (place) => ({ ...place, shard: place.shard + 1 })),
  "a try that forgets what it stands for": (stored, pick) => {
    const count = stored.shards.length - stored.base;
    const shard = count === 0 ? undefined : stored.shards[stored.base + pick(count)];
    if (shard === undefined) return false;
    stored.shards[shard.index] = shardOf(
      shard.index,
      shard.entries.map(({ key }) => key),
    );
    return true;
  },
};

function changeRows(
  { outcomes }: Stored,
  pick: (count: number) => number,
  change: (rows: FailedImage[], at: number) => void,
): boolean {
  const found = outcomes.flatMap(({ failed }, i) => (failed.length > 0 ? [i] : []));
  const i = found[pick(found.length)];
  const outcome = i === undefined ? undefined : outcomes[i];
  if (i === undefined || outcome === undefined) return false;
  const failed = [...outcome.failed];
  change(failed, pick(failed.length));
  outcomes[i] = { ...outcome, failed };
  return true;
}

function changeShard(
  { shards }: Stored,
  pick: (count: number) => number,
  change: (shard: Shard) => Shard,
): boolean {
  const found = shards.flatMap(({ entries }, i) => (entries.length > 0 ? [i] : []));
  const i = found[pick(found.length)];
  const shard = i === undefined ? undefined : shards[i];
  if (i === undefined || shard === undefined) return false;
  shards[i] = change(shard);
  return true;
}

function changeRetry(
  { shards, base }: Stored,
  pick: (count: number) => number,
  change: (place: { shard: number; position: number }) => { shard: number; position: number },
): boolean {
  const count = shards.length - base;
  const shard = count === 0 ? undefined : shards[base + pick(count)];
  if (shard?.supersedes === undefined) return false;
  const at = pick(shard.supersedes.rows.length);
  const rows = shard.supersedes.rows.map((place, i) => (i === at ? change(place) : place));
  shards[shard.index] = shardOf(
    shard.index,
    shard.entries.map(({ key }) => key),
    { supersedes: { by: "played", rows } },
  );
  return true;
}

describe("the ledger", () => {
  it("counts every file once, by its last try", () => {
    fc.assert(
      fc.property(plan, (drawn) => {
        const { stored, truth } = play(drawn);
        const { ledger, lines } = addUp(stored);
        const hashes = stored.shards.flatMap(({ entries, hash }) => (entries.length === 0 ? [] : [hash]));
        assert.equal(new Set(hashes).size, hashes.length, "no try finds the artefacts of another");
        const ends = [...truth.values()];
        const failed = ends.filter((end) => end !== "ok" && end !== "hidden");
        assert.deepEqual(
          [ledger.listed, ledger.ok, ledger.failed, ledger.skipped],
          [
            truth.size,
            ends.filter((end) => end === "ok").length,
            failed.length,
            ends.filter((end) => end === "hidden").length,
          ],
        );
        assert.deepEqual(lines.map(({ key }) => key).sort(), failedKeys(truth).sort());
        for (const { key, reason } of lines) assert.equal(reason, truth.get(key));
        for (const reason of reasons)
          assert.equal(ledger.failedByReason[reason] ?? 0, failed.filter((end) => end === reason).length);
      }),
    );
  });

  for (const [name, damage] of Object.entries(damages)) {
    it(`refuses ${name}`, () => {
      let damaged = 0;
      fc.assert(
        fc.property(plan, fc.infiniteStream(fc.nat()), (drawn, stream) => {
          const { stored } = play(drawn);
          const pick = (count: number): number => (count === 0 ? 0 : (stream.next().value as number) % count);
          if (!damage(stored, pick)) return;
          damaged += 1;
          assert.throws(() => addUp(stored), { code: "corrupt" });
        }),
        { numRuns: 400 },
      );
      assert.ok(damaged > 5, `${damaged} were damaged`);
    });
  }

  it("names the shard, the row and what to do", () => {
    const builder = new LedgerBuilder(new RetriedImages());
    const shard = shardOf(7, ["a", "b", "c"]);
    const failed: FailedImage = { position: 1, key: "c", reason: "empty", detail: "", tries: 1 };
    assert.throws(() => builder.add(shard, { ok: 2, failed: [failed] }), {
      message: /shard 7: row 1 failed as "c", which is not its key\. Remove its marker and resume/,
    });
  });
});

function failedKeys(truth: Truth): string[] {
  return [...truth].filter(([, end]) => end !== "ok" && end !== "hidden").map(([key]) => key);
}
