import { binsOfEqualMass, calibrationError } from "#gpu-worker/measure/calibration-error";
import type { Estimate } from "@trommel/common/artefacts";
import type { Division } from "../../learn/run-stages.js";
import { measureDivisions } from "../../learn/side-by-side.js";
import type { StoredRunOptions } from "../../learn/stored-run.js";
import { trainSetting } from "../../learn/trained-run.js";
import type { Material } from "../../material/material.js";
import type { BenchResult, BenchRow, BenchSetting } from "../../result.js";

/** Share of the repetitions of which the interval has to hold the truth. */
const covered = { thirds: 17 / 20, randomLabels: 9 / 10 };
const meanDifferenceAtMost = 0.015;
const flatteringAtMost = 0.005;
const calibrationErrorAtMost = 0.03;

/**
 * Whether a run's own figures are true: random thirds of the photographs are held out by `split.test`, and what the run says
 * of itself is held against what they say. Everything is the stages of a worker, on the features that one real run has extracted.
 */
export async function benchHonesty(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const thirds = await measure(
    "third",
    setting.repetitions,
    { material, store, setting },
    {
      ...{ test: 1 / 3, randomLabels: false, copies: 1, effort: "default" },
    },
  );
  return {
    measured: thirds.map(withoutPredictions),
    rows: [
      ...differenceRows("accuracy", thirds),
      ...differenceRows("logLoss", thirds),
      pooledCalibration(thirds),
    ],
  };
}

/** What a run finds in shuffled labels, in which there is nothing to find. */
export async function benchChance(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const bench = { material, store, setting };
  const shuffles = Math.max(1, Math.round(setting.repetitions / 2));
  const random = { test: null, randomLabels: true } as const;
  const shuffled = await measure("shuffled", shuffles, bench, { ...random, copies: 1, effort: "default" });
  // Four times the rows; linear heads alone, which learn copies by heart as well as any.
  const copied = await measure("shuffled-copies", shuffles, bench, { ...random, copies: 4, effort: "quick" });
  return {
    measured: { shuffled, copied },
    rows: [
      ...chanceRows("random labels", shuffled),
      ...chanceRows("random labels, every image four times", copied),
    ],
  };
}

interface Bench {
  readonly material: Material;
  readonly store: string;
  readonly setting: BenchSetting;
}

/** Divisions with seeds from 1 on, on the features of one run. */
async function measure(
  name: string,
  count: number,
  { material, store, setting }: Bench,
  options: Pick<StoredRunOptions, "test" | "randomLabels" | "copies" | "effort">,
): Promise<Division[]> {
  const from = await trainSetting("224 pixels, six views", material, store, { workers: setting.threads });
  const all = Array.from({ length: count }, (_, at) => ({
    ...{ folder: store, from, id: `${name}-${at + 1}`, seed: at + 1 },
    ...options,
  }));
  setting.say(`${name}, ${count} times`);
  // Whole, for a bench that is ended early has said what it had measured.
  return measureDivisions(all, setting.threads, ({ seed, outOfFold, test }) =>
    setting.say(
      `${name} ${seed}: out of fold ${figuresOf(outOfFold)}` +
        (test === null ? "" : `; held out ${figuresOf(test)}`),
    ),
  );
}

function withoutPredictions({ test, ...division }: Division): unknown {
  if (test === null) return division;
  const { predictions: _, ...figures } = test;
  return { ...division, test: figures };
}

const show = ({ value }: Estimate): string => value.toFixed(4);
const showInterval = (estimate: Estimate): string =>
  `${show(estimate)} (${estimate.low.toFixed(4)}–${estimate.high.toFixed(4)})`;

function figuresOf(
  figures: Pick<Division["outOfFold"], "accuracy" | "balancedAccuracy" | "logLoss">,
): string {
  const { accuracy, balancedAccuracy, logLoss } = figures;
  return `accuracy ${showInterval(accuracy)}, balanced ${showInterval(balancedAccuracy)}, log loss ${showInterval(logLoss)}`;
}

interface Difference extends Estimate {
  readonly seed: number;
  readonly own: Estimate;
  readonly heldOut: Estimate;
}

/**
 * Own less held-out figure, with its 95 % interval from those of both by the method of variance estimates recovery (Zou and Donner
 * 2008): the images are different ones, so the two figures are independent.
 */
function differencesOf(figure: "accuracy" | "logLoss", thirds: readonly Division[]): Difference[] {
  return thirds.flatMap(({ seed, outOfFold, test }) => {
    if (test === null) return [];
    const [own, heldOut] = [outOfFold[figure], test[figure]];
    const value = own.value - heldOut.value;
    const low = value - Math.hypot(own.value - own.low, heldOut.high - heldOut.value);
    const high = value + Math.hypot(own.high - own.value, heldOut.value - heldOut.low);
    return [{ seed, own, heldOut, value, low, high }];
  });
}

function differenceRows(figure: "accuracy" | "logLoss", thirds: readonly Division[]): BenchRow[] {
  const words = figure === "logLoss" ? "log loss" : figure;
  const differences = differencesOf(figure, thirds);
  const holdZero = differences.filter(({ low, high }) => low <= 0 && high >= 0).length;
  const wanted = Math.ceil(covered.thirds * differences.length);
  const mean = differences.reduce((sum, { value }) => sum + value, 0) / differences.length;
  const flattering = figure === "accuracy" ? mean : -mean;
  return [
    ...differences.map(({ seed, own, heldOut, value, low, high }): BenchRow => ({
      what: `honesty: third ${seed}: ${words} out of fold (anchor: held out; ratio: difference)`,
      value: show(own),
      anchor: show(heldOut),
      ratio: `${value.toFixed(4)} (${low.toFixed(4)}–${high.toFixed(4)})`,
    })),
    {
      what: `honesty: ${words}: intervals of the difference that hold 0, of ${differences.length}`,
      value: String(holdZero),
      target: `≥ ${wanted}`,
      reached: holdZero >= wanted,
    },
    {
      what: `honesty: ${words}: mean difference`,
      value: mean.toFixed(4),
      target: `within ± ${meanDifferenceAtMost}`,
      reached: Math.abs(mean) <= meanDifferenceAtMost,
    },
    {
      what: `honesty: ${words}: flattering in the mean by`,
      value: flattering.toFixed(4),
      target: `≤ ${flatteringAtMost}`,
      reached: flattering <= flatteringAtMost,
    },
  ];
}

/** The predictions of all held-out parts together, in 15 bins of equal mass. */
function pooledCalibration(thirds: readonly Division[]): BenchRow {
  const parts = thirds.flatMap(({ test }) => (test === null ? [] : [test.predictions]));
  const confidences = Float64Array.from(parts.flatMap((part) => part.confidences));
  const error = calibrationError(
    binsOfEqualMass(
      confidences,
      parts.flatMap((part) => part.hits),
    ),
  );
  return {
    what: `honesty: calibration error of all ${confidences.length} held-out predictions, 15 bins of equal mass`,
    value: error.toFixed(4),
    target: `≤ ${calibrationErrorAtMost}`,
    reached: error <= calibrationErrorAtMost,
  };
}

function chanceRows(what: string, divisions: readonly Division[]): BenchRow[] {
  const chance = 1 / (divisions[0]?.classes ?? NaN);
  const intervals = divisions.map(({ outOfFold }) => outOfFold.balancedAccuracy);
  const hold = intervals.filter(({ low, high }) => low <= chance && chance <= high).length;
  const wanted = Math.ceil(covered.randomLabels * intervals.length);
  const mean = intervals.reduce((sum, { value }) => sum + value, 0) / intervals.length;
  return [
    {
      what: `chance: ${what}: intervals of balanced accuracy that hold 1/classes, of ${intervals.length}`,
      value: String(hold),
      target: `≥ ${wanted}`,
      reached: hold >= wanted,
    },
    {
      what: `chance: ${what}: mean of balanced accuracy (anchor: 1/classes)`,
      value: mean.toFixed(4),
      anchor: chance.toFixed(4),
    },
  ];
}
