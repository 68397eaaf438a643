import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, it } from "node:test";
import { openStore, outputKeys, writeWithMarker } from "@trommel/common";
import { generationOutput } from "@trommel/common/artefacts";
import { jsonBytes } from "@trommel/common/codec";
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
});
