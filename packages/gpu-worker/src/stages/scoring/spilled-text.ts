import { mkdtemp, open, rm, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileError } from "@trommel/common/store";

const chunkBytes = 1024 * 1024;

/**
 * Text that grows with the dataset on its way into the store: up to 1 MiB of it is in memory, the rest in a file that has no
 * name any more, so that a process that is killed leaves nothing.
 */
export class SpilledText {
  #file: FileHandle | undefined;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #fileBytes = 0;

  get sizeBytes(): number {
    return this.#fileBytes + this.#waitingBytes;
  }

  /** @throws TrommelError `store-full` where the folder for temporary files (TMPDIR) has no room */
  async write(text: string): Promise<void> {
    if (text === "") return;
    const bytes = Buffer.from(text, "utf8");
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.byteLength;
    if (this.#waitingBytes >= chunkBytes) await this.#flush();
  }

  /** All of it, from the beginning; may be asked for again. */
  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    for (let at = 0; at < this.#fileBytes;) {
      const bytes = Buffer.alloc(Math.min(chunkBytes, this.#fileBytes - at));
      const { bytesRead } = (await this.#file?.read(bytes, 0, bytes.byteLength, at)) ?? { bytesRead: 0 };
      if (bytesRead === 0) throw fileError(`read ${spilledName}`, new Error("it ended early"));
      at += bytesRead;
      yield bytes.subarray(0, bytesRead);
    }
    yield* this.#waiting;
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  async #flush(): Promise<void> {
    try {
      this.#file ??= await openNameless();
      const whole = Buffer.concat(this.#waiting);
      await this.#file.write(whole, 0, whole.byteLength, this.#fileBytes);
      this.#fileBytes += whole.byteLength;
    } catch (thrown) {
      throw fileError(`write ${spilledName}`, thrown);
    }
    this.#waiting = [];
    this.#waitingBytes = 0;
  }
}

const spilledName = `a temporary file in ${tmpdir()}`;

async function openNameless(): Promise<FileHandle> {
  const folder = await mkdtemp(join(tmpdir(), "trommel-text-"));
  try {
    return await open(join(folder, "lines"), "wx+");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
