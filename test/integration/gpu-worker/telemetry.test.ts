import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { filesBelow } from "../../support/files/file-hashes.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";

/** Computes a product with ONNX Runtime, in a process of its own with a home of its own. */
async function computeAtHome(home: string, variables: Record<string, string>): Promise<void> {
  const require = createRequire(import.meta.url);
  const module = JSON.stringify(require.resolve("#gpu-worker/linalg/matrix-product"));
  const script = `
    const { MatrixProduct } = await import(${module});
    const product = new MatrixProduct({ threads: 1 });
    const one = { rows: 1, columns: 1, data: Float64Array.of(2) };
    process.stdout.write(String((await product.multiply(one, one)).data[0]));
    await product.release();`;
  const env = { PATH: process.env["PATH"], HOME: home, ...variables };
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], {
    env,
  });
  assert.equal(stdout, "4");
}

describe("ONNX Runtime's telemetry", () => {
  it("is off", async () => {
    const home = await temporaryFolder("telemetry-off");
    await computeAtHome(home, {});
    assert.deepEqual(await filesBelow(home), []);
  });
});
