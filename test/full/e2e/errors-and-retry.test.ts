import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openStore, ReleaseStack, scoringKeys } from "@trommel/common";
import { close } from "#gpu-worker/stages/close";
import type { StageContext } from "#gpu-worker/stages/context";
import { jsonInProcess, RunningCli, runInProcess, trommelJson } from "../../support/process/cli.js";
import { drawDataset, drawUnlabelled, writeFiles } from "../../support/images/dataset.js";
import { assertSameFiles, fileHashes, filesBelow } from "../../support/files/file-hashes.js";
import { startRedisServer } from "../../support/servers/redis-server.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { copyBackbones, storeWithTinyBackbone, tinyBackbone } from "../../support/models/tiny-backbone.js";
import { waitUntil } from "../../support/process/wait-until.js";

/** What these tests read of a command's JSON. */
interface Answer {
  readonly id: string;
  readonly phase?: string;
  readonly ledger?: Counts;
}
interface Counts {
  readonly listed: number;
  readonly ok: number;
  readonly failed: number;
  readonly skipped: number;
  readonly failedByReason: Record<string, number>;
}
interface Errors extends Counts {
  readonly complete: boolean;
  readonly errors: string;
  readonly failedImages: { readonly key: string; readonly reason: string; readonly shard: number }[];
  readonly skippedKeys: { readonly key: string; readonly reason: string }[];
}
interface Row {
  readonly key: string;
  readonly label: string;
  readonly top: { readonly label: string; readonly probability: number }[];
}

const labels = ["glass", "metal"];
const folder = await temporaryFolder("errors-and-retry");
const dataset = join(folder, "labelled");
const source = join(folder, "unlabelled");
const output = join(folder, "scores");
const releases = new ReleaseStack();
let store = "";
let env: Record<string, string> = {};
let worker: RunningCli;
/** The damaged files as they ought to be. */
let whole = new Map<string, Buffer>();
let wholeInput = new Map<string, Buffer>();

const json = async <T = Answer>(...args: string[]): Promise<T> =>
  (await jsonInProcess([...args, "--store", store], { env })) as T;
const follow = (id: string): Promise<Answer> => json("status", id, "--follow");
const readJson = async <T>(path: string): Promise<T> => JSON.parse(await readFile(path, "utf8")) as T;
const trainFlags = [
  ...["--backbone", tinyBackbone.name, "--shard-size", "5", "--views", "2"],
  ...["--head", "se", "--epochs", "2", "--step", "8", "--validation", "0.2"],
];
const scoreFlags = ["--shard-size", "6", "--format", "kaggle"];

/** Queues a command while the worker stands still, and takes a file away between its listing and its turn. */
async function losingFile(args: string[], root: (id: string) => string, lost: string): Promise<Answer> {
  process.kill(worker.pid, "SIGSTOP");
  const { id } = await json(...args, "--no-follow");
  await waitUntil("it is listed", async () =>
    (await filesBelow(join(store, root(id)))).includes("listing.json") ? true : undefined,
  );
  await rm(lost);
  process.kill(worker.pid, "SIGCONT");
  return follow(id);
}

async function rowsOf(prefix: string): Promise<Map<string, Row>> {
  const parts = (await filesBelow(prefix)).filter((file) => /^part-\d+\.jsonl$/.test(file));
  const rows = new Map<string, Row>();
  for (const part of parts) {
    for (const line of (await readFile(join(prefix, part), "utf8")).trimEnd().split("\n")) {
      if (line === "") continue;
      const row = JSON.parse(line) as Row;
      assert.ok(!rows.has(row.key), `${row.key} has one row`);
      rows.set(row.key, row);
    }
  }
  return rows;
}

/** The artefacts that stand once they are committed, by their hashes. */
async function committed(root: string, pattern: RegExp): Promise<Map<string, string>> {
  return new Map([...(await fileHashes(root))].filter(([file]) => pattern.test(file)));
}

before(async () => {
  const pictures = await drawDataset(labels, { to: 8 });
  const { files } = await drawUnlabelled(labels, 20, 5);
  await writeFiles(dataset, pictures);
  await writeFiles(source, files);
  const keep = (from: Map<string, Buffer>, ...keys: string[]) =>
    new Map(keys.map((key) => [key, from.get(key) ?? Buffer.alloc(0)]));
  whole = keep(pictures, "glass/003.png", "metal/006.png");
  wholeInput = keep(files, "in/0002.png", "in/0009.png", "in/0017.png");
  await cp(dataset, join(folder, "whole-labelled"), { recursive: true });
  await cp(source, join(folder, "whole-unlabelled"), { recursive: true });
  await writeFile(join(dataset, "glass/003.png"), whole.get("glass/003.png")?.subarray(0, 900) ?? "");
  await writeFile(join(source, "in/0002.png"), wholeInput.get("in/0002.png")?.subarray(0, 900) ?? "");
  await writeFile(join(source, "in/0017.png"), "");
  for (const place of [source, join(folder, "whole-unlabelled")])
    await writeFiles(
      place,
      new Map([
        ["in/note\u001b[31m.txt", "no picture"],
        ["in/.hidden.png", ""],
      ]),
    );
  store = await storeWithTinyBackbone(folder);
  const redis = await startRedisServer();
  releases.add("redis", () => redis.stop());
  env = { TROMMEL_REDIS_URL: redis.url() };
  const coordinator = new RunningCli(["coordinator", "--store", store], { env });
  releases.add("coordinator", () => coordinator.stop());
  worker = new RunningCli(["worker", "--store", store, "--threads", "1"], { env });
  releases.add("worker", () => worker.stop());
  await coordinator.says("coordinator: redis");
  await worker.says("extract");
});

after(async () => assert.deepEqual(await releases.releaseAll(), []));

describe("a run whose files are mended afterwards", () => {
  let features = new Map<string, string>();

  it("says what failed, by reason", async () => {
    const { ledger } = await losingFile(
      ["train", dataset, "--run", "first", ...trainFlags],
      (id) => `runs/${id}`,
      join(dataset, "metal/006.png"),
    );
    assert.deepEqual(ledger?.failedByReason, { "not-found": 1, truncated: 1 });
    const errors = await json<Errors>("errors", "first");
    assert.deepEqual([errors.listed, errors.ok, errors.failed, errors.skipped], [16, 14, 2, 0]);
    assert.deepEqual(
      errors.failedImages.map(({ key, reason }) => [reason, key]),
      [
        ["not-found", "metal/006.png"],
        ["truncated", "glass/003.png"],
      ],
    );
    features = await fileHashes(join(store, "features"));
  });

  it("is tried again as a new run, which balances where a file fails again", async () => {
    const { id, ledger } = await json("retry", "first", "--reason", "truncated", "--follow");
    assert.equal(id, "first-retry1");
    assert.deepEqual([ledger?.listed, ledger?.ok, ledger?.failed], [16, 14, 2]);
    await addsOneShard();
  });

  it("is tried again once more, and only those files are extracted", async () => {
    await writeFiles(dataset, whole);
    // Whose last retry counts.
    const { id, ledger } = await json("retry", "first", "--follow");
    assert.equal(id, "first-retry2");
    assert.deepEqual([ledger?.listed, ledger?.ok, ledger?.failed], [16, 16, 0]);
    await addsOneShard();
  });

  /** Holds what features there are against what there were. */
  async function addsOneShard(): Promise<void> {
    const now = await fileHashes(join(store, "features"));
    const added = [...now.keys()].filter((file) => !features.has(file));
    assert.equal(added.length, 2, "one feature shard and its marker");
    const before = new Map([...now].filter(([file]) => features.has(file)));
    assertSameFiles(before, features);
    features = now;
  }

  it("keeps its split, and trains on what a run of the mended files from scratch trains on", async () => {
    const scratch = await copyBackbones(store, join(folder, "scratch"));
    await trommelJson([
      ...["train", join(folder, "whole-labelled"), "--run", "first-retry2", "--store", scratch],
      ...[...trainFlags, "--workers", "1"],
    ]);
    const [retried, fresh] = [store, scratch].map((place) => join(place, "runs/first-retry2"));
    const bundles = [retried, fresh].map((run) =>
      readJson<{ data: unknown; labels: unknown }>(`${run}/bundle/bundle.json`),
    );
    const [actual, expected] = await Promise.all(bundles);
    assert.deepEqual([actual?.data, actual?.labels], [expected?.data, expected?.labels]);
    const [kept, first] = await Promise.all(
      [retried ?? "", join(store, "runs/first")].map(async (run) => validationKeys(run)),
    );
    assert.ok((first?.size ?? 0) > 0);
    assert.deepEqual(kept, first);
  });

  it("has nothing more to try again, and says so", async () => {
    const { code, stdout } = await runInProcess(["retry", "first-retry2", "--store", store], { env });
    assert.equal(code, 0);
    assert.match(stdout, /no file failed/);
  });
});

describe("a run of which no file can be read", () => {
  const spoilt = join(folder, "all-bad");

  it("ends with what to do, and keeps in the store why", async () => {
    const good = await drawDataset(labels, { to: 5 });
    const keys = [...good.keys()];
    await writeFiles(spoilt, new Map(keys.map((key) => [key, "no picture"])));
    await fails("train", spoilt, "--run", "all-bad", ...trainFlags);
    await fails("retry", "all-bad");
    const status = await jsonInProcess(["status", "all-bad-retry1", "--store", store]);
    const { phase, error } = status as { phase: string; error: { stage: string; message: string } };
    assert.deepEqual([phase, error.stage], ["failed", "solve"]);
    assert.match(error.message, /has no embeddings/);
    await writeFiles(spoilt, good);
  });

  it("is tried again from the last try, however often that was too early", async () => {
    const { id, phase, ledger } = await json("retry", "all-bad", "--follow");
    assert.deepEqual([id, phase, ledger?.ok, ledger?.failed], ["all-bad-retry2", "complete", 10, 0]);
    assert.ok(!(await filesBelow(join(store, "runs/all-bad-retry2"))).includes("error.json"));
  });

  async function fails(...args: string[]): Promise<void> {
    const { code, stderr } = await runInProcess([...args, "--store", store, "--follow"], { env });
    assert.equal(code, 1, stderr);
    assert.match(stderr, /'trommel errors all-bad.*'trommel retry all-bad/);
  }
});

describe("a retry that is not finished", () => {
  const retry = (...flags: string[]) =>
    runInProcess(["retry", "halted", ...flags, "--store", store], { env });

  it("is resumed by the same command, and by no other", async () => {
    const some = join(folder, "some-bad");
    const good = await drawDataset(labels, { to: 6 });
    const bad = new Map([
      ["glass/002.png", ""],
      ["metal/003.png", "no picture"],
    ]);
    await writeFiles(some, new Map<string, Buffer | string>([...good, ...bad]));
    await json("train", some, "--run", "halted", ...trainFlags, "--follow");
    process.kill(worker.pid, "SIGSTOP");
    try {
      await json("retry", "halted", "--no-follow");
      const { code, stderr } = await retry("--reason", "empty", "--no-follow");
      assert.equal(code, 1);
      assert.match(stderr, /'trommel resume halted-retry1'/);
      assert.equal((await json("retry", "halted", "--no-follow")).id, "halted-retry1");
    } finally {
      process.kill(worker.pid, "SIGCONT");
    }
    assert.equal((await follow("halted-retry1")).ledger?.failed, 2);
    const empty = await json("retry", "halted", "--reason", "empty", "--follow");
    assert.equal(empty.id, "halted-retry2");
  });
});

/** Keys of the images that a run validates on, whichever of its shards they are in. */
async function validationKeys(run: string): Promise<Set<string>> {
  const { validation } = await readJson<{ validation: number[][] }>(join(run, "split.json"));
  const found = new Set<string>();
  for (const [index, positions] of validation.entries()) {
    const shard = join(run, "shards", `${String(index).padStart(5, "0")}.json`);
    const { entries } = await readJson<{ entries: { key: string }[] }>(shard);
    for (const position of positions) found.add(entries[position]?.key ?? "none");
  }
  return found;
}

describe("a scoring whose files are mended afterwards", () => {
  let id = "";
  let parts = new Map<string, string>();
  const existing = /^(part|kaggle)-0000[0-3]\./;

  it("says what failed and what was left out, and lets no file name drive the terminal", async () => {
    const scored = await losingFile(
      ["score", source, "--model", "first", "--output", output, ...scoreFlags],
      (scoring) => `scorings/${scoring}`,
      join(source, "in/0009.png"),
    );
    id = scored.id;
    assert.deepEqual(scored.ledger?.failedByReason, {
      empty: 1,
      "not-an-image": 1,
      "not-found": 1,
      truncated: 1,
    });
    const { stdout } = await runInProcess(["errors", id, "--store", store], { env });
    assert.match(stdout, /22 listed = 17 ok \+ 4 failed \+ 1 skipped/);
    assert.match(stdout, /^failed: .*truncated 1$/m);
    assert.match(stdout, /^truncated +in\/0002\.png +\S/m);
    assert.match(stdout, /^skipped: hidden 1$/m);
    assert.match(stdout, /^skipped: hidden +in\/\.hidden\.png$/m);
    assert.ok(!stdout.includes("\u001b"));
    const one = await json<Errors>("errors", id, "--reason", "empty", "--limit", "1");
    assert.deepEqual(
      one.failedImages.map(({ key }) => key),
      ["in/0017.png"],
    );
    parts = await committed(output, existing);
    assert.equal(parts.size, 16);
  });

  it("says that its list of failed rows is short, and how it is written again", async () => {
    const path = join(output, "errors.jsonl");
    const whole = await readFile(path, "utf8");
    await writeFile(path, whole.slice(whole.indexOf("\n") + 1));
    const { code, stderr } = await runInProcess(["errors", id, "--store", store], { env });
    assert.equal(code, 1);
    assert.match(stderr, /errors\.jsonl: it has 3 lines, and ledger\.json counts 4 failed/);
    await rm(join(output, "ledger.json"));
    assert.equal((await json("resume", id, "--follow")).phase, "complete");
    assert.equal(await readFile(path, "utf8"), whole);
  });

  it("is not written over by a worker that wakes after its files were tried again", async () => {
    const before = await fileHashes(output);
    const request = scoringKeys(id).retry(0);
    const place = openStore(store);
    let notes = 0;
    // It tells how many failed while it adds up.
    const onNote = (): void => {
      if ((notes += 1) === 1) writeFileSync(join(store, request), "a retry since");
    };
    await mkdir(dirname(join(store, request)), { recursive: true });
    const { signal } = new AbortController();
    await assert.rejects(close(id, { store: place, signal, onNote } as unknown as StageContext), {
      code: "conflict",
      message: /failed files are being tried again, since/,
    });
    assert.ok(notes > 0);
    await rm(join(store, request));
    assertSameFiles(await fileHashes(output), before);
  });

  it("is tried again for one reason alone, and balances where the file fails again", async () => {
    const again = await json("retry", id, "--reason", "not-found", "--follow");
    assert.equal(again.ledger?.failed, 4);
    assert.equal(again.ledger?.failedByReason["not-found"], 1);
    const success = await readJson<{ retries: number; parts: number }>(join(output, "_SUCCESS.json"));
    assert.deepEqual([success.retries, success.parts], [1, 5]);
  });

  it("is tried again twice, and then has the rows of a scoring of the mended files from scratch", async () => {
    await writeFiles(source, wholeInput);
    const again = await json("retry", id, "--follow");
    assert.deepEqual([again.ledger?.ok, again.ledger?.failed], [20, 1]);
    assertSameFiles(await committed(output, existing), parts);
    const fresh = join(folder, "fresh");
    const mended = await json(
      ...["score", join(folder, "whole-unlabelled"), "--model", "first", "--output", fresh, ...scoreFlags],
      "--follow",
    );
    const { shards: _, ...sums } = again.ledger as Counts & { shards: number };
    assert.deepEqual({ ...mended.ledger, shards: undefined }, { ...sums, shards: undefined });
    const [actual, expected] = [await rowsOf(output), await rowsOf(fresh)];
    assert.deepEqual([...actual.keys()].sort(), [...expected.keys()].sort());
    for (const [key, row] of expected) {
      const found = actual.get(key);
      assert.equal(found?.label, row.label);
      for (const [i, { label, probability }] of row.top.entries()) {
        assert.equal(found?.top[i]?.label, label);
        assert.ok(Math.abs((found?.top[i]?.probability ?? 0) - probability) < 1e-5, key);
      }
    }
    const ids = async (prefix: string) =>
      (await readFile(join(prefix, "submission.csv"), "utf8"))
        .split("\n")
        .map((line) => line.split(",")[0])
        .sort();
    assert.deepEqual(await ids(output), await ids(fresh));
    assert.equal(
      await readFile(join(output, "counts.json"), "utf8"),
      await readFile(join(fresh, "counts.json"), "utf8"),
    );
  });

  it("is not tried again for a reason that nothing has", async () => {
    const before = await fileHashes(output);
    const { code, stdout } = await runInProcess(["retry", id, "--reason", "too-large", "--store", store], {
      env,
    });
    assert.equal(code, 0);
    assert.match(stdout, /no file failed for too-large/);
    assertSameFiles(await fileHashes(output), before);
  });

  it("of which no file can be read ends with an exit code of its own, whenever it is asked for", async () => {
    const none = join(folder, "none");
    await writeFiles(none, new Map([["a.png", "no picture"]]));
    const args = ["score", none, "--model", "first", "--output", join(folder, "no-scores"), "--follow"];
    for (let round = 1; round <= 2; round += 1) {
      const { code, stdout } = await runInProcess([...args, "--store", store], { env });
      assert.equal(code, 3);
      assert.match(stdout, /none of the 1 file could be read/);
    }
  });

  it("is complete no more where its ledger does not balance, and says why", async () => {
    const path = join(output, "ledger.json");
    const right = await readFile(path, "utf8");
    await writeFile(path, right.replace('"ok":20', '"ok":19'));
    const status = await json<{ phase: string; error: { message: string } }>("status", id);
    assert.equal(status.phase, "failed");
    assert.match(status.error.message, /does not balance/);
    await writeFile(path, right);
    assert.equal((await json("status", id)).phase, "complete");
  });
});
