import type { recipe as recipeSchema } from "@trommel/common";
import { runKeys, scoreFormat, scoringKeys, TrommelError } from "@trommel/common";
import { runId } from "@trommel/common/artefacts";
import { priorities } from "@trommel/common/jobs";
import { testFile } from "@trommel/common/recipe";
import { imagesPerShardAtMost } from "@trommel/common/recipe";
import { z } from "zod";
import type { ServerContext } from "./route.js";

/** What requests ask for, and the check that what they name lies under the roots. */

const text = z.string().min(1).max(4096);

const manifest = z
  .strictObject({ location: text, keyColumn: text.optional(), labelColumn: text.optional() })
  .meta({ description: "A .csv, .jsonl or .parquet table that lists the images" });

const archives = z
  .strictObject({ imageColumn: text.optional(), keyColumn: text.optional(), labelColumn: text.optional() })
  .meta({ description: "Takes the images within the archives under the source" });

/** How it is worked on next to other work; no result depends on it. */
export const steering = z.strictObject({
  priority: z.enum(priorities).optional().meta({ description: "Its share of the workers; normal if absent" }),
  jobsAtMost: z
    .int()
    .positive()
    .nullable()
    .optional()
    .meta({ description: "Jobs of each queue that are under way at once; null for no limit" }),
});

export const trainingRequest = z
  .strictObject({
    source: text.meta({ description: "A folder or s3://bucket/prefix of labelled images" }),
    recipe: z
      .union([text, z.record(z.string(), z.unknown())])
      .meta({ description: "The name of a built-in recipe, or the fields of one: docs/reference/recipe.md" }),
    id: runId.optional(),
    manifest: manifest.optional(),
    archives: archives.optional(),
    output: text.optional().meta({ description: "The place that the bundle is copied to" }),
    ...steering.shape,
  })
  .meta({ description: "A training" });
export type TrainingRequest = z.infer<typeof trainingRequest>;

const share = z.number().min(0).max(1);
const count = z.int().positive();

export const scoringRequest = z
  .strictObject({
    source: text.optional().meta({ description: "A folder or s3://bucket/prefix of images" }),
    model: text.meta({ description: "The id of a finished run, or the location of a bundle" }),
    output: text.meta({ description: "The place of the scores" }),
    manifest: manifest.optional(),
    archives: archives.optional(),
    topK: count.optional(),
    formats: z.array(scoreFormat).optional(),
    featuresOf: runId.optional(),
    rescore: runId.optional(),
    shardSize: count.max(imagesPerShardAtMost).optional(),
    include: z.array(text).optional(),
    exclude: z.array(text).optional(),
    unknownAbove: share.optional(),
    minProbability: z.union([share, z.literal("thresholds")]).optional(),
    limit: count.optional(),
    sample: count.optional(),
    seed: z.int().nonnegative().optional(),
    embeddings: z.enum(["raw", "projected"]).optional(),
    embeddingsType: z.enum(["f16", "f32"]).optional(),
    spreadsheetSafe: z.boolean().optional(),
    maxFailures: z.union([z.int().nonnegative(), text]).optional(),
    ...steering.shape,
  })
  .meta({ description: "A scoring" });

export const sortingRequest = z
  .strictObject({
    scoring: runId,
    into: text.meta({ description: "The place of the folders" }),
    min: share.optional(),
    how: z.enum(["copy", "link", "move"]).optional(),
  })
  .meta({ description: "Puts the images of a finished scoring into a folder for each label" });

/** A manifest whose rows are checked as well. @throws TrommelError `forbidden` for a place outside the roots */
export async function checkedManifest({ roots }: ServerContext, asked: z.infer<typeof manifest>) {
  const location = await roots.require(asked.location, "manifest");
  return { ...asked, location, allows: (object: string) => roots.allowsObject(object) };
}

/** @throws TrommelError `forbidden` for a place outside the roots, `not-found` without that model */
export async function checkedModel({ trommel, roots }: ServerContext, model: string): Promise<string> {
  const isId = runId.safeParse(model).success;
  if (isId && (await trommel.store.head(runKeys(model).config)) !== undefined) return model;
  if (isId)
    throw new TrommelError(
      "not-found",
      `cannot find the model: there is no run ${model} in ${trommel.store.url}. Give the id of a finished run, or the whole location of a bundle`,
    );
  return roots.require(model, "model");
}

/** @throws TrommelError `not-found` if it is no scoring of this store */
export async function checkedScoring({ trommel }: ServerContext, id: string): Promise<string> {
  if ((await trommel.store.head(scoringKeys(id).config)) !== undefined) return id;
  throw new TrommelError("not-found", `cannot find the scoring ${id} in ${trommel.store.url}. Check the id`);
}

/**
 * A recipe whose files lie under the roots. A text is the name of a built-in one: a path would be read from the server's disk.
 * @throws TrommelError `invalid-argument`, `forbidden`
 */
export async function checkedRecipe({ trommel, roots }: ServerContext, asked: TrainingRequest["recipe"]) {
  if (typeof asked === "string") {
    const names = (await trommel.recipes.list()).map(({ name }) => name);
    if (names.includes(asked)) return asked;
    throw new TrommelError(
      "invalid-argument",
      `cannot find the recipe ${JSON.stringify(asked)}: the built-in ones are ${names.join(", ")}. Give one of them, or a recipe's fields`,
    );
  }
  // Parsing says what is wrong with each of its fields.
  const fields = asked as z.input<typeof recipeSchema>;
  const { labels, split } = trommel.recipes.parse(fields);
  const files = [
    labels.source.type === "csv" ? labels.source.file : null,
    labels.classes,
    testFile(split) ?? null,
  ];
  for (const file of files) if (file !== null) await roots.require(file, "a file of the recipe");
  return fields;
}
