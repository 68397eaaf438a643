import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const modules = fileURLToPath(new URL("../../support/process/list-modules.js", import.meta.url));
const folder = fileURLToPath(new URL("../../../../packages/trommel", import.meta.url));

describe("importing the package", () => {
  it("loads no queue, no Redis and no runtime for models", async () => {
    const { stderr } = await promisify(execFile)(
      process.execPath,
      ["--import", modules, "--input-type=module", "-e", 'await import("trommel")'],
      { cwd: folder, maxBuffer: 1 << 26 },
    );
    assert.match(stderr, /node_modules\/zod\//);
    assert.doesNotMatch(
      stderr,
      /node_modules\/(bullmq|ioredis|onnxruntime-node|sharp|@aws-sdk|@tensorflow)\//,
    );
  });
});
