import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { recipe, resolveLocation, type TrommelError } from "@trommel/common";
import { resolveLabels } from "#coordinator/labels/resolve-labels";
import { writeFiles } from "../../../support/images/dataset.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("table-forms");
const pictures = ["1.jpg", "2.jpg", "müll.jpg", "tür.jpg"];
const dataset = join(folder, "pictures");
await writeFiles(dataset, new Map(pictures.map((key) => [key, ""])));
let cases = 0;

async function labelsOf(csv: string | Uint8Array, source: object = {}, labels: object = {}) {
  cases += 1;
  const file = join(folder, `${cases}.csv`);
  await writeFile(file, csv);
  const asked = recipe.parse({
    backbones: ["any"],
    labels: { source: { type: "csv", file, ...source }, ...labels },
  });
  const { table } = await resolveLabels({ location: resolveLocation(dataset) }, asked);
  return Object.fromEntries(table?.labels ?? []);
}

const both = { "1.jpg": "a", "2.jpg": "b" };
const german = { "müll.jpg": "Häuser, groß", "tür.jpg": "b" };
const germanTable = 'id,label\nmüll,"Häuser, groß"\ntür,b\n';
const utf16 = (text: string): Buffer => Buffer.from(`\ufeff${text}`, "utf16le");

describe("a table of labels", () => {
  it("has the separator that its header shows, its sep= line says, or a flag gives", async () => {
    const tables: readonly (readonly [string, object?])[] = [
      ["id;label\n1;a\n2;b\n"],
      ["id\tlabel\n1\ta\n2\tb\n"],
      ["sep=|\r\nid|label\r\n1|a\r\n2|b\r\n"],
      ['"sep=;"\nid;label\n1;a\n2;b\n'],
      ["id|label\n1|a\n2|b\n", { delimiter: "|" }],
      ["id|label|note\n1|a|x, y\n2|b|\n"],
      ["id\tlabel\n1\ta\n2\tb\n", { delimiter: "tab" }],
      // The commas of a header may belong to a name.
      ['id;"label";"size, px"\n1;a;"1,2"\n2;b;"3,4"\n'],
      ["id\rlabel\r".replace("\r", ",") + "1,a\r2,b\r"],
      ["\n\nid , label\n 1 , a\n,\n2\u00a0,b \n , \n"],
    ];
    for (const [csv, source] of tables) assert.deepEqual(await labelsOf(csv, source), both, csv);
  });

  it("is read in UTF-8 and UTF-16 by its mark, and in any encoding that is named", async () => {
    const big = utf16(germanTable).swap16();
    const windows = (text: string): Buffer => Buffer.from(text, "latin1");
    for (const [bytes, encoding] of [
      [Buffer.from(germanTable), null],
      [Buffer.from(`\ufeff${germanTable}`), null],
      [utf16(germanTable), null],
      [big, null],
      [utf16(germanTable), "utf-16"],
      [utf16(germanTable).subarray(2), "utf-16le"],
      [big.subarray(2), "utf-16be"],
      [windows(germanTable), "windows-1252"],
      [windows(germanTable), "latin1"],
    ] as const)
      assert.deepEqual(await labelsOf(bytes, { encoding }), german);
    // By Python: "1,犬\n2,œ".encode("shift_jis"), .encode("cp1252").
    const dog = Buffer.concat([Buffer.from("id,label\n2,b\n1,"), Buffer.from([0x8c, 0xa2])]);
    assert.deepEqual(await labelsOf(dog, { encoding: "shift_jis" }), { ...both, "1.jpg": "犬" });
    const work = Buffer.concat([Buffer.from("id,label\n2,b\n1,"), Buffer.from([0x9c, 0x80])]);
    assert.deepEqual(await labelsOf(work, { encoding: "windows-1252" }), { ...both, "1.jpg": "œ€" });
  });

  it("keeps its lines through quoted line ends of every kind, far into the file", async () => {
    const filler = Array.from({ length: 9_000 }, (_, i) => `"x\r\ny${i}",`).map((cell) => `${cell}1,a\r\n`);
    const csv = `note,id,label\r\n${filler.join("")}`;
    // Every row but the first repeats its id; each takes two lines.
    await assert.rejects(labelsOf(csv), ({ message, context }: TrommelError) => {
      assert.equal(context["faults"], 8_999);
      assert.match(message, /\n {2}line 4: the id "1" already occurs on line 2\n {2}line 6: /);
      return true;
    });
  });

  it("is refused in the wrong form, with what to do", async () => {
    const refusals: readonly (readonly [string | Uint8Array, RegExp, object?])[] = [
      [
        Buffer.from(germanTable, "latin1"),
        /line 2: it is not UTF-8 \(0xFC\); nor are lines 3\. .*--encoding windows-1252/,
      ],
      [utf16(germanTable).subarray(2), /looks like utf-16le without a byte order mark.*--encoding utf-16le/],
      [utf16("id,label\n1,a\ud800\n"), /line 2: it is not UTF-16LE/],
      [Buffer.from([0x50, 0x4b, 3, 4, 20, 0]), /workbook \(.xlsx.*Save it as CSV/],
      ["version https://git-lfs.github.com/spec/v1\noid sha256:0\n", /Git LFS pointer/],
      [
        `\ufeff${germanTable}`,
        /byte order mark of utf-8, and windows-1252 was given/,
        { encoding: "windows-1252" },
      ],
      [
        "sep=;\nid;label\n1;a\n",
        /says that ";" separates, and the delimiter "," was given/,
        { delimiter: "," },
      ],
      ["id:label\n1:a\n", /no column "id".*"label".*separated by "," it has "id:label".*--delimiter/],
      [
        "",
        /line 1: it is empty\. Write a header with the columns "id" and "label", and a row for each image/,
      ],
      ["\n , \n", /it is empty\. Write a header/],
      ["id,label\n\n", /line 1: it has a header and no rows\. Add a row for each image/],
      [
        "ID,Label,x\n1,a,\n",
        /the column "ID" and not "id" .*"Label" and not "label".*Correct the header, or give --id-column "ID" --label-column "Label"$/,
      ],
      [
        "\ufeff\ufeffid,label\n1,a\n",
        /the header has the column "\\u\{feff\}id" and not "id" \(--id-column\)/,
      ],
      [
        "1.jpg;a\n2.jpg;b\n",
        /line 1: it has no header: its first line is a row, "1\.jpg", "a"\. Write the names .* such as "id;label"$/,
      ],
      [
        "picture,class\n1,a\n",
        /no column "id" .*no column "label".*; if this is a row, write a header above it$/,
      ],
      ["a,1.JPEG\n", /it has no header: .* such as "label,id"$/],
    ];
    for (const [csv, message, source] of refusals)
      await assert.rejects(labelsOf(csv, source), { code: "bad-dataset", message });
    const parsed = recipe.safeParse({
      backbones: ["any"],
      labels: { source: { type: "csv", encoding: "nonsense", delimiter: "ab" } },
    });
    assert.match(parsed.error?.message ?? "", /no encoding that is known/);
    assert.match(parsed.error?.message ?? "", /one character, or tab/);
  });
});

describe("the faults of a table", () => {
  it("are reported together by their lines: the first twenty and the count", async () => {
    const rows = Array.from({ length: 500 }, (_, i) => `none-${i},a`);
    const csv = [
      "id,label",
      "1,a",
      ...rows.slice(0, 3),
      "2",
      ",b",
      "2,",
      "1,b",
      "2,b\0",
      ...rows.slice(3),
      '2,"b',
    ].join("\n");
    await assert.rejects(labelsOf(csv), (thrown: TrommelError) => {
      assert.equal(thrown.code, "bad-dataset");
      const [first = "", ...lines] = thrown.message.split("\n");
      assert.match(first, /by .*\.csv: it has 506 faults\. Correct these lines:$/);
      assert.equal(lines.length, 21);
      assert.deepEqual(lines.slice(0, 9), [
        '  line 3: no image has the id "none-0"',
        '  line 4: no image has the id "none-1"',
        '  line 5: no image has the id "none-2"',
        "  line 6: it has 1 column, and the header has 2",
        '  line 7: its "id" is empty',
        '  line 8: its "label" is empty',
        '  line 9: the id "1" already occurs on line 2',
        '  line 10: the class "b\\u0000" contains U+0000 NULL',
        '  line 11: no image has the id "none-3"',
      ]);
      assert.equal(lines.at(-1), "  and 486 more");
      assert.equal(thrown.context["faults"], 506);
      return true;
    });
  });

  it("name unseen characters and odd blanks of ids with their place", async () => {
    await assert.rejects(labelsOf("id,label\n1,a\n2\u00a0x\u200b,b\n"), {
      message:
        /the id "2\u00a0x\\u\{200b\}", which contains U\+00A0 NO-BREAK SPACE \(character 2\), U\+200B ZERO WIDTH SPACE \(character 4\)\. Remove or replace/,
    });
    await assert.rejects(labelsOf('id,label\n1,a\n\ufeff2,b\n"t\u0007\u0007ür",b\n'), {
      message:
        /line 3: .*which contains U\+FEFF ZERO WIDTH NO-BREAK SPACE \(character 1\)\n {2}line 4: .*U\+0007 ALERT \(character 2\)$/,
    });
  });

  it("name unseen characters, in labels and in ids that match nothing", async () => {
    for (const [csv, message] of [
      [
        "id,label\n1,gl\u200bass\n2,b\n",
        /line 2: the class "gl\\u\{200b\}ass" contains U\+200B ZERO WIDTH SPACE/,
      ],
      ["id,label\n1,\u202eglass\n2,b\n", /contains U\+202E RIGHT-TO-LEFT OVERRIDE/],
      ["id,label\n1,gl\u00adass\n2,b\n", /contains U\+00AD SOFT HYPHEN/],
      ["id,label\n1,a\n\ufeff2,b\n", /"\\u\{feff\}2", which contains U\+FEFF ZERO WIDTH NO-BREAK SPACE/],
      ["id,label\n1,a\n2,caf\ufffd\n", /U\+FFFD REPLACEMENT CHARACTER/],
    ] as const)
      await assert.rejects(labelsOf(csv), { code: "bad-dataset", message });
  });

  it("are labels that look alike, each with its rows, unless they are kept", async () => {
    const csv = "id,label\n1,Glass\n2,glass\nmüll,glass\ntür,b\n";
    await assert.rejects(labelsOf(csv), {
      message:
        /line 3: the class "glass" \(rows: 2\) looks like "Glass" \(rows: 1, the first on line 2\)\. .*lookAlikes=keep/,
    });
    assert.deepEqual(
      new Set(Object.values(await labelsOf(csv, {}, { lookAlikes: "keep" }))),
      new Set(["Glass", "glass", "b"]),
    );
    const classes = join(folder, "classes.txt");
    await writeFile(classes, "Glass 0\nb 1\n");
    await assert.rejects(labelsOf(csv, {}, { classes }), {
      message: /line 3: the class "glass" is not in the class list, which has "Glass"/,
    });
    await writeFile(classes, "Glass 0\nglass 1\nb 2\n");
    await assert.rejects(labelsOf(csv, {}, { classes }), {
      code: "invalid-argument",
      message: /classes\.txt: "glass" looks like "Glass"/,
    });
  });
});
