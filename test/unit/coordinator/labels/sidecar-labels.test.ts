import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { recipe, resolveLocation, type TrommelError } from "@trommel/common";
import { resolveLabels } from "#coordinator/labels/resolve-labels";
import { writeFiles } from "../../../support/images/dataset.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("sidecar-labels");
let cases = 0;

/** Puts files down, `classes.txt` among them where a list is given, and resolves the labels. */
async function resolve(files: Readonly<Record<string, string | Uint8Array>>, classes?: string) {
  cases += 1;
  const dataset = join(folder, String(cases));
  const list = join(dataset, "classes.txt");
  await writeFiles(dataset, new Map(Object.entries(files)));
  if (classes !== undefined) await writeFiles(dataset, new Map([["classes.txt", classes]]));
  const asked = recipe.parse({
    backbones: ["any"],
    labels: { source: { type: "sidecar" }, ...(classes === undefined ? {} : { classes: list }) },
  });
  return resolveLabels({ location: resolveLocation(dataset) }, asked);
}

const list = "可回收物/易拉罐 1\n其他垃圾/污损塑料 0\n";
const can = "可回收物/易拉罐";
const plastic = "其他垃圾/污损塑料";

describe("labels from a text file beside each image", () => {
  it("are indices into the class list or its names; images without one have no label", async () => {
    const found = await resolve(
      {
        "a/img_1.jpg": "",
        "a/img_1.txt": "img_1.jpg, 0",
        "a/img_2.jpg": "",
        "a/img_2.txt": "\ufeffimg_2.jpg,1\r\n\r\n",
        "b/one, two.png": "",
        "b/one, two.txt": `one, two.png, ${can}\n`,
        "b/bare.jpg": "",
        ".trash/x.txt": "anything",
      },
      list,
    );
    assert.deepEqual(found.classes, [plastic, can]);
    assert.deepEqual(found.table?.labels, [
      ["a/img_1.jpg", plastic],
      ["a/img_2.jpg", can],
      ["b/one, two.png", can],
    ]);
  });

  it("are sorted names without a list, and one of two images that share a name", async () => {
    const found = await resolve({
      "1.jpg": "",
      "1.png": "",
      "1.txt": "1.png, b",
      "2.jpg": "",
      "2.txt": "2.jpg, a, or z",
    });
    assert.deepEqual(found.classes, ["a, or z", "b"]);
    assert.deepEqual(found.table?.labels, [
      ["1.png", "b"],
      ["2.jpg", "a, or z"],
    ]);
  });

  it("are read whole where there are more than are read at once", async () => {
    const files: Record<string, string> = {};
    for (let i = 0; i < 300; i += 1) {
      files[`${i}.jpg`] = "";
      files[`${i}.txt`] = `${i}.jpg, ${i % 2}`;
    }
    const labels = new Map((await resolve(files, list)).table?.labels);
    assert.equal(labels.size, 300);
    for (let i = 0; i < 300; i += 1) assert.equal(labels.get(`${i}.jpg`), i % 2 === 0 ? plastic : can);
  });

  it("are refused naming the text file, its line and the fault", async () => {
    const bad: readonly (readonly [string | Uint8Array, number, RegExp, string?])[] = [
      ["img.jpg, 2", 1, /index 2 is not in the class list, which ends at 1/, list],
      ["img.jpg, tin", 1, /"tin" is not in the class list/, list],
      ["img.jpg, -1", 1, /"-1" is not in the class list/, list],
      ["img.jpg, 0", 1, /without a class list/],
      ["img.jpg, 1", 1, /both the name of a class and the index of "2"/, "1 0\n2 1\n"],
      ["img.jpg 0", 1, /no comma/, list],
      ["img.jpg, ", 1, /names no class/, list],
      ["", 1, /empty/, list],
      ["other.jpg, 0", 1, /names "other\.jpg", but the image of this name is "img\.jpg"/, list],
      ["img.jpg, 0\nimg.jpg, 1\n", 2, /second line/, list],
      [Buffer.from([0xff, 0xfe, 0x2c]), 1, /UTF-8/, list],
      ["x".repeat(20_000), 1, /larger than/, list],
    ];
    for (const [text, line, fault, classes] of bad) {
      await assert.rejects(
        resolve({ "a/img.jpg": "", "a/img.txt": text }, classes),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, "bad-dataset", error.message);
          assert.match(error.message, new RegExp(`a/img\\.txt, line ${line}: `));
          assert.match(error.message, fault);
          return true;
        },
      );
    }
  });

  it("are refused where the image is missing, and where there is no text file at all", async () => {
    await assert.rejects(resolve({ "a/img.txt": "img.jpg, 0", "b/img.jpg": "" }, list), {
      code: "bad-dataset",
      message: /a\/img\.txt, line 1: it names "img\.jpg", and there is no such image in its folder/,
    });
    await assert.rejects(resolve({ "a/img.jpg": "" }, list), {
      code: "bad-dataset",
      message: /no \.txt file/,
    });
  });

  it("tell all faults in the order of the listing: the first twenty and the count", async () => {
    const withFaults = (every: number): Record<string, string> => {
      const files: Record<string, string> = {};
      for (let i = 100; i < 300; i += 1) {
        files[`${i}.jpg`] = "";
        files[`${i}.txt`] = i % every === 0 ? `${i}.jpg, 0\n${i}` : `${i}.jpg, 0`;
      }
      return files;
    };
    await assert.rejects(resolve(withFaults(60), list), ({ message, context }: TrommelError) => {
      const [head = "", ...lines] = message.split("\n");
      assert.match(head, /cannot label file:.*: 3 text files have faults\. Write '<image>, .*' in these:$/);
      const expected = [120, 180, 240].map((i) => `${i}.txt, line 2: it has a second line`);
      assert.deepEqual(
        lines,
        expected.map((line) => `  ${line}`),
      );
      assert.deepEqual([context["faults"], context["lines"]], [3, expected]);
      return true;
    });
    await assert.rejects(resolve(withFaults(4), list), ({ message }: TrommelError) => {
      const [head = "", ...lines] = message.split("\n");
      assert.match(head, /: 50 text files have faults/);
      assert.equal(lines.length, 21);
      assert.deepEqual(
        [lines[0], lines.at(-1)],
        ["  100.txt, line 2: it has a second line", "  and 30 more"],
      );
      return true;
    });
  });
});
