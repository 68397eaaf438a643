import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openStore, recipe } from "@trommel/common";
import { readSourceLabels } from "#coordinator/labels/read-source-labels";
import { KeyFilter } from "#coordinator/listing/key-filter";
import type { LabelledRow } from "#coordinator/sources/image-source";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("source-labels");

/** Reads the labels of a source with one image in each of its files. */
function read(labels: readonly string[], lookAlikes: "refuse" | "keep") {
  const rows = labels.map((label, i): LabelledRow => {
    return { key: `${i}.jpg`, label, others: [], file: `${i}.csv`, line: 2 };
  });
  const place = { source: openStore(folder), filter: new KeyFilter({ include: [], exclude: [] }) };
  async function* labelled() {
    yield* await Promise.resolve(rows);
  }
  const { split } = recipe.parse({ backbones: ["any"] });
  return readSourceLabels(place, labelled, { split, classes: null, lookAlikes });
}

describe("labels that a source has itself", () => {
  it("are refused if one looks like an earlier one, in whichever file it is", async () => {
    for (const [labels, file] of [
      [["glass", "Glass", "metal"], "1.csv"],
      [["glass", "metal", "Glass"], "2.csv"],
    ] as const)
      await assert.rejects(read(labels, "refuse"), {
        code: "bad-dataset",
        message: new RegExp(`${file}, line 2: the class "Glass" looks like "glass"`),
      });
    const { byKey } = await read(["glass", "Glass", "metal"], "keep");
    assert.equal(byKey.size, 3);
  });
});
