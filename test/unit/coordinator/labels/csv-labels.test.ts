import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { recipe, resolveLocation } from "@trommel/common";
import { labelsConfig, resolveLabels } from "#coordinator/labels/resolve-labels";
import { writeFiles } from "../../../support/images/dataset.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("csv-labels");
let cases = 0;

interface Given {
  readonly files: readonly string[];
  readonly csv: string | Uint8Array;
  readonly classes?: string;
  readonly source?: Readonly<Record<string, string>>;
}

/** Puts empty files, a table and a class list down and resolves the labels. */
async function resolve({ files, csv, classes, source }: Given) {
  cases += 1;
  const dataset = join(folder, String(cases));
  await writeFiles(dataset, new Map(files.map((key) => [key, ""])));
  const table = join(folder, `labels-${cases}.csv`);
  await writeFile(table, csv);
  const list = join(folder, `classes-${cases}.txt`);
  if (classes !== undefined) await writeFile(list, classes);
  const asked = recipe.parse({
    backbones: ["any"],
    labels: {
      source: { type: "csv", file: table, ...source },
      ...(classes === undefined ? {} : { classes: list }),
    },
  });
  return resolveLabels({ location: resolveLocation(dataset) }, asked);
}

describe("labels from a CSV file", () => {
  it("match whole keys, file names, and file names without extension, of the images that have a row", async () => {
    const { classes, table } = await resolve({
      files: ["a/one.jpg", "b/two.png", "b/d.e.JPEG", "unnamed.jpg", "labels.csv", ".hidden/one.jpg"],
      csv: "id,label\na/one.jpg,x\ntwo.png,w\nd.e,x\n",
    });
    assert.deepEqual(table, {
      formatVersion: 1,
      labels: [
        ["a/one.jpg", "x"],
        ["b/d.e.JPEG", "x"],
        ["b/two.png", "w"],
      ],
    });
    assert.deepEqual(classes, ["w", "x"]);
  });

  it("sort the classes by their UTF-8 bytes, or follow the class list, unused classes included", async () => {
    const files = ["1.jpg", "2.jpg", "3.jpg"];
    const csv = "id,label\n1,😀\n2,ﬁsch\n3,Äpfel\n";
    assert.deepEqual((await resolve({ files, csv })).classes, ["Äpfel", "ﬁsch", "😀"]);
    const listed = await resolve({ files, csv, classes: "ﬁsch 0\nunused 1\nÄpfel 2\n😀 3\n" });
    assert.deepEqual(listed.classes, ["ﬁsch", "unused", "Äpfel", "😀"]);
  });

  it("read columns by their names, a byte order mark, quotes, line breaks in them, CRLF and blank lines", async () => {
    const { table } = await resolve({
      files: ["a,b.jpg", "c.jpg"],
      csv: '\ufeffsize,breed,name\r\n1,"says ""hi"", dog","a,b"\r\n\r\n"two\r\nlines",cat,c\n',
      source: { idColumn: "name", labelColumn: "breed" },
    });
    assert.deepEqual(table?.labels, [
      ["a,b.jpg", 'says "hi", dog'],
      ["c.jpg", "cat"],
    ]);
  });

  it("take an id that is one image's whole key for that one alone", async () => {
    const { table } = await resolve({
      files: ["a.jpg", "sub/a.jpg", "sub/b.jpg"],
      csv: "id,label\na.jpg,x\nb,y\nsub/a.jpg,y\n",
    });
    assert.deepEqual(table?.labels, [
      ["a.jpg", "x"],
      ["sub/a.jpg", "y"],
      ["sub/b.jpg", "y"],
    ]);
  });

  it("do not take a text file beside an image for the image that an id means", async () => {
    const { table } = await resolve({
      files: ["a.jpg", "a.txt", "b.jpg", "b.xml"],
      csv: "id,label\na,x\nb,y\n",
    });
    assert.deepEqual(
      table?.labels.map(([key]) => key),
      ["a.jpg", "b.jpg"],
    );
  });

  it("have a hash that changes with a label and not with the order of the rows", async () => {
    const files = ["1.jpg", "2.jpg", "3.jpg"];
    const hash = async (csv: string) => labelsConfig(await resolve({ files, csv })).tableSha256;
    const first = await hash("id,label\n1,x\n2,y\n3,x\n");
    assert.equal(await hash("id,label\n3,x\n1.jpg,x\n2,y\n"), first);
    assert.notEqual(await hash("id,label\n1,x\n2,y\n3,y\n"), first);
  });

  it("are refused naming the file, the line and the fault", async () => {
    const files = ["1.jpg", "2.jpg", "a/3.jpg", "b/3.jpg"];
    const classes = "x 0\ny 1\n";
    const head = "id,label\n1,x\n";
    const bad: readonly (readonly [string, Partial<Given> & Pick<Given, "csv">, number, RegExp])[] = [
      ["an unknown class", { csv: `${head}2,z\n`, classes }, 3, /"z" is not in the class list/],
      ["a missing image", { csv: `${head}2,y\n4,y\n` }, 4, /no image has the id "4"/],
      ["a repeated id", { csv: `${head}2,y\n1,y\n` }, 4, /"1" already occurs on line 2/],
      ["two ids of one image", { csv: `${head}2,y\n1.jpg,y\n` }, 4, /1\.jpg, which line 2 names too/],
      ["an id of two images", { csv: `${head}3,y\n` }, 3, /a\/3\.jpg and b\/3\.jpg/],
      ["an empty id", { csv: `${head},y\n` }, 3, /"id" is empty/],
      ["an empty label", { csv: `${head}2,\n` }, 3, /"label" is empty/],
      ["too few columns", { csv: `${head}2\n` }, 3, /1 column, and the header has 2/],
      ["too many columns", { csv: `${head}2,y,z\n` }, 3, /3 columns/],
      ["no such column", { csv: "name,label\n1,x\n" }, 1, /no column "id".*"name", "label"/],
      ["a column twice", { csv: "id,label,id\n1,x,1\n" }, 1, /"id" twice/],
      ["nothing", { csv: "" }, 1, /empty/],
      ["no rows", { csv: "id,label\n" }, 1, /no rows/],
      ["a quote that never closes", { csv: `${head}2,"y\n` }, 3, /not CSV/],
      ["bytes that are not UTF-8", { csv: Buffer.from(`${head}2,\xff\n`, "latin1") }, 3, /not UTF-8/],
      ["a fault after quoted line breaks", { csv: 'id,label,note\n1,x,"a\r\nb"\n\n4,y,\n' }, 5, /"4"/],
    ];
    for (const [name, given, line, fault] of bad) {
      await assert.rejects(
        resolve({ files, ...given }),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, "bad-dataset", `${name}: ${error.message}`);
          assert.match(error.message, new RegExp(`labels-\\d+\\.csv, line ${line}: `), name);
          assert.match(error.message, fault, name);
          return true;
        },
        name,
      );
    }
  });

  it("are refused where they name one class alone, or no file is given", async () => {
    await assert.rejects(resolve({ files: ["1.jpg"], csv: "id,label\n1,x\n" }), {
      code: "bad-dataset",
      message: /two classes.*"x"/,
    });
    const asked = recipe.parse({ backbones: ["any"], labels: { source: { type: "csv" } } });
    await assert.rejects(resolveLabels({ location: resolveLocation(folder) }, asked), {
      code: "invalid-argument",
      message: /--labels/,
    });
  });
});

describe("labels from folders with a class list", () => {
  const labelsOf = (classes: string) => recipe.parse({ backbones: ["any"], labels: { classes } });

  it("take their order from the list, and need no listing without one", async () => {
    const dataset = join(folder, "folders");
    await writeFiles(
      dataset,
      new Map(["b/1.jpg", "a/1.jpg", ".c/1.jpg", "note.txt"].map((key) => [key, ""])),
    );
    const list = join(folder, "folders.txt");
    await writeFile(list, "b 0\nempty 1\na 2\n");
    const found = await resolveLabels({ location: resolveLocation(dataset) }, labelsOf(list));
    assert.deepEqual(found, { classes: ["b", "empty", "a"], table: null, division: null });
    assert.deepEqual(labelsConfig(found), { classes: ["b", "empty", "a"], tableSha256: null });
    const plain = recipe.parse({ backbones: ["any"] });
    const unread = await resolveLabels({ location: resolveLocation(join(folder, "nowhere")) }, plain);
    assert.deepEqual(unread, { classes: null, table: null, division: null });
  });

  it("are refused where the list does not know a folder", async () => {
    const list = join(folder, "short.txt");
    await writeFile(list, "b 0\nc 1\n");
    await assert.rejects(
      resolveLabels({ location: resolveLocation(join(folder, "folders")) }, labelsOf(list)),
      {
        code: "bad-dataset",
        message: /short\.txt does not know the folder "a"/,
      },
    );
  });
});
