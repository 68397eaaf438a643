import { readFile, stat } from "node:fs/promises";
import {
  bundleFiles,
  bundleManifest,
  chooseTopK,
  openStore,
  parseJsonAs,
  sha256Hex,
  TrommelError,
  type BundleManifest,
  type ObjectStore,
  type PredictedRow,
  type PredictOptions,
} from "@trommel/common";
import { readBounds } from "@trommel/common/store/read-bounds";
import { createEngine } from "../backbone/engines/create-engine.js";
import { decodeImage } from "../image/decode/decode-image.js";
import { scoreRowOf } from "../stages/scoring/score-rows.js";

/** `trommel predict`: a few files through a bundle's model.onnx, as a score job would, without a queue. */
export async function predictFiles(options: PredictOptions): Promise<PredictedRow[]> {
  const bundle = openStore(options.bundle);
  try {
    const manifest = parseJsonAs(
      bundleManifest,
      await bundle.get(bundleFiles.manifest, readBounds.document),
      `${options.bundle}/bundle.json`,
    );
    const topK = chooseTopK(options.topK, manifest.labels.length);
    const engine = await createEngine({ engine: "onnx", device: options.device, threads: options.threads });
    const classifier = await engine.createClassifier({
      side: manifest.input.side,
      classCount: manifest.labels.length,
      model: await readModel(bundle, manifest),
      parts: null,
    });
    try {
      const rows: PredictedRow[] = [];
      for (const file of options.files) {
        rows.push(await predictFile(file, manifest, topK, (pixels) => classifier.classify(pixels, 1)));
      }
      return rows;
    } finally {
      await classifier.release();
    }
  } finally {
    bundle.close();
  }
}

async function predictFile(
  file: string,
  manifest: BundleManifest,
  topK: number,
  classify: (pixels: Uint8Array) => Promise<Float32Array>,
): Promise<PredictedRow> {
  let bytes: Uint8Array;
  try {
    // Looked at before it is opened: opening a pipe would wait for a writer.
    if (!(await stat(file)).isFile()) {
      return { key: file, error: { reason: "not-an-image", detail: "it is not a file" } };
    }
    bytes = await readFile(file);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const reason = code === "ENOENT" ? "not-found" : code === "EACCES" ? "forbidden" : "decode-failed";
    return { key: file, error: { reason, detail: code ?? "it cannot be read" } };
  }
  const decoded = await decodeImage(bytes, { ...manifest.input.decode, side: manifest.input.side });
  if (!decoded.ok) return { key: file, error: { reason: decoded.reason, detail: decoded.detail } };
  return scoreRowOf(file, await classify(decoded.pixels), manifest.labels, topK);
}

async function readModel(bundle: ObjectStore, manifest: BundleManifest): Promise<Uint8Array> {
  const model = await bundle.get(bundleFiles.model, readBounds.network);
  const found = sha256Hex(model);
  if (found === manifest.hashes[bundleFiles.model]) return model;
  throw new TrommelError(
    "corrupt",
    `failed to load ${bundle.url}/model.onnx: its sha256 is ${found}, which is not bundle.json's. Copy the bundle again`,
  );
}
