import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { type BackboneSpec, namedNormalizations } from "@trommel/common";
import { viewsRecipe } from "#common/recipe/views-recipe";
import type { Engine, EngineBackbone } from "#gpu-worker/backbone/engines/engine";
import { createOnnxEngine } from "#gpu-worker/backbone/engines/onnx-engine";
import { drawViews } from "#gpu-worker/image/views/view";
import { bilinearAt } from "../../../support/images/bilinear.js";
import { testPictures, windowBackbone } from "../../../support/models/small-backbones.js";

const identity = [1, 0, 0, 0, 1, 0];
const plainColour = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0];
const quarterTurn = [0, -1, 0, 1, 0, 0];
const farOutside = [2.5, 0.4, 1.7, -0.3, 3, -2.2];
const turnedAndShifted = [0.9, 0.35, -0.21, -0.3, 1.1, 0.4];

let engine: Engine;
before(async () => {
  engine = await createOnnxEngine({ device: "cpu", threads: 1 });
});

interface Sampling {
  readonly backbones: readonly EngineBackbone[];
  readonly side: number;
  readonly images: number;
  readonly affine: readonly (readonly number[])[];
  readonly colour?: readonly (readonly number[])[];
}

async function sample(given: Sampling) {
  const { backbones, side, images } = given;
  const viewCount = given.affine.length / images;
  const pixels = testPictures(images, side);
  const colour = given.colour ?? given.affine.map(() => plainColour);
  const extractor = await engine.createExtractor({
    backbones,
    side,
    viewCount,
    colour: given.colour !== undefined,
  });
  const batch = { pixels, imageCount: images, affine: floats(given.affine), colour: floats(colour) };
  const features = await extractor.extract(batch);
  await extractor.release();
  assert.equal(features.length, given.affine.length * extractor.dimension);
  return { pixels, features, dimension: extractor.dimension };
}

const floats = (rows: readonly (readonly number[])[]) => Float32Array.from(rows.flat());

/** What the definition says for one value of a network's input, in float64. */
function expectedAt(
  picture: Uint8Array,
  side: number,
  spec: BackboneSpec,
  affine: readonly number[],
  colour: readonly number[],
  place: { channel: number; row: number; column: number },
): number {
  const rgb = bilinearAt(picture, side, affine, spec.inputSize, place.column, place.row);
  const channel = spec.channelOrder === "rgb" ? place.channel : 2 - place.channel;
  const mixed = [...rgb, 1].reduce((sum, value, i) => sum + value * (colour[channel * 4 + i] ?? NaN), 0);
  const clipped = Math.min(255, Math.max(0, mixed));
  return (
    (clipped - (spec.normalization.mean[channel] ?? NaN)) / (spec.normalization.deviation[channel] ?? NaN)
  );
}

/** Compares every pixel of every view of every backbone, in levels of 0..255. */
async function check(given: Sampling, toleranceLevels = 0.02): Promise<void> {
  const { pixels, features, dimension } = await sample(given);
  const { side } = given;
  const perImage = given.affine.length / given.images;
  given.affine.forEach((affine, view) => {
    const image = Math.floor(view / perImage);
    const picture = pixels.subarray(image * side * side * 3, (image + 1) * side * side * 3);
    let offset = view * dimension;
    for (const { spec } of given.backbones) {
      for (let i = 0; i < spec.dimension; i += 1) {
        const channel = Math.floor(i / spec.inputSize ** 2);
        const row = Math.floor(i / spec.inputSize) % spec.inputSize;
        const place = { channel, row, column: i % spec.inputSize };
        const expected = expectedAt(picture, side, spec, affine, given.colour?.[view] ?? plainColour, place);
        const levels =
          Math.abs((features[offset + i] ?? NaN) - expected) * Math.min(...spec.normalization.deviation);
        assert.ok(
          levels < toleranceLevels,
          `view ${view}, ${spec.name}, ${JSON.stringify(place)}: ${levels} levels off`,
        );
      }
      offset += spec.dimension;
    }
  });
}

describe("the sampling graph", () => {
  it("samples rotations, quarter turns and points far outside as the definition does", async () => {
    const affine = [identity, quarterTurn, farOutside, turnedAndShifted];
    await check({ backbones: [windowBackbone(16)], side: 16, images: 1, affine });
    await check({ backbones: [windowBackbone(13)], side: 29, images: 1, affine });
    await check({ backbones: [windowBackbone(40)], side: 17, images: 1, affine });
  });

  it("keeps image and view apart: row b·V + v", async () => {
    const recipe = viewsRecipe.parse({ count: 3, rotation: 90, zoom: 0.4 });
    const rows = ["a", "b", "c", "d"].flatMap((key) => {
      const { affine } = drawViews(recipe, 5, key);
      return [0, 1, 2].map((view) => [...affine.subarray(view * 6, view * 6 + 6)]);
    });
    await check({ backbones: [windowBackbone(12)], side: 20, images: 4, affine: rows });
  });

  it("serves backbones of different sizes, scalings and channel orders side by side, in order", async () => {
    const backbones = [
      windowBackbone(14, { normalization: namedNormalizations.torch }),
      windowBackbone(22, { channelOrder: "bgr", normalization: namedNormalizations.torch }),
      windowBackbone(14),
      windowBackbone(14, { channelOrder: "bgr", normalization: namedNormalizations.none }),
    ];
    const affine = [identity, turnedAndShifted, quarterTurn, farOutside];
    await check({ backbones, side: 30, images: 2, affine });
    const tint = [0.5, 0.4, 0.1, 9, -0.3, 1.7, 0.2, -20, 0.1, 0.2, 1.2, 30];
    const harsh = [3, 0, 0, -100, 0, 3, 0, -200, 0, 0, 3, -300];
    await check({ backbones, side: 30, images: 2, affine, colour: [plainColour, tint, harsh, tint] });
  });

  it("samples in graphs of newer opsets too", async () => {
    for (const opset of [16, 18, 20, 21]) {
      const backbones = [windowBackbone(10, {}, opset)];
      await check({ backbones, side: 14, images: 1, affine: [identity, turnedAndShifted] });
    }
  });

  it("at the identity and the same size, gives the picture back", async () => {
    const backbones = [windowBackbone(64, { normalization: namedNormalizations.none })];
    const { pixels, features } = await sample({
      backbones,
      side: 64,
      images: 2,
      affine: [identity, identity],
    });
    const planes = Float32Array.from({ length: features.length }, (_, i) => {
      const image = Math.floor(i / (3 * 64 * 64));
      const place = i % (64 * 64);
      return pixels[(image * 64 * 64 + place) * 3 + (Math.floor(i / (64 * 64)) % 3)] ?? NaN;
    });
    const worst = features.reduce((max, value, i) => Math.max(max, Math.abs(value - (planes[i] ?? NaN))), 0);
    assert.ok(worst < 2e-3, `${worst} levels`);
    assert.notEqual(planes[0], planes[2 * 64 * 64], "red and blue differ");
  });
});
