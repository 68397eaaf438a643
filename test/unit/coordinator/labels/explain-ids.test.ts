import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { recipe, resolveLocation, type TrommelError } from "@trommel/common";
import { explainIds } from "#coordinator/labels/faults/explain-ids";
import { resolveLabels } from "#coordinator/labels/resolve-labels";
import { writeFiles } from "../../../support/images/dataset.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const keys = ["a/one.jpg", "a/two.jpg", "b/Drei.JPG", "b/four.d.png", "five.jpg"];

/** What the id says of itself, and what to do about it. */
async function said(id: string): Promise<readonly [string, string] | undefined> {
  const { differences } = await explainIds([id], keys);
  const found = differences.get(id);
  return found && [`${found.key} ${found.what}`, found.remedy];
}

describe("ids that no image has", () => {
  it("are explained by the key that they seem to mean", async () => {
    for (const [id, key, remedy] of [
      ["./a/one.jpg", 'a/one.jpg with "./" in front', 'Remove "./"'],
      ["/data/a/one.jpg", 'a/one.jpg with "/data/" in front', 'Remove "/data/"'],
      ["s3://bucket/p/five.jpg", 'five.jpg with "s3://bucket/p/" in front', 'Remove "s3://bucket/p/"'],
      ["./one.jpg", 'a/one.jpg with "./" in front', 'Remove "./"'],
      ["a\\one.jpg", "a/one.jpg with \\ instead of /", "Write / between folders"],
      [
        "C:\\p\\a\\one.jpg",
        'a/one.jpg with \\ instead of / and with "C:/p/" in front',
        'Write / between folders, and remove "C:/p/"',
      ],
      ["A/One.jpg", "a/one.jpg in another case", "Write upper and lower case as in the keys"],
      ["drei.jpg", "b/Drei.JPG in another case", "Write upper and lower case as in the keys"],
      ["Drei.jpg", "b/Drei.JPG in another case", "Write upper and lower case as in the keys"],
      ["one.png", 'a/one.jpg with the extension ".png" instead of ".jpg"', 'Write ".jpg"'],
      ["b/four.d", 'b/four.d.png without the extension ".png"', 'Add ".png"'],
    ] as const)
      assert.deepEqual(await said(id), [key, remedy], id);
    const deep = await explainIds(["a/one.jpg"], ["train/a/one.jpg"]);
    assert.equal(deep.differences.get("a/one.jpg")?.what, 'without "train/" in front');
    for (const id of ["c/one.jpg", "six.jpg", "one.txt", "ones", "jpg", ""])
      assert.equal(await said(id), undefined, id);
  });

  it("are explained once for all that differ alike, the most frequent first", async () => {
    const { sentences } = await explainIds(["./a/one.jpg", "A/TWO.jpg", "./a/two.jpg", "six"], keys);
    assert.equal(
      sentences,
      '2 ids are keys with "./" in front, such as "./a/one.jpg" for "a/one.jpg". Remove "./". ' +
        '1 id is a key in another case, such as "A/TWO.jpg" for "a/two.jpg". Write upper and lower case as in the keys.',
    );
    assert.equal((await explainIds(["six"], keys)).sentences, "");
    const many = Array.from({ length: 10_050 }, (_, i) => `${i}.jpg`);
    const bounded = await explainIds(
      many.map((key) => `./${key}`),
      many,
    );
    assert.match(bounded.sentences, /^At least 10000 ids are keys with/);
  });
});

describe("a table or a list with such ids", () => {
  it("says it in its message", async () => {
    const folder = await temporaryFolder("explain-ids");
    const dataset = join(folder, "pictures");
    await writeFiles(dataset, new Map(keys.map((key) => [key, ""])));
    const table = join(folder, "labels.csv");
    const labels = { source: { type: "csv", file: table } };
    const refusal = async (rows: readonly string[], split: object = {}): Promise<string> => {
      await writeFile(table, `id,label\n${rows.join("\n")}\n`);
      const asked = recipe.parse({ backbones: ["any"], labels, split });
      let message = "";
      await assert.rejects(
        resolveLabels({ location: resolveLocation(dataset) }, asked),
        (thrown: TrommelError) => {
          message = thrown.message;
          return thrown.code === "bad-dataset";
        },
      );
      return message;
    };
    assert.match(
      await refusal(["./a/one.jpg,x", "five,y"]),
      /line 2: no image has the id "\.\/a\/one\.jpg": it is "a\/one\.jpg" with "\.\/" in front\. Remove "\.\/"$/,
    );
    assert.match(
      await refusal(["./a/one.jpg,x", "./five.jpg,y", "six,y"]),
      /it has 3 faults\. 2 ids are keys with "\.\/" in front, .*Remove "\.\/"\. Correct these lines:\n {2}line 2: .*\n {2}line 3: .*\n {2}line 4: no image has the id "six"$/,
    );
    // Where all have it in common, one sentence says so, and no line each.
    const all = ["./five.jpg,y", "./a/one.jpg,x", "./a/two.jpg,x"];
    assert.match(
      await refusal(all),
      /labels\.csv, lines 2 to 4: 3 ids are keys with "\.\/" in front, such as "\.\/a\/one\.jpg" for "a\/one\.jpg"\. Remove "\.\/"$/,
    );
    const none = Array.from({ length: 24 }, (_, i) => `other/${i}.jpg,x`);
    assert.match(
      await refusal(none),
      /labels\.csv, lines 2 to 25: None of its 24 ids, such as "other\/0\.jpg", is of an image, and "a\/one\.jpg" is the key of one\. Give keys or file names of these images$/,
    );
    assert.match(await refusal(["six,x", "five,y"]), /Remove the line, or put the image under the prefix$/);
    const list = join(folder, "test.txt");
    await writeFile(list, "A/ONE.JPG\nfive\n");
    assert.match(
      await refusal(["one,x", "five,y"], { test: { keys: list } }),
      /test\.txt, line 1: no image has the id "A\/ONE\.JPG": it is "a\/one\.jpg" in another case/,
    );
  });
});
