import { readFile } from "node:fs/promises";
import path from "node:path";
import { bundleFiles, bundleManifest, type Device, type Recipe } from "@trommel/common";
import { createEngine } from "#gpu-worker/backbone/engines/create-engine";
import type { Engine, ViewBatch } from "#gpu-worker/backbone/engines/engine";
import { decodeImage, type ResolvedDecodeRecipe } from "#gpu-worker/image/decode/decode-image";
import { drawViews } from "#gpu-worker/image/views/view";
import { labelledFiles } from "../material/material.js";
import { readExtraction, type ExtractionWork, type ModelWork } from "./model-work.js";

interface Opened {
  readonly viewCount: number;
  readonly decode: ResolvedDecodeRecipe;
  /** Null where the model takes pixels alone. */
  readonly recipe: Recipe | null;
  readonly compute: (batch: ViewBatch) => Promise<unknown>;
  readonly release: () => Promise<void>;
}

/** A model in the worker's own session on one device, with every picture decoded and in memory before the clock starts. */
export class ModelAlone {
  readonly viewCount: number;
  readonly #opened: Opened;
  readonly #pictures: readonly Uint8Array[];

  private constructor(opened: Opened, pictures: readonly Uint8Array[]) {
    this.viewCount = opened.viewCount;
    this.#opened = opened;
    this.#pictures = pictures;
  }

  static async open(options: {
    readonly model: ModelWork;
    readonly device: Device;
    readonly threads: number;
    /** Folder of class folders. */
    readonly pictures: string;
  }): Promise<ModelAlone> {
    const { model, device, threads, pictures } = options;
    const engine = await createEngine({ engine: "onnx", device, threads });
    const opened =
      model.kind === "bundle" ? await openBundle(engine, model.folder) : await openExtraction(engine, model);
    const decoded: Uint8Array[] = [];
    for (const file of await labelledFiles(pictures)) {
      const picture = await decodeImage(await readFile(path.join(pictures, file)), opened.decode);
      if (!picture.ok) throw new Error(`${file} cannot be decoded: ${picture.reason}`);
      decoded.push(picture.pixels);
    }
    return new ModelAlone(opened, decoded);
  }

  /** At least `images` pictures, whole batches of `perBatch`; upload and download count. The first batch allocates and does not. */
  async imagesPerSecond(perBatch: number, images: number): Promise<number> {
    const batch = this.#batch(perBatch);
    await this.#opened.compute(batch);
    const batches = Math.ceil(images / perBatch);
    const start = performance.now();
    for (let done = 0; done < batches; done += 1) await this.#opened.compute(batch);
    return (1000 * batches * perBatch) / (performance.now() - start);
  }

  async release(): Promise<void> {
    await this.#opened.release();
  }

  #batch(imageCount: number): ViewBatch {
    const { recipe } = this.#opened;
    const pictures = Array.from(
      { length: imageCount },
      (_, i) => this.#pictures[i % this.#pictures.length] ?? new Uint8Array(0),
    );
    const drawn = pictures.flatMap((_, i) =>
      recipe === null ? [] : [drawViews(recipe.views, recipe.seed, `picture ${i}`)],
    );
    return {
      imageCount,
      pixels: Buffer.concat(pictures),
      affine: Float32Array.from(drawn.flatMap(({ affine }) => [...affine])),
      colour: Float32Array.from(drawn.flatMap(({ colour }) => [...colour])),
    };
  }
}

async function openBundle(engine: Engine, folder: string): Promise<Opened> {
  const file = async (name: string): Promise<Buffer> => await readFile(path.join(folder, name));
  const { input, labels } = bundleManifest.parse(JSON.parse(String(await file(bundleFiles.manifest))));
  const classifier = await engine.createClassifier({
    side: input.side,
    classCount: labels.length,
    model: await file(bundleFiles.model),
    parts: null,
  });
  return {
    viewCount: 1,
    decode: { ...input.decode, side: input.side },
    recipe: null,
    compute: ({ pixels, imageCount }) => classifier.classify(pixels, imageCount),
    release: () => classifier.release(),
  };
}

async function openExtraction(engine: Engine, work: ExtractionWork): Promise<Opened> {
  const { recipe, decode, extractor: parts } = await readExtraction(work);
  const extractor = await engine.createExtractor(parts);
  return {
    viewCount: parts.viewCount,
    decode,
    recipe,
    compute: (batch) => extractor.extract(batch),
    release: () => extractor.release(),
  };
}
