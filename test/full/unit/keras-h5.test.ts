import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { SeededRandom, TrommelError, seedFrom } from "@trommel/common";
import { encodeSafetensors } from "#common/codec/safetensors";
import { toFloat16 } from "#common/codec/float16";
import { openKerasH5 } from "#gpu-worker/backbone/weights/keras-h5";
import { readZooWeights } from "#gpu-worker/backbone/weights/zoo-weights";
import { tinyArchitecture, tinyValues, tinyWeights } from "../../support/models/tiny-architecture.js";

/** Files that h5py wrote: see test/golden/h5/write-keras-h5.py. */
const golden = (name: string) => readFile(new URL(`../../../golden/h5/${name}.h5`, import.meta.url));

const corrupt = (pattern: RegExp) => (thrown: unknown) => {
  assert.ok(thrown instanceof TrommelError);
  assert.equal(thrown.code, "corrupt", thrown.message);
  assert.match(thrown.message, pattern);
  return true;
};

async function readTiny(name: string, wanted = tinyArchitecture): Promise<{ lines: string[] }> {
  const lines: string[] = [];
  const values = await readZooWeights(wanted, await golden(name), `${name}.h5`, (line) => lines.push(line));
  assert.deepEqual(values, tinyValues);
  return { lines };
}

describe("Keras HDF5 files that h5py wrote", () => {
  it("reads save_weights of Keras 2, whose numbered layers stand in another order", async () => {
    const { lines } = await readTiny("keras2-weights");
    assert.deepEqual(lines, ["matched 13 weights by their layers' names"]);
  });

  it("reads a whole model with a model within, float16 and float64, and leaves its classifier out", async () => {
    const { lines } = await readTiny("whole-model");
    assert.match(lines[0] ?? "", /classifier at the file's end: predictions/);
  });

  it("reads attributes in chunks and the names of Keras 1", async () => {
    await readTiny("chunked-attributes");
  });

  it("matches by order where no given name is there, and only then", async () => {
    const renamed = tinyWeights.map((weight) => ({ ...weight, layer: `other_${weight.layer}` }));
    const { lines } = await readTiny("chunked-attributes", { architecture: "tiny", weights: renamed });
    assert.match(lines[0] ?? "", /by order/);
    const half = renamed.map((weight, index) => (index === 0 ? { ...weight, layer: "conv1" } : weight));
    await assert.rejects(
      readTiny("chunked-attributes", { architecture: "tiny", weights: half }),
      corrupt(/by name/),
    );
  });

  it("checks ImageNet's preprocessing layer and leaves it out, and says so", async () => {
    const { lines } = await readTiny("normalization");
    assert.match(lines[0] ?? "", /normalization contains ImageNet's mean and deviation/);
    const bytes = await golden("normalization");
    const mean = Buffer.from(Float32Array.of(0.485, 0.456, 0.406).buffer);
    const at = bytes.indexOf(mean);
    assert.ok(at > 0);
    bytes.writeFloatLE(0.5, at);
    await assert.rejects(readZooWeights(tinyArchitecture, bytes, "own.h5"), corrupt(/own\.h5.*0\.5000/));
  });

  it("refuses links to other files, huge and virtual datasets, and values that are not finite", async () => {
    await assert.rejects(readTiny("external-link"), corrupt(/external-link\.h5/));
    await assert.rejects(readTiny("huge"), corrupt(/dw\/depthwise_kernel:0 \[1048576, 1048576, 1024\]/));
    await assert.rejects(readTiny("virtual"), corrupt(/composed of others/));
    const bytes = await golden("keras2-weights");
    const kernel = Buffer.from(tinyValues[0]?.buffer ?? new ArrayBuffer(0));
    bytes.writeFloatLE(NaN, bytes.indexOf(kernel));
    await assert.rejects(
      readZooWeights(tinyArchitecture, bytes, "nan.h5"),
      corrupt(/nan\.h5.*conv1.*finite/),
    );
  });
});

describe("Keras HDF5 files that are damaged", () => {
  it("does not wait for a reader that does not come to an end", async () => {
    const bytes = await golden("keras2-weights");
    await assert.rejects(openKerasH5(bytes, "slow.h5", { timeoutMs: 1 }), corrupt(/slow\.h5.*in 1 ms/));
  });

  it("fails as corrupt, or reads the values, wherever bytes are cut off or changed", async () => {
    const whole = await golden("keras2-weights");
    const random = new SeededRandom(seedFrom("damaged h5"));
    const at = (): number => random.bits() % whole.byteLength;
    const cut = Array.from({ length: 6 }, () => whole.subarray(0, at()));
    const changed = Array.from({ length: 20 }, () => {
      const bytes = Buffer.from(whole);
      for (let flips = 0; flips < 8; flips++) bytes[at()] = random.bits() & 0xff;
      return bytes;
    });
    const results = await inPairs([whole.subarray(0, 100), ...cut, ...changed], outcome);
    const failed = results.filter((result) => result !== "read");
    assert.ok(failed.length > 7, `${failed.length} of ${results.length} failed`);
    assert.deepEqual(
      failed.filter((result) => result !== "corrupt" && result !== "unsupported"),
      [],
    );
  });
});

async function outcome(bytes: Uint8Array): Promise<string> {
  // The signature is what makes it an HDF5 file at all.
  const file = Buffer.concat([Buffer.from("\x89HDF\r\n\x1a\n", "latin1"), bytes.subarray(8)]);
  try {
    await readZooWeights(tinyArchitecture, file, "damaged.h5");
    return "read";
  } catch (thrown) {
    if (!(thrown instanceof TrommelError)) return String(thrown);
    return thrown.message.includes("damaged.h5") ? thrown.code : thrown.message;
  }
}

async function inPairs<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let index = 0; index < items.length; index += 2) {
    results.push(...(await Promise.all(items.slice(index, index + 2).map(work))));
  }
  return results;
}

describe("safetensors by Keras's names", () => {
  const tensors = (nameOf: (layer: string, name: string) => string, half = false) =>
    Object.fromEntries(
      tinyWeights.map(({ layer, name, shape }, index) => {
        const data = tinyValues[index] ?? new Float32Array();
        const tensor = half
          ? ({ dtype: "F16", shape, data: toFloat16(data) } as const)
          : ({ dtype: "F32", shape, data } as const);
        return [nameOf(layer, name), tensor];
      }),
    );

  it("reads layer/name, with a scope and with :0, in F32 and F16", async () => {
    const names = [
      (layer: string, name: string) => `${layer}/${name}`,
      (layer: string, name: string) => `${layer}/${name}:0`,
      (layer: string, name: string) => `${layer}/${layer}/${name}:0`,
    ];
    for (const nameOf of names) {
      for (const half of [false, true]) {
        const bytes = encodeSafetensors({ tensors: tensors(nameOf, half) });
        assert.deepEqual(await readZooWeights(tinyArchitecture, bytes, "tiny"), tinyValues);
      }
    }
  });

  it("never matches by order, for the format keeps none", async () => {
    const bytes = encodeSafetensors({ tensors: tensors((layer, name) => `other_${layer}/${name}`) });
    await assert.rejects(
      readZooWeights(tinyArchitecture, bytes, "tiny"),
      corrupt(/conv1\/kernel \[3, 3, 3, 4\]/),
    );
  });

  it("lists what did not match on both sides, with shapes, and how much more there is", async () => {
    const all = tensors((layer, name) => `${layer}/${name}`);
    const { "dw/depthwise_kernel": _, ...rest } = all;
    const extra = {
      ...rest,
      "se/kernel": { dtype: "F32", shape: [2, 2], data: new Float32Array(4) } as const,
    };
    const wider = { ...extra, "se/gamma": { dtype: "F32", shape: [2], data: new Float32Array(2) } as const };
    await assert.rejects(
      readZooWeights(tinyArchitecture, encodeSafetensors({ tensors: wider }), "tiny"),
      corrupt(/1 of .* 13 weights.*dw\/depthwise_kernel \[3, 3, 4, 1\].*2 of .* 14.*se\/kernel \[2, 2\]/),
    );
    const none = encodeSafetensors({
      tensors: { "a/kernel": { dtype: "F32", shape: [1], data: Float32Array.of(1) } },
    });
    await assert.rejects(readZooWeights(tinyArchitecture, none, "tiny"), corrupt(/and 3 more/));
  });
});
