import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { compareUtf8, openStore, recipe, type RunConfig } from "@trommel/common";
import { SplitMemory } from "#coordinator/plan/split/split-memory";
import fc from "fast-check";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const root = await temporaryFolder("split-memory");
let made = 0;

/** What memory looks at of a run. */
const runOf = (id: string, dataset = "file:///pictures", seed = 0): RunConfig =>
  ({ id, dataset, recipe: recipe.parse({ backbones: ["net"], seed }) }) as RunConfig;
/** A store in which, as in every store that is planned into, something lies. */
async function newStore() {
  const store = openStore(join(root, String((made += 1))));
  await store.put("runs/r/run.json", Buffer.from("{}"));
  return store;
}
async function* each(keys: readonly string[]): AsyncGenerator<string> {
  for (const key of keys) yield await Promise.resolve(key);
}
const names = fc.uniqueArray(fc.string({ unit: "binary", minLength: 1, maxLength: 2 }), { maxLength: 40 });

describe("SplitMemory", () => {
  it("knows the keys of every run, asked in the order of a listing", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(names, { maxLength: 3 }), names, async (runs, others) => {
        const store = await newStore();
        for (const [index, keys] of runs.entries()) {
          const sorted = [...keys].sort(compareUtf8);
          await new SplitMemory(store, runOf(`r${index}`)).write(each(sorted), sorted.length);
        }
        const left = new Set(runs.flat());
        const remembered = await new SplitMemory(store, runOf("new")).read();
        for (const key of [...new Set([...runs.flat(), ...others])].sort(compareUtf8))
          assert.equal(await remembered.has(key), left.has(key), JSON.stringify(key));
      }),
      { numRuns: 40 },
    );
  });

  it("holds many keys in several files, finishes what was begun, and reads nothing where all is there", async () => {
    const store = await newStore();
    const memory = new SplitMemory(store, runOf("many"));
    const keys = Array.from({ length: 25_001 }, (_, i) => `k${String(i).padStart(6, "0")}`);
    await assert.rejects(
      memory.write(
        (async function* () {
          yield* each(keys.slice(0, 12_000));
          throw new Error("the coordinator was killed");
        })(),
        keys.length,
      ),
    );
    await memory.write(each(keys), keys.length);
    const files: string[] = [];
    for await (const { key } of store.list("splits/")) files.push(key.replace(/^.*\/many/, "many"));
    assert.deepEqual(files, ["many/00000.json", "many/00001.json", "many/00002.json"]);
    const remembered = await memory.read();
    for (const key of keys) assert.ok(await remembered.has(key));
    assert.equal(await remembered.has("k9"), false);
    await memory.write(
      // eslint-disable-next-line require-yield -- it must not be asked
      (async function* (): AsyncGenerator<string> {
        await Promise.reject(new Error("it was read"));
      })(),
      keys.length,
    );
  });

  it("keeps datasets and seeds apart, and reads the one file of the earlier form", async () => {
    const store = await newStore();
    await new SplitMemory(store, runOf("a")).write(each(["x"]), 1);
    for (const other of [runOf("b", "file:///others"), runOf("b", "file:///pictures", 1)])
      assert.equal(await (await new SplitMemory(store, other).read()).has("x"), false);
    for await (const { key } of store.list("splits/")) {
      const earlier = { formatVersion: 1, seed: 0, fraction: 0.1, validation: ["y", "z"] };
      await store.put(key.replace("a/00000.json", "old.json"), Buffer.from(JSON.stringify(earlier)));
    }
    const remembered = await new SplitMemory(store, runOf("c")).read();
    for (const [key, expected] of [
      ["x", true],
      ["xx", false],
      ["y", true],
      ["z", true],
    ] as const)
      assert.equal(await remembered.has(key), expected, key);
  });
});
