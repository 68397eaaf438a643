import { z } from "zod";
import { Anchor, anchorSetups, type AnchorSetup, type AnchorWork } from "../alone/anchor.js";
import type { Throughput } from "../material/bench-cluster.js";
import { comparisonRow } from "./comparison-row.js";
import { runPeer, type Missing } from "./peer.js";
import type { BenchResult, BenchRow } from "../result.js";
import type { AnchorMeasurement } from "../alone/runtime-alone.js";
import { showSpread, spreadOf } from "../measure/statistics.js";

/** A worker's rate beside those of ONNX Runtime alone and of PyTorch, taken in turns so that all meet the same load. */

/** What the scripts extract.py and score.py print. */
const torchRate = z.object({
  images: z.int(),
  seconds: z.number(),
  workers: z.int(),
  layout: z.string(),
});

export interface Turn {
  readonly worker: Throughput;
  readonly alone: Readonly<Record<AnchorSetup, AnchorMeasurement>>;
  /** Decoding alone. */
  readonly decoding: AnchorMeasurement;
  /** Undefined where it was not asked for. */
  readonly torch: z.infer<typeof torchRate> | Missing | undefined;
}

export interface Comparison {
  /** In front of what is said about the progress. */
  readonly name: string;
  readonly repetitions: number;
  readonly alone: AnchorWork;
  /** A script of test/bench/peers with its arguments, or null. */
  readonly torch: { readonly script: string; readonly args: readonly string[] } | null;
  /** One pass of the worker over the pictures. */
  readonly worker: (turn: number) => Promise<Throughput>;
  readonly say: (words: string) => void;
}

/** Process start and model loading are outside every clock: the worker has had the same model at work before. */
export async function takeTurns(comparison: Comparison): Promise<Turn[]> {
  const { name, repetitions, torch, say } = comparison;
  const { threads } = comparison.alone;
  const anchors = anchorSetups.map((setup) => ({ setup, anchor: new Anchor(comparison.alone, setup) }));
  const [{ anchor: decoder }] = anchors as [(typeof anchors)[number]];
  const turns: Turn[] = [];
  try {
    for (const { anchor } of anchors) await anchor.ready();
    for (let turn = 0; turn < repetitions; turn += 1) {
      const worker = await comparison.worker(turn);
      const alone: Partial<Record<AnchorSetup, AnchorMeasurement>> = {};
      for (const { setup, anchor } of anchors) alone[setup] = await anchor.measure("run");
      const taken: Turn = {
        worker,
        alone: alone as Turn["alone"],
        decoding: await decoder.measure("decode"),
        torch:
          torch === null
            ? undefined
            : await runPeer(torchRate, {
                script: torch.script,
                args: [...torch.args, "--threads", String(threads)],
                modules: ["torch", "torchvision", "numpy", "PIL"],
                threads,
              }),
      };
      turns.push(taken);
      say(`${name}, turn ${turn + 1} of ${repetitions}: ${describeTurn(taken)}`);
    }
  } finally {
    for (const { anchor } of anchors) anchor.stop();
  }
  return turns;
}

const rate = (measurement: { readonly images: number; readonly seconds: number }): number =>
  measurement.images / measurement.seconds;
const cpuPerImageMs = (measurement: { readonly images: number; readonly cpuSeconds: number }): number =>
  (1000 * measurement.cpuSeconds) / measurement.images;

function describeTurn({ worker, alone, decoding, torch }: Turn): string {
  const one = (who: string, m: Throughput | AnchorMeasurement): string =>
    `${who} ${rate(m).toFixed(1)} images/s (${cpuPerImageMs(m).toFixed(1)} ms CPU each)`;
  const torchWords = torch === undefined || "missing" in torch ? [] : [`PyTorch ${rate(torch).toFixed(1)}`];
  return [
    one("worker", worker),
    one("ONNX Runtime alone", alone.worker),
    one("with its default options", alone.default),
    one("side by side", alone.sideBySide),
    one("decoding alone", decoding),
    ...torchWords,
    `others used ${(worker.otherCpuSeconds / worker.seconds).toFixed(2)} cores`,
  ].join("; ");
}

export interface Targets {
  /** Of the ratio to ONNX Runtime alone. */
  readonly alone?: number;
  /** Of the ratio to PyTorch. */
  readonly torch?: number;
}

/**
 * The anchor is the way in which ONNX Runtime alone was fastest over all turns, by the median: one session with the worker's
 * options or with its own defaults, or sessions side by side. (The fastest of each turn would be the luckiest of three.)
 * One session has a row of its own.
 */
export function summarize(name: string, turns: readonly Turn[], targets: Targets = {}): BenchResult {
  const own = turns.map(({ worker }) => rate(worker));
  const ratesOf = (setup: AnchorSetup): number[] => turns.map(({ alone }) => rate(alone[setup]));
  const single = fastestOf([ratesOf("worker"), ratesOf("default")]);
  const fastest = fastestOf(anchorSetups.map(ratesOf));
  // On a machine without a GPU both are done by the same cores, one after the other as it were.
  const limit = turns.map(({ decoding }, turn) => 1 / (1 / rate(decoding) + 1 / (fastest[turn] as number)));
  const leastCpu = ({ alone }: Turn): number => Math.min(...Object.values(alone).map(cpuPerImageMs));
  const cpuRatios = turns.map((turn) => leastCpu(turn) / cpuPerImageMs(turn.worker));
  const atLeast = (least: number | undefined) => (least === undefined ? {} : { atLeast: least });
  return {
    measured: { turns },
    rows: [
      comparisonRow({
        what: `${name}: worker and ONNX Runtime alone, its fastest way, images/s`,
        ...{ own, anchor: fastest, ...atLeast(targets.alone) },
      }),
      comparisonRow({
        what: `${name}: worker and ONNX Runtime alone in one session, images/s`,
        ...{ own, anchor: single },
      }),
      comparisonRow({
        what: `${name}: worker and what decoding alone and ONNX Runtime alone come to on the same cores, images/s`,
        ...{ own, anchor: limit },
      }),
      ...torchRows(name, turns, own, atLeast(targets.torch)),
      { what: `${name}: CPU time per image, least of ONNX Runtime alone / worker`, value: show(cpuRatios) },
      {
        what: `${name}: share of the time in which the worker's device waited`,
        value: show(turns.map(({ worker }) => worker.deviceIdle)),
      },
    ],
  };
}

function fastestOf(ways: readonly number[][]): number[] {
  return ways.reduce((best, way) => (spreadOf(way).median > spreadOf(best).median ? way : best));
}

function torchRows(
  name: string,
  turns: readonly Turn[],
  own: readonly number[],
  target: { readonly atLeast?: number },
): BenchRow[] {
  const rates: number[] = [];
  const what = `${name}: worker and PyTorch with a DataLoader, images/s`;
  for (const { torch } of turns) {
    if (torch === undefined) return [];
    if ("missing" in torch) return [comparisonRow({ what, own, anchor: torch, ...target })];
    rates.push(rate(torch));
  }
  return [comparisonRow({ what, own, anchor: rates, ...target })];
}

function show(values: readonly number[]): string {
  return showSpread(spreadOf(values), 3);
}
