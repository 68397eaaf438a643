import { TrommelError } from "../../index.js";
import { counted } from "../describe/counted.js";
import { withInterrupts, type GlobalFlags } from "../handle.js";
import { isRun } from "../round-lines.js";
import { shownPlace } from "../describe/shown-place.js";
import type { Terminal } from "../terminal.js";

type ExportFlags = GlobalFlags & {
  readonly into: string;
  readonly format: "parquet" | "npy";
  readonly dtype?: "f16" | "f32";
};

/** `trommel features export <run> --into …` */
export async function exportFeatures(terminal: Terminal, id: string, flags: ExportFlags): Promise<void> {
  await withInterrupts(terminal, flags, async (trommel, signal) => {
    const work = await trommel.run(id);
    if (!isRun(work)) {
      throw new TrommelError(
        "invalid-argument",
        `cannot export the features of ${id}: it is a ${work.kind}, which stores none. Give a run ('trommel status' lists them), or score with --embeddings`,
      );
    }
    const { into, format, dtype: type } = flags;
    const onShard = (done: number, shards: number): void =>
      terminal.progress(`export ${done}/${counted(shards, "shard")}`);
    const exported = await work.exportFeatures({ into, format, type, onShard, signal });
    const { rows, dimension, views, files } = exported;
    terminal.say(
      `exported ${counted(rows, "row")} of ${dimension} numbers, ${exported.type}: ${counted(views, "view")} per image`,
    );
    for (const { file } of files) terminal.say(shownPlace(`${exported.into}/${file}`));
    terminal.result(exported);
  });
}
