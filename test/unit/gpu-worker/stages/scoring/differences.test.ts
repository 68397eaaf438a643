import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openStore } from "@trommel/common";
import { scoreDifferences } from "#common/artefacts/scores/score-differences";
import { Differences } from "#gpu-worker/stages/scoring/differences";
import { temporaryFolder } from "../../../../support/files/temp-folder.js";
import { writeScores, type WrittenRow } from "../../../../support/runs/written-scores.js";

const folder = await temporaryFolder("differences");
const never = new AbortController().signal;
const classes = ["can", "cup", "jar"];

const row = (key: string, ...probabilities: number[]): WrittenRow => ({ key, probabilities });

async function compare(name: string, before: readonly WrittenRow[], after: readonly WrittenRow[]) {
  const write = (of: string, rows: readonly WrittenRow[]) =>
    writeScores({
      ...{ location: `file://${join(folder, name, of)}`, name: `${name}-${of}`, classes, rows },
      source: "file:///x",
    });
  const [first, second] = [await write("before", before), await write("after", after)];
  const named = { scoring: first.id, output: first.location };
  const differences = new Differences({ before: named, after: second }, never);
  let text = "";
  for await (const bytes of differences.lines()) text += Buffer.from(bytes).toString("utf8");
  const lines = text.split("\n").filter(Boolean);
  return { first, lines, counts: scoreDifferences.parse(differences.counts()) };
}

describe("the differences of two scorings", () => {
  it("are joined by key, in the order of the later one, and counted by pair of labels", async () => {
    const before = [
      row("a", 0.9, 0.1, 0),
      row("b", 0.2, 0.7, 0.1),
      row("c", 0.6, 0.3, 0.1),
      row("gone", 1, 0, 0),
      { ...row("strange", 0.4, 0.3, 0.3), label: "unknown" },
    ];
    const after = [
      row("strange", 0.5, 0.4, 0.1),
      row("new", 0, 0, 1),
      row("c", 0.1, 0.8, 0.1),
      row("b", 0.3, 0.6, 0.1),
      row("a", 0.45, 0.55, 0),
    ];
    const { first, lines, counts } = await compare("few", before, after);
    assert.deepEqual(lines, [
      '{"key":"strange","before":{"label":"unknown","probability":0.4},"after":{"label":"can","probability":0.5}}',
      '{"key":"c","before":{"label":"can","probability":0.6},"after":{"label":"cup","probability":0.8}}',
      '{"key":"a","before":{"label":"can","probability":0.9},"after":{"label":"cup","probability":0.55}}',
    ]);
    assert.deepEqual(counts, {
      formatVersion: 1,
      before: {
        ...{ scoring: "score-few-before", output: first.location, generation: 0, retries: 0 },
        model: first.model,
      },
      ...{ inBoth: 4, same: 1, different: 3, onlyBefore: 1, onlyAfter: 1 },
      changes: [
        { before: "can", after: "cup", images: 2 },
        { before: "unknown", after: "can", images: 1 },
      ],
      otherChanges: 0,
    });
  });

  it("are those of a join in memory, for rows of many parts in another order", async () => {
    // Labels go round by the key, and rows come in two orders.
    const label = (at: number, of: number): number[] => classes.map((_, i) => Number(i === (at * of) % 3));
    const before = Array.from({ length: 250 }, (_, i) => row(`${i}.jpg`, ...label(i, 1)));
    const after = Array.from({ length: 250 }, (_, i) => 249 - i).map((i) => row(`${i}.jpg`, ...label(i, 2)));
    const { lines, counts } = await compare("many", before, after);
    // 2·i and i have the same rest of 3 only for multiples of 3, of which there are 84 below 250.
    assert.deepEqual([counts.same, counts.different, lines.length], [84, 166, 166]);
    assert.deepEqual(counts.changes, [
      { before: "cup", after: "jar", images: 83 },
      { before: "jar", after: "cup", images: 83 },
    ]);
    assert.match(lines[0] ?? "", /^{"key":"248.jpg","before":{"label":"jar"/);
  });

  it("are refused where the earlier scoring is not complete any more", async () => {
    const location = `file://${join(folder, "lost")}`;
    const scores = { location, name: "lost", classes, rows: [row("a", 1, 0, 0)], source: "file:///x" };
    const { parts } = await writeScores(scores);
    const output = openStore(location);
    await output.delete(["_SUCCESS.json"]);
    output.close();
    const before = { scoring: "score-lost", output: location };
    const lines = new Differences({ before, after: { location, parts } }, never).lines();
    await assert.rejects(lines.next(), {
      code: "conflict",
      message: /cannot compare with score-lost.*not complete any more/,
    });
  });
});
