import { BlockList, isIP } from "node:net";
import { TrommelError } from "../../errors.js";

/** Which servers are read from by https. */
export interface HostRules {
  /** Names of hosts; `*.example.com` is every host below it. */
  readonly hosts: readonly string[];
  /** Whether addresses of private networks are read from too. */
  readonly allowPrivate: boolean;
}

/** The rules that the process's variables give. */
export function hostRules(env: Readonly<Record<string, string | undefined>> = process.env): HostRules {
  const { TROMMEL_HTTPS_HOSTS: hosts = "", TROMMEL_HTTPS_PRIVATE: isPrivate = "" } = env;
  return {
    hosts: hosts.split(",").flatMap((host) => (host.trim() === "" ? [] : [host.trim().toLowerCase()])),
    allowPrivate: isPrivate === "true",
  };
}

/** Why an address may not be asked; undefined if it may. */
export function refusedHost(
  { protocol, hostname }: URL,
  { hosts, allowPrivate }: HostRules,
): TrommelError | undefined {
  const host = hostname.replace(/^\[|\]$/g, "").toLowerCase();
  const isListed = hosts.some((of) => (of.startsWith("*.") ? host.endsWith(of.slice(1)) : of === host));
  if (protocol !== "https:")
    return new TrommelError(
      "forbidden",
      `cannot read from ${host}: a redirect leads to an address without https. Name its last address`,
    );
  if (!isListed)
    return new TrommelError(
      "forbidden",
      `cannot read from ${host}: it is not among the hosts that may be read (${hosts.length === 0 ? "none are" : hosts.join(", ")}). Add it to TROMMEL_HTTPS_HOSTS of the coordinator and of every worker`,
      { context: { host } },
    );
  if (allowPrivate || isIP(host) === 0 || !isPrivateAddress(host)) return undefined;
  return new TrommelError(
    "forbidden",
    `cannot read from ${host}: it is a private address. Set TROMMEL_HTTPS_PRIVATE=true to read from it`,
    { context: { host } },
  );
}

/** Networks that are not the public internet: RFC 6890, and IPv6's own. */
const privateNetworks = new BlockList();
for (const [network, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["224.0.0.0", 3],
] as const)
  privateNetworks.addSubnet(network, bits, "ipv4");
for (const [network, bits] of [
  ["::", 127],
  ["64:ff9b::", 96],
  ["fc00::", 7],
  ["fe80::", 10],
  ["ff00::", 8],
] as const)
  privateNetworks.addSubnet(network, bits, "ipv6");

/** Also an IPv6 address that only wraps such an IPv4 one. */
export function isPrivateAddress(address: string): boolean {
  const wrapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (wrapped !== undefined) return isPrivateAddress(wrapped);
  if (/^::ffff:/i.test(address)) return true;
  return privateNetworks.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}
