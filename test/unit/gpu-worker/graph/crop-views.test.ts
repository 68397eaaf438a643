import assert from "node:assert/strict";
import { it } from "node:test";
import { namedNormalizations } from "@trommel/common";
import { createOnnxEngine } from "#gpu-worker/backbone/engines/onnx-engine";
import { affineMatrix } from "#gpu-worker/image/views/view-matrices";
import { windowBackbone } from "../../../support/models/small-backbones.js";
import { parametersOf, torchvisionGolden } from "../../../support/images/torchvision-golden.js";

it("a crop in the graph is Pillow's crop and resize, to its rounding", async () => {
  const { side, size, cases } = torchvisionGolden.pictures;
  const pixels = Uint8Array.from(Buffer.from(torchvisionGolden.pictures.picture, "base64"));
  const affine = cases.map(({ edges: [left, top, right, bottom] }) => {
    const window = [left / side, top / side, (right - left) / side, (bottom - top) / side] as const;
    return affineMatrix(parametersOf({ resizedCrop: window }));
  });
  const engine = await createOnnxEngine({ device: "cpu", threads: 1 });
  const backbones = [windowBackbone(size, { normalization: namedNormalizations.none })];
  const extractor = await engine.createExtractor({ backbones, side, viewCount: cases.length, colour: false });
  const features = await extractor.extract({
    pixels,
    imageCount: 1,
    affine: Float32Array.from(affine.flat()),
    colour: new Float32Array(cases.length * 12),
  });
  await extractor.release();

  for (const [view, { edges, box, crop }] of cases.entries()) {
    const expected = Buffer.from(box ?? crop ?? "", "base64");
    assert.equal(expected.length, size * size * 3);
    const [left, top, right, bottom] = edges;
    // `crop` has no pixels to mix in within half a pixel of its edge, where ours shows the picture around it.
    const mixesInside = (at: number, low: number, high: number) => {
      const place = low + ((at + 0.5) * (high - low)) / size;
      return place >= low + 0.5 && place <= high - 0.5;
    };
    let compared = 0;
    for (let i = 0; i < expected.length; i += 1) {
      const [row, column, channel] = [Math.floor(i / 3 / size), Math.floor(i / 3) % size, i % 3];
      if (crop !== undefined && !(mixesInside(column, left, right) && mixesInside(row, top, bottom)))
        continue;
      const actual = features[view * size * size * 3 + channel * size * size + row * size + column]!;
      // Pillow rounds after each of its two passes.
      assert.ok(
        Math.abs(actual - expected[i]!) <= 1.01,
        `view ${view} (${column}, ${row}): ${actual} for ${expected[i]}`,
      );
      compared += 1;
    }
    assert.ok(compared > 0.9 * expected.length, `${compared}`);
  }
});
