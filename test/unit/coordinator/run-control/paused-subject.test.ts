import assert from "node:assert/strict";
import { join } from "node:path";
import { it } from "node:test";
import { openStore } from "@trommel/common";
import { cancelSubject, findSubject, readStatus } from "@trommel/coordinator/run-control";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { writeScores } from "../../../support/runs/written-scores.js";

it("is cancelled, and no longer paused, after a cancellation", async () => {
  const folder = await temporaryFolder("paused-subject");
  const store = openStore(join(folder, "store"));
  // Its output is elsewhere: it has a configuration and no result.
  const location = join(folder, "output");
  const { id } = await writeScores(
    { classes: ["a", "b"], rows: [], source: "file:///x", name: "x", location },
    store,
  );
  const output = openStore(location);
  await output.delete(["_SUCCESS.json"]);
  const subject = await findSubject(store, id);
  const phase = async (): Promise<string> => (await readStatus(store, subject, undefined)).phase;
  await cancelSubject(store, subject, undefined, { paused: true });
  assert.equal(await phase(), "paused");
  await cancelSubject(store, subject, undefined);
  assert.equal(await phase(), "cancelled");
  await cancelSubject(store, subject, undefined, { paused: true });
  assert.equal(await phase(), "paused");
  for (const place of [store, output]) place.close();
});
