import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { canonicalJson, openStore, resolveLocation } from "@trommel/common";
import { readCatalogue } from "#trommel/api/weight-catalogue";
import { parseClassList } from "#coordinator/labels/read-class-list";
import { readCsvLabels } from "#coordinator/labels/read-csv-labels";
import { KeyFilter } from "#coordinator/listing/key-filter";
import { TableFaults } from "#coordinator/labels/faults/table-faults";
import { readSidecarLabels } from "#coordinator/labels/read-sidecar-labels";
import { parseRecipe } from "#coordinator/recipes/parse-recipe";
import { readRecipeText } from "#coordinator/recipes/read-recipe";
import { mergeOver, setField } from "#coordinator/recipes/recipe-path";
import fc from "fast-check";
import {
  checkPrototypes,
  fuzzSeed,
  hostileBytes,
  hostileJson,
  parsesOrRefuses,
  parsesOrRefusesLater,
} from "../../support/files/hostile-bytes.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";

const folder = await temporaryFolder("fuzz-labels");

describe("class lists under fuzz", () => {
  it("are read or refused, and what is read is written as it was read", () => {
    const valid = ["glass 0\npaper 2\nold tin 1\n", '{"0": "glass",\n "1": "可回收物/易拉罐"}'];
    fc.assert(
      fc.property(hostileBytes(...valid), (bytes) => {
        const names = parsesOrRefuses(() => parseClassList(bytes, "classes.txt"));
        if (names === undefined) return;
        const written = JSON.stringify(Object.fromEntries(names.entries()), null, 1);
        if (names.some((name) => /["\\\p{Cc}]/u.test(name))) return;
        assert.deepEqual(parseClassList(Buffer.from(written), "again.json"), names);
      }),
      { seed: fuzzSeed, numRuns: 500 },
    );
  });

  it("of many classes take no time", () => {
    const many = Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [i, `class ${i}`]));
    assert.equal(parseClassList(Buffer.from(JSON.stringify(many, null, 1)), "many.json").length, 50_000);
  });
});

describe("label tables under fuzz", () => {
  const file = join(folder, "labels.csv");
  const columns = { idColumn: "id", labelColumn: "label" };
  const form = { delimiter: null, encoding: null, classes: null, lookAlikes: "refuse" } as const;

  it("are read or refused", async () => {
    const valid = 'id,label,x\r\na/1.jpg,glass,1\r\n"b ""2"",.jpg","old\ntin",\n__proto__,constructor,3\n';
    await fc.assert(
      fc.asyncProperty(hostileBytes(valid), async (bytes) => {
        await writeFile(file, bytes);
        const rows = await parsesOrRefusesLater(async () => {
          const faults = new TableFaults(file);
          const read = await readCsvLabels(faults, columns, form);
          faults.check("read");
          return read;
        });
        for (const [id, { label, line }] of rows ?? []) assert.ok(id !== "" && label !== "" && line >= 1);
      }),
      { seed: fuzzSeed, numRuns: 250 },
    );
    checkPrototypes();
  });
});

describe("text files beside pictures under fuzz", () => {
  it("are read or refused", async () => {
    const dataset = join(folder, "dataset");
    await mkdir(dataset);
    await writeFile(join(dataset, "img_1.jpg"), "");
    const source = openStore(resolveLocation(dataset));
    const classes = ["glass", "paper", "0"];
    await fc.assert(
      fc.asyncProperty(hostileBytes("img_1.jpg, 1", "img_1.jpg,paper\n\n"), async (bytes) => {
        await writeFile(join(dataset, "img_1.txt"), bytes);
        const labels = await parsesOrRefusesLater(() =>
          readSidecarLabels({
            source,
            filter: new KeyFilter(),
            extension: ".txt",
            classes,
            except: new Set(),
          }),
        );
        if (labels !== undefined) assert.ok(classes.includes(labels.get("img_1.jpg") ?? ""));
      }),
      { seed: fuzzSeed, numRuns: 150 },
    );
    source.close();
    await rm(dataset, { recursive: true });
  });
});

const written = {
  name: "mine",
  backbones: ["net"],
  seed: 3,
  head: { type: "se", dropout: 0.25 },
  training: { epochs: 3, optimizer: { type: "adam", learningRate: 0.01 } },
  labels: { source: { type: "csv", file: "labels.csv" } },
  variants: { quick: { training: { epochs: 1 } } },
};

/** Nine levels of nine: a gigabyte of laughs. */
const laughs = `a: &a [l,l,l,l,l,l,l,l,l]\n${"bcdefghi"
  .split("")
  .map((name, i) => `${name}: &${name} [${Array(9).fill(`*${"abcdefgh"[i]}`).join(",")}]`)
  .join("\n")}\nbackbones: *i\n`;

const yamls = [
  JSON.stringify(written),
  "name: mine\nbackbones: [net]\nhead:\n  type: se\n  dropout: 0.25\nvariants:\n  quick: {training: {epochs: 1}}\n",
  laughs,
  "backbones: &a [*a]\n",
  "head: &a {type: *a}\nbackbones: [net]\n",
  "a: &a {b: *a}\nvariants: {quick: *a}\nhead: *a\n",
  "backbones: [net]\n__proto__: {a: 1}\nconstructor: {prototype: {a: 1}}\nhead: {__proto__: {type: se}}\n",
  "backbones: [net]\n<<: {a: 1}\n? [a, b]\n: c\n",
  "backbones: !!js/function 'x'\n",
  "--- {backbones: [net]}\n--- {backbones: [net]}\n",
  `backbones: ${"[".repeat(500)}${"]".repeat(500)}\n`,
];

describe("recipes under fuzz", () => {
  const file = join(folder, "recipe.yaml");
  const read = async (reference: string) => {
    const text = await readRecipeText(reference);
    return parseRecipe(text.written, "the recipe");
  };

  it("are read or refused, whatever the file says", async () => {
    const check = async (bytes: Uint8Array | string): Promise<void> => {
      await writeFile(file, bytes);
      for (const reference of [file, `${file}:quick`]) {
        const recipe = await parsesOrRefusesLater(() => read(reference));
        if (recipe === undefined) continue;
        assert.deepEqual(parseRecipe(JSON.parse(canonicalJson(recipe)), "again"), recipe);
      }
    };
    for (const yaml of yamls) await check(yaml);
    await fc.assert(fc.asyncProperty(hostileBytes(...yamls), check), { seed: fuzzSeed, numRuns: 80 });
    checkPrototypes();
  });

  it("are put together or refused, whatever is laid over them", () => {
    const { variants: _, ...base } = written;
    const path = fc.array(fc.constantFrom("head", "type", "training", "__proto__", "constructor", "a"), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(hostileJson(base), hostileJson(base), path, (under, over, at) => {
        if (typeof under !== "object" || under === null || typeof over !== "object" || over === null) return;
        const merged = mergeOver(under as Record<string, unknown>, over as Record<string, unknown>);
        setField(merged, at, 1);
        parsesOrRefuses(() => parseRecipe(merged, "the recipe"));
      }),
      { seed: fuzzSeed, numRuns: 300 },
    );
    checkPrototypes();
  });
});

describe("weight catalogues under fuzz", () => {
  it("are read or refused", async () => {
    const file = join(folder, "catalogue.yaml");
    const entry = `- name: net\n  url: https://example.org/net.h5\n  sha256: ${"0".repeat(64)}\n  licence: MIT\n  architecture: x\n  inputSize: 224\n  normalization: tf\n  channelOrder: rgb\n`;
    await fc.assert(
      fc.asyncProperty(hostileBytes(entry, ...yamls), async (bytes) => {
        await writeFile(file, bytes);
        await parsesOrRefusesLater(() => readCatalogue(file));
      }),
      { seed: fuzzSeed, numRuns: 300 },
    );
    checkPrototypes();
  });
});
