import assert from "node:assert/strict";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import type { Ledger, ListingSummary } from "@trommel/common";
import { trommel, trommelJson } from "../../../support/process/cli.js";
import { drawDataset, writeFiles } from "../../../support/images/dataset.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../../support/models/tiny-backbone.js";

const perClass = 10;
const folder = await temporaryFolder("folders");
/** A prefix that is called like litter itself: it was asked for. */
const dataset = join(folder, "#recycle");
const quick = [
  ...["--backbone", tinyBackbone.name, "--views", "1", "--no-svd", "--head", "linear", "--epochs", "5"],
  ...["--workers", "1"],
];
const patient = { timeoutMs: 240_000 };
const litter = [
  "@eaDir/metal@SynoEAStream",
  "glass/@eaDir/1.png/SYNOPHOTO_THUMB_SM.jpg",
  "#recycle/glass/old.png",
  "glass/.ipynb_checkpoints/1-checkpoint.png",
  "metal/._1.png",
  "metal/Thumbs.db",
];
let store = "";

interface Answer {
  readonly labels: readonly string[];
  readonly ledger: Ledger;
  readonly listing: ListingSummary & { readonly oddities: readonly string[] };
}

const train = (...args: string[]) => ["train", dataset, "--store", store, ...quick, ...args];

before(async () => {
  store = await storeWithTinyBackbone(folder);
  const pictures = await drawDataset(["glass", "metal"], { to: perClass });
  const [first = Buffer.alloc(0)] = pictures.values();
  await writeFiles(dataset, pictures);
  await writeFiles(dataset, new Map(litter.map((key) => [key, first])));
  await writeFiles(dataset, new Map(["glass/1_mask.png", "thumbs/a.png"].map((key) => [key, first])));
});

describe("a folder with what systems leave in it", () => {
  it("trains on its pictures alone, tells its classes, and counts what patterns leave out", async () => {
    const args = train(
      "--run",
      "clean",
      "--exclude",
      "*_mask.png",
      "--exclude",
      "thumbs/",
      "--exclude",
      "*.bmp",
    );
    const { stdout, stderr } = await trommel([...args, "--json"], patient);
    const { labels, ledger, listing } = JSON.parse(stdout) as Answer;
    assert.deepEqual(labels, ["glass", "metal"]);
    assert.deepEqual(ledger.skippedByReason, { excluded: 2, litter: litter.length });
    assert.deepEqual(ledger.excludedByPattern, { "*_mask.png": 1, "thumbs/": 1 });
    assert.equal(ledger.ok, 2 * perClass);
    assert.deepEqual(listing.classes, [
      { label: "glass", images: perClass },
      { label: "metal", images: perClass },
    ]);
    assert.match(stderr, /classes: glass 10, metal 10/);
    assert.match(stderr, /left out: 1 by --exclude "\*_mask\.png", 1 by --exclude "thumbs\/"/);
    assert.match(stderr, /odd: --exclude "\*\.bmp" leaves nothing out/);
    // The same id with other patterns is another run.
    const other = await trommel(train("--run", "clean", "--exclude", "*_mask.png"), patient);
    assert.match(other.stderr, /another configuration \(they differ in recipe\.exclude\)/);
  });

  it("scores what patterns take", async () => {
    const scored = (await trommelJson(
      [
        ...["score", dataset, "--store", store, "--model", "clean", "--output", join(folder, "scores")],
        ...["--include", "glass/**", "--exclude", "*_mask.png", "--workers", "1"],
      ],
      patient,
    )) as Answer;
    assert.deepEqual(scored.ledger.skippedByReason, {
      excluded: 1,
      litter: litter.length,
      "not-included": 11,
    });
    assert.equal(scored.ledger.ok, perClass);
  });

  it("is refused for classes that look alike when it is listed, and what runs ends", async () => {
    const pictures = await drawDataset(["Glass"], { to: 3 });
    await writeFiles(dataset, pictures);
    const alike = await trommel(train("--run", "alike", "--exclude", "thumbs/"), patient);
    assert.equal(alike.code, 1);
    assert.match(alike.stderr, /"glass" \(images: 11\) looks like "Glass" \(images: 3\)\. .*lookAlikes=keep/);
    const status = (await trommelJson(["status", "alike", "--store", store])) as { readonly phase: string };
    assert.equal(status.phase, "failed");
    const kept = await trommel(
      train("--run", "kept", "--exclude", "thumbs/", "--set", "labels.lookAlikes=keep", "--json"),
      patient,
    );
    assert.deepEqual((JSON.parse(kept.stdout) as Answer).labels, ["Glass", "glass", "metal"]);
    assert.match(kept.stderr, /odd: 1 class has fewer than 10 images: "Glass" \(3\)/);
    assert.match(kept.stderr, /odd: classes look alike: "glass" like "Glass"/);
  });
});
