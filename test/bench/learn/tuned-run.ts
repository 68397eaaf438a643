import type { Material } from "../material/material.js";
import { trommel } from "../material/trommel-command.js";

export interface TunedRun {
  readonly settings: readonly string[];
  readonly workers: number;
  readonly threads: number;
}

/** Tunes MobileNetV1 0.75 on the photographs. */
export async function tuneRun(
  id: string,
  { pictures, backbone }: Material,
  store: string,
  { settings: fields, workers, threads }: TunedRun,
): Promise<void> {
  await trommel(
    ...["train", pictures, "--run", id, "--store", store, "--backbone", backbone, "--tune"],
    ...fields.flatMap((field) => ["--set", field]),
    ...["--workers", String(workers), "--threads", String(threads)],
  );
}
