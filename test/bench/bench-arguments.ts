import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { TrommelError } from "@trommel/common";

export interface BenchArguments {
  /** In the order of the table. */
  readonly names: readonly string[];
  readonly threads: number;
  /** `stdout` in the place of the table, or a file beside it. */
  readonly json: "stdout" | { readonly file: string } | undefined;
}

/** @param known names of all benchmarks, which are also those that run where none is named */
export function parseArguments(args: readonly string[], known: readonly string[]): BenchArguments {
  const { json, rest } = takeJson(args, known);
  const { values, positionals } = parseArgs({
    args: rest,
    allowPositionals: true,
    options: { threads: { type: "string" } },
  });
  for (const name of positionals) {
    if (!known.includes(name)) throw refusal(`'${name}' is none`, `Name one or more of ${known.join(", ")}`);
  }
  const names = positionals.length === 0 ? known : known.filter((name) => positionals.includes(name));
  return { names, threads: parseThreads(values.threads), json };
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

function parseThreads(given: string | undefined): number {
  const threads = Number(given ?? availableParallelism());
  if (Number.isInteger(threads) && threads > 0) return threads;
  throw refusal(`--threads ${given} is no number of threads`, "Give 1, 2, 3, …");
}

function refusal(why: string, advice: string): TrommelError {
  return new TrommelError("invalid-argument", `failed to choose a bench: ${why}. ${advice}`);
}
