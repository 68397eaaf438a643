/**
 * The demo's material: pictures of waste that are drawn, and the MobileNetV2 that the npm package nsfwjs ships, as files of a
 * Keras-layers model. Everything is in .trommel/demo. Drawing is skipped if the same pictures are there already.
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { nsfwjsModel } from "../support/models/nsfwjs-model.js";
import { wasteClasses, writeLabelledPictures, writeUnlabelledPictures } from "./draw-waste-pictures.js";

const pictures = { seed: 20, labelledPerClass: 64, unlabelled: 60 } as const;

export const repositoryRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");
export const demoFolder = path.join(repositoryRoot, ".trommel/demo");
export const labelledFolder = path.join(demoFolder, "labelled");
export const unlabelledFolder = path.join(demoFolder, "unlabelled");
const modelFolder = path.join(demoFolder, "nsfwjs-mobilenet-v2");
/** Written after the pictures: what was asked for, and the class of each picture to be scored. */
const drawnFile = path.join(demoFolder, "drawn.json");

const drawn = z.object({ asked: z.unknown(), truth: z.record(z.string(), z.string()) });
export type Truth = Readonly<Record<string, string>>;

/** @returns the class of each picture that is to be scored, by its file name */
export async function drawPictures(step: (words: string) => void): Promise<Truth> {
  const before = await readFile(drawnFile, "utf8").catch(() => undefined);
  if (before !== undefined) {
    const { asked, truth } = drawn.parse(JSON.parse(before));
    if (JSON.stringify(asked) === JSON.stringify(pictures)) return truth;
  }
  const count = wasteClasses.length * pictures.labelledPerClass;
  step(
    `drawing ${count} pictures of ${wasteClasses.length} classes, and ${pictures.unlabelled} more to score`,
  );
  await rm(demoFolder, { recursive: true, force: true });
  await writeLabelledPictures(labelledFolder, pictures.labelledPerClass, pictures.seed);
  const truth = await writeUnlabelledPictures(unlabelledFolder, pictures.unlabelled, pictures.seed);
  await writeFile(drawnFile, JSON.stringify({ asked: pictures, truth: Object.fromEntries(truth) }));
  return Object.fromEntries(truth);
}

/** Unpacks nsfwjs's MobileNetV2 into the files that a Keras-layers model has. @returns the path of its model.json */
export async function unpackModel(): Promise<string> {
  const { modelJson, paths, readFile: readWeights } = nsfwjsModel("mobilenet_v2");
  await mkdir(modelFolder, { recursive: true });
  for (const file of paths) await writeFile(path.join(modelFolder, file), await readWeights(file));
  await writeFile(path.join(modelFolder, "model.json"), modelJson);
  return path.join(modelFolder, "model.json");
}
