import {
  bundleFiles,
  decodeNovelty,
  encodeProjection,
  runKeys,
  type BundleManifest,
  type Ledger,
  type ObjectStore,
  type Projection,
  type RunConfig,
} from "@trommel/common";
import {
  encodeStandardization,
  keptRound,
  networkRunsOf,
  readRoundFigures,
  type MeasuredFigures,
  type Mistake,
} from "@trommel/common/artefacts";
import { readInput } from "@trommel/common/codec";
import { autoHeadOf, isAuto, servedFlips, type Flip } from "@trommel/common/recipe";
import type { EmitHead, EmitNovelty } from "../../graph/serving-graph.js";
import {
  emitEnsemble,
  emitStandardization,
  ensembleLogits,
  standardized,
} from "../../head/model/ensemble.js";
import { emitHead } from "../../head/model/head-to-onnx.js";
import { predictProbabilities, softmaxRows } from "../../head/model/predict-head.js";
import { RowProjector } from "../../linalg/project-rows.js";
import { emitNovelty } from "../../measure/novelty/emit-novelty.js";
import { noveltyOf } from "../../measure/novelty/novelty-distances.js";
import { renderFoldReport } from "../../report/fold-report.js";
import { renderReport } from "../../report/report-html.js";
import type { TunedByFolds, TuningCurves } from "../../report/tuning/tuning-section.js";
import { trainingChartPng } from "../../report/training-chart.js";
import { readChoice } from "../inputs/choice.js";
import { readFoldSplit } from "../folding/fold-split.js";
import { meanOfViews, servedViews } from "../folding/predict-part.js";
import { readStandardization } from "../folding/standardization.js";
import { readProjection } from "../inputs/projection.js";
import { publishedHead } from "../inputs/run.js";
import { readTrained } from "../inputs/trained-head.js";
import { countParts } from "../folding/count-parts.js";

/** What a run trained: all that a bundle has between the embeddings and the probabilities, and what is said of it. */
export interface TrainedModel {
  /** In output order. */
  readonly labels: readonly string[];
  /** Null if the heads take the embeddings unprojected, or standardise them. */
  readonly projection: Projection | null;
  /** Adds what comes after the projection to a graph. */
  readonly emitHead: EmitHead;
  /** The model's second output; null if it has none. */
  readonly novelty: {
    /** Adds it to a graph. */
    readonly emit: EmitNovelty;
    /** The same in plain TypeScript. @param embeddings of the images themselves, [count, dimension] */
    readonly of: (embeddings: Float32Array) => Float32Array;
  } | null;
  /** The flips that the model averages over with the image itself. */
  readonly flips: readonly Flip[];
  /**
   * The same in plain TypeScript, to check the graph by.
   * @param embeddings of the views that the model serves with, [count · views, dimension]
   * @returns [count, classes]
   */
  readonly probabilities: (embeddings: Float32Array, count: number) => Promise<Float32Array>;
  /** The files of the bundle that hold it, by name. */
  readonly files: Readonly<Record<string, Uint8Array>>;
  readonly manifest: Pick<
    BundleManifest,
    "svd" | "ensemble" | "novelty" | "thresholds" | "contradictions" | "metrics"
  > & {
    readonly data: Omit<BundleManifest["data"], "images" | "failedImages">;
  };
  /** The worst mistakes on images that it never saw; none with a single head. */
  readonly mistakes: readonly Mistake[];
  /** @param gallery what shows those mistakes */
  readonly report: (manifest: BundleManifest, ledger: Ledger, gallery: string) => string;
}

/** @throws TrommelError `missing-input`, `corrupt` */
export function readTrainedModel(
  store: ObjectStore,
  config: RunConfig,
  threads: number,
): Promise<TrainedModel> {
  return isAuto(config.recipe) ? readFolded(store, config) : readValidated(store, config, threads);
}

/** A head whose epoch was kept by a validation part, on projected embeddings. */
async function readValidated(store: ObjectStore, config: RunConfig, threads: number): Promise<TrainedModel> {
  const projection = await readProjection(store, config);
  const { weights, weightBytes, metrics, metricsBytes, marker } = await readTrained(store, config.id);
  const head = publishedHead(config);
  const { labels, counts, trainRows } = marker;
  const sum = (of: "train" | "validation"): number => counts.reduce((total, row) => total + row[of], 0);
  const { rows, accuracy, macroF1, logLoss, measured, chosenBy } = metrics;
  return {
    labels,
    projection,
    emitHead: (builder, features) => emitHead(builder, features, weights, head),
    novelty: null,
    flips: [],
    probabilities: async (embeddings, count) => {
      if (projection === null) return predictProbabilities(head, weights, embeddings, count);
      const projector = await RowProjector.create(projection, { threads });
      try {
        return predictProbabilities(head, weights, await projector.project(embeddings, count), count);
      } finally {
        await projector.release();
      }
    },
    files: {
      [bundleFiles.metrics]: metricsBytes,
      [bundleFiles.lossCurves]: await trainingChartPng(metrics),
      [bundleFiles.head]: weightBytes,
      ...(projection === null ? {} : { [bundleFiles.projection]: encodeProjection(projection) }),
    },
    manifest: {
      svd:
        projection === null
          ? null
          : { components: projection.components, energyKept: projection.energyKept, scale: projection.scale },
      ensemble: null,
      novelty: null,
      thresholds: null,
      contradictions: metrics.contradictions,
      metrics: {
        ...{ rows, accuracy, macroF1, logLoss, measured, chosenBy },
        chosenApart: briefly(metrics.chosenApart),
        test: briefly(metrics.test),
      },
      data: {
        trainImages: sum("train"),
        validationImages: sum("validation"),
        trainRows,
        classes: [...counts],
      },
    },
    mistakes: [],
    report: (manifest, ledger) => renderReport({ manifest, metrics, ledger }),
  };
}

/** The chosen candidate's heads, on standardised embeddings. */
async function readFolded(store: ObjectStore, config: RunConfig): Promise<TrainedModel> {
  const standardization = await readStandardization(store, config.id);
  const { choice, choiceBytes, ensemble, ensembleBytes } = await readChoice(store, config.id);
  const noveltyBytes = autoHeadOf(config).novelty
    ? (await readInput(store, runKeys(config.id).novelty)).bytes
    : null;
  const novelty = noveltyBytes === null ? null : decodeNovelty(noveltyBytes, runKeys(config.id).novelty);
  const { labels, outOfFold } = choice;
  const counts = await countParts(store, config, await readFoldSplit(store, config.id), labels);
  const trained = counts.reduce((total, row) => total + row.train, 0);
  const views = servedViews(config.recipe);
  const tuning = await readTuning(store, config);
  return {
    labels,
    projection: null,
    emitHead: (builder, embeddings) =>
      emitEnsemble(
        builder,
        emitStandardization(builder, embeddings, standardization),
        standardization.mean.length,
        ensemble,
      ),
    novelty:
      novelty === null
        ? null
        : {
            emit: (builder, embeddings) =>
              emitNovelty(builder, emitStandardization(builder, embeddings, standardization), novelty),
            of: (embeddings) => noveltyOf(novelty, standardized(embeddings, standardization)),
          },
    flips: servedFlips(config.recipe),
    probabilities: (embeddings, count) => {
      const logits = ensembleLogits(ensemble, standardized(embeddings, standardization), count * views);
      const averaged = new Float32Array(count * labels.length);
      for (let image = 0; image < count; image += 1) {
        const ofViews = logits.subarray(image * views * labels.length, (image + 1) * views * labels.length);
        averaged.set(meanOfViews(ofViews, views), image * labels.length);
      }
      return Promise.resolve(softmaxRows(averaged, labels.length));
    },
    files: {
      [bundleFiles.metrics]: choiceBytes,
      [bundleFiles.head]: ensembleBytes,
      [bundleFiles.standardization]: encodeStandardization(standardization),
      ...(noveltyBytes === null ? {} : { [bundleFiles.novelty]: noveltyBytes }),
    },
    manifest: {
      svd: null,
      ensemble: {
        ...{ head: ensemble.head, heads: ensemble.heads.length, temperature: ensemble.temperature },
        repeats: choice.candidates.find(({ chosen }) => chosen)?.repeats ?? 1,
        ...(ensemble.ownNetworks ? { ownNetworks: true as const } : {}),
      },
      novelty: novelty === null ? null : { name: "novelty", type: "float32", images: trained },
      thresholds: choice.thresholds,
      contradictions: choice.contradictions,
      metrics: {
        rows: outOfFold.images,
        accuracy: outOfFold.accuracy.value,
        macroF1: outOfFold.macroF1.value,
        logLoss: outOfFold.logLoss.value,
        measured: "out-of-fold",
        chosenBy: choice.chosenBy,
        chosenApart: null,
        test: briefly(choice.test),
      },
      data: {
        trainImages: trained,
        validationImages: outOfFold.images,
        trainRows: trained * config.recipe.views.count,
        classes: counts,
      },
    },
    mistakes: choice.mistakes,
    report: (manifest, ledger, gallery) => renderFoldReport({ manifest, choice, ledger, tuning, gallery }),
  };
}

async function readTuning(
  store: ObjectStore,
  config: RunConfig,
): Promise<TuningCurves | TunedByFolds | null> {
  const { id, recipe } = config;
  const { tune } = recipe;
  if (tune === null) return null;
  const foldRuns = networkRunsOf(config);
  if (foldRuns.length > 0) return { foldRuns };
  const figures = await readRoundFigures(store, id);
  return { figures, keptRound: keptRound(figures, tune.keep), keep: tune.keep };
}

function briefly(measured: MeasuredFigures | null): BundleManifest["metrics"]["test"] {
  if (measured === null) return null;
  const { images, accuracy, macroF1, logLoss } = measured;
  return { rows: images, accuracy: accuracy.value, macroF1: macroF1.value, logLoss: logLoss.value };
}
