import { compareUtf8, TrommelError, type Shard } from "@trommel/common";
import { countLeftOut } from "../listing/listing-totals.js";
import type { ImageSource, ListedImage } from "../sources/image-source.js";

/** The point at which a listing continues. */
export interface ListedBefore {
  startAfter: string | undefined;
  /** Images and skipped objects so far. */
  passed: number;
  /** The last of the keys of each kind in the last shard that has any. */
  last: readonly string[];
}

/** Takes the next shard that was written before. */
export function noteListed(before: ListedBefore, shard: Shard): void {
  const { entries, skipped, leftOut } = shard;
  before.startAfter = lastKeyOf(shard) ?? before.startAfter;
  const left = leftOut === undefined ? 0 : countLeftOut({ leftOut });
  if (entries.length + skipped.length + left === 0) return;
  before.passed += entries.length + skipped.length + left;
  before.last = [entries.at(-1)?.key, skipped.at(-1)?.key, leftOut?.last].flatMap((key) => key ?? []);
}

/** @throws TrommelError `conflict` where a source with an order of its own is another one by now */
export async function* listAfter(
  source: Pick<ImageSource, "url" | "list" | "anyOrder">,
  { startAfter, passed, last }: ListedBefore,
): AsyncGenerator<ListedImage> {
  if (source.anyOrder !== true) {
    yield* source.list("", { withUnusable: true, ...(startAfter === undefined ? {} : { startAfter }) });
    return;
  }
  let isKnown = passed > 0;
  for await (const image of source.list("", { passed: Math.max(0, passed - 1) })) {
    if (!isKnown) yield image;
    else if (last.includes(image.key)) isKnown = false;
    else break;
  }
  if (!isKnown) return;
  throw new TrommelError(
    "conflict",
    `cannot continue the listing of ${source.url}: ${passed} of its images are listed, and its image ${passed} was ${last.map((key) => JSON.stringify(key)).join(" or ")}, and is another one now. Put it back as it was, or start again under another id or --output`,
    { context: { source: source.url, passed } },
  );
}

function lastKeyOf(shard: Shard): string | undefined {
  const lasts = [shard.entries.at(-1)?.key, shard.skipped.at(-1)?.key, shard.leftOut?.last];
  return lasts.reduce((last, key) =>
    last === undefined || (key !== undefined && compareUtf8(key, last) > 0) ? key : last,
  );
}
