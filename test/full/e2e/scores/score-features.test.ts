import assert from "node:assert/strict";
import { readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import type { Ledger } from "@trommel/common";
import { runInProcess, trommelJson } from "../../../support/process/cli.js";
import { drawDataset, writeFiles } from "../../../support/images/dataset.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../../support/models/tiny-backbone.js";

const folder = await temporaryFolder("score-features");
const labelled = join(folder, "labelled");
const patient = { timeoutMs: 240_000 };
let store = "";

interface Row {
  readonly key: string;
  readonly top: readonly { readonly label: string; readonly probability: number }[];
}

const train = (run: string, ...more: string[]): Promise<unknown> =>
  trommelJson(
    [
      ...["train", labelled, "--store", store, "--run", run, "--workers", "1", "--views", "2"],
      ...["--backbone", tinyBackbone.name, "--shard-size", "8", "--step", "8", ...more],
    ],
    patient,
  );

const scoreArgs = (to: string, ...more: string[]): string[] => [
  ...["score", "--output", join(folder, to), "--store", store, "--workers", "1", ...more],
];

async function rowsOf(to: string): Promise<Row[]> {
  const names = [0, 1, 2].map((index) => `part-0000${index}.jsonl`);
  const texts = await Promise.all(names.map((name) => readFile(join(folder, to, name), "utf8")));
  return texts
    .join("")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Row);
}

before(async () => {
  await writeFiles(labelled, await drawDataset(["glass", "metal"], { to: 10 }));
  await writeFiles(labelled, new Map([["metal/bad.jpg", "no picture"]]));
  store = await storeWithTinyBackbone(folder);
  await train("old", "--head", "se", "--epochs", "2");
  await train("new", "--head", "linear", "--epochs", "3");
  await train("other", "--head", "linear", "--epochs", "1", "--fit", "crop");
});

describe("a new head on old features", () => {
  it("gives what it gives for the pictures, up to the features' rounding, and reads no picture", async () => {
    await trommelJson(
      scoreArgs("by-pictures", labelled, "--model", "new", "--shard-size", "8", "--top", "2"),
      patient,
    );
    await rename(labelled, `${labelled}-away`);
    const args = scoreArgs("by-features", "--features-of", "old", "--model", "new", "--top", "2");
    const { ledger } = (await trommelJson(args, patient)) as { ledger: Ledger };
    await rename(`${labelled}-away`, labelled);
    assert.deepEqual([ledger.ok, ledger.failed, ledger.failedByReason], [20, 1, { "not-an-image": 1 }]);
    const [found, wanted] = [await rowsOf("by-features"), await rowsOf("by-pictures")];
    assert.deepEqual(
      found.map(({ key }) => key),
      wanted.map(({ key }) => key),
    );
    for (const [at, { top }] of found.entries()) {
      for (const { label, probability } of top) {
        const other = wanted[at]?.top.find((one) => one.label === label)?.probability ?? NaN;
        assert.ok(Math.abs(probability - other) < 5e-3, `${probability} and ${other}`);
      }
    }
  });

  it("is refused for features of other pixels, and with what lists pictures", async () => {
    for (const [args, message] of [
      [["--features-of", "other", "--model", "new"], /cannot score the features of other.*decoding/],
      [["--features-of", "none", "--model", "new"], /no such run/],
      [["--features-of", "old", "--model", "new", "--limit", "2"], /--limit/],
      [[labelled, "--features-of", "old", "--model", "new"], /a prefix/],
    ] as const) {
      const { code, stderr } = await runInProcess(scoreArgs("refused", ...args));
      assert.notEqual(code, 0);
      assert.match(stderr, message);
    }
  });
});
