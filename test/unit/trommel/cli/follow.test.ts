import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { followToEnd } from "#trommel/cli/follow";
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

describe("following a run to its end", () => {
  it("reads the listing again at the next progress if the store fails, and shows it once", async () => {
    const { result, shown } = await follow([busy, listing]);
    assert.equal(result, "the result");
    assert.equal(shown.match(/listed 4: 3 images, 1 skipped/g)?.length, 1);
  });

  it("ends with the run's result if the listing cannot be read at all", async () => {
    assert.equal((await follow([busy])).result, "the result");
  });

  it("throws what another try does not change", async () => {
    await assert.rejects(follow([new TrommelError("corrupt", "cannot read listing.json")]), /cannot read/);
  });
});
