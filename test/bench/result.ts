import type { GpuArguments } from "./bench-arguments.js";
import type { Material } from "./material/material.js";

/** What one benchmark has to say: rows for the table at the end, and the same for machines. */
export interface BenchResult {
  readonly rows: readonly BenchRow[];
  /** Everything that was measured, unrounded. */
  readonly measured: unknown;
}

/** One line of the table. comparison-row.ts builds those that have an anchor. */
export interface BenchRow {
  /** The figure and its unit. The benchmark's own name in front is left out of the table. */
  readonly what: string;
  /** Ours: median (least–most) where repeated. */
  readonly value: string;
  /** The anchor's, or why there is none: `not installed: …`. */
  readonly anchor?: string;
  readonly ratio?: string;
  /** What the project has set itself, where it has. */
  readonly target?: string;
  readonly reached?: boolean;
  /** Every repetition, unrounded. */
  readonly repetitions?: Repetitions;
}

export interface Repetitions {
  readonly own: readonly number[];
  readonly anchor?: readonly number[];
  readonly ratio?: readonly number[];
}

export interface BenchSetting {
  /** A folder of the benchmark's own, absent at its start. */
  readonly folder: string;
  /** Threads of the worker and of the anchor. */
  readonly threads: number;
  readonly gpu: GpuArguments;
  /** Of `honesty`. */
  readonly repetitions: number;
  /** What `delta` lists. */
  readonly keys: number;
  /** What `rescore` scores. */
  readonly rows: number;
  /** Words about the progress, for stderr. */
  readonly say: (words: string) => void;
}

/** How a benchmark is registered in bench.ts. Importing the backbones takes seconds, so one that needs none says so. */
export type Bench =
  | {
      readonly material: true;
      readonly measure: (material: Material, store: string, setting: BenchSetting) => Promise<BenchResult>;
    }
  | {
      readonly material: false;
      readonly measure: (material: undefined, store: string, setting: BenchSetting) => Promise<BenchResult>;
    };
