import { z } from "zod";
import { partSpan } from "../generations/part-list.js";
import { runId } from "../store-keys.js";

/** How pictures come to their folders. */
const sortHow = z.enum(["copy", "link", "move"]);
export type SortHow = z.infer<typeof sortHow>;

/** One sorting of the pictures of one finished scoring, frozen: `sorting.json`. */
export const sortingConfig = z
  .object({
    formatVersion: z.literal(1),
    id: runId,
    scoring: runId,
    /** Absolute locations of the scores, of what was scored, and of the place of the folders. */
    output: z.string(),
    source: z.string(),
    into: z.string(),
    how: sortHow,
    /** Images whose largest probability is smaller stay where they are. */
    min: z.number().min(0).max(1),
    /** The score parts as they were when it was asked for: a later generation or retry is another sorting. */
    parts: z.array(partSpan),
    /** Rows in them. */
    images: z.int().nonnegative(),
  })
  .strict();
export type SortingConfig = z.infer<typeof sortingConfig>;

/** An image that was not put in its place. */
const unplacedImage = z
  .object({
    key: z.string(),
    /** `not-an-object`: it lies in an archive, or a manifest names its location. `taken`: another object is there, and it was left as it is. `not-found` and `changed`: the image is not the one that was scored. */
    reason: z.enum(["not-an-object", "taken", "not-found", "changed"]),
  })
  .strict();
export type UnplacedImage = z.infer<typeof unplacedImage>;

/** What became of the rows of a part: rows = placed + below + unplaced. */
export const sortedPart = z
  .object({
    formatVersion: z.literal(1),
    rows: z.int().nonnegative(),
    placed: z.int().nonnegative(),
    /** Less probable than `min`. */
    below: z.int().nonnegative(),
    unplaced: z.array(unplacedImage),
    /** With `move`: those of `placed` whose source was removed, each after its bytes had been compared with those in its place. */
    removed: z.int().nonnegative(),
  })
  .strict();
export type SortedPart = z.infer<typeof sortedPart>;

/** With `move`: what a part has in its places, byte for byte, before the first source is removed. */
export const verifiedPart = z
  .object({ formatVersion: z.literal(1), verified: z.array(z.string()), unplaced: z.array(unplacedImage) })
  .strict();
export type VerifiedPart = z.infer<typeof verifiedPart>;

/** What sorting a scoring came to: images = placed + below + unplaced. */
export const sortLedger = z
  .object({
    formatVersion: z.literal(1),
    scoring: runId,
    into: z.string(),
    images: z.int().nonnegative(),
    placed: z.int().nonnegative(),
    below: z.int().nonnegative(),
    unplaced: z.int().nonnegative(),
    unplacedByReason: z.record(z.string(), z.int().positive()),
    /** Location of `unplaced.jsonl`, which names them. */
    unplacedList: z.string(),
    /** Sources that a move removed, each after its bytes had been compared with those in its place. */
    removed: z.int().nonnegative(),
    parts: z.int().nonnegative(),
  })
  .strict();
export type SortLedger = z.infer<typeof sortLedger>;
