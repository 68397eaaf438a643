import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { before, describe, it } from "node:test";
import { cloneRepository, runShell } from "../../support/files/clone.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";

const folder = await temporaryFolder("docs-clone");
const minutesPerBlock = 20;
/** The demo draws 64 of each class; what the commands do is the same with fewer. */
const picturesPerClass = 20;

/** The whole suite would run inside itself; the command is the same for a part of it. */
const onePart = (commands: string): string =>
  commands.replace(/^npm test$/m, "npm test -- unit/common/printable");

function shellBlocks(page: string): string[] {
  return [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, commands = ""]) => commands);
}

describe("a clone with nothing around it", () => {
  let clone: string;
  before(async () => {
    clone = cloneRepository(folder);
    const { code, output } = await runShell("npm run demo:data", clone, minutesPerBlock * 60_000);
    assert.equal(code, 0, output);
    const labelled = path.join(clone, ".trommel/demo/labelled");
    for (const file of readdirSync(labelled, { recursive: true, encoding: "utf8" }))
      if (Number.parseInt(path.basename(file), 10) >= picturesPerClass) rmSync(path.join(labelled, file));
  });

  for (const name of ["README.md", "docs/guide/getting-started.md"]) {
    it(`runs every shell block of ${name}`, async () => {
      const blocks = shellBlocks(readFileSync(path.join(clone, name), "utf8"));
      assert.ok(blocks.length > 0);
      for (const block of blocks) {
        const { code, output } = await runShell(onePart(block), clone, minutesPerBlock * 60_000);
        assert.equal(code, 0, `${block}\n${output}`);
      }
      const written = readdirSync(path.join(clone, ".trommel/runs/first/bundle"));
      for (const file of ["model.onnx", "report.html", "bundle.json"])
        assert.ok(written.includes(file), file);
      const scores = readFileSync(path.join(clone, ".trommel/demo/first-scores/part-00000.jsonl"), "utf8");
      assert.equal(scores.trimEnd().split("\n").length, 60);
    });
  }

  it("trains by the example of a recipe", async () => {
    const { code, output } = await runShell(
      "npx trommel train .trommel/demo/labelled --recipe examples/recipe.yaml --run with-a-recipe",
      clone,
      minutesPerBlock * 60_000,
    );
    assert.equal(code, 0, output);
  });

  it("trains and scores by the example of the API", async () => {
    const { code, output } = await runShell(
      "node examples/dist/train-and-score.js",
      clone,
      minutesPerBlock * 60_000,
    );
    assert.equal(code, 0, output);
    assert.match(output, /^63 listed = 60 ok \+ 3 failed \+ 0 skipped$/m);
    assert.match(output, /^001\.jpg {2}battery /m);
    assert.match(output, /^truncated\.jpg {2}truncated$/m);
  });

  it("serves a bundle by the example of a server", async () => {
    const bundle = path.join(clone, ".trommel/runs/first/bundle");
    const server = spawn(process.execPath, [path.join(clone, "examples/serve.js"), bundle, "0"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(server, "exit") as Promise<[number | null]>;
    try {
      const printed = once(server.stdout.setEncoding("utf8"), "data") as Promise<[string]>;
      const [line] = await Promise.race([printed, exited]);
      const address = /^http:\S+/.exec(String(line))?.[0] ?? "";
      const post = (file: string): Promise<Response> =>
        fetch(address, { method: "POST", body: readFileSync(path.join(clone, ".trommel/demo", file)) });
      const answer = await post("unlabelled/005.jpg");
      assert.equal(answer.status, 200);
      assert.equal(((await answer.json()) as { label: string }).label, "newspaper");
      assert.equal((await post("unlabelled/truncated.jpg")).status, 422);
      assert.equal((await fetch(address)).status, 405);
    } finally {
      server.kill("SIGTERM");
    }
    const [exitCode] = await exited;
    assert.equal(exitCode, 0);
  });
});
