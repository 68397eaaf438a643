import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import {
  backboneKeys,
  openStore,
  recipe as recipeSchema,
  runConfig,
  runKeys,
  TrommelError,
  writeWithMarker,
  type RecipeInput,
  type RunConfig,
} from "@trommel/common";
import { noFold, readTuningPlan, testPart, writeTuningPlan } from "@trommel/common/artefacts";
import { parseSealedAs, putJsonOnce, sealedJson } from "@trommel/common/codec";
import { repeatsOf, type AutoHead } from "@trommel/common/recipe";
import { resolveRun } from "#coordinator/resolve/run";
import { resolveRunRetry } from "#coordinator/retry/resolve-retry";
import { collectGarbage } from "#coordinator/store-keeping/collect-garbage";
import {
  cameWith,
  checkDependents,
  removeRun,
  tunedBackbonesOf,
} from "#coordinator/store-keeping/remove-run";
import { removeBackbone } from "#coordinator/store-keeping/remove-backbone";
import { writeFiles } from "../../../support/images/dataset.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../../support/models/tiny-backbone.js";

const folder = await temporaryFolder("resolve-tuning");
const dataset = join(folder, "pictures");
let location = "";

before(async () => {
  location = await storeWithTinyBackbone(folder);
  const keys = ["a", "b"].flatMap((label) => [1, 2, 3].map((number) => `${label}/${number}.png`));
  await writeFiles(dataset, new Map(keys.map((key) => [key, key])));
});

function recipeTune(tune: object): RunConfig["recipe"]["tune"] {
  return recipeSchema.parse({ backbones: [tinyBackbone.name], tune }).tune;
}

function resolve(id: string, fields: Partial<RecipeInput> = {}) {
  return resolveRun({
    ...{ store: openStore(location), id, dataset, output: undefined },
    recipe: recipeSchema.parse({ backbones: [tinyBackbone.name], tune: {}, ...fields }),
  });
}

/** The tiny network with a second block after its first. */
function withSecondConvolution(modelJson: string): string {
  interface Layer {
    class_name: string;
    name: string;
    config: { name: string };
    inbound_nodes: unknown[][][];
  }
  const model = JSON.parse(modelJson) as {
    modelTopology: { config: { layers: Layer[] } };
    weightsManifest: { weights: { name: string }[] }[];
  };
  const { layers } = model.modelTopology.config;
  const last = layers.at(-1);
  const first = layers.find(({ class_name: type }) => type === "Conv2D");
  assert.ok(last !== undefined && first !== undefined);
  const name = "conv2d_second";
  layers.splice(-1, 0, {
    ...first,
    name,
    config: { ...first.config, name },
    inbound_nodes: last.inbound_nodes,
  });
  layers[layers.length - 1] = { ...last, inbound_nodes: [[[name, 0, 0, {}]]] };
  model.weightsManifest[0]?.weights.push({ name: `${name}/kernel` });
  return JSON.stringify(model);
}

async function configOf(id: string): Promise<RunConfig> {
  const key = runKeys(id).config;
  return parseSealedAs(runConfig, await readFile(join(location, key)), key);
}

describe("a resolved run that tunes", () => {
  it("comes with the run without tuning that it follows, which differs in nothing else", async () => {
    const { config, claim } = await resolve("pair");
    await claim();
    assert.equal(config.recipe.split.test, 0.15);
    assert.deepEqual(await configOf("pair"), config);
    assert.deepEqual(await configOf("pair-untuned"), {
      ...config,
      id: "pair-untuned",
      recipe: { ...config.recipe, tune: null },
    });
    await (await resolve("pair")).claim();
    await assert.rejects(resolve("pair", { tune: { epochs: 3 } }), { code: "conflict" });
  });

  it("is the one that a version before head.repeats began, whose runs divide once", async () => {
    const plain = { tune: null };
    await (await resolve("begun")).claim();
    await (await resolve("begun-plain", plain)).claim();
    for (const id of ["begun", "begun-untuned", "begun-plain"]) {
      const file = join(location, runKeys(id).config);
      const { sha256: _, ...written } = JSON.parse(await readFile(file, "utf8")) as RunConfig & {
        sha256: string;
      };
      const { repeats: __, ...head } = written.recipe.head as AutoHead;
      await writeFile(file, sealedJson({ ...written, recipe: { ...written.recipe, head } }));
    }
    await (await resolve("begun")).claim();
    await (await resolve("begun-plain", plain)).claim();
    const repeats = [];
    for (const id of ["begun", "begun-untuned", "begun-plain"])
      repeats.push(repeatsOf((await configOf(id)).recipe.head as AutoHead));
    assert.deepEqual(repeats, [1, 1, 1]);
    await assert.rejects(resolve("begun-plain", { ...plain, head: { repeats: 3 } }), {
      code: "conflict",
      message: /they differ in recipe\.head\.repeats/,
    });
    // A run of this version says which it is.
    await (await resolve("once", { ...plain, head: { repeats: 1 } })).claim();
    await assert.rejects(resolve("once", plain), { code: "conflict" });
  });

  it("comes with a run for each of several folds, which differs in the fold that it holds out", async () => {
    const { config, claim } = await resolve("many", { tune: { folds: 3 } });
    await claim();
    assert.equal(config.recipe.split.test, null);
    for (const fold of [0, 1, 2])
      assert.deepEqual(await configOf(`many-fold-${fold + 1}`), {
        ...{ ...config, id: `many-fold-${fold + 1}` },
        foldOf: { run: "many", fold },
      });
    assert.equal((await configOf("many-untuned")).recipe.tune, null);
    await (await resolve("many", { tune: { folds: 3 } })).claim();
    const store = openStore(location);
    const came = ["many-untuned", "many-fold-1", "many-fold-2", "many-fold-3"];
    assert.deepEqual(await cameWith(store, { kind: "run", id: "many" }), came);
    assert.deepEqual(await cameWith(store, { kind: "run", id: "many-fold-1" }), []);
    for (const id of ["many-untuned", "many-fold-2"])
      await assert.rejects(checkDependents(store, { kind: "run", id }), { code: "conflict" });
    store.close();
    // A network that has seen other images than this run may see.
    for (const from of ["many", "many-fold-2"])
      await assert.rejects(resolve("later", { tune: { from }, head: { folds: 3 }, split: { test: 0.15 } }), {
        code: "invalid-argument",
        message: /the fold that is held out/,
      });
  });

  it("counts what each of its networks is tuned on, and is refused where a class has too few images for the folds", async () => {
    const store = openStore(location);
    // Eight images in three folds, one of them in the test part and one that could not be read.
    const parts = [
      [0, 1, 2, testPart],
      [2, 0, noFold, 2],
    ];
    const split = {
      formatVersion: 3,
      seed: 0,
      folds: 3,
      parts,
      groups: null,
      grouping: null,
      contradictions: null,
    };
    await putJsonOnce(store, runKeys("many-untuned").split, sealedJson({ ...split, notes: [] }));
    const tune = { folds: 3, batchSize: 2 };
    await (await resolve("other", { tune })).claim();
    await putJsonOnce(store, runKeys("other-untuned").split, sealedJson({ ...split, folds: 2, notes: [] }));
    const counts = [];
    for (const id of ["many-fold-1", "many-fold-2", "many-fold-3", "many"]) {
      const { recipe } = await configOf(id);
      const config = { ...(await configOf(id)), recipe: { ...recipe, tune: recipeTune(tune) } };
      const { heldOutFold, heldOutImages, rounds } = await writeTuningPlan(store, config);
      assert.deepEqual((await readTuningPlan(store, id)).rounds, rounds);
      counts.push([heldOutFold, heldOutImages, rounds.images]);
    }
    assert.deepEqual(counts, [
      [0, 2, 4],
      [1, 1, 5],
      [2, 3, 3],
      [null, 0, 6],
    ]);
    await assert.rejects(writeTuningPlan(store, await configOf("other")), {
      code: "bad-dataset",
      message: /other-untuned has only 2, because a class has too few images.*Set tune\.folds to 2/,
    });
    store.close();
  });

  it("is refused where its backbone has no layers, or not the wanted ones, or no run has the id to continue from", async () => {
    await assert.rejects(resolve("deep", { tune: { blocks: { last: 9 } } }), { code: "invalid-argument" });
    await assert.rejects(resolve("named", { tune: { blocks: ["block14"] } }), {
      code: "not-found",
      message: /cannot tune block14/,
    });
    await assert.rejects(resolve("origin", { tune: { from: "no id/" } }), {
      code: "not-found",
      message: /cannot continue from no id\/: .*Correct tune\.from/,
    });
    const { spec: key } = backboneKeys(tinyBackbone.id);
    const file = join(location, key);
    const text = await readFile(file, "utf8");
    await writeFile(file, text.replace(/"kind":\s*"layers"/, '"kind":"onnx"'));
    try {
      await assert.rejects(resolve("encoder"), {
        code: "unsupported",
        message: /imported from ONNX and has no layers.*with --arch,/,
      });
    } finally {
      await writeFile(file, text);
    }
  });

  it("is refused, with the layer's name, where a layer that trains or one behind it has no gradient", async () => {
    const file = join(location, backboneKeys(tinyBackbone.id).layersModel);
    const text = await readFile(file, "utf8");
    const model = JSON.parse(text) as {
      modelTopology: { config: { layers: { class_name: string; name: string; config: object }[] } };
    };
    const last = model.modelTopology.config.layers.at(-1);
    const convolution = model.modelTopology.config.layers.find(({ class_name: type }) => type === "Conv2D");
    assert.ok(last !== undefined && convolution !== undefined);
    const refused = async (named: string): Promise<void> => {
      await writeFile(file, JSON.stringify(model));
      await assert.rejects(resolve("no-gradient"), (thrown) => {
        assert.ok(thrown instanceof TrommelError);
        assert.equal(thrown.code, "unsupported");
        assert.ok(thrown.message.includes(JSON.stringify(named)), thrown.message);
        return true;
      });
    };
    try {
      const { class_name: type } = last;
      last.class_name = "UpSampling2D";
      await refused(last.name);
      last.class_name = "ReLU";
      const { config } = last;
      for (const field of [{ max_value: 4 }, { negative_slope: 0.1 }, { threshold: 1 }]) {
        last.config = { ...config, ...field };
        await refused(last.name);
      }
      last.config = { ...config, max_value: 6, negative_slope: 0, threshold: null };
      await writeFile(file, JSON.stringify(model));
      await assert.doesNotReject(resolve("usual"));
      [last.class_name, last.config] = [type, config];
      convolution.config = { ...convolution.config, activation: "gelu" };
      await refused(convolution.name);
    } finally {
      await writeFile(file, text);
    }
    await resolve("no-gradient");
  });

  it("continues from no checkpoint of another recipe", async () => {
    const { layersModel: key } = backboneKeys(tinyBackbone.id);
    const file = join(location, key);
    const text = await readFile(file, "utf8");
    await writeFile(file, withSecondConvolution(text));
    try {
      await (await resolve("origin", { tune: { blocks: { last: 1 } } })).claim();
      const from = "origin";
      await assert.doesNotReject(resolve("same", { tune: { from, blocks: "half", epochs: 3 } }));
      await assert.rejects(resolve("more", { tune: { from, blocks: "all" } }), {
        code: "invalid-argument",
        message:
          /cannot continue from origin: it differs in tune\.blocks, and its checkpoints are of another network/,
      });
      await assert.rejects(resolve("other-norm", { tune: { from, blocks: { last: 1 }, norm: "group" } }), {
        code: "invalid-argument",
        message: /it differs in tune\.norm/,
      });
      await assert.rejects(resolve("gated", { tune: { from, blocks: { last: 1 }, gate: {} } }), {
        code: "invalid-argument",
        message: /it differs in tune\.gate, and its checkpoints are of another network/,
      });
    } finally {
      await writeFile(file, text);
    }
    await assert.rejects(resolve("seed", { tune: { from: "origin" }, seed: 5 }), {
      code: "invalid-argument",
      message: /it differs in seed, so that it may have learned/,
    });
    await assert.rejects(resolve("nowhere", { tune: { from: "no-such" } }), {
      code: "not-found",
      message: /no run of that id that tuned/,
    });
  });

  it("weights no class that a list of labels does not have", async () => {
    const csv = join(folder, "labels.csv");
    const rows = [1, 2, 3].flatMap((number) => [`a/${number}.png,a`, `b/${number}.png,b`]);
    await writeFile(csv, ["image,label", ...rows].join("\n"));
    await assert.rejects(
      resolve("weighed", {
        labels: { source: { type: "csv", file: csv, idColumn: "image", labelColumn: "label" } },
        tune: { classWeights: { a: 2, c: 3 } },
      }),
      {
        code: "invalid-argument",
        message: /tune\.classWeights has a weight for c, but the classes are a, b/,
      },
    );
  });

  it("is refused with an id that is too long for what tuning adds to it", async () => {
    await assert.rejects(resolve("x".repeat(56)), { code: "invalid-argument", message: /an id has 1 to 63/ });
    assert.equal((await resolve("x".repeat(55))).config.id.length, 55);
  });

  it("cannot be retried, and what it needs cannot be removed before it is complete", async () => {
    const store = openStore(location);
    const of = await configOf("pair");
    await assert.rejects(resolveRunRetry({ store, of, reasons: null, id: undefined, output: undefined }), {
      code: "unsupported",
      message: /tuned on the images that pair-untuned could read/,
    });
    await assert.rejects(checkDependents(store, { kind: "run", id: "pair-untuned" }), { code: "conflict" });
    store.close();
  });

  it("keeps its tuned backbone, its last checkpoints and the kept one; superseded ones are garbage", async () => {
    const store = openStore(location);
    const { tuning } = runKeys("pair");
    const heldOut = { images: 1, loss: 1, accuracy: 1 };
    for (let round = 0; round < 4; round += 1) {
      const figures = {
        round,
        epoch: round + 1,
        steps: round + 1,
        training: { loss: 1, accuracy: 1 },
        heldOut,
      };
      await putJsonOnce(store, tuning.round(round), sealedJson({ formatVersion: 1, figures }));
      await writeWithMarker(store, tuning.checkpoint(round + 1), Buffer.from(`checkpoint ${round}`), {
        figures,
      });
      await writeWithMarker(store, tuning.change(round, 0), Buffer.from("change"));
    }
    await writeWithMarker(store, tuning.change(4, 0), Buffer.from("change of a round under way"));
    const id = `other@${"b".repeat(12)}`;
    const { spec } = backboneKeys(id);
    await store.put(spec, Buffer.from("{}"));
    const tuned = { id, hash: "b".repeat(64), dimension: 1, inputSize: 1, round: 3 };
    await writeWithMarker(store, tuning.backbone, Buffer.from(JSON.stringify(tuned)));
    await assert.rejects(removeBackbone(store, id, true), { code: "conflict", message: /pair/ });
    const dayMs = 24 * 3600 * 1000;
    const { byKind } = await collectGarbage({
      ...{ store, remove: true, withBackbones: true, olderThanMs: dayMs, nowMs: Date.now() + 7 * dayMs },
    });
    // Checkpoints 1 and 2 and the changes of four rounds, each with its marker.
    assert.equal(byKind.tuning?.objects, 12);
    const left: string[] = [];
    for await (const { key } of store.list("runs/pair/tuning/"))
      if (key.endsWith(".safetensors")) left.push(key);
    assert.deepEqual(left.sort(), [tuning.change(4, 0), tuning.checkpoint(3), tuning.checkpoint(4)]);
    assert.notEqual(await store.head(spec), undefined);
    store.close();
  });

  it("leaves its tuned backbone when it is removed, which is removed once no other run uses it", async () => {
    const store = openStore(location);
    const id = `other@${"b".repeat(12)}`;
    const run = { kind: "run", id: "pair" } as const;
    assert.deepEqual(await tunedBackbonesOf(store, run), [id]);
    const { hash, dimension, inputSize } = { hash: "b".repeat(64), dimension: 1, inputSize: 1 };
    const pair = await configOf("pair");
    const user = {
      ...{ ...pair, id: "user", recipe: { ...pair.recipe, tune: null } },
      backbones: [{ id, hash, dimension, inputSize }],
    };
    await store.put(runKeys("user").config, sealedJson(user));
    await removeRun(store, run);
    await assert.rejects(removeBackbone(store, id, true), { code: "conflict", message: /user/ });
    await removeRun(store, { kind: "run", id: "user" });
    assert.equal((await removeBackbone(store, id, true)).objects, 1);
    assert.deepEqual(await tunedBackbonesOf(store, run), []);
    store.close();
  });
});
