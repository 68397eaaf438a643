import type { ObjectInfo } from "@trommel/common";

/** The kinds of removable objects of a store, with their descriptions for users. */
export const garbageKinds = {
  features: "feature shards that no run refers to",
  incomplete: "artefacts without a marker or without data",
  runs: "what is left of runs and scorings",
  tuning: "changes and checkpoints of tuning that no later round starts from",
  splits: "validation keys of runs that are no more",
  evaluations: "evaluations of runs that are no more, and scores of evaluations whose scoring is no more",
  parts: "parts of scores that a later generation has replaced",
  backbones: "backbones that no run uses",
  checks: "objects of checks that were interrupted",
  partials: "files of writers that were killed",
} as const;
export type GarbageKind = keyof typeof garbageKinds;

/** Objects that go together, as they are found. */
export interface Found {
  readonly kind: GarbageKind;
  /** In order of removal. */
  readonly objects: readonly ObjectInfo[];
  /** The store that they are in. @default the run's own */
  readonly location?: string;
}

/** Objects that go together. */
export interface Garbage {
  readonly kind: GarbageKind;
  /** In order of removal: a marker before its data, since data without a marker do not exist. */
  readonly keys: readonly string[];
  readonly sizeBytes: number;
  /** The store that they are in. @default the run's own */
  readonly location?: string | undefined;
}

export interface GarbageSum {
  readonly objects: number;
  readonly sizeBytes: number;
}

/** The result of a collection. */
export interface GarbageReport {
  readonly removed: boolean;
  readonly objects: number;
  readonly sizeBytes: number;
  readonly byKind: Partial<Record<GarbageKind, GarbageSum>>;
  /** Objects that nothing refers to and that are too young to remove. */
  readonly young: number;
}

/** Sums up what a collection finds. */
export class GarbageCount {
  readonly #byKind = new Map<GarbageKind, GarbageSum>();

  add(kind: GarbageKind, { objects, sizeBytes }: GarbageSum): void {
    if (objects === 0) return;
    const sum = this.#byKind.get(kind) ?? { objects: 0, sizeBytes: 0 };
    this.#byKind.set(kind, { objects: sum.objects + objects, sizeBytes: sum.sizeBytes + sizeBytes });
  }

  report(removed: boolean, young: number): GarbageReport {
    const sums = [...this.#byKind.values()];
    return {
      removed,
      objects: sums.reduce((sum, { objects }) => sum + objects, 0),
      sizeBytes: sums.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      byKind: Object.fromEntries(this.#byKind),
      young,
    };
  }
}
