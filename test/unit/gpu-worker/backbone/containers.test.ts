import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { TrommelError, openStore, type ObjectStore } from "@trommel/common";
import sharp from "sharp";
import { openBackboneSource, type BackboneSource } from "#gpu-worker/backbone/download/backbone-source";
import { importBackbone } from "#gpu-worker/backbone/import/import-backbone";
import { readLayersModel } from "#gpu-worker/backbone/layers/layers-model";
import { sequentialFiles } from "../../../support/models/layers-files.js";

const goldenFile = new URL("../../../../golden/containers/containers.json", import.meta.url);
const golden = JSON.parse(await readFile(goldenFile, "utf8")) as Readonly<Record<string, string>>;

/** What the message must say of each file: what it is, and what to do. */
const written: Readonly<Record<string, RegExp>> = {
  "torch-zip": /a PyTorch file \(a pickle in a zip\).*optimum-cli export onnx/,
  "torch-old": /a PyTorch file \(a pickle\).*torch\.onnx\.export/,
  "torch-script": /TorchScript.*torch\.onnx\.export/,
  "torch-safetensors": /safetensors file of PyTorch weights.*torch\.onnx\.export/,
  pickle: /a Python pickle/,
  keras: /a \.keras archive.*tensorflowjs_converter/,
  "zip-onnx": /zip file that holds export\/encoder\.onnx\. Unpack it/,
  "zip-other": /zip file that holds readme\.txt\. Unpack it/,
  "zip-cut": /it was cut\. Download it again/,
  npy: /NumPy array/,
  npz: /NumPy archive/,
  gzip: /compressed with gzip\. Unpack it/,
  xz: /compressed with xz/,
  bzip2: /compressed with bzip2/,
  tar: /a tar archive\. Unpack it/,
  "saved-model": /SavedModel folder.*tf2onnx/,
  "core-ml": /a Core ML model/,
  "graph-def": /frozen TensorFlow graph.*--graphdef/,
  tflite: /TensorFlow Lite.*--tflite/,
};

const pointer = `version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size 12345
`;

const texts: Readonly<Record<string, readonly [content: string, says: RegExp]>> = {
  empty: ["", /it is empty\. Download or export/],
  pointer: [pointer, /pointer to a file of 12345 bytes \(sha256:4d7a21.*git lfs pull/],
  page: ["\n <!DOCTYPE html>\n<html>Sign in</html>", /web page.*sign in first/],
  xml: ['<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', /XML document/],
  config: ['{"model_type": "vit", "hidden_size": 8}', /config\.json of a model repository.*ONNX file/],
  index: ['{"metadata": {}, "weight_map": {}}', /index of a network's weights/],
  keras: ['{"class_name": "Sequential", "config": {"layers": []}}', /without its weights/],
  answer: ['{"error": "Repository not found"}', /a server's answer/],
  list: ["[1, 2]", /a JSON list/],
  other: ['{"a": 1, "b": 2}', /no model: it has the keys a, b/],
  broken: ['{"layers": [1, 2', /text that begins like JSON and is not \(.*\)\. Name the model\.json/],
  commented: ["[section]\nkey = 1\n", /text that begins like JSON and is not/],
  plain: [
    "Backbone weights\r\nsee the wiki\r\n",
    /text, and no model: it begins with "Backbone weights"\. Name an/,
  ],
  script: ["#!/usr/bin/env python\nimport torch\n", /begins with "#!\/usr\/bin\/env python"/],
  accents: ["Größe;Maß\n1;2\n".repeat(9000), /text, and no model/],
  blank: [" \n\n", /it is white space alone/],
  svg: ['<svg xmlns="http://www.w3.org/2000/svg"/>', /text, and no model: it begins with "<svg xmlns=/],
  pdf: ["%PDF-1.7\n%\xe2\xe3", /it is a PDF\. Name an ONNX file/],
};

describe("files that are no model", () => {
  let folder: string;
  let store: ObjectStore;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "trommel-containers-"));
    store = openStore(join(folder, "store"));
  });
  after(async () => {
    store.close();
    await rm(folder, { recursive: true });
  });

  const refused = async (source: BackboneSource, says: RegExp): Promise<void> => {
    await assert.rejects(importBackbone({ source, name: "x", store }), (thrown) => {
      assert.ok(thrown instanceof TrommelError);
      assert.equal(thrown.code, "unsupported", thrown.message);
      assert.match(thrown.message, says);
      return true;
    });
  };
  const holding = (bytes: Uint8Array): BackboneSource => ({
    url: "file:///model",
    read: () => Promise.resolve(bytes),
  });

  it("are named with what to do, as other tools wrote them", async () => {
    assert.deepEqual(Object.keys(written).sort(), Object.keys(golden).sort());
    for (const [name, says] of Object.entries(written))
      await refused(holding(Buffer.from(golden[name] ?? "", "base64")), says);
  });

  it("are named with what to do, if they are text", async () => {
    for (const [content, says] of Object.values(texts)) await refused(holding(Buffer.from(content)), says);
  });

  it("are named with what to do, if they are pictures", async () => {
    const blank = sharp({ create: { width: 4, height: 4, channels: 3, background: "#102030" } });
    for (const format of ["jpeg", "png", "webp", "gif", "tiff", "avif"] as const) {
      const says = new RegExp(`it is an image \\(${format}\\)\\. Name an ONNX file`, "i");
      await refused(holding(await blank.clone().toFormat(format).toBuffer()), says);
    }
  });

  it("are named with what to do, if they are bitmaps, films or tables of Parquet", async () => {
    const bitmap = Buffer.from("BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", "latin1");
    await refused(holding(bitmap), /it is an image \(BMP\)/);
    await refused(
      holding(Buffer.from("BMI index\n")),
      /it is text, and no model: it begins with "BMI index"/,
    );
    await refused(holding(Buffer.from("\0\0\0\x20ftypisom\0\0\x02\0")), /a video or an image \(MP4, /);
    await refused(holding(Buffer.from("PAR1\x15\x04")), /a Parquet file\. Name an ONNX file/);
  });

  it("are not seen in safetensors whose length begins as a picture does, nor in unknown bytes", async () => {
    for (const length of [0x8b1f, 0x2a4949]) {
      const header = Buffer.alloc(8 + length, " ");
      header.writeBigUInt64LE(BigInt(length));
      header.write('{"conv/kernel":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}', 8);
      await assert.rejects(
        importBackbone({ source: holding(header), name: "x", store }),
        /it is a safetensors file, and its weights need an architecture/,
      );
    }
    await assert.rejects(
      importBackbone({ source: holding(Buffer.from([0x12, 0x80, 0x01, 0xff])), name: "x", store }),
      /cannot read file:\/\/\/model: it is no ONNX file, or a part of one/,
    );
    // The version of the format (field 1) alone.
    await assert.rejects(
      importBackbone({ source: holding(Buffer.from([0x08, 0x07])), name: "x", store }),
      /it contains no graph, so it is no ONNX model/,
    );
  });

  it("are named if they lie in the place of a model's weights, or have another hash than the model", async () => {
    const { modelJson } = sequentialFiles(
      [
        {
          class_name: "Conv2D",
          config: { name: "conv", filters: 1, kernel_size: [1, 1], batch_input_shape: [null, 8, 8, 3] },
        },
      ],
      [
        { name: "conv/kernel", shape: [1, 1, 3, 1], values: [1, 2, 3] },
        { name: "conv/bias", shape: [1], values: [0] },
      ],
    );
    const read = (path: string | undefined) =>
      Promise.resolve(path === undefined ? modelJson : Buffer.from(pointer));
    await refused({ url: "file:///model.json", read }, /weights\.bin, which .*pointer.*git lfs pull/);
    const page = join(folder, "page.onnx");
    await writeFile(page, "<html></html>");
    const source = openBackboneSource(page, { sha256: "0".repeat(64) });
    await assert.rejects(
      importBackbone({ source, name: "x", store }),
      /expected 0{64}\. What arrived is a web page/,
    );
  });

  it("are folders, told by what is in them", async () => {
    const saved = join(folder, "saved");
    await mkdir(saved);
    await writeFile(join(saved, "saved_model.pb"), "");
    await refused(openBackboneSource(saved), /a TensorFlow SavedModel.*tf2onnx/);
    const other = join(folder, "other");
    await mkdir(other);
    await writeFile(join(other, "encoder.onnx"), "");
    const attempt = importBackbone({ source: openBackboneSource(other), name: "x", store });
    await assert.rejects(attempt, /Name a file in it, such as .*encoder\.onnx/);
  });
});

describe("a model.json with a byte order mark", () => {
  it("is read, in UTF-8 and in UTF-16", async () => {
    const { modelJson, readFile: weights } = sequentialFiles([
      { class_name: "ReLU", config: { name: "relu", batch_input_shape: [null, 8, 8, 3] } },
    ]);
    const text = Buffer.from(modelJson).toString("utf8");
    const little = Buffer.from(`\uFEFF${text}`, "utf16le");
    for (const bytes of [Buffer.from(`\uFEFF${text}`), little, Buffer.from(little).swap16()]) {
      const model = await readLayersModel(bytes, weights);
      assert.deepEqual(model.outputs, ["relu"]);
    }
  });
});
