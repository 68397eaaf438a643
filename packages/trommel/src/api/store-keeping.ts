import { TrommelError } from "@trommel/common";
import type { SubjectKind } from "@trommel/common/jobs";
import {
  cameWith,
  checkDependents,
  collectGarbage,
  countRun,
  ownScores,
  removeRun,
  tunedBackbonesOf,
  type GarbageSum,
} from "@trommel/coordinator/store-keeping";
import { findSubject, listSubjects, readStatus } from "@trommel/coordinator/run-control";
import { abortable, type CallOptions } from "./abortable.js";
import type { Connections } from "./connections.js";

/** What {@link StoreKeeping.gc} looks for. */
export interface CollectOptions extends CallOptions {
  /** Whether it is removed as well. @default false */
  readonly remove?: boolean | undefined;
  /** What was written since then is left, milliseconds. @default 24 hours */
  readonly olderThanMs?: number | undefined;
  /** Also backbones that no run uses. @default false */
  readonly backbones?: boolean | undefined;
}

/** What nobody refers to, counted by kind. */
export type CollectedGarbage = Awaited<ReturnType<typeof collectGarbage>>;

/** What a run, scoring or sorting takes in the store. */
export interface StoredRun extends GarbageSum {
  readonly id: string;
  readonly kind: SubjectKind;
  /** Whether it was removed. */
  readonly removed: boolean;
  /** Scorings that were made with it and cannot be retried without it. */
  readonly dependents: readonly string[];
  /** The runs that came with a run that tunes and stay. */
  readonly cameWith: readonly string[];
  /** The backbone that a run has tuned, or those that it took from the runs of its folds, which stay. */
  readonly tunedBackbones: readonly string[];
  /** Whether the scores of a scoring stay. Those that an evaluation had made go with it. */
  readonly scoresStay: boolean;
}

const dayMs = 24 * 3_600_000;

/** Sees what a store holds that nobody refers to, and removes it. */
export class StoreKeeping {
  readonly #connections: Connections;

  /** @internal */
  constructor(connections: Connections) {
    this.#connections = connections;
  }

  /** Feature shards, half-written artefacts and what is left of runs that no run refers to. */
  async gc(options: CollectOptions = {}): Promise<CollectedGarbage> {
    const { remove = false, olderThanMs = dayMs, backbones = false } = options;
    return abortable(options, () =>
      collectGarbage({
        store: this.#connections.store,
        remove,
        withBackbones: backbones,
        olderThanMs,
        nowMs: Date.now(),
      }),
    );
  }

  /**
   * What a run or scoring takes in the store; with `remove` it is removed. Feature shards, scores and exported bundles stay,
   * but scores that an evaluation had made go with their scoring.
   * @throws TrommelError `conflict` while it is being worked on, or another run depends on it
   */
  async remove(
    id: string,
    options: CallOptions & { readonly remove?: boolean | undefined } = {},
  ): Promise<StoredRun> {
    return abortable(options, async () => {
      const { store } = this.#connections;
      const { remove = false } = options;
      const run =
        (await listSubjects(store)).find((subject) => subject.id === id) ?? (await findSubject(store, id));
      await this.#refuseLive(id);
      const dependents = await checkDependents(store, run);
      const sum = await countRun(store, run);
      const scoresStay = run.kind === "scoring" && (await ownScores(store, run)) === undefined;
      const others = await cameWith(store, run);
      const tunedBackbones = await tunedBackbonesOf(store, run);
      if (remove) await removeRun(store, run);
      return {
        ...{ id, kind: run.kind, removed: remove, ...sum, dependents, cameWith: others, tunedBackbones },
        scoresStay,
      };
    });
  }

  /** One whose configuration cannot be read is worked on by nobody. */
  async #refuseLive(id: string): Promise<void> {
    const { store } = this.#connections;
    const subject = await findSubject(store, id).catch((thrown: unknown) => {
      if (thrown instanceof TrommelError && thrown.code === "corrupt") return undefined;
      throw thrown;
    });
    if (subject === undefined) return;
    const { phase } = await readStatus(store, subject, await this.#connections.producerOf(subject));
    if (phase !== "running") return;
    throw new TrommelError(
      "conflict",
      `cannot remove ${id}: it is being worked on. 'trommel cancel ${id}' stops it`,
      { context: { id } },
    );
  }
}
