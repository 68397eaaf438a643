import type { ClusterMember } from "@trommel/common/redis";
import { failed, ok, warning, type Finding } from "./finding.js";

/** Who serves, and whether all of them are of one version and one store. */
export function checkCluster(
  members: readonly ClusterMember[],
  own: { readonly version: string; readonly storeUrl: string },
): Finding[] {
  const coordinators = members.filter(({ kind }) => kind === "coordinator");
  const workers = members.filter(({ kind }) => kind === "worker");
  return [
    coordinators.length === 0
      ? failed(
          "coordinators",
          "none serves",
          "Start one with 'trommel coordinator': without it nothing is planned",
        )
      : ok("coordinators", counted(coordinators)),
    checkWorkers(workers, own.storeUrl),
    checkVersions(members, own.version),
  ];
}

function checkWorkers(workers: readonly ClusterMember[], storeUrl: string): Finding {
  if (workers.length === 0)
    return failed("workers", "none serves", "Start some with 'trommel worker': without them jobs wait");
  const elsewhere = workers.filter((member) => member.storeUrl !== storeUrl);
  if (elsewhere.length === 0) return ok("workers", counted(workers));
  return warning(
    "workers",
    `${elsewhere.map(({ name, storeUrl: other }) => `${name} has the store ${other}`).join(", ")}`,
    `They take no job of ${storeUrl}. Start them with --store ${storeUrl} if they should`,
  );
}

function checkVersions(members: readonly ClusterMember[], own: string): Finding {
  const others = members.filter(({ version }) => version !== own);
  if (others.length === 0) return ok("versions", `all of version ${own}`);
  return failed(
    "versions",
    `this command is ${own}, and ${others.map(({ name, kind, version }) => `the ${kind} ${name} is ${version}`).join(", ")}`,
    "Update every process of the cluster to one version: what two versions write may differ",
  );
}

function counted(members: readonly ClusterMember[]): string {
  return `${members.length}: ${members.map(({ name }) => name).join(", ")}`;
}
