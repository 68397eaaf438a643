import { readFile, readdir, readlink } from "node:fs/promises";

/** A process by /proc: its parent and its arguments. */
export interface RunningProcess {
  readonly pid: number;
  readonly parent: number;
  readonly args: readonly string[];
}

/** True while the process runs; a zombie, which only waits to be reaped, does not. */
export async function isRunning(pid: number): Promise<boolean> {
  return (await stateOf(pid))?.running ?? false;
}

/** Children, grandchildren and so on of a process. */
export async function descendantsOf(root: number): Promise<RunningProcess[]> {
  const all = await runningProcesses();
  const found: RunningProcess[] = [];
  let generation = [root];
  while (generation.length > 0) {
    const children = all.filter(({ parent }) => generation.includes(parent));
    found.push(...children);
    generation = children.map(({ pid }) => pid);
  }
  return found;
}

async function runningProcesses(): Promise<RunningProcess[]> {
  const found: RunningProcess[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    const state = await stateOf(pid);
    const command = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
    if (state?.running) found.push({ pid, parent: state.parent, args: command.split("\0").slice(0, -1) });
  }
  return found;
}

/** A variable of another process's environment. */
export async function environmentOf(pid: number, variable: string): Promise<string | undefined> {
  const entries = (await readFile(`/proc/${pid}/environ`, "utf8")).split("\0");
  return entries.find((entry) => entry.startsWith(`${variable}=`))?.slice(variable.length + 1);
}

async function stateOf(pid: number): Promise<{ running: boolean; parent: number } | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // The second field, the name in parentheses, may hold anything.
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { running: state !== "Z" && state !== "X", parent: Number(parent) };
  } catch {
    return undefined;
  }
}

/** Local addresses, as the kernel writes them, of the TCP sockets that a process listens on. */
export async function listeningSockets(pid: number): Promise<string[]> {
  const inodes = new Map<string, string>();
  for (const table of ["tcp", "tcp6"]) {
    const lines = (await readFile(`/proc/net/${table}`, "utf8").catch(() => "")).split("\n").slice(1);
    for (const line of lines) {
      const fields = line.trim().split(/\s+/);
      // 0A is TCP_LISTEN (include/net/tcp_states.h).
      if (fields[3] === "0A") inodes.set(`socket:[${fields[9] ?? ""}]`, fields[1] ?? "");
    }
  }
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const links = await Promise.all(descriptors.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => "")));
  return links.flatMap((link) => inodes.get(link) ?? []);
}
