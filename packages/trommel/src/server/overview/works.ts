import { TrommelError, type ObjectStore } from "@trommel/common";
import { listSubjects } from "@trommel/coordinator/run-control";
import { Rates } from "../../api/following/progress.js";
import type { DamagedWork } from "../../api/listing.js";
import type { Trommel } from "../../trommel.js";
import { briefOf, type Brief } from "./brief.js";

/** How often the store is asked which runs it has. */
const listMs = 10_000;
/** Runs that nobody works on are looked at in turn, so many with each look: another process may continue one. */
const restingAtOnce = 20;

interface Known {
  brief: Brief;
  rates: Rates;
  attempt: number | undefined;
}

/** Gets each change as soon as it is known: a look that meets an error later must not lose it. */
export interface ChangeListener {
  changed(brief: Brief): void;
  /** The store no longer has it. */
  removed(id: string): void;
}

/**
 * The runs, scorings and sortings of a store. One look reads every one that is worked on and a bounded number of the others, however
 * many ask.
 */
export class Works {
  readonly #trommel: Trommel;
  readonly #known = new Map<string, Known>();
  readonly #nowMs: () => number;
  #listedAtMs = Number.NEGATIVE_INFINITY;
  #turn = 0;

  constructor(trommel: Trommel, nowMs: () => number = () => performance.now()) {
    this.#trommel = trommel;
    this.#nowMs = nowMs;
  }

  /** In order of their ids, as of the last look. */
  get all(): readonly Brief[] {
    return [...this.#known.values()].map(({ brief }) => brief).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** The next look lists the store, whenever the last one did: something was submitted. */
  listSoon(): void {
    this.#listedAtMs = Number.NEGATIVE_INFINITY;
  }

  /** @throws TrommelError of the store; the listener has what was found before it */
  async look(tell: ChangeListener): Promise<void> {
    const { added, removed } = await this.#list(this.#trommel.store);
    for (const id of removed) tell.removed(id);
    const live = [...this.#known].filter(([, { brief }]) => brief.phase === "running").map(([id]) => id);
    try {
      for (const id of new Set([...added, ...live, ...this.#nextResting()])) {
        const before = this.#known.get(id)?.brief;
        const after = await this.#lookAt(id);
        if (after === undefined) tell.removed(id);
        else if (JSON.stringify(before) !== JSON.stringify(after)) tell.changed(after);
      }
    } catch (thrown) {
      // What was listed and not looked at yet is listed again.
      if (added.length > 0) this.listSoon();
      throw thrown;
    }
  }

  async #list(store: ObjectStore): Promise<{ readonly added: string[]; readonly removed: string[] }> {
    const now = this.#nowMs();
    const before = this.#listedAtMs;
    if (now - before < listMs) return { added: [], removed: [] };
    // What is submitted while this lists asks for another listing.
    this.#listedAtMs = now;
    const ids = await listSubjects(store).catch((thrown: unknown) => {
      this.#listedAtMs = before;
      throw thrown;
    });
    const found = new Set(ids.map(({ id }) => id));
    const removed = [...this.#known.keys()].filter((id) => !found.has(id));
    for (const id of removed) this.#known.delete(id);
    return { added: [...found].filter((id) => !this.#known.has(id)), removed };
  }

  #nextResting(): string[] {
    const resting = [...this.#known].filter(([, { brief }]) => brief.phase !== "running").map(([id]) => id);
    const from = resting.length === 0 ? 0 : this.#turn % resting.length;
    this.#turn = from + restingAtOnce;
    return [...resting, ...resting].slice(from, from + Math.min(restingAtOnce, resting.length));
  }

  /** @returns undefined if the store no longer has it */
  async #lookAt(id: string): Promise<Brief | undefined> {
    const known = this.#known.get(id);
    try {
      const status = await (await this.#trommel.run(id)).status();
      // Another attempt counts from the beginning, and what has ended or is paused has no rate that falls by the second.
      const counting = status.phase === "running" && known?.attempt === status.attempt ? known : undefined;
      const rates = counting?.rates ?? new Rates();
      const stages = status.stages.filter(({ total }) => total > 0);
      const next = briefOf(
        status,
        stages.map((stage) => rates.of(stage, this.#nowMs())),
      );
      this.#known.set(id, { brief: next, rates, attempt: status.attempt });
      return next;
    } catch (thrown) {
      if (!(thrown instanceof TrommelError)) throw thrown;
      if (thrown.code === "not-found") {
        this.#known.delete(id);
        return undefined;
      }
      if (thrown.code !== "corrupt") throw thrown;
      const { code, message } = thrown;
      const kind = known?.brief.kind ?? "run";
      const damaged: DamagedWork = { kind, id, phase: "damaged", error: { code, message, stage: "" } };
      const next = briefOf(damaged, []);
      this.#known.set(id, { brief: next, rates: new Rates(), attempt: undefined });
      return next;
    }
  }
}
