import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { labelOfKey, recipe, resolveClassWeights, resolveLocation } from "@trommel/common";
import { resolveLabels } from "#coordinator/labels/resolve-labels";
import { writeFiles } from "../../../support/images/dataset.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

/** The same names, composed and decomposed, as file systems and editors write them. */
const composed = { name: "Äpfel é", korean: "사과", label: "Obst ü" };
const decomposed = {
  name: composed.name.normalize("NFD"),
  korean: composed.korean.normalize("NFD"),
  label: composed.label.normalize("NFD"),
};
assert.notEqual(composed.name, decomposed.name);
assert.notEqual(composed.korean, decomposed.korean);

const folder = await temporaryFolder("normal-forms");
let cases = 0;

interface Given {
  readonly files: Readonly<Record<string, string>>;
  readonly csv?: string;
  readonly classes?: string;
  readonly list?: string;
  readonly split?: object;
  readonly idColumn?: string;
}

async function resolve({ files, csv, classes, list, split, idColumn = "id" }: Given) {
  cases += 1;
  const dataset = join(folder, String(cases));
  await writeFiles(dataset, new Map(Object.entries(files)));
  const place = async (name: string, text: string | undefined): Promise<string> => {
    const file = join(folder, `${cases}-${name}`);
    if (text !== undefined) await writeFile(file, text);
    return file;
  };
  const source =
    csv === undefined
      ? { type: Object.keys(files).some((key) => key.endsWith(".txt")) ? "sidecar" : "folders" }
      : { type: "csv", file: await place("labels.csv", csv), idColumn };
  const list1 = await place("classes.txt", classes);
  const keys = await place("test.txt", list);
  const asked = recipe.parse({
    backbones: ["any"],
    labels: { source, classes: classes === undefined ? null : list1 },
    split: { ...(list === undefined ? {} : { test: { keys } }), ...split },
  });
  return resolveLabels({ location: resolveLocation(dataset) }, asked);
}

describe("names that differ only by their normal form", () => {
  for (const [what, inTable, onDisk] of [
    ["a composed table, decomposed keys", composed, decomposed],
    ["a decomposed table, composed keys", decomposed, composed],
  ] as const) {
    it(`match: ${what}`, async () => {
      const files = {
        [`${onDisk.name}/${onDisk.korean}.jpg`]: "",
        [`b/${onDisk.name}.png`]: "",
        "b/c.png": "",
      };
      const { classes, table, division } = await resolve({
        files,
        idColumn: inTable.korean,
        csv: `${onDisk.korean},label,part\n${inTable.name}/${inTable.korean}.jpg,${inTable.label},${inTable.name}\n${inTable.name},y,\nc,${onDisk.label},${onDisk.name}\n`,
        split: { test: { column: "part", value: onDisk.name }, groups: { column: "part" } },
      });
      // Two spellings of one label are one class, and the keys are the objects' own.
      assert.deepEqual(classes, [composed.label, "y"]);
      assert.deepEqual(
        new Map(table?.labels),
        new Map([
          [`${onDisk.name}/${onDisk.korean}.jpg`, composed.label],
          [`b/${onDisk.name}.png`, "y"],
          ["b/c.png", composed.label],
        ]),
      );
      const tested = ["b/c.png", `${onDisk.name}/${onDisk.korean}.jpg`];
      assert.deepEqual(new Set(division?.test), new Set(tested));
      assert.deepEqual(new Map(division?.groups), new Map(tested.map((key) => [key, composed.name])));
    });

    it(`match in lists and text files: ${what}`, async () => {
      const classes = `${inTable.label} 0\n${inTable.korean} 1\n`;
      const files = {
        [`${onDisk.label}/1.jpg`]: "",
        [`${onDisk.korean}/${onDisk.name}.jpg`]: "",
        [`${onDisk.korean}/3.jpg`]: "",
      };
      const byFolder = await resolve({ files, classes, list: `${inTable.korean}/${inTable.name}.jpg\n` });
      assert.deepEqual(byFolder.classes, [composed.label, composed.korean]);
      assert.deepEqual(byFolder.division?.test, [`${onDisk.korean}/${onDisk.name}.jpg`]);
      const beside = {
        [`${onDisk.name}.jpg`]: "",
        [`${inTable.name}.txt`]: `${inTable.name}.jpg, ${onDisk.label}`,
        "b.jpg": "",
        "b.txt": `b.jpg, ${inTable.korean}`,
      };
      const { table } = await resolve({ files: beside, classes });
      assert.deepEqual(
        new Map(table?.labels),
        new Map([
          [`${onDisk.name}.jpg`, composed.label],
          ["b.jpg", composed.korean],
        ]),
      );
    });
  }

  it("are one class where folders label, and one name of a class weight", () => {
    assert.equal(labelOfKey(`${decomposed.label}/1.jpg`), composed.label);
    assert.equal(labelOfKey(`${composed.label}/1.jpg`), composed.label);
    const weights = resolveClassWeights({ [decomposed.label]: 3 }, ["a", composed.label], [1, 1]);
    assert.deepEqual([...weights], [1, 3]);
  });

  it("are two images that a row labels both, and no row may label twice", async () => {
    const files = { [`a/${composed.name}.jpg`]: "", [`a/${decomposed.name}.jpg`]: "", "a/b.jpg": "" };
    for (const id of [composed.name, `a/${decomposed.name}.jpg`]) {
      const { table } = await resolve({ files, csv: `id,label\n${id},x\nb,y\n`, list: `${composed.name}\n` });
      assert.deepEqual(
        new Map(table?.labels),
        new Map([
          [`a/${composed.name}.jpg`, "x"],
          [`a/${decomposed.name}.jpg`, "x"],
          ["a/b.jpg", "y"],
        ]),
      );
    }
    const csv = `id,label\n${composed.name},x\n${decomposed.name},y\n`;
    await assert.rejects(resolve({ files, csv }), {
      code: "bad-dataset",
      message: /already occurs on line 2/,
    });
    const classes = `${composed.label} 0\n${decomposed.label} 1\n`;
    await assert.rejects(resolve({ files, classes }), { message: /already occurs on line 1/ });
  });
});
