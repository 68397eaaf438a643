import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  TrommelError,
  namedNormalizations,
  openStore,
  readBackboneModel,
  type BackboneSpec,
  type ObjectStore,
} from "@trommel/common";
import { openBackboneSource } from "#gpu-worker/backbone/download/backbone-source";
import { importBackbone, type ImportBackboneOptions } from "#gpu-worker/backbone/import/import-backbone";
import { decodeModel, encodeModel } from "#gpu-worker/graph/onnx/onnx-model";
import type { TensorProto } from "#gpu-worker/graph/onnx/onnx-proto";
import { runOnnx } from "../../../support/models/layers-reference.js";

interface Encoder {
  readonly model: string;
  /** The images are the golden's pixels · scale + offset. */
  readonly offset: number;
  readonly scale: number;
  /** By pooling, or by what else decides them. */
  readonly embeddings: Readonly<Record<string, readonly (readonly number[])[]>>;
}

const goldenFile = new URL("../../../../golden/encoders/encoders.json", import.meta.url);
const golden = JSON.parse(await readFile(goldenFile, "utf8")) as Readonly<Record<string, Encoder>>;
const size = 16;

type Choices = Partial<Omit<ImportBackboneOptions, "source" | "store" | "name">>;

describe("importBackbone of an ONNX encoder", () => {
  let folder: string;
  let store: ObjectStore;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "trommel-encoders-"));
    store = openStore(join(folder, "store"));
  });
  after(async () => {
    store.close();
    await rm(folder, { recursive: true });
  });

  const bytesOf = (name: string): Buffer => Buffer.from(golden[name]?.model ?? "", "base64");

  async function imported(name: string, choices: Choices, lines: string[] = []): Promise<BackboneSpec> {
    const source = { url: `file:///${name}.onnx`, read: readOnly(bytesOf(name)) };
    return importBackbone({ ...choices, source, name: "x", store, log: (line) => lines.push(line) });
  }

  /** A source of one file. */
  const readOnly = (bytes: Uint8Array) => (path: string | undefined) =>
    path === undefined ? Promise.resolve(bytes) : Promise.reject(new TrommelError("not-found", `no ${path}`));

  /** The stored network embeds the golden's images as ONNX Runtime and NumPy did. */
  async function embedsAs(
    name: string,
    key: string,
    choices: Choices,
    lines: string[] = [],
  ): Promise<BackboneSpec> {
    const spec = await imported(name, choices, lines);
    const { offset = 0, scale = 1, embeddings } = golden[name] ?? {};
    const expected = (embeddings?.[key] ?? []).flat();
    // In the golden's order [N, 3, H, W]; runOnnx takes [N, H, W, 3].
    const pixels = Float32Array.from({ length: 2 * size * size * 3 }, (_, at) => {
      const [image, pixel, channel] = [
        Math.floor(at / (3 * size * size)),
        Math.floor(at / 3) % (size * size),
        at % 3,
      ];
      const i = (image * 3 + channel) * size * size + pixel;
      return Math.fround(((7919 * i) % 256) / 127.5 - 1) * scale + offset;
    });
    const actual = await runOnnx(await readBackboneModel(store, spec), pixels, 2, size);
    assert.equal(spec.dimension, expected.length / 2, name);
    assert.ok(expected.length > 0);
    actual.forEach((value, i) =>
      assert.ok(Math.abs(value - (expected[i] ?? NaN)) < 1e-4, `${name} ${key} ${i}`),
    );
    return spec;
  }

  const refused = async (name: string, choices: Choices, code: string, says: RegExp): Promise<void> => {
    await assert.rejects(imported(name, choices), (thrown) => {
      assert.ok(thrown instanceof TrommelError);
      assert.match(thrown.message, says);
      assert.equal(thrown.code, code);
      return true;
    });
  };

  it("reads the order of a map's axes off its graph, and not off the input's", async () => {
    await embedsAs("nhwc-in-nchw-out", "average", {});
    await embedsAs("nhwc-in-nchw-out", "max", { pooling: "max" });
    await embedsAs("nchw-in-nhwc-out", "average", {});
    await embedsAs("fixed-size-normalised", "average", {});
    await refused("fixed-size", {}, "invalid-argument", /\[N, 4, 4, 5\].*--output-layout/);
    await embedsAs("fixed-size", "nhwc", { outputLayout: "nhwc" });
    await embedsAs("fixed-size", "nchw", { outputLayout: "nchw" });
    await refused(
      "nhwc-in-nchw-out",
      { pooling: "cls" },
      "invalid-argument",
      /is a map, which has no tokens/,
    );
  });

  it("takes symbolic axes for unknown, with the size as a flag", async () => {
    await refused("symbolic-nhwc", {}, "invalid-argument", /--size/);
    await embedsAs("symbolic-nhwc", "average", { inputSize: size });
    const { source } = await embedsAs("vit", "pooler_output", { inputSize: size });
    assert.deepEqual([source.output, source.pooling], ["pooler_output", "none"]);
  });

  it("pools tokens, leaving class token and registers out of their mean", async () => {
    for (const pooling of ["cls", "mean", "cls+mean"] as const) {
      await embedsAs("vit", pooling, { inputSize: size, pooling });
      const { source } = await embedsAs("vit-registers", pooling, { inputSize: size, pooling });
      assert.deepEqual([source.output, source.pooling], ["last_hidden_state", pooling]);
    }
    const tokens = { inputSize: size };
    await refused(
      "vit-registers",
      tokens,
      "invalid-argument",
      /21 tokens of 5 values, 5 of them before.*--pooling cls/,
    );
    await refused("vit-registers", { ...tokens, pooling: "max" }, "invalid-argument", /is for maps/);
    await refused(
      "vit-registers",
      { ...tokens, pooling: "cls", prefixTokens: 0 },
      "invalid-argument",
      /no class token/,
    );
  });

  it("takes output and pooling from the config.json beside the file", async () => {
    const repository = join(folder, "repository");
    await mkdir(join(repository, "onnx"), { recursive: true });
    await writeFile(join(repository, "onnx", "model.onnx"), bytesOf("vit"));
    const source = openBackboneSource(join(repository, "onnx", "model.onnx"));
    const pooled = async (config: object): Promise<readonly string[]> => {
      await writeFile(join(repository, "config.json"), JSON.stringify(config));
      const spec = await importBackbone({ source, name: "x", store, inputSize: size });
      return [spec.source.output, spec.source.pooling];
    };
    assert.deepEqual(await pooled({ model_type: "vit" }), ["last_hidden_state", "cls"]);
    assert.deepEqual(await pooled({ model_type: "dinov2" }), ["pooler_output", "none"]);
    assert.deepEqual(await pooled({ unrelated: true }), ["pooler_output", "none"]);
  });

  it("keeps the results of opsets 7 to 24", async () => {
    for (const [name, key] of [
      ["opset-7", "average"],
      ["opset-9-softmax", "none"],
      ["opset-24", "average"],
    ] as const)
      await embedsAs(name, key, {});
    await embedsAs("vit-opset-11", "cls+mean", { pooling: "cls+mean" });
  });

  it("notices a network's own normalisation", async () => {
    const { none, unit, torch, tf } = namedNormalizations;
    for (const [name, expected] of Object.entries({
      "own-255": none,
      "own-127": none,
      "own-caffe": none,
      "own-unit": unit,
    })) {
      const lines: string[] = [];
      const spec = await embedsAs(name, "average", {}, lines);
      assert.deepEqual(spec.normalization, expected, name);
      assert.ok(
        lines.some((line) => /begins with its own normalisation.*: --normalize is (none|unit)/.test(line)),
      );
      await embedsAs(name, "average", { normalization: expected });
      await refused(name, { normalization: torch }, "invalid-argument", /on top.*--force-normalize/);
      const forced = await imported(name, { normalization: torch, forceNormalization: true });
      assert.deepEqual(forced.normalization, torch);
    }
    assert.deepEqual((await embedsAs("own-nothing", "average", {})).normalization, tf);
    assert.deepEqual((await embedsAs("vit", "cls", { inputSize: size, pooling: "cls" })).normalization, tf);
  });

  it("refuses embeddings and weights of no use, naming them as such", async () => {
    await refused("zero", {}, "unsupported", /are all zero/);
    await refused("constant", {}, "unsupported", /are the same for every image/);
    for (const [value, word] of [
      [NaN, /its weight w contains NaN/],
      [Infinity, /its weight w contains 1 infinite values/],
    ] as const) {
      const source = { url: "file:///bad.onnx", read: readOnly(encodeModel(withWeight("opset-24", value))) };
      await assert.rejects(importBackbone({ source, name: "x", store }), word);
    }
  });

  it("ends with a table", async () => {
    const lines: string[] = [];
    await imported("own-255", {}, lines);
    assert.match(
      lines.slice(-5).join("\n"),
      /size +16 × 16 pixels\n +layout +input NCHW, output c \[N, 5, 4, 4\] NCHW, average pooling\n +range +0\.\.255, RGB\n +embedding +5 dimensions\n +spread +\d\.\d+, /,
    );
  });

  /** The encoder with one value of its weight `w` changed. */
  function withWeight(name: string, value: number) {
    const model = decodeModel(bytesOf(name));
    const change = (tensor: TensorProto): TensorProto => {
      if (tensor.name !== "w") return tensor;
      const rawData = Uint8Array.from(tensor.rawData ?? []);
      new DataView(rawData.buffer).setFloat32(8, value, true);
      return { ...tensor, rawData };
    };
    return { ...model, graph: { ...model.graph, initializer: (model.graph?.initializer ?? []).map(change) } };
  }
});
