import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { before, describe, it } from "node:test";
import { openStore, TrommelError, type ObjectStore } from "@trommel/common";
import { readBackboneModel, resolveBackbone } from "#common/artefacts/backbones/stored-backbones";
import { CheckedModel } from "#gpu-worker/backbone/import/checked-model";
import { storeBackbone } from "#gpu-worker/backbone/import/store-backbone";
import { decodeImage } from "#gpu-worker/image/decode/decode-image";
import { quantizeStored } from "#gpu-worker/commands/quantize-command";
import { loadBackbones } from "#gpu-worker/stages/inputs/load-backbones";
import { sharedBackbone, sharedData, sharedPhotographs } from "../../support/images/shared-data.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";

const data = sharedData();
const skip = data === undefined ? "no ../shared/data beside the checkout" : false;
const side = 224;
const dimension = 768;
const folder = await temporaryFolder("precision");
const seen = path.join(folder, "seen");

async function normalised(file: Uint8Array): Promise<Float32Array> {
  const background: [number, number, number] = [255, 255, 255];
  const recipe = {
    side,
    fit: "squash",
    kernel: "lanczos3",
    background,
    maxBytes: 1e8,
    maxPixels: 1e8,
  } as const;
  const picture = await decodeImage(file, recipe);
  assert.ok(picture.ok);
  const planes = new Float32Array(3 * side * side);
  for (let i = 0; i < picture.pixels.length; i += 1)
    planes[(i % 3) * side * side + Math.floor(i / 3)] = ((picture.pixels[i] ?? 0) - 127.5) / 127.5;
  return planes;
}

async function embed(bytes: Uint8Array, pictures: readonly Float32Array[]): Promise<Float32Array[]> {
  const model = await CheckedModel.load(bytes);
  const embeddings: Float32Array[] = [];
  for (const picture of pictures) embeddings.push((await model.embed(picture, 1, side)).values.slice());
  await model.release();
  return embeddings;
}

/** Of each pair: cosine, and the length of the difference over the length of the second. */
function compare(actual: readonly Float32Array[], expected: readonly Float32Array[]) {
  return actual.map((a, at) => {
    let [product, own, other, difference] = [0, 0, 0, 0];
    expected[at]?.forEach((e, i) => {
      const v = a[i] ?? NaN;
      product += v * e;
      own += v * v;
      other += e * e;
      difference += (v - e) ** 2;
    });
    return { cosine: product / Math.sqrt(own * other), relative: Math.sqrt(difference / other) };
  });
}

describe("a MobileNet in other precisions, on photographs", { skip }, () => {
  let store: ObjectStore;
  let pictures: Float32Array[];
  let full: Float32Array[];

  before(async () => {
    assert.ok(data !== undefined);
    await mkdir(seen);
    store = openStore(path.join(folder, "store"));
    const { spec, model } = await sharedBackbone(data, "mobilenet_v1_0.75_224", "global_average_pooling2d_1");
    const { normalization, channelOrder, opset, parity } = spec;
    await storeBackbone(
      store,
      { model, layers: undefined, dimension, inputSize: side, opset, output: "it", pooling: "none", parity },
      {
        ...{ name: "mobilenet", normalization, channelOrder },
        source: { kind: "onnx", url: "test", sha256: "0".repeat(64) },
      },
    );
    const files = await sharedPhotographs(data, 4);
    // The first three of each class are looked at for the ranges, the fourth is compared.
    for (const [at, file] of files.entries())
      if (at % 4 !== 3) await writeFile(path.join(seen, `${at}.jpg`), file);
    pictures = await Promise.all(files.filter((_, at) => at % 4 === 3).map(normalised));
    full = await embed(model, pictures);
  });

  it("is nearly the same in half precision", async () => {
    const uses = [{ id: "mobilenet", normalization: null, precision: "fp16" as const }];
    const [half] = await loadBackbones(store, uses, false);
    assert.ok(half !== undefined);
    for (const { cosine, relative } of compare(await embed(half.model, pictures), full)) {
      assert.ok(cosine > 0.9995 && relative < 0.03, `cosine ${cosine}, relative ${relative}`);
      assert.ok(relative > 0);
    }
  });

  it("is much the same in int8, by ranges seen on other photographs", async () => {
    const lines: string[] = [];
    const options = { storeUrl: store.url, backbone: "mobilenet", pictures: seen, count: 18 };
    const made = await quantizeStored(options, (line) => lines.push(line));
    assert.equal(made.name, "mobilenet-int8");
    assert.equal(made.source.kind, "int8");
    assert.equal(made.parity?.inputs, 18);
    assert.match(lines.join("\n"), /quantised 26 convolutions.*18 images/);
    const spec = await resolveBackbone(store, "mobilenet-int8");
    const model = await readBackboneModel(store, spec);
    const plain = await readBackboneModel(store, await resolveBackbone(store, "mobilenet"));
    assert.ok(model.byteLength < 0.32 * plain.byteLength);
    for (const { cosine, relative } of compare(await embed(model, pictures), full)) {
      assert.ok(cosine > 0.98 && relative < 0.2, `cosine ${cosine}, relative ${relative}`);
    }
    // The same pictures give the same copy.
    assert.equal((await quantizeStored(options, () => undefined)).hash, made.hash);
  });

  it("is not both at once, and not by the other engine", async () => {
    const refused = (code: string, words: RegExp) => (error: unknown) =>
      error instanceof TrommelError && error.code === code && words.test(error.message);
    const half = { normalization: null, precision: "fp16" as const };
    await assert.rejects(
      loadBackbones(store, [{ id: "mobilenet-int8", ...half }], false),
      refused("unsupported", /QuantizeLinear/),
    );
    await assert.rejects(
      loadBackbones(store, [{ id: "mobilenet", ...half }], true),
      refused("unsupported", /tfjs engine.*--engine onnx/),
    );
  });
});
