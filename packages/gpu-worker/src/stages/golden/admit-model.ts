import {
  bundleFiles,
  openStore,
  sha256Hex,
  TrommelError,
  type BundleManifest,
  type ScoringConfig,
} from "@trommel/common";
import { memberName } from "@trommel/common/redis";
import { readBounds } from "@trommel/common/store";
import type { DeviceStageContext, StageDevice } from "../context.js";
import { decodeGolden, differenceFrom } from "./golden-images.js";

/** Models that a device was admitted with, or refused, in this process. */
const admissions = new WeakMap<StageDevice, Map<string, Promise<void>>>();

type AdmissionContext = Pick<DeviceStageContext, "device" | "engine" | "log" | "order">;

/**
 * Runs a bundle's golden pictures through the loaded model before it scores anything, once for each model and process.
 * @throws TrommelError `parity-failed` if this worker gives other probabilities than the bundle says: nothing is scored then
 */
export function admitModel(
  modelKey: string,
  config: Pick<ScoringConfig, "bundle">,
  manifest: BundleManifest,
  context: AdmissionContext,
): Promise<void> {
  const known = admissions.get(context.device) ?? new Map<string, Promise<void>>();
  admissions.set(context.device, known);
  let admission = known.get(modelKey);
  if (admission === undefined) {
    admission = compare(modelKey, config, manifest, context);
    known.set(modelKey, admission);
    // What was not compared, such as for a store that did not answer, is compared by the next job.
    admission.catch((thrown: unknown) => {
      if (!(thrown instanceof TrommelError) || thrown.code !== "parity-failed") known.delete(modelKey);
    });
  }
  return admission;
}

async function compare(
  modelKey: string,
  { bundle: { location } }: Pick<ScoringConfig, "bundle">,
  manifest: BundleManifest,
  { device, engine, log, order }: AdmissionContext,
): Promise<void> {
  const { golden, labels, input, hashes } = manifest;
  const where = `${location}/${bundleFiles.golden}`;
  if (golden === null) {
    log.info(`${location} has no golden pictures: its model is admitted without a comparison`);
    return;
  }
  const bytes = await readGolden(location);
  if (sha256Hex(bytes) !== hashes[bundleFiles.golden])
    throw new TrommelError(
      "corrupt",
      `cannot use ${where}: its sha256 is not the one that bundle.json names. Copy the bundle again`,
    );
  const { images, tolerance } = golden;
  const expected = decodeGolden(bytes, { images, side: input.side, classes: labels.length, where });
  const found = await device.classify(modelKey, expected.pixels.slice(), images, order);
  const { ofProbability, ofNovelty } = differenceFrom(expected, found);
  const { description } = await device.report();
  if (Math.max(ofProbability, ofNovelty) <= tolerance) {
    log.info({ ofProbability, ofNovelty, tolerance }, `${location} gives what it gave when it was made`);
    return;
  }
  const worker = memberName();
  throw new TrommelError(
    "parity-failed",
    `cannot score with ${location} on the worker ${worker}: for the pictures that came with it a probability differs by ${ofProbability.toPrecision(3)} and a novelty by ${ofNovelty.toPrecision(3)}, and ${tolerance} is allowed (${engine}: ${description}). Stop that worker or give it the device and runtime of the others, then resume`,
    { context: { worker, engine, runtime: description, ofProbability, ofNovelty, tolerance } },
  );
}

async function readGolden(location: string): Promise<Uint8Array> {
  const bundle = openStore(location);
  try {
    return await bundle.get(bundleFiles.golden, readBounds.network);
  } finally {
    bundle.close();
  }
}
