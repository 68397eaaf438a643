/** What the words of Redis' error replies mean. Redis 6, 7 and 8, Valkey and KeyDB word them differently. */

/** What a user lacks, by the answer to one command; undefined for any other answer. */
export function isMissingRight(reason: string): "command" | "key" | undefined {
  if (!/^NOPERM\b|The user executing the script can't|ACL failure in script/.test(reason)) return undefined;
  return /access (a|one of the|at least one of the) keys?\b|access the '.*' key/.test(reason)
    ? "key"
    : "command";
}

/** Whether the server has no such command, or has it under another name. */
export function isMissing(reason: string): boolean {
  return /^ERR unknown (sub)?command/i.test(reason);
}

const replica = "it is a replica, which takes no writes. Give the address of its primary";
export const cluster =
  "it runs in cluster mode, and the scripts of the queues use keys of several slots. Give one without cluster mode";

/** Why the server is of the wrong kind, with what to do; undefined if the answer does not tell. */
export function whyNotThisServer(reason: string): string | undefined {
  if (/^READONLY\b/.test(reason)) return replica;
  if (/^(MOVED|ASK|CROSSSLOT)\b|SELECT is not allowed in cluster mode/.test(reason)) return cluster;
  if (/undeclared key/.test(reason)) {
    return "its scripts may use only keys that they declare. Start Dragonfly with --default_lua_flags=allow-undeclared-keys";
  }
  return undefined;
}

export function replicaOf(primary: string): string {
  return `${replica}${primary === "" ? "" : `, ${primary}`}`;
}
