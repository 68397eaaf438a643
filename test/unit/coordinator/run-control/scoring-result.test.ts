import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openStore, outputKeys, scoringConfig, scoringKeys } from "@trommel/common";
import { parseSealedAs } from "@trommel/common/codec";
import { readResult } from "#coordinator/run-control/result";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { writeScores } from "../../../support/runs/written-scores.js";

const folder = await temporaryFolder("scoring-result");

/** The unknown images of a finished scoring's result, whose `counts.json` has no such field. */
async function unknownOf(
  name: string,
  more: { readonly unknownAbove?: number },
): Promise<number | undefined> {
  const store = openStore(`file://${join(folder, "store")}`);
  const location = `file://${join(folder, name)}`;
  const scores = { classes: ["a", "b"], rows: [{ key: "x", probabilities: [0.9, 0.1] }] };
  const { id } = await writeScores({ location, name, source: "file:///x", ...scores, ...more }, store);
  const key = scoringKeys(id).config;
  const config = parseSealedAs(scoringConfig, await store.get(key), key);
  const result = await readResult(store, { kind: "scoring", id, config });
  store.close();
  const output = openStore(location);
  assert.ok(
    !("unknown" in (JSON.parse(Buffer.from(await output.get(outputKeys.counts)).toString("utf8")) as object)),
  );
  output.close();
  assert.equal(result?.counts?.images, 1);
  return result.counts.unknown;
}

describe("the result of a scoring", () => {
  it("counts no unknown image where there could have been one", async () => {
    assert.equal(await unknownOf("strict", { unknownAbove: 0.99 }), 0);
  });

  it("does not count unknown images where there could be none", async () => {
    assert.equal(await unknownOf("plain", {}), undefined);
  });
});
