import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openTrommel } from "#trommel/index";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("pull");

/** Nobody listens at port 9, so what asks the network there is refused at once. */
const nobody = "http://127.0.0.1:9";

async function refused(
  weights: string,
  { hub, file }: { readonly hub?: string; readonly file?: string },
  code: string,
  message: RegExp,
): Promise<void> {
  const env = { TROMMEL_CACHE: join(folder, "cache"), ...(hub === undefined ? {} : { HF_ENDPOINT: hub }) };
  await using trommel = await openTrommel({ store: join(folder, "store"), env });
  await assert.rejects(trommel.backbones.pull(weights, { file }), (thrown: Error & { code?: string }) => {
    assert.equal(thrown.code, code, thrown.message);
    assert.match(thrown.message, message);
    assert.doesNotMatch(thrown.message, /secret/);
    return true;
  });
}

describe("a pull that cannot be done", () => {
  it("names HF_ENDPOINT where it is no address, or nobody answers there", async () => {
    for (const hub of ["hub.example.org", "ftp://hub", "https://user:secret@", "https://hub/?token=1"])
      await refused("hf:a/b", { hub }, "invalid-argument", /HF_ENDPOINT is ".*Set it to one such as https:/);
    await refused(
      "hf:a/b",
      { hub: `${nobody}/` },
      "unavailable",
      /cannot download http:\/\/127\.0\.0\.1:9\/api\/.*ECONNREFUSED.*; HF_ENDPOINT is http:\/\/127\.0\.0\.1:9/,
    );
    await refused(
      "hf:a/b",
      { hub: "http://user:secret@hub.example.org" },
      "invalid-argument",
      /plain http is not allowed.*; HF_ENDPOINT is http:\/\/hub\.example\.org/,
    );
  });

  it("says how a hub's repository is named, and what a wrong HF_ENDPOINT has nothing to do with", async () => {
    for (const weights of ["HF:a/b", "a/b", "https://huggingface.co/a/b/tree/main"])
      await refused(weights, { hub: "nonsense" }, "not-found", /A hub's repository is named hf:a\/b$/);
    await refused("nothing", { hub: "nonsense" }, "not-found", /or import a file$/);
    await refused("a/b@v1", { file: "model.onnx" }, "invalid-argument", /with a file.*Write hf:a\/b@v1$/);
  });

  it("is refused before the network is asked, if the file or the name is none", async () => {
    for (const file of ["/model.onnx", "../model.onnx", "onnx//model.onnx", "a\\b.onnx", "", "m.onnx?x"])
      await refused(
        "hf:a/b",
        { hub: nobody, file },
        "invalid-argument",
        /cannot pull a\/b: --file ".*onnx\/model/,
      );
    await using trommel = await openTrommel({
      store: join(folder, "store"),
      env: { HF_ENDPOINT: nobody, TROMMEL_CACHE: join(folder, "cache") },
    });
    await assert.rejects(trommel.backbones.pull("hf:a/b", { name: "Bad Name" }), {
      code: "invalid-argument",
      message: /the backbone's name "Bad Name"/,
    });
  });
});
