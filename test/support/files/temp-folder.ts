import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

/** A folder of its own for one test file, removed when the file's tests are over. */
export async function temporaryFolder(name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `trommel-${name}-`));
  after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}
