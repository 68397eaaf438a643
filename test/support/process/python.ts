import { spawnSync } from "node:child_process";

/** The Python of the readers that tests hold files against: another one than `python3` is named by PYTHON. */
const python = process.env["PYTHON"] ?? "python3";

/** @returns why a test must be skipped, or false where Python has all of these modules */
export function withoutModules(...modules: readonly string[]): string | false {
  const found = spawnSync(python, ["-c", `import ${modules.join(", ")}`]);
  return found.status === 0 ? false : `${python} with ${modules.join(" and ")} is not here`;
}

/** What a script prints as JSON. */
export function askPython(script: string, ...args: readonly string[]): unknown {
  const { status, stdout, stderr } = spawnSync(python, ["-c", script, ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${python} ended with ${String(status)}: ${stderr}`);
  return JSON.parse(stdout) as unknown;
}
