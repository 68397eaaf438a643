/** What one benchmark has to say: rows for the table at the end, and the same for machines. */
export interface BenchResult {
  readonly rows: readonly BenchRow[];
  /** Everything that was measured, unrounded. */
  readonly measured: unknown;
}

export interface BenchRow {
  readonly what: string;
  readonly value: string;
  /** What the project has set itself, where it has. */
  readonly target?: string;
}

export interface BenchSetting {
  /** A folder of the benchmark's own, empty at its start. */
  readonly folder: string;
  /** Threads of the worker and of the anchor. */
  readonly threads: number;
  /** Words about the progress, for stderr. */
  readonly say: (words: string) => void;
}
