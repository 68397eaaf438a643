import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { onlyJsonObject, runInProcess } from "../../../support/process/cli.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("in-process");

describe("a command inside another process", () => {
  it("prints to the streams that it is given, returns its code and leaves the process as it was", async () => {
    const listeners = process.eventNames().map((name) => [name, process.listenerCount(name)]);
    const { code, stdout, stderr } = await runInProcess(["recipe", "ls", "--store", folder]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /dog-breeds/);
    const help = await runInProcess(["score", "--help"]);
    assert.equal(help.code, 0);
    assert.match(help.stdout, /--model <run\|bundle>/);
    const refused = await runInProcess(["score", folder, "--store", folder, "--json"]);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /required option '--model/);
    assert.deepEqual(onlyJsonObject(refused.stdout), {
      error: {
        code: "invalid-argument",
        message: "error: required option '--model <run|bundle>' not specified",
      },
    });
    const failed = await runInProcess(["status", "nothing", "--store", folder]);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /^trommel: .*nothing/);
    assert.equal(process.exitCode, undefined);
    assert.deepEqual(
      process.eventNames().map((name) => [name, process.listenerCount(name)]),
      listeners,
    );
  });

  it("takes variables and relative paths from what it is given, and flags win over variables", async () => {
    const store = join(folder, "by-variable");
    await mkdir(store);
    const env = { TROMMEL_STORE: store };
    assert.match((await runInProcess(["status"], { env })).stdout, /by-variable/);
    assert.match((await runInProcess(["status", "--store", "other"], { env, cwd: folder })).stdout, /other/);
    assert.match((await runInProcess(["status"], { cwd: folder })).stdout, /\.trommel/);
    await writeFile(join(folder, "mine.yaml"), "name: mine\nbackbones: [a]\n");
    const shown = await runInProcess(["recipe", "show", "./mine.yaml", "--json"], { cwd: folder });
    assert.equal((onlyJsonObject(shown.stdout) as { name: string }).name, "mine");
    const redis = { TROMMEL_REDIS_URL: "redis://:secret@127.0.0.1:1/0" };
    assert.doesNotMatch((await runInProcess(["status", "--help"], { env: redis })).stdout, /secret/);
  });
});
