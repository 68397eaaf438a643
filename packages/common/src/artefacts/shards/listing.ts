import { z } from "zod";
import { isObjectLocation } from "../../store/object-location.js";
import { sha256 } from "../backbones/backbone-spec.js";
import { contradictions } from "../results/contradictions.js";
import { runId } from "../store-keys.js";
import { entryPlace } from "./entry-place.js";

/** The listing of a source, cut into shards: fixed, ordered slices that are the unit of work, retry and commit. */

export const skipReason = z.enum([
  /** What a system, a file server or a tool leaves in folders, by its name: see the table of litter. */
  "litter",
  /** A segment of the key begins with a dot. */
  "hidden",
  /** No pattern of `include` matches it. Counted, and not named. */
  "not-included",
  /** A pattern of `exclude` matches it. Counted by pattern, and not named. */
  "excluded",
  /** It is not in the sample of the listing that is scored. Counted, and not named. */
  "not-sampled",
  /** Training needs a label, and neither a class folder nor the labels' source gives one. */
  "no-label",
  /** A text that labels an image of its archive and has its name but for the extension: `000.cls` next to `000.jpg`. */
  "sidecar",
  /** With `--archives`, an object that is no archive. */
  "not-an-archive",
  /** Its name is no legal key of a store: see {@link UnusableReason}, also for those below. It is never read. */
  "illegal-key",
  /** A pipe, a socket, a device, or a link to one or to nothing. */
  "not-a-file",
  /** A symbolic link that leaves the folder. */
  "outside-the-folder",
  /** A symbolic link to itself, or to a folder above it. */
  "circular-link",
  /** A folder that may not be read, with its key ending in `/`, or what lies in one that may not be entered. */
  "forbidden-folder",
]);
export type SkipReason = z.infer<typeof skipReason>;

export const shardEntry = z
  .object({
    key: z.string().min(1),
    /** The unpacked picture's. */
    sizeBytes: z.int().nonnegative(),
    /** The etag of the object that holds it. */
    etag: z.string(),
    at: entryPlace.optional(),
  })
  .strict();
export type ShardEntry = z.infer<typeof shardEntry>;

/** A row by the shard that lists it and its position there. */
export const imagePlace = z
  .object({ shard: z.int().nonnegative(), position: z.int().nonnegative() })
  .strict();
export type ImagePlace = z.infer<typeof imagePlace>;

const superseded = z
  .object({
    /** The run or scoring that asked for it. */
    by: runId,
    rows: z.array(imagePlace).min(1),
  })
  .strict();
export type Superseded = z.infer<typeof superseded>;

const copied = z
  .object({
    /** The part whose rows are copied: the generation that wrote it, and its number there. */
    generation: z.int().nonnegative(),
    shard: z.int().nonnegative(),
    /** For each entry the position that it has there, ascending. */
    positions: z.array(z.int().nonnegative()).min(1),
  })
  .strict();

/** Counts by a pattern of the user's. Not `z.record`, which drops the key `__proto__`. */
export const countsByPattern = z.custom<Record<string, number>>(isCounts, {
  error: "it has to give a positive whole number for each pattern",
});

function isCounts(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((count) => Number.isSafeInteger(count) && count > 0);
}

/** Objects that patterns or a sample left out: many may be, so that they are counted and not named. */
const leftOut = z
  .object({
    /** By the first pattern of `exclude` that matches. */
    excluded: countsByPattern,
    notIncluded: z.int().nonnegative(),
    /** Absent without a sample. */
    notSampled: z.int().nonnegative().optional(),
  })
  .strict();

export const shard = z
  .object({
    formatVersion: z.literal(1),
    index: z.int().nonnegative(),
    /**
     * Hash of the entries alone, so that equal slices share their features whatever run they belong to. If the shard tries
     * files again, it covers `supersedes` too: the features of the first try must not pass for those of the second.
     */
    hash: sha256,
    /** In listing order; a row's position here is its `image` number in the feature shard. */
    entries: z.array(shardEntry),
    /**
     * Present if the source has an order of its own, and not that of the keys' UTF-8 bytes: that no image is listed twice is then
     * known from hashes of the keys.
     */
    anyOrder: z.literal(true).optional(),
    /** Objects that were listed between the entries and are not processed. */
    skipped: z.array(z.object({ key: z.string(), reason: skipReason }).strict()),
    /** What patterns left out between them, and the last of its keys, after which the listing continues; absent if nothing. */
    leftOut: leftOut.extend({ last: z.string() }).strict().optional(),
    /**
     * Present if the shard tries failed files again: for each entry the row that it replaces, in an earlier shard of the
     * same run or scoring. Such rows are counted by their last try alone.
     */
    supersedes: superseded.optional(),
    /** Present if nothing is scored: the shard is what a later generation keeps of an earlier part. */
    copied: copied.optional(),
  })
  .strict()
  .refine(({ entries, copied }) => copied === undefined || copied.positions.length === entries.length, {
    path: ["copied"],
    error: "it names one position for each entry",
  })
  .refine(
    ({ entries, supersedes }) => supersedes === undefined || supersedes.rows.length === entries.length,
    {
      path: ["supersedes"],
      error: "it names one row for each entry",
    },
  );
export type Shard = z.infer<typeof shard>;

/** What a later generation of a scoring found. */
const generationSummary = z
  .object({
    added: z.int().nonnegative(),
    changed: z.int().nonnegative(),
    removed: z.int().nonnegative(),
    /** Parts that it began with and no longer has, by their place among those: first and last of each run of them. */
    superseded: z.array(z.tuple([z.int().nonnegative(), z.int().nonnegative()])),
    skippedByReason: z.record(z.string(), z.int().positive()),
    excludedByPattern: countsByPattern,
    /** The first keys for each reason; its shards name none. */
    skippedKeys: z.array(z.object({ key: z.string(), reason: skipReason }).strict()),
  })
  .strict();
export type GenerationSummary = z.infer<typeof generationSummary>;

/** Written when the whole prefix is listed and every shard file is in place. */
export const listingSummary = z
  .object({
    formatVersion: z.literal(1),
    shards: z.int().nonnegative(),
    listed: z.int().nonnegative(),
    images: z.int().nonnegative(),
    skipped: z.int().nonnegative(),
    sizeBytes: z.int().nonnegative(),
    /** Present if there are patterns: what they left out, among the skipped. */
    leftOut: leftOut.optional(),
    /** Patterns that changed nothing; absent without patterns. */
    withoutEffect: z
      .object({ include: z.array(z.string()), exclude: z.array(z.string()) })
      .strict()
      .optional(),
    /**
     * Present if the run tries another's failed files again: the first shard that does. Those before it are the other run's;
     * the other counts are of files, each of them once.
     */
    retriedFrom: z.int().nonnegative().optional(),
    /** Present if it is that of a later generation; its shards then begin with the parts that the generation begins with. */
    generation: generationSummary.optional(),
    /** Images per label in output order; absent for scorings. A class of the class list may have none. */
    classes: z.array(z.object({ label: z.string(), images: z.int().nonnegative() }).strict()).optional(),
  })
  .strict();
export type ListingSummary = z.infer<typeof listingSummary>;

/** The stratified, seeded validation split of a run. */
export const split = z
  .object({
    formatVersion: z.literal(2),
    seed: z.int(),
    fraction: z.number(),
    /** Positions of the validation images per shard, ascending. Every labelled image that is in neither part trains. */
    validation: z.array(z.array(z.int().nonnegative())),
    /** The same of the test part; absent without one. */
    test: z.array(z.array(z.int().nonnegative())).optional(),
  })
  .strict();
export type Split = z.infer<typeof split>;

/** The parts of a {@link foldSplit} that are no folds: an image that could not be read, and the test part. */
export const noFold = -1;
export const testPart = -2;

/** What grouped a run's images (`split.groups`). */
export const grouping = z
  .object({
    /** As in `the column "site"`. */
    by: z.string(),
    groups: z.int().nonnegative(),
    /** Images that are in one of the groups, and those that are in none. */
    images: z.int().nonnegative(),
    alone: z.int().nonnegative(),
  })
  .strict();
export type Grouping = z.infer<typeof grouping>;

/** The folds and the test part of a run with `head: auto`, instead of {@link split}. */
export const foldSplit = z
  .object({
    formatVersion: z.literal(3),
    seed: z.int(),
    /**
     * Number of folds; fewer than the recipe's if a class has fewer images, and 1 if the run tunes its backbone: then only one part is
     * predicted, and the others train.
     */
    folds: z.int().min(1),
    /** By shard and position: the fold from 0 (of a single fold, 1 for what trains), {@link testPart}, or {@link noFold}. */
    parts: z.array(z.array(z.int().min(testPart))),
    /**
     * The same of every further division, with as many folds and the same test part; absent if the images are divided once.
     */
    furtherParts: z
      .array(z.array(z.array(z.int().min(testPart))))
      .min(1)
      .optional(),
    /**
     * By shard and position: the number of its group, for images with the same bytes and the members of a group are drawn
     * together where figures get their intervals; null if every image is alone in its group.
     */
    groups: z.array(z.array(z.int().nonnegative())).nullable(),
    /** Null if the recipe groups no images. */
    grouping: grouping.nullable().default(null),
    /** Images with the same bytes and different labels; null without any. */
    contradictions: contradictions.nullable().default(null),
    /** What a person should know of how it came about, in sentences. */
    notes: z.array(z.string()),
  })
  .strict();
export type FoldSplit = z.infer<typeof foldSplit>;

/**
 * The label of an image in a dataset of class folders: the first segment of its key, normalised (Unicode NFC). A whole location lies in
 * no such folder.
 */
export function labelOfKey(key: string): string | undefined {
  if (isObjectLocation(key)) return undefined;
  const slash = key.indexOf("/");
  return slash > 0 ? key.slice(0, slash).normalize("NFC") : undefined;
}

/** Order of labels and keys everywhere: by the bytes of their UTF-8 form, as S3 lists. */
export function compareUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a, "utf8"), Buffer.from(b, "utf8"));
}
