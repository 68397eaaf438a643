import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { backboneId, listBackbones } from "@trommel/common";
import { removeBackbone } from "#coordinator/store-keeping/remove-backbone";
import { runInProcess } from "../../../support/process/cli.js";
import { ExtractingWorker, openDevice, storeWithSmallBackbone } from "../../../support/runs/extraction.js";
import { filesBelow } from "../../../support/files/file-hashes.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { writeFiles } from "../../../support/images/dataset.js";

const folder = await temporaryFolder("remove-backbone");

describe("the removal of a backbone", () => {
  it("counts first, removes with --yes, and takes only a name with its hash", async () => {
    const path = join(folder, "unused");
    const store = await storeWithSmallBackbone(path);
    const [spec] = await listBackbones(store);
    const id = spec === undefined ? "" : backboneId(spec);
    const before = await filesBelow(path);
    assert.equal(before.length, 2);
    await assert.rejects(removeBackbone(store, "small", true), {
      code: "invalid-argument",
      message: new RegExp(`Give ${id}$`),
    });
    await assert.rejects(removeBackbone(store, "other@0123", true), { code: "not-found", message: /small@/ });
    const looked = await runInProcess(["backbone", "remove", id, "--store", path]);
    assert.match(looked.stdout, /2 objects.*\n.*with --yes removes it/);
    assert.deepEqual(await filesBelow(path), before);
    const removed = await runInProcess(["backbone", "remove", id, "--store", path, "--yes"]);
    assert.equal(removed.code, 0, removed.stderr);
    assert.deepEqual(await filesBelow(path), []);
  });

  it("is refused while a run uses it", async () => {
    const path = join(folder, "used");
    const store = await storeWithSmallBackbone(path);
    const pictures = join(folder, "pictures");
    await writeFiles(pictures, new Map([["a/1.jpg", "x"]]));
    const device = openDevice();
    const { config } = await new ExtractingWorker(store, device).plan("first", pictures);
    await device.stop();
    await assert.rejects(removeBackbone(store, config.backbones[0]?.id ?? "", true), {
      code: "conflict",
      message: /the run first .*'trommel store remove first'/,
    });
    assert.equal((await listBackbones(store)).length, 1);
  });
});
