import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, it } from "node:test";
import { openStore, outputKeys, scoringConfig, scoringKeys, writeWithMarker } from "@trommel/common";
import { generationOutput } from "@trommel/common/artefacts";
import { jsonBytes, parseSealedAs } from "@trommel/common/codec";
import { resolveSorting } from "#coordinator/sorting/resolve-sorting";
import { checkDependents, removeRun } from "#coordinator/store-keeping/remove-run";
import { scoringGarbage } from "#coordinator/store-keeping/scoring-garbage";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { writeScores } from "../../../support/runs/written-scores.js";

const folder = await temporaryFolder("scoring-garbage");

describe("parts that a later generation has replaced", () => {
  it("are found one by one with their marker first, where those of several generations have one name", async () => {
    const location = pathToFileURL(join(folder, "scores")).href;
    const [store, output] = [openStore(join(folder, "store")), openStore(location)];
    const rows = [{ key: "a.jpg", probabilities: [0.5, 0.5] }];
    const scores = { location, name: "replaced", classes: ["a", "b"], rows, source: location };
    const { id, model } = await writeScores(scores, store);
    for (const [generation, part] of [
      [1, 0],
      [2, 0],
      [2, 1],
    ] as const)
      await writeWithMarker(output, generationOutput(generation).part(part, "jsonl"), Buffer.from("{}\n"), {
        ...{ ok: 1, failed: [], labels: [] },
      });
    const counts = { added: 0, changed: 1, removed: 0, unchanged: 0 };
    const parts = [{ generation: 2, first: 1, last: 1 }];
    const generation = { number: 2, folder: generationOutput(2).folder, ...counts, parts };
    await output.put(
      outputKeys.success,
      jsonBytes({
        ...{ formatVersion: 1, scoring: id, generation, parts: 1, formats: ["jsonl"], files: [], rows: 1 },
        ...{ model, submission: null },
      }),
    );
    const found: string[][] = [];
    for await (const { objects } of scoringGarbage(store)) found.push(objects.map(({ key }) => key));
    assert.deepEqual(found, [
      ["generation-00001/part-00000.jsonl.json", "generation-00001/part-00000.jsonl"],
      ["generation-00002/part-00000.jsonl.json", "generation-00002/part-00000.jsonl"],
      ["part-00000.jsonl.json", "part-00000.jsonl"],
    ]);
  });

  it("stay while an unfinished sorting sorts by them, whose scoring cannot be removed either", async () => {
    const location = pathToFileURL(join(folder, "sorted-scores")).href;
    const [store, output] = [openStore(join(folder, "sorting-store")), openStore(location)];
    const rows = [{ key: "a.jpg", probabilities: [0.5, 0.5] }];
    const source = pathToFileURL(join(folder, "pictures")).href;
    const { id, model } = await writeScores(
      { location, name: "sorted", classes: ["a", "b"], rows, source },
      store,
    );
    const into = pathToFileURL(join(folder, "into")).href;
    const key = scoringKeys(id).config;
    const scoring = parseSealedAs(scoringConfig, await store.get(key), key);
    const { config, claim } = await resolveSorting(store, scoring, { into, how: "copy", min: 0 });
    await claim();
    const counts = { added: 0, changed: 1, removed: 0, unchanged: 0 };
    const parts = [{ generation: 1, first: 0, last: 0 }];
    const generation = { number: 1, folder: generationOutput(1).folder, ...counts, parts };
    await output.put(
      outputKeys.success,
      jsonBytes({
        ...{ formatVersion: 1, scoring: id, generation, parts: 1, formats: ["jsonl"], files: [], rows: 1 },
        ...{ model, submission: null },
      }),
    );
    const found = async (): Promise<string[]> => {
      const keys: string[] = [];
      for await (const { objects } of scoringGarbage(store)) keys.push(...objects.map((one) => one.key));
      return keys;
    };
    assert.deepEqual(await found(), []);
    await assert.rejects(checkDependents(store, { kind: "scoring", id }), {
      code: "conflict",
      message: new RegExp(`cannot remove ${id}: ${config.id}, which needs it, is not complete`),
    });
    await removeRun(store, { kind: "sorting", id: config.id });
    assert.deepEqual(await found(), ["part-00000.jsonl.json", "part-00000.jsonl"]);
    assert.deepEqual(await checkDependents(store, { kind: "scoring", id }), []);
  });
});
