import { once } from "node:events";
import { TrommelError } from "../../index.js";
import type { ScoreFormat } from "../../index.js";
import { withTrommel, type GlobalFlags } from "../handle.js";
import { shownPlace } from "../describe/shown-place.js";
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
    for (const key of keys) terminal.say(shownPlace(`${output}/${key}`));
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
    const { stdout } = terminal.io;
    for await (const text of trommel.readScores(source, { format }))
      if (!stdout.write(text)) await once(stdout, "drain");
  });
}
