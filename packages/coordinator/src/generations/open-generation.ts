import {
  openStore,
  outputKeys,
  parseJsonAs,
  scoringKeys,
  TrommelError,
  type ObjectStore,
  type ScoringConfig,
} from "@trommel/common";
import {
  findListing,
  partsOf,
  readGeneration,
  ScoringGeneration,
  scoringSuccess,
  type GenerationRequest,
} from "@trommel/common/artefacts";
import { putJsonOnce, sealedJson } from "@trommel/common/codec";
import { readBounds } from "@trommel/common/store";
import { KeyFilter } from "../listing/key-filter.js";
import { resolveBundle } from "../resolve/bundle.js";
import { openSource, placeOf } from "../sources/open-source.js";
import { readDeadPlaces } from "./dead-places.js";
import { KnownEntries } from "./known-entries.js";
import { listEntries } from "./list-entries.js";
import { SkippedSums } from "./skipped-sums.js";

/**
 * Compares the source of a finished scoring with what it lists, and stops at the first difference.
 * @returns what opens its next generation; undefined if nothing has changed
 * @throws TrommelError `bad-dataset` if the source holds nothing to score any more, `conflict` if its model decodes images by another
 *   version than before
 */
export async function findChange(
  store: ObjectStore,
  config: ScoringConfig,
  signal: AbortSignal,
): Promise<(() => Promise<void>) | undefined> {
  const before = await readGeneration(store, config.id);
  const request = await requestAfter(store, config, before);
  const next = new ScoringGeneration(config.id, request);
  const dead = await readDeadPlaces(store, before, next.base);
  const known = await KnownEntries.read(store, config, next, dead, signal);
  const filter = new KeyFilter(config);
  const source = openSource(placeOf(config), openStore);
  let isEmpty = true;
  let isChanged = false;
  try {
    const skipped = new SkippedSums();
    for await (const listed of listEntries(config, { store, source, filter, skipped, signal })) {
      isEmpty = false;
      if (known.meet(listed)) continue;
      isChanged = true;
      break;
    }
  } finally {
    source.close();
  }
  if (isEmpty)
    throw new TrommelError(
      "bad-dataset",
      `cannot score ${config.source} again: it holds nothing to score any more. Check the prefix; the scores of before stay as they are`,
      { context: { source: config.source } },
    );
  return isChanged || known.unmet > 0 ? () => openGeneration(store, request, config.id) : undefined;
}

/** The same one may be opened by two commands at once. */
async function openGeneration(
  store: ObjectStore,
  request: GenerationRequest,
  scoring: string,
): Promise<void> {
  await putJsonOnce(store, scoringKeys(scoring).generation(request.generation).request, sealedJson(request));
}

async function requestAfter(
  store: ObjectStore,
  config: ScoringConfig,
  before: ScoringGeneration,
): Promise<GenerationRequest> {
  const output = openStore(config.output);
  try {
    const body = await output.get(outputKeys.success, readBounds.document);
    const success = parseJsonAs(scoringSuccess, body, outputKeys.success);
    await requireSameDecoding(store, config, success.decodeVersion);
    const listing = await findListing(store, before.keys.listing);
    return {
      formatVersion: 1,
      generation: before.number + 1,
      base: partsOf(success),
      images: listing?.images ?? 0,
    };
  } finally {
    output.close();
  }
}

async function requireSameDecoding(
  store: ObjectStore,
  config: ScoringConfig,
  decodeVersion: number,
): Promise<void> {
  const { manifest } = await resolveBundle(store, config.bundle.location);
  if (manifest.input.decodeVersion === decodeVersion) return;
  throw new TrommelError(
    "conflict",
    `cannot score what is new in ${config.source} into ${config.output}: its images were decoded by version ${decodeVersion}, and the model has ${manifest.input.decodeVersion}. Score into another --output`,
    { context: { output: config.output } },
  );
}
