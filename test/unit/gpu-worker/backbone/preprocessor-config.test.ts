import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readPreprocessor, readTimmConfig } from "#gpu-worker/backbone/download/hub/preprocessor-config";

/** Files as the published repositories have them, shortened; the expectations are from their processors' documentation. */
const half = { image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] };
const imagenet = { image_mean: [0.485, 0.456, 0.406], image_std: [0.229, 0.224, 0.225] };
const torch = { mean: [123.675, 116.28, 103.53], deviation: [58.395, 57.12, 57.375] };
const tf = { mean: [127.5, 127.5, 127.5], deviation: [127.5, 127.5, 127.5] };

describe("preprocessor_config.json", () => {
  it("of ViT, old and new: squashed to the size", () => {
    for (const size of [224, { height: 224, width: 224 }, [224, 224]]) {
      const read = readPreprocessor({ do_normalize: true, do_resize: true, size, resample: 2, ...half }, "p");
      assert.deepEqual(read, {
        inputSize: 224,
        normalization: tf,
        channelOrder: "rgb",
        decode: { fit: "squash", kernel: "linear", crop: 1 },
      });
    }
  });

  it("of DINOv2 and CLIP: the shorter side, and the centre of it", () => {
    const dino = {
      size: { shortest_edge: 256 },
      crop_size: { height: 224, width: 224 },
      do_center_crop: true,
      resample: 3,
      ...imagenet,
    };
    assert.deepEqual(readPreprocessor(dino, "p"), {
      ...{ inputSize: 224, normalization: torch, channelOrder: "rgb" },
      decode: { fit: "crop", kernel: "cubic", crop: 0.875 },
    });
    const clip = {
      size: 224,
      crop_size: 224,
      do_center_crop: true,
      resample: 3,
      image_mean: [0.48145466, 0.4578275, 0.40821073],
      image_std: [0.26862954, 0.26130258, 0.27577711],
    };
    const { inputSize, decode, normalization } = readPreprocessor(clip, "p");
    assert.deepEqual([inputSize, decode], [224, { fit: "crop", kernel: "cubic", crop: 1 }]);
    assert.deepEqual(normalization.mean, [122.7709383, 116.7460125, 104.09373615]);
  });

  it("of SigLIP in the new nested form, ConvNeXt's crop_pct, MobileViT's channels, and files without normalisation", () => {
    const siglip = {
      image_processor: { size: { height: 384, width: 384 }, resample: 3, rescale_factor: 1 / 255, ...half },
    };
    assert.deepEqual(readPreprocessor(siglip, "p").normalization, tf);
    const convNext = { size: { shortest_edge: 224 }, crop_pct: 0.875, resample: 3, ...imagenet };
    assert.deepEqual(readPreprocessor(convNext, "p").decode, { fit: "crop", kernel: "cubic", crop: 0.875 });
    assert.equal(readPreprocessor({ ...convNext, size: { shortest_edge: 384 } }, "p").decode.fit, "squash");
    const mobileVit = {
      size: { shortest_edge: 288 },
      crop_size: { height: 256, width: 256 },
      do_center_crop: true,
      do_flip_channel_order: true,
      do_normalize: false,
      resample: 2,
    };
    const read = readPreprocessor(mobileVit, "p");
    assert.deepEqual([read.channelOrder, read.inputSize], ["bgr", 256]);
    assert.deepEqual(read.normalization, { mean: [0, 0, 0], deviation: [255, 255, 255] });
    assert.deepEqual(
      readPreprocessor({ size: 224, do_rescale: false, do_normalize: false }, "p").normalization,
      { mean: [0, 0, 0], deviation: [1, 1, 1] },
    );
    const offset = { size: 224, rescale_factor: 1 / 127.5, rescale_offset: true, do_normalize: false };
    assert.deepEqual(readPreprocessor(offset, "p").normalization, tf);
  });

  it("of timm", () => {
    const timm = {
      input_size: [3, 224, 224],
      interpolation: "bicubic",
      crop_pct: 0.9,
      crop_mode: "center",
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.5, 0.5],
    };
    assert.deepEqual(readTimmConfig(timm, "c"), {
      ...{ inputSize: 224, normalization: tf, channelOrder: "rgb" },
      decode: { fit: "crop", kernel: "cubic", crop: 0.9 },
    });
  });

  it("refuses what a backbone cannot be", () => {
    assert.throws(() => readPreprocessor({ size: { height: 224, width: 192 } }, "p"), /224 × 192.*square/);
    assert.throws(() => readPreprocessor({ size: [224, 192] }, "p"), /224 × 192.*square/);
    assert.throws(() => readPreprocessor({ size: 224, resample: 5 }, "p"), /kernel 5/);
    assert.throws(
      () => readPreprocessor({ size: 224, image_mean: [0.5, 0.5], image_std: [1, 1] }, "p"),
      /2 channels/,
    );
    assert.throws(() => readPreprocessor({ size: 224, image_std: 0 }, "p"), /not above zero/);
    assert.throws(() => readPreprocessor({ size: "big" }, "p"), /p/);
  });
});
