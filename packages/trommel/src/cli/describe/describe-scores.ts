import { printable } from "../../index.js";
import type { RunResult } from "../../index.js";
import { counted } from "./counted.js";

/** Labels that a line shows; the rest are in `counts.json`. */
const shownAtMost = 5;

interface Counted {
  readonly name: string;
  readonly images: number;
}

/** What a finished scoring says of its images: the most frequent groups and labels, and its submission. */
export function describeScores({ ledger, counts, submission, differences }: RunResult): string[] {
  const lines: string[] = [];
  if (counts?.groups != null)
    lines.push(
      `groups: ${mostFrequent(counts.groups.map(({ group, images }) => ({ name: group, images })))}`,
    );
  if (counts !== undefined)
    lines.push(
      `labels: ${mostFrequent(counts.labels.map(({ label, images }) => ({ name: label, images })))}`,
    );
  if (counts?.unknown !== undefined) lines.push(`unknown: ${counted(counts.unknown, "image")}`);
  if (submission?.merged === true) {
    const without = ledger.failed === 0 ? "" : `; ${ledger.failed} that failed have none (errors.jsonl)`;
    lines.push(`${submission.file}: ${counted(submission.rows, "row")}${without}`);
  }
  if (submission?.merged === false) lines.push(`submission.csv is not written: ${submission.detail}`);
  if (differences !== undefined) lines.push(...describeDifferences(differences));
  return lines;
}

function describeDifferences(found: NonNullable<RunResult["differences"]>): string[] {
  const { before, inBoth, different, changes, onlyBefore, onlyAfter } = found;
  const verb = different === 1 ? "has" : "have";
  const lines = [
    `${different} of ${counted(inBoth, "image")} ${verb} another label than in ${before.scoring}`,
  ];
  if (different > 0)
    lines.push(
      `label changes: ${mostFrequent(changes.map((one) => ({ name: `${one.before} → ${one.after}`, images: one.images })))}`,
    );
  if (onlyBefore + onlyAfter > 0)
    lines.push(
      `only in ${before.scoring}: ${counted(onlyBefore, "image")}; only in this scoring: ${onlyAfter}`,
    );
  return lines;
}

/** By falling count, the earlier of the model's labels first on a tie. */
function mostFrequent(named: readonly Counted[]): string {
  const found = named.filter(({ images }) => images > 0).sort((a, b) => b.images - a.images);
  if (found.length === 0) return "none";
  const shown = found.slice(0, shownAtMost).map(({ name, images }) => `${printable(name)} ${images}`);
  const more = found.length - shown.length;
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join(", ");
}
