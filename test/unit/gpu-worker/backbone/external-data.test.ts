import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { TrommelError, openStore, type ObjectStore } from "@trommel/common";
import { importBackbone } from "#gpu-worker/backbone/import/import-backbone";
import { decodeModel, encodeModel } from "#gpu-worker/graph/onnx/onnx-model";
import type { TensorProto } from "#gpu-worker/graph/onnx/onnx-proto";

const goldenFile = new URL("../../../../golden/encoders/encoders.json", import.meta.url);
const golden = JSON.parse(await readFile(goldenFile, "utf8")) as Readonly<
  Record<string, { readonly model: string }>
>;
const encoder = Buffer.from(golden["opset-24"]?.model ?? "", "base64");

describe("an ONNX encoder with external data", () => {
  let folder: string;
  let store: ObjectStore;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "trommel-external-"));
    store = openStore(join(folder, "store"));
  });
  after(async () => {
    store.close();
    await rm(folder, { recursive: true });
  });

  it("reads weights in files beside the model, below its folder alone", async () => {
    const weights = new Map<string, Uint8Array>();
    const from = (bytes: Uint8Array) => ({
      url: "file:///model.onnx",
      read: (path: string | undefined) => {
        const found = path === undefined ? bytes : weights.get(path);
        return found === undefined
          ? Promise.reject(new TrommelError("not-found", `no ${path ?? ""}`))
          : Promise.resolve(found);
      },
    });
    const inside = await importBackbone({ source: from(encoder), name: "x", store });
    const external = (location: string, change: Readonly<Record<string, string>> = {}): Uint8Array => {
      const model = decodeModel(encoder);
      const initializer = (model.graph?.initializer ?? []).map(({ rawData, ...tensor }): TensorProto => {
        const before = weights.get("weights/model.onnx_data") ?? new Uint8Array(16);
        weights.set("weights/model.onnx_data", Buffer.concat([before, rawData ?? new Uint8Array()]));
        const entries = {
          location,
          offset: String(before.length),
          length: String(rawData?.length ?? 0),
          ...change,
        };
        const externalData = Object.entries(entries).map(([key, value]) => ({ key, value }));
        return { ...tensor, externalData, dataLocation: 1 };
      });
      return encodeModel({ ...model, graph: { ...model.graph, initializer } });
    };
    const whole = external("./weights/model.onnx_data");
    const spec = await importBackbone({ source: from(whole), name: "external", store });
    assert.equal(spec.modelSha256, inside.modelSha256);
    assert.deepEqual(
      spec.source.files?.map(({ path }) => path),
      ["weights/model.onnx_data"],
    );
    for (const location of ["../model.onnx_data", "/etc/passwd", "a/../../b", "C:\\data", ""])
      await assert.rejects(
        importBackbone({ source: from(external(location)), name: "x", store }),
        /not a plain path below the model's folder/,
      );
    const attempt = (bytes: Uint8Array) => importBackbone({ source: from(bytes), name: "x", store });
    await assert.rejects(attempt(external("absent")), /no absent/);
    await assert.rejects(attempt(external("weights/model.onnx_data", { offset: "999999" })), /which has \d+/);
    await assert.rejects(attempt(external("weights/model.onnx_data", { checksum: "00" })), /another SHA-1/);
  });
});
