import { openStore, type ObjectStore, type RunConfig } from "@trommel/common";
import { labelLookup } from "@trommel/common/artefacts";
import { resolveLabels } from "../labels/resolve-labels.js";
import { keysOnly } from "../sources/image-source.js";
import { openSource, placeOf } from "../sources/open-source.js";
import { KeyFilter } from "../listing/key-filter.js";
import type { JobProducer } from "../run-control/queueing/job-producer.js";
import { forecastTuning, type TuningForecast } from "./forecast-tuning.js";

/** What a training would work on. */
export interface TrainingForecast {
  readonly id: string;
  /** Labelled images that the prefix lists now. */
  readonly images: number;
  readonly classes: number;
  /** Null if the recipe does not tune. */
  readonly tuning: TuningForecast | null;
}

/**
 * What a resolved run would work on, by one listing of its source. Nothing is written to the store.
 * @param openProducer called if the run tunes: where workers can be asked
 * @throws TrommelError as `tuningRounds` does if a batch is larger than a replica's part, `invalid-argument` for rounds that last
 *   longer than a worker's drain, and what a worker says that cannot take a step
 */
export async function forecastRun(
  store: ObjectStore,
  config: RunConfig,
  openProducer: () => Promise<JobProducer>,
): Promise<TrainingForecast> {
  const { id, recipe } = config;
  const place = placeOf(config);
  const { table } = await resolveLabels(place, recipe);
  const labelOf = labelLookup(table);
  const filter = new KeyFilter(recipe);
  const classes = new Set<string>();
  let images = 0;
  const source = keysOnly(openSource(place, openStore));
  try {
    for await (const { key, skip } of source.list("")) {
      const label = (skip ?? filter.skip(key)) === undefined ? labelOf(key) : undefined;
      if (label === undefined) continue;
      images += 1;
      classes.add(label);
    }
  } finally {
    source.close();
  }
  const listed = { images, classes: classes.size };
  return { id, ...listed, tuning: await forecastTuning(store, config, listed, openProducer) };
}
