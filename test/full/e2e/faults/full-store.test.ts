import assert from "node:assert/strict";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { findMarker } from "#common/codec/marker";
import { openStore, ReleaseStack, sha256Hex } from "@trommel/common";
import { onlyJsonObject, trommel, trommelJson } from "../../../support/process/cli.js";
import { drawDataset, writeFiles } from "../../../support/images/dataset.js";
import { assertSameFiles, fileHashes, filesBelow } from "../../../support/files/file-hashes.js";
import { SmallDisk } from "../../../support/process/small-disk.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { copyBackbones, storeWithTinyBackbone, tinyBackbone } from "../../../support/models/tiny-backbone.js";

/** Real commands and workers, on a disk that fills up under them or takes no writes at all. */

const folder = await temporaryFolder("full-store");
const dataset = join(folder, "labelled");
const releases = new ReleaseStack();
const page = 4096;
const trainArgs = [
  ...["train", dataset, "--run", "r", "--backbone", tinyBackbone.name, "--shard-size", "4", "--views", "2"],
  ...["--head", "se", "--epochs", "2", "--step", "8", "--validation", "0.25", "--workers", "1"],
];
/** In which a command must have given up. */
const boundMs = 60_000;

let disk: SmallDisk;
let whyNot = "";
let undisturbed: string;

function skipped(t: TestContext): boolean {
  if (whyNot !== "") t.skip(`a tmpfs cannot be mounted here: ${whyNot}`);
  return whyNot !== "";
}

/** @returns the error of a command that has to fail */
async function failure(args: readonly string[]): Promise<{ code: string; message: string; context: object }> {
  const { code, stdout, stderr } = await trommel([...args, "--json"], { timeoutMs: boundMs });
  assert.equal(code, 1, stderr);
  return (onlyJsonObject(stdout) as { error: { code: string; message: string; context: object } }).error;
}

/** Nothing half written is there, and what has a marker is what its marker says. */
async function assertNothingPartial(root: string): Promise<void> {
  const files = await filesBelow(root);
  assert.deepEqual(
    files.filter((file) => file.includes(".trommel-partial-")),
    [],
  );
  const store = openStore(root);
  for (const file of files.filter((name) => files.includes(`${name}.json`))) {
    const marker = await findMarker(store, file);
    assert.equal(marker?.sha256, sha256Hex(await store.get(file)), file);
  }
  const empty = (await Promise.all(files.map((file) => store.head(file)))).filter(
    (info) => info?.sizeBytes === 0 && !info.key.endsWith("errors.jsonl"),
  );
  assert.deepEqual(empty, []);
}

before(async () => {
  const mounted = await SmallDisk.mount(4 << 20);
  if (typeof mounted === "string") {
    whyNot = mounted;
    return;
  }
  disk = mounted;
  releases.add("disk", () => disk.unmount());
  await writeFiles(dataset, await drawDataset(["glass", "metal"], { to: 12 }));
  undisturbed = await storeWithTinyBackbone(folder);
  await copyBackbones(undisturbed, join(disk.folder, "store"));
  await trommelJson([...trainArgs, "--store", undisturbed]);
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));

describe("a training in a store that fills up", () => {
  const args = () => [...trainArgs, "--store", join(disk.folder, "store")];

  it("is refused where there is no room at all", async (t) => {
    if (skipped(t)) return;
    await disk.leave(0);
    const { code, message } = await failure(args());
    assert.equal(code, "store-full", message);
    assert.ok(message.includes(join(disk.folder, "store")) && message.includes("Free some space"), message);
    await assertNothingPartial(join(disk.folder, "store"));
  });

  it("fails in a worker, and ends with the same bytes once there is room", async (t) => {
    if (skipped(t)) return;
    await disk.leave(13 * page);
    const { code, message, context } = await failure(args());
    assert.equal(code, "store-full", message);
    assert.ok(message.includes(join(disk.folder, "store")) && message.includes("Free some space"), message);
    assert.deepEqual(context, { stage: "extract" });
    await assertNothingPartial(join(disk.folder, "store"));
    await disk.makeRoom();
    await trommelJson(args());
    const left = await fileHashes(join(disk.folder, "store"));
    assertSameFiles(left, await fileHashes(undisturbed));
  });
});

describe("a scoring whose output fills up", () => {
  const args = (store: string) => [
    ...[
      "score",
      dataset,
      "--model",
      join(undisturbed, "runs/r/bundle"),
      "--output",
      join(disk.folder, "out"),
    ],
    ...["--store", store, "--shard-size", "2", "--format", "csv,kaggle", "--workers", "1"],
  ];

  it("fails in a worker, and ends with the same bytes once there is room", async (t) => {
    if (skipped(t)) return;
    await disk.makeRoom();
    const peaceful = join(folder, "peaceful");
    await trommelJson(args(await copyBackbones(undisturbed, join(folder, "store-1"))));
    await cp(join(disk.folder, "out"), peaceful, { recursive: true });
    await rm(join(disk.folder, "out"), { recursive: true });
    const store = await copyBackbones(undisturbed, join(folder, "store-2"));
    await disk.leave(20 * page);
    const { code, message, context } = await failure(args(store));
    assert.equal(code, "store-full", message);
    assert.ok(message.includes(join(disk.folder, "out/part-")), message);
    assert.deepEqual(context, { stage: "score" });
    await assertNothingPartial(join(disk.folder, "out"));
    assert.ok(!(await filesBelow(join(disk.folder, "out"))).includes("_SUCCESS.json"));
    await disk.makeRoom();
    await trommelJson(args(store));
    assertSameFiles(await fileHashes(join(disk.folder, "out")), await fileHashes(peaceful));
  });
});

describe("a store that takes no writes", () => {
  it("is refused at once, with what to do", async (t) => {
    if (skipped(t)) return;
    await disk.setReadOnly(true);
    try {
      const { code, message } = await failure([
        ...trainArgs.map((arg) => (arg === "r" ? "other" : arg)),
        ...["--store", join(disk.folder, "store")],
      ]);
      assert.equal(code, "forbidden", message);
      assert.match(message, /read-only: give another place/);
    } finally {
      await disk.setReadOnly(false);
    }
  });
});
