import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseAs } from "@trommel/common";
import { z } from "zod";

const schema = z.object({
  share: z.number().gt(0).lt(1).optional(),
  count: z.int().min(2).max(20).optional(),
  effort: z.enum(["quick", "default", "best"]).optional(),
  name: z.string().min(1).max(3).optional(),
  list: z.array(z.number()).min(1).optional(),
  side: z.union([z.literal("auto"), z.int()]).optional(),
  recipe: z.union([z.string().min(1), z.record(z.string(), z.unknown())]).optional(),
  own: z.number().max(1, "a share is at most 1").optional(),
  needed: z.boolean(),
});

function faultOf(value: unknown): string {
  try {
    parseAs(schema, value, "it");
  } catch (thrown) {
    return (thrown as Error).message.replace("cannot read it: ", "");
  }
  return "";
}

describe("a fault in what was written", () => {
  const cases = [
    [{ share: 1.5 }, "share: must be below 1 (given 1.5)"],
    [{ share: 0 }, "share: must be above 0 (given 0)"],
    [{ count: 1 }, "count: must be at least 2 (given 1)"],
    [{ count: 21 }, "count: must be at most 20 (given 21)"],
    [{ count: 2.5 }, "count: must be a whole number (given 2.5)"],
    [{ count: "two" }, 'count: must be a number (given "two")'],
    [{ effort: "slow" }, 'effort: must be quick, default or best (given "slow")'],
    [{ name: "" }, 'name: must have at least 1 character (given "")'],
    [{ name: "long" }, 'name: must have at most 3 characters (given "long")'],
    [{ list: [] }, "list: must have at least 1 entry"],
    [{ list: 1 }, "list: must be a list (given 1)"],
    [{ side: "wide" }, 'side: must be auto or a number (given "wide")'],
    [{ recipe: 5 }, "recipe: must be a text or a mapping (given 5)"],
    [{ own: 2 }, "own: a share is at most 1 (given 2)"],
  ] as const;
  for (const [value, words] of cases)
    it(`says ${words}`, () => assert.equal(faultOf({ needed: true, ...value }), words));

  it("says what is missing", () => assert.equal(faultOf({}), "needed: is missing"));

  it("says so of a field of several kinds too", () => {
    const either = z.strictObject({ recipe: z.union([z.string(), z.strictObject({})]) });
    assert.throws(() => parseAs(either, {}, "the body"), /recipe: is missing/);
  });
});
