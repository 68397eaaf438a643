import {
  bundleFiles,
  bundleManifest,
  ledger as ledgerSchema,
  openStore,
  outputKeys,
  parseJsonAs,
  LiveRun,
  runConfig,
  runKeys,
  scoringConfig,
  scoringKeys,
  TrommelError,
  type BundleManifest,
  type Ledger,
  type ObjectStore,
  type RunConfig,
  type StopReason,
  type ScoringConfig,
  type Stage,
  type StageProgress,
} from "@trommel/common";
import { withTimeout } from "@trommel/common/waiting";
import { jsonBytes, parseSealedAs, putJson } from "@trommel/common/codec";
import {
  interruptedCode,
  readStopReason,
  scoreCounts,
  scoringSuccess,
  stopReasonKey,
  type ScoreCounts,
  type SubmissionOutcome,
} from "@trommel/common/artefacts";
import {
  flowOf,
  isRootLive,
  phaseOf,
  stagesOf,
  stageTable,
  type RunPhase,
  type SubjectTraits,
} from "@trommel/common/jobs";
import { readIfThere } from "@trommel/common/store";
import { z } from "zod";
import { listSubjects } from "./list-subjects.js";
import { rootJobId, type JobProducer } from "./job-producer.js";

/** ioredis waits without a limit for a Redis that does not answer; a status does not. */
const redisPatienceMs = 20_000;

/** A run or scoring by its id, as the store knows it. */
export type Subject =
  | { readonly kind: "run"; readonly id: string; readonly config: RunConfig }
  | { readonly kind: "scoring"; readonly id: string; readonly config: ScoringConfig };

export interface RunStatus {
  readonly kind: Subject["kind"];
  readonly id: string;
  readonly phase: RunPhase;
  readonly stages: readonly StageProgress[];
  readonly error: StopReason | undefined;
  readonly result: RunResult | undefined;
  /** The attempt that this describes; undefined if Redis knows no attempt. */
  readonly attempt: number | undefined;
}

/** What tells whose `_SUCCESS.json` it is. */
const successOwner = z.looseObject({ scoring: z.string() });

/** What a finished run or scoring has to show. */
export interface RunResult {
  readonly ledger: Ledger;
  /** Location of the bundle or of the scores. */
  readonly location: string;
  readonly accuracy?: number;
  readonly macroF1?: number;
  readonly logLoss?: number;
  /** Which head the figures are of: after a refit, the one before it. */
  readonly measured?: BundleManifest["metrics"]["measured"];
  readonly labels?: readonly string[];
  /** For a run, as long as Redis knows its last attempt: where its features came from. */
  readonly extraction?: ExtractionCounts;
  /** For a scoring: images by likeliest label. */
  readonly counts?: ScoreCounts;
  /** For a scoring with the format `kaggle`. */
  readonly submission?: SubmissionOutcome;
}

export interface ExtractionCounts {
  /** Pictures that went through the backbones. */
  readonly extracted: number;
  /** Pictures whose features stood in the store. */
  readonly reused: number;
}

function extractionOf(stages: readonly StageProgress[]): ExtractionCounts | undefined {
  const extract = stages.find(({ stage }) => stage === "extract");
  if (extract === undefined || extract.imagesDone === 0) return undefined;
  const { imagesDone, failedImages, reusedImages } = extract;
  return { extracted: imagesDone - failedImages - reusedImages, reused: reusedImages };
}

/** Stages that followers see, in order. */
function shownStages(subject: Subject): readonly Stage[] {
  return stagesOf(subject.kind, traitsOf(subject)).filter((stage) => stageTable[stage].counts !== null);
}

function traitsOf(subject: Subject): SubjectTraits {
  return { measured: subject.kind === "run" && subject.config.recipe.normalization === "dataset" };
}

/** @throws TrommelError `not-found` naming the ids that exist */
export async function findSubject(store: ObjectStore, id: string): Promise<Subject> {
  const run = await readIfThere(store, runKeys(id).config);
  if (run !== undefined)
    return { kind: "run", id, config: parseSealedAs(runConfig, run, runKeys(id).config) };
  const scoring = await readIfThere(store, scoringKeys(id).config);
  if (scoring !== undefined) {
    return { kind: "scoring", id, config: parseSealedAs(scoringConfig, scoring, scoringKeys(id).config) };
  }
  const known = (await listSubjects(store)).map((subject) => subject.id);
  throw new TrommelError(
    "not-found",
    `cannot find the run ${id} in ${store.url}: ${known.length === 0 ? "the store has no run yet" : `it has ${known.join(", ")}`}. Check the id and --store`,
    { context: { id } },
  );
}

/** The result, or undefined as long as it is missing: only the store says whether a run is complete. */
export async function readResult(store: ObjectStore, subject: Subject): Promise<RunResult | undefined> {
  if (subject.kind === "scoring") return readScoringResult(store, subject.config);
  const keys = runKeys(subject.id);
  const manifestKey = `${keys.bundle}/${bundleFiles.manifest}`;
  const body = await readIfThere(store, manifestKey);
  if (body === undefined) return undefined;
  const manifest = parseJsonAs(bundleManifest, body, manifestKey);
  const ledger = parseJsonAs(ledgerSchema, await readPart(store, keys.ledger), keys.ledger);
  const { accuracy, macroF1, logLoss, measured } = manifest.metrics;
  const location = `${store.url.replace(/\/$/, "")}/${keys.bundle}`;
  return { ledger, location, accuracy, macroF1, logLoss, measured, labels: manifest.labels };
}

async function readScoringResult(store: ObjectStore, config: ScoringConfig): Promise<RunResult | undefined> {
  const output = openStore(config.output);
  try {
    const body = await readIfThere(output, outputKeys.success);
    if (body === undefined) return undefined;
    // The prefix may hold another scoring, which is not this one's result.
    if (parseJsonAs(successOwner, body, outputKeys.success).scoring !== config.id) return undefined;
    const { submission, retries } = parseJsonAs(scoringSuccess, body, outputKeys.success);
    // A later retry makes it unfinished, even if this file has not been removed yet.
    if ((await store.head(scoringKeys(config.id).retry(retries))) !== undefined) return undefined;
    return {
      ledger: parseJsonAs(ledgerSchema, await readPart(output, outputKeys.ledger), outputKeys.ledger),
      location: config.output,
      counts: parseJsonAs(scoreCounts, await readPart(output, outputKeys.counts), outputKeys.counts),
      ...(submission === null ? {} : { submission }),
    };
  } finally {
    output.close();
  }
}

/** @throws TrommelError `corrupt` if a file that belongs to a result is missing */
async function readPart(store: ObjectStore, key: string): Promise<Uint8Array> {
  const body = await readIfThere(store, key);
  if (body !== undefined) return body;
  throw new TrommelError("corrupt", `cannot read ${key}: it belongs to a result and is missing`, {
    context: { key },
  });
}

/** Everything that can be said of a run now. Without a producer (no Redis) only the store is asked. */
export async function readStatus(
  store: ObjectStore,
  subject: Subject,
  producer: JobProducer | undefined,
): Promise<RunStatus> {
  const { result, fault } = await readResultOrFault(store, subject);
  const base = { kind: subject.kind, id: subject.id, result };
  const liveRun = producer === undefined ? undefined : new LiveRun(producer.redis, subject.id);
  const state =
    liveRun === undefined
      ? undefined
      : await withTimeout({ timeoutMs: redisPatienceMs, doing: "ask Redis" }, liveRun.state());
  const cancelled = result === undefined && (await isCancelled(store, subject));
  if (producer === undefined || liveRun === undefined || state === undefined) {
    const unknown = { stages: [], error: undefined, attempt: undefined };
    if (fault !== undefined) return { ...base, phase: "failed", ...unknown, error: fault };
    if (result !== undefined || cancelled)
      return { ...base, phase: result !== undefined ? "complete" : "cancelled", ...unknown };
    const error = await whyStopped(store, subject);
    const phase = error === undefined || error.code === interruptedCode ? "stopped" : "failed";
    return { ...base, phase, ...unknown, error };
  }
  const stages: StageProgress[] = [];
  for (const stage of shownStages(subject)) stages.push(await liveRun.progress(state.attempt, stage));
  const found = await producer.rootState(state.rootJobId);
  const root = found === "unknown" && state.opening ? "waiting" : found;
  const live = isRootLive(root);
  // It may have ended between the first look and this one; what the store says now decides.
  const now = live || result !== undefined ? { result, fault } : await readResultOrFault(store, subject);
  const error =
    state.error ??
    (live ? undefined : now.fault) ??
    (root === "failed" ? await rootError(producer, state.rootJobId) : undefined);
  const phase = phaseOf({ complete: now.result !== undefined, cancelled, failedStage: error?.stage, root });
  const extraction = extractionOf(stages);
  const shown =
    now.result === undefined || extraction === undefined ? now.result : { ...now.result, extraction };
  return { ...base, result: shown, phase, stages, error, attempt: state.attempt };
}

/** A ledger that does not balance, or a result that cannot be read, is no completion: the next attempt writes it again. */
export async function readResultOrFault(
  store: ObjectStore,
  subject: Subject,
): Promise<{ readonly result: RunResult | undefined; readonly fault: StopReason | undefined }> {
  try {
    return { result: await readResult(store, subject), fault: undefined };
  } catch (thrown) {
    if (!(thrown instanceof TrommelError) || thrown.code !== "corrupt") throw thrown;
    const stage = subject.kind === "run" ? "bundle" : "close";
    const message = `${thrown.message}. 'trommel resume ${subject.id}' adds up and writes it again`;
    return { result: undefined, fault: { code: thrown.code, message, stage } };
  }
}

/**
 * What the store says of a run that nobody works on. The note of an embedded cluster that does not answer is of a command
 * that could not take it back.
 */
async function whyStopped(store: ObjectStore, subject: Subject): Promise<StopReason | undefined> {
  const failure = await readStopReason(store, subject);
  if (failure !== undefined) return failure;
  const { cluster } = subject.kind === "run" ? runKeys(subject.id) : scoringKeys(subject.id);
  if ((await store.head(cluster)) === undefined) return undefined;
  const message = `the command that worked on it does not answer here: it was killed, or runs on another machine. 'trommel resume ${subject.id}' continues it`;
  return { code: interruptedCode, message, stage: "" };
}

/** A job that killed every worker that had it fails without a worker that could note the reason. */
async function rootError(producer: JobProducer, root: string): Promise<StopReason> {
  const stage = root.split(".").at(-1) ?? "";
  return { code: "internal", message: await producer.rootFailure(root), stage };
}

async function isCancelled(store: ObjectStore, subject: Subject): Promise<boolean> {
  return (await store.head(cancelKey(subject))) !== undefined;
}

/**
 * Writes a mark that survives Redis; workers see it at their next shard, and at once if Redis has it too. Redis gets it
 * first: a resume removes the mark from the store and then from Redis, so in whichever order the four steps happen, a run
 * without the mark in the store is not cancelled in Redis either.
 */
export async function cancelSubject(
  store: ObjectStore,
  subject: Subject,
  producer: JobProducer | undefined,
): Promise<void> {
  const body = jsonBytes({ formatVersion: 1, id: subject.id });
  if (producer !== undefined) await new LiveRun(producer.redis, subject.id).cancel();
  await putJson(store, cancelKey(subject), body);
}

/**
 * Opens the next attempt and queues it. Jobs whose marker is there end at once, so nothing is done twice.
 * @param seen the attempt that was seen to have ended, undefined for none
 * @returns the attempt's number, undefined if another command has opened one since
 */
export async function startAttempt(
  store: ObjectStore,
  subject: Subject,
  producer: JobProducer,
  seen: number | undefined,
): Promise<number | undefined> {
  await store.delete([cancelKey(subject), stopReasonKey(subject)]);
  const liveRun = new LiveRun(producer.redis, subject.id);
  const flow = flowOf(subject.kind, traitsOf(subject));
  const rootOf = (attempt: number): string => rootJobId(flow, subject.id, attempt);
  const attempt = await liveRun.open(rootOf, store.url, seen);
  if (attempt === undefined) return undefined;
  await producer.addFlow(flow, subject.id, attempt);
  await liveRun.opened();
  return attempt;
}

function cancelKey(subject: Subject): string {
  return subject.kind === "run" ? runKeys(subject.id).cancelled : scoringKeys(subject.id).cancelled;
}
