import {
  featureDimension,
  readLabelLookup,
  runKeys,
  TrommelError,
  type ObjectStore,
  type Projection,
  type RunConfig,
  type Split,
} from "@trommel/common";
import type { ImagePlace } from "@trommel/common/artefacts";
import type { RowSet } from "../../head/model/row-set.js";
import { RowProjector } from "../../linalg/project-rows.js";
import { adviceOnFailedFiles, readFeatures, sameEmbeddings } from "../inputs/features.js";
import { readListing, readShard } from "../inputs/listing.js";
import { heldBackOf } from "../inputs/split.js";

/** What a head is trained and validated on: every view of the training images, the identity view of the others. */
export interface LabelledRows {
  /** In output order, as the listing has them. */
  readonly labels: readonly string[];
  readonly train: RowSet;
  readonly validation: RowSet;
  /** The image of each validation row. */
  readonly validationPlaces: readonly ImagePlace[];
  /** Every view of the validation images, for a refit; not read where the recipe has none. */
  readonly heldBack?: RowSet;
  /** The identity views of the images of the test part, and what these are; null without one. */
  readonly test: { readonly rows: RowSet; readonly places: readonly ImagePlace[] } | null;
  readonly counts: readonly LabelCounts[];
}

interface LabelCounts {
  readonly label: string;
  readonly train: number;
  readonly validation: number;
  readonly test: number;
}

/**
 * Reads every feature shard of a run once, projects it, and joins labels to rows by key.
 * @throws TrommelError `bad-dataset` where a class that was listed with images has no readable training image, or none
 *   validates at all; `corrupt` where the labels are not the run's
 */
export async function readLabelledRows(options: {
  readonly store: ObjectStore;
  readonly config: RunConfig;
  readonly split: Split;
  readonly projection: Projection | null;
  readonly threads: number;
  readonly signal: AbortSignal;
}): Promise<LabelledRows> {
  const { store, config, split, projection } = options;
  const keys = runKeys(config.id);
  const listing = await readListing(store, keys.listing);
  const labelOf = await readLabelLookup(store, config);
  const classes = listing.classes ?? [];
  const labels = classes.map(({ label }) => label);
  const indexOf = new Map(labels.map((label, index) => [label, index]));
  const dimension = featureDimension(config);
  const featureCount = projection?.components ?? dimension;
  const projector =
    projection === null ? undefined : await RowProjector.create(projection, { threads: options.threads });
  const train = new RowCollector(featureCount, SharedArrayBuffer);
  const validation = new RowCollector(featureCount, ArrayBuffer);
  const heldBack = config.recipe.training.refit
    ? new RowCollector(featureCount, SharedArrayBuffer)
    : undefined;
  const test = new RowCollector(featureCount, ArrayBuffer);
  const places: ImagePlace[] = [];
  const validationPlaces: ImagePlace[] = [];
  const counts = labels.map((label) => ({ label, train: 0, validation: 0, test: 0 }));
  try {
    for (let index = 0; index < listing.shards; index += 1) {
      options.signal.throwIfAborted();
      const shard = await readShard(store, keys.shard(index));
      const heldBackHere = heldBackOf(split, index);
      const { features, image, view } = await readFeatures(store, config, shard);
      const projected = projector === undefined ? features : await projector.project(features, image.length);
      for (const [row, position] of image.entries()) {
        const key = shard.entries[position]?.key ?? "";
        const label = indexOf.get(labelOf(key) ?? "");
        if (label === undefined)
          throw new TrommelError(
            "corrupt",
            `cannot join labels: row ${row} of shard ${index} has no labelled key`,
          );
        const identity = view[row] === 0;
        const part = heldBackHere.test.has(position)
          ? "test"
          : heldBackHere.validation.has(position)
            ? "validation"
            : "train";
        const values = projected.subarray(row * featureCount, (row + 1) * featureCount);
        if (part === "train") train.add(values, label);
        else if (identity) (part === "test" ? test : validation).add(values, label);
        if (part === "validation") heldBack?.add(values, label);
        if (part === "validation" && identity) validationPlaces.push({ shard: index, position });
        if (part === "test" && identity) places.push({ shard: index, position });
        const count = counts[label];
        if (identity && count !== undefined) count[part] += 1;
      }
    }
  } finally {
    await projector?.release();
  }
  checkCounts(
    config.id,
    counts,
    new Set(classes.filter(({ images }) => images > 0).map(({ label }) => label)),
  );
  checkFeatures(config.id, train.rows());
  return {
    labels,
    train: train.rows(),
    validation: validation.rows(),
    validationPlaces,
    ...(heldBack === undefined ? {} : { heldBack: heldBack.rows() }),
    test: split.test === undefined ? null : { rows: test.rows(), places },
    counts,
  };
}

/** @throws TrommelError `corrupt` for a value that is not finite, `bad-dataset` if all rows are the same */
function checkFeatures(id: string, { features, labels }: RowSet): void {
  if (!features.every(Number.isFinite)) {
    throw new TrommelError(
      "corrupt",
      `cannot train the head of ${id}: among ${labels.length} embeddings there is a value that is not finite. ` +
        "Check the backbone's weights and the feature type (f16 overflows at 65504)",
      { context: { run: id } },
    );
  }
  const width = features.length / labels.length;
  if (!features.every((value, at) => value === features[at % width])) return;
  throw new TrommelError("bad-dataset", `cannot train the head of ${id}: ${sameEmbeddings(labels.length)}`, {
    context: { run: id, rows: labels.length },
  });
}

/** @param listed classes that the listing has images of; one of a class list may have none */
function checkCounts(id: string, counts: LabelledRows["counts"], listed: ReadonlySet<string>): void {
  const untrained = counts.filter(({ label, train }) => train === 0 && listed.has(label));
  const empty = untrained.map(({ label }) => JSON.stringify(label));
  if (empty.length > 0) {
    throw new TrommelError(
      "bad-dataset",
      `cannot train: no training image of class ${empty.join(", ")} could be read. ${adviceOnFailedFiles(id)}`,
    );
  }
  if (counts.every(({ validation }) => validation === 0)) {
    throw new TrommelError(
      "bad-dataset",
      `cannot train: no validation image could be read. ${adviceOnFailedFiles(id)}`,
    );
  }
}

/** Rows that arrive one at a time, in one growing buffer; other threads can read it too where it is shared. */
class RowCollector {
  readonly #width: number;
  readonly #memory: new (sizeBytes: number) => ArrayBufferLike;
  #features: Float32Array;
  #labels: Int32Array;
  #count = 0;

  constructor(width: number, memory: new (sizeBytes: number) => ArrayBufferLike) {
    this.#width = width;
    this.#memory = memory;
    this.#features = this.#allocate(Float32Array, 1024 * width);
    this.#labels = this.#allocate(Int32Array, 1024);
  }

  add(values: Float32Array, label: number): void {
    if (this.#count === this.#labels.length) this.#grow();
    this.#features.set(values, this.#count * this.#width);
    this.#labels[this.#count] = label;
    this.#count += 1;
  }

  rows(): RowSet {
    return {
      features: this.#features.subarray(0, this.#count * this.#width),
      labels: this.#labels.subarray(0, this.#count),
    };
  }

  #grow(): void {
    const features = this.#allocate(Float32Array, this.#features.length * 2);
    features.set(this.#features);
    this.#features = features;
    const labels = this.#allocate(Int32Array, this.#labels.length * 2);
    labels.set(this.#labels);
    this.#labels = labels;
  }

  #allocate<T>(type: new (buffer: ArrayBufferLike) => T, length: number): T {
    return new type(new this.#memory(4 * length));
  }
}
