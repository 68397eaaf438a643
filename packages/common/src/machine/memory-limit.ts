import { readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * The memory that the kernel lets this process's container take, by the control groups (cgroup) of version 2 or 1: the least of
 * its own group and of those above it.
 * @param root the file system's root. @default "/"
 * @returns bytes, or undefined where nothing limits it
 */
export function readMemoryLimit(root = "/"): number | undefined {
  const groups = readText(join(root, "proc/self/cgroup"))?.split("\n") ?? [];
  const limits = groups.flatMap((line) => {
    const [number, controllers = "", ...path] = line.split(":");
    const group = path.join(":");
    if (number === "0" && controllers === "")
      return limitsUpwards(root, "sys/fs/cgroup", group, "memory.max");
    if (!controllers.split(",").includes("memory")) return [];
    return limitsUpwards(root, "sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
  });
  return limits.length === 0 ? undefined : Math.min(...limits);
}

/** Version 1 says this, rounded down to whole pages, where there is no limit. */
const unlimited = 2 ** 62;

/** In a container the group's path may be the host's, which is not mounted there; the mount's root is its own group then. */
function limitsUpwards(root: string, mount: string, group: string, file: string): number[] {
  const names = group.split("/").filter((name) => name !== "" && name !== "..");
  return Array.from({ length: names.length + 1 }, (_, depth) => names.slice(0, depth)).flatMap((above) => {
    const text = readText(join(root, mount, ...above, file))?.trim();
    if (text === undefined || !/^\d+$/.test(text)) return [];
    const bytes = Number(text);
    return bytes > 0 && bytes < unlimited ? [bytes] : [];
  });
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
