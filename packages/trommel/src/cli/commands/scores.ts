import { once } from "node:events";
import { openStore, TrommelError } from "../../index.js";
import type { ScoreFormat } from "../../index.js";
import { withTrommel, type GlobalFlags } from "../handle.js";
import type { Terminal } from "../terminal.js";

type ScoresFlags = GlobalFlags & { readonly format: ScoreFormat };

/** `trommel scores files <scoring>` */
export async function files(
  terminal: Terminal,
  source: string,
  { format, ...flags }: ScoresFlags,
): Promise<void> {
  await withTrommel(terminal, flags, async (trommel) => {
    const { output, keys } = await trommel.scoreFiles(source, { format });
    for (const key of keys) terminal.say(`${output}/${key}`);
    terminal.result({ output, format, keys });
  });
}

/** `trommel scores cat <scoring>` */
export async function cat(
  terminal: Terminal,
  source: string,
  { format, ...flags }: ScoresFlags,
): Promise<void> {
  if (format === "parquet" || terminal.json)
    throw new TrommelError(
      "invalid-argument",
      `cannot print scores ${terminal.json ? "with --json" : "as parquet"}: they are lines of text. 'trommel scores files' names the files`,
    );
  await withTrommel(terminal, flags, async (trommel) => {
    const { output, keys } = await trommel.scoreFiles(source, { format });
    const store = openStore(output);
    const { stdout } = terminal.io;
    try {
      for (const [i, key] of keys.entries()) {
        const bytes = Buffer.from(await store.get(key));
        const body = i > 0 && key.endsWith(".csv") ? bytes.subarray(headerBytes(bytes)) : bytes;
        if (!stdout.write(body)) await once(stdout, "drain");
      }
    } finally {
      store.close();
    }
  });
}

/** Every part has the header; a line break in a quoted name does not end it. */
function headerBytes(csv: Buffer): number {
  let isQuoted = false;
  for (let at = 0; at < csv.length; at += 1) {
    if (csv[at] === quote) isQuoted = !isQuoted;
    else if (csv[at] === lineFeed && !isQuoted) return at + 1;
  }
  return csv.length;
}

const quote = 0x22;
const lineFeed = 0x0a;
