import type { ClusterMember } from "@trommel/common/redis";

const lookMs = 5_000;

/** Says once that a run waits because nobody serves its Redis, and again if that comes back. */
export class Attendance {
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #said: string | undefined;
  readonly #members: () => Promise<readonly ClusterMember[]>;
  readonly #say: (line: string) => void;

  constructor(members: () => Promise<readonly ClusterMember[]>, say: (line: string) => void) {
    this.#members = members;
    this.#say = say;
  }

  async look(nowMs = performance.now()): Promise<void> {
    if (nowMs - this.#lookedAtMs < lookMs) return;
    this.#lookedAtMs = nowMs;
    const members = await this.#members();
    const missing = (["coordinator", "worker"] as const).filter((kind) =>
      members.every((member) => member.kind !== kind),
    );
    const line =
      missing.length === 0
        ? undefined
        : `waiting: no ${missing.join(" and no ")} serves its Redis. ` +
          `Start ${missing.map((kind) => `'trommel ${kind}'`).join(" and ")} with the same --redis and --store`;
    if (line !== undefined && line !== this.#said) this.#say(line);
    this.#said = line;
  }
}
