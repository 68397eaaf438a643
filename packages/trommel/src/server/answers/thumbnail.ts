import {
  bundleFiles,
  openStore,
  parseJsonAs,
  runKeys,
  TrommelError,
  type ObjectStore,
} from "@trommel/common";
import { readBounds, readObject } from "@trommel/common/store";
import { withTimeout } from "@trommel/common/waiting";
import { z } from "zod";
import { loadServing } from "../../worker-package.js";
import type { Work } from "../../api/work.js";
import { StatusError } from "../problem.js";
import type { ServerContext } from "../route.js";

const fileBytesAtMost = 64 * 1024 * 1024;
const readTimeoutMs = 15_000;

/**
 * A small picture of an image that a run names as failed or mistaken: no other key is read.
 * @throws TrommelError `not-found` for another key, `unsupported` for what cannot be shown, `unavailable` while too many are made
 */
export async function thumbnailOf(context: ServerContext, id: string, key: string): Promise<Uint8Array> {
  const { caches, trommel } = context;
  const work = await trommel.run(id);
  const picture = await caches.thumbnails.get(`${id}\0${key}`, async () => {
    if (!(await isNamed(context, work, key)))
      throw new TrommelError(
        "not-found",
        `cannot show ${JSON.stringify(key)}: ${id} names no failed or mistaken image of that key`,
      );
    if (!caches.takeShrinking())
      throw new TrommelError("unavailable", "cannot show a picture now: too many are being made. Try again");
    try {
      const bytes = await withTimeout(
        { timeoutMs: readTimeoutMs, doing: `read ${key}` },
        readImage(work, key),
      );
      return (await (await loadServing()).makeThumbnail(bytes)) ?? null;
    } finally {
      caches.giveShrinkingBack();
    }
  });
  if (picture !== null) return picture;
  throw new StatusError(
    422,
    "unsupported",
    `cannot show ${JSON.stringify(key)}: no picture can be made of it`,
  );
}

async function isNamed({ caches, trommel }: ServerContext, work: Work, key: string): Promise<boolean> {
  const failures = await caches.failures.get(work.id, () => work.failures());
  if (failures.failed.some((line) => line.key === key)) return true;
  return work.kind === "run" && (await readMistakes(trommel.store, work.id)).some((one) => one.key === key);
}

const withMistakes = z.looseObject({ mistakes: z.array(z.looseObject({ key: z.string() })).default([]) });

async function readMistakes(store: ObjectStore, id: string) {
  const file = `${runKeys(id).bundle}/${bundleFiles.metrics}`;
  if ((await store.head(file)) === undefined) return [];
  return parseJsonAs(withMistakes, await store.get(file, readBounds.document), file).mistakes;
}

/** An image within an archive is not found by its key, and is not shown. */
async function readImage({ subject }: Work, key: string): Promise<Uint8Array> {
  const store = openStore(subject.kind === "run" ? subject.config.dataset : subject.config.source);
  try {
    return await readObject(store, key, { maxBytes: fileBytesAtMost });
  } finally {
    store.close();
  }
}
