import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  TrommelError,
  backboneId,
  backboneKeys,
  listBackbones,
  namedNormalizations,
  openStore,
  readBackboneModel,
  resolveBackbone,
  type ObjectStore,
} from "@trommel/common";
import { openBackboneSource, type BackboneSource } from "#gpu-worker/backbone/download/backbone-source";
import { checkParity } from "#gpu-worker/backbone/import/check-parity";
import { importBackbone } from "#gpu-worker/backbone/import/import-backbone";
import { loadTensorflow } from "#gpu-worker/graph/tensorflow";
import {
  loadReference,
  relativeDifference,
  runOnnx,
  seededValues,
  type LayersSource,
} from "../../support/models/layers-reference.js";
import { nsfwjsModel, type ModelFiles } from "../../support/models/nsfwjs-model.js";
import { sharedData } from "../../support/images/shared-data.js";

interface RealModel {
  readonly name: string;
  readonly output: string;
  readonly size: number;
  readonly dimension: number;
  readonly pooling: "average" | "none";
  readonly open: () => { source: BackboneSource; files: LayersSource } | undefined;
}

function fromShared(folder: string) {
  return () => {
    const path = sharedData(`backbones/${folder}/model.json`);
    if (path === undefined) return undefined;
    const read = (relativePath: string) => readFile(join(dirname(path), relativePath));
    return {
      source: openBackboneSource(path),
      files: { modelJson: new Uint8Array(), readFile: read },
    };
  };
}

function fromPackage(name: Parameters<typeof nsfwjsModel>[0]) {
  return () => {
    const files: ModelFiles = nsfwjsModel(name);
    const source: BackboneSource = {
      url: `npm:nsfwjs/${name}`,
      read: (path) => (path === undefined ? Promise.resolve(files.modelJson) : files.readFile(path)),
    };
    return { source, files };
  };
}

const models: readonly RealModel[] = [
  {
    name: "mobilenet-075",
    output: "global_average_pooling2d_1",
    size: 224,
    dimension: 768,
    pooling: "none",
    open: fromShared("mobilenet_v1_0.75_224"),
  },
  {
    name: "mobilenet-100-pw12",
    output: "conv_pw_12_relu",
    size: 224,
    dimension: 1024,
    pooling: "average",
    open: fromShared("mobilenet_v1_1.0_224_to_conv_pw_12"),
  },
  {
    name: "mobilenet-v2",
    output: "out_relu",
    size: 224,
    dimension: 1280,
    pooling: "average",
    open: fromPackage("mobilenet_v2"),
  },
  {
    name: "inception-v3",
    output: "mixed10",
    size: 299,
    dimension: 2048,
    pooling: "average",
    open: fromPackage("inception_v3"),
  },
];

describe("importBackbone with real networks", () => {
  let folder: string;
  let store: ObjectStore;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "trommel-import-"));
    store = openStore(folder);
  });
  after(async () => {
    store.close();
    await rm(folder, { recursive: true });
  });

  for (const model of models) {
    it(`${model.name} embeds as the original does in TensorFlow.js`, async (test) => {
      const opened = model.open();
      if (opened === undefined) {
        test.skip("shared/data/backbones is not there");
        return;
      }
      const options = {
        source: opened.source,
        name: model.name,
        output: model.output,
        inputSize: model.size,
        normalization: namedNormalizations.tf,
        store,
      } as const;
      const spec = await importBackbone(options);
      assert.equal(spec.dimension, model.dimension);
      assert.equal(spec.source.pooling, model.pooling);
      assert.ok((spec.parity?.maxRelativeDifference ?? 1) < 1e-4);

      const images = seededValues(model.size * model.size * 3, 5);
      const onnx = await readBackboneModel(store, await resolveBackbone(store, model.name));
      const actual = await runOnnx(onnx, images, 1, model.size);
      const modelJson = await opened.source.read(undefined, 2 ** 31);
      const expected = await embedOriginal({ ...opened.files, modelJson }, model, images);
      assert.ok(relativeDifference(actual, expected) < 1e-4);
    });
  }

  it("finds a repeat in the store and changes nothing", async () => {
    const source = fromPackage("mobilenet_v2")().source;
    const options = {
      source,
      name: "repeated",
      output: "out_relu",
      inputSize: 32,
      normalization: namedNormalizations.unit,
      store,
    };
    const spec = await importBackbone(options);
    const written = await store.head(backboneKeys(backboneId(spec)).spec);
    assert.deepEqual(await importBackbone(options), spec);
    assert.deepEqual(await store.head(backboneKeys(backboneId(spec)).spec), written);
    assert.equal((await listBackbones(store)).filter(({ name }) => name === "repeated").length, 1);
    // What decides an embedding decides the id.
    const other = await importBackbone({ ...options, channelOrder: "bgr" });
    assert.equal(other.modelSha256, spec.modelSha256);
    assert.notEqual(other.hash, spec.hash);
  });

  it("refuses a compiled model that is not the layers model", async () => {
    const files = nsfwjsModel("mobilenet_v2");
    const source: BackboneSource = {
      url: "npm:nsfwjs/mobilenet_v2",
      read: (path) => (path === undefined ? Promise.resolve(files.modelJson) : files.readFile(path)),
    };
    // Another cut of equal size: the same network two layers earlier.
    const normalization = namedNormalizations.tf;
    const spec = await importBackbone({
      source,
      name: "earlier",
      output: "Conv_1",
      inputSize: 32,
      normalization,
      store,
    });
    const other = await importBackbone({
      source,
      name: "later",
      output: "out_relu",
      inputSize: 32,
      normalization,
      store,
    });
    const keys = backboneKeys(backboneId(other));
    const layers = {
      modelJson: await store.get(keys.layersModel),
      weightsBin: await store.get(keys.layersWeights),
    };
    const wrong = {
      model: await readBackboneModel(store, spec),
      layers,
      inputSize: 32,
      normalization,
      inputs: 1,
    };
    await assert.rejects(checkParity(wrong), (thrown) => {
      assert.ok(thrown instanceof TrommelError);
      assert.equal(thrown.code, "parity-failed");
      return true;
    });
  });

  it("leaves nothing behind when the import fails, and names what is missing", async () => {
    const files = nsfwjsModel("mobilenet_v2");
    const source: BackboneSource = {
      url: "npm:nsfwjs/mobilenet_v2",
      read: async (path) =>
        path === undefined ? files.modelJson : (await files.readFile(path)).subarray(0, 1_000_000),
    };
    const options = { source, name: "broken", inputSize: 224, normalization: namedNormalizations.tf, store };
    await assert.rejects(importBackbone(options), /group1-shard1of1/);
    const whole = {
      ...source,
      read: (path: string | undefined) => (path === undefined ? source.read(path, 0) : files.readFile(path)),
    };
    await assert.rejects(
      importBackbone({ ...options, source: whole, output: "no_such_layer" }),
      /no_such_layer/,
    );
    await assert.rejects(importBackbone({ ...options, name: "Not Legal" }), /Not Legal/);
    await assert.rejects(resolveBackbone(store, "broken"), /cannot find/);
    for await (const { key } of store.list("backbones/")) assert.ok(!key.startsWith("backbones/broken"));
  });
});

async function embedOriginal(
  files: LayersSource,
  model: RealModel,
  images: Float32Array,
): Promise<Float32Array> {
  const { tf } = await loadTensorflow();
  const reference = await loadReference(files, model.output);
  const output = tf.tidy(() => {
    const predicted = reference.predict(tf.tensor4d(images, [1, model.size, model.size, 3]));
    const tensor = Array.isArray(predicted) ? predicted[0] : predicted;
    assert.ok(tensor !== undefined);
    return tensor.rank === 4 ? tf.mean(tensor, [1, 2]) : tensor;
  });
  const values = Float32Array.from(await output.data());
  output.dispose();
  reference.dispose();
  return values;
}
