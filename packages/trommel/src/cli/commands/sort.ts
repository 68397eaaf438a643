import { TrommelError } from "../../index.js";
import { withInterrupts, type GlobalFlags } from "../handle.js";
import { isRun } from "../round-lines.js";
import { exitCodes, type Terminal } from "../terminal.js";

type SortFlags = GlobalFlags & {
  readonly into: string;
  readonly min?: number;
  readonly link?: true;
  readonly move?: true;
};

/** `trommel sort <scoring> --into …` */
export async function sort(terminal: Terminal, id: string, flags: SortFlags): Promise<void> {
  await withInterrupts(terminal, flags, async (trommel, signal) => {
    const work = await trommel.run(id);
    if (isRun(work)) {
      throw new TrommelError(
        "invalid-argument",
        `cannot sort ${id}: it is a run. Give a scoring ('trommel status' lists them)`,
      );
    }
    const { into, min } = flags;
    const how = flags.link === true ? "link" : flags.move === true ? "move" : "copy";
    const onPart = (done: number, parts: number): void => terminal.progress(`sort ${done}/${parts} parts`);
    const ledger = await work.sort({ into, min, how, onPart, signal });
    const { images, placed, below, unplaced, unplacedList } = ledger;
    terminal.say(
      `sorted ${images} images = ${placed} in place + ${below} below --min + ${unplaced} not placed`,
    );
    if (unplaced > 0) terminal.say(`not placed: ${unplacedList} lists them`);
    terminal.say(`sorted: ${ledger.into}`);
    terminal.result(ledger);
    if (unplaced > 0) terminal.exitCode = exitCodes.failed;
  });
}
