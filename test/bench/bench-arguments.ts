import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { devices, messageOf, TrommelError, type Device } from "@trommel/common";
import { architectureDefaults } from "#gpu-worker/backbone/zoo/architectures";

/** Which device, and how much work; smaller than by default, it shows on any machine that the bench runs. */
export interface GpuArguments {
  /** Undefined is the first of cuda and webgpu that works. */
  readonly device: Device | undefined;
  /** Pictures of each measurement; of `sources` too. */
  readonly images: number;
  /** Architectures of the zoo with the side of their input, such as `resnet50@224`; random weights. */
  readonly networks: readonly string[];
}

export interface BenchArguments {
  /** In the order of the table. */
  readonly names: readonly string[];
  readonly threads: number;
  /** What `gpu` is told. */
  readonly gpu: GpuArguments;
  /** Divisions that `honesty` measures; `chance` shuffles the labels half as often. */
  readonly repetitions: number;
  /** Keys that `delta` lists. */
  readonly keys: number;
  /** Stored rows that `rescore` scores. */
  readonly rows: number;
  /** `stdout` in the place of the table, or a file beside it. */
  readonly json: "stdout" | { readonly file: string } | undefined;
}

/** @param known names of all benchmarks, which are also those that run where none is named */
export function parseArguments(args: readonly string[], known: readonly string[]): BenchArguments {
  const { json, rest } = takeJson(args, known);
  const { values, positionals } = parseFlags(rest, known);
  for (const name of positionals) {
    if (!known.includes(name)) throw refusal(`'${name}' is none`, `Name one or more of ${known.join(", ")}`);
  }
  const names = positionals.length === 0 ? known : known.filter((name) => positionals.includes(name));
  const gpu = {
    device: parseDevice(values.device),
    images: parseCount("images", values.images),
    networks: parseNetworks(values.networks),
  };
  return {
    names,
    threads: parseCount("threads", values.threads ?? String(availableParallelism())),
    gpu,
    repetitions: parseCount("repetitions", values.repetitions),
    keys: parseCount("keys", values.keys),
    rows: parseCount("rows", values.rows),
    json,
  };
}

function parseFlags(args: readonly string[], known: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        threads: { type: "string" },
        device: { type: "string" },
        images: { type: "string", default: "1500" },
        repetitions: { type: "string", default: "20" },
        keys: { type: "string", default: "10000000" },
        rows: { type: "string", default: "1000000" },
        networks: { type: "string", default: "mobilenet-v1-0.75@224,efficientnet-b2@380" },
      },
    });
  } catch (thrown) {
    const [why = ""] = messageOf(thrown).split(". ");
    const flags =
      "--threads N, --json [FILE], of honesty and chance --repetitions N, of delta --keys N, of rescore --rows N, and of gpu --device NAME, --images N (of sources too), --networks NAME@SIDE,…";
    throw refusal(why, `Give names (${known.join(", ")}) or none for all, ${flags}`);
  }
}

/** @throws TrommelError where a network is none of the zoo, or has no side */
function parseNetworks(given: string): readonly string[] {
  const networks = given.split(",");
  for (const network of networks) {
    const [architecture = "", side = ""] = network.split("@");
    // Throws with the legal names.
    architectureDefaults(architecture);
    if (!/^[1-9]\d*$/.test(side)) throw refusal(`'${network}' has no side`, "Give it as resnet50@224");
  }
  return networks;
}

/** `--json` may stand alone, which parseArgs does not know. */
function takeJson(
  args: readonly string[],
  known: readonly string[],
): Pick<BenchArguments, "json"> & { readonly rest: string[] } {
  const at = args.indexOf("--json");
  if (at < 0) return { json: undefined, rest: [...args] };
  const next = args[at + 1];
  const isFile = next !== undefined && !next.startsWith("-") && !known.includes(next);
  const rest = args.filter((_, index) => index !== at && !(isFile && index === at + 1));
  return { json: isFile ? { file: next } : "stdout", rest };
}

function parseCount(flag: string, given: string): number {
  const count = Number(given);
  if (Number.isInteger(count) && count > 0) return count;
  throw refusal(`--${flag} ${given} is no number of ${flag}`, "Give 1, 2, 3, …");
}

function parseDevice(given: string | undefined): Device | undefined {
  if (given === undefined) return undefined;
  const device = devices.find((name) => name === given);
  if (device !== undefined) return device;
  throw refusal(`--device ${given} is none`, `Give ${devices.join(", ")}`);
}

function refusal(why: string, advice: string): TrommelError {
  return new TrommelError("invalid-argument", `failed to choose a bench: ${why}. ${advice}`);
}
