import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  backboneKeys,
  canonicalJson,
  openStore,
  recipe,
  runKeys,
  sha256Hex,
  type ObjectStore,
  type RunConfig,
} from "@trommel/common";
import { testPart, type DivisionTable, type FoldSplit } from "@trommel/common/artefacts";
import { jsonBytes } from "@trommel/common/codec";
import { groupingNotes } from "#gpu-worker/stages/dividing/division-notes";
import { divide } from "#gpu-worker/stages/divide";
import type { StageContext } from "#gpu-worker/stages/context";
import { extractedRun, putExtractedShard } from "../../../support/runs/extracted-run.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const root = await temporaryFolder("divide-stage");
const perClass = 12;
const keysOf = Array.from({ length: 2 * perClass }, (_, i) => `img-${String(i).padStart(2, "0")}.jpg`);
const labelOf = (key: string): string => (Number(key.slice(4, 6)) < perClass ? "glass" : "paper");

/** Images that look the same as another one. */
type Copies = Readonly<Record<string, string>>;

/** Extracts a run of two classes and divides it. @returns the part of each key, and what is said */
async function divided(
  store: ObjectStore,
  id: string,
  given: {
    readonly test?: readonly string[];
    readonly groups?: DivisionTable["groups"];
    readonly share?: number;
    readonly copies?: Copies;
    readonly retryOf?: RunConfig["retryOf"];
    readonly head?: Record<string, unknown>;
    readonly seed?: number;
  },
) {
  const keys = runKeys(id);
  const table = { formatVersion: 1, labels: keysOf.map((key) => [key, labelOf(key)]) };
  const { test = null, groups = null } = given;
  const division = { formatVersion: 1, test, groups };
  const listed = test !== null || groups !== null;
  const asked = recipe.parse({
    backbones: ["net"],
    // Other pictures have other features.
    views: { count: 1, rotation: given.copies === undefined ? 1 : 2 },
    labels: { source: { type: "csv", file: "file:///labels.csv" } },
    head: { type: "auto", ...given.head },
    seed: given.seed ?? 0,
    split: {
      test: given.share ?? (test === null ? null : { column: "part", value: "test" }),
      groups: groups === null ? null : { column: "site" },
    },
  });
  const labels = { classes: ["glass", "paper"], tableSha256: sha256Hex(canonicalJson(table)) };
  const config: RunConfig = {
    ...extractedRun(asked, 2, labels),
    id,
    ...(listed ? { divisionSha256: sha256Hex(canonicalJson(division)) } : {}),
    ...(given.retryOf === undefined ? {} : { retryOf: given.retryOf }),
  };
  const put = (key: string, value: unknown) => store.put(key, Buffer.from(canonicalJson(value)));
  await put(keys.config, config);
  await put(keys.labels, table);
  if (listed) await put(keys.division, division);
  const totals = { listed: keysOf.length, images: keysOf.length, skipped: 0, sizeBytes: 0 };
  const classes = labels.classes.map((label) => ({ label, images: perClass }));
  await put(keys.listing, { formatVersion: 1, shards: 1, ...totals, classes });
  await putExtractedShard(store, config, { index: 0, keys: keysOf }, (row, column) => {
    const key = keysOf[row] ?? "";
    return column === 0 ? keysOf.indexOf(given.copies?.[key] ?? key) : 1;
  });
  await divide(id, contextOf(store));
  const split = Buffer.from(await store.get(keys.split)).toString();
  const { parts, furtherParts = [], notes, folds, grouping } = JSON.parse(split) as FoldSplit;
  const byKey = (of: FoldSplit["parts"]) => new Map(keysOf.map((key, at) => [key, of[0]?.[at]]));
  return { partOf: byKey(parts), further: furtherParts.map(byKey), notes, folds, grouping, split };
}

function contextOf(store: ObjectStore): StageContext {
  const ignore = () => undefined;
  const { signal } = new AbortController();
  const rest = { onImages: ignore, onNote: ignore, onUnits: ignore };
  return { store, threads: 1, engine: "onnx", log: undefined as never, signal, ...rest };
}

const testedKeys = (partOf: ReadonlyMap<string, number | undefined>): string[] =>
  [...partOf].flatMap(([key, part]) => (part === testPart ? [key] : []));
const newStore = (name: string): ObjectStore => openStore(join(root, name));
const named = ["img-00.jpg", "img-01.jpg", "img-12.jpg"];

const noLabels: RunConfig["labels"] = { classes: null, tableSha256: null };

/** Its spec, as far as the stage reads it. */
function backboneOf(source: object): object {
  const normalization = { mean: [0, 0, 0], deviation: [1, 1, 1] };
  const [hash, sizes] = ["a".repeat(64), { dimension: 2, inputSize: 8, opset: 17, parameterCount: 1 }];
  const origin = { sha256: hash, output: "embedding", pooling: "none", ...source };
  const base = { formatVersion: 1, name: "net", hash, modelSha256: hash, normalization, channelOrder: "rgb" };
  return { ...base, ...sizes, source: origin, parity: null };
}

describe("the divide stage", () => {
  it("says which runs have tuned the backbone: whatever part an image is in, it may have learned from it", async () => {
    const store = newStore("tuned");
    const [{ id } = { id: "" }] = extractedRun(recipe.parse({ backbones: ["net"] }), 2, noLabels).backbones;
    const original = `net@${"b".repeat(12)}`;
    const put = (of: string, source: object) =>
      store.put(backboneKeys(of).spec, jsonBytes(backboneOf(source)));
    await put(id, { kind: "tuned", url: "run:second", from: original });
    await put(original, { kind: "tuned", url: "run:first", from: "imported@000000000000" });
    const { notes } = await divided(store, "r", { share: 0.2 });
    assert.equal(notes.length, 1);
    assert.match(notes[0] ?? "", /was tuned by second and first\. If it learned from images of this run/);
    await put(id, { kind: "layers", url: "file:///model.json" });
    assert.deepEqual((await divided(store, "imported", { share: 0.2 })).notes, []);
  });

  it("tests on the images that a list names, and on no others", async () => {
    const { partOf, notes, folds } = await divided(newStore("list"), "r", { test: named });
    assert.deepEqual(testedKeys(partOf), named);
    assert.deepEqual([notes, folds], [[], 5]);
  });

  it("lets copies and members of a group follow the test part, and names them", async () => {
    const { partOf, notes, grouping } = await divided(newStore("followers"), "r", {
      test: named,
      copies: { "img-05.jpg": "img-00.jpg" },
      groups: [
        ["img-12.jpg", "north"],
        ["img-20.jpg", "north"],
        ["img-21.jpg", "south"],
        ["img-22.jpg", "south"],
      ],
    });
    assert.deepEqual(testedKeys(partOf), [
      "img-00.jpg",
      "img-01.jpg",
      "img-05.jpg",
      "img-12.jpg",
      "img-20.jpg",
    ]);
    assert.equal(partOf.get("img-21.jpg"), partOf.get("img-22.jpg"));
    assert.deepEqual(grouping, { by: 'the column "site"', groups: 2, images: 4, alone: 20 });
    assert.deepEqual(groupingNotes(grouping), [
      'Images are grouped by the column "site": 4 are in 2 groups; 20 others have no group, and each is on its own.',
    ]);
    assert.equal(notes.length, 1);
    assert.match(
      notes[0] ?? "",
      /2 images are in the test part.*without being named by split.*\(img-05\.jpg, img-20\.jpg\)/,
    );
  });

  it("trains on what an earlier list tested on, and says so", async () => {
    const store = newStore("other-list");
    await divided(store, "first", { test: named });
    const { partOf, notes } = await divided(store, "second", { test: named.slice(1) });
    assert.deepEqual(testedKeys(partOf), named.slice(1));
    assert.deepEqual(notes, ["1 image is trained on now, and tested on by an earlier run (img-00.jpg)."]);
  });

  it("keeps the test part of an earlier run with the same share, with a copy of its images", async () => {
    const store = newStore("share");
    const first = await divided(store, "first", { share: 0.25 });
    const tested = testedKeys(first.partOf);
    assert.equal(tested.length, 6);
    const kept = tested[0] ?? "";
    const other = keysOf.find((key) => labelOf(key) === labelOf(kept) && !tested.includes(key)) ?? "";
    const second = await divided(store, "second", { share: 0.25, copies: { [other]: kept } });
    const now = testedKeys(second.partOf);
    assert.deepEqual(new Set(now), new Set([...tested, other]));
    assert.match(
      second.notes.join(),
      new RegExp(`1 image is in the test part because a copy.*\\(${other}\\)`),
    );
  });

  it("keeps folds and test part of the run that it retries, whatever a copy or the list says now", async () => {
    const store = newStore("retry");
    const first = await divided(store, "first", { test: named });
    const retryOf = { run: "first", reasons: null };
    const again = await divided(store, "again", { test: named, retryOf });
    assert.deepEqual(again.partOf, first.partOf);
  });

  it("writes the same bytes as versions that divided once, if it divides once", async () => {
    const { split } = await divided(newStore("once"), "r", { share: 0.25, head: { effort: "quick" } });
    // What the commit 80d4d9e wrote for this run.
    assert.equal(sha256Hex(split), "bd9284d2483ae1fc78dac49c79f9643fbad067bd8fcc15eaa0ec8a86569de121");
  });

  it("divides otherwise each time, with the same first division and test part, and whole groups", async () => {
    const given = {
      test: named,
      copies: { "img-05.jpg": "img-04.jpg" },
      groups: [
        ["img-21.jpg", "south"],
        ["img-22.jpg", "south"],
      ] as [string, string][],
    };
    const once = await divided(newStore("once-grouped"), "r", { ...given, head: { repeats: 1 } });
    const { partOf, further } = await divided(newStore("further"), "r", { ...given, head: { repeats: 4 } });
    assert.deepEqual(partOf, once.partOf);
    assert.equal(further.length, 3);
    const divisions = [partOf, ...further];
    assert.equal(new Set(divisions.map((of) => [...of.values()].join())).size, 4);
    for (const of of divisions) {
      assert.deepEqual(testedKeys(of), named);
      assert.equal(of.get("img-05.jpg"), of.get("img-04.jpg"));
      assert.equal(of.get("img-21.jpg"), of.get("img-22.jpg"));
      for (const label of ["glass", "paper"]) {
        const sizes = [0, 1, 2, 3, 4].map(
          (fold) => keysOf.filter((key) => labelOf(key) === label && of.get(key) === fold).length,
        );
        // Ten or eleven images of a class on five folds, two of them together.
        assert.ok(Math.min(...sizes) >= 1 && Math.max(...sizes) <= 3, sizes.join());
      }
    }
  });

  it("keeps every division in a retry, also of a run that an earlier version divided once", async () => {
    const store = newStore("retried-divisions");
    const retryOf = { run: "first", reasons: null };
    const first = await divided(store, "first", { test: named, head: { repeats: 3 } });
    // With another seed each division would be another one, if it were drawn.
    const again = await divided(store, "again", { test: named, head: { repeats: 3 }, retryOf, seed: 1 });
    assert.deepEqual(again.further, first.further);
    const drawn = await divided(store, "drawn", { test: named, head: { repeats: 3 }, seed: 1 });
    for (const [at, of] of drawn.further.entries()) assert.notDeepEqual(of, first.further[at]);
    const old = newStore("retried-once");
    const before = await divided(old, "first", { test: named, head: { repeats: 1 } });
    const later = await divided(old, "again", { test: named, retryOf });
    assert.deepEqual([later.partOf, later.further], [before.partOf, []]);
  });

  it("refuses a class that cannot be divided, and says by what", async () => {
    const papers = keysOf.slice(perClass);
    const north = papers.map((key): [string, string] => [key, "north"]);
    const same = Object.fromEntries(papers.map((key) => [key, "img-12.jpg"]));
    const chained = { "img-12.jpg": "img-13.jpg" };
    const halves = papers.map((key): [string, string] => [key, key === "img-12.jpg" ? "south" : "north"]);
    const cases: readonly [Parameters<typeof divided>[2], RegExp][] = [
      [
        { groups: north },
        /: the 12 images of class "paper" are members of one group, "north", and .*change split\.groups$/,
      ],
      [{ copies: same }, /: the 12 images of class "paper" are copies of each other, and at least two folds/],
      [
        { copies: Object.fromEntries(papers.map((key) => [key, "img-00.jpg"])) },
        /copies of each other, and the same picture has the label "glass" as well \("img-12\.jpg" and "img-00\.jpg"\)/,
      ],
      [
        { copies: chained, groups: halves },
        /kept together by copies of images and by groups that share them/,
      ],
      [{ test: papers }, /: all 12 images of class "paper" are in the test part, .*change split\.test$/],
      [
        { test: papers.slice(1) },
        /: class "paper" has one image outside the test part, and at least two folds/,
      ],
      [
        { test: papers.slice(2), copies: chained },
        /: the 2 images of class "paper" outside the test part are copies of each other/,
      ],
    ];
    for (const [at, [given, message]] of cases.entries())
      await assert.rejects(divided(newStore(`undividable-${at}`), "r", given), {
        code: "bad-dataset",
        message,
      });
  });
});
