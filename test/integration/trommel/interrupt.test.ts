import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { openStore } from "#common/store/open-store";
import { temporaryFolder } from "../../support/files/temp-folder.js";

const folder = await temporaryFolder("interrupt");
const module = (name: string): string => JSON.stringify(import.meta.resolve(`#trommel/${name}`));

/** A process in which a call to the file system never comes back: a pipe that nobody writes to is being opened. */
async function stuck(
  body: string,
  signals: readonly NodeJS.Signals[],
): Promise<{ ended: unknown; said: string }> {
  const pipe = join(folder, `pipe-${body.length}-${signals.length}`);
  execFileSync("bash", ["-c", 'mkfifo "$0"', pipe]);
  const script = `
    import { open } from "node:fs/promises";
    import { interruptSignal } from ${module("cli/interrupt")};
    import { endProcess } from ${module("cli/end-process")};
    process.once("exit", () => process.stderr.write("cleaned up"));
    open(${JSON.stringify(pipe)}, "r");
    ${body}
    setTimeout(() => process.stderr.write("stuck"), 100);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "inherit", "pipe"],
  });
  let said = "";
  let sent = 0;
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    const next = signals[sent];
    if (next === undefined || !said.includes(sent === 0 ? "stuck" : "stopping")) return;
    sent += 1;
    child.kill(next);
  });
  const [code, signal] = (await once(child, "exit")) as unknown[];
  return { ended: code ?? signal, said };
}

describe("a command whose store does not answer", { timeout: 30_000 }, () => {
  it("ends a while after one SIGTERM, and does what is to be done at exit", async () => {
    const { ended, said } = await stuck("interruptSignal({ endWithinMs: 300 });", ["SIGTERM"]);
    assert.equal(ended, "SIGTERM");
    assert.match(said, /not everything has stopped within 0\.3 s of SIGTERM; ending without it\ncleaned up/);
    assert.doesNotMatch(said, /store/);
  });

  it("ends at once at a second ctrl-C", async () => {
    const { ended, said } = await stuck("interruptSignal();", ["SIGINT", "SIGINT"]);
    assert.equal(ended, "SIGINT");
    assert.match(said, /cleaned up/);
  });

  it("ends where it has nothing more to do", async () => {
    const { ended, said } = await stuck("setTimeout(endProcess, 200);", []);
    assert.equal(ended, "SIGKILL");
    assert.match(said, /cleaned up/);
  });
});

describe("a store where no folder can be made", { timeout: 10_000 }, () => {
  it("says so, and does not try for ever", { skip: process.platform !== "linux" }, async () => {
    await assert.rejects(openStore("/proc/trommel/store").put("k", new Uint8Array(1)), (thrown) => {
      assert.ok(thrown instanceof TrommelError);
      assert.match(thrown.message, /ENOENT.*\/proc\/trommel/);
      return true;
    });
  });
});
