import type { ScoringResult, WatchedScoring } from "../../index.js";
import { describeLedger } from "../describe/describe-sum.js";
import type { Terminal } from "../terminal.js";

/** Prints a line, or an object of `--json`, for each generation of a watched scoring, until it is stopped. */
export async function showWatched(terminal: Terminal, ticks: AsyncIterable<WatchedScoring>): Promise<void> {
  for await (const tick of ticks) {
    if (tick.kind === "scored") {
      terminal.say(lineOf(tick.result));
      terminal.result({ kind: "scoring", phase: "complete", ...tick.result });
    } else if (tick.kind === "skipped") {
      terminal.note(
        "the source is still being listed or scored: this tick is skipped, and so are later ones until that is done",
      );
    } else if (tick.kind === "failed") {
      terminal.note(`${tick.error.message}. The next tick tries again`);
    }
  }
}

function lineOf({ id, ledger, generation }: ScoringResult): string {
  const found =
    generation === undefined
      ? "generation 0"
      : `generation ${generation.number}: ${generation.added} added, ${generation.changed} changed, ${generation.removed} removed`;
  return `${id}: ${found}; ledger: ${describeLedger(ledger)}`;
}
