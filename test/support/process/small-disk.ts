import { execFile } from "node:child_process";
import { mkdtemp, open, rm, rmdir, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A file system of its own that can be filled: a tmpfs. */
export class SmallDisk {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** @returns what the system says where it lets this user mount nothing */
  static async mount(sizeBytes: number): Promise<SmallDisk | string> {
    const folder = await mkdtemp(join(tmpdir(), "trommel-disk-"));
    try {
      await run("mount", ["-t", "tmpfs", "-o", `size=${sizeBytes},mode=0700`, "trommel-test", folder]);
    } catch (thrown) {
      await rmdir(folder);
      return thrown instanceof Error ? thrown.message.trim() : String(thrown);
    }
    return new SmallDisk(folder);
  }

  /** Fills it but for so many bytes, in whole blocks. */
  async leave(sizeBytes: number): Promise<void> {
    await this.makeRoom();
    const { bfree, bsize } = await statfs(this.folder);
    const file = await open(this.#filler, "w");
    try {
      const block = Buffer.alloc(bsize);
      for (let left = bfree - Math.floor(sizeBytes / bsize); left > 0; left -= 1) await file.write(block);
    } finally {
      await file.close();
    }
  }

  async makeRoom(): Promise<void> {
    await rm(this.#filler, { force: true });
  }

  async setReadOnly(readOnly: boolean): Promise<void> {
    await run("mount", ["-o", `remount,${readOnly ? "ro" : "rw"}`, this.folder]);
  }

  async unmount(): Promise<void> {
    await run("umount", ["-l", this.folder]);
    await rmdir(this.folder);
  }

  get #filler(): string {
    return join(this.folder, "filler");
  }
}
