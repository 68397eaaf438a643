import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Device } from "@trommel/common";
import { z } from "zod";
import type { TuneAlone, TunedAlone } from "../alone/tune-alone.js";
import { comparisonRow } from "../compare/comparison-row.js";
import { runPeer, type Missing } from "../compare/peer.js";
import { spreadOf } from "../measure/statistics.js";
import type { BenchResult, BenchRow, BenchSetting } from "../result.js";

const turns = 3;
const classes = 6;

interface TuneCase {
  readonly what: string;
  /** Its name here and in `tune_step.py`. */
  readonly network: readonly [architecture: string, peer: string];
  readonly norm: "batch" | "frozen";
  readonly images: number;
  readonly threads: number;
  readonly steps: number;
  /** Layers by their names, and how many blocks of the peer's they are. */
  readonly last?: readonly [pattern: string, blocks: number];
  readonly atLeast: number;
  readonly peakAtMost?: number;
}

const mobilenet = { network: ["mobilenet-v1-0.75", "mobilenet"], images: 32, steps: 3 } as const;
const resnet = { network: ["resnet50", "resnet50"], images: 16, steps: 2 } as const;
const lastFour = ["^conv_(dw|pw)_1[0-3]", 4] as const;

const cases: readonly TuneCase[] = [1, 2].flatMap((threads) => {
  const bound = { threads, atLeast: threads === 1 ? 1.1 : 1 };
  return [
    ...(["batch", "frozen"] as const).flatMap((norm): TuneCase[] => [
      { what: `MobileNetV1 0.75, ${norm}`, ...mobilenet, norm, ...bound, peakAtMost: 1200 },
      { what: `ResNet50, ${norm}`, ...resnet, norm, ...bound, peakAtMost: 2500 },
    ]),
    {
      what: "MobileNetV1 0.75, last four blocks, batch",
      ...mobilenet,
      norm: "batch",
      ...bound,
      atLeast: 1.2,
      last: lastFour,
    },
  ];
});

const peerTurn = z.object({ torch: z.string(), rate: z.number(), format: z.string(), peakMib: z.number() });
type Turn = z.infer<typeof peerTurn>;

/** Steps of tuning beside PyTorch's, in processes of their own that take turns. */
export async function benchTune(
  _material: undefined,
  _store: string,
  { say }: BenchSetting,
): Promise<BenchResult> {
  const rows: BenchRow[] = [];
  const measured: unknown[] = [];
  for (const of of cases) {
    const own: TunedAlone[] = [];
    let peer: Turn[] | Missing = [];
    for (let turn = 0; turn < turns; turn += 1) {
      own.push(await ownTurn(of));
      if (!("missing" in peer)) {
        const found: Turn | Missing = await torchTurn(of);
        if ("missing" in found) peer = found;
        else peer.push(found);
      }
      const beside =
        "missing" in peer ? "absent" : `${peer.at(-1)?.rate.toFixed(1)} (${peer.at(-1)?.format})`;
      say(`${of.what}, ${of.threads} thread(s): ${own.at(-1)?.rate.toFixed(1)} images/s, PyTorch ${beside}`);
    }
    measured.push({ case: of, own, peer });
    rows.push(...rowsOf(of, own, peer));
  }
  return { rows, measured };
}

function rowsOf(of: TuneCase, own: readonly TunedAlone[], peer: readonly Turn[] | Missing): BenchRow[] {
  const [first] = "missing" in peer ? [] : peer;
  const on = `${of.images} images a step, ${of.threads} thread${of.threads === 1 ? "" : "s"}`;
  const beside = first === undefined ? "PyTorch" : `PyTorch ${first.torch}`;
  const pick = (get: (turn: { rate: number; peakMib: number }) => number) => ({
    own: own.map(get),
    anchor: "missing" in peer ? peer : peer.map(get),
  });
  const rate = comparisonRow({
    what: `tune: ${of.what}, ${on}, images/s, beside ${beside}`,
    ...pick((turn) => turn.rate),
    atLeast: of.atLeast,
  });
  if (of.peakAtMost === undefined || of.threads === 1) return [rate];
  const peak = comparisonRow({
    what: `tune: peak memory of that, MiB`,
    ...pick((turn) => turn.peakMib),
    ...{ ratio: "anchor/own", digits: 0 },
  });
  const most = Math.max(...own.map(({ peakMib }) => peakMib));
  return [rate, { ...peak, target: `≤ ${of.peakAtMost}`, reached: most <= of.peakAtMost }];
}

/** Steps on another device than the CPU, in plain ONNX and, on cuda, in mixed precision too; nothing is beside them. */
export async function tuneOn(device: Device, { say }: BenchSetting): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const tuned of cases.filter(({ threads }) => threads === 1)) {
    for (const precision of device === "cuda" ? (["fp32", "mixed"] as const) : (["fp32"] as const)) {
      const rates: number[] = [];
      for (let turn = 0; turn < turns; turn += 1)
        rates.push((await ownTurn(tuned, { device, precision })).rate);
      const { median, least, most } = spreadOf(rates);
      const what = `tune: ${tuned.what}, ${tuned.images} images a step, ${device}, ${precision}, images/s`;
      const value = `${median.toFixed(1)} (${least.toFixed(1)}–${most.toFixed(1)})`;
      say(`${what}: ${value}`);
      rows.push({ what, value });
    }
  }
  return rows;
}

const run = promisify(execFile);
const alone = fileURLToPath(new URL("../alone/tune-alone.js", import.meta.url));

async function ownTurn(
  { network, norm, images, threads, steps, last }: TuneCase,
  where: Pick<TuneAlone, "device" | "precision"> = {},
): Promise<TunedAlone> {
  const options: TuneAlone = {
    ...{ architecture: network[0], norm, images, threads, steps, classes },
    trained: last?.[0] ?? null,
    ...where,
  };
  const { stdout } = await run(process.execPath, [alone, JSON.stringify(options)]);
  return JSON.parse(stdout) as TunedAlone;
}

async function torchTurn({ network, norm, images, threads, steps, last }: TuneCase): Promise<Turn | Missing> {
  const args = [network[1], norm, images, threads, steps, last?.[1] ?? 0, classes].map(String);
  return await runPeer(peerTurn, { script: "tune_step.py", args, modules: ["torch"], threads });
}
