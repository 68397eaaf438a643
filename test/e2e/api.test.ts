import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { loadClassifier, openTrommel, TrommelError, type Progress } from "#trommel/index";
import { badFiles, drawDataset, drawUnlabelled, writeFiles } from "../support/images/dataset.js";
import { temporaryFolder } from "../support/files/temp-folder.js";
import { tinyBackbone, writeTinyBackbone } from "../support/models/tiny-backbone.js";
import { descendantsOf } from "../support/process/processes.js";

const labels = ["glass", "metal", "paper"];
const folder = await temporaryFolder("api");
const pathOf = (name: string): string => join(folder, name);
const recipe = {
  backbones: [tinyBackbone.name],
  views: { count: 1 },
  head: { type: "se" },
  svd: { step: 8 },
  training: { epochs: 3 },
};
const modules = fileURLToPath(new URL("../support/process/list-modules.js", import.meta.url));

/** Counts what is written to this process's streams and handlers that are left on it. */
async function quietly<T>(work: () => Promise<T>): Promise<T> {
  const written: string[] = [];
  const streams = [process.stdout, process.stderr];
  const originals = streams.map((stream) => stream.write.bind(stream));
  const signals = ["SIGINT", "SIGTERM", "exit"] as const;
  const listeners = signals.map((name) => process.listenerCount(name));
  for (const stream of streams) {
    const original = stream.write.bind(stream) as (...given: unknown[]) => boolean;
    stream.write = (chunk: string | Uint8Array, ...rest: unknown[]) => {
      // The test runner's own records go the same way, as V8 serializes them.
      if (typeof chunk !== "string" && chunk[0] === 0xff) return original(chunk, ...rest);
      written.push(String(chunk));
      return true;
    };
  }
  try {
    return await work();
  } finally {
    streams.forEach((stream, i) => (stream.write = originals[i] as typeof stream.write));
    assert.deepEqual(written, [], "nothing is printed");
    assert.equal(process.exitCode, undefined);
    assert.deepEqual(
      signals.map((name) => process.listenerCount(name)),
      listeners,
    );
    assert.deepEqual(await descendantsOf(process.pid), [], "no process is left");
  }
}

before(async () => {
  await writeFiles(pathOf("photos"), await drawDataset(labels, { to: 12 }));
  const bad = [...(await badFiles())].map(([name, { bytes }]) => [`glass/${name}`, bytes] as const);
  await writeFiles(pathOf("photos"), new Map(bad));
  await writeFiles(pathOf("new"), (await drawUnlabelled(labels, 9, 5)).files);
  await writeTinyBackbone(pathOf("tiny"));
});

describe("the API in one process", { timeout: 240_000 }, () => {
  const seen: Progress[] = [];
  let bundle = "";

  it("trains, says how far it is, scores, and leaves nothing behind", async () => {
    await quietly(async () => {
      await using trommel = await openTrommel({ store: pathOf("store"), workers: 1, threads: 1 });
      const spec = await trommel.backbones.import(pathOf("tiny/model.json"), { name: tinyBackbone.name });
      assert.equal(spec.dimension, tinyBackbone.dimension);
      assert.deepEqual(await trommel.list(), []);
      const run = await trommel.train(pathOf("photos"), recipe, { id: "first" });
      assert.deepEqual([run.id, run.kind, run.begun], ["first", "run", "queued"]);
      for await (const progress of run.progress()) seen.push(progress);
      const result = await run.result();
      bundle = result.bundle;
      assert.equal(result.ledger.listed, 36 + 5);
      assert.equal(result.ledger.failed, 5);
      assert.equal(result.metrics?.history.length, 3);
      assert.equal(result.choice, null);
      assert.match(await readFile(fileURLToPath(result.report), "utf8"), /<html/);
      const failed = [];
      for await (const { key, reason } of run.errors({ reasons: ["empty"] })) failed.push([key, reason]);
      assert.deepEqual(failed, [["glass/bad-empty.jpg", "empty"]]);
      const scoring = await trommel.score(pathOf("new"), { model: run, output: pathOf("scores"), topK: 2 });
      const scores = await scoring.result();
      assert.equal(scores.ledger.ok, 9);
      assert.ok((await readdir(pathOf("scores"))).includes("_SUCCESS.json"));
      assert.deepEqual(
        (await trommel.list()).map(({ id, phase }) => [id, phase]),
        [
          ["first", "complete"],
          [scoring.id, "complete"],
        ],
      );
    });
    const extracted = seen.filter(({ stage }) => stage === "extract").at(-1);
    assert.deepEqual([extracted?.done, extracted?.total, extracted?.unit], [41, 41, "images"]);
    assert.equal(extracted?.secondsLeft, 0);
    assert.ok(seen.some(({ stage }) => stage === "train"));
  });

  it("finds finished work complete without a cluster, and predicts as a loaded classifier does", async () => {
    await quietly(async () => {
      await using trommel = await openTrommel({ store: pathOf("store") });
      const run = await trommel.train(pathOf("photos"), recipe, { id: "first" });
      assert.equal(run.begun, "complete");
      assert.equal((await run.result()).bundle, bundle);
      const files = [pathOf("new/in/0000.png"), pathOf("photos/glass/bad-half.jpg")];
      const { rows } = await trommel.predict(files, { model: run });
      await using classifier = await loadClassifier(bundle);
      const answers = await classifier.classify(await Promise.all(files.map((file) => readFile(file))));
      const [read, broken] = answers;
      assert.deepEqual(rows[0], { key: files[0], ...read });
      assert.equal(broken?.error?.reason, "truncated");
      assert.deepEqual(classifier.labels, labels);
      await assert.rejects(classifier.classify([new Uint8Array()], { topK: 4 }), {
        code: "invalid-argument",
      });
      await assert.rejects(classifier.classify([new Uint8Array()], { signal: AbortSignal.abort() }), {
        code: "cancelled",
      });
    });
  });

  it("loads neither queue nor Redis nor TensorFlow.js to serve a bundle", async () => {
    const script = `
      import { readFileSync } from "node:fs";
      const { loadClassifier } = await import("@trommel/gpu-worker/serving");
      const classifier = await loadClassifier(${JSON.stringify(bundle)});
      const [answer] = await classifier.classify([readFileSync(${JSON.stringify(pathOf("new/in/0000.png"))})]);
      await classifier.close();
      process.stdout.write(answer.label);`;
    const child = spawn(process.execPath, ["--import", modules, "--input-type=module", "-e", script], {
      cwd: fileURLToPath(new URL("../../../packages/trommel", import.meta.url)),
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let loaded = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (loaded += text));
    const [code] = (await once(child, "close")) as [number];
    assert.equal(code, 0, loaded);
    assert.ok(labels.includes(stdout), stdout);
    assert.match(loaded, /onnxruntime-node/);
    assert.doesNotMatch(loaded, /node_modules\/(bullmq|ioredis|@tensorflow)\//);
  });

  it("stops at an aborted signal, keeps what is done and why it stopped, and continues", async () => {
    await quietly(async () => {
      const stop = new AbortController();
      const at = { store: pathOf("store"), workers: 1, threads: 1 };
      await using trommel = await openTrommel({ ...at, signal: stop.signal });
      const again = { ...recipe, seed: 9, training: { epochs: 4000 } };
      const run = await trommel.train(pathOf("photos"), again, { id: "stopped" });
      const left = new AbortController();
      const waiting = run.result({ signal: left.signal });
      left.abort();
      await assert.rejects(waiting, { code: "cancelled" });
      assert.equal((await run.status()).phase, "running");
      stop.abort();
      await assert.rejects(run.result(), (thrown) => {
        assert.ok(thrown instanceof TrommelError);
        assert.deepEqual([thrown.code, thrown.retryable], ["cancelled", false]);
        return true;
      });
    });
    await using trommel = await openTrommel({ store: pathOf("store") });
    const run = await trommel.run("stopped");
    const { phase, error } = await run.status();
    assert.deepEqual([phase, error?.code], ["stopped", "interrupted"]);
    await assert.rejects(run.result(), { code: "unavailable" });
    await run.cancel();
    assert.equal((await run.status()).phase, "cancelled");
    await assert.rejects(run.result(), { code: "cancelled" });
  });

  it("refuses with a code and what to do, and says in one line how to get a redis-server", async () => {
    await quietly(async () => {
      const env = { TROMMEL_REDIS_SERVER: pathOf("no-redis-server") };
      await using trommel = await openTrommel({ store: pathOf("store"), workers: 1, env });
      await assert.rejects(trommel.train(pathOf("photos"), { backbones: ["absent"] }), {
        name: "TrommelError",
        code: "not-found",
        message: /absent.*tiny@/,
      });
      const unknown = { backbones: ["tiny"], vews: 3 } as unknown as { backbones: string[] };
      await assert.rejects(trommel.train(pathOf("photos"), unknown), {
        code: "invalid-argument",
        message: /vews/,
      });
      await assert.rejects(trommel.run("nobody"), { code: "not-found" });
      await assert.rejects(trommel.train(pathOf("photos"), recipe, { id: "second" }), (thrown) => {
        assert.ok(thrown instanceof TrommelError);
        assert.equal(thrown.code, "not-found");
        assert.match(thrown.message, /no-redis-server.*Install redis-server.*apt-get/);
        assert.doesNotMatch(thrown.message, /\n/);
        return true;
      });
      await assert.rejects(trommel.run("second"), { code: "not-found" });
      await assert.rejects(trommel.list({ signal: AbortSignal.abort() }), { code: "cancelled" });
      await assert.rejects(loadClassifier(pathOf("new")), { code: "not-found" });
    });
    const sockets = (await readdir(tmpdir())).filter((name) => name.startsWith("trommel-redis-"));
    for (const name of sockets) {
      const owner = await readFile(join(tmpdir(), name, "owner"), "utf8").catch(() => "");
      assert.ok(!owner.includes(`${process.pid}`), `${name} is left`);
    }
  });

  it("refuses a bundle whose model is another one", async () => {
    await using trommel = await openTrommel({ store: pathOf("store") });
    assert.ok(trommel.store.url.startsWith("file:"));
    const copy = pathOf("copy");
    const manifest = await readFile(join(fileURLToPath(bundle), "bundle.json"));
    await writeFiles(copy, new Map([["bundle.json", manifest]]));
    await writeFile(join(copy, "model.onnx"), "another");
    await assert.rejects(loadClassifier(copy), { code: "corrupt", message: /sha256/ });
  });
});
