import type { ModelEvaluation, SourceForm } from "@trommel/common/artefacts";
import { evaluationFiles, rivalOf, verdictOf } from "@trommel/common/artefacts";
import { locationOf } from "@trommel/common/store";
import {
  evaluationFolder,
  exportEvaluation,
  findEvaluation,
  matchEvaluationLabels,
  readFinishedScores,
  scoredKeys,
  writeEvaluationLabels,
  type EvaluationLabels,
  type FinishedScores,
  type MatchedLabels,
} from "@trommel/coordinator/evaluation";
import type { Scoring } from "../../run.js";
import { loadWorkerCommands } from "../../worker-package.js";
import { abortable, eitherSignal, type CallOptions } from "../abortable.js";
import type { WorkHost } from "../work.js";
import { missedBounds, type FigureBounds, type MissedBound } from "./figure-bounds.js";

/** How good a model is on labelled images, and where the store has it. */
export interface EvaluationResult extends ModelEvaluation {
  /** Location of `evaluation.json`, `evaluation.jsonl` (a line per image) and `evaluation.html`. */
  readonly location: string;
  /** Location of the report, a page of HTML. */
  readonly report: string;
  /** Location that the files were copied to as well; null if they were not. */
  readonly output: string | null;
  /** What it was compared with, and which is better, in sentences; null without a comparison. */
  readonly verdict: ComparisonVerdict | null;
  /** Whether the store had it already. */
  readonly reused: boolean;
  /** Figures on the wrong side of their bounds. */
  readonly missed: readonly MissedBound[];
}

/** What a comparison says, for people. */
export interface ComparisonVerdict {
  /** The beginning of a sentence, such as "The other model is second". */
  readonly other: string;
  /** Which model is better, and whether that may be chance. */
  readonly sentences: string;
}

/** @internal Scores that are there, or that a scoring is to make. */
export interface ScoresToEvaluate {
  /** Location of the scoring's output. */
  readonly location: string;
  /** Undefined if it was finished before. */
  readonly scoring: Scoring | undefined;
}

/** @internal What an evaluation is. */
export interface EvaluationPlan {
  /** Location of the images. */
  readonly source: string;
  /** What lists them, if not that prefix. */
  readonly from: SourceForm | undefined;
  readonly first: ScoresToEvaluate;
  readonly second: ScoresToEvaluate | undefined;
  readonly labels: EvaluationLabels;
  /** What was listed to be scored, and the labels that it has; undefined for scores that were there. */
  readonly listed: { readonly digest: string; readonly matched: MatchedLabels } | undefined;
  readonly bounds: FigureBounds;
  /** Location that the files are copied to, besides the store; null if they are not copied. */
  readonly output: string | null;
}

/** An evaluation that was begun: its scorings run, or are finished. */
export class Evaluation {
  /** Those that score for it, of the model and of the one to compare with; empty for scores that were there. */
  readonly scorings: readonly Scoring[];
  readonly #host: WorkHost;
  readonly #plan: EvaluationPlan;

  /** @internal */
  constructor(host: WorkHost, plan: EvaluationPlan) {
    this.#host = host;
    this.#plan = plan;
    this.scorings = [plan.first.scoring, plan.second?.scoring].flatMap((one) => one ?? []);
  }

  /**
   * Waits for the scores, and measures them.
   * @throws TrommelError `bad-dataset` if no labelled image is left; a scoring's own error; `invalid-argument` for a bound on
   *   a figure that the scores do not give
   */
  async result(options: CallOptions = {}): Promise<EvaluationResult> {
    for (const scoring of this.scorings) await scoring.result(options);
    return abortable(options, () => this.#measure(eitherSignal(options, this.#host.signal)));
  }

  async #measure(signal: AbortSignal): Promise<EvaluationResult> {
    const { store } = this.#host.connections;
    const { source, listed, bounds, output } = this.#plan;
    const first = await readFinishedScores(this.#plan.first.location);
    const second =
      this.#plan.second === undefined ? undefined : await readFinishedScores(this.#plan.second.location);
    const matched = listed?.matched ?? (await this.#labelsOf(first));
    const { table, unmatched } = matched;
    const folder = evaluationFolder({ first, second, listing: listed?.digest, table, unmatched });
    let evaluation = await findEvaluation(store, folder);
    const reused = evaluation !== undefined;
    if (evaluation === undefined) {
      await writeEvaluationLabels(store, folder, table);
      const worker = await loadWorkerCommands();
      evaluation = await worker.evaluate(
        {
          storeUrl: store.url,
          folder,
          source,
          scores: first.scores,
          compared: second?.scores ?? null,
          labelTable: table !== null,
          unmatchedLabels: unmatched,
        },
        signal,
      );
    }
    if (output !== null) await exportEvaluation(store, folder, output);
    const location = locationOf(store.url, folder);
    const report = `${location}/${evaluationFiles.report}`;
    const { comparison } = evaluation;
    const verdict =
      comparison === null
        ? null
        : { other: rivalOf(evaluation, comparison, store.url), sentences: verdictOf(evaluation, comparison) };
    return {
      ...evaluation,
      location,
      report,
      output,
      verdict,
      reused,
      missed: missedBounds(evaluation, bounds),
    };
  }

  async #labelsOf({ scores }: FinishedScores): Promise<MatchedLabels> {
    const { labels, from } = this.#plan;
    // Folders label by the keys of the rows, which the worker reads anyway; but not those within an archive.
    if (labels.file === null && from?.type !== "archives")
      return { table: null, unmatched: 0, labels: new Set() };
    const place = scores.location;
    return matchEvaluationLabels({ keysOf: () => scoredKeys(scores), from, place }, labels);
  }
}
