import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openStore, recipe } from "@trommel/common";
import { readDivision } from "@trommel/common/artefacts";
import { GroupCount } from "#coordinator/plan/split/group-count";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const store = openStore(join(await temporaryFolder("group-count"), "store"));
const keys = ["glass/site-1_a.jpg", "glass/site-1_b.jpg", "paper/c.jpg"];

/** Counts all keys. @returns what they are grouped as, and the check */
async function counted(groups: object | null) {
  const asked = recipe.parse({ backbones: ["net"], split: { groups } });
  const count = new GroupCount(await readDivision(store, { id: "r", recipe: asked }));
  return { groups: keys.map((key) => count.groupOf(key)), check: () => count.check(asked) };
}

describe("the groups of a listing", () => {
  it("are refused if a pattern or a folder level finds none in any key", async () => {
    for (const [groups, words] of [
      [
        { pattern: "^site-([0-9]+)" },
        /split\.groups\.pattern: no key matches "\^site-\(\[0-9\]\+\)", as in "glass\/site-1_a/,
      ],
      [{ folder: 2 }, /split\.groups\.folder: no key has a folder at level 2, as in "glass\/site-1_a\.jpg"/],
    ] as const) {
      const { groups: found, check } = await counted(groups);
      assert.deepEqual(found, keys);
      assert.throws(check, { code: "bad-dataset", message: words });
    }
  });

  it("are fine if one key has a group, or nothing asks for any", async () => {
    const { groups, check } = await counted({ pattern: "site-([0-9]+)" });
    assert.deepEqual(groups, ["1", "1", "paper/c.jpg"]);
    check();
    (await counted(null)).check();
  });
});
