import { readFile } from "node:fs/promises";
import { hostname } from "node:os";

/**
 * `<host>-<pid>-<start of the process>`: names a process for those who find later what it left. On the same host the
 * process table says whether it lives.
 */

const host =
  hostname()
    .replace(/[^A-Za-z0-9]/g, "_")
    .slice(0, 64) || "unnamed";
let ownStart: Promise<string> | undefined;

export async function ownProcessName(): Promise<string> {
  ownStart ??= startOf(process.pid).then((start) => start ?? "0");
  return `${host}-${process.pid}-${await ownStart}`;
}

/** @returns whether the process that a text begins with has ended; undefined where nobody here can know: of another host */
export async function hasProcessEnded(text: string): Promise<boolean | undefined> {
  const [, on, pid = "", start = ""] = /^([A-Za-z0-9_]+)-(\d+)-(\d+)(?!\d)/.exec(text) ?? [];
  if (on !== host || !(await knowsProcesses())) return undefined;
  const living = await startOf(Number(pid));
  // A number that another process has got meanwhile has another start.
  return living === undefined || (start !== "0" && living !== start);
}

async function knowsProcesses(): Promise<boolean> {
  return (await startOf(process.pid)) !== undefined;
}

/** When a process began, in ticks since the machine did (proc(5), field 22); undefined if there is no such process. */
async function startOf(pid: number): Promise<string | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, "utf8");
    // The second field, the name in parentheses, may hold anything.
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
