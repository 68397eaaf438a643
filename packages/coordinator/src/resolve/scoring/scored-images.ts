import { resolveLocation, TrommelError, type ScoringConfig } from "@trommel/common";
import type { ResolvedRun } from "@trommel/common/artefacts";
import type { AskedPatterns } from "@trommel/common/recipe";
import { locationOf } from "@trommel/common/store";
import { resolveSource, type AskedArchives, type AskedManifest } from "../resolve-source.js";
import { partOf, patternsOf, type AskedPart } from "./asked-options.js";

/** Which images a scoring is asked for. */
export interface AskedImages {
  /** A prefix; undefined for a manifest of whole locations, and where others have listed the images. */
  readonly source: string | undefined;
  readonly manifest?: AskedManifest | undefined;
  readonly archives?: AskedArchives | undefined;
  /** Images per shard; with stored features those of their run. @default 256 */
  readonly shardSize?: number | undefined;
  /** Which keys are scored. @default all */
  readonly patterns?: AskedPatterns;
  /** What part of the listing is scored. @default all of it */
  readonly part?: AskedPart;
}

const defaultShardSize = 256;

/** What a configuration says of its images. */
type ScoredImages = Pick<
  ScoringConfig,
  "source" | "from" | "shardSize" | "include" | "exclude" | "limit" | "sample"
>;

/**
 * Which images a scoring has: those that its source lists, those of a run's stored features, or those of an earlier scoring.
 * @throws TrommelError `invalid-argument` for a selection of what is listed already, or another source than that of the earlier scoring
 */
export async function resolveImages(
  asked: AskedImages,
  stored: ResolvedRun | undefined,
  earlier: ScoringConfig | undefined,
): Promise<ScoredImages> {
  if (stored !== undefined) {
    if (asked.shardSize !== undefined)
      throw new TrommelError(
        "invalid-argument",
        `cannot score stored features (--features-of) with --shard-size ${asked.shardSize}: the run ${stored.id} has stored them in shards of ${stored.recipe.shardSize} images, which are scored as they are. Leave it out`,
      );
    refuseSelection(asked, "score stored features (--features-of)", "the run has listed its pictures");
    if (earlier !== undefined && earlier.source !== stored.dataset)
      throw otherSource(earlier, stored.dataset);
    return { source: stored.dataset, shardSize: stored.recipe.shardSize };
  }
  if (earlier !== undefined) return imagesOf(earlier, asked);
  const { location, from } = await resolveSource(
    { prefix: asked.source, manifest: asked.manifest, archives: asked.archives },
    { labels: false, reserved: scoreFields },
  );
  return {
    source: location,
    ...(from === undefined ? {} : { from }),
    shardSize: asked.shardSize ?? defaultShardSize,
    ...patternsOf(asked.patterns ?? {}),
    ...partOf(asked.part ?? {}),
  };
}

/** The images of an earlier scoring, with what chose them, so that a later generation chooses in the same way. */
function imagesOf(earlier: ScoringConfig, { source: prefix, ...asked }: AskedImages): ScoredImages {
  const { source, from, include, exclude, limit, sample } = earlier;
  if (earlier.featuresOf !== undefined)
    throw new TrommelError(
      "invalid-argument",
      `cannot rescore ${earlier.id} by its pictures: it scored the stored features of ${earlier.featuresOf.run}. Give --features-of ${earlier.featuresOf.run}`,
    );
  const archive =
    from?.type === "archives" && from.object !== null ? locationOf(source, from.object) : source;
  if (prefix !== undefined && ![source, archive].includes(resolveLocation(prefix)))
    throw otherSource(earlier, resolveLocation(prefix));
  refuseSelection(
    { ...asked, source: undefined },
    `rescore ${earlier.id}`,
    "that scoring has listed its pictures",
  );
  return {
    source,
    ...(from === undefined ? {} : { from }),
    shardSize: asked.shardSize ?? defaultShardSize,
    ...(include === undefined ? {} : { include }),
    ...(exclude === undefined ? {} : { exclude }),
    ...(limit === undefined ? {} : { limit }),
    ...(sample === undefined ? {} : { sample }),
  };
}

function otherSource({ id, source }: ScoringConfig, other: string): TrommelError {
  return new TrommelError(
    "invalid-argument",
    `cannot rescore ${id} with ${other}: that scoring is of ${source}. Leave the prefix out, or leave --rescore out`,
    { context: { id, source } },
  );
}

/** Fields of a row of scores, in any format. */
const scoreFields = [
  ...["key", "id", "label", "result", "probability", "top", "probabilities", "novelty", "likeliest"],
  ...["embedding", "embeddings", "error"],
];

/** @throws TrommelError `invalid-argument` for what says which pictures are listed */
function refuseSelection(asked: AskedImages, doing: string, why: string): void {
  const { include, exclude } = asked.patterns ?? {};
  const { limit, sample } = asked.part ?? {};
  const given = {
    "a prefix": asked.source,
    "--manifest": asked.manifest,
    "--archives": asked.archives,
    "--include": include,
    "--exclude": exclude,
    "--limit": limit,
    "--sample": sample,
  };
  const found = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (found.length === 0) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot ${doing} with ${found.join(", ")}: ${why}, and all of them are scored. Leave it out`,
  );
}
