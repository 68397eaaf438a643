import assert from "node:assert/strict";
import { cp, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { openStore, resolveBackbone } from "@trommel/common";
import { jsonInProcess, onlyJsonObject, RunningCli, runInProcess } from "../../../support/process/cli.js";
import { drawDataset, writeFiles } from "../../../support/images/dataset.js";
import { filesBelow } from "../../../support/files/file-hashes.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../../support/models/tiny-backbone.js";
import { waitUntil } from "../../../support/process/wait-until.js";

/** What the store alone tells of runs that stopped, after their own cluster went with their command. */

interface Status {
  readonly id: string;
  readonly phase: string;
  readonly error?: { readonly code: string; readonly message: string };
}

const folder = await temporaryFolder("why-it-stopped");
const dataset = join(folder, "labelled");
let store = "";
const flags = ["--backbone", tinyBackbone.name, "--workers", "1", "--views", "1", "--step", "8"];
const status = async (id: string): Promise<Status> =>
  (await jsonInProcess(["status", id, "--store", store])) as Status;

before(async () => {
  await writeFiles(dataset, await drawDataset(["glass", "metal"], { to: 6 }));
  store = await storeWithTinyBackbone(folder);
});

describe("a run that was stopped", () => {
  it("says so by its exit code, and keeps it until it goes on", async () => {
    const running = new RunningCli([
      ...[
        "train",
        dataset,
        "--run",
        "stopped",
        "--store",
        store,
        "--head",
        "se",
        "--epochs",
        "20000",
        ...flags,
      ],
    ]);
    await waitUntil("it works", async () =>
      (await filesBelow(join(store, "runs"))).includes("stopped/split.json") ? true : undefined,
    );
    running.kill("SIGTERM");
    const { code, stderr } = await running.end();
    assert.equal(code, 143, stderr);
    assert.match(stderr, /'trommel resume stopped --store file:.*' continues it/);
    assert.doesNotMatch(stderr, /Connection is closed/);
    const { phase, error } = await status("stopped");
    assert.deepEqual([phase, error?.code], ["stopped", "interrupted"]);
    assert.match(error?.message ?? "", /SIGTERM.*'trommel resume stopped'/);
  });

  it("whose command was killed says that, too", async () => {
    const running = new RunningCli(["resume", "stopped", "--store", store, "--workers", "1"]);
    await waitUntil("it goes on", async () => {
      const files = await filesBelow(join(store, "runs/stopped"));
      return files.includes("cluster.json") && !files.includes("error.json") ? true : undefined;
    });
    const note = JSON.parse(await readFile(join(store, "runs/stopped/cluster.json"), "utf8")) as object;
    running.kill("SIGINT");
    assert.equal((await running.end()).code, 130);
    // As a killed one leaves it, without the processes that a kill would leave to this machine.
    await openStore(store).delete(["runs/stopped/error.json"]);
    await writeFile(join(store, "runs/stopped/cluster.json"), JSON.stringify(note));
    const { phase, error } = await status("stopped");
    assert.deepEqual([phase, error?.code], ["stopped", "interrupted"]);
    assert.match(error?.message ?? "", /was killed/);
  });
});

describe("a store in which something is torn", () => {
  it("shows the other runs and backbones, and what to do about that one", async () => {
    for (const [from, to, file] of [
      ["runs/stopped", "runs/torn", "run.json"],
      ["backbones", "backbones/torn@000000000000", "spec.json"],
    ] as const) {
      const source = from === "backbones" ? join(store, from, await backbone()) : join(store, from);
      await cp(source, join(store, to), { recursive: true });
      await truncate(join(store, to, file), 40);
    }
    const runs = await runInProcess(["status", "--json", "--store", store]);
    assert.equal(runs.code, 1);
    assert.deepEqual(
      (onlyJsonObject(runs.stdout) as { runs: Status[] }).runs.map(({ id, phase }) => [id, phase]),
      [
        ["stopped", "stopped"],
        ["torn", "damaged"],
      ],
    );
    const backbones = await runInProcess(["backbone", "ls", "--store", store]);
    assert.equal(backbones.code, 1);
    assert.match(backbones.stdout, /tiny@.* px[^]*torn@000000000000 {2}damaged: .*Import the backbone again/);
  });

  it("gives a backbone whatever state another is in", async () => {
    const place = openStore(store);
    const spec = await resolveBackbone(place, await backbone());
    assert.equal(spec.name, tinyBackbone.name);
    await assert.rejects(resolveBackbone(place, "torn"), { code: "corrupt" });
    await assert.rejects(resolveBackbone(place, "none"), { code: "not-found", message: /torn@000000000000/ });
  });

  const backbone = async (): Promise<string> => {
    const [spec = ""] = (await filesBelow(join(store, "backbones"))).filter((file) =>
      file.startsWith("tiny@"),
    );
    return spec.split("/")[0] ?? "";
  };
});
