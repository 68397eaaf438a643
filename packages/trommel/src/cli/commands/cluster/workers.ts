import type { ClusterMember } from "../../../index.js";
import { withTrommel, type GlobalFlags } from "../../handle.js";
import { counted } from "../../describe/counted.js";
import { tableOf } from "../../table.js";
import type { Terminal } from "../../terminal.js";

const header = [
  "who",
  "kind",
  "version",
  "device",
  "queues",
  "memory",
  "images/s",
  "busy",
  "works on",
] as const;

/** `trommel workers` */
export async function workers(terminal: Terminal, flags: GlobalFlags): Promise<void> {
  await withTrommel(terminal, flags, async (trommel) => {
    const members = await trommel.members();
    for (const line of tableOf(header, members.map(row))) terminal.say(line);
    if (members.length === 0)
      terminal.say("nobody serves this Redis. Start 'trommel coordinator' and 'trommel worker'");
    terminal.result({ members });
  });
}

function row({ name, kind, version, residentBytes, worker }: ClusterMember): string[] {
  const memory = `${Math.round(residentBytes / 2 ** 20)} MiB`;
  if (worker === undefined) return [name, kind, version, "", "plan", memory, "", "", ""];
  const { engine, device, provider, threads, queues, imagesPerSecond, busyShare, underWay } = worker;
  const named = underWay.map(
    ({ run, stage, unit }) => `${run} ${stage}${unit === undefined ? "" : ` ${unit}`}`,
  );
  return [
    ...[name, kind, version],
    `${engine} on ${device}${provider === device ? "" : ` (${provider})`}, ${counted(threads, "thread")}`,
    ...[queues.join(" "), memory, imagesPerSecond.toFixed(1), `${Math.round(busyShare * 100)} %`],
    named.length === 0 ? "nothing" : named.join(", "),
  ];
}
