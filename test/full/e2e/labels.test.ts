import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import {
  bundleFiles,
  bundleManifest,
  canonicalJson,
  ledger as ledgerSchema,
  listingSummary,
  runConfig,
  type errorCodes,
} from "@trommel/common";
import { parseSealedAs } from "#common/codec/sealed-json";
import { onlyJsonObject, runInProcess, trommelJson } from "../../support/process/cli.js";
import { drawDataset, writeFiles, type Pictures } from "../../support/images/dataset.js";
import { assertSameFiles, fileHashes, filesBelow } from "../../support/files/file-hashes.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../support/models/tiny-backbone.js";

const labels = ["glass", "metal", "paper"] as const;
const perClass = 10;
const folder = await temporaryFolder("labels");
const pathOf = (name: string): string => join(folder, name);
const dataset = pathOf("pictures");
const table = pathOf("labels.csv");
const exported = pathOf("exported");
const head = ["--backbone", tinyBackbone.name, "--views", "2", "--no-svd", "--head", "linear"];
const quick = [
  ...head,
  "--head",
  "se",
  "--epochs",
  "40",
  "--learning-rate",
  "0.05",
  "--validation",
  "0.2",
  "--workers",
  "1",
];
let store = "";
let pictures: Pictures;

const train = (...args: string[]) =>
  trommelJson(["train", dataset, "--store", store, ...quick, ...args]) as Promise<{
    id: string;
    labels: string[];
    accuracy: number;
  }>;
const readStored = async (file: string): Promise<unknown> =>
  JSON.parse(await readFile(join(store, file), "utf8"));

before(async () => {
  store = await storeWithTinyBackbone(folder);
  pictures = await drawDataset(labels, { to: perClass });
  await writeFiles(dataset, pictures);
  const rows = [...pictures.keys()].map((key) => `${key},${key.split("/")[0] ?? ""}`);
  await writeFile(table, ["image,material", ...rows.reverse(), ""].join("\r\n"));
});

const csv = ["--labels", table, "--id-column", "image", "--label-column", "material"];

describe("labels by folders, by a CSV file and by files beside the images", () => {
  it("train the same head where they say the same, from the same features", async () => {
    const byFolders = await train("--run", "by-folders");
    const features = await fileHashes(join(store, "features"));
    const byTable = await train("--run", "by-table", ...csv);
    assert.deepEqual(byTable.labels, byFolders.labels);
    const parts = async (run: string) => {
      const files = await fileHashes(join(store, "runs", run));
      return new Map(
        [...files].filter(([name]) => /^(shards\/|split|head\/weights\.safetensors$)/.test(name)),
      );
    };
    const expected = await parts("by-folders");
    assert.ok(expected.has("head/weights.safetensors") && expected.has("split.json"));
    assertSameFiles(await parts("by-table"), expected);
    assertSameFiles(await fileHashes(join(store, "features")), features);
  });

  it("give the outputs the order of the class list, and skip what has no label", async () => {
    // Files beside the pictures say it now; one picture has none, and one class no picture.
    const unlabelled = "glass/000.png";
    const order = ["paper", "plastic", "glass", "metal"];
    await writeFile(
      pathOf("classes.txt"),
      order
        .map((name, index) => `${name} ${index}\n`)
        .reverse()
        .join(""),
    );
    const recipe = {
      environment: { input: "PICTURES_PATH", output: "BUNDLE_PATH" },
      labels: { source: { type: "sidecar" } },
    };
    await writeFile(pathOf("recipe.json"), JSON.stringify(recipe));
    const texts = [...pictures.keys()]
      .filter((key) => key !== unlabelled)
      .map((key): [string, string] => {
        const [label = "", name = ""] = key.split("/");
        return [key.replace(".png", ".txt"), `${name}, ${order.indexOf(label)}\n`];
      });
    await writeFiles(dataset, new Map(texts));
    const args = ["train", "--recipe", pathOf("recipe.json"), "--classes", pathOf("classes.txt"), ...quick];
    const env = { TROMMEL_STORE: store, PICTURES_PATH: dataset, BUNDLE_PATH: exported };
    const answer = (await trommelJson(args, { env })) as { id: string; labels: string[] };
    assert.deepEqual(answer.labels, order);
    const run = `runs/${answer.id}`;
    const listing = parseSealedAs(
      listingSummary,
      await readFile(join(store, run, "listing.json")),
      "the listing",
    );
    const counts = [perClass, 0, perClass - 1, perClass];
    assert.deepEqual(
      listing.classes,
      order.map((label, index) => ({ label, images: counts[index] })),
    );
    const ledger = ledgerSchema.parse(await readStored(`${run}/ledger.json`));
    assert.deepEqual(ledger.skippedByReason, { "no-label": texts.length + 1 });
    const config = parseSealedAs(runConfig, await readFile(join(store, run, "run.json")), "run.json");
    assert.equal(config.recipe.labels.classes, pathToFileURL(pathOf("classes.txt")).href);
    assert.equal(config.export, pathToFileURL(exported).href);
    await checkPredictions(answer.id);
    const copied = await fileHashes(exported);
    assert.ok(copied.delete("_trommel/run.json"), "the place says whose it is");
    assertSameFiles(copied, await fileHashes(join(store, run, "bundle")));
  });

  it("name another run where they differ, of which neither overwrites the other's export", async () => {
    const swapped = (await readFile(table, "utf8")).replace("glass/001.png,glass", "glass/001.png,metal");
    const other = pathOf("swapped.csv");
    await writeFile(other, swapped);
    const before = await fileHashes(join(store, "features"));
    const relabelled = ["--labels", other, ...csv.slice(2)];
    const changed = await train(...relabelled, "--head", "se", "--epochs", "1");
    assertSameFiles(await fileHashes(join(store, "features")), before);
    assert.equal((await train(...relabelled, "--head", "se", "--epochs", "1")).id, changed.id);
    await writeFile(other, await readFile(table));
    await refused({
      args: [...relabelled, "--head", "se", "--epochs", "1", "--run", changed.id],
      code: "conflict",
      says: [new RegExp(changed.id), /labels\.tableSha256/],
    });
    await refused({ args: ["--output", exported], code: "conflict", says: [/exported/, /another run/] });
  });
});

/** Every picture is told right, which a mapping of outputs in another order could not. */
async function checkPredictions(run: string): Promise<void> {
  const keys = [...pictures.keys()];
  const files = keys.map((key) => join(dataset, key));
  const { rows } = (await trommelJson(["predict", ...files, "--model", run, "--store", store])) as {
    rows: { label: string; top: { label: string }[] }[];
  };
  const right = rows.filter(({ top }, index) => top[0]?.label === keys[index]?.split("/")[0]);
  assert.ok(right.length > 0.9 * keys.length, `${right.length} of ${keys.length} are told right`);
  const manifest = bundleManifest.parse(await readStored(`runs/${run}/bundle/${bundleFiles.manifest}`));
  assert.deepEqual(
    manifest.data.classes.map(({ label }) => label),
    manifest.labels,
  );
}

interface Refusal {
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly code: keyof typeof errorCodes;
  readonly says: readonly RegExp[];
}

/** The command ends at once, says in one line what is wrong, and leaves neither a run nor anything else. */
async function refused({ args, env, code, says }: Refusal): Promise<void> {
  const before = await fileHashes(store);
  const command = args[0] === "train" ? [...args] : ["train", dataset, ...quick, ...args];
  const result = await runInProcess([...command, "--json"], { env: { TROMMEL_STORE: store, ...env } });
  assert.ok(result.code === 1 || result.code === 2, `exit code ${result.code}: ${result.stderr}`);
  const { error } = onlyJsonObject(result.stdout) as { error: { code: string; message: string } };
  assert.equal(error.code, code, error.message);
  assert.equal(result.stderr, `trommel: ${error.message}\n`);
  for (const pattern of says) assert.match(error.message, pattern);
  assertSameFiles(await fileHashes(store), before);
}

describe("labels, class lists and options that are wrong", () => {
  const write = async (name: string, text: string): Promise<string> => {
    await writeFile(pathOf(name), text);
    return pathOf(name);
  };
  const classes = async () => ["--classes", await write("three.txt", "glass 0\nmetal 1\npaper 2\n")];
  const rows = "id,label\nglass/001.png,glass\nmetal/001.png,metal\n";

  it("are refused before anything is queued, naming the file and the line", async () => {
    const unknown = await write("unknown.csv", `${rows}paper/001.png,wood\n`);
    const missing = await write("missing.csv", `${rows}paper/999.png,paper\n`);
    const repeated = await write("repeated.csv", `${rows}glass/001.png,paper\n`);
    const gap = await write("gap.txt", "glass 0\nmetal 1\npaper 3\n");
    const short = await write("short.txt", "glass 0\nmetal 1\n");
    const linear = ["train", dataset, "--backbone", "tiny", "--head", "linear", "--set", "head.reduction=8"];
    const cases: readonly Refusal[] = [
      {
        args: ["--labels", unknown, ...(await classes())],
        code: "bad-dataset",
        says: [/unknown\.csv, line 4/, /"wood"/],
      },
      { args: ["--labels", missing], code: "bad-dataset", says: [/missing\.csv, line 4/, /paper\/999\.png/] },
      { args: ["--labels", repeated], code: "bad-dataset", says: [/repeated\.csv, line 4/, /line 2/] },
      { args: ["--classes", gap], code: "invalid-argument", says: [/gap\.txt, line 3/, /index 2/] },
      { args: ["--classes", short], code: "bad-dataset", says: [/short\.txt/, /"paper"/] },
      { args: linear, code: "invalid-argument", says: [/head\.reduction/, /linear/, /dropout, bias/] },
      {
        args: ["train", "--recipe", "tianchi-efficientnets"],
        code: "invalid-argument",
        says: [/IMAGE_TRAIN_INPUT_PATH/],
      },
      {
        args: ["train", dataset, "--recipe", "tianchi-efficientnets"],
        code: "not-found",
        says: [/efficientnet-b2, efficientnet-b3, efficientnet-b4/, /--size 380/],
      },
      { args: ["--output", join(dataset, "out")], code: "invalid-argument", says: [/inside the dataset/] },
    ];
    for (const refusal of cases) await refused(refusal);
    assert.deepEqual(
      (await filesBelow(dataset)).filter((name) => !/\.(png|txt)$/.test(name)),
      [],
    );
  });

  it("and a backbone that was imported otherwise than the recipe needs it", async () => {
    const file = await write(
      "larger.json",
      canonicalJson({ backbones: [{ name: "tiny", inputSize: 96, pooling: "max" }] }),
    );
    await refused({
      args: ["train", dataset, "--recipe", file],
      code: "invalid-argument",
      says: [/tiny@/, /for 64 pixels .* needs 96/, /needs max/, /--size 96 --pooling max --name/],
    });
  });
});
