import { readFile, stat } from "node:fs/promises";
import type { PredictedRow, PredictOptions } from "@trommel/common";
import { loadClassifier, type BundleClassifier, type ClassifyOptions } from "../serving/bundle-classifier.js";

/** `trommel predict`: a few files through a bundle's model.onnx, as a score job would, without a queue. */
export async function predictFiles(options: PredictOptions): Promise<PredictedRow[]> {
  const { bundle, files, topK, unknownAbove, minProbability, device, threads } = options;
  const asked = { topK, unknownAbove, minProbability };
  const classifier = await loadClassifier(bundle, { device, threads });
  try {
    const rows: PredictedRow[] = [];
    for (const file of files) rows.push(await predictFile(file, classifier, asked));
    return rows;
  } finally {
    await classifier.close();
  }
}

function detailOf(code: string | undefined): string {
  if (code === "ENOENT") return "there is no such file";
  if (code === "EACCES") return "no permission to read it";
  return code === undefined ? "it cannot be read" : `it cannot be read: ${code}`;
}

async function predictFile(
  file: string,
  classifier: BundleClassifier,
  asked: ClassifyOptions,
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
    return { key: file, error: { reason, detail: detailOf(code) } };
  }
  const answer = await classifier.classifyOne(bytes, asked);
  if (answer.error !== undefined)
    return { key: file, error: { reason: answer.error.reason, detail: answer.error.message } };
  return { key: file, ...answer, top: [...answer.top] };
}
