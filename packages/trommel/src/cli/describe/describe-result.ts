import { printable } from "../../index.js";
import type { RunResult, SortLedger, Work } from "../../index.js";
import { counted } from "./counted.js";
import { describePatterns } from "./describe-listing.js";
import { describeScores } from "./describe-scores.js";
import { describeLedger } from "./describe-sum.js";
import { shownPlace } from "./shown-place.js";

/** What a finished run, scoring or sorting came to, in lines for people. */
export function* describeResult(id: string, kind: Work["kind"], result: RunResult): Generator<string> {
  const { ledger, location } = result;
  if (result.sorted !== undefined) {
    yield* describeSorted(result.sorted);
    return;
  }
  if (result.accuracy !== undefined) {
    const of = result.measured === "head-before-refit" ? " of the head before the refit" : "";
    const images =
      result.validationImages === undefined ? "" : ` on ${counted(result.validationImages, "image")}`;
    yield `${id}: ${howMeasured(result)} accuracy ${result.accuracy.toFixed(4)}, macro F1 ${result.macroF1?.toFixed(4)}, log loss ${result.logLoss?.toFixed(4)}${of}${images}`;
  }
  if (result.chosenApart !== undefined)
    yield `${id}: the same with the epoch chosen on other images: ${figuresOf(result.chosenApart)}`;
  if (result.test !== undefined)
    yield `${id}: test ${figuresOf(result.test)} on ${counted(result.test.images, "image")} that nothing was fitted or chosen on`;
  if (result.chosenBy !== undefined) yield result.chosenBy;
  if (result.untuned !== undefined) yield `${result.untuned} is the same without tuning, to compare with`;
  if (result.foldRuns !== undefined)
    yield `the networks of the folds are those of ${result.foldRuns.join(", ")}, each a run with a report of its own`;
  if (result.extraction !== undefined) {
    const { extracted, reused } = result.extraction;
    yield `features: ${counted(extracted, "picture")} extracted, ${reused} reused`;
  }
  if (result.generation !== undefined) {
    const { number, added, changed, removed } = result.generation;
    yield `generation ${number}: ${added} added, ${changed} changed, ${removed} removed`;
  }
  yield `ledger: ${describeLedger(ledger)}`;
  const again = result.untuned === undefined ? `, 'trommel retry ${id}' tries it again` : "";
  if (ledger.failed > 0) yield `'trommel errors ${id}' lists what failed${again}`;
  if (ledger.skipped > 0) yield `'trommel errors ${id}' lists what was skipped`;
  yield* describePatterns(result.listing?.leftOut);
  if (result.contradictions !== undefined) {
    const { images, sets, examples } = result.contradictions;
    const named = (examples[0] ?? []).map(({ key, label }) => `${key} is ${label}`).join(", ");
    yield printable(
      `${images} images in ${sets} ${sets === 1 ? "set" : "sets"} have the same bytes as others with another label, such as: ${named}`,
    );
  }
  yield* describeScores(result);
  yield `${kind === "run" ? "bundle" : "scores"}: ${shownPlace(location)}`;
  if (kind === "run") {
    const explained = result.measured === "out-of-fold" ? "; the report explains the figures" : "";
    yield `higher accuracy and lower log loss are better${explained}`;
    yield `report: ${shownPlace(`${location}/report.html`)}`;
  }
}

function* describeSorted({
  images,
  placed,
  below,
  unplaced,
  unplacedList,
  removed,
  into,
}: SortLedger): Generator<string> {
  yield `sorted ${counted(images, "image")} = ${placed} in place + ${below} below --min + ${unplaced} not placed`;
  if (removed > 0) yield `${removed} removed from where they were, each once its bytes were in its place`;
  if (unplaced > 0) yield `not placed: ${shownPlace(unplacedList)} lists them`;
  yield `sorted: ${shownPlace(into)}`;
}

function figuresOf({ accuracy, macroF1, logLoss }: NonNullable<RunResult["test"]>): string {
  return `accuracy ${accuracy.toFixed(4)}, macro F1 ${macroF1.toFixed(4)}, log loss ${logLoss.toFixed(4)}`;
}

/** On which images a run's own figures were measured. */
export function howMeasured({ measured }: RunResult): string {
  return measured === "out-of-fold" ? "out-of-fold" : "validation";
}
