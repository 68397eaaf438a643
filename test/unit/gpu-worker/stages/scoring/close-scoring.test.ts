import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  openStore,
  outputKeys,
  shardHash,
  writeWithMarker,
  type FailedImage,
  type Shard,
} from "@trommel/common";
import { ScoringGeneration } from "@trommel/common/artefacts";
import { countLabels, LabelCounts } from "#gpu-worker/stages/scoring/label-counts";
import { scoreRowOf } from "#gpu-worker/stages/scoring/formats/score-rows";
import { Submission } from "#gpu-worker/stages/scoring/submission";
import { temporaryFolder } from "../../../../support/files/temp-folder.js";

const grouped = ["可回收物/易拉罐", "其他垃圾/烟蒂", "可回收物/玻璃", "电池"];

describe("the counts of a scoring", () => {
  const rows = [0, 2, 2, 3].map((best) =>
    scoreRowOf(
      "a.jpg",
      { probabilities: Float32Array.from(grouped, (_, i) => Number(i === best)), novelty: null },
      grouped,
      { topK: 1, accepts: { novelty: null, probability: null } },
    ),
  );

  it("leave out of a marker the labels of no picture", () => {
    assert.deepEqual(countLabels(rows, grouped), [
      { label: "可回收物/易拉罐", images: 1 },
      { label: "可回收物/玻璃", images: 2 },
      { label: "电池", images: 1 },
    ]);
    assert.deepEqual(countLabels([], grouped), []);
  });

  it("count the unknown apart, and balance with them", () => {
    const unknown = [...rows, { label: "unknown" }, { label: "unknown" }];
    const counts = new LabelCounts(grouped);
    counts.add(countLabels(unknown, grouped));
    counts.add(countLabels([{ label: "unknown" }], grouped));
    const { images, unknown: found, labels } = counts.counts(7);
    assert.deepEqual([images, found], [7, 3]);
    assert.ok(labels.every(({ label }) => label !== "unknown"));
    assert.throws(() => counts.counts(4), { code: "corrupt" });
  });

  it("have every label in output order, and groups in order of their first label", () => {
    const counts = new LabelCounts(grouped);
    counts.add(countLabels(rows, grouped));
    counts.add([{ label: "可回收物/玻璃", images: 5 }]);
    assert.deepEqual(counts.counts(9), {
      formatVersion: 1,
      images: 9,
      labels: [
        { label: "可回收物/易拉罐", images: 1 },
        { label: "其他垃圾/烟蒂", images: 0 },
        { label: "可回收物/玻璃", images: 7 },
        { label: "电池", images: 1 },
      ],
      groups: [
        { group: "可回收物", images: 8 },
        { group: "其他垃圾", images: 0 },
        { group: "电池", images: 1 },
      ],
    });
  });

  it("have no groups where no label is written with one", () => {
    const counts = new LabelCounts(["glass", "__proto__"]);
    counts.add([{ label: "__proto__", images: 2 }]);
    assert.deepEqual(counts.counts(2).labels, [
      { label: "glass", images: 0 },
      { label: "__proto__", images: 2 },
    ]);
    assert.equal(counts.counts(2).groups, null);
  });

  it("must balance with the ledger and know every label", () => {
    const counts = new LabelCounts(["glass", "paper"]);
    counts.add([{ label: "glass", images: 2 }]);
    assert.throws(() => counts.counts(3), { code: "corrupt", message: /3 pictures.*count 2/ });
    assert.throws(() => counts.add([{ label: "metal", images: 1 }]), { code: "corrupt", message: /"metal"/ });
  });
});

describe("submission.csv", async () => {
  const folder = await temporaryFolder("submission");
  const header = "id,cat,dog\n";
  const never = new AbortController().signal;
  let outputs = 0;

  /** A submission of shards, given by their keys, with a row for each key that is not in `failed`. */
  async function submissionOf(
    shards: readonly (readonly string[])[],
    options: {
      failed?: string;
      bytesAtMost?: number;
      partHeader?: string;
      rows?: number;
      inKeyOrder?: boolean;
    } = {},
  ) {
    const output = openStore(join(folder, `scores-${(outputs += 1)}`));
    const { inKeyOrder = true, ...bounds } = options;
    const submission = new Submission(output, ["cat", "dog"], new ScoringGeneration("score-1"), {
      inKeyOrder,
      ...bounds,
    });
    for (const [index, keys] of shards.entries()) {
      const failed = keys.flatMap((key, position): FailedImage[] =>
        key === options.failed ? [{ position, key, reason: "empty", detail: "", tries: 1 }] : [],
      );
      const rows = keys.filter((key) => key !== options.failed).map((key) => `${key.slice(0, -4)},1,0\n`);
      const part = Buffer.from((options.partHeader ?? header) + rows.join(""));
      await writeWithMarker(output, outputKeys.part(index, "kaggle"), part, {
        ok: options.rows ?? rows.length,
      });
      await submission.add(shardOf(index, keys), rows.length, failed);
    }
    return { submission, output };
  }

  function shardOf(index: number, keys: readonly string[]): Shard {
    const entries = keys.map((key) => ({ key, sizeBytes: 1, etag: "e" }));
    return { formatVersion: 1, index, hash: shardHash(entries), entries, skipped: [] };
  }

  const shards = [["a.jpg", "b.jpg"], ["c.jpg"], ["d.jpg", "e.jpg"]];
  const whole = "id,cat,dog\na,1,0\nb,1,0\nd,1,0\ne,1,0\n";

  it("refuses a part that has other rows than the scores beside it", async () => {
    const refused = { code: "corrupt", message: /kaggle-00000.csv.*3 rows.*have 2/ };
    await assert.rejects(submissionOf(shards, { rows: 3 }), refused);
  });

  it("has the header once and the rows of all parts, a failed picture's aside", async () => {
    const { submission, output } = await submissionOf(shards, { failed: "c.jpg" });
    const outcome = await submission.write(never);
    assert.equal(Buffer.from(await output.get("submission.csv")).toString("utf8"), whole);
    assert.deepEqual(outcome, {
      merged: true,
      file: "submission.csv",
      rows: 4,
      sizeBytes: whole.length,
      // sha256sum of the text above.
      sha256: "44c7c21ec3bf34b689ed69b34d7312efe44eb2b7a7108ba3abe3f4bc47db5a9e",
    });
    assert.deepEqual(await submission.write(never), outcome, "a retry writes the same");
  });

  it("is written up to its bound, and not above it", async () => {
    const options = { failed: "c.jpg", bytesAtMost: whole.length };
    assert.equal((await (await submissionOf(shards, options)).submission.write(never)).merged, true);
    const { submission, output } = await submissionOf(shards, { ...options, bytesAtMost: whole.length - 1 });
    const outcome = await submission.write(never);
    assert.ok(!outcome.merged && outcome.reason === "too-large");
    assert.match(outcome.detail, /35 bytes, and at most 34/);
    assert.equal(await output.head("submission.csv"), undefined);
  });

  it("is not written where two pictures would have one id, in different shards too", async () => {
    const { submission, output } = await submissionOf([["a.jpg"], ["a.png"]]);
    const outcome = await submission.write(never);
    assert.ok(!outcome.merged && outcome.reason === "repeated-ids");
    assert.match(outcome.detail, /1 picture has .*a\.jpg and a\.png/);
    assert.equal(await output.head("submission.csv"), undefined);
  });

  it("is not written where they have one id in the order of a manifest, with others between them", async () => {
    const { submission } = await submissionOf([["a.jpg", "c.jpg"], ["b.jpg"], ["a.png"]], {
      inKeyOrder: false,
    });
    const outcome = await submission.write(never);
    assert.ok(!outcome.merged && outcome.reason === "repeated-ids");
    assert.match(outcome.detail, /1 picture has .*a\.jpg and a\.png/);
  });

  it("is written where the other of the two could not be read", async () => {
    const { submission } = await submissionOf([["a.jpg"], ["a.png"]], { failed: "a.png" });
    assert.equal((await submission.write(never)).merged, true);
  });

  it("refuses a part of other labels, and one that is not as its marker says", async () => {
    const other = await submissionOf(shards, { partHeader: "id,dog,cat\n" });
    await assert.rejects(other.submission.write(never), { code: "corrupt", message: /kaggle-00000\.csv/ });
    const changed = await submissionOf(shards);
    await changed.output.put("kaggle-00001.csv", Buffer.from(`${header}c,0,1\n`));
    await assert.rejects(changed.submission.write(never), {
      code: "missing-input",
      message: /kaggle-00001\.csv/,
    });
  });
});
