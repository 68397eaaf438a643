import type { Device, Finding } from "../../../index.js";
import { counted } from "../../describe/counted.js";
import { withTrommel, type GlobalFlags } from "../../handle.js";
import { exitCodes, type Terminal } from "../../terminal.js";

const marks = { ok: "ok", warning: "WARN", failed: "FAIL", skipped: "skip" } as const;

/** `trommel doctor` */
export async function doctor(
  terminal: Terminal,
  flags: GlobalFlags & { readonly device: Device; readonly timeout: number },
): Promise<void> {
  await withTrommel(terminal, flags, async (trommel) => {
    const diagnosis = await trommel.examine({ device: flags.device, timeoutMs: flags.timeout * 1000 });
    const { healthy, version, store, redis, findings } = diagnosis;
    terminal.say(`trommel ${version}, store ${store}, redis ${redis ?? "embedded"}`);
    for (const finding of findings) for (const line of describe(finding)) terminal.say(line);
    const failures = findings.filter(({ status }) => status === "failed").length;
    terminal.say(healthy ? "nothing is wrong" : `${counted(failures, "check")} failed`);
    if (!healthy) terminal.exitCode = exitCodes.failed;
    terminal.result(diagnosis);
  });
}

function* describe({ check, status, found, advice }: Finding): Generator<string> {
  yield `${marks[status].padEnd(4)}  ${check.padEnd(24)}${found}`;
  if (advice !== null && advice !== "") yield `      ${" ".repeat(24)}→ ${advice}`;
}
