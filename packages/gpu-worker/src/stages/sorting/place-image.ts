import { TrommelError, type ObjectStore, type ShardEntry } from "@trommel/common";
import type { SortHow, UnplacedImage } from "@trommel/common/artefacts";

/** An image and its place. */
export interface PlacedImage {
  readonly key: string;
  /** Its key under the target. */
  readonly as: string;
  /** As it was scored. */
  readonly listed: ShardEntry | undefined;
}

export interface SortPlaces {
  readonly source: ObjectStore;
  readonly into: ObjectStore;
  readonly how: SortHow;
}

/**
 * Puts an image in its place. With `move` its bytes are there when this ends, and its source is too.
 * @returns why it is not in its place; undefined if it is
 * @throws TrommelError `unsupported` for a link that cannot be, `corrupt`, retryable, where a copy has other bytes than its source
 */
export async function placeImage(
  image: PlacedImage,
  places: SortPlaces,
): Promise<UnplacedImage["reason"] | undefined> {
  if (image.listed?.at !== undefined) return "not-an-object";
  try {
    const outcome = await putThere(image, places);
    if (outcome === "written" && places.how !== "move") return undefined;
    if (await hasBytes(image, places)) return undefined;
    if (outcome === "exists") return "taken";
    throw new TrommelError(
      "corrupt",
      `cannot move ${places.source.url}/${image.key}: its copy ${places.into.url}/${image.as} has other bytes. Remove the copy and resume`,
      { retryable: true, context: { key: image.key } },
    );
  } catch (thrown) {
    if (!(thrown instanceof TrommelError)) throw thrown;
    if (thrown.code === "changed" || thrown.code === "not-found") return thrown.code;
    throw thrown;
  }
}

/**
 * Removes the source of an image whose bytes are in its place.
 * @returns whether it is gone; another object that is there by now stays
 */
export async function removeSource(
  { key, listed }: PlacedImage,
  { source }: Pick<SortPlaces, "source">,
): Promise<boolean> {
  const found = await source.head(key);
  if (found === undefined) return true;
  if (listed !== undefined && found.etag !== listed.etag) return false;
  await source.delete([key]);
  return true;
}

function asListed({ listed }: PlacedImage): { readonly etag?: string } {
  return listed === undefined ? {} : { etag: listed.etag };
}

/**
 * Whether the place has the image's bytes: another object may have its size, and an image that is moved is then removed.
 * @throws TrommelError `not-found` and `changed` for the image
 */
async function hasBytes(image: PlacedImage, { source, into }: SortPlaces): Promise<boolean> {
  const there = await into.head(image.as);
  if (there === undefined) return false;
  if (image.listed !== undefined && there.sizeBytes !== image.listed.sizeBytes) return false;
  const [bytes, found] = await Promise.all([source.get(image.key, asListed(image)), into.get(image.as)]);
  return Buffer.compare(bytes, found) === 0;
}

async function putThere(
  image: PlacedImage,
  { source, into, how }: SortPlaces,
): Promise<"written" | "exists"> {
  const { key, as } = image;
  const of = asListed(image);
  const outcome = await into.copyFrom(source, key, as, { ...of, link: how === "link" });
  if (outcome !== "elsewhere") return outcome;
  if (how === "link") {
    throw new TrommelError(
      "unsupported",
      `cannot link ${source.url}/${key} into ${into.url}: only files of one file system have a second name. Use --copy`,
    );
  }
  return into.put(as, await source.get(key, of), { ifAbsent: true });
}
