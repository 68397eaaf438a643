import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { it } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { openStore } from "@trommel/common";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { runInProcess } from "../../../support/process/cli.js";
import { SmallDisk } from "../../../support/process/small-disk.js";
import { writeScores } from "../../../support/runs/written-scores.js";

const folder = await temporaryFolder("score-refusals");
const model = fileURLToPath(
  new URL("../../../../stores/2026-11-28/bucket/store/runs/first/bundle", import.meta.url),
);

it("names both things that --min-probability takes", async () => {
  for (const text of ["hi", "", "1.5"]) {
    const args = [
      "score",
      folder,
      "--model",
      "m",
      "--output",
      join(folder, "out"),
      "--min-probability",
      text,
    ];
    const { code, stderr } = await runInProcess(args);
    assert.equal(code, 2);
    assert.match(stderr, /neither a number from 0 to 1 nor 'thresholds'/);
  }
});

it("tells a folder without a scoring from a scoring that is not complete", async () => {
  const pictures = join(folder, "pictures");
  await mkdir(pictures);
  const { code, stderr } = await runInProcess(["scores", "cat", pictures]);
  assert.equal(code, 1, stderr);
  assert.match(stderr, /pictures is not the output of a scoring/);
});

it("says in what a scoring differs from the one whose output it is", async () => {
  const [pictures, output] = [join(folder, "others"), join(folder, "taken")];
  await mkdir(pictures);
  await writeScores({
    location: pathToFileURL(output).href,
    ...{ name: "owner", model: "elsewhere", classes: ["glass", "metal"], topK: 2 },
    ...{ rows: [{ key: "a.png", probabilities: [0.9, 0.1] }], source: pathToFileURL(pictures).href },
  });
  const args = ["score", pictures, "--model", model, "--output", output, "--store", join(folder, "none")];
  const { code, stderr } = await runInProcess([...args, "--shard-size", "16", "--sample", "3"]);
  assert.equal(code, 1);
  const { href: url } = pathToFileURL(model);
  const said = [
    `cannot score into ${pathToFileURL(output).href}: it holds the scoring score-owner of `,
    "differ in --model (there file:///models/elsewhere, model.onnx ",
    `, here ${url}, model.onnx `,
    "; --top (there 2, here 3); --sample (there none, here 3 with the seed 0). Choose another --output",
  ];
  for (const part of said) assert.ok(stderr.includes(part), stderr);
});

it("sorts a scoring by its id or output, and says what it does not sort", async () => {
  const store = join(folder, "store");
  const output = pathToFileURL(join(folder, "scores")).href;
  await writeScores({
    ...{ location: output, name: "foreign", classes: ["glass", "metal"], source: output },
    rows: [{ key: "a.png", probabilities: [0.9, 0.1] }],
  });
  const own = openStore(store);
  await own.put("runs/first/run.json", new Uint8Array());
  own.close();
  for (const [source, said] of [
    ["scores", /score-foreign, which file:.*store does not have\. Give the --store of that scoring/],
    [
      "first",
      /it is a run\. Give a finished scoring, by its id \('trommel status' lists them\) or its output/,
    ],
    ["nothing", /it is no scoring of file:.*store and no output of one\. Give a finished scoring/],
  ] as const) {
    const args = ["sort", source, "--into", "sorted", "--store", store];
    const { code, stderr } = await runInProcess(args, { cwd: folder });
    assert.notEqual(code, 0);
    assert.match(stderr, said);
  }
});

it("refuses places that cannot be written and folders that do not exist before anything is started", async (t) => {
  const pictures = join(folder, "any");
  await mkdir(pictures);
  await writeFile(join(folder, "file.txt"), "");
  const score = (source: string, output: string) =>
    runInProcess(["score", source, "--model", model, "--output", output, "--store", join(folder, "none")]);
  const gone = await score(join(folder, "gone"), join(folder, "out"));
  assert.match(gone.stderr, /cannot list .*\/gone: there is no such folder\. Check the path$/m);
  assert.doesNotMatch(gone.stderr, /ENOENT/);
  const below = await score(pictures, join(folder, "file.txt/out"));
  assert.match(
    below.stderr,
    /cannot write into .*\/file\.txt\/out: .*\/file\.txt is a file\. Give --output a folder/,
  );
  const disk = await SmallDisk.mount(65_536);
  if (typeof disk === "string") return t.skip(disk);
  try {
    await disk.setReadOnly(true);
    const { code, stderr } = await score(pictures, join(disk.folder, "a/b"));
    assert.equal(code, 1);
    const why = `/a/b: ${disk.folder} is on a read-only file system. Give --output a folder that can be written`;
    assert.ok(stderr.includes(why), stderr);
  } finally {
    await disk.setReadOnly(false);
    await disk.unmount();
  }
});
