import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import type { RoundFigures } from "@trommel/common/artefacts";
import { followToEnd } from "#trommel/cli/follow";
import { openDisplay } from "#trommel/cli/progress-display";
import { RoundLines } from "#trommel/cli/round-lines";
import { Terminal } from "#trommel/cli/terminal";

/** A run that moves three times and is complete; its listing is read with these outcomes, the last of them again and again. */
async function follow(outcomes: readonly (object | Error)[]): Promise<{ result: unknown; shown: string }> {
  const stderr = new PassThrough();
  let reads = 0;
  const work = {
    kind: "run",
    async *watch() {
      for (let moved = 0; moved < 3; moved += 1) yield await Promise.resolve({ progress: [] });
    },
    listing: () => {
      const outcome = outcomes[Math.min(reads, outcomes.length - 1)];
      reads += 1;
      return outcome instanceof Error ? Promise.reject(outcome) : Promise.resolve(outcome);
    },
    summary: () => Promise.resolve("the result"),
  } as unknown as Parameters<typeof followToEnd>[1];
  const io = { stdout: new PassThrough(), stderr, env: {}, cwd: "." };
  const result: unknown = await followToEnd(new Terminal(io, { json: false }), work);
  return { result, shown: String(stderr.read() ?? "") };
}

const listing = { listed: 4, images: 3, skipped: 1, oddities: [] };
const busy = new TrommelError("unavailable", "cannot read the listing: the server answers 503");

const round = (number: number, heldOut: RoundFigures["heldOut"]): RoundFigures => ({
  round: number,
  epoch: 1,
  steps: number + 1,
  training: { loss: 2 - number / 4, accuracy: 0.5 },
  heldOut,
});

describe("following a run to its end", () => {
  it("shows a line for each round of tuning that ends meanwhile, once, and how long the others take", async () => {
    const figures = [0, 1, 2, 3].map((at) =>
      round(at, at === 3 ? null : { images: 9, loss: 1.5, accuracy: 0.75 }),
    );
    const lines = new RoundLines();
    let merged = 2;
    const work = {
      kind: "run",
      tuning: () =>
        Promise.resolve({ figures: figures.slice(0, merged), rounds: 4, secondsLeft: 70 * (4 - merged) }),
    } as unknown as Parameters<typeof followToEnd>[1];
    const next = async (): Promise<string[]> => {
      const shown: string[] = [];
      for await (const line of lines.next(work, [{ stage: "merge", done: merged }])) shown.push(line);
      return shown;
    };
    const heldOut = "held-out loss 1.5000, accuracy 0.7500";
    assert.deepEqual(await next(), [
      `round 2 of 4, epoch 1: training loss 1.7500, ${heldOut}; about 2 min 20 s of tuning left`,
    ]);
    assert.deepEqual(await next(), []);
    merged = 4;
    assert.deepEqual(await next(), [
      `round 3 of 4, epoch 1: training loss 1.5000, ${heldOut}`,
      "round 4 of 4, epoch 1: training loss 1.2500, training accuracy 0.5000",
    ]);
  });

  it("reads the listing again at the next progress if the store fails, and shows it once", async () => {
    const { result, shown } = await follow([busy, listing]);
    assert.equal(result, "the result");
    assert.equal(shown.match(/listed 4: 3 images, 1 skipped/g)?.length, 1);
  });

  it("shows without a terminal what a stage that is under way waits for, and how many images failed", () => {
    const stderr = new PassThrough();
    const display = openDisplay(stderr);
    const stage = {
      unit: "jobs",
      perSecond: undefined,
      secondsLeft: undefined,
      failed: 0,
      reused: 0,
    } as const;
    display.show([
      { ...stage, stage: "solve", done: 1, total: 1, note: "over" },
      { ...stage, stage: "plan-tune", done: 0, total: 1, note: "x-untuned: extract 20/36" },
      { ...stage, stage: "extract", done: 3, total: 9, note: "", failed: 2 },
    ]);
    const shown =
      "solve 1/1 jobs, plan-tune 0/1 jobs (x-untuned: extract 20/36), extract 3/9 jobs (2 failed)";
    assert.equal(String(stderr.read()), `${shown}\n`);
  });

  it("ends with the run's result if the listing cannot be read at all", async () => {
    assert.equal((await follow([busy])).result, "the result");
  });

  it("throws what another try does not change", async () => {
    await assert.rejects(follow([new TrommelError("corrupt", "cannot read listing.json")]), /cannot read/);
  });
});
