import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { readMemoryLimit } from "#common/machine/memory-limit";
import { checkMemory, checkNode } from "#trommel/doctor/check-machine";
import { clockFinding } from "#trommel/doctor/check-store";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("machine");
let roots = 0;

/** A root with files of its own, as the kernel shows them. */
async function rootWith(files: Readonly<Record<string, string>>): Promise<string> {
  roots += 1;
  const root = join(folder, String(roots));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), `${text}\n`);
  }
  return root;
}

describe("the memory limit of a container", () => {
  it("is that of control groups of version 2, the least upwards", async () => {
    const root = await rootWith({
      "proc/self/cgroup": "0::/pod/box",
      "sys/fs/cgroup/pod/memory.max": "536870912",
      "sys/fs/cgroup/pod/box/memory.max": "max",
    });
    assert.equal(readMemoryLimit(root), 536_870_912);
    assert.deepEqual(checkMemory(root).status, "warning");
    assert.match(checkMemory(root).found, /the container may take 512 MiB/);
  });

  it("is that of version 1, whose group the container does not see under the host's name", async () => {
    const root = await rootWith({
      "proc/self/cgroup": "7:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": "2147483648",
    });
    assert.equal(readMemoryLimit(root), 2 ** 31);
  });

  it("is none where the kernel names none", async () => {
    const unlimited = { "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712" };
    assert.equal(
      readMemoryLimit(await rootWith({ "proc/self/cgroup": "4:memory:/", ...unlimited })),
      undefined,
    );
    assert.equal(
      readMemoryLimit(await rootWith({ "proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "max" })),
      undefined,
    );
    assert.equal(readMemoryLimit(join(folder, "nothing")), undefined);
  });
});

describe("what the doctor says of this machine", () => {
  it("refuses a Node.js that is too old", () => {
    assert.deepEqual(
      ["18.19.0", "20.11.1", "20.12.0", "24.1.0"].map((version) => checkNode(version).status),
      ["failed", "failed", "ok", "ok"],
    );
  });

  it("warns of clocks that differ by more than a minute, and says which is ahead", () => {
    assert.equal(clockFinding(1000, 1059).status, "ok");
    assert.match(clockFinding(1000, 1200).found, /differ by 200 s: it is ahead/);
    assert.match(clockFinding(1000, 100).found, /differ by 900 s: it is behind/);
    assert.equal(clockFinding(1000, undefined).status, "skipped");
  });
});
