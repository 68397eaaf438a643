import { readFile } from "node:fs/promises";
import { cpus } from "node:os";

/** What Linux's /proc says of a process; elsewhere these reads fail. */

/** Linux counts CPU time for users in hundredths of a second (USER_HZ), on every architecture that Node.js runs on. */
const ticksPerSecond = 100;

/** User plus system time of a process and all of its threads, in seconds. */
export async function processCpuSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8");
  // The name in parentheses may hold blanks; utime and stime are fields 14 and 15 (proc(5)).
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** The largest resident set that a process has had so far, in MiB. */
export async function peakResidentMiB(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, "utf8");
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1];
  if (kibibytes === undefined) throw new Error(`/proc/${pid}/status has no VmHWM`);
  return Number(kibibytes) / 1024;
}

/** CPU time that all processes of the machine have used since it started, in seconds. */
export function machineBusySeconds(): number {
  const busyMs = cpus().map(({ times }) => times.user + times.nice + times.sys + times.irq);
  return busyMs.reduce((sum, value) => sum + value, 0) / 1000;
}
