import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import {
  TrommelError,
  backboneId,
  backboneSpec,
  namedNormalizations,
  openStore,
  readBackboneModel,
  sha256Hex,
  type BackboneSpec,
} from "@trommel/common";
import { encodeSafetensors } from "#common/codec/safetensors";
import { openBackboneSource } from "#gpu-worker/backbone/download/backbone-source";
import { importBackbone } from "#gpu-worker/backbone/import/import-backbone";
import { randomBackbone } from "#gpu-worker/backbone/import/random-backbone";
import { zooNetwork } from "#gpu-worker/backbone/zoo/architectures";
import { randomWeights } from "#gpu-worker/backbone/zoo/random-weights";
import { onlyJsonObject, trommel } from "../../support/process/cli.js";
import { sendRange, serveFiles } from "../../support/servers/file-server.js";
import { writeKerasH5 } from "../../support/models/keras-h5-writer.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";

const folder = await temporaryFolder("zoo-weights");
const at = (name: string) => join(folder, name);
const architecture = "mobilenet-v1-0.25";
const inputSize = 64;
const seed = 7;

const failed = (code: string, pattern: RegExp) => (thrown: unknown) => {
  assert.ok(thrown instanceof TrommelError);
  assert.equal(thrown.code, code, thrown.message);
  assert.match(thrown.message, pattern);
  return true;
};

function importFile(
  path: string,
  options: { architecture?: string; pooling?: "max" } = {},
): Promise<BackboneSpec> {
  const store = openStore(at(`store-${Object.keys(options).join("-")}`));
  const source = openBackboneSource(path);
  return importBackbone({ source, name: "net", inputSize, store, ...options }).finally(() => store.close());
}

before(async () => {
  const network = zooNetwork(architecture, { inputSize, pooling: "average" });
  const weights = randomWeights(network, seed);
  const h5 = await writeKerasH5(network.weights, weights);
  await writeFile(at("weights.h5"), h5);
  await writeFile(at("truncated.h5"), h5.subarray(0, h5.length >> 1));
  const tensors = network.weights.map(({ layer, name, shape }, index) => {
    const data = weights[index] ?? new Float32Array();
    return [`${layer}/${name}`, { dtype: "F32", shape, data }] as const;
  });
  await writeFile(at("weights.safetensors"), encodeSafetensors({ tensors: Object.fromEntries(tensors) }));
});

describe("Keras weights into an architecture of the zoo", () => {
  it("give the very backbone that the same numbers give without a file", async () => {
    const store = openStore(at("random"));
    const random = await randomBackbone({ architecture, name: "net", inputSize, seed, store });
    assert.equal(random.source.kind, "random");
    for (const kind of ["h5", "safetensors"] as const) {
      const spec = await importFile(at(`weights.${kind}`), { architecture });
      assert.equal(spec.hash, random.hash);
      assert.equal(spec.modelSha256, random.modelSha256);
      assert.deepEqual(spec.normalization, namedNormalizations.tf);
      assert.equal(spec.parameterCount, 218_544);
      assert.equal(spec.dimension, 256);
      assert.equal(spec.source.architecture, architecture);
      assert.ok(spec.parity !== null && spec.parity.maxRelativeDifference < 1e-4);
    }
    const other = await randomBackbone({ architecture, name: "net", inputSize, seed: seed + 1, store });
    assert.notEqual(other.hash, random.hash);
    assert.equal(sha256Hex(await readBackboneModel(store, random)), random.modelSha256);
    const { architecture: _, ...source } = random.source;
    // A spec of before there was a zoo.
    assert.ok(backboneSpec.safeParse({ ...random, source: { ...source, kind: "layers" } }).success);
    store.close();
  });

  it("pools as it is asked to", async () => {
    const spec = await importFile(at("weights.h5"), { architecture, pooling: "max" });
    assert.equal(spec.source.pooling, "max");
    assert.notEqual(spec.hash, (await importFile(at("weights.h5"), { architecture })).hash);
  });

  it("are refused where they do not fit, with what does not", async () => {
    await assert.rejects(
      importFile(at("weights.h5"), { architecture: "mobilenet-v1-0.5" }),
      failed(
        "corrupt",
        /mobilenet-v1-0\.5.*conv1\/kernel \[3, 3, 3, 16\].*conv1\/conv1\/kernel:0 \[3, 3, 3, 8\].* more/,
      ),
    );
    await assert.rejects(
      importFile(at("weights.safetensors"), { architecture: "resnet50" }),
      failed("corrupt", /resnet50/),
    );
    await assert.rejects(
      importFile(at("truncated.h5"), { architecture }),
      failed("corrupt", /truncated\.h5/),
    );
    await assert.rejects(importFile(at("weights.h5")), failed("invalid-argument", /--arch.*efficientnet-b0/));
    await assert.rejects(
      importFile(at("weights.h5"), { architecture: "resnet5" }),
      failed("invalid-argument", /resnet5.*resnet50/),
    );
    await writeFile(at("model.json"), '{ "modelTopology": {}, "weightsManifest": [] }');
    await assert.rejects(
      importFile(at("model.json"), { architecture }),
      failed("invalid-argument", /layers model.*without/s),
    );
  });
});

describe("trommel backbone pull", () => {
  it("downloads by way of a catalogue of one's own, and takes the second time from the cache", async () => {
    const weights = await readFile(at("weights.h5"));
    const server = await serveFiles((request, response) => sendRange(request, response, weights));
    const entry = (name: string, sha256: string) =>
      [
        `- name: ${name}`,
        `  url: ${server.url}/weights.h5`,
        `  sha256: "${sha256}"`,
        "  licence: MIT",
        `  architecture: ${architecture}`,
        `  inputSize: ${inputSize}`,
        "  normalization: torch",
        "  channelOrder: rgb\n",
      ].join("\n");
    const expected = sha256Hex(weights);
    await writeFile(at("own.yaml"), entry("mine", expected) + entry("other", "0".repeat(64)));
    const run = (...args: string[]) =>
      trommel(["backbone", ...args, "--catalogue", at("own.yaml"), "--json"], {
        env: { TROMMEL_CACHE: at("cache"), TROMMEL_STORE: at("pulled") },
      });
    try {
      const first = await run("pull", "mine", "--normalize", "tf");
      assert.equal(first.code, 0, first.stderr);
      const { id, spec } = onlyJsonObject(first.stdout) as { id: string; spec: BackboneSpec };
      assert.equal(id, backboneId(spec));
      assert.equal(spec.name, "mine");
      assert.deepEqual(spec.normalization, namedNormalizations.tf);
      assert.equal(spec.source.sha256, expected);
      assert.match(first.stderr, /weights\.h5: .* MiB/);
      const second = await run("pull", "mine", "--name", "again");
      const again = onlyJsonObject(second.stdout) as { spec: BackboneSpec };
      assert.deepEqual(again.spec.normalization, namedNormalizations.torch);
      assert.equal(server.asked.length, 1);
      const wrong = await run("pull", "other");
      assert.equal(wrong.code, 1);
      assert.match(wrong.stderr, new RegExp(`${expected}.*${"0".repeat(64)}`));
      const unknown = await run("pull", "another");
      assert.match(unknown.stderr, /"another".*mine, other/);
      const listed = onlyJsonObject((await run("catalogue")).stdout) as { weights: { name: string }[] };
      assert.deepEqual(
        listed.weights.map(({ name }) => name),
        ["mine", "other"],
      );
    } finally {
      await server.close();
    }
  });

  it("refuses a catalogue that is wrong, naming the file and the fault", async () => {
    await writeFile(at("bad.yaml"), "- name: mine\n  url: ftp://example.org/w.h5\n");
    const result = await trommel([
      "backbone",
      "pull",
      "mine",
      "--catalogue",
      at("bad.yaml"),
      "--store",
      at("s"),
    ]);
    assert.equal(result.code, 2);
    assert.match(result.stderr, /bad\.yaml.*0\.url.*0\.sha256/);
  });
});
