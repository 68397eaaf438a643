import { lstat, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasProcessEnded, ownProcessName } from "@trommel/common/process-name";

const folderPrefix = "trommel-redis-";
const socketName = "redis.sock";
/** Names the folder's owner. */
const ownerName = "owner";

/**
 * A private folder for an embedded Redis and its socket. First it removes the folders of commands that were killed together
 * with their Redis, only those of this user and this machine.
 */
export async function makeRedisFolder(): Promise<{ readonly folder: string; readonly socket: string }> {
  await sweepRedisFolders(tmpdir());
  const folder = await mkdtemp(join(tmpdir(), folderPrefix));
  await writeFile(join(folder, ownerName), await ownProcessName());
  return { folder, socket: join(folder, socketName) };
}

async function sweepRedisFolders(parent: string): Promise<void> {
  // This only tidies up: no failure of it may prevent the start.
  const names = await readdir(parent).catch(() => []);
  for (const name of names.filter((candidate) => candidate.startsWith(folderPrefix))) {
    const folder = join(parent, name);
    if (await isDead(folder).catch(() => false))
      await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

async function isDead(folder: string): Promise<boolean> {
  const stats = await lstat(folder);
  if (!stats.isDirectory() || stats.uid !== process.geteuid?.()) return false;
  const owner = await readFile(join(folder, ownerName), "utf8");
  return (await hasProcessEnded(owner)) === true && !(await isServed(join(folder, socketName)));
}

/** A Redis may outlive its command by a moment, in which its workers end it. */
function isServed(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    const answer = (served: boolean): void => {
      connection.destroy();
      resolve(served);
    };
    connection.once("connect", () => answer(true));
    connection.once("error", () => answer(false));
  });
}
