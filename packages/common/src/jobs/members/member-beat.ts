import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { Redis } from "ioredis";
import { removeMember, writeMember, type ClusterMember } from "./cluster-member.js";

/** So often a member says that it serves; two lost beats do not hide it. */
const beatMs = 2500;

/** What is said of every process alike. */
export type OwnFacts = Omit<ClusterMember, "name" | "version" | "startedMs" | "residentBytes">;

const packageFile = new URL("../../../package.json", import.meta.url);
/** All packages of Trommel have one version. */
export const { version: memberVersion } = JSON.parse(readFileSync(packageFile, "utf8")) as {
  readonly version: string;
};

/** As BullMQ knows this process. */
export function memberName(): string {
  return `${hostname()}:${process.pid}`;
}

/** Says with every beat that this process serves, until it is stopped. A beat that Redis does not take is left out. */
export class MemberBeat {
  readonly #redis: Redis;
  readonly #facts: () => OwnFacts;
  readonly #timer: NodeJS.Timeout;
  readonly #name = memberName();
  readonly #startedMs = Date.now();
  #beating = false;

  /** @param facts asked with every beat */
  constructor(redis: Redis, facts: () => OwnFacts) {
    this.#redis = redis;
    this.#facts = facts;
    this.#timer = setInterval(() => this.#beat(), beatMs);
    this.#timer.unref();
    this.#beat();
  }

  /** It is listed no longer, if Redis answers now. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#redis.status === "ready") await removeMember(this.#redis, this.#name).catch(() => undefined);
  }

  #beat(): void {
    // Redis is lost: the commands of all beats since would be sent together when it is back.
    if (this.#beating) return;
    this.#beating = true;
    const { rss: residentBytes } = process.memoryUsage();
    const own = { name: this.#name, version: memberVersion, startedMs: this.#startedMs, residentBytes };
    writeMember(this.#redis, { ...this.#facts(), ...own })
      .catch(() => undefined)
      .finally(() => (this.#beating = false));
  }
}
