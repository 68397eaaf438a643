import { canonicalJson, jobId, toTrommelError, TrommelError, type JobPayload } from "@trommel/common";
import { beginPlan, planOn } from "./run-model-plan.js";
import { completeJob, delay, failed, going, jobOf, refuseIfOver, without } from "./run-model-queue.js";
import type { Holder, ModelShard, RunModel, Writing } from "./run-model-state.js";

/** What each stage reads and writes, in steps between which a process may die, be paused, or lose its job. */

/** Files that cannot be decoded. */
const isBroken = (file: number): boolean => file % 4 === 2;

/** One step of a holder's work. */
export function advance(state: RunModel, holder: Holder): RunModel {
  try {
    switch (holder.work.at) {
      case "begin":
        return begin(state, holder);
      case "write":
        return write(state, holder, holder.work.rest);
      case "plan":
        return planOn(state, holder, holder.work.plan);
      case "finish": {
        const job = jobOf(state, holder);
        return job === undefined ? without(state, holder) : completeJob(without(state, holder), job);
      }
    }
  } catch (thrown) {
    return failed(state, holder, toTrommelError(thrown));
  }
}

function begin(state: RunModel, holder: Holder): RunModel {
  const { payload } = holder;
  refuseIfOver(state, payload, true);
  const { stage } = payload;
  if (stage === "gram") {
    const makerQueued = state.jobs.has(
      jobId({ stage: "plan-run", id: payload.id, attempt: payload.attempt }),
    );
    const may = state.rules.mayStart({ makerQueued, written: state.store.has("listing") });
    if (may !== "start") {
      const job = jobOf(state, holder);
      const after = without(state, holder);
      if (job === undefined) return after;
      if (may === "wait") return delay(after, job);
      return failed(state, holder, new TrommelError("missing-input", "the plan ended without a listing"));
    }
  }
  if (stage === "plan-run" || stage === "plan-measure" || stage === "plan-scoring")
    return beginPlan(state, holder);
  const output = outputOf(payload);
  if (output.once && state.store.has(output.name) && state.rules.looksForMarker) {
    return going(state, holder, { at: "finish" });
  }
  const rest = make(state, payload, output);
  const repeats = rest.filter(({ name, once }) => once && state.store.has(name)).map(({ name }) => name);
  return { ...going(state, holder, { at: "write", rest }), repeated: [...state.repeated, ...repeats] };
}

/** The artefact with which a stage is done. */
function outputOf(payload: JobPayload): { name: string; once: boolean } {
  switch (payload.stage) {
    case "measure":
      return { name: `statistics/${payload.shard}`, once: true };
    case "extract":
      return { name: `features/${payload.shard}`, once: true };
    case "score":
      return { name: `part/${payload.shard}`, once: true };
    case "gram":
      return { name: `gram/${payload.gram}`, once: true };
    case "normalize":
      return { name: "normalization", once: true };
    case "solve":
      return { name: "projection", once: true };
    case "train":
      return { name: "head", once: true };
    case "bundle":
      return { name: "bundle", once: false };
    case "close":
      return { name: "success", once: false };
    default:
      throw new TrommelError("internal", `${payload.stage} is no worker's`);
  }
}

/** Everything is a function of its inputs, as the stages' bytes are. */
function make(state: RunModel, payload: JobPayload, output: { name: string; once: boolean }): Writing[] {
  const read = (name: string): string => {
    const found = state.store.get(name);
    if (found !== undefined || !state.rules.requiresInputs) return found ?? "nothing";
    throw new TrommelError("missing-input", `failed to read ${name}: it has no marker`);
  };
  const shards = (): number[] => [...Array(Number(read("listing").split(" ")[0])).keys()];
  const each = (kind: string, indices: readonly number[]): string =>
    indices.map((index) => read(`${kind}/${index}`)).join("|");
  const one = (content: string): Writing[] => [{ ...output, content }];
  switch (payload.stage) {
    case "measure":
    case "extract":
    case "score": {
      const { entries } = JSON.parse(read(`shard/${payload.shard}`)) as ModelShard;
      return one(
        canonicalJson({
          stage: payload.stage,
          ok: entries.filter((file) => !isBroken(file)),
          failed: entries.filter(isBroken),
        }),
      );
    }
    case "normalize":
      return one(`normalization of ${each("statistics", shards())}`);
    case "gram": {
      const size = state.rules.shardsPerGram;
      const group = shards().slice(payload.gram * size, (payload.gram + 1) * size);
      return one(`gram of ${each("features", group)}`);
    }
    case "solve": {
      const grams = Math.ceil(shards().length / state.rules.shardsPerGram);
      return one(`projection of ${each("gram", [...Array(grams).keys()])}`);
    }
    case "train":
      return one(`head of ${read("projection")} and ${each("features", shards())}`);
    case "bundle": {
      const ledger = ledgerOf(read, "features", shards());
      return [
        { name: "ledger", content: ledger, once: false },
        ...one(`bundle of ${read("head")}, ${read("projection")}, ${ledger}`),
      ];
    }
    case "close": {
      const ledger = ledgerOf(read, "part", shards());
      return [{ name: "ledger", content: ledger, once: false }, ...one(`success with ${ledger}`)];
    }
    default:
      throw new TrommelError("internal", `${payload.stage} is no worker's`);
  }
}

function ledgerOf(read: (name: string) => string, kind: string, shards: readonly number[]): string {
  const sums = { ok: 0, failed: 0, skipped: 0 };
  for (const index of shards) {
    const shard = JSON.parse(read(`shard/${index}`)) as ModelShard;
    const part = JSON.parse(read(`${kind}/${index}`)) as { ok: number[]; failed: number[] };
    sums.ok += part.ok.length;
    sums.failed += part.failed.length;
    sums.skipped += shard.skipped.length;
  }
  const listed = Number(read("listing").split(" ")[1]);
  if (listed === sums.ok + sums.failed + sums.skipped) return canonicalJson({ listed, ...sums });
  throw new TrommelError("corrupt", "failed to balance the ledger");
}

function write(state: RunModel, holder: Holder, [next, ...rest]: readonly Writing[]): RunModel {
  if (next === undefined) return going(state, holder, { at: "finish" });
  const stands = next.once && state.store.has(next.name) && state.rules.looksForMarker;
  const store = stands ? state.store : new Map(state.store).set(next.name, next.content);
  const after = rest.length === 0 ? ({ at: "finish" } as const) : ({ at: "write", rest } as const);
  return going({ ...state, store }, holder, after);
}
