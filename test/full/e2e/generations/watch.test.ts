import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { RunningCli, runInProcess, trommelJson } from "../../../support/process/cli.js";
import { waitUntil } from "../../../support/process/wait-until.js";
import { drawDataset, writeFiles } from "../../../support/images/dataset.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../../support/models/tiny-backbone.js";
import { currentRows } from "../../../support/runs/current-rows.js";

const folder = await temporaryFolder("watch");
const [source, output] = [join(folder, "source"), join(folder, "scores")];
let store = "";
let pictures: Buffer[] = [];

const args = (...more: string[]): string[] => [
  ...["score", source, "--model", "model", "--output", output, "--store", store],
  ...["--workers", "1", ...more],
];

before(async () => {
  const drawn = await drawDataset(["can", "cup"], { to: 8 });
  pictures = [...drawn.values()];
  await writeFiles(join(folder, "labelled"), drawn);
  store = await storeWithTinyBackbone(folder);
  await trommelJson(
    [
      ...["train", join(folder, "labelled"), "--store", store, "--run", "model", "--workers", "1"],
      ...["--backbone", tinyBackbone.name, "--views", "1", "--head", "se", "--epochs", "2", "--step", "8"],
    ],
    { timeoutMs: 240_000 },
  );
  await writeFiles(source, new Map(pictures.slice(0, 4).map((bytes, i) => [`${i}.png`, bytes])));
});

describe("score --watch", () => {
  it("scores what is new with each tick, prints an object for each generation, and ends with 0 when it is stopped", async () => {
    const watching = new RunningCli(args("--watch", "1", "--json"));
    const objects = (): { generation?: { number: number; added: number } }[] =>
      watching.stdout
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line) as { generation?: { number: number; added: number } });
    try {
      for (const [generation, key] of [undefined, "late.png", "later.png"].entries()) {
        if (key !== undefined) await writeFile(join(source, key), pictures[4 + generation] ?? "");
        await waitUntil(`generation ${generation}`, () => objects().length > generation, 240_000);
      }
      watching.kill("SIGTERM");
      const { code, signal, stderr } = await watching.end();
      assert.deepEqual([code, signal], [0, null], stderr);
    } finally {
      await watching.stop();
    }
    assert.deepEqual(
      objects().map(({ generation }) => [generation?.number, generation?.added]),
      [
        [undefined, undefined],
        [1, 1],
        [2, 1],
      ],
    );
    assert.equal((await currentRows(output, "jsonl")).length, 6);
  });

  it("is refused for what is no interval, and with what ends at once", async () => {
    for (const [flags, message] of [
      [["--watch", "often"], /cannot watch every "often"/],
      [["--watch", "60", "--dry-run"], /cannot use --watch with --dry-run/],
    ] as const) {
      const { code, stderr } = await runInProcess(args(...flags));
      assert.equal(code, 2);
      assert.match(stderr, message);
    }
  });

  it("ends with its code for a model that does not exist", async () => {
    const { code, stderr } = await runInProcess([
      ...["score", source, "--model", "none", "--output", join(folder, "none"), "--store", store],
      ...["--watch", "1"],
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /none/);
  });
});
