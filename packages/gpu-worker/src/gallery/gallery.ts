import { openStore, type Shard } from "@trommel/common";
import { readObject } from "@trommel/common/store";
import type { Mistake } from "@trommel/common/artefacts";
import { ArchiveRanges } from "../image/read/archive-ranges.js";
import { mistakesShown } from "../measure/worst-mistakes.js";
import { escapeHtml } from "../report/html.js";
import { percent } from "../report/report-page.js";
import { findArchived } from "./archived-images.js";
import { requireShowable } from "./listed-image.js";
import { fileBytesAtMost, readThumbnails } from "./thumbnails.js";

/**
 * The pictures of mistakes, each with what it is and what it was taken for. A picture that cannot be read has a frame without
 * a picture. At most 24 mistakes; the pictures take at most 300 KB.
 * @param readImage the bytes of the image with this key
 */
export async function gallery(
  mistakes: readonly Mistake[],
  readImage: (key: string) => Promise<Uint8Array>,
  signal?: AbortSignal,
): Promise<string> {
  const shown = mistakes.slice(0, mistakesShown);
  if (shown.length === 0) return "";
  const keys = shown.map(({ key }) => key);
  const thumbnails = await readThumbnails(keys, readImage, signal);
  const figures = shown.map((mistake, index) => figure(mistake, thumbnails[index]));
  const note = "Those with the highest probability of the wrong class come first.";
  return `<div class="gallery">${figures.join("\n")}</div><p class="note">${note}</p>`;
}

/**
 * {@link gallery} with the images of a location. Nothing is read without mistakes.
 * @param shards those that list the images, where they lie within archives
 */
export async function galleryFrom(
  location: string,
  mistakes: readonly Mistake[],
  signal: AbortSignal,
  shards?: AsyncIterable<Shard>,
): Promise<string> {
  if (mistakes.length === 0) return "";
  const source = openStore(location);
  const keys = mistakes.slice(0, mistakesShown).map(({ key }) => key);
  const archived = shards === undefined ? undefined : await findArchived(keys, shards);
  const ranges = new ArchiveRanges([]);
  try {
    const options = { maxBytes: fileBytesAtMost, signal };
    const read = async (key: string): Promise<Uint8Array> => {
      const entry = archived?.get(key);
      if (entry?.at === undefined) return readObject(source, key, options);
      requireShowable(entry);
      return ranges.read(source, entry.at.object, entry, signal);
    };
    return await gallery(mistakes, read, signal);
  } finally {
    ranges.close();
    source.close();
  }
}

function figure({ key, label, predicted, probability }: Mistake, thumbnail: string | undefined): string {
  const picture =
    thumbnail === undefined
      ? '<div class="gone">no picture</div>'
      : `<img src="${thumbnail}" alt="${escapeHtml(key)}">`;
  const caption = `<b>${escapeHtml(label)}</b>, taken for <b>${escapeHtml(predicted)}</b> with ${percent(probability)}`;
  return `<figure>${picture}<figcaption>${caption}<br><span class="key">${escapeHtml(key)}</span></figcaption></figure>`;
}
