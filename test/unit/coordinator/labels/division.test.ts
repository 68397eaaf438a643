import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { openStore, recipe, resolveLocation, runKeys, sha256Hex, type RunConfig } from "@trommel/common";
import { readDivision } from "@trommel/common/artefacts";
import { jsonBytes } from "#common/codec/json-artefact";
import { resolveLabels } from "#coordinator/labels/resolve-labels";
import { writeFiles } from "../../../support/images/dataset.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("division");
let cases = 0;

interface Given {
  readonly files: readonly string[];
  readonly csv?: string;
  readonly list?: string;
  readonly split?: object;
}

/** Puts empty files, a table and a list of keys down and resolves the recipe that names them. */
async function resolve({ files, csv, list, split }: Given) {
  cases += 1;
  const dataset = join(folder, String(cases));
  await writeFiles(dataset, new Map(files.map((key) => [key, ""])));
  const table = join(folder, `labels-${cases}.csv`);
  const keys = join(folder, `test-${cases}.txt`);
  if (csv !== undefined) await writeFile(table, csv);
  if (list !== undefined) await writeFile(keys, list);
  const asked = recipe.parse({
    backbones: ["any"],
    ...(csv === undefined ? {} : { labels: { source: { type: "csv", file: table } } }),
    split: { ...(list === undefined ? {} : { test: { keys } }), ...split },
  });
  return { asked, ...(await resolveLabels({ location: resolveLocation(dataset) }, asked)) };
}

const files = ["a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg"];
const csv = "id,label,part,site\n1,x,test,north\n2,x,train,north\n3,y,,\n4,y, test ,south\n";

describe("a test part by a column", () => {
  it("has the images whose row has the value, and groups are what another column holds", async () => {
    const test = { column: "part", value: "test" };
    const { division } = await resolve({ files, csv, split: { test, groups: { column: "site" } } });
    assert.deepEqual(division, {
      formatVersion: 1,
      test: ["a/1.jpg", "b/4.jpg"],
      groups: [
        ["a/1.jpg", "north"],
        ["a/2.jpg", "north"],
        ["b/4.jpg", "south"],
      ],
    });
  });

  it("may be a number, and the same column may hold groups too", async () => {
    const numbered = "id,label,fold\n1,x,0\n2,x,1\n3,y,0\n4,y,1\n";
    const split = { test: { column: "fold", value: 1 }, groups: { column: "fold" } };
    const { division } = await resolve({ files, csv: numbered, split });
    assert.deepEqual(division?.test, ["a/2.jpg", "b/4.jpg"]);
    assert.deepEqual(
      division.groups?.map(([, group]) => group),
      ["0", "1", "0", "1"],
    );
  });

  it("is refused if no row has the value, the table has no such column, or there is no table", async () => {
    const refused = (split: object, words: RegExp) =>
      assert.rejects(resolve({ files, csv, split }), { code: "bad-dataset", message: words });
    await refused(
      { test: { column: "part", value: "Test" } },
      /no row of .* has "Test" in its column "part", which has "test", "train", ""/,
    );
    await refused({ groups: { column: "place" } }, /no column "place"/);
    for (const split of [{ test: { column: "part", value: "x" } }, { groups: { column: "site" } }]) {
      const asked = recipe.parse({ backbones: ["any"], split });
      await assert.rejects(resolveLabels({ location: resolveLocation(folder) }, asked), {
        code: "invalid-argument",
        message: /needs a table.*--labels/,
      });
    }
    const archives = fileURLToPath(new URL("../../../../golden/archives", import.meta.url));
    const form = { object: "struct-snappy.parquet", imageColumn: null, keyColumn: null, labelColumn: "kind" };
    const from = { type: "archives" as const, ...form };
    for (const split of [{ test: { column: "kind", value: 1 } }, { groups: { column: "kind" } }])
      await assert.rejects(
        resolveLabels(
          { location: resolveLocation(archives), from },
          recipe.parse({ backbones: ["any"], split }),
        ),
        { code: "invalid-argument", message: /column "kind".*needs a table.*archives.*--labels/ },
      );
    const odd = recipe.safeParse({ backbones: ["any"], split: { test: { column: "part" } } });
    assert.match(odd.error?.message ?? "", /legal are a share/);
  });
});

describe("a test part by a list of keys", () => {
  it("takes whole keys and file names, in any order, with labels by folders or by a table", async () => {
    const list = "b/3.jpg\r\n\n1\n";
    for (const given of [
      { files, list },
      { files, list, csv },
    ]) {
      const { division } = await resolve(given);
      assert.deepEqual(division, { formatVersion: 1, test: ["a/1.jpg", "b/3.jpg"], groups: null });
    }
  });

  it("is refused naming file and line of an unknown key, a repeated one, and one without a label", async () => {
    for (const [list, line, words] of [
      ["1\n5\n", 2, /no image has the id "5"/],
      ["1\n2\n1\n", 3, /"1" already occurs on line 1/],
      ["a/1.jpg\n1\n", 2, /is the image a\/1\.jpg, which line 1 names too/],
    ] as const)
      await assert.rejects(resolve({ files, list }), {
        code: "bad-dataset",
        message: new RegExp(`test-\\d+\\.txt, line ${line}: .*${words.source}`),
      });
    await assert.rejects(resolve({ files, list: "\n" }), { code: "bad-dataset", message: /it is empty/ });
    const few = "id,label\n1,x\n3,y\n";
    await assert.rejects(resolve({ files, list: "1\n2\n", csv: few }), {
      code: "bad-dataset",
      message: /line 2: the image "a\/2\.jpg" has no label/,
    });
  });
});

describe("what a run froze of its division", () => {
  it("is read back by key, and refused if it is not the run's", async () => {
    await mkdir(join(folder, "store"));
    const store = openStore(join(folder, "store"));
    const split = { test: { column: "part", value: "test" }, groups: { column: "site" } };
    const { asked, division } = await resolve({ files, csv, split });
    const body = jsonBytes(division);
    const config = { id: "r", recipe: asked, divisionSha256: sha256Hex(body) } as RunConfig;
    await store.put(runKeys("r").division, body);
    const { listed, groupOf } = await readDivision(store, config);
    assert.deepEqual([...(listed ?? [])], ["a/1.jpg", "b/4.jpg"]);
    assert.deepEqual(files.map(groupOf), ["north", "north", undefined, "south"]);
    const other = { ...config, divisionSha256: "0".repeat(64) };
    await assert.rejects(readDivision(store, other), { code: "corrupt", message: /division\.json/ });
  });

  it("is in the recipe alone where keys tell the groups, in Unicode NFC", async () => {
    const store = openStore(join(folder, "store"));
    const groupsBy = async (groups: object, keys: readonly string[]) => {
      const config = {
        id: "r",
        recipe: recipe.parse({ backbones: ["any"], split: { groups } }),
      } as RunConfig;
      const { listed, groupOf } = await readDivision(store, config);
      assert.equal(listed, undefined);
      return keys.map(groupOf);
    };
    const decomposed = "Caf\u0065\u0301";
    assert.deepEqual(
      await groupsBy({ folder: 2 }, [`a/${decomposed}/1.jpg`, "a/2.jpg", "b/Caf\u00e9/c/3.jpg"]),
      ["a/Caf\u00e9", undefined, "b/Caf\u00e9"],
    );
    assert.deepEqual(await groupsBy({ pattern: "/(\\w+)_\\d+|z.*" }, ["a/cat_1.jpg", "a/z.jpg", "a/1.jpg"]), [
      "cat",
      "z.jpg",
      undefined,
    ]);
  });
});
