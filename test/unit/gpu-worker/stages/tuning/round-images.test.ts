import assert from "node:assert/strict";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { openStore, recipe, type ShardEntry } from "@trommel/common";
import { tuningRounds } from "@trommel/common/artefacts";
import sharp from "sharp";
import { KeptImages } from "#gpu-worker/image/read/kept-images";
import type { DeviceStageContext } from "#gpu-worker/stages/context";
import { SourceStores } from "#gpu-worker/stages/images/source-stores";
import { eachBatch } from "#gpu-worker/stages/tuning/round-images";
import type { TuningImages } from "#gpu-worker/stages/tuning/tuning-images";
import type { TuningRun } from "#gpu-worker/stages/tuning/tuning-run";
import type { TuningBatch } from "#gpu-worker/tuning/engine/tuner";
import { epochOrder } from "#gpu-worker/tuning/rounds/epoch-order";
import { temporaryFolder } from "../../../../support/files/temp-folder.js";

const folder = await temporaryFolder("round-images");
const side = 16;
const images = 11;
const entries: ShardEntry[] = [];

/** Image i is grey of the brightness 20 · i, and of the class i mod 2. */
const brightnessOf = (image: number): number => 20 * image;

before(async () => {
  await mkdir(folder, { recursive: true });
  for (let image = 0; image < images; image += 1) {
    const background = { r: brightnessOf(image), g: brightnessOf(image), b: brightnessOf(image) };
    const bytes = await sharp({ create: { width: side, height: side, channels: 3, background } })
      .png()
      .toBuffer();
    await writeFile(join(folder, `${String(image).padStart(2, "0")}.png`), bytes);
  }
  for await (const info of openStore(folder).list("")) entries.push(info);
});

function tuningRun(from: { readonly epochs: number } | null = null): TuningRun {
  const parsed = recipe.parse({
    backbones: ["net"],
    tune: { batchSize: 2, replicas: 2, localSteps: 2 },
    seed: 3,
  });
  const { tune } = parsed;
  if (tune === null) throw new Error("the recipe tunes nothing");
  return {
    config: { id: "run" },
    untuned: { id: "run-untuned", recipe: parsed, dataset: `file://${folder}`, side },
    rounds: tuningRounds(tune, images, { parameterCount: 1, inputSize: side }),
    ...{ tune, spec: { dimension: 4 }, classNames: ["even", "odd"], plan: { from } },
  } as unknown as TuningRun;
}

const tuned = (): TuningImages => ({
  entries,
  labels: Int32Array.from(entries, (_, image) => image % 2),
});

function context(keptImages = new KeptImages(0)): DeviceStageContext {
  return {
    device: { sessionCount: 2 },
    sources: new SourceStores(),
    keptImages,
    signal: new AbortController().signal,
    onImages: () => undefined,
  } as unknown as DeviceStageContext;
}

const part = { epoch: 2, firstStep: 0, steps: 2, endsEpoch: true, replica: 1 };

describe("the batches of a round", () => {
  it("are the replica's, in the order of the epoch, one at a time", async () => {
    const seen: { step: number; brightness: number[]; right: number[] }[] = [];
    let busy = false;
    await eachBatch(tuningRun(), tuned(), part, context(), async ({ pixels, targets }, step) => {
      assert.ok(!busy);
      busy = true;
      await new Promise((resolve) => setImmediate(resolve));
      const brightness = [pixels[0] ?? -1, pixels[side * side * 3] ?? -1];
      seen.push({ step, brightness, right: [0, 1].map((row) => (targets[2 * row + 1]! > 0.5 ? 1 : 0)) });
      busy = false;
    });
    const order = [...epochOrder(images, 3, 2)];
    // With two replicas the second one has the second and fourth batch.
    const expected = [order.slice(2, 4), order.slice(6, 8)];
    assert.deepEqual(
      seen,
      expected.map((batch, step) => ({
        step,
        brightness: batch.map(brightnessOf),
        right: batch.map((image) => image % 2),
      })),
    );
  });

  it("are the same where an earlier epoch has left the images with the worker, which are not read again", async () => {
    const kept = context(new KeptImages(images * side * side * 3));
    const pixelsOf = async (of: DeviceStageContext): Promise<Uint8Array[]> => {
      const seen: Uint8Array[] = [];
      await eachBatch(tuningRun(), tuned(), part, of, ({ pixels }) => {
        seen.push(pixels.slice());
        return Promise.resolve();
      });
      return seen;
    };
    const read = await pixelsOf(kept);
    const away = `${folder}-away`;
    await rename(folder, away);
    try {
      assert.deepEqual(await pixelsOf(kept), read);
      await assert.rejects(pixelsOf(context()), { code: "not-found" });
    } finally {
      await rename(away, folder);
    }
  });

  it("go on after the epochs of the run that is continued: order and views are those that come next", async () => {
    const batchesOf = async (run: TuningRun, epoch: number): Promise<TuningBatch[]> => {
      const seen: TuningBatch[] = [];
      await eachBatch(run, tuned(), { ...part, epoch }, context(), (batch) => {
        seen.push({ ...batch, pixels: batch.pixels.slice() });
        return Promise.resolve();
      });
      return seen;
    };
    const fourth = await batchesOf(tuningRun(), 4);
    assert.deepEqual(await batchesOf(tuningRun({ epochs: 3 }), 1), fourth);
    assert.notDeepEqual(await batchesOf(tuningRun(), 1), fourth);
  });

  it("wait for an image that cannot be read any more: no other takes its place", async () => {
    const lost = entries[epochOrder(images, 3, 2)[3] as number]?.key ?? "";
    await rm(join(folder, lost));
    let learned = 0;
    const learn = (): Promise<void> => {
      learned += 1;
      return Promise.resolve();
    };
    await assert.rejects(eachBatch(tuningRun(), tuned(), part, context(), learn), {
      code: "unavailable",
      retryable: true,
      message: new RegExp(
        `"${lost}" cannot be read any more, and the images are those that run-untuned has read`,
      ),
    });
    assert.equal(learned, 0);
  });
});
