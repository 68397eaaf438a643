import { printable, stageTable } from "../index.js";
import type { ListedWork, StageProgress } from "../index.js";
import { howMeasured } from "./describe/describe-result.js";
import { formatSeconds } from "./progress-display.js";
import { tableOf } from "./table.js";

const header = ["what", "state", "progress or figures", "images", "started", "took"] as const;

/** One line for each run, scoring and sorting. */
export function statusTable(works: readonly ListedWork[]): string[] {
  return tableOf(
    header,
    works.map((work) => [
      `${work.id} (${work.kind})`,
      work.phase,
      work.phase === "damaged" ? "" : figuresOf(work),
      work.phase === "damaged" ? "" : imagesOf(work),
      startedOf(work),
      tookOf(work),
    ]),
  );
}

/** One line for each stage that has something to do. */
export function describeStages(stages: readonly StageProgress[]): string[] {
  return stages
    .filter(({ total }) => total > 0)
    .map(({ stage, done, total, note }) =>
      `${stage.padEnd(9)} ${done}/${total} ${printable(note)}`.trimEnd(),
    );
}

type ReadableWork = Exclude<ListedWork, { readonly phase: "damaged" }>;

/** The figures of a finished training, or the stage that is under way. */
function figuresOf({ result, stages }: ReadableWork): string {
  if (result?.accuracy !== undefined) {
    const test = result.test === undefined ? "" : `, test accuracy ${result.test.accuracy.toFixed(4)}`;
    return `${howMeasured(result)} accuracy ${result.accuracy.toFixed(4)}, log loss ${(result.logLoss ?? 0).toFixed(4)}${test}`;
  }
  if (result?.sorted !== undefined) return `${result.sorted.placed} in place`;
  if (result !== undefined) return `${result.ledger.ok + (result.ledger.unchanged ?? 0)} scored`;
  const current = stages.find(({ done, total }) => total > 0 && done < total);
  return current === undefined ? "" : `${current.stage} ${current.done}/${current.total}`;
}

function imagesOf({ result, stages }: ReadableWork): string {
  if (result !== undefined)
    return counted(result.ledger.listed, result.sorted === undefined ? result.ledger.failed : 0);
  const onImages = stages.find(({ stage }) => stageTable[stage].inLedger === true);
  if (onImages === undefined || onImages.imagesTotal === 0) return "";
  return `${onImages.imagesDone}/${counted(onImages.imagesTotal, onImages.failedImages)}`;
}

function counted(images: number, failed: number): string {
  return failed === 0 ? String(images) : `${images} (${failed} failed)`;
}

function startedOf({ startedAt }: ListedWork): string {
  return startedAt === undefined ? "" : startedAt.slice(0, 16).replace("T", " ");
}

/** From its start to its end, or until now while it runs; nothing for what stopped in between. */
function tookOf({ startedAt, endedAt, phase }: ListedWork): string {
  const until = endedAt ?? (phase === "running" ? new Date().toISOString() : undefined);
  if (startedAt === undefined || until === undefined) return "";
  return formatSeconds(Math.max(0, (Date.parse(until) - Date.parse(startedAt)) / 1000));
}
