import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { parseJsonLines } from "@trommel/common/parse";
import { scoreRow } from "@trommel/common/artefacts";
import type { ScoreRow } from "@trommel/common";
import sharp from "sharp";
import { drawWastePicture, wasteClasses } from "../../../demo/draw-waste-pictures.js";
import { areaUnderCurve } from "../../measure/area-under-curve.js";
import { labelledFiles, type Material } from "../../material/material.js";
import { trommel } from "../../material/trommel-command.js";
import type { BenchResult, BenchRow, BenchSetting } from "../../result.js";

/** One photograph of this many is held out of every training. */
const heldOutEvery = 5;
const strangers = 120;
const areaAtLeast = 0.98;
/** An image above this novelty is called unknown. */
const bound = 0.99;
const unknownOfKnown = { atLeast: 0.003, atMost: 0.03 };

/**
 * Whether a model knows what it has not learned: how well `novelty` tells held-out photographs from drawn pictures and from noise,
 * and from a class that was left out of the training, beside the largest probability, which most people use for it.
 */
export async function benchNovelty(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const bench = { material, store, setting };
  const drawn = path.join(setting.folder, "drawn");
  const noise = path.join(setting.folder, "noise");
  await writeDrawn(drawn);
  await writeNoise(noise);
  const all = await trainWithout(null, bench);
  const known = await all.score(all.known);
  const ofDrawn = separation(known, await all.score(drawn));
  const ofNoise = separation(known, await all.score(noise));
  const unknown = known.filter(({ novelty }) => noveltyOf(novelty) > bound).length / known.length;
  const leftOut: (Separation & { readonly label: string })[] = [];
  const labels = [...new Set((await labelledFiles(material.pictures)).map((file) => path.dirname(file)))];
  for (const label of labels) {
    const one = await trainWithout(label, bench);
    const found = separation(await one.score(one.known), await one.score(one.leftOut));
    setting.say(`without ${label}: ${JSON.stringify(found)}`);
    leftOut.push({ label, ...found });
  }
  const novelty = mean(leftOut.map((of) => of.byNovelty));
  const probability = mean(leftOut.map((of) => of.byProbability));
  return {
    measured: { ofDrawn, ofNoise, unknown, leftOut },
    rows: [
      strangerRow(`${strangers} drawn pictures`, ofDrawn),
      strangerRow(`${strangers} pictures of noise`, ofNoise),
      {
        what: `novelty: share of ${known.length} held-out photographs above ${bound}`,
        value: unknown.toFixed(4),
        target: `${unknownOfKnown.atLeast} to ${unknownOfKnown.atMost}`,
        reached: unknown >= unknownOfKnown.atLeast && unknown <= unknownOfKnown.atMost,
      },
      ...leftOut.map(({ label, byNovelty, byProbability }): BenchRow => ({
        what: `novelty: ${label} left out of the training: area under the curve (anchor: one less the largest probability)`,
        value: byNovelty.toFixed(4),
        anchor: byProbability.toFixed(4),
      })),
      {
        what: `novelty: the same, mean over the ${leftOut.length} classes`,
        value: novelty.toFixed(4),
        anchor: probability.toFixed(4),
        ratio: (novelty / probability).toFixed(3),
        target: "≥ 1",
        reached: novelty >= probability,
      },
    ],
  };
}

interface Bench {
  readonly material: Material;
  readonly store: string;
  readonly setting: BenchSetting;
}

interface Trained {
  /** The held-out photographs of the classes that it was trained on, and of the class that it was not. */
  readonly known: string;
  readonly leftOut: string;
  score(pictures: string): Promise<ScoreRow[]>;
}

/** Trains on four fifths of the photographs, of all classes or of all but one. */
async function trainWithout(label: string | null, { material, store, setting }: Bench): Promise<Trained> {
  const id = label === null ? "novelty-all" : `novelty-without-${label}`;
  const place = (part: string): string => path.join(setting.folder, id, part);
  for (const part of ["training", "known", "left-out"]) await mkdir(place(part), { recursive: true });
  for (const [at, file] of (await labelledFiles(material.pictures)).entries()) {
    const isHeldOut = at % heldOutEvery === 0;
    const part = path.dirname(file) === label ? "left-out" : isHeldOut ? "known" : "training";
    const to = path.join(place(part), file);
    await mkdir(path.dirname(to), { recursive: true });
    await copyFile(path.join(material.pictures, file), to);
  }
  const workers = ["--workers", String(setting.threads), "--threads", "1", "--store", store];
  await trommel(
    ...["train", place("training"), "--run", id, ...workers],
    ...material.runBackbones.flatMap((name) => ["--backbone", name]),
  );
  return {
    known: place("known"),
    leftOut: place("left-out"),
    score: async (pictures) => {
      const output = place(`scores-${path.basename(pictures)}`);
      await trommel("score", pictures, "--model", id, "--output", output, ...workers);
      return await readScores(output);
    },
  };
}

async function readScores(output: string): Promise<ScoreRow[]> {
  const parts = (await readdir(output)).filter((name) => /^part-\d+\.jsonl$/.test(name)).sort();
  const rows: ScoreRow[] = [];
  for (const part of parts) {
    rows.push(...parseJsonLines(scoreRow, await readFile(path.join(output, part)), part));
  }
  return rows;
}

interface Separation {
  readonly byNovelty: number;
  readonly byProbability: number;
}

/** Area under the receiver operating characteristic of two ways to tell strangers from known pictures. */
function separation(known: readonly ScoreRow[], strange: readonly ScoreRow[]): Separation {
  const doubt = ({ top: [first] }: ScoreRow): number => 1 - (first?.probability ?? 0);
  const strangeness = ({ novelty }: ScoreRow): number => noveltyOf(novelty);
  return {
    byNovelty: areaUnderCurve(known.map(strangeness), strange.map(strangeness)),
    byProbability: areaUnderCurve(known.map(doubt), strange.map(doubt)),
  };
}

function noveltyOf(novelty: number | undefined): number {
  if (novelty === undefined) throw new Error("a row without novelty");
  return novelty;
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

function strangerRow(what: string, { byNovelty, byProbability }: Separation): BenchRow {
  return {
    what: `novelty: ${what}: area under the curve (anchor: one less the largest probability)`,
    value: byNovelty.toFixed(4),
    anchor: byProbability.toFixed(4),
    target: `≥ ${areaAtLeast}`,
    reached: byNovelty >= areaAtLeast,
  };
}

async function writeDrawn(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (let at = 0; at < strangers; at += 1) {
    const picture = await drawWastePicture(wasteClasses[at % wasteClasses.length] ?? "", at);
    await writeFile(path.join(folder, `${String(at).padStart(3, "0")}.jpg`), picture);
  }
}

/** Gaussian noise around grey, from fine to coarse by the deviation. */
async function writeNoise(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (let at = 0; at < strangers; at += 1) {
    const noise = { type: "gaussian" as const, mean: 128, sigma: 20 + (at % 6) * 15 };
    const picture = sharp({ create: { width: 512, height: 384, channels: 3, background: "grey", noise } });
    await picture.jpeg({ quality: 90 }).toFile(path.join(folder, `${String(at).padStart(3, "0")}.jpg`));
  }
}
