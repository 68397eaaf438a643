import assert from "node:assert/strict";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type BundleManifest, bundleFiles, bundleManifest } from "@trommel/common";
import { scoreRow } from "#common/artefacts/results/bundle";
import { decodeImage } from "#gpu-worker/image/decode/decode-image";
import { loadClassifier } from "#gpu-worker/serving/bundle-classifier";
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { jsonInProcess, trommelJson } from "../../../support/process/cli.js";

/** A bundle that was trained when enlarged pictures were half a pixel off: see test/stores/2026-11-28/README.md. */
const kept = fileURLToPath(
  new URL("../../../../stores/2026-11-28/bucket/store/runs/first/bundle/", import.meta.url),
);
const root = await temporaryFolder("old-bundle-pixels");
const bundle = join(root, "bundle");
const pictures = join(root, "pictures");

describe("a bundle of the first decode version, on an enlarged picture", () => {
  let picture: Buffer;
  let manifest: BundleManifest;
  let expected: readonly number[];

  before(async () => {
    picture = await smallPicture();
    await cp(kept, bundle, { recursive: true });
    await mkdir(pictures);
    await writeFile(join(pictures, "edge.png"), picture);
    manifest = bundleManifest.parse(JSON.parse(await readFile(join(bundle, bundleFiles.manifest), "utf8")));
    const model = await readFile(join(bundle, bundleFiles.model));
    expected = await probabilitiesOf(model, picture, { ...manifest.input, decodeVersion: 1 });
    const now = await probabilitiesOf(model, picture, { ...manifest.input, decodeVersion: 2 });
    // Otherwise the test could not tell the two rules apart.
    assert.ok(expected.some((value, i) => Math.abs(value - (now[i] as number)) > 1e-4));
  });

  const check = (top: readonly { readonly label: string; readonly probability: number }[] | undefined) => {
    assert.equal(top?.length, manifest.labels.length);
    for (const { label, probability } of top ?? []) {
      const was = expected[manifest.labels.indexOf(label)] ?? NaN;
      assert.ok(Math.abs(probability - was) <= 1e-6, `${label}: ${probability}, and ${was} by hand`);
    }
  };

  it("classifies it by the first rule through the API", async () => {
    const classifier = await loadClassifier(bundle);
    check((await classifier.classifyOne(picture)).top);
    await classifier.close();
  });

  it("predicts it by the first rule", async () => {
    const args = ["predict", "--model", bundle, join(pictures, "edge.png")];
    const { rows } = (await jsonInProcess(args)) as {
      readonly rows: readonly { readonly top?: Parameters<typeof check>[0] }[];
    };
    check(rows[0]?.top);
  });

  it("scores it by the first rule, and says so", async () => {
    const output = join(root, "scores");
    const args = ["score", pictures, "--model", bundle, "--output", output, "--workers", "1"];
    await trommelJson(args, { env: { TROMMEL_STORE: join(root, "store") } });
    const success: unknown = JSON.parse(await readFile(join(output, "_SUCCESS.json"), "utf8"));
    assert.equal((success as { readonly decodeVersion?: number }).decodeVersion, 1);
    const [row = ""] = (await readFile(join(output, "part-00000.jsonl"), "utf8")).split("\n");
    check(scoreRow.parse(JSON.parse(row)).top);
  });
});

/** Smaller than the bundle's input, with an edge that tells half a pixel. */
function smallPicture(): Promise<Buffer> {
  const [width, height] = [9, 7];
  const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) =>
    Math.floor(i / 3) % width < 4 ? 20 + 60 * (i % 3) : 230 - 50 * (i % 3),
  );
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

async function probabilitiesOf(
  model: Uint8Array,
  picture: Uint8Array,
  { side, decode, decodeVersion }: BundleManifest["input"],
): Promise<number[]> {
  const decoded = await decodeImage(picture, { ...decode, side, decodeVersion });
  assert.ok(decoded.ok);
  const session = await InferenceSession.create(model);
  const pixels = new Tensor("uint8", decoded.pixels, [1, side, side, 3]);
  const { probabilities } = await session.run({ pixels });
  return [...(probabilities?.data as Float32Array)];
}
