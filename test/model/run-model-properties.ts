import assert from "node:assert/strict";
import { emptyRun, phaseOfModel, step, type ModelEvent } from "./run-model.js";
import type { ModelRules, RunModel } from "./run-model-state.js";
import fc from "fast-check";

/** What must hold of every run, whatever happens to it, written down apart from the model that is held to it. */

export interface RunScript {
  readonly kind: "run" | "scoring";
  readonly measured: boolean;
  readonly files: number;
  readonly shardSize: number;
  readonly shardsPerGram: number;
  readonly events: readonly ModelEvent[];
}

const pick = fc.nat(30);
const picking = (type: "grow" | "take" | "stall" | "wake" | "advance" | "hand-back" | "die") =>
  fc.record({ type: fc.constant(type), pick });

const event: fc.Arbitrary<ModelEvent> = fc.oneof(
  { weight: 60, arbitrary: picking("advance") },
  { weight: 25, arbitrary: picking("take") },
  { weight: 5, arbitrary: picking("stall") },
  { weight: 4, arbitrary: picking("wake") },
  { weight: 3, arbitrary: picking("die") },
  { weight: 2, arbitrary: picking("hand-back") },
  { weight: 1, arbitrary: picking("grow") },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("throw" as const), pick, retryable: fc.boolean() }) },
  { weight: 3, arbitrary: fc.constant({ type: "resume" as const }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("cancel" as const), told: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ type: "lose-redis" as const }) },
  { weight: 1, arbitrary: fc.constant({ type: "open" as const }) },
);

/** What a run takes in its stride: workers that die, are paused, or hand back, and tries that fail, few enough for any one job. */
const fault = fc.oneof(
  picking("stall"),
  picking("die"),
  picking("hand-back"),
  fc.record({ type: fc.constant("throw" as const), pick, retryable: fc.constant(true) }),
);
const progress = fc.array(
  fc.oneof({ weight: 3, arbitrary: picking("advance") }, picking("take"), picking("wake")),
  { maxLength: 40, size: "max" },
);

const settings = {
  kind: fc.constantFrom("run", "run", "scoring"),
  measured: fc.boolean(),
  files: fc.integer({ min: 0, max: 9 }),
  shardSize: fc.integer({ min: 1, max: 3 }),
  shardsPerGram: fc.integer({ min: 1, max: 3 }),
};

export const runScript: fc.Arbitrary<RunScript> = fc.record({
  ...settings,
  events: fc
    .array(event, { maxLength: 160, size: "max" })
    .map((events): ModelEvent[] => [{ type: "resume" }, ...events]),
});

export const calmScript: fc.Arbitrary<RunScript & { readonly wakeAfter: number }> = fc.record({
  ...settings,
  files: fc.integer({ min: 1, max: 9 }),
  /** Rounds of everybody else's work after which those that sleep wake. */
  wakeAfter: fc.integer({ min: 0, max: 60 }),
  events: fc
    .array(fc.tuple(progress, fault), { maxLength: 5, size: "max" })
    .map((parts): ModelEvent[] => [
      { type: "resume" },
      ...parts.flatMap(([before, happens]) => [...before, happens]),
    ]),
});

/** A script of {@link calmScript}: nobody has to resume, and nobody is told of a failure. Whose lock lapses, sleeps. */
export function playCalmRun(
  script: RunScript & { readonly wakeAfter: number },
  rules: Partial<ModelRules> = {},
): void {
  const { events, shardsPerGram, wakeAfter, ...options } = script;
  const asleep = new Set<number>();
  let state = emptyRun({ ...options, rules: { shardsPerGram, ...rules } });
  for (const happened of events) {
    const awake = [...state.holders.keys()].flatMap((token, i) => (asleep.has(token) ? [] : [i]));
    const turn = happened.type === "advance" ? awake[happened.pick % awake.length] : undefined;
    if (happened.type === "advance" && turn === undefined) continue;
    const before = state;
    state = stepChecked(state, turn === undefined ? happened : { type: "advance", pick: turn });
    if (happened.type === "stall") for (const token of lapsed(before, state)) asleep.add(token);
    checkCalm(state);
  }
  assert.equal(phaseOfModel(settle(state, { asleep, wakeAfter, watch: checkCalm })).phase, "complete");
}

function checkCalm(state: RunModel): void {
  const { phase, why } = phaseOfModel(state);
  assert.ok(
    phase === "running" || phase === "complete",
    `nobody is told of a failure: it is ${phase} (${why})`,
  );
}

/** Tokens of the locks that an event let lapse. */
function lapsed(before: RunModel, after: RunModel): number[] {
  return [...before.jobs].flatMap(([id, { token }]) =>
    token !== 0 && after.jobs.get(id)?.token === 0 ? [token] : [],
  );
}

/** Plays a script, then lets everybody work, and then resumes; every property is looked at on the way. */
export function playRun(script: RunScript, rules: Partial<ModelRules> = {}): RunModel {
  const { events, shardsPerGram, ...options } = script;
  let state = emptyRun({ ...options, rules: { shardsPerGram, ...rules } });
  for (const happened of events) state = stepChecked(state, happened);
  state = settle(state);
  for (let resumed = 0; resumed < 3 && phaseOfModel(state).phase !== "complete"; resumed += 1) {
    state = settle(stepChecked(state, { type: "resume" }));
  }
  checkEnd(state);
  if (!events.some(({ type }) => type === "grow")) checkAsUndisturbed(state, script);
  return state;
}

/** What stands is what stands after a run that nothing happened to. */
function checkAsUndisturbed(state: RunModel, script: RunScript): void {
  const { events: _, shardsPerGram, ...options } = script;
  const calm = settle(step(emptyRun({ ...options, rules: { shardsPerGram } }), { type: "resume" }));
  const artefacts = ({ store }: RunModel) => [...store].filter(([name]) => name !== "cancelled").sort();
  assert.deepEqual(artefacts(state), artefacts(calm), "as of an undisturbed run");
}

function stepChecked(before: RunModel, happened: ModelEvent): RunModel {
  const after = step(before, happened);
  checkArtefactsStand(before, after);
  checkPhases(before, after);
  checkOver(before, after, happened);
  assert.deepEqual(after.repeated, [], "nothing that is committed is made again");
  return after;
}

/** It ends once: what stands stays as it is, the ledger and the last marker among it. */
function checkArtefactsStand(before: RunModel, after: RunModel): void {
  if (before.store === after.store) return;
  for (const [name, content] of before.store) {
    if (name !== "cancelled") assert.equal(after.store.get(name), content, `${name} stays as it is`);
  }
}

function checkPhases(before: RunModel, after: RunModel): void {
  const [{ phase: was }, { phase, why }] = [phaseOfModel(before), phaseOfModel(after)];
  const last = after.kind === "run" ? "bundle" : "success";
  assert.equal(phase === "complete", after.store.has(last), "the store alone says what is complete");
  if (was === "complete") assert.equal(phase, "complete", "it ends once");
  if (phase === "failed") assert.notEqual(why, undefined, "a failed run says why");
}

/** Jobs of an attempt that is over may end what they have begun, and begin and queue nothing. */
function checkOver(before: RunModel, after: RunModel, happened: ModelEvent): void {
  const { liveRun } = before;
  const isOver = (attempt: number): boolean =>
    before.store.has("cancelled") || liveRun?.cancelled === true || (liveRun?.attempt ?? attempt) !== attempt;
  for (const { token, payload, work } of after.holders.values()) {
    const was = before.holders.get(token)?.work.at;
    if (was === "begin" && work.at !== "begin")
      assert.ok(!isOver(payload.attempt), "what is over begins nothing");
  }
  if (
    happened.type === "resume" ||
    liveRun === undefined ||
    !(liveRun.cancelled || after.jobs.size > before.jobs.size)
  )
    return;
  for (const [id, { payload }] of after.jobs) {
    if (before.jobs.has(id)) continue;
    assert.ok(!liveRun.cancelled && payload.attempt === liveRun.attempt, "what is over queues nothing");
  }
}

/** Nobody is hindered any more: whoever holds a job goes on, dead workers' locks lapse, everything that waits is taken. */
function settle(
  start: RunModel,
  later: { asleep?: Set<number>; wakeAfter?: number; watch?: (state: RunModel) => void } = {},
): RunModel {
  const { asleep = new Set<number>(), wakeAfter = 0, watch } = later;
  let state = start;
  const go = (type: "take" | "wake" | "stall" | "advance", at: number): void => {
    state = stepChecked(state, { type, pick: at });
    watch?.(state);
  };
  for (let round = 0; round < 600; round += 1) {
    if (round === wakeAfter) asleep.clear();
    const jobs = [...state.jobs.values()];
    const inState = (wanted: string) => jobs.filter((job) => job.state === wanted);
    const active = inState("active");
    if (state.holders.size + active.length + inState("waiting").length + inState("delayed").length === 0) {
      const stuck = jobs.filter((job) => job.state === "waiting-children").map(({ payload }) => payload);
      assert.deepEqual(stuck, [], "nothing waits for ever");
      assert.notEqual(phaseOfModel(state).phase, "running", "it ends");
      return state;
    }
    const orphans = active.flatMap(({ token }, i) =>
      state.holders.has(token) && !asleep.has(token) ? [] : [i],
    );
    for (const i of orphans.reverse()) go("stall", i);
    for (const _ of inState("delayed")) go("wake", 0);
    for (const token of [...state.holders.keys()].filter((holder) => !asleep.has(holder))) {
      go("advance", [...state.holders.keys()].indexOf(token));
    }
    for (let i = 0; i <= inState("waiting").length; i += 1) go("take", 0);
  }
  throw new assert.AssertionError({ message: "it ends: after 600 rounds it still runs" });
}

function checkEnd(state: RunModel): void {
  const { phase, why } = phaseOfModel(state);
  const takes = state.source.some((file) => file % 7 !== 3);
  if (!takes && !state.store.has("listing")) {
    assert.deepEqual([phase, why], ["failed", "bad-dataset"], "a run without pictures says so");
    return;
  }
  assert.equal(phase, "complete", `whatever happened, resuming completes it (${why})`);
  checkLedger(state);
}

/** Every file that was listed is ok, failed or skipped, and one of them once. */
function checkLedger(state: RunModel): void {
  const read = (name: string): string => state.store.get(name) ?? assert.fail(`${name} is missing`);
  const [shards, listed] = read("listing").split(" ").map(Number) as [number, number];
  const kind = state.kind === "run" ? "features" : "part";
  const seen: number[] = [];
  const sums = { listed, ok: 0, failed: 0, skipped: 0 };
  for (let index = 0; index < shards; index += 1) {
    const { skipped } = JSON.parse(read(`shard/${index}`)) as { skipped: number[] };
    const part = JSON.parse(read(`${kind}/${index}`)) as { ok: number[]; failed: number[] };
    seen.push(...part.ok, ...part.failed, ...skipped);
    sums.ok += part.ok.length;
    sums.failed += part.failed.length;
    sums.skipped += skipped.length;
  }
  assert.equal(new Set(seen).size, seen.length, "no file counts twice");
  for (const file of seen) assert.ok(state.source.includes(file), `${file} was never there`);
  assert.equal(seen.length, listed, "every listed file is accounted for");
  assert.deepEqual(JSON.parse(read("ledger")), sums, "the ledger is the sum of the shards");
}
