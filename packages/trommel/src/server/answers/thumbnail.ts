import { bundleFiles, openStore, parseJsonAs, runKeys, TrommelError } from "@trommel/common";
import { readBounds, readIfThere, readObject } from "@trommel/common/store";
import { withTimeout } from "@trommel/common/waiting";
import { z } from "zod";
import { loadServing, type Serving } from "../../worker-package.js";
import type { Work } from "../../api/work.js";
import { StatusError } from "../problem.js";
import type { ServerContext } from "../route.js";
import { ListedEntries } from "./listed-entries.js";

const fileBytesAtMost = 64 * 1024 * 1024;
const readTimeoutMs = 15_000;

/** An image of a run or scoring. */
interface Asked {
  readonly key: string;
  /** The shard that lists it; only failed and mistaken images are looked up without it. */
  readonly shard?: number | undefined;
}

/**
 * A small picture of an image that a run or scoring lists: no other key is read.
 * @throws TrommelError `not-found` for another key, `unsupported` for what cannot be shown, `too-large`, `timed-out`,
 *   `unavailable` while too many wait for theirs
 */
export async function thumbnailOf(context: ServerContext, id: string, asked: Asked): Promise<Uint8Array> {
  const { caches, trommel, signal } = context;
  const { key, shard = "" } = asked;
  const work = await trommel.run(id);
  const picture = await caches.thumbnails.get([id, shard, key].join("\0"), () =>
    caches.shrinking.run(async () => {
      const serving = await loadServing();
      const limit = { timeoutMs: readTimeoutMs, signal, doing: `read ${key}` };
      const bytes = await withTimeout(limit, (bounded) =>
        readImage({ context, work, serving }, asked, bounded),
      );
      return (await serving.makeThumbnail(bytes)) ?? null;
    }),
  );
  if (picture !== null) return picture;
  throw cannotShow(key, "no picture can be made of it");
}

interface Reading {
  readonly context: ServerContext;
  readonly work: Work;
  readonly serving: Serving;
}

async function readImage(reading: Reading, asked: Asked, signal: AbortSignal): Promise<Uint8Array> {
  const { context, work, serving } = reading;
  const { subject } = work;
  const { key, shard } = asked;
  const listed = await ListedEntries.open(context.trommel.store, subject);
  const { config } = subject;
  const location = "dataset" in config ? config.dataset : config.source;
  if (shard !== undefined) return serving.readListedImage(location, await listed.entryIn(shard, key), signal);
  const named = await findNamed(reading, key);
  // A key alone says where an image is that is an object of its own.
  const isArchived = "from" in config && config.from?.type === "archives";
  if (!isArchived) return readPlain(location, key, signal);
  const entry =
    "shard" in named
      ? await listed.entryIn(named.shard, key)
      : (
          await context.caches.mistaken.get(work.id, () =>
            serving.findArchived(named.mistakes, listed.shards(signal)),
          )
        ).get(key);
  if (entry === undefined) throw cannotShow(key, "no archive has it");
  return serving.readListedImage(location, entry, signal);
}

/**
 * The shard of a failed image; all mistakes for a mistaken one, whose shards are not recorded.
 * @throws TrommelError `not-found` for any other key
 */
async function findNamed(
  { context: { caches, trommel }, work }: Reading,
  key: string,
): Promise<{ readonly shard: number } | { readonly mistakes: readonly string[] }> {
  const line = await caches.failures.find(work, key);
  if (line !== undefined) return { shard: line.shard };
  if (work.kind === "run") {
    const file = `${runKeys(work.id).bundle}/${bundleFiles.metrics}`;
    const body = await readIfThere(trommel.store, file, readBounds.document);
    const mistakes = body === undefined ? [] : parseJsonAs(withMistakes, body, file).mistakes;
    if (mistakes.some((one) => one.key === key)) return { mistakes: mistakes.map((one) => one.key) };
  }
  throw new TrommelError(
    "not-found",
    `cannot show ${JSON.stringify(key)}: ${work.id} names no failed or mistaken image of that key. Give the shard of another image, too`,
  );
}

const withMistakes = z.looseObject({ mistakes: z.array(z.looseObject({ key: z.string() })).default([]) });

async function readPlain(location: string, key: string, signal: AbortSignal): Promise<Uint8Array> {
  const store = openStore(location);
  try {
    return await readObject(store, key, { maxBytes: fileBytesAtMost, signal });
  } finally {
    store.close();
  }
}

function cannotShow(key: string, why: string): StatusError {
  return new StatusError(422, "unsupported", `cannot show ${JSON.stringify(key)}: ${why}`);
}
