import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { openTrommel } from "#trommel/index";
import { parquetReadObjects } from "hyparquet";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { badFiles, drawDataset, writeFiles } from "../../support/images/dataset.js";
import { tinyBackbone, writeTinyBackbone } from "../../support/models/tiny-backbone.js";
import { withoutModules } from "../../support/process/python.js";
import { openDashboard, testToken } from "../../support/servers/dashboard.js";

/** The Python of the guide, run as it is there, block after block. */

const folder = await temporaryFolder("python-blocks");
const photos = join(folder, "root/photos");
const labels = ["glass", "metal", "paper"];
const perClass = 12;
const guide = fileURLToPath(new URL("../../../../docs/guide/http-api.md", import.meta.url));
const store = join(folder, "store");
// Without a Redis the server's own cluster does the work.
const dashboard = await openDashboard({ store, roots: [join(folder, "root")], workers: 1, threads: 1 });

before(async () => {
  await writeFiles(photos, await drawDataset(labels, { to: perClass }));
  const [bad] = [...(await badFiles())];
  await writeFiles(photos, new Map([[`glass/${bad?.[0] ?? ""}`, bad?.[1].bytes ?? Buffer.alloc(0)]]));
  await writeTinyBackbone(join(folder, "tiny"));
  await using trommel = await openTrommel({ store });
  await trommel.backbones.import(join(folder, "tiny/model.json"), { name: tinyBackbone.name });
});

describe("the guide's Python", { skip: withoutModules("json"), timeout: 300_000 }, () => {
  it("submits, follows and reads with the standard library alone", async () => {
    const blocks = [...(await readFile(guide, "utf8")).matchAll(/^```python\n([\s\S]*?)^```$/gm)];
    const script = blocks.map(([, code = ""]) => code).join("\n");
    const cwd = join(folder, "here");
    await mkdir(cwd);
    const python = spawn(process.env["PYTHON"] ?? "python3", ["-I", "-c", script], {
      cwd,
      env: {
        ...{ TROMMEL_URL: dashboard.url, TROMMEL_TOKEN: testToken, PHOTOS: photos },
        ...{ BACKBONE: tinyBackbone.name, SCORES: join(folder, "root/scores") },
        PATH: process.env["PATH"],
      },
    });
    const said = Promise.all([text(python.stdout), text(python.stderr)]);
    const [code] = (await once(python, "exit")) as [number];
    const [stdout, stderr] = await said;
    assert.equal(code, 0, `${stdout}\n${stderr}`);
    const rows = stdout.split("\n").filter((line) => /^\w+\/\d+\.png \w+ [\d.e-]+$/.test(line));
    assert.equal(rows.length, labels.length * perClass, stdout);
    assert.match(stdout, /^complete|running extract \d+ of \d+$/m);
    const file = await readFile(join(cwd, "part-0.parquet"));
    const read = await parquetReadObjects({ file: new Uint8Array(file).buffer });
    assert.equal(read.length, labels.length * perClass);
    assert.match(stdout.trimEnd().split("\n").at(-1) ?? "", /^glass\/bad/);
  });
});
