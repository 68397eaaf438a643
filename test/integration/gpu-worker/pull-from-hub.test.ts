import assert from "node:assert/strict";
import { mkdtemp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  TrommelError,
  openStore,
  readBackboneModel,
  type BackboneSpec,
  type PullOptions,
} from "@trommel/common";
import { importFromCatalogue } from "#gpu-worker/commands/import-command";
import { decodeModel, encodeModel } from "#gpu-worker/graph/onnx/onnx-model";
import type { TensorProto } from "#gpu-worker/graph/onnx/onnx-proto";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { serveHub, type HubContent, type HubServer } from "../../support/servers/hub-server.js";
import { runOnnx } from "../../support/models/layers-reference.js";

interface Golden {
  readonly model: string;
  readonly embeddings: Readonly<Record<string, readonly (readonly number[])[]>>;
}
const goldenFile = new URL("../../../golden/encoders/encoders.json", import.meta.url);
const golden = JSON.parse(await readFile(goldenFile, "utf8")) as Readonly<Record<string, Golden>>;
const encoder = (name: string): Buffer => Buffer.from(golden[name]?.model ?? "", "base64");
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const folder = await temporaryFolder("hub");

const processor = {
  ...{ do_resize: true, size: { shortest_edge: 18 }, resample: 3 },
  ...{ do_center_crop: true, crop_size: { height: 16, width: 16 } },
  ...{ do_rescale: true, rescale_factor: 1 / 255, do_normalize: true },
  ...{ image_mean: [0.485, 0.456, 0.406], image_std: [0.229, 0.224, 0.225] },
};
const commit = "0123456789abcdef0123456789abcdef01234567";
const small: HubContent = {
  id: "some-org/Small_ViT",
  commit,
  licence: "apache-2.0",
  files: {
    "README.md": Buffer.from("# small"),
    "config.json": json({ model_type: "vit" }),
    "preprocessor_config.json": json(processor),
    "onnx/model.onnx": encoder("vit"),
    "onnx/model_quantized.onnx": Buffer.from("quantised"),
  },
  pointers: ["onnx/model.onnx", "onnx/model_quantized.onnx"],
};

interface Pulled {
  readonly spec: BackboneSpec;
  readonly lines: readonly string[];
  readonly server: HubServer;
  readonly storeUrl: string;
}

async function pull(
  content: HubContent,
  choices: Partial<PullOptions> = {},
  weights = `hf:${content.id}`,
): Promise<Pulled> {
  const server = await serveHub(content);
  const lines: string[] = [];
  const say = (line: string): void => void lines.push(line);
  const storeUrl = await mkdtemp(join(folder, "store-"));
  const cacheFolder = await mkdtemp(join(folder, "cache-"));
  try {
    const options = { ...{ storeUrl, cacheFolder, weights, endpoint: server.endpoint }, ...choices };
    return { spec: await importFromCatalogue(options, say, say), lines, server, storeUrl };
  } finally {
    await server.close();
  }
}

const refused = async (attempt: Promise<unknown>, code: string, says: RegExp): Promise<void> => {
  await assert.rejects(attempt, (thrown) => {
    assert.ok(thrown instanceof TrommelError);
    assert.match(thrown.message, says);
    assert.doesNotMatch(thrown.message, /hf_secret/);
    assert.equal(thrown.code, code);
    return true;
  });
};

describe("backbone pull from a hub", () => {
  it("takes the model of the commit, with the repository's preprocessing, pooling and licence", async () => {
    const { spec, lines, storeUrl } = await pull(small);
    assert.equal(spec.name, "small_vit");
    assert.deepEqual([spec.inputSize, spec.dimension, spec.channelOrder], [16, 5, "rgb"]);
    assert.deepEqual(spec.normalization, {
      mean: [123.675, 116.28, 103.53],
      deviation: [58.395, 57.12, 57.375],
    });
    const { kind, url, output, pooling, licence, decode } = spec.source;
    assert.deepEqual([kind, output, pooling, licence], ["onnx", "last_hidden_state", "cls", "apache-2.0"]);
    assert.equal(url, `hf:some-org/Small_ViT@${commit}/onnx/model.onnx`);
    assert.deepEqual(decode, { fit: "crop", kernel: "cubic", crop: 16 / 18 });
    assert.ok(lines.some((line) => line.includes(`commit ${commit}, licence apache-2.0`)));

    // [N, H, W, C], as the golden's pixels [N, C, H, W] are numbered.
    const pixels = Float32Array.from({ length: 2 * 16 * 16 * 3 }, (_, at) => {
      const i = (Math.floor(at / 768) * 3 + (at % 3)) * 256 + (Math.floor(at / 3) % 256);
      return ((7919 * i) % 256) / 127.5 - 1;
    });
    const store = openStore(storeUrl);
    const actual = await runOnnx(await readBackboneModel(store, spec), pixels, 2, 16);
    store.close();
    const expected = (golden["vit"]?.embeddings["cls"] ?? []).flat();
    assert.equal(actual.length, expected.length);
    actual.forEach((value, i) => assert.ok(Math.abs(value - (expected[i] ?? NaN)) < 1e-4));
  });

  it("obeys flags, a revision, another file, and hubs that list no trees", async () => {
    const { spec } = await pull(
      { ...small, trees: false },
      { name: "mine", inputSize: 16, pooling: "cls+mean", file: "onnx/model.onnx" },
      `hf:${small.id}@${commit}`,
    );
    assert.deepEqual([spec.name, spec.source.pooling, spec.dimension], ["mine", "cls+mean", 10]);
    const missing = pull(small, { file: "onnx/model_q4.onnx" });
    await refused(
      missing,
      "not-found",
      /no file onnx\/model_q4\.onnx\. Its ONNX files are onnx\/model\.onnx, /,
    );
    await refused(
      pull(small, {}, `hf:${small.id}@v9`),
      "not-found",
      /hf:.*@v9: the hub has no repository .* no branch, tag or commit v9.*; HF_ENDPOINT is http:/,
    );
    await refused(pull(small, {}, "hf:only-a-name"), "invalid-argument", /hf:<organisation>\/<name>/);
  });

  it("sends the token to the hub alone, and says what to do without one", async () => {
    const gated = { ...small, token: "hf_secret" };
    const { server, lines, spec } = await pull(gated, { token: "hf_secret" });
    assert.ok(server.authorisations.hub.every((one) => one === "Bearer hf_secret"));
    assert.ok(server.authorisations.storage.length > 0);
    assert.ok(server.authorisations.storage.every((one) => one === undefined));
    assert.doesNotMatch(lines.join("\n") + JSON.stringify(spec), /hf_secret/);
    await refused(
      pull(gated, {}, `hf:${gated.id}@v9`),
      "forbidden",
      /cannot pull hf:.*@v9: the hub answers 401/,
    );
    await refused(pull(gated), "forbidden", /private or gated.*accept its conditions.*HF_TOKEN/);
    await refused(pull(gated, { token: "other" }), "forbidden", /401 to this HF_TOKEN/);
  });

  it("refuses bytes with another hash, pointed or not", async () => {
    await refused(
      pull({ ...small, sends: Buffer.from("<html></html>") }),
      "corrupt",
      /its sha256 is .* a web page/,
    );
    const plain = { ...small, pointers: [] };
    assert.equal((await pull(plain)).spec.dimension, 5);
  });

  it("reads external data by its own hash", async () => {
    const model = decodeModel(encoder("vit"));
    const parts: Uint8Array[] = [];
    const initializer = (model.graph?.initializer ?? []).map(({ rawData, ...tensor }): TensorProto => {
      const offset = parts.reduce((sum, part) => sum + part.byteLength, 0);
      parts.push(rawData ?? new Uint8Array());
      const entries = {
        location: "model.onnx_data",
        offset: String(offset),
        length: String(rawData?.byteLength ?? 0),
      };
      return {
        ...tensor,
        dataLocation: 1,
        externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
      };
    });
    const split = {
      ...small.files,
      "onnx/model.onnx": encodeModel({ ...model, graph: { ...model.graph, initializer } }),
      "onnx/model.onnx_data": Buffer.concat(parts),
    };
    const { spec } = await pull({ ...small, files: split, pointers: ["onnx/model.onnx_data"] });
    assert.equal(spec.modelSha256, (await pull(small)).spec.modelSha256);
    assert.deepEqual(
      spec.source.files?.map(({ path }) => path),
      ["model.onnx_data"],
    );
  });

  it("follows a mirror's list of files on the mirror, to its end", async () => {
    // Nobody listens at port 9, and the token of the mirror is not for another host.
    const mirrored = { ...small, token: "hf_secret", linkOrigin: "http://127.0.0.1:9" };
    const { server } = await pull(mirrored, { token: "hf_secret", file: "onnx/model.onnx" });
    assert.ok(server.authorisations.hub.length > 3);

    const many = Object.fromEntries(
      Array.from({ length: 200 }, (_, i) => [`notes/${i}.md`, Buffer.from("x")]),
    );
    await refused(
      pull({ ...small, files: { ...many, ...small.files } }),
      "too-large",
      /list of its files is incomplete after 100 pages \(200 files\)/,
    );
  });

  it("lets --size and --normalize take the place of a configuration that it cannot read", async () => {
    const normalization = { mean: [0, 0, 0], deviation: [255, 255, 255] } as PullOptions["normalization"];
    for (const config of [json({ ...processor, size: [3, 224, 224] }), Buffer.from("{ size: 224 }")]) {
      const odd = { ...small, files: { ...small.files, "preprocessor_config.json": config } };
      await refused(pull(odd), "corrupt", /preprocessor_config\.json.*Give --size and --normalize/);
      const { spec, lines } = await pull(odd, { inputSize: 16, normalization });
      assert.deepEqual([spec.dimension, spec.normalization], [5, normalization]);
      assert.ok(lines.some((line) => /preprocessor_config\.json.*take its place/.test(line)));
      // What did not arrive whole is no configuration of its authors.
      const cut = { ...odd, pointers: ["preprocessor_config.json"], sends: Buffer.from("{}") };
      await refused(pull(cut, { inputSize: 16, normalization }), "corrupt", /its sha256 is/);
    }
  });

  it("says what a repository lacks", async () => {
    const without = (...names: string[]) =>
      Object.fromEntries(Object.entries(small.files).filter(([path]) => !names.includes(path)));
    const none = { ...small, files: without("onnx/model.onnx", "onnx/model_quantized.onnx") };
    await refused(
      pull(none),
      "not-found",
      /no ONNX file\. Export it \(optimum-cli export onnx --model some-org\/Small_ViT/,
    );
    const bare = { ...small, files: without("preprocessor_config.json") };
    await refused(pull(bare), "invalid-argument", /no preprocessor_config\.json.*--size and --normalize/);
    const normalization = { mean: [0, 0, 0], deviation: [255, 255, 255] } as PullOptions["normalization"];
    assert.equal((await pull(bare, { inputSize: 16, normalization })).spec.dimension, 5);
  });
});
