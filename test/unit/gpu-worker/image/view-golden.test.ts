import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SeededRandom } from "@trommel/common";
import { drawResizedCrop } from "#gpu-worker/image/views/crop-window";
import { affineMatrix, colourMatrix } from "#gpu-worker/image/views/view-matrices";
import { identityParameters } from "#gpu-worker/image/views/view-parameters";
import { parametersOf, torchvisionGolden } from "../../../support/images/torchvision-golden.js";

describe("views beside torchvision", () => {
  for (const { parameters, order, points } of torchvisionGolden.steps) {
    const done = order.filter((step) => (step === "affine" ? "rotation" : step) in parameters);
    it(`${done.join(", ")}: every point lands where torchvision puts it`, () => {
      const m = affineMatrix(parametersOf(parameters, order));
      assert.ok(points.length >= 6);
      for (const [x, y, inputX, inputY] of points) {
        const landed = [0, 3].map((row) => m[row]! * x + m[row + 1]! * y + m[row + 2]!);
        assert.ok(
          Math.hypot(landed[0]! - inputX, landed[1]! - inputY) < 1e-7,
          `(${x}, ${y}): ${landed.join()}`,
        );
      }
    });
  }

  it("a resized crop is distributed as RandomResizedCrop draws it", () => {
    const { area, ratio, deciles } = torchvisionGolden.crops;
    const random = new SeededRandom(12);
    const windows = Array.from({ length: 20_000 }, () => drawResizedCrop({ area, ratio }, random));
    const columns = {
      area: windows.map(({ width, height }) => width * height),
      logRatio: windows.map(({ width, height }) => Math.log(width / height)),
      left: windows.map(({ left, width }) => left / (1 - width)),
      top: windows.map(({ top, height }) => top / (1 - height)),
    };
    for (const name of ["area", "logRatio", "left", "top"] as const) {
      for (const [i, level] of deciles[name].entries()) {
        const share = columns[name].filter((value) => value < level).length / windows.length;
        // Four deviations of the difference of both samples' shares at the median.
        assert.ok(Math.abs(share - (i + 1) / 10) < 0.018, `${name}: ${share} under ${level}`);
      }
    }
  });

  it("a resized crop that never fits is torchvision's central one", () => {
    for (const { area, ratio, window } of torchvisionGolden.crops.fallbacks) {
      const { left, top, width, height } = drawResizedCrop({ area, ratio }, new SeededRandom(1));
      assert.deepEqual(
        [left, top, width, height].map((edge) => Math.round(edge * 1e9) / 1e9),
        window,
      );
    }
  });

  it("brightness and saturation, in either order, are torchvision's", () => {
    for (const { rgb, brightness, saturation, tensor, picture } of torchvisionGolden.colours) {
      const m = colourMatrix({ ...identityParameters, brightness, saturation });
      for (const to of [0, 1, 2]) {
        const ours = [...rgb, 1].reduce((sum, value, from) => sum + value * m[to * 4 + from]!, 0);
        // Its tensors weigh red by 0.2989; its pictures are cut to whole levels after each step.
        assert.ok(Math.abs(ours - tensor[to]!) < 0.0001 * 255, `${rgb.join()}: ${ours} for ${tensor[to]}`);
        assert.ok(Math.abs(ours - picture[to]!) < 2, `${rgb.join()}: ${ours} for ${picture[to]}`);
      }
    }
  });
});
