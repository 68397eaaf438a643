import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openStore, outputKeys, writeWithMarker, type ScoreFormat } from "@trommel/common";
import { checkParts, type ScorePart } from "#gpu-worker/stages/scoring/check-parts";
import { temporaryFolder } from "../../../../support/files/temp-folder.js";

describe("the parts of a scoring", async () => {
  const folder = await temporaryFolder("check-parts");
  const { signal } = new AbortController();
  const formats: readonly ScoreFormat[] = ["jsonl", "csv"];
  const good = (): Promise<void> => Promise.resolve();
  let outputs = 0;

  /** @param rows of each shard's JSON lines and of its CSV */
  async function partsOf(...rows: readonly (readonly [number, number])[]) {
    const output = openStore(join(folder, String((outputs += 1))));
    for (const [index, counts] of rows.entries()) {
      for (const [i, format] of formats.entries()) {
        const ok = counts[i] ?? 0;
        await writeWithMarker(output, outputKeys.part(index, format), Buffer.from("row\n".repeat(ok)), {
          ok,
        });
      }
    }
    return output;
  }
  const markersIn = async (output: ReturnType<typeof openStore>): Promise<string[]> => {
    const found: string[] = [];
    for await (const { key } of output.list("")) if (key.endsWith(".json")) found.push(key);
    return found;
  };

  it("are good where each is as its marker says and those of a shard have the same rows", async () => {
    const output = await partsOf([2, 2], [0, 0]);
    const checked: [number, string][] = [];
    const checkRows = (index: number, { bytes }: ScorePart): Promise<void> => {
      checked.push([index, Buffer.from(bytes).toString()]);
      return Promise.resolve();
    };
    await checkParts(output, { shards: [0, 1], keyOf: outputKeys.part, formats: ["csv"], checkRows, signal });
    assert.deepEqual(
      checked.sort(([a], [b]) => a - b),
      [
        [0, "row\nrow\n"],
        [1, ""],
      ],
    );
    assert.equal((await markersIn(output)).length, 4);
  });

  it("are to be made again where those of a shard have different rows, and only those", async () => {
    const output = await partsOf([2, 2], [2, 3], [1, 1]);
    await assert.rejects(
      checkParts(output, { shards: [0, 1, 2], keyOf: outputKeys.part, formats, checkRows: good, signal }),
      {
        code: "missing-input",
        message: /part-00001\.jsonl, part-00001\.csv.*2 and 3 rows/,
      },
    );
    assert.deepEqual(await markersIn(output), [
      "part-00000.csv.json",
      "part-00000.jsonl.json",
      "part-00002.csv.json",
      "part-00002.jsonl.json",
    ]);
  });
});
